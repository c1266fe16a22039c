"""A day's strides, left against right, for the therapist's hint on asymmetry.

Steps come about a second after they happened, so the angles of the last minute are kept and read once a bout has ended or a
minute of it is full. A day is told a little after local midnight, when nothing of it can still be missing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from processing.features.gait import Step
from processing.features.gait_bouts import LEAST_STEPS, MDC_OBLIQUITY_ASYMMETRY_DEG, sided_obliquity_deg
from processing.rules.asymmetry import StrideDay
from processing.types import NS_PER_S, SecondBlock

PIECE_NS: Final = 60 * NS_PER_S
ENDED_NS: Final = 4 * NS_PER_S
"""A bout without a step for this long is over, the steps' own delay included."""
JOIN_NS: Final = 1_500_000_000
CLOSES_NS: Final = 90 * NS_PER_S
"""Longer than a piece of walking and its steps' delay."""
REDONNED: Final = 3.0
"""Known minimal detectable changes hold within one wearing; from one to the next they are two to four times as large."""
_MDC_MDEG: Final = round(1000 * REDONNED * MDC_OBLIQUITY_ASYMMETRY_DEG)
_BIN_MDEG: Final = 100


@dataclass(frozen=True, slots=True)
class DayDue:
    """A finished day, to be told with the second that contains ``t_utc_ns``."""

    t_utc_ns: int
    day: StrideDay


class StrideStage:
    """Params / state / update on seconds and the steps found in them."""

    def __init__(self, rate_hz: float, timezone: str) -> None:
        self._rate_hz, self._zone = rate_hz, ZoneInfo(timezone)
        self._steps: list[Step] = []
        self._joined = 1  # how many of them are known to be one piece of walking
        self._angles: list[list[Any]] = []  # t, tilt, obliquity, valid of recent blocks
        self._day: str | None = None
        self._ends_ns = 0
        self._strides = 0
        # Ranges in tenths of a degree -> how many, left and right.
        self._sides: list[Counter[int]] = [Counter(), Counter()]

    def update(self, block: SecondBlock, steps: list[Step]) -> list[DayDue]:
        """Days that ended before the end of ``block``."""
        self._steps += steps
        self._angles.append([block.t_utc_ns, block.anterior_tilt_deg, block.obliquity_deg, block.valid])
        now_ns = (int(block.second[-1]) + 1) * NS_PER_S
        due: list[DayDue] = []
        if self._day is None:
            self._begin(int(block.second[0]) * NS_PER_S)
        while now_ns > self._ends_ns + CLOSES_NS:
            self._read(self._ends_ns + CLOSES_NS)
            due += self._close()
            self._begin(self._ends_ns)
        self._read(now_ns)
        self._forget(now_ns)
        return due

    def _begin(self, t_utc_ns: int) -> None:
        local = datetime.fromtimestamp(t_utc_ns // NS_PER_S, UTC).astimezone(self._zone)
        midnight = datetime(local.year, local.month, local.day, tzinfo=self._zone) + timedelta(days=1)
        self._day, self._ends_ns = local.date().isoformat(), int(midnight.astimezone(UTC).timestamp()) * NS_PER_S
        self._strides, self._sides = 0, [Counter(), Counter()]

    def _close(self) -> list[DayDue]:
        assert self._day is not None
        if not (self._sides[0] and self._sides[1]):
            return []
        left, right = (_median(side) for side in self._sides)
        day = StrideDay(self._day, self._strides, left, right, _MDC_MDEG)
        return [DayDue(self._ends_ns + CLOSES_NS, day)]

    def _read(self, now_ns: int) -> None:
        """Count the strides of every piece of walking that is over at ``now_ns`` and belongs to the current day."""
        times = [step.t_utc_ns for step in self._steps]
        begin, end = 0, self._joined
        walks: list[list[Step]] = []
        while begin < len(times):
            first, last = times[begin], times[end - 1]
            while end < len(times) and times[end] - last <= JOIN_NS and times[end] - first <= PIECE_NS:
                last = times[end]
                end += 1
            over = end < len(times) or last + ENDED_NS < now_ns
            if not over or first >= self._ends_ns:
                break
            if end - begin >= LEAST_STEPS:
                walks.append(self._steps[begin:end])
            begin, end = end, end + 1
        self._steps, self._joined = self._steps[begin:], end - begin
        if walks:
            self._count(walks)

    def _count(self, walks: list[list[Step]]) -> None:
        """Count the strides of pieces of walking, all at once: what numpy costs a call is more than what it costs a step."""
        # As much as their strides may need.
        from_ns, to_ns = walks[0][0].t_utc_ns - NS_PER_S, walks[-1][-1].t_utc_ns + NS_PER_S
        around: list[list[Any]] = []
        for angles in self._angles:
            if angles[0][-1] >= from_ns and angles[0][0] < to_ns:
                lo, hi = angles[0].searchsorted((from_ns, to_ns)).tolist()
                around.append([x[lo:hi] for x in angles])
        if not around:
            return
        t, tilt, obliquity, valid = (x[0] if len(x) == 1 else np.concatenate(x) for x in zip(*around, strict=True))
        ranges_deg = sided_obliquity_deg(walks, t, tilt, obliquity, valid, self._rate_hz)
        self._strides += len(ranges_deg[0])
        for side, range_deg in zip(self._sides, ranges_deg, strict=True):
            side.update((np.rint(1000 * range_deg).astype(np.int64) // _BIN_MDEG).tolist())

    def _forget(self, now_ns: int) -> None:
        """Keep the angles that steps in hand, or steps still to come, may need."""
        oldest = min([s.t_utc_ns for s in self._steps[:1]] + [now_ns - ENDED_NS]) - NS_PER_S
        while self._angles and self._angles[0][0][-1] < oldest:
            del self._angles[0]

    def snapshot(self) -> dict[str, Any]:
        return {
            "steps": [[s.t_utc_ns, s.side, s.confidence] for s in self._steps],
            "angles": self._angles,
            "day": [self._day, self._ends_ns, self._strides],
            "sides": [sorted(side.items()) for side in self._sides],
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._steps, self._joined = [Step(*s) for s in state["steps"]], 1
        self._angles = [list(a) for a in state["angles"]]
        self._day, self._ends_ns, self._strides = state["day"]
        self._sides = [Counter(dict(side)) for side in state["sides"]]


def _median(counts: dict[int, int]) -> int:
    """Median of binned ranges [millidegrees]: the middle of its bin."""
    half, seen = sum(counts.values()) / 2, 0
    for tenths, n in sorted(counts.items()):
        seen += n
        if seen >= half:
            return tenths * _BIN_MDEG + _BIN_MDEG // 2
    raise ValueError("a day without strides has no median")
