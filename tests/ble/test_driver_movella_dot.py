"""A Movella DOT over a simulated radio: its clock wraps on the way, and it obeys only in the order its maker prescribes."""

from __future__ import annotations

from struct import pack, unpack_from
from typing import ClassVar

import numpy as np
import pytest

from processing.types import ImuBatch
from sensor_gateway.drivers.base import Battery, Rejected
from sensor_gateway.drivers.dot_payload import LONG_UUID, MEDIUM_UUID
from sensor_gateway.drivers.movella_dot import (
    BATTERY_UUID,
    CONFIG_SERVICE_UUID,
    CONTROL_UUID,
    DEVICE_CONTROL_UUID,
    MovellaDotDriver,
)
from tests.ble.support.bench import driver_bench
from tests.ble.support.peripheral import NOTIFY, WRITE, Peripheral

pytestmark = pytest.mark.anyio

WRAP = 1 << 32


class Dot(Peripheral):
    """Counts its samples in the angular rate about x; measures only what was subscribed before."""

    services: ClassVar = {
        CONFIG_SERVICE_UUID: {DEVICE_CONTROL_UUID: [WRITE]},
        "15172000-4947-11e9-8646-d663bd873d93": {
            CONTROL_UUID: [WRITE],
            MEDIUM_UUID: [NOTIFY],
            LONG_UUID: [NOTIFY],
        },
        "15173000-4947-11e9-8646-d663bd873d93": {BATTERY_UUID: [NOTIFY]},
    }
    turn_s = 0.01

    def boot(self) -> None:
        self.measuring = False
        self.rate_hz = 20
        self.sleep_min = 10
        self.number = 0
        self._due_s = 0.0
        self._began_s: float | None = None

    def connected(self) -> None:
        self.measuring = False

    def wrote(self, name: str, value: bytes) -> None:
        if name == DEVICE_CONTROL_UUID and len(value) == 32 and not self.measuring:
            if value[0] & 0x10:
                (self.rate_hz,) = unpack_from("<H", value, 24)
            if value[0] & 0x04:
                self.sleep_min = value[3]
        elif name == CONTROL_UUID and len(value) == 3 and value[0] == 1:
            self.measuring = value[1] == 1 and value[2] == 21 and self.subscribed(MEDIUM_UUID)
            self._due_s = self.now_s
            if self._began_s is None:
                self._began_s = self._due_s

    def turn(self) -> list[tuple[str, bytes]]:
        out: list[tuple[str, bytes]] = []
        while self.measuring and self._due_s <= self.now_s:
            t_us = (round((self._due_s - (self._began_s or 0)) * 1e6) - 1_000_000) % WRAP
            self._due_s += 1 / self.rate_hz
            out.append((MEDIUM_UUID, pack("<I6f12x", t_us, 0, 0, 9.81, self.number % 1000, 0, 0)))
            self.number += 1
            if self.number % 50 == 40:
                out.append((BATTERY_UUID, bytes([(90 - self.number // 50) % 91, 0])))
        return out


def numbers(batches: list[ImuBatch]) -> np.ndarray:
    return np.rint(np.degrees(np.concatenate([b.gyr_rps[:, 0] for b in batches])))


async def test_it_streams_over_its_clocks_wrap_and_again_after_a_disconnect() -> None:
    async with driver_bench(Dot, MovellaDotDriver()) as b:
        await b.until(lambda: b.samples >= 10)
        await b.comes_at(60, within=0.12)
        await b.sensor.hang_up()
        await b.until(lambda: b.states[-1] == "lost")
        have = b.samples
        first = b.batches[:have]
        assert np.all(np.diff(numbers(first)) == 1)
        ticks = np.concatenate([x.t_dev_ticks for x in first])
        steps = np.diff(ticks) % WRAP
        assert set(steps.tolist()) <= {16_666, 16_667, 16_668}
        assert ticks.min() < 2**31 < ticks.max()
        await b.until(lambda: b.samples >= have + 30)
        assert np.all(np.diff(numbers(b.batches[have:])) == 1)
        assert b.sensor.sleep_min == 0
        writes = [(c[:3].hex() if name == CONTROL_UUID else "settings") for name, c in b.sensor.commands]
        assert writes == ["010015", "settings", "010115"] * 2
        assert [i.percent for i in b.items if isinstance(i, Battery)][:2] == [90, 89]
        assert not [i for i in b.items if isinstance(i, Rejected)]
        assert b.session.stats.connections == 2
