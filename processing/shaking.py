"""Whether a second was shaken as a vehicle's seat shakes a person: broadband, all through the second.

From the mean of each quarter second the samples part by no more than noise, heartbeat and breath on a chair (some
0.02-0.06 m/s² at the pelvis), while a moving car's or bus's seat gives 0.2 to 0.8 m/s² (the range of ISO 2631-1 studies of
ride comfort [M]); the slow sway of a fidget falls out with the quarter's mean. The limit between them is a choice that
errs towards silence; `rules/riding.py` asks for minutes of it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from processing.types import F64, I64, Bool, SecondBlock

LIMIT_MPS2: Final = 0.13
QUARTERS: Final = 4
LEAST_SAMPLES: Final = 5 * QUARTERS


def shaken_seconds(block: SecondBlock) -> Bool:
    """One bool a second (m,): root mean square of the specific force about its quarter-second means beyond the limit, in
    every quarter by at least a third of it, so that one knock does not count. Seconds of few samples are not shaken.
    """
    start = block.start[:-1]
    count = np.diff(block.start)
    enough = count >= LEAST_SAMPLES
    if not enough.any():
        return np.zeros(len(count), dtype=np.bool_)
    first, n = start[enough], count[enough]
    quarter = np.arange(QUARTERS)
    at = (first[:, None] + n[:, None] * quarter // QUARTERS).ravel()
    ends = (first[:, None] + n[:, None] * (quarter + 1) // QUARTERS).ravel()
    length = ends - at
    square = np.zeros(len(at))
    for axis in range(3):
        acc: F64 = np.ascontiguousarray(block.acc_p_mps2[:, axis])
        # Centred on the second's own first sample: a difference of squares of 9.8 m/s² would lose its digits.
        off = acc - np.repeat(acc[block.start[:-1]], count)
        mean = _sums(off, at, ends) / length
        square += np.maximum(0.0, _sums(off * off, at, ends) / length - mean * mean)
    rms = np.sqrt(square).reshape(-1, QUARTERS)
    whole = np.sqrt(np.add.reduce(np.ascontiguousarray((rms * rms).T), axis=0) / QUARTERS)
    found = np.zeros(len(count), dtype=np.bool_)
    found[enough] = (whole >= LIMIT_MPS2) & (rms.min(axis=1) >= LIMIT_MPS2 / 3)
    return found


def _sums(values: F64, at: I64, ends: I64) -> F64:
    """Sums over the half-open stretches; each depends on its own values only."""
    edges = np.empty(2 * len(at), dtype=np.int64)
    edges[0::2], edges[1::2] = at, ends
    padded = np.append(values, 0.0)
    return np.add.reduceat(padded, edges)[0::2]
