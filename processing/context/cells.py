"""The last twelve seconds of cells: enough to measure the longest movement that can be measured. Used by `bouts.Tracker`.

Cells are counted since the first one received, so that nothing depends on how seconds were grouped.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from processing.features.displacement import Displacement, Rest, cell_rows, rest_of, vertical_displacement
from processing.features.movement import CELLS_PER_S, Movement

LONGEST_CELLS: Final = 10 * CELLS_PER_S
"""Of a longer movement a double integral is noise."""
_HISTORY: Final = LONGEST_CELLS + 2 * CELLS_PER_S


class Cells:
    """Vertical acceleration, up and rate of turn per cell, the newest `_HISTORY` of them and the block in hand."""

    def __init__(self) -> None:
        self._rows = np.empty((5, 0))
        self._base = 0

    def add(self, m: Movement, count: int) -> None:
        """Take the cells of a block; ``count`` were received before."""
        self._base = count - self._rows.shape[1]
        self._rows = np.concatenate((self._rows, cell_rows(m.acc_up_mps2, m.up, m.turn_dps)), axis=1)

    def trim(self) -> None:
        """The block is done: keep what a movement may still reach back to."""
        self._rows = self._rows[:, -_HISTORY:].copy()

    def clear(self) -> None:
        """Forget all: the axes have changed."""
        self._rows = self._rows[:, :0]

    def mean(self, first: int, last: int) -> Rest:
        """Mean over cells first … last, last excluded."""
        return rest_of(self._rows[:, max(first - self._base, 0) : last - self._base])

    def moved(self, first: int, last: int, before: Rest, after: Rest) -> Displacement:
        """Displacement over cells first … last, last excluded."""
        return vertical_displacement(self._rows[:, first - self._base : last - self._base], before, after)

    def swing_mps2(self, first: int, last: int) -> float:
        """How far vertical acceleration ranges."""
        acc: list[float] = self._rows[0, max(first - self._base, 0) : last - self._base].tolist()
        return max(acc) - min(acc)

    def snapshot(self) -> dict[str, Any]:
        return {"acc": self._rows[0], "up": self._rows[1:4].T, "turn": self._rows[4]}

    def restore(self, state: dict[str, Any]) -> None:
        self._rows = cell_rows(*(np.array(state[k], dtype=np.float64) for k in ("acc", "up", "turn")))
