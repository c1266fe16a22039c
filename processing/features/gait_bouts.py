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
_IN_TURN: Final = (("left", "right"), ("right", "left"))


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


def walking_strides(
    steps: Sequence[Step], t_utc_ns: I64, anterior_tilt_deg: F64, obliquity_deg: F64, valid: Bool, rate_hz: float
) -> list[Stride]:
    """The strides of all `walking_bouts`, for those who ask for nothing else."""
    samples = _samples(t_utc_ns, anterior_tilt_deg, obliquity_deg, valid, rate_hz)
    return [stride for bout in _parted(steps) for stride in _strides(bout, samples)]


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

    def between(self, times: list[int]) -> _Spans:
        """What lies between each of ``times`` and the next."""
        at = np.searchsorted(self.t_utc_ns, times)
        tilt, obliquity = (_extremes(angle, at) for angle in self.angles)
        return _Spans(times, at.tolist(), tilt, obliquity, self.rate_hz)


def _extremes(values: F64, at: I64) -> tuple[list[float], list[float]]:
    """Least and greatest of the rows from each of ``at`` to the next; of none the infinities that any value replaces."""
    held = np.flatnonzero(at[1:] - at[:-1])
    least, greatest = np.full(len(at) - 1, math.inf), np.full(len(at) - 1, -math.inf)
    if len(held):
        least[held] = np.minimum.reduceat(values[: at[-1]], at[held])
        greatest[held] = np.maximum.reduceat(values[: at[-1]], at[held])
    return least.tolist(), greatest.tolist()


@dataclass(frozen=True, slots=True)
class _Spans:
    """The first sample from each of some times on, and the least and greatest angles from each of them to the next."""

    times: list[int]
    at: list[int]
    tilt_deg: tuple[list[float], list[float]]
    obliquity_deg: tuple[list[float], list[float]]
    rate_hz: float

    def ranges(self, i: int, j: int) -> SideRange | None:
        """From time i to time j; None where too few samples are valid."""
        seconds = (self.times[j] - self.times[i]) / NS_PER_S
        if self.at[j] - self.at[i] < max(2.0, _MIN_COVERAGE * seconds * self.rate_hz):
            return None
        tilt, obliquity = (max(high[i:j]) - min(low[i:j]) for low, high in (self.tilt_deg, self.obliquity_deg))
        return SideRange(tilt, obliquity, seconds)


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
    spans = samples.between([s.t_utc_ns for s in steps])
    strides = []
    for i in range(0, len(steps) - 2, 2):
        whole = spans.ranges(i, i + 2)
        if whole is None:
            continue
        first, then, last = steps[i].side, steps[i + 1].side, steps[i + 2].side
        left = right = None
        if (first, then) in _IN_TURN and last in (first, "unknown"):
            halves = spans.ranges(i, i + 1), spans.ranges(i + 1, i + 2)
            if None not in halves:
                left, right = halves if first == "left" else halves[::-1]
        strides.append(
            Stride(steps[i].t_utc_ns, whole.duration_s, whole.tilt_range_deg, whole.obliquity_range_deg, left, right)
        )
    return strides
