"""A Movesense sensor over a simulated radio: streams after a subscription, in two parts where a message is too long."""

from __future__ import annotations

from struct import pack
from typing import ClassVar

import numpy as np
import pytest

from sensor_gateway.drivers.base import Battery, Rejected
from sensor_gateway.drivers.movesense import NOTIFY_UUID, SERVICE_UUID, WRITE_UUID, MovesenseDriver
from tests.ble.support.bench import driver_bench
from tests.ble.support.peripheral import NOTIFY, WRITE, Peripheral

pytestmark = pytest.mark.anyio

LONGEST = 180  # bytes of a message that this sensor puts into one notification


class Movesense(Peripheral):
    """Thirteen messages a second of its own time; numbers its samples in the x axis."""

    services: ClassVar = {SERVICE_UUID: {WRITE_UUID: [WRITE], NOTIFY_UUID: [NOTIFY]}}
    turn_s = 1 / 13

    def boot(self) -> None:
        self.reference: int | None = None
        self.vectors = self.rate_hz = 0
        self.number = self.first = 0
        self.began_s = 0.0
        self.answers: list[bytes] = []

    def connected(self) -> None:
        self.reference = None

    def wrote(self, _name: str, value: bytes) -> None:
        op, reference, path = value[0], value[1], value[2:].decode()
        if op == 0:
            self.answers.append(bytes([1, reference, 1]) + b"174630000192\0Movesense\0")
        elif op == 1:
            _, _, stream, rate = path.split("/")
            self.reference, self.vectors, self.rate_hz = reference, {"IMU6": 2, "IMU9": 3}[stream], int(rate)
            self.began_s, self.first = self.now_s, self.number
            self.answers.append(bytes([1, reference]) + pack("<H", 200))
        elif op == 2:
            self.reference = None
            self.answers.append(bytes([1, reference]) + pack("<H", 200))
        elif op == 4:
            self.answers.append(bytes([1, reference]) + pack("<HB", 200, 72))

    def turn(self) -> list[tuple[str, bytes]]:
        out, self.answers = self.answers, []
        if self.reference is not None:
            n = self.rate_hz // 13
            acc = np.zeros((n, 3), "<f4")
            acc[:, 0] = (self.number + np.arange(n)) % 100
            self.number += n
            rest = np.zeros((n * (self.vectors - 1), 3), "<f4")
            # The sensor dates by its samples, however late a busy host lets it speak.
            at_s = self.began_s + (self.number - n - self.first) / self.rate_hz
            message = pack("<I", round(at_s * 1000)) + acc.tobytes() + rest.tobytes()
            out.append(bytes([2, self.reference]) + message[:LONGEST])
            if len(message) > LONGEST:
                out.append(bytes([3, self.reference]) + message[LONGEST:])
        return [(NOTIFY_UUID, payload) for payload in out]


@pytest.mark.parametrize(("rate_hz", "stream"), [(52, "IMU6"), (104, "IMU9")])
async def test_it_streams_whole_and_again_after_a_disconnect(rate_hz: int, stream: str) -> None:
    async with driver_bench(Movesense, MovesenseDriver(rate_hz, stream)) as b:
        await b.until(lambda: b.samples >= 20)
        await b.comes_at(rate_hz, within=0.25, seconds=1)
        numbers = np.concatenate([x.acc_mps2[:, 0] for x in b.batches])
        assert np.all(np.diff(numbers) % 100 == 1)
        ticks = np.concatenate([x.t_dev_ticks for x in b.batches])
        assert np.all(np.diff(ticks) > 0)
        await b.sensor.hang_up()
        have = b.samples
        await b.until(lambda: b.samples >= have + 20)
        paths = [value[2:].decode() for _, value in b.sensor.commands if value[0] == 1]
        assert paths == [f"/Meas/{stream}/{rate_hz}"] * 2
        assert [i.percent for i in b.items if isinstance(i, Battery)] == [72, 72]
        assert not [i for i in b.items if isinstance(i, Rejected)]
        assert b.session.stats.connections == 2
