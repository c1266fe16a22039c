"""A clock for tests in which minutes pass in seconds, while everything else runs as it does."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Iterator

LOOKS_EVERY_S = 0.05


class FastClock:
    """The gateway's clocks and pauses, ``speed`` times as fast as real ones.

    They count no more than ``standstill_s`` from one reading to the next. Where something reads them many times a second, that
    makes them stand still while the whole process does: at forty times the speed a machine that stops for a quarter of a
    second would be a sensor that is silent for ten, asked again for what it is just sending.
    """

    def __init__(self, speed: float, utc0_ns: int, standstill_s: float = 0.1) -> None:
        self._speed, self._utc0_ns, self._standstill_s = speed, utc0_ns, standstill_s
        self._passed_ns, self._lapse_ends_ns = 0.0, math.inf
        self._read_s = time.monotonic()
        self._lock = threading.Lock()

    def mono_ns(self) -> int:
        with self._lock:
            now_s = time.monotonic()
            real_ns = min(now_s - self._read_s, self._standstill_s) * 1e9
            self._passed_ns += min(real_ns * self._speed, max(real_ns, self._lapse_ends_ns - self._passed_ns))
            self._read_s = now_s
            return 10**12 + round(self._passed_ns)

    def utc_ns(self) -> int:
        return self._utc0_ns + self.mono_ns() - 10**12

    async def sleep(self, seconds: float) -> None:
        """Until these clocks say so, whatever their speed meanwhile."""
        ends_ns = self.mono_ns() + round(seconds * 1e9)
        while True:
            left_s = max(0, ends_ns - self.mono_ns()) / 1e9
            await asyncio.sleep(min(left_s / self._speed, LOOKS_EVERY_S))
            if self.mono_ns() >= ends_ns:
                return

    @contextlib.contextmanager
    def lapse(self, speed: float, until_utc_ns: float) -> Iterator[None]:
        """Another speed for a while, and at the most until then."""
        usual = self._speed
        self.mono_ns()
        self._speed, self._lapse_ends_ns = speed, until_utc_ns - self._utc0_ns
        try:
            yield
        finally:
            self.mono_ns()
            self._speed, self._lapse_ends_ns = usual, math.inf
