"""A WitMotion module over a simulated radio: locked until unlocked, at 10 Hz until told, without acknowledgements."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from struct import pack
from typing import ClassVar

import numpy as np
import pytest

from sensor_gateway.drivers.base import Battery, Rejected
from sensor_gateway.drivers.witmotion import NOTIFY_UUID, SERVICE_UUID, WRITE_UUID, WitMotionDriver
from tests.ble.support.bench import QUICK, driver_bench
from tests.ble.support.peripheral import NOTIFY, WRITE_SILENTLY, Peripheral

pytestmark = pytest.mark.anyio

MOST = 240  # bytes of a notification
RATES = {0x06: 10, 0x07: 20, 0x08: 50, 0x09: 100, 0x0B: 200}


class Module(Peripheral):
    """Numbers its samples in the x axis; what the radio keeps waiting comes together."""

    services: ClassVar = {SERVICE_UUID: {NOTIFY_UUID: [NOTIFY], WRITE_UUID: [WRITE_SILENTLY]}}
    turn_s = 0.03

    def boot(self) -> None:
        self.registers = {0x03: 0x06, 0x24: 0, 0x64: 389}
        self.unlocked = False
        self.replies = b""
        self.number = 0
        self._due_s = 0.0

    def connected(self) -> None:
        self._due_s = self.now_s

    def wrote(self, _name: str, value: bytes) -> None:
        if value == bytes.fromhex("ffaa6988b5"):
            self.unlocked = True
        elif value[:3] == b"\xff\xaa\x27":
            self.replies += b"\x55\x71" + pack("<H8h", value[3], self.registers.get(value[3], 0), *[0] * 7)
        elif self.unlocked:
            self.registers[value[2]] = value[3]

    def turn(self) -> list[tuple[str, bytes]]:
        frames = b""
        while self._due_s <= self.now_s:
            self._due_s += 1 / RATES[self.registers[0x03]]
            frames += b"\x55\x61" + pack("<9h", self.number % 1000, 0, 2048, 0, 0, 0, 0, 0, 0)
            self.number += 1
        payload, self.replies = self.replies + frames, b""
        return [(NOTIFY_UUID, payload[at : at + MOST]) for at in range(0, len(payload), MOST)]


async def test_it_streams_at_the_rate_asked_for_and_again_after_a_disconnect() -> None:
    async with driver_bench(Module, WitMotionDriver(100)) as b:
        await b.until(lambda: b.samples >= 20)
        await asyncio.sleep(0.3)
        await b.comes_at(100, within=0.12)
        first = b.batches
        last = max(
            i for i in range(len(first)) if i == 0 or first[i].t_dev_ticks[0] > first[i - 1].t_dev_ticks[-1] + 10**6
        )
        numbers = np.concatenate([x.acc_mps2[:, 0] for x in first]) / 9.80665 * 2048
        assert np.all(np.diff(np.rint(numbers)) == 1)
        # The few that came at 10 Hz count apart.
        assert sum(len(x.t_dev_ticks) for x in first[:last]) < 20
        ticks = np.concatenate([x.t_dev_ticks for x in first[last:]])
        assert np.all(np.diff(ticks) == 1)
        await b.sensor.hang_up()
        have = b.samples
        await b.until(lambda: b.samples >= have + 50)
        await b.until(
            lambda: len([i for i in b.items if isinstance(i, Battery)]) == 2
        )  # the start sequence's last answer
        assert b.batches[-1].t_dev_ticks[0] > ticks[-1] + 10**6
        told = ["ffaa6988b5", "ffaa270300", "ffaa240100", "ffaa030900", "ffaa270300", "ffaa276400"]
        assert [c.hex() for _, c in b.sensor.commands] == told * 2
        assert b.sensor.registers[0x24] == 1
        assert [i.percent for i in b.items if isinstance(i, Battery)] == [75, 75]
        assert not [i for i in b.items if isinstance(i, Rejected)]
        assert b.session.stats.connections == 2
        assert b.states.count("stalled") == 0


class Mute(Module):
    """Answers every question and measures nothing."""

    def turn(self) -> list[tuple[str, bytes]]:
        payload, self.replies = self.replies, b""
        return [(NOTIFY_UUID, payload)] if payload else []


class Curious(WitMotionDriver):
    """Asks for the battery more often than anybody needs."""

    poll_s = 0.2


async def test_a_module_that_answers_but_does_not_measure_is_never_called_streaming() -> None:
    async with driver_bench(Mute, WitMotionDriver(100), replace(QUICK, first_data_s=0.4)) as b:
        await b.until(lambda: b.session.stats.failures)
        assert [i.percent for i in b.items if isinstance(i, Battery)]
        assert "streaming" not in b.states
        assert b.session.stats.last_error == "the sensor is connected but sends nothing"


async def test_the_battery_is_asked_for_again_while_it_streams() -> None:
    async with driver_bench(Module, Curious(100)) as b:
        await b.until(lambda: [c.hex() for _, c in b.sensor.commands].count("ffaa276400") >= 3)
        assert b.states == ["searching", "connecting", "starting", "streaming"]
