"""Seconds as `slip.py` hears them: what each of them tells of the clip without a walk."""

from __future__ import annotations

from typing import Final

import numpy as np

from processing.alignment.gait_window import Three
from processing.frames import columns
from processing.types import F64, I64, Bool, SecondBlock

_ONE: Final = np.zeros(1, np.int64)


def mean_up_of(block: SecondBlock, row: int) -> Three:
    """Mean direction of up in pelvis axes over one second of the block."""
    a, b = block.start[row : row + 2].tolist()
    # As where all seconds are added up at once, to the last bit.
    (x,), (y,), (z,) = np.add.reduceat(columns(block.up_p[a:b]), _ONE, axis=1).tolist()
    return x / (b - a), y / (b - a), z / (b - a)


def turns_faster(block: SecondBlock, asked: Bool, least_dps: float) -> Bool:
    """In which of the seconds ``asked`` for (m,) gravity moves through the sensor at more than this rate (root mean square); turning
    round does not count.
    """
    first, count = block.start[:-1], block.count
    x, y, z = columns(block.gyr_p_rps)
    square = x * x
    square += y * y
    square += z * z
    fast: Bool = (_rms_dps(square, first, count) > least_dps) & asked
    if not fast.any():
        return fast
    rows, count = np.flatnonzero(np.repeat(fast, count)), count[fast]
    x, y, z = x[rows], y[rows], z[rows]
    across = x * x + y * y + z * z
    u, v, w = (up[rows] for up in columns(block.up_p))
    across -= (x * u + y * v + z * w) ** 2
    fast[fast] = _rms_dps(across, count.cumsum() - count, count) > least_dps
    return fast


def _rms_dps(square: F64, first: I64, count: I64) -> F64:
    """Degrees a second (m,) from squares of rad/s (n,), over the ``count`` samples from each ``first`` (m,) on."""
    out: F64 = np.degrees(np.sqrt(np.maximum(np.add.reduceat(square, first) / count, 0.0)))
    return out
