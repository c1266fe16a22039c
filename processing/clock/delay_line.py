"""The line under the arrivals: how fast a sensor's clock runs, judged by its least delayed payloads.

Used by `timebase` only. A point is (u, v): device time u and arrival minus device time v, both in seconds. Radio delay
is never negative, so the points lie on or above the true line, and the lower convex hull touches the payloads that met
the least delay (Moon, Skelly & Towsley, INFOCOM 1999). The edge under the window's centre is the fit.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

Hull = tuple[list[float], list[float]]


def append_to_hull(hull: Hull, u: float, v: float) -> None:
    """Add a point to the right of a lower convex hull; amortised constant time (monotone chain)."""
    us, vs = hull
    while len(us) > 1 and (us[-1] - us[-2]) * (v - vs[-2]) <= (vs[-1] - vs[-2]) * (u - us[-2]):
        us.pop()
        vs.pop()
    us.append(u)
    vs.append(v)


class DelayLine:
    """Lower convex hull of a sliding window, kept in blocks.

    A hull cannot forget its oldest points: those they covered would be missing. So every block of ``block_s`` keeps
    its own small hull, and when a block is full the window's hull is put together anew from those still inside.
    """

    def __init__(self, window_s: float, block_s: float) -> None:
        self._window_s = window_s
        self._block_s = block_s
        self._blocks: list[Hull] = []
        self._block: Hull = ([], [])
        self._hull: Hull = ([], [])

    def clear(self) -> None:
        """Forget all points."""
        self._blocks, self._block, self._hull = [], ([], []), ([], [])

    def add(self, u: float, v: float) -> None:
        """Take a point; u must not fall."""
        block_us = self._block[0]
        if block_us and u - block_us[0] >= self._block_s:
            self._close_block(u)
        append_to_hull(self._block, u, v)
        append_to_hull(self._hull, u, v)

    def _close_block(self, u: float) -> None:
        self._blocks.append(self._block)
        self._block = ([], [])
        oldest = u - self._window_s
        self._blocks = [block for block in self._blocks if block[0][-1] >= oldest]
        self._hull = hull_us, hull_vs = list[float](), list[float]()
        for block in self._blocks:
            for x, y in zip(*block, strict=True):
                # `append_to_hull`, written out: a day comes to hundreds of thousands of points.
                while len(hull_us) > 1 and (hull_us[-1] - hull_us[-2]) * (y - hull_vs[-2]) <= (
                    hull_vs[-1] - hull_vs[-2]
                ) * (x - hull_us[-2]):
                    hull_us.pop()
                    hull_vs.pop()
                hull_us.append(x)
                hull_vs.append(y)

    @property
    def span_s(self) -> float:
        """Device time that the points cover."""
        us = self._hull[0]
        return us[-1] - us[0] if us else 0.0

    def slope(self) -> float:
        """Slope of the hull's edge under the centre of the points; needs two points."""
        us, vs = self._hull
        right = min(bisect_right(us, (us[0] + us[-1]) / 2), len(us) - 1)
        return (vs[right] - vs[right - 1]) / (us[right] - us[right - 1])

    def offset(self, slope: float) -> float:
        """Height at u = 0 of the highest line of this slope that no point lies below."""
        return min([v - slope * u for u, v in zip(*self._hull, strict=True)])

    def snapshot(self) -> list[Any]:
        """Plain data for `restore`."""
        return [
            [list(map(list, block)) for block in self._blocks],
            list(map(list, self._block)),
            list(map(list, self._hull)),
        ]

    def restore(self, state: list[Any]) -> None:
        """Take `snapshot`'s data back."""
        blocks, (block_us, block_vs), (us, vs) = state
        self._blocks = [(list(b_us), list(b_vs)) for b_us, b_vs in blocks]
        self._block = (list(block_us), list(block_vs))
        self._hull = (list(us), list(vs))
