"""Which way is forward, from a guided movement: a few bows, or pelvic tilts, after a moment of quiet standing.

In these movements the pelvis turns about its left-right axis and hardly otherwise, so the principal axis of angular velocity is
that axis (in walking it is not: `gait_window.py`). A bow also says which side is the front, because nobody bows backwards; pelvic
tilts go both ways, so there the front is the side nearer to where the mount says it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from processing.alignment.gait_window import Three
from processing.alignment.static import StillnessLimits, neutral_gravity
from processing.types import F64

Movement = Literal["bows", "pelvic_tilts"]
_REST_S: Final = 1.0
_MIN_RANGE_DEG: Final = {"bows": 20.0, "pelvic_tilts": 4.0}
_MAX_OFF_PLANE: Final = 0.35
"""Root of the second share of angular velocity over the first: beyond, the movement was no turn about one axis."""
_MAX_AXIS_RISE_DEG: Final = 25.0
_METHOD_DEG: Final = {"bows": 3.0, "pelvic_tilts": 3.0}
"""A bow of a real person is not straight (simulated with skin and twist: 2° in the median, 5.7° and 4.7° at the 95th percentile)."""


@dataclass(frozen=True, slots=True)
class FunctionalHeading:
    """Up while standing and the front, perpendicular unit vectors in sensor axes; ``uncertainty_deg`` of the heading."""

    up: Three
    anterior: Three
    uncertainty_deg: float
    range_deg: float


def functional_heading(
    acc_mps2: F64,
    gyr_rps: F64,
    up_s: F64,
    rate_hz: float,
    movement: Movement = "bows",
    mount_anterior: Three | None = None,
) -> FunctionalHeading | str:
    """Heading from samples (n, 3) that begin with a second of quiet standing, or the reason for refusing it.

    ``up_s`` (n, 3) is up in sensor axes (unit vectors from the orientation filter). ``mount_anterior`` is needed with
    "pelvic_tilts" (ValueError without it).
    """
    if movement == "pelvic_tilts" and mount_anterior is None:
        raise ValueError("pelvic tilts do not tell front from back; give mount_anterior, the side the front is on")
    rest = round(_REST_S * rate_hz)
    if len(acc_mps2) < 4 * rest:
        return f"the recording holds {len(acc_mps2) / rate_hz:.1f} s; stand for a second, then move for at least three"
    try:
        up = neutral_gravity(acc_mps2[:rest], gyr_rps[:rest], StillnessLimits(min_samples=rest // 2))
    except ValueError as e:
        return f"{e} (the first second must be quiet)"
    up = up / math.sqrt(float(np.sum(up**2)))
    along = np.clip(up_s @ up, -1.0, 1.0)
    range_deg = math.degrees(math.acos(float(np.min(along))))
    if range_deg < _MIN_RANGE_DEG[movement]:
        wanted = "bow deeper" if movement == "bows" else "rock the pelvis further"
        return f"the pelvis turned by {range_deg:.0f} deg only; {wanted}, by {_MIN_RANGE_DEG[movement]:.0f} deg or more"
    share, axes = np.linalg.eigh(gyr_rps[rest:].T @ gyr_rps[rest:])
    off_plane = math.sqrt(max(0.0, float(share[1] / share[2])))
    if off_plane > _MAX_OFF_PLANE:
        return "the movement twisted or leaned sideways; repeat it straight ahead, feet still"
    axis = axes[:, 2]
    rise_deg = math.degrees(math.asin(min(1.0, abs(float(axis @ up)))))
    if rise_deg > _MAX_AXIS_RISE_DEG:
        return (
            f"the pelvis turned about an axis {rise_deg:.0f} deg off level; bow straight ahead instead of turning round"
        )
    anterior = np.cross(axis, up)
    anterior = anterior / math.sqrt(float(np.sum(anterior**2)))
    if movement == "bows":
        # Leaning forward, up moves towards the back of the pelvis.
        lean = (up_s[along <= np.quantile(along, 0.1)].mean(axis=0) - up) @ anterior
        anterior = anterior if lean < 0.0 else -anterior
    elif mount_anterior is not None and float(anterior @ np.array(mount_anterior)) < 0.0:
        anterior = -anterior
    sigma = math.hypot(_METHOD_DEG[movement], math.degrees(math.atan(off_plane)) / 4.0)
    x, y = ((float(v[0]), float(v[1]), float(v[2])) for v in (anterior, up))
    return FunctionalHeading(y, x, sigma, range_deg)


def guidance(acc_mps2: F64, gyr_rps: F64, up_s: F64, rate_hz: float, movement: Movement) -> tuple[bool, str]:
    """How a movement goes so far, for samples (n, 3) from its beginning: whether as it should, and what to do."""
    rest = round(_REST_S * rate_hz)
    asked = (
        "bow straight ahead three times, slowly" if movement == "bows" else "rock the pelvis forward and back, slowly"
    )
    try:
        up = neutral_gravity(
            acc_mps2[:rest], gyr_rps[:rest], StillnessLimits(min_samples=min(rest // 2, len(acc_mps2)))
        )
    except ValueError as e:
        return False, f"{e} (the first second must be quiet; begin again)"
    if len(acc_mps2) < rest:
        return True, "stand quietly for a second"
    along = np.clip(up_s @ (up / math.sqrt(float(np.sum(up**2)))), -1.0, 1.0)
    reached = math.degrees(math.acos(float(np.min(along))))
    wanted = _MIN_RANGE_DEG[movement]
    if reached < wanted:
        return len(acc_mps2) < 4 * rest, f"now {asked}; {reached:.0f} of {wanted:.0f} deg so far"
    return True, f"{asked}; far enough at {reached:.0f} deg"
