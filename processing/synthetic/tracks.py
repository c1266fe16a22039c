"""Minimum-jerk tracks: the smooth curves a simulated day is drawn with (`day.py`), and their exact derivatives (`motion.py`).

A track rests at a value, moves to the next one along the minimum-jerk polynomial (Flash & Hogan 1985, J Neurosci 5:1688), and
rests again. Value, first and second derivative are continuous and known in closed form, which is what lets angular rate and
specific force agree exactly with the orientation. Every result is an elementwise function of time, so blocks join seamlessly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from processing.types import F64


@dataclass(frozen=True, slots=True)
class Ramp:
    """One move: begins at ``at_s``, takes ``over_s``, ends at the value ``to``."""

    at_s: float
    over_s: float
    to: float


class Track:
    """A piecewise minimum-jerk curve. Ramps must come in order and must not overlap (ValueError)."""

    def __init__(self, initial: float, ramps: Sequence[Ramp]) -> None:
        self._at = np.array([r.at_s for r in ramps], dtype=np.float64)
        self._over = np.array([r.over_s for r in ramps], dtype=np.float64)
        self._value = np.array([initial, *(r.to for r in ramps)], dtype=np.float64)
        if np.any(self._over <= 0.0) or np.any(self._at[:-1] + self._over[:-1] > self._at[1:] + 1e-9):
            raise ValueError(
                "ramps of a track overlap or take no time; give them in order, each after the last has ended"
            )

    def __call__(self, t_s: F64) -> tuple[F64, F64, F64]:
        """Value, first and second derivative at ascending times [s], each of the shape of ``t_s``."""
        x, dx, ddx = np.empty_like(t_s), np.zeros_like(t_s), np.zeros_like(t_s)
        if not len(t_s):
            return x, dx, ddx
        first = int(np.searchsorted(self._at, t_s[0], side="right"))
        last = int(np.searchsorted(self._at, t_s[-1], side="right"))
        # Rows at which the ramps of this block begin; what a ramp (or none, -1) has reached holds until the next.
        begin = np.searchsorted(t_s, self._at[first:last], side="left")
        edges = [0, *begin.tolist(), len(t_s)]
        for i, lo, hi in zip(range(first - 1, last), edges, edges[1:], strict=False):
            x[lo:hi] = self._value[i + 1]
            if i >= 0:
                self._move(i, t_s, slice(lo, hi), x, dx, ddx)
        return x, dx, ddx

    def _move(self, i: int, t_s: F64, rows: slice, x: F64, dx: F64, ddx: F64) -> None:
        at, over = float(self._at[i]), float(self._over[i])
        stop = min(rows.stop, int(np.searchsorted(t_s, at + over, side="left")))
        if stop <= rows.start:
            return
        rows = slice(rows.start, stop)
        u = (t_s[rows] - at) / over
        step, rest = float(self._value[i + 1] - self._value[i]), 1.0 - u
        x[rows] = float(self._value[i]) + step * (u * u * u * (10.0 + u * (6.0 * u - 15.0)))
        dx[rows] = (30.0 * step / over) * (u * u * rest * rest)
        ddx[rows] = (60.0 * step / (over * over)) * (u * rest * (1.0 - 2.0 * u))


def smoothstep(u: F64) -> tuple[F64, F64, F64]:
    """Minimum-jerk step from 0 to 1 over ``u`` in 0..1 (held outside), with both derivatives by ``u``."""
    u = np.clip(u, 0.0, 1.0)
    rest = 1.0 - u
    return u * u * u * (10.0 + u * (6.0 * u - 15.0)), 30.0 * (u * u * rest * rest), 60.0 * (u * rest * (1.0 - 2.0 * u))
