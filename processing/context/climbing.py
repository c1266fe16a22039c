"""Stairs as they are climbed: how fast the pelvis goes up or down in the first seconds of a walk that began at rest.

From a real rest on the vertical acceleration gives the vertical speed, with an error that grows with time: in level walks with
turns it stays below `_ASTRAY_MPS2` times the seconds since the rest. People climb at 0.2-0.35 m/s and go down faster, so for
some six seconds a climb can be told from that error; afterwards nothing can tell, and stairs begun in the midst of a walk
stay walking. What is sure is named for a few seconds more, as long as a flight goes on, and only while walking lasts. Most
seconds on stairs are thereby called walking, hardly any level second stairs.
"""

from __future__ import annotations

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


def up_of_seconds(m: Movement) -> F64:
    """Mean direction of up of each second (m, 3)."""
    cells = m.up.reshape(-1, CELLS_PER_S, 3)
    out = cells[:, 0].copy()
    for k in range(1, CELLS_PER_S):  # a sum over a short axis in the middle takes many times as long
        out += cells[:, k]
    return out / CELLS_PER_S


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
        return self.follow(m.acc_up_mps2, m.turn_dps, up_of_seconds(m), m.gap_before, codes)

    def follow(self, acc_up_mps2: F64, turn_dps: F64, up: F64, gap_before: Bool, codes: list[int]) -> list[int]:
        """As `update`, from cells (10 m,), and of seconds the mean up (m, 3) and gaps (m,)."""
        acc = acc_up_mps2.reshape(-1, CELLS_PER_S)
        by_cell = columns(acc)
        swing = np.maximum.reduce(by_cell, axis=0) - np.minimum.reduce(by_cell, axis=0)
        quiet = np.maximum.reduce(columns(turn_dps.reshape(-1, CELLS_PER_S)), axis=0) < _QUIET_DPS
        resting = quiet & (swing < _STEADY_MPS2)
        rests = resting.tolist()
        # Of a long rest the last second counts.
        told = np.flatnonzero(~(resting & np.append(resting[1:], False)))
        mean_mps2 = (np.add.reduce(acc, axis=1) / CELLS_PER_S).tolist()
        out = list(codes)
        gaps, ups = gap_before.tolist(), up.tolist()
        for i in told.tolist():
            code = codes[i]
            if rests[i]:
                self._rest_mps2 = mean_mps2[i]
                self._since_s, self._speed_mps, self._means, self._named_s = 0, 0.0, [], 0
                self._up = (ups[i][0], ups[i][1], ups[i][2])
                continue
            if gaps[i]:
                self._rest_mps2, self._named_s = None, 0
            if self._rest_mps2 is not None and angle_deg(ups[i], self._up) > _TURNED_DEG:
                self._rest_mps2 = None
            walks = code == WALKING
            self._walked_s = self._walked_s + 1 if walks else 0
            if self._rest_mps2 is not None:
                self._integrate(acc[i], self._rest_mps2)
                if walks and self._climbs():
                    self._named_s = _GOES_ON_S + 1
                if self._since_s >= _LATEST_S:
                    self._rest_mps2 = None
            self._named_s = max(0, self._named_s - 1) if walks else 0
            if self._named_s:
                out[i] = STAIRS
        return out

    def _integrate(self, acc: F64, rest_mps2: float) -> None:
        speed = self._speed_mps + (acc - rest_mps2).cumsum() * CELL_S
        self._since_s += 1
        self._speed_mps = float(speed[-1])
        self._means = [*self._means[-1:], float(np.add.reduce(speed)) / CELLS_PER_S]

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
    """Gait codes with `STAIRS` where either end of a walk shows it: what a rest vouches for after it, and one before it."""
    ahead = ClimbStage().follow(acc_up_mps2, turn_dps, up, gap_before, codes)
    # Seen backwards in time the rest at the end comes first; a gap lies on the other side of its second.
    gaps = np.append(gap_before[1:], False)[::-1]
    back = ClimbStage().follow(acc_up_mps2[::-1], turn_dps[::-1], up[::-1], gaps, codes[::-1])[::-1]
    return [max(a, b) for a, b in zip(ahead, back, strict=True)]
