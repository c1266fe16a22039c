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
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from processing.features.movement import CELL_S
from processing.types import F64, Bool

# Numbers that meet short arrays again and again: as arrays without dimensions they take a third less time than as floats.
_CALM_DPS: Final = np.array(10.0)
_CELL_S: Final = np.array(CELL_S)
_LEAST_SHARE: Final = np.array(-0.5)
_MOST_SHARE: Final = np.array(1.5)
_MIN_TURN_SQ: Final = 0.0076  # (5 deg in rad)²: with less of a turn its direction is noise, and time serves as well


class Rest(NamedTuple):
    """A moment of rest: mean residual of vertical acceleration [m/s²] and mean direction of up (pelvis axes, about unit)."""

    residual_mps2: float
    up: tuple[float, float, float]


def cell_rows(acc_up_mps2: F64, up: F64, turn_dps: F64) -> F64:
    """Cells (n,), (n, 3), (n,) as rows (5, n): vertical acceleration, the three components of up, rate of turn. A rest or a
    movement is then one slice.
    """
    rows = np.empty((5, len(acc_up_mps2)))
    rows[0], rows[1:4], rows[4] = acc_up_mps2, up.T, turn_dps
    return rows


def rest_of(rows: F64) -> Rest:
    """Mean over the cells of a rest, `cell_rows` (5, k), k >= 1."""
    k = rows.shape[1]
    acc, x, y, z, _ = np.add.reduce(rows, axis=1).tolist()
    return Rest(acc / k, (x / k, y / k, z / k))


def angle_deg(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    """Angle between two directions [deg]; they need not have unit length."""
    x, y, z = a
    u, v, w = b
    norm = math.sqrt((x**2 + y**2 + z**2) * (u**2 + v**2 + w**2))
    return math.degrees(math.acos(max(-1.0, min(1.0, (x * u + y * v + z * w) / norm)))) if norm > 0.0 else 0.0


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
    """Net rise [m], negative when the pelvis sank, and the angle it turned through, there and back [deg]. ``climbed`` (n,) is
    the height cell by cell, in tenths of a metre.
    """

    rise_m: float
    path_deg: float
    climbed: F64

    def stroke(self) -> tuple[int, int]:
        """When the rise took place: from the first tenth of it to the last, in cells from the start of the movement."""
        size = abs(self.rise_m)
        done = (self.climbed if self.rise_m > 0.0 else -self.climbed) * CELL_S
        first, last = int((done >= 0.1 * size).argmax()), int((done >= 0.9 * size).argmax())
        return first, last + 1


def vertical_displacement(rows: F64, before: Rest, after: Rest) -> Displacement:
    """Displacement over the cells of a movement between two rests, `cell_rows` (5, n), n >= 1.

    The velocity left at the end is an error of acceleration. It is taken back where it most likely arose: errors of
    orientation and of the blend grow with the rate of turn, so each cell's share goes with it. A movement that ends in a
    long sway is thereby judged by its core.
    """
    acc, up_x, up_y, up_z, turn = rows[0], rows[1], rows[2], rows[3], rows[4]
    (residual, (x, y, z)), (residual_after, (u, v, w)) = before, after
    dx, dy, dz = u - x, v - y, w - z
    turn_sq = dx * dx + dy * dy + dz * dz
    if turn_sq > _MIN_TURN_SQ:
        share = ((up_x - x) * dx + (up_y - y) * dy + (up_z - z) * dz) / turn_sq
        # Leaning forward to rise goes beyond both ends; half as far again is as much as two rests can vouch for.
        share = np.minimum(np.maximum(share, _LEAST_SHARE), _MOST_SHARE)
    else:
        share = _by_time(len(acc))
    clean = acc - (residual + (residual_after - residual) * share)
    velocity = np.add.accumulate(clean) * _CELL_S
    error = np.add.accumulate(turn + _CALM_DPS)
    climbed = np.add.accumulate(velocity - error * (velocity.item(-1) / error.item(-1)))
    return Displacement(climbed.item(-1) * CELL_S, float(np.add.reduce(turn)) * CELL_S, climbed)


@lru_cache(maxsize=128)
def _by_time(n: int) -> F64:
    """Share of the time that is over after each of ``n`` cells."""
    return np.arange(1.0, n + 1.0) / n
