"""The line under the arrivals, seen from both sides: what a whole session tells of a sensor's clock.

Used by `retro`. As in `clock.delay_line`, a point is (u, v): device time u and arrival minus device time v [s], and radio delay
is never negative. The online line knows only the past and a quarter of an hour of it. Here every moment is judged by an
hour before and an hour after: connection interval and crystal beat with a period of interval over rate error (50 ms and
20 ppm: 42 minutes), and only a window with a beat on either side sees the true line under the sawtooth. Where the clock
itself wanders by more than radio delay could explain, the window is halved until the line follows it.

A clock whose rate is off by more than a crystal's is a chip's own oscillator, which gets warm on the body: there the line is bent
where the clock wanders, even if only for minutes, by no more than such an oscillator may. Else what looks like it is a backlog.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from processing.clock.delay_line import Hull, append_to_hull
from processing.types import F64, Bool

WINDOWS_S: Final = (7200.0, 3600.0, 1800.0, 900.0)
CHIP_WINDOWS_S: Final = (*WINDOWS_S, 450.0, 225.0)
KNOT_S: Final = 60.0
WANDER_S: Final = 0.06  # above the longest connection interval in use (50 ms): no sawtooth reaches it
_WANDER_EDGE_S: Final = 0.02  # where it wanders by so much somewhere, by so little is wander too
_WANDER_BLOCK_S: Final = 300.0
_WANDER_SHARE: Final = 0.95  # of the blocks; the rest may have been a stall all through
_CRYSTAL: Final = 5e-4  # beyond any crystal's error, in the cold too
_WANDER_RATE: Final = 0.005  # percents by temperature would be a broken oscillator
LEAST_SPAN_S: Final = 120.0  # shorter stretches know their rate to no better than one interval in so many seconds
FIT_FROM_S: Final = 10.0
_FEW: Final = 16  # points that are looked at one by one
_CLEARLY: Final = 1e-9  # far above what rounding does to the product of two differences [s²]


@dataclass(frozen=True, slots=True)
class DelayCurve:
    """Delay [s] by device time [s]: straight between the knots, and beyond them at the rates of the ends."""

    u: F64
    v: F64
    slope_before: float
    slope_after: float

    def at(self, u: F64) -> F64:
        """Arrival minus device time of a payload that met no delay."""
        inside = np.interp(u, self.u, self.v)
        before = np.minimum(u - self.u[0], 0.0) * self.slope_before
        after = np.maximum(u - self.u[-1], 0.0) * self.slope_after
        out: F64 = inside + before + after
        return out

    @property
    def slope(self) -> float:
        """Mean rate error of the device's clock over all of it, as a share."""
        return self.slope_before if len(self.u) == 1 else float((self.v[-1] - self.v[0]) / (self.u[-1] - self.u[0]))


def fit_curve(u: F64, v: F64, slope_limit: float, known_slope: float | None = None) -> DelayCurve:
    """The curve under the points ``u`` (n,) rising, ``v`` (n,), n ≥ 1; no point lies below it.

    ``known_slope``: the clock's rate as a longer stretch tells it, used where this one is too short to tell.
    """
    span = float(u[-1] - u[0])
    if span < LEAST_SPAN_S and (known_slope is not None or span < FIT_FROM_S):
        slope = known_slope or 0.0
        height = float(np.min(v - slope * u))
        return DelayCurve(u[:1], np.array([height + slope * float(u[0])]), slope, slope)
    blocks = _block_hulls(u, v)
    curve = _curve(blocks, u, v, WINDOWS_S[0], slope_limit)
    for window_s in WINDOWS_S[1:]:
        if _wander_s(curve, u, v) <= WANDER_S:
            break
        curve = _curve(blocks, u, v, window_s, slope_limit)
    if abs(curve.slope) <= _CRYSTAL:
        return curve
    for window_s in CHIP_WINDOWS_S:
        least = _least_above(curve, u, v)
        if not (least > WANDER_S).any():
            break
        curve = _bent(curve, _curve(blocks, u, v, window_s, slope_limit), least > _WANDER_EDGE_S, u, v)
    return curve


def _block_hulls(u: F64, v: F64) -> list[Hull]:
    """A hull for each minute with points: a window's hull needs no other points than those."""
    edges = np.flatnonzero(np.diff(np.floor((u - u[0]) / KNOT_S))) + 1
    return [_hull(us, vs) for us, vs in zip(np.split(u, edges), np.split(v, edges), strict=True)]


def _hull(u: F64, v: F64) -> Hull:
    """Lower hull. Points clearly above the chord of their neighbours go first, many at a time."""
    while len(u) > _FEW:
        low = (u[1:-1] - u[:-2]) * (v[2:] - v[:-2]) > (v[1:-1] - v[:-2]) * (u[2:] - u[:-2]) - _CLEARLY
        if low.all():
            break
        keep = np.concatenate([[True], low, [True]])
        u, v = u[keep], v[keep]
    hull: Hull = ([], [])
    for point in zip(u.tolist(), v.tolist(), strict=True):
        append_to_hull(hull, *point)
    return hull


def _curve(blocks: list[Hull], u: F64, v: F64, window_s: float, slope_limit: float) -> DelayCurve:
    begin, end = float(u[0]), float(u[-1])
    knots = np.linspace(begin, end, max(2, round((end - begin) / KNOT_S) + 1))
    firsts, lasts = [b[0][0] for b in blocks], [b[0][-1] for b in blocks]
    heights = np.empty(len(knots))
    slopes = np.empty(len(knots))
    known: dict[tuple[int, int], tuple[float, float]] = {}
    for i, knot in enumerate(knots.tolist()):
        # At the ends the window stays whole and the middle's line goes on: an end has a beat on one side only.
        left = min(max(knot - window_s / 2, begin), max(begin, end - window_s))
        lo, hi = bisect_left(lasts, left), bisect_right(firsts, left + window_s)
        if lo == hi:  # in a hole longer than the window: the line from its one side to its other
            lo, hi = max(0, lo - 1), min(len(blocks), hi + 1)
        if (lo, hi) not in known:
            known[lo, hi] = _line(blocks[lo:hi], slope_limit)
        slopes[i], height = known[lo, hi]
        heights[i] = height + slopes[i] * knot
    return _lowered(DelayCurve(knots, heights, float(slopes[0]), float(slopes[-1])), u, v)


def _lowered(curve: DelayCurve, u: F64, v: F64) -> DelayCurve:
    """Lines of neighbouring knots differ a little: what pokes through the points is lowered again."""
    knots = curve.u
    above = np.interp(u, knots, curve.v) - v
    part = np.minimum(np.searchsorted(knots, u, "right") - 1, len(knots) - 2)
    excess = np.zeros(len(knots) - 1)
    np.maximum.at(excess, part, above)
    heights = curve.v - np.maximum(np.append(excess, 0.0), np.append(0.0, excess))
    return replace(curve, v=heights)


def _line(blocks: list[Hull], slope_limit: float) -> tuple[float, float]:
    """Slope and height at u = 0 of the hull's edge under the middle of the points."""
    us, vs = _hull(np.concatenate([us for us, _ in blocks]), np.concatenate([vs for _, vs in blocks]))
    if len(us) == 1:
        return 0.0, vs[0]
    right = min(bisect_right(us, (us[0] + us[-1]) / 2), len(us) - 1)
    slope = (vs[right] - vs[right - 1]) / (us[right] - us[right - 1])
    slope = min(max(slope, -slope_limit), slope_limit)
    return slope, min(y - slope * x for x, y in zip(us, vs, strict=True))


def _wander_s(curve: DelayCurve, u: F64, v: F64) -> float:
    """How far the least delayed arrivals of five minutes lie above the curve, leaving the worst blocks out."""
    above = v - curve.at(u)
    starts = np.flatnonzero(np.diff(np.floor((u - u[0]) / _WANDER_BLOCK_S), prepend=-1.0))
    return float(np.quantile(np.minimum.reduceat(above, starts), _WANDER_SHARE))


def _least_above(curve: DelayCurve, u: F64, v: F64) -> F64:
    """At each knot: how far above the curve the least delayed arrival of the minute before and of that after lies; 0 in a hole."""
    parts = np.minimum(np.searchsorted(curve.u, u, "right") - 1, len(curve.u) - 2)
    least = np.full(len(curve.u) + 1, np.inf)
    np.minimum.at(least, parts + 1, v - curve.at(u))
    near = np.minimum(least[:-1], least[1:])
    return np.where(np.isfinite(near), near, 0.0)


def _bent(curve: DelayCurve, closer: DelayCurve, wanders: Bool, u: F64, v: F64) -> DelayCurve:
    """``curve``, and where it ``wanders`` the ``closer`` one, unless that has rates there that no oscillator has."""
    rates = np.diff(closer.v) / np.diff(curve.u)
    steep = np.abs(rates - np.median(rates)) > _WANDER_RATE
    heights = curve.v.copy()
    for a, b in _spans(wanders):
        if not steep[max(0, a - 1) : b].any():
            heights[a:b] = closer.v[a:b]
    ends = (closer if wanders[0] else curve).slope_before, (closer if wanders[-1] else curve).slope_after
    return _lowered(DelayCurve(curve.u, heights, *ends), u, v)


def _spans(where: Bool) -> list[tuple[int, int]]:
    """Beginning and end of each stretch that is true."""
    edges = np.flatnonzero(np.diff(where, prepend=False, append=False)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))
