"""`asymmetry`: in walking, the pelvis moves differently to the left and to the right, on most of the last days.

A hint for the therapist and nothing else: it never prompts, it names no cause, and one clip on the pelvis could not know
one. Days come as summaries of their strides; the personal part compares a day with the days before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median_low
from typing import Any, Final, NamedTuple

from processing.rules.base import EPOCH_NS, MAD_TO_SD_PPM, LocalClock
from processing.rules.emit import Emitter
from processing.rules.study import Study
from processing.types import Json

ASYMMETRY: Final = "asymmetry"


@dataclass(frozen=True, slots=True)
class StrideDay:
    """Strides of one local day (YYYY-MM-DD), walking only.

    ``left_range_mdeg`` and ``right_range_mdeg`` are the medians over the day's strides of how far the pelvis moves in
    obliquity while the left or the right leg bears the weight [millidegrees]; ``mdc_mdeg`` is the smallest difference
    between them that can be told from measurement error (0: not known).
    """

    day: str
    strides: int
    left_range_mdeg: int
    right_range_mdeg: int
    mdc_mdeg: int = 0


class _Judged(NamedTuple):
    """A day with enough strides: its difference against the limit that the days before it gave."""

    day: str
    strides: int
    difference_mdeg: int
    mdc_mdeg: int
    limit_mdeg: int


class Asymmetry:
    """The days so far, and whether the hint may be given again."""

    def __init__(self, study: Study, emitter: Emitter) -> None:
        rule = study.asymmetry
        self._rule = rule
        self._clock = LocalClock(study.timezone)
        self._emitter = emitter
        self._floor_mdeg = round(rule.min_difference_deg * 1000)
        self._mad_ppm = round(rule.mad_factor * MAD_TO_SD_PPM)
        self._days: list[_Judged] = []
        self._newest = ""
        self._armed = True

    def update(self, days: Sequence[StrideDay]) -> None:
        """Take finished local days in order; one that is not after the newest is known already and changes nothing.

        Raises ValueError where a day is not a date.
        """
        for day in days:
            on = date.fromisoformat(day.day)
            if self._rule.enabled and day.day > self._newest:
                self._newest = day.day
                self._judge(on, day)

    def _judge(self, on: date, day: StrideDay) -> None:
        rule = self._rule
        if day.strides >= rule.min_strides:
            difference = day.left_range_mdeg - day.right_range_mdeg
            limit = max(self._floor_mdeg, day.mdc_mdeg, self._habit_mdeg())
            self._days.append(_Judged(day.day, day.strides, difference, day.mdc_mdeg, limit))
            self._tell_day(on, day, limit)
            del self._days[: -(rule.baseline_max_days + rule.days_window)]
        first = (on - timedelta(days=rule.days_window - 1)).isoformat()
        recent = [d for d in self._days if d.day >= first]
        over = [d for d in recent if abs(d.difference_mdeg) > d.limit_mdeg]
        if len(over) < rule.days_over:
            self._armed = True
        elif self._armed:
            self._armed = False
            self._hint(on, first, recent, over)

    def _tell_day(self, on: date, day: StrideDay, limit_mdeg: int) -> None:
        """The day as it was judged, hint or none: a therapist looks at weeks."""
        left, right, mdc = day.left_range_mdeg / 1000, day.right_range_mdeg / 1000, day.mdc_mdeg / 1000
        told = f"at least {mdc:.1f}° can be told" if day.mdc_mdeg else "what can be told is not known"
        data: dict[str, Json] = {
            "day": day.day,
            "strides": day.strides,
            "left_range_deg": left,
            "right_range_deg": right,
            "difference_deg": (day.left_range_mdeg - day.right_range_mdeg) / 1000,
            "mdc_deg": mdc if day.mdc_mdeg else None,
            "limit_deg": limit_mdeg / 1000,
            "text": f"{day.strides} strides: sideways movement {left:.1f}° left, {right:.1f}° right; {told}.",
        }
        end_ns = self._clock.day_start(on + timedelta(days=1)) * EPOCH_NS
        self._emitter.emit(end_ns, "strides", ASYMMETRY, data)

    def _habit_mdeg(self) -> int:
        """The usual difference and its spread, of the days so far; 0 while there are too few."""
        usual = [abs(d.difference_mdeg) for d in self._days[-self._rule.baseline_max_days :]]
        if len(usual) < self._rule.baseline_min_days:
            return 0
        median = median_low(usual)
        mad = median_low([abs(u - median) for u in usual])
        return median + mad * self._mad_ppm // 1_000_000

    def _hint(self, on: date, first: str, recent: Sequence[_Judged], over: Sequence[_Judged]) -> None:
        rule = self._rule
        start_k = self._clock.day_start(date.fromisoformat(first))
        end_ns = self._clock.day_start(on + timedelta(days=1)) * EPOCH_NS
        worst = max(over, key=lambda d: abs(d.difference_mdeg))
        data: dict[str, Json] = {
            "audience": "therapist",
            "value": len(over),
            "limit": rule.days_over,
            "unit": "days",
            "text": (
                f"In walking, the sideways movement of the pelvis differed between left and right by up to "
                f"{abs(worst.difference_mdeg) / 1000:.1f}° (limit {worst.limit_mdeg / 1000:.1f}°) on {len(over)} of the "
                f"last {rule.days_window} days. One clip cannot say why; compare it with what you see."
            ),
            "window": {"start_utc_ns": start_k * EPOCH_NS, "end_utc_ns": end_ns},
            "limits": {
                "floor_mdeg": self._floor_mdeg,
                "mad_ppm": self._mad_ppm,
                "min_strides": rule.min_strides,
                "days_over": rule.days_over,
                "days_window": rule.days_window,
                "baseline_min_days": rule.baseline_min_days,
                "baseline_max_days": rule.baseline_max_days,
            },
            "quality": {"days": len(recent), "least_strides": min(d.strides for d in recent)},
            "from_day": first,
            "to_day": on.isoformat(),
            "days": [list(d) for d in self._days],
        }
        self._emitter.emit(end_ns, "hint", ASYMMETRY, data)

    def snapshot(self) -> dict[str, Any]:
        """State as plain JSON."""
        return {"days": [list(d) for d in self._days], "newest": self._newest, "armed": self._armed}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a `snapshot`; days keep the limits they were judged by."""
        self._days = [_Judged(*d) for d in state["days"]]
        self._newest, self._armed = state["newest"], state["armed"]
