"""Stairs, looking back: a walk that surely ends higher or lower than it began, or that sets out and stops as on stairs.

A waist sensor without a barometer knows height only from acceleration integrated twice between two moments of rest, and its
error grows with the square of the time. So `name_stairs` names stairs only where a walk is short, both rests are real, and the
rise is three times what drift could feign. `name_flights` asks for less rest and for no height: on stairs the pelvis goes up or down from
the first step to the last, so it gains that speed within two seconds and loses it in the last two. Against what acceleration
averages over the walk in between, both ends can be seen, and must agree. `climbing.py` adds what one rest alone vouches for,
online as well; all other stairs stay walking.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from processing.context.walking import STAIRS, STEPPING, WALKING
from processing.features.movement import CELL_S, CELLS_PER_S
from processing.runs import over_windows
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

_FLIGHTS_S: Final = (6, 60)  # a shorter walk has nothing between its ends, a longer one may have a corridor
_END_CELLS: Final = 20  # in which a walk sets out, or stops
_AT_SPEED: Final = slice(10, 30)  # cells after it set out: a stride or two at the speed gained
_EASE_CELLS: Final = 5
_EASE_DPS: Final = 20.0  # a stand between two steps sways; its speed counts once, not squared as for a height
_EASE_MPS2: Final = 1.0
_NEAR_CELLS: Final = 30
_BOTH_MPS: Final = 0.18  # mean of both ends: people climb at 0.2-0.35 m/s and go down faster
_EACH_MPS: Final = 0.09  # 60 walks on the flat: where both ends agree, the weaker is 0.07 and less


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


def name_flights(codes: list[int], acc_up_mps2: F64, turn_dps: F64, gap_before: Bool) -> list[int]:
    """Codes with `STAIRS` for walks that set out and stop with the same vertical speed. Arguments as of `name_stairs`."""
    out = list(codes)
    cells = len(acc_up_mps2)
    gaps = [0, *np.flatnonzero(gap_before).tolist(), len(codes)]
    for a, b in _walks(codes, gap_before):
        if not _FLIGHTS_S[0] <= b - a <= _FLIGHTS_S[1]:
            continue
        first, last = a * CELLS_PER_S, b * CELLS_PER_S
        since = max(g for g in gaps if g <= a) * CELLS_PER_S
        until = min(g for g in gaps if g >= b) * CELLS_PER_S
        begun = _gained_mps(acc_up_mps2, turn_dps, first, last, since)
        # Seen backwards in time the walk sets out from its end, and up is down.
        ended = _gained_mps(acc_up_mps2[::-1], turn_dps[::-1], cells - last, cells - first, cells - until)
        if begun is None or ended is None:
            continue
        one, two = (begun, -ended) if begun > 0.0 else (-begun, ended)
        if min(one, two) > _EACH_MPS and 0.5 * (one + two) > _BOTH_MPS:
            out[a:b] = [STAIRS] * (b - a)
    return out


def _walks(codes: list[int], gap_before: Bool) -> Iterator[tuple[int, int]]:
    """First second and end of each run of seconds on foot without an interruption."""
    start: int | None = None
    for k, code in enumerate([*codes, -1]):
        if start is not None and (code not in _ON_FOOT or gap_before[k]):
            yield start, k
            start = None
        if start is None and code in _ON_FOOT:
            start = k


def _gained_mps(acc_up_mps2: F64, turn_dps: F64, first: int, last: int, since: int) -> float | None:
    """Vertical speed soon after a walk over the cells sets out; None where no moment of ease is near (or before ``since``)."""
    latest = first + CELLS_PER_S  # the walk's first second may begin with standing
    for ease in range(latest, max(latest - _NEAR_CELLS, since + _EASE_CELLS) - 1, -1):
        at = slice(ease - _EASE_CELLS, ease)
        if np.max(turn_dps[at]) < _EASE_DPS and np.ptp(acc_up_mps2[at]) < _EASE_MPS2:
            break
    else:
        return None
    resting = float(np.mean(acc_up_mps2[at]))
    walking = float(np.mean(acc_up_mps2[first + _END_CELLS : last - _END_CELLS]))
    acc = acc_up_mps2[ease : first + _AT_SPEED.stop + _END_CELLS]
    out = max(0, first - ease)
    share = np.clip((np.arange(len(acc)) - out) / CELLS_PER_S, 0.0, 1.0)
    speed = np.cumsum(acc - (resting + (walking - resting) * share)) * CELL_S
    return float(np.mean(speed[out:][_AT_SPEED]))


def _climbs(rise_m: float, lasted_s: float) -> bool:
    sure = abs(rise_m) > 3.0 * _DRIFT_MPS2 * lasted_s**2 / 12.0
    return sure and abs(rise_m) >= _LEAST_M and _RATE_MPS[0] <= abs(rise_m) / lasted_s <= _RATE_MPS[1]


def _rests(acc_up_mps2: F64, turn_dps: F64) -> list[tuple[int, int]]:
    """First cell and end of each real rest: every second in it is quiet and steady."""
    if len(acc_up_mps2) < _REST_CELLS:
        return []
    most, least = (over_windows(acc_up_mps2, _REST_CELLS, extreme) for extreme in (np.maximum, np.minimum))
    real = (over_windows(turn_dps, _REST_CELLS, np.maximum) < _QUIET_DPS) & (most - least < _STEADY_MPS2)
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
