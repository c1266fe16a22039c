"""How a pelvis moves while walking, running and climbing stairs: waves of the stride, added to a day by `motion.py`.

Each channel is a short sum of waves of the stride phase (0 = right foot's contact, step = second harmonic) under an envelope that is
0 at both ends of a bout. Accelerations are second derivatives of the displacement including the envelope's part, so a bout leaves no
height and no speed behind; rates are the exact derivatives of the angles.

Walking, as a sensor at the lower back feels it:

- Up and ahead beat with the step, up to the sixth of its harmonics where the heel's strike is; sideways beats with the odd
  harmonics of the stride (Menz et al. 2003, Gait Posture 18:35). Ahead leads up by about 110° and turns round at contact (Zijlstra
  & Hof 2003, Gait Posture 18:1).
- The pelvis moves aside over the standing foot, which pushes it back, and is higher on that foot's side: in the sensor gravity takes
  away part of that push. In all it tilts by 4°, its sides rise by 6° and it turns by 9°.
- A faster step rises as high: up grows with the square of the step rate, ahead with the rate (Kavanagh 2009, J NeuroEng Rehabil 6:9:
  all three grow with speed).
- No two strides are alike. Their times wander by 2 % (Hausdorff et al. 1996, J Appl Physiol 80:1448), and waves between the
  harmonics hold the power by which strides differ: a seventh of it up, two fifths sideways (as regularity is measured by
  Moe-Nilssen & Helbostad 2004, J Biomech 37:121).

Sizes and phases are rounded from the mean stride of ten people at L5 (IPOL 2023 article 497); no detector was asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from processing.synthetic.tracks import smoothstep
from processing.types import F64

ONSET_S: Final = 1.2
"""Time in which a gait builds up and dies away."""
_WANDER_RAD_PER_S: Final = 2.0 * math.pi / 7.3
_WANDER: Final = 0.02
"""The step rate wanders by two per cent within a bout: stride times of people are not constant."""
_BETWEEN: Final = (1.23, 2.19, 3.79, 4.74, 6.27, 8.81)
"""Waves by which strides differ, in multiples of the stride: none of them comes back with it."""
_GOLDEN_DEG: Final = 137.5

_HIGHEST: Final = 12

Terms = tuple[tuple[float, float, float], ...]
"""(multiple of the stride, amplitude, phase in degrees) ..."""
Waves = dict[float, tuple[F64, F64]]
"""Cosine and sine of multiples of the stride phase."""
Loose = tuple[float, float, float]
"""Amplitude of each wave of `_BETWEEN` in three channels."""


@dataclass(frozen=True, slots=True)
class Gait:
    """Amplitudes of one kind of gait: accelerations [m/s²] up, ahead and right, angles [deg]; mean lean [deg], speeds [m/s].

    ``loose_mps2`` (up, ahead, right) and ``loose_dps`` (rates of tilt, obliquity, rotation [deg/s]) are what differs from stride to stride.
    """

    step_hz: float
    speed_mps: float
    climb_mps: float
    lean_deg: float
    up_mps2: Terms
    ahead_mps2: Terms
    right_mps2: Terms
    tilt_deg: Terms
    obliquity_deg: Terms
    rotation_deg: Terms
    loose_mps2: Loose
    loose_dps: Loose


GAITS: Final[Mapping[str, Gait]] = {
    "walking": Gait(
        step_hz=1.85,
        speed_mps=1.3,
        climb_mps=0.0,
        lean_deg=2.0,
        up_mps2=(
            (2, 2.6, -43.0),
            (4, 0.6, 23.0),
            (6, 0.9, 0.0),
            (8, 1.05, -94.0),
            (10, 0.95, -150.0),
            (12, 0.6, 180.0),
        ),
        ahead_mps2=((2, 1.7, 70.0), (4, 1.0, 54.0), (6, 0.85, 21.0), (8, 0.5, -7.0), (10, 0.35, 31.0), (12, 0.3, 17.0)),
        right_mps2=(
            (1, 0.8, 86.0),
            (3, 0.35, -120.0),
            (5, 0.65, 132.0),
            (7, 0.55, 47.0),
            (9, 0.45, -13.0),
            (11, 0.4, -38.0),
        ),
        tilt_deg=((2, 1.2, 66.0), (4, 0.35, 29.0), (6, 0.2, -144.0)),
        obliquity_deg=((1, 2.6, -124.0), (3, 1.2, 181.0), (5, 0.25, 137.0)),
        rotation_deg=((1, 4.0, -37.0), (3, 0.5, 134.0), (5, 0.2, 12.0)),
        loose_mps2=(0.5, 0.4, 0.45),
        loose_dps=(5.0, 4.5, 6.0),
    ),
    "running": Gait(
        step_hz=2.7,
        speed_mps=2.8,
        climb_mps=0.0,
        lean_deg=6.0,
        up_mps2=((2, 9.0, -40.0), (4, 2.5, -60.0), (6, 1.0, -80.0)),
        ahead_mps2=((2, 2.6, 43.0), (4, 1.0, 20.0)),
        right_mps2=((1, 1.6, 90.0), (3, 0.9, 90.0)),
        tilt_deg=((2, 2.5, 40.0),),
        obliquity_deg=((1, 5.0, -60.0),),
        rotation_deg=((1, 7.0, 10.0),),
        loose_mps2=(1.2, 0.6, 0.6),
        loose_dps=(8.0, 7.0, 9.0),
    ),
    "stairs": Gait(
        step_hz=1.5,
        speed_mps=0.45,
        climb_mps=0.24,
        lean_deg=6.0,
        up_mps2=((2, 1.7, -30.0), (4, 0.8, -20.0), (6, 0.3, 0.0)),
        ahead_mps2=((2, 0.7, 75.0), (4, 0.4, 10.0)),
        right_mps2=((1, 0.9, 90.0), (3, 0.3, 90.0)),
        tilt_deg=((2, 2.8, 70.0),),
        obliquity_deg=((1, 5.5, -40.0),),
        rotation_deg=((1, 3.0, 10.0),),
        loose_mps2=(0.45, 0.3, 0.4),
        loose_dps=(5.0, 4.5, 5.0),
    ),
}


@dataclass(frozen=True, slots=True)
class Bout:
    """One stretch of gait: key of `GAITS`, from ``start_s`` to ``stop_s``, at its own step rate and vigour."""

    kind: str
    start_s: float
    stop_s: float
    step_hz: float
    vigour: float


@dataclass(frozen=True, slots=True)
class Swing:
    """What gait adds to a still body: accelerations [m/s²], angles [rad] and their rates [rad/s], each (n,)."""

    up_mps2: F64
    ahead_mps2: F64
    right_mps2: F64
    tilt: tuple[F64, F64]
    obliquity: tuple[F64, F64]
    rotation: tuple[F64, F64]


def swing(bout: Bout, t_s: F64) -> Swing:
    """The bout's motion at times (n,) within it."""
    gait, stride = GAITS[bout.kind], math.pi * bout.step_hz
    tau = t_s - bout.start_s
    wander = _WANDER_RAD_PER_S * tau
    phase = stride * (tau + (_WANDER / _WANDER_RAD_PER_S) * np.sin(wander))
    rate = stride * (1.0 + _WANDER * np.cos(wander))
    rate_change = (-stride * _WANDER * _WANDER_RAD_PER_S) * np.sin(wander)
    rise, d_rise, dd_rise = smoothstep(tau / ONSET_S)
    fall, d_fall, dd_fall = smoothstep((bout.stop_s - t_s) / ONSET_S)
    envelope = rise * fall
    d_envelope = (d_rise * fall - rise * d_fall) / ONSET_S
    dd_envelope = (dd_rise * fall - 2.0 * d_rise * d_fall + rise * dd_fall) / (ONSET_S * ONSET_S)
    # What differs from stride to stride goes by the day's time, so that no bout begins as another does.
    waves = _waves(phase, range(1, _HIGHEST + 1)) | _waves(phase + stride * bout.start_s, _BETWEEN)
    quicker = bout.step_hz / gait.step_hz

    def acceleration(terms: Terms, loose: float, channel: int, size: float = 1.0) -> F64:
        # Displacement amplitude of a wave is its acceleration amplitude over its squared angular rate.
        size *= bout.vigour
        moved = tuple((k, -a * size / (k * stride) ** 2, p) for k, a, p in (*terms, *_between(loose, channel)))
        g, dg, ddg = _sum(moved, waves)
        velocity = dg * rate
        a: F64 = dd_envelope * g + 2.0 * d_envelope * velocity + envelope * (ddg * rate * rate + dg * rate_change)
        return a

    def angle(terms: Terms, loose_dps: float, channel: int) -> tuple[F64, F64]:
        loose = ((k, a / (k * stride), p) for k, a, p in _between(loose_dps, channel))
        g, dg, _ = _sum(tuple((k, math.radians(a * bout.vigour), p) for k, a, p in (*terms, *loose)), waves)
        return envelope * g, d_envelope * g + envelope * dg * rate

    return Swing(
        acceleration(gait.up_mps2, gait.loose_mps2[0], 0, quicker * quicker),
        acceleration(gait.ahead_mps2, gait.loose_mps2[1], 1, quicker),
        acceleration(gait.right_mps2, gait.loose_mps2[2], 2),
        angle(gait.tilt_deg, gait.loose_dps[0], 3),
        angle(gait.obliquity_deg, gait.loose_dps[1], 4),
        angle(gait.rotation_deg, gait.loose_dps[2], 5),
    )


def _between(amplitude: float, channel: int) -> Terms:
    """Waves of one channel that do not come back with the stride; golden angles keep any two channels apart."""
    return tuple((k, amplitude, _GOLDEN_DEG * (len(_BETWEEN) * channel + i)) for i, k in enumerate(_BETWEEN))


def _waves(phase: F64, multiples: Iterable[float]) -> Waves:
    return {k: (np.cos(k * phase), np.sin(k * phase)) for k in multiples}


def _sum(terms: Terms, waves: Waves) -> tuple[F64, F64, F64]:
    """Sum of ``amplitude * cos(k * phase + p)`` and its two derivatives by the phase."""
    size = len(waves[1][0])
    g, dg, ddg = np.zeros(size), np.zeros(size), np.zeros(size)
    for k, amplitude, degrees in terms:
        p = math.radians(degrees)
        a, b = amplitude * math.cos(p), amplitude * math.sin(p)
        cos_k, sin_k = waves[k]
        wave = a * cos_k - b * sin_k
        g += wave
        dg -= k * (a * sin_k + b * cos_k)
        ddg -= (k * k) * wave
    return g, dg, ddg
