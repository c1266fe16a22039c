"""Alignment from a known mount and, where there is one, a quiet neutral pose.

A mount names the sensor axes that point up and anterior ("up=+x,anterior=-z"). A neutral pose adds gravity: what points up
while the wearer stands quietly in the pose the therapist chose is the pelvis's Y axis, so tilt is zero there; the mount's
anterior axis, made perpendicular to it, is X. Heading errors of the clip below 10° cost under 0.2° of tilt RMSE
(`docs/validation.md`), so the nominal axis is good enough until walking refines it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from processing.frames import Rows
from processing.types import F64, GRAVITY_MPS2

_AXES: Final = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
NOMINAL_UNCERTAINTY_DEG: Final = 10.0
"""A clip put on by eye: what pelvis shape, clothing and hand leave open before any neutral pose is taken."""
STATIC_UNCERTAINTY_DEG: Final = 2.0
"""Skin and belt movement plus the repeatability of quiet standing (evidence page: 1-2.5° between repeated poses)."""
WITH_NEUTRAL: Final = frozenset({"static", "realigned"})
"""Methods that put zero at a pose someone chose; `realigned` carried it over a slip by way of walking (`slip.py`)."""


class AlignmentError(ValueError):
    """An alignment that cannot be made; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Mount:
    """Sensor axes that point up and anterior, as unit vectors in the sensor frame."""

    up: tuple[float, float, float]
    anterior: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Alignment:
    """One dated alignment. ``r_ps`` turns sensor axes into pelvis axes (rows are X, Y, Z of the pelvis in the sensor frame)."""

    id: str
    mount_id: str
    method: str  # nominal | given | static | walking | functional | suspended | realigned
    r_ps: Rows
    uncertainty_deg: float
    t_utc_ns: int

    @property
    def has_neutral(self) -> bool:
        """Tilt is relative to a pose someone chose; only then may a rule judge it."""
        return self.method in WITH_NEUTRAL


def parse_mount(text: str) -> Mount:
    """Read "up=+x,anterior=-z"; raises `AlignmentError` with an example."""
    parts = dict(re.findall(r"(up|anterior)=([+-][xyz])(?=,|$)", text.replace(" ", "").lower()))
    if set(parts) != {"up", "anterior"} or len(text.split(",")) != 2:
        raise AlignmentError(f"mount {text!r} is not understood; name two signed sensor axes, e.g. 'up=+x,anterior=-z'")
    if parts["up"][1] == parts["anterior"][1]:
        raise AlignmentError(f"mount {text!r} uses the {parts['up'][1]} axis twice; up and anterior must differ")
    up, anterior = (
        tuple((-1.0 if parts[k][0] == "-" else 1.0) * c for c in _AXES[parts[k][1]]) for k in ("up", "anterior")
    )
    return Mount((up[0], up[1], up[2]), (anterior[0], anterior[1], anterior[2]))


@dataclass(frozen=True, slots=True)
class StillnessLimits:
    """What still counts as quiet standing over a few seconds (breathing and sway pass, a step does not)."""

    min_samples: int = 50
    max_gyr_rms_dps: float = 8.0
    max_acc_sd_mps2: float = 0.4
    max_norm_error_mps2: float = 1.0


def neutral_gravity(acc_mps2: F64, gyr_rps: F64, limits: StillnessLimits | None = None) -> F64:
    """Mean specific force (3,) of a quiet pose; raises `AlignmentError` with the reason where it was not quiet."""
    limits = limits or StillnessLimits()
    if len(acc_mps2) < limits.min_samples:
        raise AlignmentError(f"the neutral pose holds {len(acc_mps2)} samples; stand quietly for at least two seconds")
    rate = float(np.degrees(np.sqrt(np.mean(np.sum(gyr_rps**2, axis=1)))))
    if rate > limits.max_gyr_rms_dps:
        raise AlignmentError(f"the pelvis turned at {rate:.1f} deg/s during the neutral pose; stand quietly and repeat")
    mean: F64 = np.mean(acc_mps2, axis=0)
    shake = float(np.sqrt(np.mean(np.sum((acc_mps2 - mean) ** 2, axis=1))))
    if shake > limits.max_acc_sd_mps2:
        raise AlignmentError(f"the sensor shook by {shake:.2f} m/s² during the neutral pose; stand quietly and repeat")
    off = abs(float(np.sqrt(np.sum(mean**2))) - GRAVITY_MPS2)
    if off > limits.max_norm_error_mps2:
        raise AlignmentError(f"gravity reads {off:.2f} m/s² off during the neutral pose; check the unit and the sensor")
    return mean


def align(
    mount: Mount,
    neutral_mps2: F64 | None,
    *,
    given: bool,
    mount_id: str,
    t_utc_ns: int,
    found_by: Literal["walking", "functional"] | None = None,
    uncertainty_deg: float = NOMINAL_UNCERTAINTY_DEG,
) -> Alignment:
    """Make an alignment from a mount and, if there is one, the mean specific force (3,) of the neutral pose.

    ``given`` says that a person stated the mount (otherwise it is the configured default); ``found_by`` that the wearer's
    movement did, with ``uncertainty_deg`` of tilt as long as there is no neutral pose. Raises `AlignmentError`
    where gravity and the mount's anterior axis are too close to tell forward from up.
    """
    y = np.array(mount.up) if neutral_mps2 is None else neutral_mps2 / np.sqrt(np.sum(neutral_mps2**2))
    anterior = np.array(mount.anterior)
    along = float(np.sum(anterior * y))
    if abs(along) > 0.9:
        raise AlignmentError(
            "during the neutral pose gravity lies along the mount's anterior axis; state how the clip sits, "
            "e.g. --mount up=+x,anterior=-z"
        )
    x = anterior - along * y
    x = x / np.sqrt(np.sum(x**2))
    z = np.cross(x, y)
    rows = tuple((float(r[0]), float(r[1]), float(r[2])) for r in (x, y, z))
    method = "static" if neutral_mps2 is not None else found_by or ("given" if given else "nominal")
    sigma = STATIC_UNCERTAINTY_DEG if neutral_mps2 is not None else uncertainty_deg
    return record(method, (rows[0], rows[1], rows[2]), sigma, mount_id=mount_id, t_utc_ns=t_utc_ns)


def record(method: str, r_ps: Rows, uncertainty_deg: float, *, mount_id: str, t_utc_ns: int) -> Alignment:
    """An alignment with the id that follows from what it says: the same input gives the same id anywhere."""
    digest = hashlib.sha256(json.dumps([method, r_ps, mount_id, t_utc_ns]).encode()).hexdigest()[:8]
    return Alignment(f"{method}-{digest}", mount_id, method, r_ps, uncertainty_deg, t_utc_ns)
