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
from processing.types import F64, Bool, SecondBlock

LIMIT_MPS2: Final = 0.13
QUARTERS: Final = 4
LEAST_SAMPLES: Final = 5 * QUARTERS
_SURELY_BELOW: Final = 0.9  # rounding is far less


def shaken_seconds(block: SecondBlock, spread_mps2: F64 | None = None) -> Bool:
    """One bool a second (m,): root mean square of the specific force about its quarter-second means beyond the limit, in
    every quarter by at least a third of it, so that one knock does not count. Seconds of few samples are not shaken.

    ``spread_mps2`` (m,) is the same about the second's own mean (`SecondTilt.acc_spread_mps2`), which is never less: where it is given,
    most seconds of a day need no closer look.
    """
    count = block.count
    found = np.zeros(len(count), dtype=np.bool_)
    closer = count >= LEAST_SAMPLES
    if spread_mps2 is not None:
        closer &= spread_mps2 > _SURELY_BELOW * LIMIT_MPS2
    n = count[closer]
    if not len(n):
        return found
    rows = slice(None) if len(n) == len(count) else np.repeat(closer, count)
    start = np.cumsum(n) - n
    quarter = np.arange(QUARTERS)
    at = (start[:, None] + n[:, None] * quarter // QUARTERS).ravel()
    length = (start[:, None] + n[:, None] * (quarter + 1) // QUARTERS).ravel() - at
    square = np.zeros(len(at))
    for axis in columns(block.acc_p_mps2):
        acc = axis[rows]
        # Centred on the second's own first sample: a difference of squares of 9.8 m/s² would lose its digits.
        off = acc - np.repeat(acc[start], n)
        mean = np.add.reduceat(off, at) / length
        off *= off
        square += np.maximum(0.0, np.add.reduceat(off, at) / length - mean * mean)
    rms = np.sqrt(square).reshape(-1, QUARTERS)
    whole = np.sqrt(np.add.reduce(np.ascontiguousarray((rms * rms).T), axis=0) / QUARTERS)
    found[closer] = (whole >= LIMIT_MPS2) & (rms.min(axis=1) >= LIMIT_MPS2 / 3)
    return found
