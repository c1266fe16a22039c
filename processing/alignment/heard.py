"""Seconds as `slip.py` hears them: what each of them tells of the clip without a walk."""

from __future__ import annotations

import numpy as np

from processing.frames import columns, component
from processing.types import F64, I64, Bool, SecondBlock


def mean_up_of(block: SecondBlock, row: int) -> F64:
    """Mean direction of up in pelvis axes over one second of the block, by component (3, 1)."""
    a, b = block.start[row : row + 2].tolist()
    total: F64 = np.add.reduceat(columns(block.up_p[a:b]), (0,), axis=1)
    return total / (b - a)


def turns_faster(block: SecondBlock, least_dps: float) -> Bool:
    """Whether gravity moves through the sensor at more than this rate (root mean square), per second (m,); turning round does not
    count.
    """
    first, count = block.start[:-1], block.count
    x, y, z = columns(block.gyr_p_rps)
    fast: Bool = _rms_dps(x * x + y * y + z * z, first, count) > least_dps
    if not fast.any():
        return fast
    rows, count = np.flatnonzero(np.repeat(fast, count)), count[fast]
    g, u = block.gyr_p_rps[rows], block.up_p[rows]
    about_up = component(g, u)
    across = component(g, g) - about_up * about_up
    fast[fast] = _rms_dps(across, count.cumsum() - count, count) > least_dps
    return fast


def _rms_dps(square: F64, first: I64, count: I64) -> F64:
    """Degrees a second (m,) from squares of rad/s (n,), over the ``count`` samples from each ``first`` (m,) on."""
    out: F64 = np.degrees(np.sqrt(np.maximum(np.add.reduceat(square, first) / count, 0.0)))
    return out
