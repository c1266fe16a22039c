"""Whether this machine's clock follows a time server, as the kernel itself says: part of `tiltline doctor`.

Records are dated by it. The sensors' clocks are mapped through the monotonic clock, so a step does no harm within a day; but a
clock that nobody sets drifts by seconds a day, and a Raspberry Pi starts without any.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

from sensor_gateway.health.finding import Finding

_TIMEX_BYTES: Final = 512
"""`struct timex` has 208 bytes on 64-bit Linux; all zero asks and changes nothing."""
_TIME_ERROR: Final = 5
_EARLIEST_UTC_S: Final = 1_735_689_600
"""2025-01-01: no machine that runs this is older."""


def kernel_says_synchronised() -> bool | None:
    """What adjtimex(2) returns; None where the system has no such call or forbids it."""
    if sys.platform != "linux":
        return None
    adjtimex = getattr(ctypes.CDLL(None, use_errno=True), "adjtimex", None)
    if adjtimex is None:
        return None
    state = int(adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    return None if state < 0 else state != _TIME_ERROR


def time_finding(utc_s: float, synchronised: bool | None) -> Finding:
    """The finding for a clock that shows ``utc_s`` (seconds since 1970)."""
    if utc_s < _EARLIEST_UTC_S:
        return Finding(
            "time", "problem", "this machine's clock shows a time long past", "set it: timedatectl set-ntp true"
        )
    if synchronised is None:
        return Finding("time", "note", "cannot see whether the clock follows a time server", "check: timedatectl")
    if not synchronised:
        return Finding(
            "time",
            "note",
            "the clock follows no time server",
            "timedatectl set-ntp true (or chrony); without a network, a clock with a battery",
        )
    return Finding("time", "ok", "the clock follows a time server")
