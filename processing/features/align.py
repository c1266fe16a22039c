"""From orientation to pelvis axes: rotates samples, takes gravity away, computes the angles, marks settling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from processing.alignment.static import Alignment
from processing.features.seconds import AlignedBatch
from processing.frames import component, rotate, tilt_and_obliquity_deg, up_in_sensor
from processing.gaps import Filled
from processing.types import F64, GRAVITY_MPS2, NS_PER_S


@dataclass(slots=True)
class AlignStage:
    """Applies the alignment in force; samples within ``settle_s`` after the start or a break are not valid."""

    alignment: Alignment
    settle_s: float = 2.0
    _settled_from_ns: int = 0
    _started: bool = False

    def update(self, filled: Filled, q_es: F64) -> tuple[AlignedBatch, F64]:
        """Received samples only (bridged rows have served the filter), and their quaternions (n, 4)."""
        t, acc, gyr = filled.t_utc_ns, filled.acc_mps2, filled.gyr_rps
        hold_ns = round(self.settle_s * NS_PER_S)
        valid = np.ones(len(t), dtype=bool)
        gap_at = np.zeros(len(t), dtype=bool)
        restarts = filled.breaks if self._started or not len(t) else [0, *filled.breaks]
        self._started = self._started or bool(len(t))
        if len(t) and t[0] < self._settled_from_ns:
            valid &= t >= self._settled_from_ns
        for i in restarts:
            self._settled_from_ns = int(t[i]) + hold_ns
            gap_at[i] = True
            valid[i:] &= t[i:] >= self._settled_from_ns
        if filled.real is not None:
            t, acc, gyr, q_es = t[filled.real], acc[filled.real], gyr[filled.real], q_es[filled.real]
            valid, gap_at = valid[filled.real], gap_at[filled.real]
        up_s = up_in_sensor(q_es)
        up_p = rotate(self.alignment.r_ps, up_s)
        tilt, obliquity = tilt_and_obliquity_deg(up_p)
        valid &= ~np.isnan(tilt)
        acc_up = component(acc, up_s) - GRAVITY_MPS2
        acc_p, gyr_p = rotate(self.alignment.r_ps, acc), rotate(self.alignment.r_ps, gyr)
        return AlignedBatch(t, acc_p, gyr_p, up_p, acc_up, tilt, obliquity, valid, gap_at), q_es

    def snapshot(self) -> dict[str, Any]:
        return {"settled_from_ns": self._settled_from_ns, "started": self._started}

    def restore(self, state: dict[str, Any]) -> None:
        self._settled_from_ns, self._started = state["settled_from_ns"], state["started"]
