"""Samples to cells of 1/16 s, cells to the four seconds that `gait_window.py` judges, however they come.

A short hole in a window is bridged; a window with a longer one tells nothing.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from processing.alignment.gait_window import (
    CELL_NS,
    CELLS_PER_S,
    CELLS_PER_WINDOW,
    HOP_S,
    WINDOW_S,
    GaitWindow,
    WindowParams,
    windows_of,
)
from processing.frames import columns
from processing.runs import first_rows, lengths
from processing.types import F64, I64

_AT_ONCE: Final = 64  # windows: what they take fits into a processor's cache


def cells_of(t_utc_ns: I64, acc_mps2: F64, gyr_rps: F64, up: F64) -> tuple[I64, F64]:
    """Means per cell: cell numbers (k,) and (9, k) of acceleration, rate of turn and up, from samples (n,), (n, 3) each."""
    return cell_means(t_utc_ns, np.concatenate([columns(v) for v in (acc_mps2, gyr_rps, up)]))


def cell_means(t_utc_ns: I64, values: F64) -> tuple[I64, F64]:
    """As `cells_of`, from acceleration, rate of turn and up by component (9, n)."""
    cell = t_utc_ns // CELL_NS
    first = first_rows(cell)
    if not len(first):
        return cell, np.empty((9, 0))
    return cell[first], np.add.reduceat(values, first, axis=1) / lengths(first, len(cell))


class WindowStage:
    """Cells in, windows out: a window is judged when a cell of its last second has come, however the cells are grouped."""

    def __init__(self, params: WindowParams | None = None) -> None:
        self.params = params or WindowParams()
        self._cell: I64 = np.empty(0, np.int64)
        self._values: F64 = np.empty((9, 0))

    def update(self, cell: I64, values: F64, *, judged: bool = False) -> list[GaitWindow]:
        """Cells (k,), (9, k) of complete seconds, later than all before; the windows that end with them, unless ``judged`` already."""
        if not len(cell):
            return []
        seconds = cell // CELLS_PER_S
        last = seconds[first_rows(seconds)]
        cell = np.concatenate([self._cell, cell])
        values = np.concatenate([self._values, values], axis=1)
        begin = last[:0] if judged else last[(last + 1 - WINDOW_S) % HOP_S == 0] + 1 - WINDOW_S
        found: list[GaitWindow] = []
        for i in range(0, len(begin), _AT_ONCE):
            some = begin[i : i + _AT_ONCE]
            a, b = cell.searchsorted((some[0] * CELLS_PER_S, (some[-1] + WINDOW_S) * CELLS_PER_S)).tolist()
            found += windows_of(*_whole(cell[a:b], values[:, a:b], some, self.params.max_hole_cells), self.params)
        keep = int(cell.searchsorted((int(last[-1]) + 2 - WINDOW_S) * CELLS_PER_S))
        self._cell, self._values = cell[keep:].copy(), values[:, keep:].copy()
        return found

    def snapshot(self) -> list[Any]:
        return [self._cell.copy(), self._values.T.copy()]

    def restore(self, state: list[Any]) -> None:
        cell, values = state
        self._cell, self._values = np.array(cell), np.array(values.T, order="C")


def _whole(cell: I64, values: F64, begin: I64, max_hole: int) -> tuple[list[int], F64, I64]:
    """Those of the windows from UTC seconds ``begin`` that have all their cells, short holes bridged: their seconds (k), cells (9, n)
    and which of these are theirs (k, N).
    """
    first = cell.searchsorted(begin * CELLS_PER_S)
    count = cell.searchsorted((begin + WINDOW_S) * CELLS_PER_S) - first
    whole = count == CELLS_PER_WINDOW
    bridged: list[F64] = []
    if not whole.all():
        for k in np.flatnonzero(~whole & (count >= CELLS_PER_WINDOW // 2)).tolist():
            own = slice(first[k], first[k] + count[k])
            full = _bridged(cell[own] - begin[k] * CELLS_PER_S, values[:, own], max_hole)
            if full is not None:
                whole[k], first[k] = True, len(cell) + CELLS_PER_WINDOW * len(bridged)
                bridged.append(full)
        begin, first = begin[whole], first[whole]
    cells = np.concatenate([values, *bridged], axis=1)  # in one piece in any case: `take` copies what is not
    return begin.tolist(), cells, first[:, None] + np.arange(CELLS_PER_WINDOW)


def _bridged(at: I64, values: F64, max_hole: int) -> F64 | None:
    """All cells (9, N) from those (9, k) ``at`` some places; None where a hole is too long."""
    if at[0] > max_hole or at[-1] < CELLS_PER_WINDOW - 1 - max_hole or (at[1:] - at[:-1]).max() > max_hole + 1:
        return None
    return np.stack([np.interp(np.arange(CELLS_PER_WINDOW), at, row) for row in values])
