"""The last twelve seconds of cells: enough to measure the longest movement that can be measured. Used by `bouts.Tracker`.

Cells are counted since the first one received, so that nothing depends on how seconds were grouped.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from processing.features.displacement import Displacement, Rest, rest_of, vertical_displacement
from processing.features.movement import CELLS_PER_S, Movement

LONGEST_CELLS: Final = 10 * CELLS_PER_S
"""Of a longer movement a double integral is noise."""
_HISTORY: Final = LONGEST_CELLS + 2 * CELLS_PER_S


class Cells:
    """Vertical acceleration, up and rate of turn per cell, the newest `_HISTORY` of them and the block in hand."""

    def __init__(self) -> None:
        self._acc, self._up, self._turn = np.empty(0), np.empty((0, 3)), np.empty(0)
        self._base = 0

    def add(self, m: Movement, count: int) -> None:
        """Take the cells of a block; ``count`` were received before."""
        self._base = count - len(self._acc)
        self._acc = np.concatenate([self._acc, m.acc_up_mps2])
        self._up = np.concatenate([self._up, m.up])
        self._turn = np.concatenate([self._turn, m.turn_dps])

    def trim(self) -> None:
        """The block is done: keep what a movement may still reach back to."""
        cut = max(0, len(self._acc) - _HISTORY)
        self._acc, self._up, self._turn = self._acc[cut:].copy(), self._up[cut:].copy(), self._turn[cut:].copy()

    def clear(self) -> None:
        """Forget all: the axes have changed."""
        self._acc, self._up, self._turn = self._acc[:0], self._up[:0], self._turn[:0]

    def mean(self, first: int, last: int) -> Rest:
        """Mean over cells first … last, last excluded."""
        a, b = max(first - self._base, 0), last - self._base
        return rest_of(self._acc[a:b], self._up[a:b])

    def moved(self, first: int, last: int, before: Rest, after: Rest) -> Displacement:
        """Displacement over cells first … last, last excluded."""
        cells = slice(first - self._base, last - self._base)
        return vertical_displacement(self._acc[cells], self._up[cells], self._turn[cells], before, after)

    def swing_mps2(self, first: int, last: int) -> float:
        """How far vertical acceleration ranges."""
        acc: list[float] = self._acc[max(first - self._base, 0) : last - self._base].tolist()
        return max(acc) - min(acc)

    def snapshot(self) -> dict[str, Any]:
        return {"acc": self._acc, "up": self._up, "turn": self._turn}

    def restore(self, state: dict[str, Any]) -> None:
        self._acc, self._up, self._turn = (np.array(state[k], dtype=np.float64) for k in ("acc", "up", "turn"))
