"""Small shared pieces of the page's JSON: milliseconds, ages."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from processing.types import NS_PER_S

View: TypeAlias = dict[str, Any]
AHEAD_S: Final = 5.0  # a time further in the future is a clock fault, not fresh data


def ms(t_utc_ns: int) -> int:
    """Nanoseconds to whole milliseconds: a browser's numbers do not hold nanoseconds since 1970."""
    return t_utc_ns // 1_000_000


def age_s(now_ns: int, t_utc_ns: int) -> float:
    """Age in seconds; a clock up to `AHEAD_S` ahead counts as just now, further ahead as infinitely old."""
    age = (now_ns - t_utc_ns) / NS_PER_S
    return float("inf") if age < -AHEAD_S else max(0.0, age)
