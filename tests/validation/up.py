"""Up at every received sample, by an estimator that is fed as the core feeds it (`processing/intake.py`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from processing.frames import up_in_sensor
from processing.intake import Intake
from processing.orientation.causal import CausalOrientation, Estimator, OrientationParams
from processing.orientation.retro import RetroOrientation
from processing.orientation.settled import SettledOrientation
from processing.types import F64, TimedBatch

MODES: dict[str, Callable[[OrientationParams], Estimator]] = {
    "online": CausalOrientation,
    "settled": SettledOrientation,
    "retro": RetroOrientation,
}


def up_by(mode: str, batch: TimedBatch, rate_hz: float) -> F64:
    """Up in sensor axes (n, 3); between the rows that samples were taken together in, by straight lines."""
    intake = Intake(rate_hz)
    estimator = MODES[mode](intake.orientation)
    parts = [part for filled in intake.through([batch]) for part in estimator.update(filled)] + estimator.finish()
    row_ns = np.concatenate([p.filled.t_utc_ns for p in parts])
    of_rows = up_in_sensor(np.concatenate([p.q_es for p in parts]))
    first_ns = row_ns[0]
    up = np.column_stack([np.interp(batch.t_utc_ns - first_ns, row_ns - first_ns, axis) for axis in of_rows.T])
    return up / np.sqrt(np.sum(up * up, axis=1, keepdims=True))
