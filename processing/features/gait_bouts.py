"""What walking looks like: strides and bouts from steps and the pelvis' angles. A pure function after `gait.py`.

A stride is two steps, from one contact to the next of the same foot; ranges are maximum less minimum within it. "While the
left leg bears the weight" means from the left contact to the right one. Asymmetry is right less left: a hint, no diagnosis.

How large a difference must be to be more than measurement error is known from walks cut in halves of 45 s (38 people, waist,
same wearing of the sensor): the minimal detectable changes below (1.96 * sqrt(2) * SEM, the larger of those found).
From one wearing to the next, expect two to four times as much.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from processing.features.gait import Step
from processing.types import F64, I64, NS_PER_S, Bool

MDC_SECONDS: Final = 45.0
"""Length of walking for which the minimal detectable changes hold."""
MDC_TILT_RANGE_DEG: Final = 0.94
MDC_OBLIQUITY_RANGE_DEG: Final = 1.35
MDC_TILT_ASYMMETRY_DEG: Final = 0.89
MDC_OBLIQUITY_ASYMMETRY_DEG: Final = 0.53
MDC_STEP_TIME_ASYMMETRY_PERCENT: Final = 4.3
MDC_CADENCE_PER_MIN: Final = 12.5  # true changes of pace are in it

_MAX_STEP_S: Final = 1.5
LEAST_STEPS: Final = 4
"""Fewer in a row are no bout."""
_MIN_COVERAGE: Final = 0.8
_MIN_SIDED: Final = 3
"""Strides with both sides known from which an asymmetry is given at all."""
_LEFT, _RIGHT, _UNKNOWN = 0, 1, 3
_SIDE: Final = {"left": _LEFT, "right": _RIGHT, "unknown": _UNKNOWN}
"""In a sum of two sides only left and right give 1."""


@dataclass(frozen=True, slots=True)
class SideRange:
    """While one leg bears the weight: ranges [deg] and how long until the other foot lands [s]."""

    tilt_range_deg: float
    obliquity_range_deg: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Stride:
    """Two steps from ``t_utc_ns`` on; ``left`` and ``right`` are None where the sides are not known."""

    t_utc_ns: int
    duration_s: float
    tilt_range_deg: float
    obliquity_range_deg: float
    left: SideRange | None
    right: SideRange | None


@dataclass(frozen=True, slots=True)
class WalkingBout:
    """Steps that follow each other within 1.5 s, four or more. Ranges are medians over strides; asymmetries are the median over
    strides of right less left: ranges [deg], and time the leg bears the weight [% of their mean].
    """

    start_utc_ns: int
    end_utc_ns: int
    steps: int
    cadence_per_min: float
    strides: tuple[Stride, ...]
    tilt_range_deg: float | None
    obliquity_range_deg: float | None
    tilt_asymmetry_deg: float | None
    obliquity_asymmetry_deg: float | None
    step_time_asymmetry_percent: float | None

    def mdc_factor(self) -> float:
        """By how much the minimal detectable changes grow for a bout shorter than `MDC_SECONDS` (errors of strides taken as
        independent: with the square root of the length).
        """
        seconds = (self.end_utc_ns - self.start_utc_ns) / NS_PER_S
        return max(1.0, math.sqrt(MDC_SECONDS / seconds))


def walking_bouts(
    steps: Sequence[Step], t_utc_ns: I64, anterior_tilt_deg: F64, obliquity_deg: F64, valid: Bool, rate_hz: float
) -> list[WalkingBout]:
    """Bouts in ``steps`` (in order of time), with the samples (n,) that cover them; a stride with fewer than 80 % valid samples
    is left out.
    """
    samples = _samples(t_utc_ns, anterior_tilt_deg, obliquity_deg, valid, rate_hz)
    return [_bout(bout, samples) for bout in _parted(steps)]


def sided_obliquity_deg(
    walks: Sequence[Sequence[Step]],
    t_utc_ns: I64,
    anterior_tilt_deg: F64,
    obliquity_deg: F64,
    valid: Bool,
    rate_hz: float,
) -> tuple[F64, F64]:
    """Ranges of obliquity (k,) while the left and while the right leg bears the weight, of those strides of ``walks`` whose sides are
    known; for those who ask for nothing else of many walks at once. A walk is a bout of `walking_bouts`, or a part of one.
    """
    use = valid & np.isfinite(anterior_tilt_deg)
    if not use.all():
        t_utc_ns, obliquity_deg = t_utc_ns[use], obliquity_deg[use]
    steps = [step for walk in walks for step in walk]
    spans = _spans(steps, t_utc_ns, rate_hz)
    begins, end = np.zeros(len(steps) - 2, dtype=np.bool_), 0
    for walk in walks:
        begins[end : end + len(walk) - 2 : 2] = True
        end += len(walk)
    at = np.flatnonzero(begins & spans.sided())
    low, high = spans.extremes(obliquity_deg)
    ranges = high - low
    one, other, left_first = ranges[at], ranges[at + 1], spans.sides[at] == _LEFT
    return np.where(left_first, one, other), np.where(left_first, other, one)


def _parted(steps: Sequence[Step]) -> list[Sequence[Step]]:
    """Steps cut where they pause; what is too short left out."""
    longest = _MAX_STEP_S * NS_PER_S
    pauses = [i for i in range(1, len(steps)) if steps[i].t_utc_ns - steps[i - 1].t_utc_ns > longest]
    return [steps[a:b] for a, b in pairwise([0, *pauses, len(steps)]) if b - a >= LEAST_STEPS]


@dataclass(frozen=True, slots=True)
class _Samples:
    t_utc_ns: I64
    angles: tuple[F64, F64]
    rate_hz: float


@dataclass(frozen=True, slots=True)
class _Spans:
    """What lies between k steps: their times, sides and the first sample from each on (k,), and from which of them on enough samples
    are valid until the next step (``half``, k - 1) and until the one after it (``whole``, k - 2).
    """

    times: I64
    sides: I64
    at: I64
    half: Bool
    whole: Bool

    def sided(self) -> Bool:
        """Whether it is known which leg bore the weight in either half of the stride from each step (k - 2,)."""
        first, then, last = self.sides[:-2], self.sides[1:-1], self.sides[2:]
        in_turn = (first + then == _LEFT + _RIGHT) & ((last == first) | (last == _UNKNOWN))
        found: Bool = in_turn & self.whole & self.half[:-1] & self.half[1:]
        return found

    def extremes(self, values: F64) -> tuple[F64, F64]:
        """Least and greatest of ``values`` from each step to the next; of none the infinities that any value replaces."""
        at = self.at
        held = np.flatnonzero(at[1:] - at[:-1])
        least, greatest = np.full(len(at) - 1, math.inf), np.full(len(at) - 1, -math.inf)
        if len(held):
            least[held] = np.minimum.reduceat(values[: at[-1]], at[held])
            greatest[held] = np.maximum.reduceat(values[: at[-1]], at[held])
        return least, greatest


def _spans(steps: Sequence[Step], t_utc_ns: I64, rate_hz: float) -> _Spans:
    of_steps, sides, _ = zip(*steps, strict=True)
    times = np.array(of_steps)
    at = t_utc_ns.searchsorted(times)

    def covered(k: int) -> Bool:
        seconds = (times[k:] - times[:-k]) / NS_PER_S
        found: Bool = at[k:] - at[:-k] >= np.maximum(2.0, _MIN_COVERAGE * seconds * rate_hz)
        return found

    return _Spans(times, np.array([_SIDE[side] for side in sides]), at, covered(1), covered(2))


def _samples(t_utc_ns: I64, anterior_tilt_deg: F64, obliquity_deg: F64, valid: Bool, rate_hz: float) -> _Samples:
    use = valid & np.isfinite(anterior_tilt_deg)
    if use.all():
        return _Samples(t_utc_ns, (anterior_tilt_deg, obliquity_deg), rate_hz)
    return _Samples(t_utc_ns[use], (anterior_tilt_deg[use], obliquity_deg[use]), rate_hz)


def _bout(steps: Sequence[Step], samples: _Samples) -> WalkingBout:
    times = [s.t_utc_ns for s in steps]
    interval_s = float(np.median(np.diff(np.array(times)))) / NS_PER_S
    strides = _strides(steps, samples)
    pairs = [(s.left, s.right) for s in strides if s.left is not None and s.right is not None]

    def asymmetry(of: Callable[[SideRange, SideRange], float]) -> float | None:
        return float(np.median([of(left, right) for left, right in pairs])) if len(pairs) >= _MIN_SIDED else None

    return WalkingBout(
        times[0],
        times[-1],
        len(steps),
        60.0 / interval_s,
        tuple(strides),
        float(np.median([s.tilt_range_deg for s in strides])) if strides else None,
        float(np.median([s.obliquity_range_deg for s in strides])) if strides else None,
        asymmetry(lambda left, right: right.tilt_range_deg - left.tilt_range_deg),
        asymmetry(lambda left, right: right.obliquity_range_deg - left.obliquity_range_deg),
        asymmetry(
            lambda left, right: 200.0 * (right.duration_s - left.duration_s) / (right.duration_s + left.duration_s)
        ),
    )


def _strides(steps: Sequence[Step], samples: _Samples) -> list[Stride]:
    spans = _spans(steps, samples.t_utc_ns, samples.rate_hz)
    tilt, obliquity = ([x.tolist() for x in spans.extremes(angle)] for angle in samples.angles)
    times, sided = spans.times.tolist(), spans.sided()

    def ranges(i: int, j: int) -> SideRange:
        of_tilt, of_obliquity = (max(high[i:j]) - min(low[i:j]) for low, high in (tilt, obliquity))
        return SideRange(of_tilt, of_obliquity, (times[j] - times[i]) / NS_PER_S)

    strides = []
    for i in range(0, len(steps) - 2, 2):
        if not spans.whole[i]:
            continue
        left = right = None
        if sided[i]:
            halves = ranges(i, i + 1), ranges(i + 1, i + 2)
            left, right = halves if steps[i].side == "left" else halves[::-1]
        whole = ranges(i, i + 2)
        strides.append(Stride(times[i], whole.duration_s, whole.tilt_range_deg, whole.obliquity_range_deg, left, right))
    return strides
