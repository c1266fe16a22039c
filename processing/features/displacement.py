"""How far the pelvis rose or sank between two moments of rest: the evidence for sitting down and standing up.

Vertical acceleration is integrated twice over the movement. Two things make this work with a cheap sensor:

- The vertical velocity is zero at both ends (zero-velocity constraint), which removes a constant error of acceleration.
- The accelerometer's offset shows in the vertical as much as the sensor's orientation lets it (on one phone 10.2 m/s² standing
  and 9.8 lying), so the error is not constant when the pelvis turns. The residual is known at rest before and
  after; in between it is blended in proportion to how far up has turned from the one to the other. An offset is a vector
  fixed in the sensor, its vertical part is linear in the direction of up: the blend is exact for turns in one plane.

Plain double integration fails here; measured figures in `docs/validation.md`.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from processing.features.movement import CELL_S
from processing.frames import columns
from processing.types import F64, Bool

_CALM_DPS: Final = 10.0
_FEW: Final = 8  # cells; so many numbers are added one by one either way, and three times as fast in Python
_MIN_TURN_SQ: Final = 0.0076  # (5 deg in rad)²: with less of a turn its direction is noise, and time serves as well


class Rest(NamedTuple):
    """A moment of rest: mean residual of vertical acceleration [m/s²] and mean direction of up (pelvis axes, about unit)."""

    residual_mps2: float
    up: tuple[float, float, float]


def rest_of(acc_up_mps2: F64, up: F64) -> Rest:
    """Mean over the cells (k,), (k, 3) of a rest, k >= 1."""
    k = len(acc_up_mps2)
    if k < _FEW:
        acc = x = y = z = 0.0
        for a, (u, v, w) in zip(acc_up_mps2.tolist(), up.tolist(), strict=True):
            acc, x, y, z = acc + a, x + u, y + v, z + w
    else:
        x, y, z = np.add.reduce(columns(up), axis=1).tolist()
        acc = float(np.add.reduce(acc_up_mps2))
    return Rest(acc / k, (x / k, y / k, z / k))


def angle_deg(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    """Angle between two directions [deg]; they need not have unit length."""
    dot = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    norm = math.sqrt((a[0] ** 2 + a[1] ** 2 + a[2] ** 2) * (b[0] ** 2 + b[1] ** 2 + b[2] ** 2))
    return math.degrees(math.acos(max(-1.0, min(1.0, dot / norm)))) if norm > 0.0 else 0.0


def nearer_than(a: tuple[float, float, float], b: tuple[float, float, float], cosine: float) -> bool:
    """Whether the angle between two directions is less than that of ``cosine`` (> 0): `angle_deg` at half its cost."""
    x, y, z = a
    u, v, w = b
    dot = x * u + y * v + z * w
    return dot > 0.0 and dot * dot > cosine * cosine * (x * x + y * y + z * z) * (u * u + v * v + w * w)


def all_nearer_than(a: tuple[float, float, float], b: F64, cosine: float) -> Bool:
    """As `nearer_than`, of one direction and many (k, 3), to the same bits."""
    x, y, z = a
    u, v, w = b[:, 0], b[:, 1], b[:, 2]
    dot = x * u + y * v + z * w
    near: Bool = (dot > 0.0) & (dot * dot > cosine * cosine * (x * x + y * y + z * z) * (u * u + v * v + w * w))
    return near


class Displacement(NamedTuple):
    """Net rise [m], negative when the pelvis sank; the angle it turned through, there and back [deg]; and when the rise took
    place: from the first tenth of it to the last, in cells from the start of the movement.
    """

    rise_m: float
    path_deg: float
    first_cell: int
    last_cell: int


def vertical_displacement(acc_up_mps2: F64, up: F64, turn_dps: F64, before: Rest, after: Rest) -> Displacement:
    """Displacement over the cells (n,), (n, 3), (n,) of a movement between two rests, n >= 1.

    The velocity left at the end is an error of acceleration. It is taken back where it most likely arose: errors of
    orientation and of the blend grow with the rate of turn, so each cell's share goes with it. A movement that ends in a
    long sway is thereby judged by its core.
    """
    n = len(acc_up_mps2)
    dx, dy, dz = (after.up[i] - before.up[i] for i in range(3))
    turn_sq = dx * dx + dy * dy + dz * dz
    error = (turn_dps + _CALM_DPS).cumsum()
    if turn_sq > _MIN_TURN_SQ:
        share = (
            (up[:, 0] - before.up[0]) * dx + (up[:, 1] - before.up[1]) * dy + (up[:, 2] - before.up[2]) * dz
        ) / turn_sq
        # Leaning forward to rise goes beyond both ends; half as far again is as much as two rests can vouch for.
        share = np.minimum(np.maximum(share, -0.5), 1.5)
    else:
        share = np.arange(1, n + 1) / n
    clean = acc_up_mps2 - (before.residual_mps2 + (after.residual_mps2 - before.residual_mps2) * share)
    velocity = clean.cumsum() * CELL_S
    velocity -= error * (velocity[-1] / error[-1])
    height = velocity.cumsum() * CELL_S
    rise = float(height[-1])
    done = height if rise > 0.0 else -height
    first, last = int((done >= 0.1 * abs(rise)).argmax()), int((done >= 0.9 * abs(rise)).argmax())
    return Displacement(rise, float(np.add.reduce(turn_dps)) * CELL_S, first, last + 1)
