"""Orientation from acceleration and angular rate alone: VQF (Laidig & Seel 2023, Inf Fusion 91:187), six axes.

`CausalOrientation` is here; `settled.py` waits up to 10 s for what follows, `retro.py` for the whole recording.

Deviations from the paper's defaults, chosen on a simulated wearer, an optical rig and one person's walk together
(`docs/validation.md` says how far that flatters the figures):

- ``tau_acc`` 4.5 s instead of 3 s (retro 5 s): in a day on a pelvis gravity is wrong (steps, sitting down) more often than the gyroscope.
- Rest detection is tighter, and what is learnt at rest is trusted less (0.07 °/s instead of 0.03): a quiet person still sways.
- The gyroscope's bias may start at several °/s (2 °/s standard deviation instead of 0.5, clip at 6): cheap sensors do, and a
  filter that does not expect it needs minutes. This alone took the error of a 25 s walk from 1.4° to 1.1°.

After a gap the filter keeps heading and bias and levels anew, but not from nothing: its last gravity enters as the mean of
``prior_s / (1 + gap)`` seconds of samples. On walking with 5 % loss in bursts of 0.3 to 3 s that leaves 0.7-1.0° outside the 2 s of
settling; levelling from nothing leaves 0.8-1.4°, going on as if nothing had happened 1.0-1.4° (19 recordings of 10 m walks).
Whoever lay down while nothing was received is told by the first sample: walking pushes hardly sideways by more than half of gravity, so a
reading of about gravity's size more than 30° beside the last gravity is the new one. Then what was before counts for nothing.

A chip's own low-pass delays what it reports: of two chips of which data sheets tell it (MPU-6050, MPU-9250: eight settings from 20
to 188 Hz) by 1.7 ms + 0.15 / bandwidth. With the bandwidth at 0.4 of the sample rate, as chips of today set it, that is
1.7 ms + 0.375 samples. Taking each rate for the whole interval before it, as VQF does, looks half a sample ahead already; the filter is given
the rest. At 100 Hz that is nothing worth the arithmetic; from 130 Hz on it is, in fast turns (0.56° to 0.42° on an optical rig).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np

from processing.frames import DEG, rotate_by
from processing.gaps import Filled
from processing.orientation.calibration import CalibrationParams, Calibrator
from processing.orientation.opening import Opening, Start
from processing.orientation.paired import PairedVQF
from processing.types import F64, GRAVITY_MPS2, NS_PER_S

_CHIP_DELAY_S: Final = 1.7e-3
_CHIP_DELAY_SAMPLES: Final = 0.375
_LEAST_AHEAD: Final = 0.1
"""Samples below which the delay is left alone."""
_TURNED_COS: Final = math.cos(math.radians(30.0))
_TURN_S: Final = 0.25
"""In less nobody's pelvis turns by so much: that would be 120 °/s."""
_PLAIN: Final = 0.3
"""Share of gravity by which a reading may differ from its size and still be taken for it."""
_AVERAGING: Final = float("nan")
"""Mark by which the filter knows that its low-pass still averages its first samples."""


@dataclass(frozen=True, slots=True)
class OrientationParams:
    """Filter constants: times [s], rates [deg/s], accelerations [m/s²]. Rows come at ``rate_hz``, of a chip that samples at
    ``chip_rate_hz`` (None: the same).
    """

    rate_hz: float
    chip_rate_hz: float | None = None
    tau_acc_s: float = 4.5
    retro_tau_acc_s: float = 5.0
    rest_gyr_dps: float = 1.2
    rest_acc_mps2: float = 0.3
    rest_min_s: float = 3.0
    bias_clip_dps: float = 6.0
    bias_sigma_init_dps: float = 2.0
    bias_sigma_rest_dps: float = 0.07
    prior_s: float = 1.5

    @property
    def ahead(self) -> float:
        """Rows by which orientation is carried forward to make up for the chip's own delay; see the module."""
        chip_rate_hz = self.chip_rate_hz or self.rate_hz
        left = _CHIP_DELAY_S * chip_rate_hz + _CHIP_DELAY_SAMPLES - 0.5
        return left * self.rate_hz / chip_rate_hz if left >= _LEAST_AHEAD else 0.0

    def vqf(self, *, retro: bool = False) -> dict[str, float]:
        """Parameters under the library's names."""
        return {
            "tauAcc": self.retro_tau_acc_s if retro else self.tau_acc_s,
            "restThGyr": self.rest_gyr_dps,
            "restThAcc": self.rest_acc_mps2,
            "restMinT": self.rest_min_s,
            "biasClip": self.bias_clip_dps,
            "biasSigmaInit": self.bias_sigma_init_dps,
            "biasSigmaRest": self.bias_sigma_rest_dps,
        }


@dataclass(frozen=True, slots=True)
class Oriented:
    """Filled samples with their unit quaternions earth ← sensor (n, 4)."""

    filled: Filled
    q_es: F64


def carried_ahead(gyr_rps: F64, before_rps: F64, samples: float) -> F64:
    """Rates (n, 3) whose sum runs ``samples`` ahead of the sum of ``gyr_rps``; ``before_rps`` (3,) came before the first.

    It adds to the rotation what the present rate turns in so many samples, and nothing that stays.
    """
    if not samples or not len(gyr_rps):
        return gyr_rps
    out = np.empty_like(gyr_rps)
    out[0] = gyr_rps[0] + samples * (gyr_rps[0] - before_rps)
    out[1:] = gyr_rps[1:] + samples * (gyr_rps[1:] - gyr_rps[:-1])
    return out


class OrientationFilter:
    """VQF over filled samples: quaternions (n, 4) and gyroscope bias [rad/s] (n, 3) for every row.

    ``calibrator`` learns the accelerometer's error on the way; ``rates`` and ``forces`` (n, 3) are those the filter was given last.
    """

    def __init__(self, params: OrientationParams) -> None:
        self.params = params
        self._vqf = PairedVQF(params.rate_hz, params.vqf())
        self.calibrator = Calibrator(CalibrationParams(params.rate_hz))
        self._opening = Opening(params.rate_hz, params.bias_sigma_init_dps)
        self.rates: F64 = np.empty((0, 3))
        self.forces: F64 = np.empty((0, 3))
        self._last_rate: F64 = np.zeros(3)

    def update(self, filled: Filled) -> tuple[F64, F64]:
        gyr = carried_ahead(filled.gyr_rps, self._last_rate, self.params.ahead)
        self.forces = self.calibrator.corrected(filled.t_utc_ns, filled.acc_mps2, filled.gyr_rps)
        acc = self.forces
        self.rates = gyr
        if len(gyr):
            self._last_rate = filled.gyr_rps[-1].copy()
        if not filled.breaks:
            return self._run(gyr, acc)
        q, bias = np.empty((len(gyr), 4)), np.empty((len(gyr), 3))
        start = 0
        for at, gap in zip(filled.breaks, filled.gaps, strict=True):
            q[start:at], bias[start:at] = self._run(gyr[start:at], acc[start:at])
            self._level_anew((gap.to_ns - gap.from_ns) / NS_PER_S, acc[at])
            start = at
        q[start:], bias[start:] = self._run(gyr[start:], acc[start:])
        return q, bias

    def _level_anew(self, gap_s: float, first_acc: F64) -> None:
        """Put the low-pass of gravity back into its averaging phase, with the last gravity as so many samples' mean, or with the
        first reading (3,) after the gap where that says that the sensor has turned.
        """
        self._opening.broken()
        self._vqf.anew()
        state = self._vqf.state
        gravity, reading = state["lastAccLp"], rotate_by(np.array([state["gyrQuat"]]), first_acc[None])[0].tolist()
        if gap_s >= _TURN_S and _turned(gravity, reading):
            low_pass = self._average(reading, 0.0)
        else:
            low_pass = self._average(gravity, self.params.prior_s / (1.0 + gap_s))
        self._vqf.state = {**state, "accLpState": low_pass}

    def _average(self, gravity: list[float], seconds: float) -> list[float]:
        """The low-pass as if ``gravity``, in the frame that follows the gyroscope, were the mean of so many seconds."""
        count = max(1.0, seconds * self._vqf.step_hz)
        return [_AVERAGING, count, *(count * g for g in gravity), _AVERAGING]

    def _run(self, gyr: F64, acc: F64) -> tuple[F64, F64]:
        if self._opening.over or not len(gyr):
            return self._vqf.update(gyr, acc)
        parts: list[tuple[F64, F64]] = []
        lo = 0
        while lo < len(gyr):
            hi = len(gyr) if self._opening.over else min(len(gyr), lo + self._opening.left)
            parts.append(self._vqf.update(gyr[lo:hi], acc[lo:hi]))
            if not self._opening.over:
                if hi - lo == self._opening.left:
                    self._vqf.flush()
                self._go_on_with(self._opening.take(gyr[lo:hi], acc[lo:hi], resting=self._vqf.state["restDetected"]))
            lo = hi
        q, bias = (np.concatenate(column) for column in zip(*parts, strict=True))
        return q, bias

    def _go_on_with(self, start: Start | None) -> None:
        """Take over what the first seconds tell."""
        if start is None:
            return
        state = self._vqf.state
        variances = (100.0 * DEG) ** 2 * start.covariance  # the library counts in hundredths of a degree
        state = {**state, "bias": start.bias_rps.tolist(), "biasP": variances.ravel().tolist()}
        if start.up is not None:
            gravity = GRAVITY_MPS2 * rotate_by(np.array([state["gyrQuat"]]), start.up[None])[0]
            state["accLpState"] = self._average(gravity.tolist(), self.params.prior_s)
        self._vqf.state = state

    def snapshot(self) -> dict[str, Any]:
        return {
            "vqf": self._vqf.snapshot(),
            "last_rate": self._last_rate,
            "calibrator": self.calibrator.snapshot(),
            "opening": self._opening.snapshot(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._vqf.restore(state["vqf"])
        self._last_rate = state["last_rate"]
        self.calibrator.restore(state["calibrator"])
        self._opening.restore(state["opening"])


def _turned(gravity: list[float], reading: list[float]) -> bool:
    """Whether a first reading is a gravity that points elsewhere."""
    size = math.hypot(*reading)
    near = sum(g * r for g, r in zip(gravity, reading, strict=True)) > _TURNED_COS * math.hypot(*gravity) * size
    return not near and abs(size - GRAVITY_MPS2) < _PLAIN * GRAVITY_MPS2


class Estimator(Protocol):
    """Orientation of a stream, however long it waits for what follows: causal, settled, or retrospective.

    ``calibrator`` says what was taken out of the accelerometer, and when.
    """

    calibrator: Calibrator

    def update(self, filled: Filled) -> list[Oriented]: ...
    def finish(self) -> list[Oriented]: ...


class CausalOrientation:
    """Every row at once, from the past alone."""

    def __init__(self, params: OrientationParams) -> None:
        self._filter = OrientationFilter(params)
        self.calibrator = self._filter.calibrator

    def update(self, filled: Filled) -> list[Oriented]:
        if not len(filled.t_utc_ns):
            return []
        q, _ = self._filter.update(filled)
        return [Oriented(replace(filled, corrected_mps2=self._filter.forces), q)]

    def finish(self) -> list[Oriented]:
        return []

    def snapshot(self) -> dict[str, Any]:
        return self._filter.snapshot()

    def restore(self, state: dict[str, Any]) -> None:
        self._filter.restore(state)
