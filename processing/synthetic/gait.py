"""How a pelvis moves while walking, running and climbing stairs: harmonics of the stride, added to a day by `motion.py`.

Each channel is a short sum of harmonics of the stride phase (step = second harmonic) under an envelope that is 0 at both ends of
a bout. Accelerations are second derivatives of the displacement including the envelope's part, so a bout leaves no height and no
speed behind. Vertical acceleration peaks after heel strike and fore-aft leads it by 83°, as measured on people; tilt moves at
step frequency by 2-4° in all, obliquity and rotation at stride frequency.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
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

Terms = tuple[tuple[int, float, float], ...]
"""(harmonic of the stride, amplitude, phase in degrees) ..."""


@dataclass(frozen=True, slots=True)
class Gait:
    """Amplitudes of one kind of gait: accelerations [m/s²] up, ahead and right, angles [deg]; mean lean [deg], speeds [m/s]."""

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


GAITS: Final[Mapping[str, Gait]] = {
    "walking": Gait(
        step_hz=1.85,
        speed_mps=1.3,
        climb_mps=0.0,
        lean_deg=2.0,
        up_mps2=((2, 2.0, -25.0), (4, 0.9, -50.0), (6, 0.5, -75.0)),
        ahead_mps2=((2, 1.3, 58.0), (4, 0.6, 30.0)),
        right_mps2=((1, 0.8, -90.0), (3, 0.5, -90.0)),
        tilt_deg=((2, 1.5, 40.0),),
        obliquity_deg=((1, 3.5, -60.0), (3, 0.6, 0.0)),
        rotation_deg=((1, 4.5, 10.0),),
    ),
    "running": Gait(
        step_hz=2.7,
        speed_mps=2.8,
        climb_mps=0.0,
        lean_deg=6.0,
        up_mps2=((2, 9.0, -40.0), (4, 2.5, -60.0), (6, 1.0, -80.0)),
        ahead_mps2=((2, 2.6, 43.0), (4, 1.0, 20.0)),
        right_mps2=((1, 1.6, -90.0), (3, 0.9, -90.0)),
        tilt_deg=((2, 2.5, 40.0),),
        obliquity_deg=((1, 5.0, -60.0),),
        rotation_deg=((1, 7.0, 10.0),),
    ),
    "stairs": Gait(
        step_hz=1.5,
        speed_mps=0.45,
        climb_mps=0.24,
        lean_deg=6.0,
        up_mps2=((2, 1.7, -30.0), (4, 0.8, -20.0), (6, 0.3, 0.0)),
        ahead_mps2=((2, 0.7, 75.0), (4, 0.4, 10.0)),
        right_mps2=((1, 0.9, -90.0), (3, 0.3, -90.0)),
        tilt_deg=((2, 2.8, 70.0),),
        obliquity_deg=((1, 5.5, -40.0),),
        rotation_deg=((1, 3.0, 10.0),),
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
    waves = _harmonics(phase)

    def acceleration(terms: Terms) -> F64:
        # Displacement amplitude of a harmonic is its acceleration amplitude over its squared angular rate.
        moved = tuple((k, -a * bout.vigour / (k * stride) ** 2, p) for k, a, p in terms)
        g, dg, ddg = _sum(moved, waves)
        velocity = dg * rate
        a: F64 = dd_envelope * g + 2.0 * d_envelope * velocity + envelope * (ddg * rate * rate + dg * rate_change)
        return a

    def angle(terms: Terms) -> tuple[F64, F64]:
        g, dg, _ = _sum(tuple((k, math.radians(a * bout.vigour), p) for k, a, p in terms), waves)
        return envelope * g, d_envelope * g + envelope * dg * rate

    return Swing(
        acceleration(gait.up_mps2),
        acceleration(gait.ahead_mps2),
        acceleration(gait.right_mps2),
        angle(gait.tilt_deg),
        angle(gait.obliquity_deg),
        angle(gait.rotation_deg),
    )


def _harmonics(phase: F64) -> dict[int, tuple[F64, F64]]:
    """Cosine and sine of the multiples of the stride phase in use, from one pair by the addition theorem."""
    c1, s1 = np.cos(phase), np.sin(phase)
    c2, s2 = c1 * c1 - s1 * s1, 2.0 * s1 * c1
    c4, s4 = c2 * c2 - s2 * s2, 2.0 * s2 * c2
    return {
        1: (c1, s1),
        2: (c2, s2),
        3: (c2 * c1 - s2 * s1, s2 * c1 + c2 * s1),
        4: (c4, s4),
        6: (c4 * c2 - s4 * s2, s4 * c2 + c4 * s2),
    }


def _sum(terms: Terms, waves: dict[int, tuple[F64, F64]]) -> tuple[F64, F64, F64]:
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
