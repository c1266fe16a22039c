"""A MetaMotion over a simulated radio: silent until torn down and set up, two streams, battery on request."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from struct import pack
from typing import ClassVar

import numpy as np
import pytest

from processing.types import GRAVITY_MPS2
from sensor_gateway.drivers.base import Battery, Late, Rejected
from sensor_gateway.drivers.metamotion import COMMAND_UUID, NOTIFY_UUID, SERVICE_UUID, MetaMotionDriver
from sensor_gateway.drivers.metamotion_chips import ACC, CHIPS, GYRO
from tests.ble.support.bench import QUICK, driver_bench
from tests.ble.support.board_log import TICK_S, BoardLog
from tests.ble.support.peripheral import NOTIFY, WRITE, WRITE_SILENTLY, Peripheral

pytestmark = pytest.mark.anyio

CODES_HZ = {6: 25, 7: 50, 8: 100, 9: 200}


class MetaMotion(Peripheral):
    """As a real one, streams nothing to a second session that has not torn down what the first one left."""

    services: ClassVar = {SERVICE_UUID: {COMMAND_UUID: [WRITE, WRITE_SILENTLY], NOTIFY_UUID: [NOTIFY]}}
    turn_s = 0.03
    chip = "bmi270"

    def boot(self) -> None:
        self.clean = False
        self.on: set[bytes] = set()
        self.rate_hz = 0
        self.answers: list[bytes] = []
        self.numbers = {ACC: 0, GYRO: 0}
        self._due_s = 0.0

    def connected(self) -> None:
        self.clean = False

    def wrote(self, _name: str, value: bytes) -> None:
        if value == bytes([0x0B, 0x0A]):
            self.clean, self.on = True, set()
        elif value in (bytes([ACC, 0x80]), bytes([GYRO, 0x80])):
            self.answers.append(value + bytes([CHIPS[self.chip].implementation[value[0]], 1]))
        elif value == bytes([0x11, 0x8C]):
            self.answers.append(value + pack("<BH", 64, 3870))
        elif value[:2] == bytes([ACC, 3]):
            self.rate_hz = CODES_HZ[value[2] & 0x0F]
        elif value[2:] in (b"\x01", b"\x01\x00") and self.clean:
            self.on.add(value[:2])
            self._due_s = self.now_s

    def turn(self) -> list[tuple[str, bytes]]:
        out, self.answers = self.answers, []
        registers = CHIPS[self.chip].packed
        needed = {bytes([m, r]) for m in (ACC, GYRO) for r in (1, 2, registers[m])}
        while needed <= self.on and self._due_s <= self.now_s:
            self._due_s += 3 / self.rate_hz
            for module in (GYRO, ACC):
                first = self.numbers[module]
                self.numbers[module] = first + 3
                rows = [v for i in range(3) for v in ((first + i) % 1000, 0, 0)]
                out.append(bytes([module, registers[module]]) + pack("<9h", *rows))
        return [(NOTIFY_UUID, payload) for payload in out]


class LoggingBoard(MetaMotion):
    """With a log: goes on measuring while nobody is connected."""

    def boot(self) -> None:
        super().boot()
        self.log = BoardLog()

    def connected(self) -> None:
        self.measure()
        super().connected()

    def _on_disconnection(self, reason: int) -> None:
        self.measure()
        self.log.disconnected()
        super()._on_disconnection(reason)

    def wrote(self, name: str, value: bytes) -> None:
        super().wrote(name, value)
        self.answers += self.log.command(value, round(self.now_s / TICK_S))

    def measure(self) -> None:
        """What fell due since the last time, into the log."""
        chip = CHIPS[self.chip]
        while self.rate_hz and self._due_s <= self.now_s:
            for i in range(3):
                for module in (GYRO, ACC):
                    tick = round((self._due_s + i / self.rate_hz) / TICK_S)
                    self.log.measured(module, chip.single[module], pack("<3h", *divmod(tick, 1000), 0), tick)
            self._due_s += 3 / self.rate_hz

    def turn(self) -> list[tuple[str, bytes]]:
        return super().turn() + [(NOTIFY_UUID, message) for message in self.log.read_out(20)]


@pytest.mark.slow
async def test_what_the_board_logged_out_of_range_is_read_dated_and_cleared() -> None:
    limits = replace(QUICK, stall_s=2.0)
    async with driver_bench(LoggingBoard, MetaMotionDriver(100, record=True), limits) as b:
        await b.until(lambda: b.samples >= 100)
        b.sensor.leave()
        await b.until(lambda: b.states[-1] == "lost")
        left_ns = time.monotonic_ns()
        await asyncio.sleep(4)
        b.sensor.come_back()
        await b.until(lambda: b.states[-1] == "streaming", 30)
        back_ns = time.monotonic_ns()
        await b.until(lambda: b.session.stats.late > 0 and not b.sensor.log.entries, 30)
    late = [i for i in b.items if isinstance(i, Late)]
    t = np.concatenate([i.batch.t_dev_ticks for i in late])
    assert all(i.clock == "gateway" for i in late)
    assert np.all(np.diff(t) > 0)
    assert len(t) > 350
    assert left_ns - 1e9 < t[0] < left_ns + 1e9
    assert t[-1] < back_ns
    assert np.diff(t).max() < 50e6
    ticks = np.rint(np.concatenate([i.batch.acc_mps2[:, :2] for i in late]) / GRAVITY_MPS2 * 4096) @ [1000, 1]
    assert np.ptp(t - ticks * TICK_S * 1e9) < 1e6
    assert not [i for i in b.items if isinstance(i, Rejected)]


async def test_it_streams_whole_and_again_after_a_disconnect() -> None:
    async with driver_bench(MetaMotion, MetaMotionDriver(100)) as b:
        await b.until(lambda: b.samples >= 20)
        await b.comes_at(100, within=0.15)
        acc = np.rint(np.concatenate([x.acc_mps2[:, 0] for x in b.batches]) / GRAVITY_MPS2 * 4096)
        gyr = np.rint(np.degrees(np.concatenate([x.gyr_rps[:, 0] for x in b.batches])) * 32.8)
        assert np.array_equal(acc, gyr)
        assert np.all(np.diff(acc) % 1000 == 1)
        ticks = np.concatenate([x.t_dev_ticks for x in b.batches])
        assert np.all(np.diff(ticks) == 1)
        await b.sensor.hang_up()
        have = b.samples
        await b.until(lambda: b.samples >= have + 50)
        assert b.batches[-1].t_dev_ticks[0] > ticks[-1] + 10**6
        assert [i.percent for i in b.items if isinstance(i, Battery)] == [64, 64]
        assert not [i for i in b.items if isinstance(i, Rejected)]
        assert b.session.stats.connections == 2


async def test_another_chip_than_configured_is_said_and_nothing_is_misread() -> None:
    async with driver_bench(MetaMotion, MetaMotionDriver(100, chip="bmi160")) as b:
        await b.until(lambda: [i for i in b.items if isinstance(i, Rejected)])
        assert any("set its option 'chip'" in i.reason for i in b.items if isinstance(i, Rejected))
        assert b.batches == []


async def test_a_board_with_the_other_chip_is_told_apart_from_one_that_does_not_measure() -> None:
    limits = replace(QUICK, first_data_s=1.0, stall_s=1.0, alarm_failures=1)
    async with driver_bench(MetaMotion, MetaMotionDriver(100, chip="bmi160"), limits) as b:
        await b.until(lambda: b.session.stats.last_failure == "unread")
        assert "set its option 'chip' to 'bmi270'" in b.session.stats.alarm
        assert "check driver and options" in b.session.stats.alarm
