"""From a day's script to what an ideal sensor on the pelvis would feel: orientation, angular rate, specific force.

Orientation by the rotation-obliquity-tilt sequence (Baker 2001): ``R_WP = Ry(rho) Rx(o) Rz(tau)`` in the paper's world W
(X forward, Y up, Z right), with anterior tilt = -tau and obliquity = -o. Angular rate is that product's exact derivative
and specific force is ``R^T (a - g)``, both in pelvis axes, so integrating the one reproduces the other. All values are
elementwise functions of absolute time: any cutting into blocks gives the same bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from processing.frames import DEG
from processing.synthetic.gait import swing
from processing.synthetic.script import Script
from processing.types import F64, GRAVITY_MPS2, I64, NS_PER_S

_RAD: Final = math.pi / 180.0
# Breathing, postural sway and slow drift: (share, rate [rad/s], phase) per angle; a script scales them in degrees.
_SWAY_TILT: Final = ((0.55, 1.57, 0.0), (0.8, 0.71, 1.1), (0.5, 0.13, 2.3))
_SWAY_OBLIQUITY: Final = ((0.2, 1.57, 0.6), (0.5, 0.53, 2.9), (0.5, 0.11, 4.0))
_SWAY_ROTATION: Final = ((0.4, 0.41, 5.0),)


@dataclass(frozen=True, slots=True)
class Truth:
    """The wearer at times (n,): angles [deg] relative to the neutral pose, posture codes, and an ideal sensor's readings.

    ``acc_p_mps2``, ``gyr_p_rps`` (n, 3): specific force [m/s²] and angular rate [rad/s] in pelvis axes; ``acc_up_mps2`` (n,):
    vertical acceleration without gravity; ``linked`` (n,): False while the sensor is out of radio range.
    """

    t_utc_ns: I64
    anterior_tilt_deg: F64
    obliquity_deg: F64
    rotation_deg: F64
    posture: np.ndarray[tuple[int], np.dtype[np.int8]]
    linked: np.ndarray[tuple[int], np.dtype[np.bool_]]
    acc_p_mps2: F64
    gyr_p_rps: F64
    acc_up_mps2: F64


def render(script: Script, t_utc_ns: I64) -> Truth:
    """The wearer at strictly increasing times (n,) [ns]. Before and after the script the wearer stands still."""
    t: F64 = (t_utc_ns - script.start_utc_ns) * np.float64(1e-9)
    tracks = script.tracks
    sway, d_sway, _ = tracks["sway_deg"](t)
    phase = script.sway_phase
    tilt, d_tilt = _angle(tracks["tilt_deg"](t), sway, d_sway, _SWAY_TILT, t, phase)
    obliquity, d_obliquity = _angle(tracks["obliquity_deg"](t), sway, d_sway, _SWAY_OBLIQUITY, t, phase)
    heading, d_heading, _ = tracks["heading_deg"](t)
    # Rotation of the pelvis about the heading is kept apart: accelerations along the path follow the heading alone.
    turned, d_turned = _angle((np.zeros_like(t),) * 3, sway, d_sway, _SWAY_ROTATION, t, phase)
    _, speed, push = tracks["ahead_m"](t)
    pace, push_pace, _ = tracks["pace_mps"](t)
    _, climb_push, _ = tracks["climb_mps"](t)
    _, _, up = tracks["height_m"](t)
    up = up + climb_push
    ahead = push + push_pace
    # On a curve the pelvis accelerates towards the centre: to the left (minus right) for a turn to the left.
    right = -(speed + pace) * (d_heading * _RAD)
    for bout in script.bouts_between(float(t[0]), float(t[-1])) if len(t) else ():
        lo, hi = (int(i) for i in np.searchsorted(t, (bout.start_s, bout.stop_s)))
        moved, rows = swing(bout, t[lo:hi]), slice(lo, hi)
        up[rows] += moved.up_mps2
        ahead[rows] += moved.ahead_mps2
        right[rows] += moved.right_mps2
        for (x, dx), (angle, rate) in zip(
            ((tilt, d_tilt), (obliquity, d_obliquity), (turned, d_turned)),
            (moved.tilt, moved.obliquity, moved.rotation),
            strict=True,
        ):
            x[rows] += angle
            dx[rows] += rate
    d_rho = d_turned + d_heading * _RAD
    acc, gyr = _felt(tilt, d_tilt, obliquity, d_obliquity, turned, d_rho, ahead, up, right)
    return Truth(
        t_utc_ns,
        tilt * DEG,
        obliquity * DEG,
        turned * DEG + heading,
        script.posture_codes(t),
        script.linked(t),
        acc,
        gyr,
        up,
    )


def _angle(
    base_deg: tuple[F64, F64, F64],
    sway_deg: F64,
    d_sway_deg: F64,
    terms: tuple[tuple[float, float, float], ...],
    t: F64,
    phase: float,
) -> tuple[F64, F64]:
    """Track plus sway and its rate, in radians."""
    wave, d_wave = np.zeros_like(t), np.zeros_like(t)
    for share, rate, offset in terms:
        at = rate * t + (offset + phase)
        wave += share * np.sin(at)
        d_wave += (share * rate) * np.cos(at)
    return (base_deg[0] + sway_deg * wave) * _RAD, (base_deg[1] + d_sway_deg * wave + sway_deg * d_wave) * _RAD


def _felt(
    tilt: F64, d_tilt: F64, obliquity: F64, d_obliquity: F64, turned: F64, d_rho: F64, ahead: F64, up: F64, right: F64
) -> tuple[F64, F64]:
    """Specific force and angular rate (n, 3) in pelvis axes from angles, their rates and accelerations along the path."""
    sin_t, cos_t = np.sin(-tilt), np.cos(-tilt)
    sin_o, cos_o = np.sin(-obliquity), np.cos(-obliquity)
    sin_r, cos_r = np.sin(turned), np.cos(turned)
    # Path axes to the pelvis's own forward and right, then through obliquity, then through tilt: each a transpose.
    x = cos_r * ahead - sin_r * right
    z = sin_r * ahead + cos_r * right
    y = up + GRAVITY_MPS2
    acc, gyr = np.empty((len(tilt), 3)), np.empty((len(tilt), 3))
    y_o = cos_o * y + sin_o * z
    acc[:, 0] = cos_t * x + sin_t * y_o
    acc[:, 1] = cos_t * y_o - sin_t * x
    acc[:, 2] = cos_o * z - sin_o * y
    about_x, about_y = -d_obliquity, cos_o * d_rho
    gyr[:, 0] = cos_t * about_x + sin_t * about_y
    gyr[:, 1] = cos_t * about_y - sin_t * about_x
    gyr[:, 2] = -d_tilt - sin_o * d_rho
    return acc, gyr


def quaternion_ep(truth: Truth) -> F64:
    """True orientation earth (z up, x forward at the start) ← pelvis, unit quaternions (n, 4), scalar first."""
    half = 0.5 * _RAD
    r, o, t = truth.rotation_deg * half, -truth.obliquity_deg * half, -truth.anterior_tilt_deg * half
    (cr, sr), (co, so), (ct, st) = ((np.cos(a), np.sin(a)) for a in (r, o, t))
    # Ry(rho) Rx(o) Rz(tau) in W, then W (y up) to E (z up): a quarter turn about x.
    w, x = cr * co * ct + sr * so * st, cr * so * ct + sr * co * st
    y, z = sr * co * ct - cr * so * st, cr * co * st - sr * so * ct
    s = math.sqrt(0.5)
    return np.stack((s * (w - x), s * (x + w), s * (y - z), s * (z + y)), axis=1)


def sample_times(start_utc_ns: int, count: int, rate_hz: float, first: int = 0) -> I64:
    """Times [ns] of samples ``first`` … ``first + count - 1`` of a grid that begins at ``start_utc_ns``."""
    period_ns = round(NS_PER_S / rate_hz)
    times: I64 = start_utc_ns + np.arange(first, first + count, dtype=np.int64) * period_ns
    return times
