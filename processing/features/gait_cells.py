"""Braking and rightward acceleration of the pelvis in cells of 40 ms, from seconds of samples. Used by `gait_signal.py`.

Cells are those of the UTC grid, so that lost packets, sampling rate and chunking do not matter: a cell depends on its own rows and on
the first row of the next one only. At some 50 rows a second a cell holds two of them, now and then one or three. A row tells of the time
since the row before it, so the first one of a cell is shared with the cell before where both lie in one second: counted whole, rows of
52 or 57 Hz make the time from step to step 6 or 7 ms uncertain, shared 3 ms.

Horizontal axes are the pelvis axes levelled by "up", so a clip that leans does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from processing.runs import first_rows, lengths, rises
from processing.types import F64, GRAVITY_MPS2, I64, NS_PER_S, SecondBlock

CELL_NS: Final = 40_000_000
CELL_S: Final = CELL_NS / 1e9
_CELLS_A_SECOND: Final = NS_PER_S // CELL_NS
_ANTERIOR_WEIGHT: Final = 0.75


def row_ns(block: SecondBlock) -> float:
    """The time that a row tells of, a cell at most."""
    return min(float(CELL_NS), NS_PER_S / block.rate_hz)


def cells_of(block: SecondBlock) -> tuple[I64, F64, F64]:
    """Absolute numbers of the block's cells (k,), braking (upward less weighted anterior) and rightward acceleration (k,)."""
    means = _Means.of(block)
    vertical, anterior, right = (means(x) for x in (block.acc_up_mps2, block.acc_p_mps2[:, 0], block.acc_p_mps2[:, 2]))
    upward = vertical + GRAVITY_MPS2
    _level(anterior, upward, block.up_p[means.rows.first, 0])
    _level(right, upward, block.up_p[means.rows.first, 2])
    anterior *= _ANTERIOR_WEIGHT
    vertical -= anterior
    return means.number, vertical, right


@dataclass(frozen=True, slots=True)
class _Rows:
    """Which rows make up a block's k cells: ``first`` and ``second`` of each (slices where all have two), and how many it has.

    ``odd``: the cells that have not two, with the rows (in pairs) at which each begins and the next one does; None where those are many.
    Sums of two cost a fifth of what `reduceat` does.
    """

    first: I64 | slice
    second: I64 | slice
    count: I64 | int
    odd: tuple[I64, I64] | None

    @classmethod
    def of(cls, cell: I64) -> _Rows:
        """From the number of each row's cell (n,)."""
        n, every_other = len(cell), cell[::2]
        if (
            n == 2 * len(every_other)
            and (every_other == cell[1::2]).all()
            and (every_other[1:] > every_other[:-1]).all()
        ):
            none = np.empty(0, dtype=np.int64)
            return cls(slice(0, None, 2), slice(1, None, 2), 2, (none, none))
        first = first_rows(cell)
        count = lengths(first, n)
        odd = np.flatnonzero(count != 2)
        if 4 * len(odd) > len(first):
            return cls(first, first, count, None)
        begins = first[odd]
        bounds = np.stack((begins, begins + count[odd]), axis=1).ravel()
        return cls(first, np.minimum(first + 1, n - 1), count, (odd, bounds[:-1] if bounds[-1] == n else bounds))

    def sums(self, x: F64, first: F64) -> F64:
        """Sums (k,) of ``x`` (n,) over each cell, of which ``first`` (k,) are the first; in the order of `reduceat`, however told."""
        if self.odd is None:
            assert not isinstance(self.first, slice)
            whole: F64 = np.add.reduceat(x, self.first)
            return whole
        out, (odd, bounds) = first + x[self.second], self.odd
        if len(odd):
            out[odd] = np.add.reduceat(x, bounds)[::2]
        return out


@dataclass(frozen=True, slots=True)
class _Means:
    """How to average a block's n rows in k cells.

    ``number`` (k,) of each cell; ``early`` (k,): what of its first row belongs to the cell before; ``lent`` (k - 1,): what of the next
    cell's first row belongs to this one; ``weight`` (k,) in rows.
    """

    rows: _Rows
    number: I64
    early: F64
    lent: F64
    weight: F64

    @classmethod
    def of(cls, block: SecondBlock) -> _Means:
        cell = block.t_utc_ns // CELL_NS
        rows = _Rows.of(cell)
        number, count = cell[rows.first], rows.count
        early = (block.t_utc_ns[rows.first] - number * CELL_NS) / row_ns(block)
        np.subtract(1.0, early, out=early)
        np.maximum(0.0, early, out=early)
        lent = np.zeros(len(number))
        lent[:-1] = early[1:]
        # Nothing is lent across a hole or from one second to another.
        if int(number[-1] - number[0]) < len(number):
            lent[-int(number[0] + 1) % _CELLS_A_SECOND :: _CELLS_A_SECOND] = 0.0
        else:
            lent[:-1][(rises(number, 0)[1:] > 1) | (number[1:] % _CELLS_A_SECOND == 0)] = 0.0
        np.minimum(early, count + lent - 0.5, out=early)  # something is left of every cell
        return cls(rows, number, early, lent[:-1], count - early + lent)

    def __call__(self, x: F64) -> F64:
        """Means (k,) of ``x`` (n,)."""
        first = x[self.rows.first]
        out = self.rows.sums(x, first)
        out -= self.early * first
        out[:-1] += self.lent * first[1:]
        out /= self.weight
        return out


def _level(x: F64, upward: F64, up: F64) -> None:
    """Make an axis' acceleration ``x`` horizontal, in place: what lies along up is taken out, and the rest scaled to the axis' horizontal
    part (not below 1/5: lying).
    """
    x -= upward * up
    level = up * up
    np.subtract(1.0, level, out=level)
    np.maximum(level, 0.04, out=level)
    np.sqrt(level, out=level)
    x /= level
