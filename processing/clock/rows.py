"""Batches in a row: what `clock.to_utc` does with each of them, for many that simply follow each other, in one go.

Used by `stretch`. A day has nearly a million batches and a thousand incidents at most. `Rows` says of all batches of a
stretch at once which follow the one before; `RowClockMap` then goes through them with the arithmetic of `ClockMap.take`, one
by one and in the same order, but only looks up what changes when it changes: with each second's new segment.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

import numpy as np

from processing.clock.notes import TimebaseParams
from processing.clock.to_utc import ClockMap, Segment
from processing.types import I64, NS_PER_S, Bool, ImuBatch, ImuStretch

Piece = tuple[int, int, int, float]
"""From which batch on a segment dates: the batch, and the segment's count (of `Rows`), UTC ns, ns per tick."""
_LEAST: Final = 16  # batches that are worth it


class Rows:
    """A stretch in counts of its own, which begin anywhere and go on over wraps of the sensor's counter.

    ``first``, ``last`` (m,): counts of each batch's first and last sample, of use between batches that follow each other.
    ``steady`` (m,): whether the ticks rise within each.
    """

    def __init__(self, stretch: ImuStretch, params: TimebaseParams, tick_ns: int, wrap: int, least_ticks: int) -> None:
        self.stretch = stretch
        ticks, rx = stretch.t_dev_ticks, stretch.rx_mono_ns
        self.ends = np.cumsum(stretch.sizes)
        self.starts = self.ends - stretch.sizes
        raw_first, raw_last = ticks[self.starts], ticks[self.ends - 1]
        span, steady = spans(ticks, self.starts, self.ends, wrap, least_ticks)
        between = np.diff(raw_first, prepend=raw_first[:1])
        between[1:] = raw_first[1:] - raw_last[:-1]
        if wrap:
            between %= wrap
        gap = np.diff(rx, prepend=rx[:1])
        follows = steady & (gap >= 0) & (between >= least_ticks)
        follows &= between * (tick_ns / NS_PER_S) <= params.anchor_gap_s
        if wrap:  # the nearest count by the arrivals, whatever slope the line may have
            passed = gap / tick_ns
            follows &= np.abs(between - passed) + 2 * params.slope_limit * passed < wrap / 4
        follows[0] = False
        self._breaks = [*np.flatnonzero(~follows).tolist(), len(rx)]
        self._at = 0
        last = np.cumsum(between + span)
        self.raw_first = raw_first
        self.first_array = last - span
        self.steady: list[bool] = steady.tolist()
        self.span: list[int] = span.tolist()
        self.first: list[int] = self.first_array.tolist()
        self.last: list[int] = last.tolist()
        self.raw_last: list[int] = raw_last.tolist()
        self.rx_mono_ns: list[int] = rx.tolist()
        self.offset_ns: list[int] = (stretch.rx_utc_ns - rx).tolist()

    def follow(self, at: int) -> int:
        """Up to which batch each follows the one before, from batch ``at`` on; ``at`` where none does, or too few to be worth it.
        ``at`` must not fall from call to call.
        """
        while self._breaks[self._at] < at:
            self._at += 1
        end = self._breaks[self._at]
        return end if end - at >= _LEAST else at

    def batch(self, at: int) -> ImuBatch:
        """One of them by itself."""
        s, own = self.stretch, slice(int(self.starts[at]), int(self.ends[at]))
        seq = None if s.seq is None else int(s.seq[at])
        rx_utc_ns = int(s.rx_utc_ns[at])
        return ImuBatch(s.t_dev_ticks[own], seq, self.rx_mono_ns[at], rx_utc_ns, s.acc_mps2[own], s.gyr_rps[own])


def spans(ticks: I64, starts: I64, ends: I64, wrap: int, least_ticks: int) -> tuple[I64, Bool]:
    """Of each batch: ticks from the first to the last sample, and whether they rise within. ``starts``, ``ends`` (m,) cut ``ticks``."""
    steps = np.diff(ticks, prepend=ticks[:1])
    span = ticks[ends - 1] - ticks[starts]
    if wrap:
        steps %= wrap
        span %= wrap
        steps[steps > wrap // 2] = 0
    steps[starts] = least_ticks
    steady: Bool = np.minimum.reduceat(steps, starts) >= least_ticks
    return span, steady


class RowClockMap(ClockMap):
    """`ClockMap` that also takes rows."""

    @property
    def goes_on(self) -> bool:
        """Whether batches are dated as they come, by the second: not where a line begins."""
        return not (self._s.holding or self._s.young)

    def take_row(self, rows: Rows, at: int, end: int, base: int, pieces: list[Piece]) -> int:
        """`take` of batches ``at`` to ``end``, which follow each other; ``base`` is what a count is more than that of ``rows``.

        Adds to ``pieces`` what dates them. Stops before a batch that lies more than `reset_s` off the line, which somebody has
        to judge; gives the first that was not taken.
        """
        s, i = self._s, at
        while i < end:
            segment, begun = (s.seg_x, s.seg_t, s.rate), i
            i, off = self._within_segment(rows, i, end, base)
            if i > begun:
                _add(pieces, begun, segment, base)
            if i == end or off:
                break
            # A new second, or an arrival earlier than the line allows.
            x, came = rows.first[i] + base, (rows.rx_mono_ns[i], rows.rx_mono_ns[i] + rows.offset_ns[i])
            if x >= s.refit_x:
                self._refit(*came, x)
            _add(pieces, i, self._date(*came, rows.last[i] + base), base)
            i += 1
        return i

    def _within_segment(self, rows: Rows, at: int, end: int, base: int) -> tuple[int, bool]:
        """Date batches by the segment in force; the first that it does not date, and whether that one is too far off the line."""
        s, p, tick_s = self._s, self._p, self._tick_s
        last, rx = rows.last, rows.rx_mono_ns
        m0, shift = s.m0, base - s.x0
        offset_s, slope, most_s = s.offset_s, s.slope, p.reset_s
        seg_x, seg_t, rate = s.seg_x - base, s.seg_t, s.rate
        utc_offset, utc_limit = s.utc_offset, s.utc_limit
        near = p.step_s * NS_PER_S if s.utc_measured == utc_offset else -1.0
        least_s, least_u, least_v, least = s.least_s, s.least_u, s.least_v, -1
        refit = bisect_left(rows.first, s.refit_x - base, at, end)
        own = slice(at, min(refit + 1, end))
        off, i = False, at
        for i, x, r, stamped in zip(range(at, end), last[own], rx[own], rows.offset_ns[own], strict=False):
            u = (x + shift) * tick_s
            v = (r - m0) / NS_PER_S - u
            delay = v - offset_s - slope * u
            if not -most_s <= delay <= most_s:
                off = True
                break
            if delay < least_s:
                least_s, least_u, least_v, least = delay, u, v, i
            if i == refit:
                break
            limit = min(stamped, utc_offset) if -near < stamped - utc_offset < near else utc_limit
            after, allowed = (x - seg_x) * rate, r + limit - seg_t
            if after > allowed and round(after) > allowed:
                break
        else:
            i = end
        if least >= 0:
            s.least_s, s.least_u, s.least_v, s.least_offset = least_s, least_u, least_v, rows.offset_ns[least]
        if i > at:
            s.out_x, s.out_t = last[i - 1] + base, seg_t + round((last[i - 1] - seg_x) * rate)
        return i, off


def _add(pieces: list[Piece], at: int, segment: Segment, base: int) -> None:
    piece = (at, segment[0] - base, segment[1], segment[2])
    if not pieces or pieces[-1][1:] != piece[1:]:
        pieces.append(piece)
