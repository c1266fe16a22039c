"""Where up points in each posture of this wearer, as far as it is known: references learnt in a wearing, and densities from them.

`belief.py` weighs movements with these; nothing here knows of time or order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from processing.context.params import Belief, ContextParams
from processing.features.displacement import angle_deg

Vector: TypeAlias = tuple[float, float, float]
LYING, SITTING, UPRIGHT = 0, 1, 2

_SURE: Final = 0.8  # a posture less sure than this teaches nothing
_LEARN_MAX_S: Final = 20.0  # one long rest must not outweigh all others
_MEMORY_S: Final = 300.0
PRIOR_S: Final = 5.0
_HINT_S: Final = 25.0  # what is left of it when the clip goes on again: a doubt of 6 deg, as re-donned clips show
_NEUTRAL_S: Final = 60.0  # what a neutral pose weighs, in seconds of evidence
_FLOOR: Final = 1e-8  # density [1/deg²] of the unforeseen
_LEAST_BACK: Final = 0.05
_ROOT_2: Final = math.sqrt(2.0)
_ROOT_2PI: Final = math.sqrt(2.0 * math.pi)


@dataclass(slots=True)
class References:
    """Where up points when upright and when sitting, learnt in this wearing. Weights in seconds of evidence.

    ``upright`` blends walking, standing and the neutral pose; ``standing`` is how this wearer stands when not walking, which may
    lie some degrees beside.
    """

    upright: Vector = (0.0, 1.0, 0.0)
    upright_s: float = 0.0
    standing: Vector = (0.0, 1.0, 0.0)
    standing_s: float = 0.0
    sitting: Vector = (0.0, 1.0, 0.0)
    sitting_s: float = 0.0

    @classmethod
    def known_neutral(cls) -> References:
        """Pelvis axes were set from a standing wearer: their up axis is upright."""
        return cls(upright_s=_NEUTRAL_S)

    @classmethod
    def restored(cls, state: dict[str, Any]) -> References:
        """From plain data: JSON has made lists of tuples."""
        up, stand, sit = ((v[0], v[1], v[2]) for v in (state["upright"], state["standing"], state["sitting"]))
        return cls(up, state["upright_s"], stand, state["standing_s"], sit, state["sitting_s"])

    def loosen(self) -> None:
        """The clip may have been put on anew: what was learnt is but a hint."""
        self.upright_s, self.sitting_s = min(self.upright_s, _HINT_S), min(self.sitting_s, PRIOR_S)
        self.standing_s = min(self.standing_s, PRIOR_S)

    def learn(self, up: Vector, seconds: float, belief: Belief, *, walking: bool) -> None:
        """Blend a rest's or walk's direction into the reference of the state it surely was."""
        for state in (SITTING, UPRIGHT):
            if belief[state] <= _SURE:
                continue
            weight = (belief[state] - _SURE) / (1.0 - _SURE) * min(seconds, _LEARN_MAX_S)
            if weight <= 0.0:
                continue
            if state == UPRIGHT:
                self.upright = _blend(self.upright, self.upright_s + PRIOR_S, up, weight)
                self.upright_s = min(self.upright_s + weight, _MEMORY_S)
                if not walking:
                    self.standing = _blend(self.standing, self.standing_s, up, weight)
                    self.standing_s = min(self.standing_s + weight, _MEMORY_S)
            else:
                self.sitting = _blend(self.sitting, self.sitting_s, up, weight)
                self.sitting_s = min(self.sitting_s + weight, _MEMORY_S)


def _blend(a: Vector, a_weight: float, b: Vector, b_weight: float) -> Vector:
    share = b_weight / (a_weight + b_weight)
    (x, y, z), (u, v, w) = a, b
    x, y, z = x + (u - x) * share, y + (v - y) * share, z + (w - z) * share
    norm = math.sqrt(x * x + y * y + z * z)
    return (x / norm, y / norm, z / norm) if norm > 0.1 else b


def posture_density(up: Vector, refs: References, p: ContextParams) -> Belief:
    """Density [1/deg²] of a direction of up in each state, from the references known so far."""
    a = angle_deg(up, refs.upright)
    doubt = _doubt(refs, p)
    usual = gauss2(a, math.sqrt(p.upright_sd_deg**2 + doubt))
    if refs.standing_s > 0.0:
        known = 0.5 * refs.standing_s / (refs.standing_s + PRIOR_S)
        usual = (1.0 - known) * usual + known * gauss2(angle_deg(up, refs.standing), p.upright_sd_deg)
    upright = usual + p.odd_stance * (gauss2(a, math.sqrt(p.odd_stance_sd_deg**2 + doubt)) - usual)
    usual_seat = gauss2(a, math.sqrt(p.sitting_sd_deg * p.sitting_sd_deg + doubt))
    odd_seat = gauss2(a, math.sqrt(p.odd_seat_sd_deg * p.odd_seat_sd_deg + doubt))
    sitting = usual_seat + p.odd_seat * (odd_seat - usual_seat)
    if refs.sitting_s > 0.0:
        known = 0.5 * refs.sitting_s / (refs.sitting_s + PRIOR_S)
        sitting = (1.0 - known) * sitting + known * gauss2(angle_deg(up, refs.sitting), p.own_sitting_sd_deg)
    # A right angle from upright or more, in any direction: a ring on the sphere of that circumference.
    ring_deg = 360.0 * max(0.2, math.sin(math.radians(a)))
    sd = math.sqrt(p.lying_sd_deg**2 + 0.25 * doubt)
    short = max(0.0, 90.0 - a) / sd
    lying = math.exp(-0.5 * short * short) / (sd * _ROOT_2PI * ring_deg)
    return lying + _FLOOR, sitting + _FLOOR, upright + 0.1 * _FLOOR


def tilted_back(up: Vector, refs: References, p: ContextParams) -> float:
    """Probability that the pelvis is tilted back from the wearer's own upright further than standers do; 0 without one."""
    (rx, ry, _), (ux, uy, _) = refs.upright, up
    back_deg = math.degrees(math.atan2(ry * ux - rx * uy, rx * ux + ry * uy))
    sd = math.sqrt(p.tilted_back_sd_deg**2 + _doubt(refs, p))
    known = min(1.0, refs.upright_s / PRIOR_S)
    share = known * 0.5 * (1.0 + math.erf((back_deg - p.tilted_back_deg) / (sd * _ROOT_2)))
    return share if share > _LEAST_BACK else 0.0


def _doubt(refs: References, p: ContextParams) -> float:
    """Variance [deg²] of the upright reference: all of a clip put on by eye until upright has been seen."""
    return p.mount_sd_deg**2 * PRIOR_S / (PRIOR_S + refs.upright_s)


def gauss2(angle: float, sd: float) -> float:
    """Density of a direction ``angle`` away from its mean, with standard deviation ``sd`` to every side (same unit; per its square)."""
    return math.exp(-0.5 * (angle / sd) ** 2) / (2.0 * math.pi * sd * sd)
