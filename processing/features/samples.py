"""Angles of single samples, for tables and for the eye; where rows are groups of samples (`grouping.py`), told back from their end.

Called by the core behind `align.py`. Within a group orientation follows from that of the row and the rates after each sample. The
gyroscope's bias is left in them: over a group it turns some hundredths of a degree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from processing.features.seconds import AlignedBatch
from processing.frames import Rows, multiply, rotate, tilt_and_obliquity_deg, turned_by, up_in_sensor
from processing.gaps import Filled, Within
from processing.types import F64, Samples


def every_sample(
    filled: Filled, within: Within, aligned: AlignedBatch, q_es: F64, rows: Rows, chip_rate_hz: float
) -> Samples:
    """Received samples ``within`` the rows of ``filled``, of which ``aligned`` has the received rows and ``q_es`` (n, 4) their
    quaternions. ``rows``: sensor to pelvis as they were aligned.
    """
    if filled.real is not None:
        within = Within(within.t_utc_ns[filled.real], within.gyr_rps[filled.real], within.real[filled.real])
    size = within.t_utc_ns.shape[1]
    q = np.empty((len(q_es), size, 4))
    q[:, -1] = q_es
    for j in range(size - 1, 0, -1):
        q[:, j - 1] = multiply(q[:, j], turned_by(within.gyr_rps[:, j] / -chip_rate_hz))
    received = within.real.reshape(-1)
    q, t = q.reshape(-1, 4)[received], within.t_utc_ns.reshape(-1)[received]
    tilt, obliquity = tilt_and_obliquity_deg(rotate(rows, up_in_sensor(q)))
    valid = np.repeat(aligned.valid[aligned.room :], size)[received] & ~np.isnan(tilt)
    return Samples(t, q, tilt, obliquity, valid)


def joined(parts: Sequence[Samples]) -> Samples | None:
    """Consecutive pieces as one; None where there is none."""
    if len(parts) <= 1:
        return parts[0] if parts else None
    names = ("t_utc_ns", "q_es", "anterior_tilt_deg", "obliquity_deg", "valid")
    return Samples(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))
