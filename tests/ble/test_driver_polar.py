"""A Polar Verity Sense over a simulated radio: commands answered, compressed messages of two streams, one clock."""

from __future__ import annotations

from struct import pack, unpack_from
from typing import ClassVar

import numpy as np
import pytest

from processing.types import GRAVITY_MPS2
from sensor_gateway.drivers.base import Battery, Rejected
from sensor_gateway.drivers.polar import BATTERY_UUID, CONTROL_UUID, DATA_UUID, SERVICE_UUID, PolarDriver
from tests.ble.support.bench import driver_bench
from tests.ble.support.peripheral import NOTIFY, WRITE, Peripheral

pytestmark = pytest.mark.anyio

BATTERY_SERVICE = "0000180f-0000-1000-8000-00805f9b34fb"
ACC, GYRO = 2, 5
N = 20  # samples a message
EPOCH_2000_NS = 820_000_000 * 10**9


class Verity(Peripheral):
    """Both streams from one chip: the same instants, told in messages whose ends lie apart. The control point's answers
    are indications in truth; how they are acknowledged is not this driver's.
    """

    services: ClassVar = {
        SERVICE_UUID: {CONTROL_UUID: [WRITE, NOTIFY], DATA_UUID: [NOTIFY]},
        BATTERY_SERVICE: {BATTERY_UUID: [NOTIFY]},
    }
    turn_s = 0.05

    def boot(self) -> None:
        self.rate_hz = 0
        self.running: dict[int, int] = {}  # stream to its next sample's number
        self.answers: list[tuple[str, bytes]] = []

    def connected(self) -> None:
        self.running = {}
        self.answers = [(BATTERY_UUID, bytes([58]))]

    def wrote(self, _name: str, value: bytes) -> None:
        op, kind = value[0], value[1]
        status, settings = 0, b""
        if op == 2 and kind in (ACC, GYRO):
            self.rate_hz, full_scale = unpack_from("<H", value, 4)[0], unpack_from("<H", value, 12)[0]
            self.running[kind] = round(self.now_s * self.rate_hz) + (3 if kind == GYRO else 0)
            settings = pack("<BBf", 5, 1, full_scale / 32768)
        elif op == 3 and self.running.pop(kind, None) is None:
            status = 6
        self.answers.append((CONTROL_UUID, bytes([0xF0, op, kind, status, 0]) + settings))

    def turn(self) -> list[tuple[str, bytes]]:
        if not self.subscribed(BATTERY_UUID):
            return []
        out, self.answers = self.answers, []
        for kind, first in self.running.items():
            if (first + N) / self.rate_hz > self.now_s:
                continue
            self.running[kind] = first + N
            t = EPOCH_2000_NS + round((first + N - 1) * 1e9 / self.rate_hz)
            numbers = first % 1000 + np.arange(N)
            bits = "".join(format(1 if axis == 0 else 0, "02b")[::-1] for _ in range(N - 1) for axis in range(3))
            bits += "0" * (-len(bits) % 8)
            deltas = bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))
            head = pack("<BQB3h", kind, t, 0x80, int(numbers[0]), 0, 0)
            out.append((DATA_UUID, head + bytes([2, N - 1]) + deltas))
        return out


@pytest.mark.parametrize("rate_hz", [52, 104])
async def test_it_streams_whole_and_again_after_a_disconnect(rate_hz: int) -> None:
    async with driver_bench(Verity, PolarDriver(rate_hz)) as b:
        await b.until(lambda: b.samples >= 20)
        await b.comes_at(rate_hz, within=0.4, seconds=1)  # twenty samples a message
        ticks = np.concatenate([x.t_dev_ticks for x in b.batches])
        np.testing.assert_allclose(np.diff(ticks), 1e9 / rate_hz, atol=3)
        acc = np.concatenate([x.acc_mps2[:, 0] for x in b.batches]) / GRAVITY_MPS2 * 4096
        gyr = np.degrees(np.concatenate([x.gyr_rps[:, 0] for x in b.batches])) * 32768 / 2000
        # Numbers begin anew at a message of either stream; elsewhere both count the same samples.
        counted = np.rint(ticks.astype(float) - EPOCH_2000_NS) * rate_hz / 1e9 % 1000
        usual = np.abs(acc - np.rint(counted)) < 0.01
        assert usual.mean() > 0.9
        assert np.abs((gyr - acc)[usual & (np.abs(gyr - acc) < 500)]).max() < 0.01
        await b.sensor.hang_up()
        have = b.samples
        await b.until(lambda: b.samples >= have + 20)
        starts = [value[:2].hex() for _, value in b.sensor.commands if value[0] == 2]
        assert starts == (["0205", "0202"] if rate_hz == 52 else ["0209", "0205", "0202"]) * 2
        assert [i.percent for i in b.items if isinstance(i, Battery)] == [58, 58]
        assert not [i for i in b.items if isinstance(i, Rejected)]
        assert b.session.stats.connections == 2
