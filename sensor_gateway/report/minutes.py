"""What minutes come to: main posture, tilt in a posture, the wearer's own range, a local day. The page and the reports share it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from processing.types import NS_PER_S, POSTURES, Epoch
from sensor_gateway.sinks.records import UPRIGHT, Minute

RANGE_MIN_MINUTES: Final = 60
RANGE_DAYS: Final = 14
COMPARED: Final = ("standing", "walking", "sitting")
TILT_MIN_MINUTES: Final = 10
"""Fewer minutes in a posture say too little about a day."""
UPRIGHT_MIN_S: Final = 31
WORN: Final = tuple(p for p in POSTURES if p != "not_worn")


@dataclass(frozen=True, slots=True)
class OwnRange:
    """Where this wearer's upright minutes usually lie: 10th and 90th percentile of their medians [deg]."""

    low_deg: float
    high_deg: float
    minutes: int


@dataclass(frozen=True, slots=True)
class PostureTilt:
    """Tilt in one posture, from the medians of the minutes mostly spent in it; relative to the neutral [deg]."""

    posture: str
    minutes: int
    median_deg: float
    p10_deg: float
    p90_deg: float


def in_short(epoch: Epoch) -> Minute:
    """As `Store.minutes` gives it."""
    worn_s, upright_s = (sum(getattr(epoch, f"{p}_s") for p in of) for of in (WORN, UPRIGHT))
    return main_posture(epoch), epoch.tilt_median_deg, worn_s, upright_s


def tilt_in(posture: str, minutes: Iterable[Minute]) -> PostureTilt | None:
    """None where fewer than `TILT_MIN_MINUTES` minutes were mostly spent in the posture."""
    found = [tilt for mostly, tilt, _, _ in minutes if mostly == posture and tilt is not None]
    if len(found) < TILT_MIN_MINUTES:
        return None
    p10, median, p90 = np.percentile(np.asarray(found), [10, 50, 90])
    return PostureTilt(posture, len(found), float(median), float(p10), float(p90))


def upright_medians(minutes: Iterable[Minute]) -> list[float]:
    """Medians of the minutes spent mostly on the feet: sitting and lying have other tilts and would blur them."""
    return [tilt for _, tilt, _, upright_s in minutes if upright_s >= UPRIGHT_MIN_S and tilt is not None]


def own_range(minutes: Iterable[Minute]) -> OwnRange | None:
    """The wearer's usual range, or None while fewer than an hour of upright minutes is known."""
    medians = upright_medians(minutes)
    if len(medians) < RANGE_MIN_MINUTES:
        return None
    low, high = np.percentile(np.asarray(medians), [10, 90])
    return OwnRange(round(float(low), 2), round(float(high), 2), len(medians))


def day_bounds_ns(day: date, zone: ZoneInfo) -> tuple[int, int]:
    """Local midnight to the next, UTC ns; 23 to 25 hours where the clocks change."""
    t0, t1 = (datetime(d.year, d.month, d.day, tzinfo=zone).astimezone(UTC) for d in (day, day + timedelta(days=1)))
    return int(t0.timestamp()) * NS_PER_S, int(t1.timestamp()) * NS_PER_S


def main_posture(epoch: Epoch) -> str | None:
    """The posture of most of the minute; None where nothing was received."""
    seconds = [getattr(epoch, f"{p}_s") for p in POSTURES]
    return POSTURES[seconds.index(max(seconds))] if any(seconds) else None
