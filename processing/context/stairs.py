"""Stairs, looking back: a walk between two rests that ends surely higher or lower than it began.

A waist sensor without a barometer knows height only from acceleration integrated twice between two moments of rest, and its
error grows with the square of the time. So stairs are named only where a walk is short, both rests are real, and the rise
is three times what drift could feign. `climbing.py` adds what one rest alone vouches for, online as well; all other stairs
stay walking.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from processing.context.walking import STAIRS, STEPPING, WALKING
from processing.features.movement import CELL_S, CELLS_PER_S
from processing.types import F64, Bool

_QUIET_DPS: Final = 10.0
_REST_CELLS: Final = 10  # a second without turning: shorter stillness occurs between strides
_STEADY_MPS2: Final = 0.4  # within that second
_SHORTEST_S: Final = 5.0
_LONGEST_S: Final = 25.0
_DRIFT_MPS2: Final = 0.05  # how far the vertical acceleration goes astray in level walks: an error of a T² / 12
_LEAST_M: Final = 1.5  # a flight has ten steps of 0.15-0.19 m
_RATE_MPS: Final = (0.10, 0.50)  # people climb at 0.2-0.35 m/s and go down faster; a landing slows both
_LEAST_WALK: Final = 0.5
_ON_FOOT: Final = (STEPPING, WALKING)


def name_stairs(codes: list[int], acc_up_mps2: F64, turn_dps: F64, gap_before: Bool) -> list[int]:
    """Codes of m seconds with `STAIRS` for the walking seconds of sure climbs and descents.

    ``acc_up_mps2``, ``turn_dps`` (10 m,) are the cells of all seconds, ``gap_before`` (m,) marks interruptions.
    """
    out = list(codes)
    walks = np.cumsum([0, *(code in _ON_FOOT for code in codes)])
    gaps = np.cumsum([0, *gap_before.tolist()])
    rests = _rests(acc_up_mps2, turn_dps)
    for (_, first), (last, _) in zip(rests, rests[1:], strict=False):
        lasted_s = (last - first) * CELL_S
        a, b = first // CELLS_PER_S, -(-last // CELLS_PER_S)
        if not _SHORTEST_S <= lasted_s <= _LONGEST_S or walks[b] - walks[a] < _LEAST_WALK * lasted_s:
            continue
        if gaps[b] == gaps[a + 1] and _climbs(_rise_m(acc_up_mps2, first, last), lasted_s):
            for k in range(a, b):
                out[k] = STAIRS if codes[k] in _ON_FOOT else codes[k]
    return out


def _climbs(rise_m: float, lasted_s: float) -> bool:
    sure = abs(rise_m) > 3.0 * _DRIFT_MPS2 * lasted_s**2 / 12.0
    return sure and abs(rise_m) >= _LEAST_M and _RATE_MPS[0] <= abs(rise_m) / lasted_s <= _RATE_MPS[1]


def _rests(acc_up_mps2: F64, turn_dps: F64) -> list[tuple[int, int]]:
    """First cell and end of each real rest: every second in it is quiet and steady."""
    if len(acc_up_mps2) < _REST_CELLS:
        return []
    acc, turn = (np.lib.stride_tricks.sliding_window_view(x, _REST_CELLS) for x in (acc_up_mps2, turn_dps))
    real = (np.max(turn, axis=1) < _QUIET_DPS) & (np.max(acc, axis=1) - np.min(acc, axis=1) < _STEADY_MPS2)
    edges = np.flatnonzero(np.diff(real.astype(np.int8), prepend=0, append=0)).tolist()
    return [(a, b + _REST_CELLS - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _rise_m(acc_up_mps2: F64, first: int, last: int) -> float:
    """Height gained over the cells, at rest before and after; the velocity left over is taken back evenly."""
    n = last - first
    share = np.arange(1, n + 1) / n
    before = float(np.mean(acc_up_mps2[first - _REST_CELLS : first]))
    after = float(np.mean(acc_up_mps2[last : last + _REST_CELLS]))
    velocity = np.cumsum(acc_up_mps2[first:last] - (before + (after - before) * share)) * CELL_S
    velocity -= share * velocity[-1]
    return float(np.sum(velocity)) * CELL_S
