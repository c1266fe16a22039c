"""A virtual clip with a history: the open profile, samples kept while away and sent again on request.

Its clock can run faster than the world's (``speed``), so that ten minutes out of range pass in seconds: then everything in
the gateway must take its times from the same clock (`FastClock`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from struct import unpack
from typing import ClassVar

import numpy as np

from processing.types import F64
from sensor_gateway.drivers.open_profile import (
    CONTROL_UUID,
    DATA_UUID,
    FLAG_KEEPS,
    FLAG_LATE,
    SERVICE_UUID,
    encode_end,
    encode_frames,
)
from tests.ble.support.air import Air
from tests.ble.support.peripheral import NOTIFY, WRITE, Peripheral
from tests.clocks import FastClock

PER_FRAME = 18  # 236 bytes: what fits an MTU of 247
RATE_HZ = 25.0  # a simulated radio at many times real speed is as busy as a real one with many sensors
PERIOD_US = 1e6 / RATE_HZ
Motion = Callable[[F64], tuple[F64, F64]]


class KeepingClip(Peripheral):
    """Measures from power-on, whoever listens; ``motion`` gives acceleration and rate at times since then [s]."""

    services: ClassVar = {SERVICE_UUID: {DATA_UUID: [NOTIFY], CONTROL_UUID: [WRITE]}}
    turn_s = 0.02
    keeps = 200_000  # samples

    def __init__(self, air: Air, address: str, clock: FastClock, motion: Motion) -> None:
        super().__init__(air, address)
        self.clock, self.motion = clock, motion
        self.boot_ns = clock.mono_ns()
        self.streaming = False
        self.number = 0  # of the next sample to be measured
        self.wanted: list[range] = []
        self.asked_s = 0.0  # real time of the last request

    def connected(self) -> None:
        self.streaming, self.wanted = False, []
        self.measure()  # what was measured while nobody listened is in the history only

    def measure(self) -> range:
        """Samples measured since the last time, in whole frames."""
        now = int((self.clock.mono_ns() - self.boot_ns) / 1e3 / PERIOD_US)
        first = self.number
        self.number += (now - first) // PER_FRAME * PER_FRAME
        return range(first, self.number)

    def leave(self) -> None:
        self.air.out_of_range.add(self.controller)
        self.air.supervision_timeout(self.controller)

    def come_back(self) -> None:
        self.air.out_of_range.discard(self.controller)

    def wrote(self, _name: str, value: bytes) -> None:
        if value[0] == 0:
            self.streaming, self.wanted = False, []
        elif value[0] == 1:
            self.streaming = True
        elif value[0] == 2:
            first, count = unpack("<II", value[1:])
            self.asked_s = time.monotonic()
            self.wanted.append(range(first, first + count))

    def frames(self, numbers: range, flags: int) -> list[bytes]:
        t_s = np.arange(numbers.start, numbers.stop) / RATE_HZ
        acc, gyr = self.motion(t_s)
        return encode_frames(
            numbers.start,
            numbers.start * PERIOD_US,
            acc,
            gyr,
            80,
            period_us=PERIOD_US,
            batch=PER_FRAME,
            flags=FLAG_KEEPS | flags,
        )

    def turn(self) -> list[tuple[str, bytes]]:
        out: list[bytes] = []
        fresh = self.measure()
        if self.streaming and self.subscribed(DATA_UUID):
            if len(fresh):
                out += self.frames(fresh, 0)
            if self.wanted:
                asked = self.wanted.pop(0)
                kept = range(max(asked.start, self.number - self.keeps), min(asked.stop, self.number))
                if kept:
                    out += self.frames(kept, FLAG_LATE)
                    out.append(encode_end(asked.stop))
        return [(DATA_UUID, frame) for frame in out]
