"""Stairs as they are climbed: how fast the pelvis goes up or down in the first seconds of a walk that began at rest.

From a real rest on the vertical acceleration gives the vertical speed, with an error that grows with time: in level walks with
turns it stays below `_ASTRAY_MPS2` times the seconds since the rest. People climb at 0.2-0.35 m/s and go down faster, so for
some six seconds a climb can be told from that error; afterwards nothing can tell, and stairs begun in the midst of a walk
stay walking. What is sure is named for a few seconds more, as long as a flight goes on, and only while walking lasts. Most
seconds on stairs are thereby called walking, hardly any level second stairs.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any, Final

import numpy as np

from processing.context.references import Vector
from processing.context.walking import STAIRS, WALKING
from processing.features.displacement import angle_deg
from processing.features.movement import CELL_S, CELLS_PER_S, Movement
from processing.frames import columns
from processing.types import F64, Bool

_QUIET_DPS: Final = 10.0
_STEADY_MPS2: Final = 0.4  # within the second of rest
_ASTRAY_MPS2: Final = 0.08  # 82 walks on the flat with turns, and 26 others: never reached within six seconds
_LEAST_MPS: Final = 0.18
_LATEST_S: Final = 6
_GOES_ON_S: Final = 5
_TURNED_DEG: Final = (
    25.0  # a pelvis turned further feels another part of the accelerometer's offset, and mostly lies down
)


def mean_by_second(up: F64) -> F64:
    """Mean direction of up of each second (m, 3), from cells (10 m, 3)."""
    cells = up.reshape(-1, CELLS_PER_S, 3)
    out = cells[:, 0].copy()
    for k in range(1, CELLS_PER_S):  # a sum over a short axis in the middle takes many times as long
        out += cells[:, k]
    return out / CELLS_PER_S


def _mean(up: list[list[float]]) -> Vector:
    """As `mean_by_second`, of the cells of one second."""
    x = y = z = 0.0
    for u, v, w in up:
        x += u
        y += v
        z += w
    return x / CELLS_PER_S, y / CELLS_PER_S, z / CELLS_PER_S


def _speeds(gain_mps2: F64, speed_mps: float) -> tuple[list[float], list[float]]:
    """Vertical speed at the end of each second and its mean there, from the acceleration (k, 10) and the speed before."""
    gained = gain_mps2.cumsum(axis=1) * CELL_S
    ends = list(accumulate(gained[:, -1].tolist(), initial=speed_mps))
    means = np.add.reduce(np.array(ends[:-1])[:, None] + gained, axis=1) / CELLS_PER_S
    return ends[1:], means.tolist()


class ClimbStage:
    """Params / state / update, second by second; carries the vertical speed since the last rest."""

    def __init__(self) -> None:
        self._rest_mps2: float | None = None  # residual of the last rest; None where the speed is not known any more
        self._since_s = 0
        self._speed_mps = 0.0
        self._means: list[float] = []  # mean speed of the last two seconds
        self._named_s = 0
        self._walked_s = 0
        self._up: Vector = (0.0, 1.0, 0.0)

    def update(self, m: Movement, codes: list[int]) -> list[int]:
        """The gait codes with `STAIRS` for walking seconds on stairs."""

        def up(first: int, last: int) -> list[Vector]:
            cells = m.up[first * CELLS_PER_S : last * CELLS_PER_S].tolist()
            return [_mean(cells[k : k + CELLS_PER_S]) for k in range(0, len(cells), CELLS_PER_S)]

        return self.follow(m.acc_up_mps2, m.turn_dps, up, m.gap_before, codes)

    def follow(
        self,
        acc_up_mps2: F64,
        turn_dps: F64,
        up: Callable[[int, int], list[Vector]],
        gap_before: Bool,
        codes: list[int],
    ) -> list[int]:
        """As `update`, from cells (10 m,), gaps before seconds (m,), and the mean up of seconds first … last on demand."""
        if not codes:
            return []
        acc = acc_up_mps2.reshape(-1, CELLS_PER_S)
        by_cell = columns(acc)
        swing = np.maximum.reduce(by_cell, axis=0) - np.minimum.reduce(by_cell, axis=0)
        quiet = np.maximum.reduce(columns(turn_dps.reshape(-1, CELLS_PER_S)), axis=0) < _QUIET_DPS
        resting = quiet & (swing < _STEADY_MPS2)
        turns = np.flatnonzero(resting[1:] != resting[:-1]) + 1
        gaps, out = gap_before.tolist(), list(codes)
        rests, end = bool(resting[0]), len(codes)
        for a, b in pairwise((0, *turns.tolist(), end)):
            if rests:
                if b == end:
                    self._rest(acc[b - 1], up(b - 1, b)[0])
            elif a == 0:
                self._move(a, b, acc, up(a, min(a + _LATEST_S, b)), gaps, out)
            elif b == end or WALKING in codes[a : a + _LATEST_S]:
                ups = up(a - 1, min(a + _LATEST_S, b))
                self._rest(acc[a - 1], ups[0])
                self._move(a, b, acc, ups[1:], gaps, out)
            else:  # no step as long as the speed is known, and then comes the next rest
                self._walk(codes[a:b])
            rests = not rests
        return out

    def _rest(self, acc: F64, up: Vector) -> None:
        """A second of rest with these cells (10,) and mean up: of a long one the last counts."""
        self._rest_mps2 = float(np.add.reduce(acc)) / CELLS_PER_S
        self._since_s, self._speed_mps, self._means, self._named_s = 0, 0.0, [], 0
        self._up = up

    def _move(self, first: int, last: int, acc: F64, up: list[Vector], gaps: list[bool], codes: list[int]) -> None:
        """Seconds first … last without rest: name those on stairs in ``codes``. ``up`` is of the first of them."""
        rest = self._rest_mps2
        ends, means = [0.0], [0.0]
        if rest is not None:
            ends, means = _speeds(acc[first : min(first + _LATEST_S - self._since_s, last)] - rest, self._speed_mps)
        for k in range(last - first):
            i = first + k
            if gaps[i]:
                rest, self._named_s = None, 0
            if rest is not None and angle_deg(up[k], self._up) > _TURNED_DEG:
                rest = None
            if rest is None and not self._named_s:
                self._walk(codes[i:last])
                break
            walks = codes[i] == WALKING
            self._walked_s = self._walked_s + 1 if walks else 0
            if rest is not None:
                self._since_s += 1
                self._speed_mps, self._means = ends[k], [*self._means[-1:], means[k]]
                if walks and self._climbs():
                    self._named_s = _GOES_ON_S + 1
                if self._since_s >= _LATEST_S:
                    rest = None
            self._named_s = max(0, self._named_s - 1) if walks else 0
            if self._named_s:
                codes[i] = STAIRS
        self._rest_mps2 = rest

    def _walk(self, codes: list[int]) -> None:
        """Seconds in which nothing is known of the vertical speed."""
        stood = next((k for k, code in enumerate(reversed(codes)) if code != WALKING), None)
        self._walked_s = self._walked_s + len(codes) if stood is None else stood

    def _climbs(self) -> bool:
        """Two seconds of walking, each up or each down: rising from a chair into the first step is over sooner."""
        if len(self._means) < 2 or self._walked_s < 2:
            return False
        limit = max(_LEAST_MPS, _ASTRAY_MPS2 * self._since_s)
        one, two = self._means
        if one < 0.0:
            one, two = -one, -two
        return min(one, two) > _LEAST_MPS and 0.5 * (one + two) > limit

    def snapshot(self) -> list[Any]:
        return [
            self._rest_mps2,
            self._since_s,
            self._speed_mps,
            list(self._means),
            self._named_s,
            self._walked_s,
            self._up,
        ]

    def restore(self, state: list[Any]) -> None:
        self._rest_mps2, self._since_s, self._speed_mps, means, self._named_s, self._walked_s, up = state
        self._means, self._up = list(means), (up[0], up[1], up[2])


def climbs_looking_back(codes: list[int], acc_up_mps2: F64, turn_dps: F64, up: F64, gap_before: Bool) -> list[int]:
    """Gait codes with `STAIRS` where either end of a walk shows it: what a rest vouches for after it, and one before it.

    Arguments as of `ClimbStage.follow`, but the mean ``up`` of all seconds (m, 3).
    """

    def of(ups: F64) -> Callable[[int, int], list[Vector]]:
        return lambda a, b: [(x, y, z) for x, y, z in ups[a:b].tolist()]

    ahead = ClimbStage().follow(acc_up_mps2, turn_dps, of(up), gap_before, codes)
    # Seen backwards in time the rest at the end comes first; a gap lies on the other side of its second.
    gaps = np.append(gap_before[1:], False)[::-1]
    back = ClimbStage().follow(acc_up_mps2[::-1], turn_dps[::-1], of(up[::-1]), gaps, codes[::-1])
    return [max(a, b) for a, b in zip(ahead, back[::-1], strict=True)]
