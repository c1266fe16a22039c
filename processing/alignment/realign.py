"""Carries an alignment over a slip or a re-donning by way of walking: same body, same gait, clip moved.

Walking gravity is the steadiest posture a day offers (two halves of a walk differ by 0.7° in the median, 2.6° at the 99th
percentile; standing again after a chair: 3.4° and 10°). So the clip's turn is the turn that carries today's walking up and front onto
those of before. What is left is how far the person walks differently, at matched cadence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from processing.alignment.gait_window import GaitWindow, Three
from processing.alignment.static import Alignment, record
from processing.alignment.walking import (
    BETWEEN_PEOPLE_DEG,
    WalkingHeading,
    cross,
    dot,
    heading_of,
    mean_up,
)
from processing.frames import Rows

REALIGN_DEG: Final = 3.5
"""A full re-alignment from a walk leaves 3-4°; with a static neutral's 2° that makes the 4° such data carry."""
REALIGN_OTHER_PACE_DEG: Final = 5.0
"""Slow against fast walking moves the pelvis by 2° in the median and 7.6° at the 95th percentile on top."""
_SMALL_TURN_DEG: Final = 30.0
"""Beyond, the clip was taken off: its heading is read from the walk alone, and the walk must be sure of front and back."""
_SLIP_HEADING_DEG: Final = 10.0
_MIN_SIGN: Final = 0.9
_SURE_SIGN: Final = 0.98


@dataclass(frozen=True, slots=True)
class Change:
    """How two walks of one wearer differ in sensor axes: angle between their ups, turn about up (+ = to the left seen from
    above) with its standard deviation, all in degrees.
    """

    up_deg: float
    heading_deg: float
    heading_sd_deg: float


def change_between(before: Sequence[GaitWindow], after: Sequence[GaitWindow]) -> Change:
    """Compare two sets of windows, each not empty."""
    a, b = _heading(tuple(before)), _heading(tuple(after))
    if isinstance(a, str) or isinstance(b, str):
        return Change(angle_deg(mean_up(before), mean_up(after)), 0.0, 180.0)
    up_deg = angle_deg(a.up, b.up)
    # Both fronts about the same up: the later one tilted back the shortest way.
    front = applied(_shortest(b.up, a.up), b.anterior)
    heading = math.degrees(math.atan2(dot(a.up, cross(a.anterior, front)), dot(a.anterior, front)))
    if abs(heading) > 90.0 and min(a.sign_confidence, b.sign_confidence) < _SURE_SIGN:
        heading -= math.copysign(180.0, heading)  # front and back mixed up is likelier than a clip turned round
    return Change(up_deg, heading, math.hypot(own_deg(a), own_deg(b)))


@lru_cache(maxsize=64)
def _heading(windows: tuple[GaitWindow, ...]) -> WalkingHeading | str:
    """`heading_of`, worked out once for a walk that many others are compared with."""
    return heading_of(windows)


def own_deg(h: WalkingHeading) -> float:
    """Doubt of a heading that another walk of the same person does not share."""
    return math.sqrt(max(0.0, h.uncertainty_deg**2 - BETWEEN_PEOPLE_DEG**2))


def realigned(
    old: Alignment,
    before: Sequence[GaitWindow],
    after: Sequence[GaitWindow],
    *,
    mount_id: str,
    t_utc_ns: int,
    doubt_deg: float = REALIGN_DEG,
) -> Alignment | str:
    """The old alignment, turned with the clip, or the reason why walking cannot tell.

    A slip that tilts the clip by less than 30° turned its heading little as well: the walk's heading then counts
    as far as it is surer than that.
    """
    a, b = _heading(tuple(before)), _heading(tuple(after))
    if isinstance(a, str) or isinstance(b, str):
        return "there is no walk on both sides of the change; stand in the neutral pose again"
    change = change_between(before, after)
    if change.up_deg <= _SMALL_TURN_DEG and abs(change.heading_deg) <= 2 * _SMALL_TURN_DEG:
        trust = _SLIP_HEADING_DEG**2 / (_SLIP_HEADING_DEG**2 + change.heading_sd_deg**2)
        turn = math.radians(change.heading_deg * trust)
    elif min(a.sign_confidence, b.sign_confidence) >= _MIN_SIGN:
        turn = math.radians(change.heading_deg)
    else:
        return "the walk does not tell front from back clearly enough; stand in the neutral pose again"
    # New sensor axes -> old ones: up back onto up, then the heading's change undone.
    back = _times(_about(a.up, -turn), _shortest(b.up, a.up))
    doubt = math.hypot(old.uncertainty_deg, doubt_deg)
    method = "realigned" if old.has_neutral else "walking"
    return record(method, _times(old.r_ps, back), doubt, mount_id=mount_id, t_utc_ns=t_utc_ns)


def angle_deg(a: Three, b: Three) -> float:
    """Angle between two directions."""
    c = cross(a, b)
    return math.degrees(math.atan2(math.sqrt(dot(c, c)), dot(a, b)))


def _about(axis: Three, angle: float) -> Rows:
    """Rotation about a unit axis (Rodrigues)."""
    (x, y, z), c, s = axis, math.cos(angle), math.sin(angle)
    k = 1.0 - c
    return (
        (c + x * x * k, x * y * k - z * s, x * z * k + y * s),
        (y * x * k + z * s, c + y * y * k, y * z * k - x * s),
        (z * x * k - y * s, z * y * k + x * s, c + z * z * k),
    )


def _shortest(a: Three, b: Three) -> Rows:
    """Shortest rotation that carries unit vector ``a`` onto ``b``; about any axis where they are opposite."""
    c = cross(a, b)
    s = math.sqrt(dot(c, c))
    if s < 1e-9:
        if dot(a, b) > 0.0:
            return (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
        guide: Three = (1.0, 0.0, 0.0) if abs(a[0]) < 0.7 else (0.0, 1.0, 0.0)
        c = cross(a, guide)
        s = math.sqrt(dot(c, c))
        return _about((c[0] / s, c[1] / s, c[2] / s), math.pi)
    return _about((c[0] / s, c[1] / s, c[2] / s), math.atan2(s, dot(a, b)))


def applied(m: Rows, v: Three) -> Three:
    """``m`` times ``v``."""
    return dot(m[0], v), dot(m[1], v), dot(m[2], v)


def _times(m: Rows, n: Rows) -> Rows:
    columns = tuple(zip(*n, strict=True))
    a, b, c = (tuple(sum(r[k] * col[k] for k in range(3)) for col in columns) for r in m)
    return (a[0], a[1], a[2]), (b[0], b[1], b[2]), (c[0], c[1], c[2])
