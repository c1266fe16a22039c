"""From orientation to pelvis axes: rotates samples, takes gravity away, computes the angles, marks settling and clipping.

An alignment with a neutral pose holds what the uncorrected sensor read in it. Once the accelerometer's error is known
(`orientation/calibration.py`) that pose points elsewhere in corrected axes; the alignment is turned by the same angle, so that zero stays at the pose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from processing.alignment.static import Alignment
from processing.features.seconds import AlignedBatch
from processing.frames import Rows, component, rotate, tilt_and_obliquity_deg, up_in_sensor
from processing.gaps import Filled
from processing.orientation.calibration import Calibrator, Correction
from processing.types import F64, GRAVITY_MPS2, I64, NS_PER_S

T = TypeVar("T", bound=np.generic)


@dataclass(slots=True)
class AlignStage:
    """Applies the alignment in force; samples within ``settle_s`` after the start or a break are not valid.

    ``calibrator`` is that of the orientation (None: its samples were not corrected). Samples of one call must not cross a
    change of correction: those fall on full minutes, where the core cuts, or between blocks.
    """

    alignment: Alignment
    calibrator: Calibrator | None = None
    settle_s: float = 2.0
    _turned: tuple[Alignment, Correction, Rows] | None = None  # the last answer of `rows`
    _settled_from_ns: int = 0
    _started: bool = False

    def update(self, filled: Filled, q_es: F64, room: int = 0) -> tuple[AlignedBatch, F64]:
        """Received rows only (bridged ones have served the filter), behind ``room`` free ones, and their quaternions (n, 4)."""
        t, gyr, (rows, acc) = filled.t_utc_ns, filled.gyr_rps, self._corrected(filled)
        hold_ns = round(self.settle_s * NS_PER_S)
        settled = t >= self._settled_from_ns if len(t) and t[0] < self._settled_from_ns else None
        gap_at = np.zeros(len(t), dtype=bool)
        restarts = filled.breaks if self._started or not len(t) else [0, *filled.breaks]
        self._started = self._started or bool(len(t))
        for i in restarts:
            self._settled_from_ns = int(t[i]) + hold_ns
            gap_at[i] = True
            settled = np.ones(len(t), dtype=bool) if settled is None else settled
            settled[i:] &= t[i:] >= self._settled_from_ns
        clipped, share, real = filled.clipped, filled.share, filled.real
        if real is not None:
            t, acc, gyr, q_es, gap_at = t[real], acc[real], gyr[real], q_es[real], gap_at[real]
            settled, clipped = (None if marks is None else marks[real] for marks in (settled, clipped))
            share = None if share is None else share[real]
        n = room + len(t)
        vectors, angles, valid = np.empty((10, n)), np.empty((2, n)), np.empty(n, dtype=bool)
        acc_p, gyr_p, up_p, acc_up = vectors[:3].T, vectors[3:6].T, vectors[6:9].T, vectors[9]
        up_s = up_in_sensor(q_es)
        tilt, _ = tilt_and_obliquity_deg(rotate(rows, up_s, out=up_p[room:]), out=angles[:, room:])
        known = np.equal(tilt, tilt, out=valid[room:])  # NaN is not
        if settled is not None:
            known &= settled
        up_only = component(acc, up_s, out=acc_up[room:])
        up_only -= GRAVITY_MPS2
        rotate(rows, acc, out=acc_p[room:])
        rotate(rows, gyr, out=gyr_p[room:])
        return AlignedBatch(
            _behind(room, t),
            acc_p,
            gyr_p,
            up_p,
            acc_up,
            angles[0],
            angles[1],
            valid,
            _behind(room, gap_at),
            np.zeros(n, dtype=bool) if clipped is None else _behind(room, clipped),
            None if share is None else _behind(room, share),
            room,
        ), q_es

    def _corrected(self, filled: Filled) -> tuple[Rows, F64]:
        """Sensor to pelvis, and the specific force (n, 3) that it holds for."""
        if self.calibrator is None or not len(filled.t_utc_ns):
            return self.alignment.r_ps, filled.acc_mps2
        begin_ns, acc = int(filled.t_utc_ns[0]), filled.corrected_mps2
        return self.rows_at(begin_ns), self.calibrator.at(begin_ns).apply(filled.acc_mps2) if acc is None else acc

    def rows_at(self, t_utc_ns: int) -> Rows:
        """Sensor to pelvis for samples corrected as holds at a time: the neutral pose stays zero."""
        correction = None if self.calibrator is None else self.calibrator.at(t_utc_ns)
        if correction is None or not (correction.directions and self.alignment.has_neutral):
            return self.alignment.r_ps
        last = self._turned
        if last is None or last[0] is not self.alignment or last[1] is not correction:
            last = self._turned = (self.alignment, correction, _kept_zero(self.alignment.r_ps, correction))
        return last[2]

    def up_in_pelvis(self, t_utc_ns: I64, q_es: F64) -> F64:
        """Up in pelvis axes (n, 3) for samples that may cross changes of correction."""
        up_s, out = up_in_sensor(q_es), np.empty((len(q_es), 3))
        changes = [] if self.calibrator is None else [c.from_ns for c in self.calibrator.history]
        edges = sorted({0, *np.searchsorted(t_utc_ns, changes).tolist(), len(t_utc_ns)})
        for lo, hi in zip(edges[:-1], edges[1:], strict=True):
            out[lo:hi] = rotate(self.rows_at(int(t_utc_ns[lo])), up_s[lo:hi])
        return out

    def offset_sd_mps2(self, second: I64) -> F64 | float:
        """Doubt of the accelerometer's offset in each of these UTC seconds (m,); one number where it never changed."""
        if self.calibrator is None:
            return 0.0
        history = self.calibrator.history
        if len(history) == 1:
            return history[0].sd_mps2
        last = np.searchsorted([c.from_ns for c in history], second * NS_PER_S, side="right") - 1
        out: F64 = np.array([c.sd_mps2 for c in history])[np.maximum(last, 0)]
        return out

    def new_corrections(self) -> list[Correction]:
        """Corrections not told yet."""
        return [] if self.calibrator is None else self.calibrator.take_new()

    def snapshot(self) -> dict[str, Any]:
        return {"settled_from_ns": self._settled_from_ns, "started": self._started}

    def restore(self, state: dict[str, Any]) -> None:
        self._settled_from_ns, self._started = state["settled_from_ns"], state["started"]


def _behind(room: int, values: NDArray[T]) -> NDArray[T]:
    """``values`` (n,) behind ``room`` free places."""
    if not room:
        return values
    out = np.empty(room + len(values), values.dtype)
    out[room:] = values
    return out


def _kept_zero(r_ps: Rows, correction: Correction) -> Rows:
    """``r_ps`` after the shortest turn from the corrected direction of the neutral pose to the one the sensor read."""
    read = np.array(r_ps[1])
    pose = correction.apply(read[None, :] * GRAVITY_MPS2)[0]
    pose = pose / np.sqrt(np.sum(pose * pose))
    axis = np.cross(pose, read)
    k = np.array([[0.0, -axis[2], axis[1]], [axis[2], 0.0, -axis[0]], [-axis[1], axis[0], 0.0]])
    turn = np.eye(3) + k + k @ k / (1.0 + float(np.sum(pose * read)))
    a, b, c = (np.array(r_ps) @ turn).tolist()
    return (tuple(a), tuple(b), tuple(c))
