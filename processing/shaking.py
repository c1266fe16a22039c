"""Whether a second was shaken as a vehicle's seat shakes a person: broadband, all through the second.

From the mean of each quarter second the samples part by no more than noise, heartbeat and breath on a chair (some
0.02-0.06 m/s² at the pelvis), while a moving car's or bus's seat gives 0.2 to 0.8 m/s² (the range of ISO 2631-1 studies of
ride comfort [M]); the slow sway of a fidget falls out with the quarter's mean. The limit between them is a choice that
errs towards silence; `rules/riding.py` asks for minutes of it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from processing.frames import columns
from processing.types import Bool, SecondBlock

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
    length = (first[:, None] + n[:, None] * (quarter + 1) // QUARTERS).ravel() - at
    # Between the quarters lie only seconds of few samples: what is added up from their start on is left out.
    edges = at if len(n) == len(count) else np.union1d(at, start)
    kept = slice(None) if len(n) == len(count) else np.isin(edges, at)
    square = np.zeros(len(at))
    for acc in columns(block.acc_p_mps2):
        # Centred on the second's own first sample: a difference of squares of 9.8 m/s² would lose its digits.
        off = acc - np.repeat(acc[start], count)
        mean = np.add.reduceat(off, edges)[kept] / length
        square += np.maximum(0.0, np.add.reduceat(off * off, edges)[kept] / length - mean * mean)
    rms = np.sqrt(square).reshape(-1, QUARTERS)
    whole = np.sqrt(np.add.reduce(np.ascontiguousarray((rms * rms).T), axis=0) / QUARTERS)
    found = np.zeros(len(count), dtype=np.bool_)
    found[enough] = (whole >= LIMIT_MPS2) & (rms.min(axis=1) >= LIMIT_MPS2 / 3)
    return found
