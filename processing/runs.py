"""Runs of equal values in a column that never falls: where they begin, how long they are, how far they lie apart; runs of marks; windows.

For every stage that groups samples by cell, second or minute. `np.diff` with ends attached takes several times as long, which counts
where a second comes at a time.
"""

from __future__ import annotations

import numpy as np

from processing.types import F64, I64, Bool


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


def over_windows(values: F64, width: int, extreme: np.ufunc) -> F64:
    """Largest (``np.maximum``) or least of each ``width`` values in a row: (n - width + 1,), in steps of twice the width before."""
    out, have = values, 1
    while have < width:
        more = min(have, width - have)
        out = extreme(out[:-more], out[more:])
        have += more
    return out
