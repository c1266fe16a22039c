"""When an evenly running sensor took its samples, told from stamps that wander: a phone's, a logger's, times of packets' arrival.

Called by `recording.read_recording`. A sensor samples by its own clock, steady to a small part of a period; a stamp put on later carries the
delay of whoever put it on. Taken at its word, every late sample looks like a loss before it and is bridged, and the early one after it
takes nothing back, so that more rotation is integrated than there was: with stamps ±5 ms wrong at 286 Hz an angle is 30° off. So the
stamps are smoothed, hole by hole: sample number times period plus the mean of what is left over nearby samples. A loss
too small to be told from the wandering is drawn out over its neighbours, which costs the rotation of what was lost.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from processing.types import F64, I64

_SPAN: Final = 64
"""Samples over which the period is told at first: a packet and more."""
_LEAST_SAMPLES: Final = 2 * _SPAN
_SHORT: Final = 0.85
"""Of a period. Losses make steps longer, never shorter."""
_MANY: Final = 0.02
"""Share of short steps from which stamps may be wandering."""
_SAME: Final = 0.1
_LEAST_WANDER: Final = 0.1
"""Of a period; below, nothing is bridged that should not be."""
_SURE: Final = 4.5
"""Standard deviations of the wandering beyond which a step is a hole."""
_REST: Final = 1.0 / 6.0
"""Of a period: so far the mean of the left-over may still wander."""
_ROUNDS: Final = 3
_JUMP: Final = 0.6
"""Of a period: a jump so high is a lost sample."""
_HALF: Final = (8, 128)


def even_times(t_ns: I64) -> I64 | None:
    """Times [ns] (n,), strictly increasing, of samples stamped ``t_ns`` (n,), never going back; None where the stamps are even."""
    if len(t_ns) < _LEAST_SAMPLES:
        return None
    step = np.diff(t_ns).astype(np.float64)
    period = float(np.median(t_ns[_SPAN:] - t_ns[:-_SPAN])) / _SPAN
    if np.count_nonzero(step < _SHORT * period) <= _MANY * len(step):
        return None
    usual = float(np.median(step))
    if usual > 0.5 * period and np.count_nonzero(np.abs(step - usual) < _SAME * usual) > 0.5 * len(step):
        return None  # most steps are one and the same: nothing wanders, much is lost
    whole = np.array([0, len(t_ns)])
    left = _left_over(t_ns, period, whole)
    wander = 1.4826 * float(np.median(np.abs(left - _smooth(left, whole, _SPAN // 2))))
    if wander < _LEAST_WANDER * period:
        return None
    holes = np.flatnonzero(step > max(1.5 * period, period + _SURE * wander)) + 1
    edges = np.concatenate(([0], holes, [len(t_ns)]))
    for _ in range(_ROUNDS):  # with fewer losses inside, stretches tell the period better, and it tells losses better
        period = _slope(t_ns, edges, period)
        edges = _parted(_left_over(t_ns, period, edges), edges, period, wander)
    period = _slope(t_ns, edges, period)
    left = _left_over(t_ns, period, edges)
    half = int(np.clip((wander / (_REST * period)) ** 2 / 2.0, *_HALF))
    even = t_ns + np.rint(_smooth(left, edges, half) - left).astype(np.int64)
    rank = np.arange(len(even))
    out: I64 = np.maximum.accumulate(even - rank) + rank
    return out


def _left_over(t_ns: I64, period: float, edges: I64) -> F64:
    """What the stamps (n,) differ from evenly spaced ones that begin at each stretch's first."""
    first = np.repeat(edges[:-1], np.diff(edges))
    out: F64 = (t_ns - t_ns[first]) - period * (np.arange(len(t_ns)) - first)
    return out


def _parted(left: F64, edges: I64, period: float, wander: float) -> I64:
    """Edges of stretches, those with a single lost sample within parted there: the mean over some samples jumps by a period."""
    reach = int(np.ceil(2.0 * (wander / (_REST * period)) ** 2))  # as many as bring the jump's doubt down to `_REST`
    if reach > _SPAN or len(left) < 2 * reach:
        return edges
    reach = max(reach, 4)
    mean = np.convolve(left, np.full(reach, 1.0 / reach), "valid")
    jump = np.zeros(len(left))
    jump[reach : len(left) - reach + 1] = mean[reach:] - mean[:-reach]
    for edge in edges[1:-1].tolist():
        jump[max(0, edge - reach) : edge + reach] = 0.0
    highest = np.max(np.lib.stride_tricks.sliding_window_view(np.pad(jump, reach), 2 * reach + 1), axis=1)
    at = np.flatnonzero((jump == highest) & (jump > _JUMP * period))
    return np.concatenate(([0], np.union1d(edges[1:-1], at), edges[-1:]))


def _smooth(x: F64, edges: I64, half: int) -> F64:
    """Mean (n,) over up to ``half`` neighbours on either side within the same stretch."""
    size = np.diff(edges)
    at = np.arange(len(x))
    lo = np.maximum(at - half, np.repeat(edges[:-1], size))
    hi = np.minimum(at + half + 1, np.repeat(edges[1:], size))
    total = np.concatenate(([0.0], np.cumsum(x)))
    out: F64 = (total[hi] - total[lo]) / (hi - lo)
    return out


def _slope(t_ns: I64, edges: I64, period: float) -> float:
    """Period [ns] by least squares over all stretches, each with its own start."""
    left = _left_over(t_ns, period, edges)
    size = np.diff(edges).astype(np.float64)
    rank = np.arange(len(t_ns)) - np.repeat(edges[:-1], np.diff(edges))
    rank = rank - np.repeat((size - 1.0) / 2.0, np.diff(edges))
    power = float((rank * rank).sum())
    return period + float((rank * left).sum()) / power if power > 0.0 else period
