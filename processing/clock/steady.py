"""Whether a session's clock only ever went on between sure restarts: then its batches need not be judged one by one.

Used by `retro`. `Timebase` decides batch by batch, and a day has nearly a million. What it would decide of a session without
restarts, repetitions and leaps can be known beforehand, for all batches at once: each one is the next of the one epoch. What is
checked here is sufficient, not necessary; where it does not hold, or cannot be told, the timebase is asked.

Why it suffices. The timebase sees a restart where a batch lies more than `reset_s` off its line. The line is of height v - s * u at
some batch (u, v) that it remembers, and s is the slope of the edge under the middle of what it remembers.

* Let all v lie within R of a straight line of slope s0, and the memory reach over S: a line under points of that band, which touches
  it in the middle, differs from s0 by 2 R / S at most. So the next batch, G later, is off by no more than R (3 + 2 (G + 1 s) / S).
* A stall makes some batches late, and the line lies under them. Let all v lie above a straight line of slope s0, and batches within r of
  it be remembered at a distance of D at least on either side of the middle: there the line is within r, and s differs from s0 by
  r / D. So a batch at a distance M of the middle, late by L, is off by no more than max(L, r) + r M / D.

A restart is sure where the gateway's own clock began anew, or where a batch lies so far from the one before that it is more than
`reset_s` off any such line, and is ahead or back behind that one: nobody then asks whether the count continues.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from processing.clock.notes import TimebaseParams
from processing.clock.timebase import LEAST_SPACING_NS
from processing.types import F64, I64, NS_PER_S, Bool, ImuBatch, ImuStretch

_OFF_SHARE: Final = 0.8  # of `reset_s`
_RATE_MOST: Final = 0.02
_LOW_EVERY_S: Final = 60.0
_LOW_QUANTILE: Final = 0.99
_LOW_SHARE, _LOW_SLACK_S = 1.1, 0.05
"""What is called least delayed: as much above the straight line as it is within each minute, nearly all of them. Any other choice
would be as true; the slack is for what the timebase remembers of a second, which it judges by a slope of its own.
"""
_LEAST_ARM_S: Final = 30.0
_UNSURE_S: Final = 20.0  # what the line may not yet, or no longer, remember at either end: held batches and a block
_YOUNG_S: Final = 60.0  # so long a line may hold its first batches and have no slope of its own


class NotSteady(Exception):  # noqa: N818 - an answer, not an error: the timebase has to be asked
    """A session that the timebase has to judge batch by batch."""


@dataclass(frozen=True, slots=True)
class Run:
    """Batches of a stretch that belong to one clock epoch: where they and their samples lie in it, and the count of every sample
    and of each batch's first and last one.
    """

    epoch: int
    batches: slice
    samples: slice
    counts: I64
    first: I64
    last: I64


class Continued:
    """Counts of batches that continue each other, over a counter's wraps, or surely begin anew. Raises `NotSteady` at any other."""

    def __init__(self, params: TimebaseParams, tick_ns: int, wrap: int) -> None:
        self._p = params
        self._tick_ns = tick_ns
        self._wrap, self._least = wrap, -(-LEAST_SPACING_NS // tick_ns)
        self._last: tuple[int, int] | None = None  # count of the newest sample, its arrival
        self._epoch = 1  # what the timebase calls the first

    def runs(self, stretch: ImuStretch) -> list[Run]:
        """The stretch, which holds no empty batch, by clock epochs."""
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
        anew = (gaps < 0) | self._surely_anew(between, passed, ticks[ends - 1] - ticks[starts])
        unsure = np.abs(between - passed) + 2 * self._p.slope_limit * passed >= self._wrap / 4
        half = self._wrap // 2  # a greater step within a batch is one back
        back = half and np.count_nonzero(steps > half) > np.count_nonzero(between > half)
        steps[starts[anew]] = self._least
        if (self._wrap and (unsure & ~anew).any()) or back or (steps < self._least).any():
            raise NotSteady
        edges = [0, *(np.flatnonzero(anew[1:]) + 1).tolist(), len(rx)]
        found: list[Run] = []
        for a, b in pairwise(edges):
            samples = slice(int(starts[a]), int(ends[b - 1]))
            if anew[a]:
                self._epoch += 1
                before = int(ticks[samples.start]) - self._least
            counts = before + np.cumsum(steps[samples])
            before = int(counts[-1])
            first, last = counts[starts[a:b] - samples.start], counts[ends[a:b] - 1 - samples.start]
            found.append(Run(self._epoch, slice(a, b), samples, counts, first, last))
        self._last = before, int(rx[-1])
        return found

    def _surely_anew(self, between: I64, passed: F64, span: I64) -> Bool:
        """Where the timebase sees the sensor's clock restarted, whichever line it may have: the batch before lies no farther off it
        than `surely_one_epoch` allows. ``between`` (m,) ticks since that one, ``passed`` by the arrivals, ``span`` of each batch.
        """
        p, wrap = self._p, self._wrap
        ordinary_ns = (1 + _OFF_SHARE) * p.reset_s * NS_PER_S
        most = float(np.abs(passed - between).max())
        if most * self._tick_ns <= ordinary_ns and (not wrap or most <= wrap / 2):  # as nearly always: none is far
            return np.zeros(len(passed), bool)
        unsure = 2 * p.slope_limit * np.abs(passed)
        sure = unsure < wrap / 2 if wrap else np.ones(len(passed), bool)
        nearest = between + (np.rint((passed - between) / wrap).astype(np.int64) * wrap if wrap else 0)
        for count in (nearest - wrap, nearest, nearest + wrap) if wrap else (nearest,):
            late = passed - count
            far = np.abs(late) * self._tick_ns > ordinary_ns + p.slope_limit * np.abs(count) * self._tick_ns
            possible = np.abs(late) <= wrap / 2 + unsure + 1 if wrap else True
            sure &= (far & ((late < 0) | (count + (span % wrap if wrap else span) <= 0))) | ~np.asarray(possible)
        out: Bool = sure
        return out


def joined(batches: Sequence[ImuBatch]) -> ImuStretch | None:
    """Batches as one stretch; None where there is no sample."""
    batches = [b for b in batches if len(b.t_dev_ticks)]
    if not batches:
        return None
    numbers = [b.seq for b in batches if b.seq is not None]
    return ImuStretch(
        np.concatenate([b.t_dev_ticks for b in batches]),
        np.array([len(b.t_dev_ticks) for b in batches]),
        np.array([b.rx_mono_ns for b in batches]),
        np.array([b.rx_utc_ns for b in batches]),
        np.concatenate([b.acc_mps2 for b in batches]),
        np.concatenate([b.gyr_rps for b in batches]),
        np.array(numbers) if len(numbers) == len(batches) else None,
    )


def surely_one_epoch(params: TimebaseParams, u: F64, v: F64) -> bool:
    """Whether no batch lies so far off any line the timebase could have that a restart would be seen (see the module).

    ``u`` (n,) device time of each batch's last sample, rising; ``v`` (n,) arrival minus device time [s].
    """
    blocks = np.flatnonzero(np.diff(u // _LOW_EVERY_S, prepend=-1.0))
    rate = _rate(u, v, blocks)
    off = v - rate * u
    off -= off.min()
    band = _LOW_SHARE * float(np.quantile(np.minimum.reduceat(off, blocks), _LOW_QUANTILE)) + _LOW_SLACK_S
    now, late, gap = u[:-1], off[1:], np.diff(u)
    memory = params.window_s - params.block_s
    start = np.searchsorted(u, now - memory)
    oldest = u[np.searchsorted(u, now - params.window_s - params.block_s - _UNSURE_S)]
    low = u[off <= band]
    left = low[np.minimum(np.searchsorted(low, u[start]), len(low) - 1)]
    right = low[np.maximum(np.searchsorted(low, now - _UNSURE_S, "right") - 1, 0)]
    middle = (oldest + now - _UNSURE_S) / 2  # where it may lie at the earliest
    arm = np.minimum(middle - left - _UNSURE_S, right - (u[start] + now) / 2)
    # Nor is a slope that tilted by so much cut off at its limit.
    grown = arm >= max(_LEAST_ARM_S, band / (params.slope_limit - _RATE_MOST))
    tilted = band * (now + gap + 1.0 - middle) / np.maximum(arm, _LEAST_ARM_S)
    most = _OFF_SHARE * params.reset_s
    good = grown & (np.maximum(late, band) + tilted <= most)
    # A young line: all that it may remember and the next, and the slope that it has not yet.
    for a, b in _spans(~good):
        known = off[start[a] : b + 1]
        range_s = float(known.max() - known.min())
        reach = now[a:b] - u[start[a:b]] - _UNSURE_S
        line = range_s * (3.0 + 2.0 * (gap[a:b] + 1.0) / np.maximum(reach, params.fit_from_s))
        young = reach < _YOUNG_S  # no slope yet, or that from before a hole
        none = range_s + abs(rate) * (_YOUNG_S + _UNSURE_S + gap[a:b])
        # A hole soon after another: the line between them may be that of before the first.
        alone = young & (gap[a:b] > params.anchor_gap_s)
        if alone.any() or (line > most).any() or (none[young] > most).any():
            return False
    return abs(rate) <= _RATE_MOST


def _rate(u: F64, v: F64, blocks: I64) -> float:
    """Slope between the least delayed arrivals of the first and the last block; 0 of a short session."""
    if u[-1] - u[0] <= _YOUNG_S or len(blocks) < 2:
        return 0.0
    first, last = int(np.argmin(v[: blocks[1]])), int(blocks[-1] + np.argmin(v[blocks[-1] :]))
    return float((v[last] - v[first]) / (u[last] - u[first]))


def _spans(where: Bool) -> Iterator[tuple[int, int]]:
    """Beginning and end of each stretch that is true."""
    edges = np.flatnonzero(np.diff(where, prepend=False, append=False)).tolist()
    yield from zip(edges[::2], edges[1::2], strict=True)
