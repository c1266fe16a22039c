"""Runs of equal values in a column that never falls: where they begin, how long they are, how far they lie apart; and runs of marks.

For every stage that groups samples by cell, second or minute. `np.diff` with ends attached takes several times as long, which counts
where a second comes at a time.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from processing.types import F64, I64, Bool

_SHORT: Final = 8


def first_rows(values: I64) -> I64:
    """The row at which each run of equal ``values`` (n,) begins."""
    begins = np.empty(len(values), dtype=np.bool_)
    begins[:1] = True
    np.not_equal(values[1:], values[:-1], out=begins[1:])
    return np.flatnonzero(begins)


def lengths(first: I64, end: int) -> I64:
    """Rows from each of ``first`` (k,) to the next, and from the last to ``end``."""
    out = np.empty_like(first)
    np.subtract(first[1:], first[:-1], out=out[:-1])
    out[-1:] = end - first[-1:]
    return out


def sums_of_runs(values: F64, first: I64, count: I64) -> F64:
    """Sum of ``values`` (n,) over each run of ``count`` rows from ``first`` (k,) on; the runs follow each other without a hole.

    Short runs of equal length, as the cells of a regular clock, are added for all runs at once: a quarter of the time of
    `np.add.reduceat`, in its order and so to its bits (the first value comes last; from eight more on it pairs them).
    """
    size = int(count[0])
    if not 2 <= size <= _SHORT or (count != size).any():
        out: F64 = np.add.reduceat(values, first)
        return out
    by_place = values[first[0] :].reshape(-1, size).T
    out = by_place[1] + by_place[2] if size > 2 else by_place[1].copy()
    for place in by_place[3:]:
        out += place
    out += by_place[0]
    return out


def rises(values: I64, before: int) -> I64:
    """Each of ``values`` (n,) less the one before it; ``before`` came before the first."""
    out = np.empty_like(values)
    np.subtract(values[1:], values[:-1], out=out[1:])
    out[:1] = values[:1] - before
    return out


def ahead(marks: Bool) -> I64:
    """For each row how many ``marks`` (n,) in a row begin with it; 0 where it has none."""
    at = np.arange(len(marks))
    ends = np.where(marks, len(marks), at)
    return np.minimum.accumulate(ends[::-1])[::-1] - at
