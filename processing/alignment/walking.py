"""Which way is forward, from walking: the harmonic method, its doubt, and its sign from two independent clues.

The axis is the principal direction of the summed even-minus-odd scatter (`gait_window.py`); it does not know front from
back. That is told by the phase between fore-aft and vertical acceleration and by turns. Both are odds that are added up, so that a
clue that says nothing weighs nothing.

Method and levels follow the project's measurements on the waist (38 people: two halves of 45 s differ by 1.5° in the median,
5.5° at the 95th percentile; both clues agreed in all 76 trials); each window votes for an axis by
the power of its vertical jerk, which keeps stairs and dawdling, slow and up to 11° off, from outvoting level walking.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from processing.alignment.gait_cells import WindowStage, cells_of
from processing.alignment.gait_window import WINDOW_S, GaitWindow, Three, WindowParams
from processing.types import F64, I64

BETWEEN_PEOPLE_DEG: Final = 4.0
"""How far the harmonic axis of a body lies from its nominal front (robust standard deviation, 38 people): no amount of walking
takes this away."""
WALKING_UNCERTAINTY_DEG: Final = 6.0
"""Tilt relative to walking instead of to a neutral pose: 30 people and wearings stood 5° further back than they walked, ± 5°."""
MIN_SIGN: Final = 0.7
"""Confidence from which a walk is taken to tell front from back."""
_WINDOW_DEG: Final = 10.0
_WINDOW_PRIOR: Final = 2.0
"""What one window is worth before windows can be compared: this many standard ones."""
_PHASE_ODDS: Final = 8.0
"""Log-odds when the phase is right in the middle: twice the concentration that belongs to a spread of 30°. Windows of one
person share their phase, so their clues are averaged, not added."""
_SPEED_MPS: Final = 0.8
_CURVE_NOISE_MPS2: Final = 0.5
_MAX_TURN_ODDS: Final = 4.0
"""Turning on the spot or a filter off by 2° can pretend a curve, so turns alone never outvote a clear phase."""


@dataclass(frozen=True, slots=True)
class WalkingHeading:
    """What walking says of the clip. ``up``, ``anterior``: perpendicular unit vectors in sensor axes.

    ``uncertainty_deg`` of the heading, one standard deviation; ``sign_confidence`` 0.5..1 that front is not back; ``windows`` it
    was found in.
    """

    up: Three
    anterior: Three
    uncertainty_deg: float
    sign_confidence: float
    windows: tuple[GaitWindow, ...]

    @property
    def step_hz(self) -> float:
        """Mean step frequency."""
        return sum([w.step_hz for w in self.windows]) / len(self.windows)

    @property
    def walking_s(self) -> int:
        """Seconds used."""
        return walking_seconds(self.windows)


def gait_windows(
    t_utc_ns: I64, acc_mps2: F64, gyr_rps: F64, up_s: F64, params: WindowParams | None = None
) -> list[GaitWindow]:
    """All windows of walking in samples (n,), (n, 3): specific force [m/s²], rate of turn [rad/s], unit up in sensor axes."""
    return WindowStage(params).update(*cells_of(t_utc_ns, acc_mps2, gyr_rps, up_s))


def heading_of(windows: Sequence[GaitWindow]) -> WalkingHeading | str:
    """Heading from windows of one wearing, or the reason why there is none."""
    if not windows:
        return "no walking was found; walk straight ahead for half a minute"
    up = mean_up(windows)
    first, second = level_axes(up)
    tensor = _votes(windows, first, second)
    total = sum(tensor, 0j)
    if abs(total) == 0.0:
        return "walking shows no direction; walk straight ahead for half a minute"
    half = cmath.phase(total) / 2.0
    c, s = math.cos(half), math.sin(half)
    axis = c * first[0] + s * second[0], c * first[1] + s * second[1], c * first[2] + s * second[2]
    odds = _sign_odds(windows, up, axis)
    sign = 1.0 if odds >= 0.0 else -1.0
    return WalkingHeading(
        up,
        (sign * axis[0], sign * axis[1], sign * axis[2]),
        _uncertainty_deg(tensor, total),
        1.0 / (1.0 + math.exp(-abs(odds))),
        tuple(windows),
    )


def mean_up(windows: Sequence[GaitWindow]) -> Three:
    """Mean direction of up, each window counting the same."""
    x = y = z = 0.0
    for w in windows:
        up = w.up
        x, y, z = x + up[0], y + up[1], z + up[2]
    length = math.sqrt(x * x + y * y + z * z)
    return x / length, y / length, z / length


def walking_seconds(windows: Sequence[GaitWindow]) -> int:
    """Seconds covered by windows in order, overlaps counted once."""
    total, until = 0, -(10**12)
    for w in windows:
        total += w.second + WINDOW_S - max(w.second, until)
        until = w.second + WINDOW_S
    return total


def level_axes(up: Three) -> tuple[Three, Three]:
    """Two unit vectors that complete ``up`` to a right-handed frame (first, second, up)."""
    sizes = [abs(u) for u in up]
    i = sizes.index(min(sizes))
    along = up[i]
    a = [-along * u for u in up]
    a[i] = 1.0 - along * along
    length = math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])
    first = (a[0] / length, a[1] / length, a[2] / length)
    return first, cross(up, first)


def cross(a: Three, b: Three) -> Three:
    """Vector product."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def dot(a: Three, b: Three) -> float:
    """Scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _votes(windows: Sequence[GaitWindow], first: Three, second: Three) -> list[complex]:
    """Each window's axis as a number whose angle is twice the axis's, as long as the power of the step's vertical jerk.

    The angle is that of the scatter's deviation from round in the plane of two unit vectors; how round it is does not count: a
    window on stairs can be as sure as it is wrong.
    """
    (a, b, c), (d, e, f) = first, second
    ab, ac, bc = a * b + b * a, a * c + c * a, b * c + c * b
    de, df, ef = d * e + e * d, d * f + f * d, e * f + f * e
    ae, af, bf = a * e + b * d, a * f + c * d, b * f + c * e
    votes: list[complex] = []
    for _, _, step_hz, (xx, yy, zz, xy, xz, yz), weight, _, _ in windows:
        ahead = xx * a * a + yy * b * b + zz * c * c + xy * ab + xz * ac + yz * bc
        aside = xx * d * d + yy * e * e + zz * f * f + xy * de + xz * df + yz * ef
        doubled = complex(0.5 * (ahead - aside), xx * a * d + yy * b * e + zz * c * f + xy * ae + xz * af + yz * bf)
        size = abs(doubled)
        votes.append(weight * step_hz**2 * doubled / size if size > 0.0 else 0j)
    return votes


def _uncertainty_deg(tensor: Sequence[complex], total: complex) -> float:
    """Spread of the windows about their sum (sandwich estimate), held together with what one window is worth."""
    turn = cmath.exp(-1j * cmath.phase(total))
    across = sum([(c * turn).imag ** 2 for c in tensor])
    spread_deg = math.degrees(0.5 * math.sqrt(across) / abs(total))
    n = len(tensor)
    # Windows overlap by half: two of them are about one and a half independent ones.
    own = 1.5 * (n * spread_deg**2 + _WINDOW_PRIOR * _WINDOW_DEG**2 / n) / (n + _WINDOW_PRIOR)
    return math.sqrt(BETWEEN_PEOPLE_DEG**2 + own)


def _sign_odds(windows: Sequence[GaitWindow], up: Three, axis: Three) -> float:
    """Log-odds that ``axis`` points to the front rather than to the back."""
    (x, y, z), (u, v, w) = axis, cross(up, axis)
    front, total, curve = 0.0, 0.0, 0.0
    for _, _, _, _, weight, (a, b, c), (d, e, f) in windows:
        front += weight * (a * x + b * y + c * z)
        total += weight
        curve += d * u + e * v + f * w
    phase = _PHASE_ODDS * front / total
    turns = 2.0 * _SPEED_MPS * curve / _CURVE_NOISE_MPS2**2
    return phase + max(-_MAX_TURN_ODDS, min(_MAX_TURN_ODDS, turns))
