"""A virtual pelvis clip: the open profile on a simulated peripheral, with the faults a real clip has."""

from __future__ import annotations

from struct import unpack
from typing import ClassVar

import numpy as np
from bumble.att import ATT_Error

from sensor_gateway.drivers.open_profile import CONTROL_UUID, DATA_UUID, SERVICE_UUID, encode_frames
from tests.ble.support.peripheral import FIRMWARE_UUID, NOTIFY, SERIAL_UUID, WRITE, Peripheral

GRAVITY = np.array([0.0, 0.0, 9.80665])
REFUSED = 0x80


class Clip(Peripheral):
    """Streams after a start command, numbers its samples through, and notes what it sent."""

    services: ClassVar = {SERVICE_UUID: {DATA_UUID: [NOTIFY], CONTROL_UUID: [WRITE]}}
    information: ClassVar = {FIRMWARE_UUID: "1.4.2", SERIAL_UUID: "TL-0001"}
    keeps_s = 20.0
    start_cures_stall = False
    refuses_start = False

    def boot(self) -> None:
        self.streaming = False
        self.rate_hz, self.batch, self.acc_g, self.gyr_dps = 100, 10, 8, 1000
        self.sent: list[int] = []  # sequence number of each notification that left the clip, since it was switched on
        self._seq = 0
        self.turn_s = 0.1

    @property
    def commands(self) -> list[bytes]:
        """All commands so far."""
        return [value for _, value in self.writes]

    def connected(self) -> None:
        self.streaming = False

    def wrote(self, _name: str, value: bytes) -> None:
        if value[0] == 0:
            self.streaming = False
        elif value[0] == 1 and len(value) == 6 and not self.refuses_start:
            _, self.rate_hz, self.batch, self.acc_g, gyr = unpack("<BHBBB", value)
            self.gyr_dps = 125 * gyr
            self.turn_s = self.batch / self.rate_hz
            self.streaming = True
            self._seq = int(self.now_s * self.rate_hz)
            if self.start_cures_stall:
                self.stalled = False
        elif value[0] != 2 or len(value) != 9:  # a clip without a history passes a request for it over
            raise ATT_Error(REFUSED)

    def turn(self) -> list[tuple[str, bytes]]:
        """Samples are a count on the clip's own clock; what could not be sent for longer than ``keeps_s`` is gone."""
        now = int(self.now_s * self.rate_hz)
        if now - self._seq > self.keeps_s * self.rate_hz:
            self._seq = now - self.batch
        out = []
        while self.streaming and self._seq + self.batch <= now:
            out += [(DATA_UUID, frame) for frame in self.frames(self._seq)]
            self._seq += self.batch
        return out

    def frames(self, first: int) -> list[bytes]:
        """The notification of ``batch`` samples from number ``first``."""
        return encode_frames(
            first,
            first * 1e6 / self.rate_hz,
            np.tile(GRAVITY, (self.batch, 1)),
            np.zeros((self.batch, 3)),
            90,
            period_us=1e6 / self.rate_hz,
            batch=self.batch,
            acc_range_g=self.acc_g,
            gyr_range_dps=self.gyr_dps,
        )

    def left(self, payload: bytes) -> None:
        self.sent.append(int.from_bytes(payload[2:4], "little"))
