"""The one place that reads a clock; everything else is given a `Clock`, so that a day can be replayed in a minute."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Wall and monotonic time in nanoseconds, and a sleep that follows it."""

    def utc_ns(self) -> int: ...
    def mono_ns(self) -> int: ...
    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own clocks.

    ``mono_ns`` counts on while the machine sleeps, where the system has such a clock (Linux's CLOCK_BOOTTIME): the sensor
    goes on meanwhile, and a clock that stood still would date what follows too early by the length of the sleep.
    """

    def utc_ns(self) -> int:
        return time.time_ns()

    if hasattr(time, "CLOCK_BOOTTIME"):

        def mono_ns(self) -> int:
            return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    else:

        def mono_ns(self) -> int:
            return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def utc_ns_of(text: str) -> int:
    """An ISO 8601 date or time as UTC nanoseconds; without an offset it is UTC. Raises ValueError."""
    when = datetime.fromisoformat(text)
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return (when - _EPOCH) // timedelta(microseconds=1) * 1000
