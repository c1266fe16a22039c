"""Whether a whole session is one clock that only ever went on: then its batches need not be judged one by one.

Used by `retro_clock`. `Timebase` decides batch by batch, and a day has nearly a million. What it would decide of a session without
restarts, repetitions and leaps can be known beforehand, for all batches at once: each one is the next of the one epoch. What is
checked here is sufficient, not necessary; where it does not hold, or cannot be told, the timebase is asked.

Why it suffices. The timebase sees a restart where a batch lies more than `reset_s` off its line. The line is of height v - s * u at
some batch (u, v) that it remembers, and s is the slope of the edge under the middle of what it remembers. Let all v lie
within R of a straight line of slope s0, and the memory reach over S: a line under points of that band, which touches it in the
middle, differs from s0 by 2 R / S at most. So the next batch, G later, is off by no more than R (3 + 2 (G + 1 s) / S).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from processing.clock_notes import TimebaseParams
from processing.timebase import LEAST_SPACING_NS
from processing.types import F64, I64, ImuBatch, ImuStretch

_OFF_SHARE: Final = 0.8  # of `reset_s`
_RATE_MOST: Final = 0.02
_UNSURE_S: Final = 20.0  # what the line may not yet, or no longer, remember at either end: held batches and a block
_YOUNG_S: Final = 60.0  # so long a line may hold its first batches and have no slope of its own


class NotSteady(Exception):  # noqa: N818 - an answer, not an error: the timebase has to be asked
    """A session that the timebase has to judge batch by batch."""


class Continued:
    """Counts of batches that continue each other, over a counter's wraps. Raises `NotSteady` where one does not."""

    def __init__(self, params: TimebaseParams, tick_ns: int, wrap: int) -> None:
        self._p = params
        self._tick_ns, self._wrap, self._least = tick_ns, wrap, -(-LEAST_SPACING_NS // tick_ns)
        self._last: tuple[int, int] | None = None  # count of the newest sample, its arrival

    def counts(self, stretch: ImuStretch) -> tuple[I64, I64, I64]:
        """Count of every sample; and of each batch's first and last. The stretch holds no empty batch."""
        ticks, rx = stretch.t_dev_ticks, stretch.rx_mono_ns
        ends = np.cumsum(stretch.sizes)
        starts = ends - stretch.sizes
        before, rx_before = self._last or (int(ticks[0]) - self._least, int(rx[0]))
        steps = np.diff(ticks, prepend=before)
        if self._wrap:
            steps %= self._wrap
        gaps = np.diff(rx, prepend=rx_before)
        between = steps[starts]
        # The same count whatever slope the line may have: the arrivals tell it to well within half a wrap.
        passed = gaps / self._tick_ns
        unsure = self._wrap and (np.abs(between - passed) + 2 * self._p.slope_limit * passed >= self._wrap / 4).any()
        half = self._wrap // 2  # a greater step within a batch is one back
        back = half and np.count_nonzero(steps > half) > np.count_nonzero(between > half)
        if unsure or back or (gaps < 0).any() or (steps < self._least).any():
            raise NotSteady
        counts = before + np.cumsum(steps)
        self._last = int(counts[-1]), int(rx[-1])
        return counts, counts[starts], counts[ends - 1]


def joined(batches: Sequence[ImuBatch]) -> ImuStretch | None:
    """Batches as one stretch; None where there is no sample."""
    batches = [b for b in batches if len(b.t_dev_ticks)]
    if not batches:
        return None
    return ImuStretch(
        np.concatenate([b.t_dev_ticks for b in batches]),
        np.array([len(b.t_dev_ticks) for b in batches]),
        np.array([b.rx_mono_ns for b in batches]),
        np.array([b.rx_utc_ns for b in batches]),
        np.concatenate([b.acc_mps2 for b in batches]),
        np.concatenate([b.gyr_rps for b in batches]),
    )


def surely_one_epoch(params: TimebaseParams, u: F64, v: F64) -> bool:
    """Whether no batch lies so far off any line the timebase could have that a restart would be seen (see the module).

    ``u`` (n,) device time of each batch's last sample, rising; ``v`` (n,) arrival minus device time [s].
    """
    span = float(u[-1] - u[0])
    rate = float(v[-1] - v[0]) / span if span > _YOUNG_S else 0.0
    off = v - rate * u
    band = float(off.max() - off.min())
    gap = np.diff(u)
    memory = params.window_s - params.block_s
    reach = u[:-1] - u[np.searchsorted(u, u[:-1] - memory)] - _UNSURE_S
    line = band * (3.0 + 2.0 * (gap + 1.0) / np.maximum(reach, params.fit_from_s))
    young = reach < _YOUNG_S  # no slope yet, or that from before a hole
    none = band + abs(rate) * (_YOUNG_S + _UNSURE_S + gap)
    most = _OFF_SHARE * params.reset_s
    # A hole soon after another: the line between them may be that of before the first.
    alone = bool((young & (gap > params.anchor_gap_s)).any())
    return abs(rate) <= _RATE_MOST and not alone and bool((line <= most).all() and (none[young] <= most).all())
