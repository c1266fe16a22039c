"""The wearer's own habit per posture, and the threshold that follows from it.

Eligible epochs are counted per local day. At local midnight the days with enough of a posture are pooled into a median
and a median absolute deviation (MAD), which then stand unchanged, under a version id, until the next midnight.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final, TypeAlias

from processing.rules.base import Limits, LocalClock
from processing.rules.study import Study
from processing.types import Json

BIN_MDEG: Final = 100
"""Tilts are counted in tenths of a degree: far finer than the sensor, and a day stays a few hundred numbers."""

Histogram: TypeAlias = dict[int, int]


@dataclass(frozen=True, slots=True)
class Threshold:
    """Where a posture's tilt counts as above [mdeg], why (therapist, neutral, personal, personal_capped), and from what."""

    on_mdeg: int
    source: str
    median_mdeg: int | None = None
    mad_mdeg: int | None = None
    days: int = 0

    def as_json(self) -> dict[str, Json]:
        """Plain JSON; the personal numbers are null where there are none."""
        return {
            "on_mdeg": self.on_mdeg,
            "source": self.source,
            "median_mdeg": self.median_mdeg,
            "mad_mdeg": self.mad_mdeg,
            "days": self.days,
        }


@dataclass(frozen=True, slots=True)
class ClosedDay:
    """A local day that has just ended, at epoch ``end_k``: its own median [mdeg] and eligible epochs per posture.

    ``moved_mdeg`` is how far the personal median now stands from where the first one stood.
    """

    day: str
    end_k: int
    medians_mdeg: Mapping[str, int]
    epochs: Mapping[str, int]
    moved_mdeg: Mapping[str, int]


class Baselines:
    """Days of eligible epochs, and the thresholds frozen at the last local midnight before the newest of them."""

    def __init__(self, study: Study) -> None:
        self._limits = Limits.of(study.tilt)
        self._clock = LocalClock(study.timezone)
        self._day = ""
        self._day_end = -(1 << 62)
        self._today: dict[str, Histogram] = {}
        self._days: dict[str, list[tuple[str, Histogram]]] = {}
        self._first_mdeg: dict[str, int] = {}  # each posture's first personal median: a slow drift is told against it
        self._closed: ClosedDay | None = None
        self.version: str | None = None
        self.thresholds: dict[str, Threshold] = {}
        self._freeze()

    def add(self, k: int, posture: str, tilt_mdeg: int) -> None:
        """Count one eligible epoch; the first of a new local day freezes the days before it."""
        if k >= self._day_end:
            self._close_day()
            self._day, self._day_end = self._clock.day(k), self._clock.day_end(k)
        counts = self._today.setdefault(posture, {})
        tenth = (tilt_mdeg + BIN_MDEG // 2) // BIN_MDEG
        counts[tenth] = counts.get(tenth, 0) + 1

    def _close_day(self) -> None:
        for posture, counts in sorted(self._today.items()):
            if sum(counts.values()) >= self._limits.baseline_min_epochs:
                days = self._days.setdefault(posture, [])
                days.append((self._day, counts))
                del days[: -self._limits.baseline_max_days]
        today, self._today = self._today, {}
        self._freeze()
        if today:
            medians = {posture: median_and_mad(counts)[0] for posture, counts in sorted(today.items())}
            epochs = {posture: sum(counts.values()) for posture, counts in sorted(today.items())}
            self._closed = ClosedDay(self._day, self._day_end, medians, epochs, self._moved())

    def take_closed(self) -> ClosedDay | None:
        """The day that `add` has just closed, once."""
        closed, self._closed = self._closed, None
        return closed

    def _moved(self) -> dict[str, int]:
        moved = {}
        for posture, found in self.thresholds.items():
            if found.median_mdeg is not None:
                moved[posture] = found.median_mdeg - self._first_mdeg.setdefault(posture, found.median_mdeg)
        return moved

    def _freeze(self) -> None:
        self.thresholds = {posture: self._threshold(posture) for posture in self._limits.postures}
        personal = {
            p: [t.median_mdeg, t.mad_mdeg, t.days] for p, t in self.thresholds.items() if t.median_mdeg is not None
        }
        self.version = None
        if personal:
            digest = hashlib.sha256(json.dumps([self._day, personal], sort_keys=True).encode()).hexdigest()
            self.version = f"{self._day}.{digest[:8]}"

    def _threshold(self, posture: str) -> Threshold:
        limits = self._limits
        days = self._days.get(posture, [])
        median = mad = None
        if len(days) >= limits.baseline_min_days:
            median, mad = median_and_mad(pool(counts for _, counts in days))
        return decide_threshold(limits, posture, median, mad, len(days))

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        return {
            "day": self._day,
            "day_end": self._day_end,
            "today": {posture: sorted(counts.items()) for posture, counts in sorted(self._today.items())},
            "days": {p: [[day, sorted(counts.items())] for day, counts in days] for p, days in self._days.items()},
            "first": dict(self._first_mdeg),
            "frozen": [self.version, {p: t.as_json() for p, t in self.thresholds.items()}],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a `snapshot`. Thresholds frozen under other limits are drawn anew from the same days."""
        self._day, self._day_end = state["day"], state["day_end"]
        self._today = {posture: dict(counts) for posture, counts in state["today"].items()}
        self._days = {p: [(day, dict(c)) for day, c in days] for p, days in state["days"].items()}
        self._first_mdeg = dict(state["first"])
        self._closed = None
        self.version, frozen = state["frozen"]
        self.thresholds = {}
        for posture in self._limits.postures:
            was = frozen.get(posture, {"median_mdeg": None, "mad_mdeg": None, "days": 0})
            self.thresholds[posture] = decide_threshold(
                self._limits, posture, was["median_mdeg"], was["mad_mdeg"], was["days"]
            )

    def copy(self, study: Study) -> Baselines:
        """An independent copy under ``study``: two stages that count the same epochs must not share one."""
        twin = Baselines(study)
        twin.restore(self.snapshot())
        return twin


def decide_threshold(limits: Limits, posture: str, median: int | None, mad: int | None, days: int) -> Threshold:
    """The therapist's limit, else neutral + floor, else the habit's upper edge, which the cap bounds."""
    therapist = limits.therapist_mdeg.get(posture)
    if therapist is not None:
        return Threshold(therapist, "therapist", median, mad, days)
    if median is None or mad is None:
        return Threshold(limits.floor_mdeg, "neutral", None, None, days)
    habit = median + mad * limits.mad_ppm // 1_000_000
    if habit <= limits.floor_mdeg:
        return Threshold(limits.floor_mdeg, "neutral", median, mad, days)
    if habit <= limits.cap_mdeg:
        return Threshold(habit, "personal", median, mad, days)
    return Threshold(limits.cap_mdeg, "personal_capped", median, mad, days)


def pool(histograms: Iterable[Histogram]) -> Histogram:
    """Add up histograms."""
    total: Histogram = {}
    for counts in histograms:
        for tenth, n in counts.items():
            total[tenth] = total.get(tenth, 0) + n
    return total


def median_and_mad(counts: Histogram) -> tuple[int, int]:
    """Median and MAD [mdeg] of a non-empty histogram; of an even count the lower of the two middle values."""
    median = _median(counts) * BIN_MDEG
    away: Histogram = {}
    for tenth, n in counts.items():
        distance = abs(tenth * BIN_MDEG - median)
        away[distance] = away.get(distance, 0) + n
    return median, _median(away)


def _median(counts: Histogram) -> int:
    values = sorted(counts)
    half = (sum(counts.values()) + 1) // 2
    return next(v for v, reached in zip(values, accumulate(counts[v] for v in values), strict=True) if reached >= half)
