"""offlineVQF on two rows at a time, as `paired.py` does it with VQF. Used by `retro.py`.

A row alone (the first one, the first after a hole, the last one before a hole where they do not come out even) is a step of its own: its
turn over the time of a pair. The first row of a pair has the orientation of the step before, turned on by its own rate less its bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from vqf import offlineVQF

from processing.frames import by_rows
from processing.orientation.paired import LEAST_HZ, paired, turned_on
from processing.types import F64


def paired_offline(
    gyr_rps: F64, acc_mps2: F64, breaks: Sequence[int], rate_hz: float, parameters: Mapping[str, float]
) -> F64:
    """Quaternions earth ← sensor (n, 4) of rows (n, 3), some of which come after a hole; ``parameters`` under the library's names."""
    if rate_hz < LEAST_HZ:
        result = offlineVQF(by_rows(gyr_rps), by_rows(acc_mps2), None, 1.0 / rate_hz, dict(parameters))
        by_row: F64 = result["quat6D"]
        return by_row
    row_s = 1.0 / rate_hz
    stretches = list(pairwise(sorted({0, *breaks, len(gyr_rps)})))
    steps = [_steps(gyr_rps[a:b], acc_mps2[a:b], row_s) for a, b in stretches]
    rate, force = (np.concatenate([step[i] for step in steps], axis=1) for i in (0, 1))
    result = offlineVQF(by_rows(rate.T), by_rows(force.T), None, 2.0 * row_s, dict(parameters))
    q, bias = result["quat6D"].T, result["bias"].T
    out = np.empty((len(gyr_rps), 4))
    at = 0
    for (a, b), step in zip(stretches, steps, strict=True):
        to = at + step[0].shape[1]
        out[a:b] = _rows(gyr_rps[a:b], q[:, at:to], bias[:, at:to], row_s).T
        at = to
    return out


def _steps(gyr: F64, acc: F64, row_s: float) -> tuple[F64, F64]:
    """Rates and forces (3, m) of a stretch's steps: its first row, pairs, and a last row where one is left."""
    pairs = (len(gyr) - 1) // 2
    rows = np.empty((2, 5, 2 * pairs))  # by component: x, y, z, and x, y again for `cross`
    rows[0, :3], rows[1, :3] = gyr[1 : 1 + 2 * pairs].T, acc[1 : 1 + 2 * pairs].T
    rows[:, 3:] = rows[:, :2]
    rate, force = np.empty((2, 3, len(gyr) // 2 + 1))
    rate[:, [0, -1]], force[:, [0, -1]] = 0.5 * gyr[[0, -1]].T, acc[[0, -1]].T
    rate[:, 1 : 1 + pairs], force[:, 1 : 1 + pairs] = paired(rows[:, :, ::2], rows[:, :, 1::2], row_s)
    return rate, force


def _rows(gyr: F64, q: F64, bias: F64, row_s: float) -> F64:
    """Quaternions (4, n) of a stretch's rows from those (4, m) and biases (3, m) of its steps."""
    pairs = (len(gyr) - 1) // 2
    out = np.empty((4, len(gyr)))
    out[:, [0, -1]] = q[:, [0, -1]]
    out[:, 2 : 2 + 2 * pairs : 2] = q[:, 1 : 1 + pairs]
    turn = row_s * (gyr[1 : 1 + 2 * pairs : 2].T - bias[:, 1 : 1 + pairs])
    out[:, 1 : 1 + 2 * pairs : 2] = turned_on(q[:, :pairs], turn)
    return out
