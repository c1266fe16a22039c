"""Acceleration and angular rate that a device sends as two streams, put together again on its own clock.

Part of the drivers whose device keeps the two apart (Polar, MetaMotion): what it gives goes into an `ImuBatch`. A sample
stands at each acceleration's time; the angular rate there is interpolated between its two neighbours, which is exact where
both streams share their instants. It is never interpolated over a hole: accelerations inside one are left out. A sample
waits until the other stream has got as far; what waits is bounded, and a stream that goes back in time starts anew.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from processing.types import F64, I64

Joined = tuple[I64, F64, F64]
"""Device times (n,) [ticks], acceleration (n, 3) and angular rate (n, 3) at these times."""

_NO_TIMES: Final[I64] = np.empty(0, np.int64)
_NO_VALUES: Final[F64] = np.empty((0, 3))


class Stream:
    """Samples that wait, oldest first: ``ticks`` (n,) strictly rising, ``values`` (n, 3); at most ``most`` are kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.ticks, self.values = _NO_TIMES, _NO_VALUES

    def add(self, ticks: I64, values: F64) -> int:
        """Append; the number of samples given up: all older ones where time went back, the oldest where it is too much."""
        lost = 0
        if len(self.ticks) and len(ticks) and ticks[0] <= self.ticks[-1]:
            lost = len(self.ticks)
            self.drop(lost)
        self.ticks = np.concatenate([self.ticks, ticks])
        self.values = np.concatenate([self.values, values])
        beyond = max(0, len(self.ticks) - self._most)
        self.drop(beyond)
        return lost + beyond

    def drop(self, n: int) -> None:
        """Forget the oldest ``n``."""
        self.ticks, self.values = self.ticks[n:], self.values[n:]

    def snapshot(self, name: str) -> dict[str, int]:
        """Plain numbers under keys that begin with ``name``; a value as the integer of its 64 bits, so nothing is rounded."""
        bits = np.ascontiguousarray(self.values).view(np.int64)
        rows = np.column_stack([self.ticks, bits]).ravel().tolist()
        return {f"{name}_n": len(self.ticks)} | {f"{name}_{i}": number for i, number in enumerate(rows)}

    def restore(self, name: str, state: dict[str, int]) -> None:
        """Take `snapshot`'s numbers back."""
        rows = np.array([state[f"{name}_{i}"] for i in range(4 * state[f"{name}_n"])], np.int64).reshape(-1, 4)
        self.ticks, self.values = rows[:, 0].copy(), np.ascontiguousarray(rows[:, 1:]).view(np.float64)


class Join:
    """The two streams of one sensor.

    ``max_gap_ticks``: neighbours further apart are the edges of a hole. ``most``: samples that may wait in a stream.
    ``unmatched`` counts samples that were given up because the other stream had none for them.
    """

    def __init__(self, max_gap_ticks: int, most: int = 2000) -> None:
        self._max_gap = max_gap_ticks
        self._acc, self._gyr = Stream(most), Stream(most)
        self.unmatched = 0

    def add_acc(self, ticks: I64, acc_mps2: F64) -> Joined | None:
        """Take accelerations (strictly rising ``ticks``); what is complete now."""
        self.unmatched += self._acc.add(ticks, acc_mps2)
        return self._take()

    def add_gyr(self, ticks: I64, gyr_rps: F64) -> Joined | None:
        """Take angular rates (strictly rising ``ticks``); what is complete now."""
        self.unmatched += self._gyr.add(ticks, gyr_rps)
        return self._take()

    def _take(self) -> Joined | None:
        acc, gyr = self._acc, self._gyr
        if not len(acc.ticks) or not len(gyr.ticks):
            return None
        n = int(np.searchsorted(acc.ticks, gyr.ticks[-1], "right"))
        if n == 0:
            return None
        t, a = acc.ticks[:n], acc.values[:n]
        acc.drop(n)
        after = np.searchsorted(gyr.ticks, t)
        before = np.maximum(after - 1, 0)
        exact = gyr.ticks[after] == t
        span = gyr.ticks[after] - gyr.ticks[before]
        inside = (t >= gyr.ticks[0]) & (span <= self._max_gap) | exact
        share = (t - gyr.ticks[before]) / np.where(span > 0, span, 1)
        share[exact] = 1.0
        low, high = gyr.values[before], gyr.values[after]
        g = np.where(exact[:, None], high, low + share[:, None] * (high - low))
        # The last rate before the next acceleration is still needed, as its left neighbour.
        gyr.drop(max(0, int(np.searchsorted(gyr.ticks, t[-1], "right")) - 1))
        self.unmatched += n - int(np.count_nonzero(inside))
        return (t[inside], a[inside], g[inside]) if inside.any() else None

    def reset(self) -> None:
        """Forget what waits: after a lost connection the streams begin anew."""
        for stream in (self._acc, self._gyr):
            stream.drop(len(stream.ticks))

    def snapshot(self) -> dict[str, int]:
        """Plain numbers for `restore`."""
        return self._acc.snapshot("acc") | self._gyr.snapshot("gyr") | {"unmatched": self.unmatched}

    def restore(self, state: dict[str, int]) -> None:
        """Take `snapshot`'s numbers back."""
        self._acc.restore("acc", state)
        self._gyr.restore("gyr", state)
        self.unmatched = state["unmatched"]
