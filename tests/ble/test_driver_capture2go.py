"""A Capture2Go over a simulated radio: its flat battery has set its clock to 2001, and it sends on while nobody listens."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from struct import pack, unpack_from
from typing import ClassVar
from zlib import crc32

import numpy as np
import pytest

from processing.types import ImuBatch
from sensor_gateway.drivers.base import Battery, Late, Rejected
from sensor_gateway.drivers.capture2go import NOTIFY_UUID, SERVICE_UUID, WRITE_UUID, Capture2GoDriver
from tests.ble.support.bench import QUICK, driver_bench
from tests.ble.support.flash import Flash
from tests.ble.support.peripheral import NOTIFY, WRITE, Peripheral

pytestmark = pytest.mark.anyio

RATES = {1: 200, 2: 100, 3: 50, 4: 25}
Y2001_NS = 978_307_200 * 10**9
CUT = 97  # bytes of FIFO in a notification: no frame fits


def frame(header: int, payload: bytes = b"") -> bytes:
    checked = pack("<H", header) + payload
    return b"\x02" + pack("<IB", crc32(checked), len(payload)) + checked


class Imu(Peripheral):
    """Counts its samples in the acceleration's x axis. Goes on measuring into its FIFO after a lost connection."""

    services: ClassVar = {SERVICE_UUID: {NOTIFY_UUID: [NOTIFY], WRITE_UUID: [WRITE]}}
    turn_s = 0.04

    def boot(self) -> None:
        self.clock_ns = Y2001_NS - round(self.now_s * 1e9)  # its time minus time since switched on
        self.code = 1
        self.streaming = False
        self.number = 0
        self.fifo = b""
        self._due_s = 0.0

    @property
    def time_ns(self) -> int:
        return self.clock_ns + round(self.now_s * 1e9)

    def connected(self) -> None:
        self.fifo += self.status()

    def status(self) -> bytes:
        return frame(0x0201, pack("<qBB3hBBB", self.time_ns, 1 + self.streaming, 2, 0, 0, 0, 0, 77, 90))

    def wrote(self, _name: str, value: bytes) -> None:
        header = unpack_from("<H", value, 6)
        assert value == frame(*header, value[8:])
        if header == (0x0158,):
            self.streaming, self.fifo = False, frame(0x0159)
        elif header == (0x0200,):
            self.fifo += self.status()
        elif header == (0x0170,):
            (new,) = unpack_from("<q", value, 8)
            self.clock_ns += new - self.time_ns
            self.fifo += frame(0x0171, value[8:])
        elif header == (0x0120,) and len(value) == 38 and value[37] == 1 and not self.streaming:
            self.code = value[18]
            self.fifo += frame(0x0122, value[8:])
        elif header == (0x0150,):
            self.streaming, self._due_s = True, self.now_s
            self.fifo += frame(0x0151)

    def measure(self) -> None:
        period_s = 1 / RATES[self.code]
        while self.streaming and self._due_s + 8 * period_s <= self.now_s:
            t_ns = self.clock_ns + round(self._due_s * 1e9)
            acc = [v for i in range(8) for v in ((self.number + i) % 1000, 0, 2048)]
            body = pack("<q24h24hQhB", t_ns, *[0] * 24, *acc, 0, 0, 0)
            self.fifo += frame(0x0230 + self.code, body)
            self._due_s += 8 * period_s
            self.number += 8

    def turn(self) -> list[tuple[str, bytes]]:
        self.measure()
        if not self.subscribed(NOTIFY_UUID):
            return []
        out = []
        while self.fifo:
            out.append((NOTIFY_UUID, b"\xff" + self.fifo[:CUT]))
            self.fifo = self.fifo[CUT:]
        return out


class RecordingImu(Imu):
    """With a memory: sends the newest sample on the real-time channel while it records, as long as the link is up."""

    turn_s = 0.01

    def boot(self) -> None:
        super().boot()
        self.flash = Flash()

    def connected(self) -> None:
        self.flash.real_time = False
        self.fifo = self.flash.status(self.time_ns)

    def wrote(self, _name: str, value: bytes) -> None:
        (header,) = unpack_from("<H", value, 6)
        if header == 0x0158:
            self.fifo = frame(0x0159)
            return
        if header == 0x0170:
            super().wrote(_name, value)
            return
        self.fifo += self.flash.command(header, value[8:], self.time_ns)

    def turn(self) -> list[tuple[str, bytes]]:
        self.flash.measure(self.time_ns)
        first = b"\xfe" + self.flash.newest(self.time_ns) if self.flash.real_time else b"\xff"
        piece, self.fifo = self.fifo[: 240 - len(first)], self.fifo[240 - len(first) :]
        return [(NOTIFY_UUID, first + piece)] if piece or len(first) > 1 else []


def numbers(batches: list[ImuBatch]) -> np.ndarray:
    return np.rint(np.concatenate([b.acc_mps2[:, 0] for b in batches]) / 9.81 * 2048)


async def test_it_streams_whole_on_utc_and_again_after_a_disconnect() -> None:
    async with driver_bench(Imu, Capture2GoDriver()) as b:
        await b.until(lambda: b.samples >= 16)
        await b.comes_at(100, within=0.12)
        ticks = np.concatenate([x.t_dev_ticks for x in b.batches])
        assert abs(int(ticks[-1]) - time.time_ns()) < 2_000_000_000
        set_to_ns = b.sensor.clock_ns
        await b.sensor.hang_up()
        await b.until(lambda: b.states[-1] == "lost")
        lost_at = len(b.items)
        first = b.batches
        assert not [i for i in b.items if isinstance(i, Rejected)]
        assert np.all(np.diff(numbers(first)) == 1)
        b.sensor.fifo = frame(0x0232, bytes(115))[40:]  # what was under way was torn
        await b.until(lambda: len([i for i in b.items[lost_at:] if isinstance(i, ImuBatch)]) >= 8)
        again = [i for i in b.items[lost_at:] if isinstance(i, ImuBatch)]
        assert np.all(np.diff(np.concatenate([x.t_dev_ticks for x in again])) > 0)
        assert again[0].t_dev_ticks[0] > ticks[-1]
        assert np.all(np.diff(numbers(again[-4:])) == 1)
        told = b"".join(i.payload for i in b.items if isinstance(i, Rejected))
        assert len(told) <= 83 + CUT  # the torn one, and the one that stop-and-clear cut off
        headers = [unpack_from("<H", value, 6)[0] for _, value in b.sensor.commands]
        assert headers == [0x0158, 0x0170, 0x0200, 0x0120, 0x0150, 0x0158, 0x0200, 0x0120, 0x0150]
        assert b.sensor.clock_ns == set_to_ns  # right already: left alone
        assert [i.percent for i in b.items if isinstance(i, Battery)] == [77, 77]
        assert b.session.stats.connections == 2


@pytest.mark.slow
async def test_what_is_missed_out_of_range_is_read_from_its_recording_once() -> None:
    limits = replace(QUICK, stall_s=2.0)
    async with driver_bench(RecordingImu, Capture2GoDriver(record=True), limits) as b:
        await b.until(lambda: b.samples >= 100 and b.sensor.flash.recording, 60)
        b.sensor.leave()
        await b.until(lambda: b.states[-1] == "lost")
        before = b.batches[-1].t_dev_ticks[-1]
        await asyncio.sleep(5)
        b.sensor.come_back()
        await b.until(lambda: b.session.stats.late > 0, 60)
        await b.until(lambda: not b.session._ear._recording.holes, 60)
    live = np.concatenate([x.t_dev_ticks for x in b.batches])
    assert np.all(np.diff(live) >= 0)
    after = live[live > before][0]
    assert after - before > 5e9
    late = np.concatenate([x.batch.t_dev_ticks for x in b.items if isinstance(x, Late)])
    assert len(late) == len(set(late.tolist()))
    assert late[0] <= before + 20_000_000
    assert late[-1] >= after - 20_000_000
    assert np.all(np.diff(late) == 10_000_000)
