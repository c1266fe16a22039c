"""The therapist's ASIS-PSIS angle: what turns tilt relative to neutral into tilt of the anatomical pelvis, for display only.

Rules and flags never use it (they judge change from neutral); it is a dated note with who measured it, how, and how sure that is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

Method = Literal["caliper", "inclinometer_app", "photograph", "radiograph"]
METHOD_DEG: Final = {"caliper": 2.5, "inclinometer_app": 2.5, "photograph": 3.0, "radiograph": 1.0}
"""Standard deviation between raters [deg] where the rater states none. Palpation with calipers or inclinometers: 0.9-3.6° in the
studies of the evidence page; the other two are set as cautiously, not measured here.
"""
_MAX_DEG: Final = 45.0


@dataclass(frozen=True, slots=True)
class PelvicOffset:
    """Angle of the ASIS-PSIS line in the neutral pose, + = ASIS lower than PSIS [deg]; ``rater`` is a pseudonym.

    Raises ValueError naming what cannot be right.
    """

    angle_deg: float
    method: Method
    rater: str
    t_utc_ns: int
    uncertainty_deg: float | None = None

    def __post_init__(self) -> None:
        if not abs(self.angle_deg) <= _MAX_DEG:
            raise ValueError(
                f"offset angle_deg is {self.angle_deg}; an ASIS-PSIS angle lies within ±{_MAX_DEG:.0f} degrees"
            )
        if self.method not in METHOD_DEG:
            raise ValueError(f"offset method is {self.method!r}; use one of {', '.join(METHOD_DEG)}")
        if not self.rater:
            raise ValueError("offset rater is empty; give the rater's pseudonym, e.g. 'pt-1'")
        if self.uncertainty_deg is not None and not 0.0 < self.uncertainty_deg <= _MAX_DEG:
            raise ValueError(f"offset uncertainty_deg is {self.uncertainty_deg}; give degrees above 0, or leave it out")

    @property
    def sigma_deg(self) -> float:
        """The rater's own uncertainty, or the method's."""
        return METHOD_DEG[self.method] if self.uncertainty_deg is None else self.uncertainty_deg

    def absolute(self, tilt_deg: float, tilt_uncertainty_deg: float) -> tuple[float, float]:
        """Tilt of the anatomical pelvis and its uncertainty, from tilt relative to neutral."""
        return tilt_deg + self.angle_deg, math.hypot(tilt_uncertainty_deg, self.sigma_deg)
