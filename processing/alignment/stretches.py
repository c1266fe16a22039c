"""Stretches of walking: some windows in a row, what sets them apart, their limits, and their plain form for `slip.py`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from processing.alignment.gait_window import GaitWindow, Three
from processing.alignment.realign import Change, angle_deg, change_between
from processing.alignment.walking import mean_up
from processing.frames import Rows


class Stretch(NamedTuple):
    """Windows in a row, with what they are compared by: mean cadence [steps/min], median power of the vertical step [m²/s⁴]."""

    windows: list[GaitWindow]
    pace_spm: float
    vigour: float


def stretch_of(windows: list[GaitWindow]) -> Stretch:
    """A stretch of these windows."""
    return Stretch(windows, pace_spm(windows), vigour(windows))


@dataclass(frozen=True, slots=True)
class SlipParams:
    """Limits of `slip.py`, argued there. Angles [deg], times [s], cadence [steps/min]."""

    up_deg: float = 8.0
    heading_deg: float = 10.0
    cadence_spm: float = 10.0
    join_deg: float = 3.0  # a pace not met before becomes a reference only this close to the others
    vigour_ratio: float = 2.0  # of the vertical step's power: level walks of a person differ by less, stairs by more
    stretch_windows: int = 5  # windows start every 2 s and last 4: five of them are 12 s
    pause_s: int = 60  # a stretch may be pieced together from short walks no further apart
    wander_deg: float = 2.0
    stretches: int = 2  # of one walk
    one_walk_s: int = 15
    stretches_apart: int = 4  # where walks are short: flights of stairs, each leaning alike, come in threes at most
    realign_stretches: int = 4  # 48 s
    reference_stretches: int = 4  # per pace; later walks are compared, never learnt, or creep would go unseen
    gap_s: int = 600
    gap_deg: float = 30.0  # more than sitting down or bending turns the pelvis
    handled_dps: float = 60.0
    handled_s: int = 5  # of the last ten: a full turn; lying down fast takes three


def change_of(before: Sequence[Stretch], after: Sequence[Stretch]) -> Change:
    """How the walks of two groups of stretches differ."""
    return change_between(windows_of(before), windows_of(after))


def windows_of(stretches: Sequence[Stretch]) -> list[GaitWindow]:
    """All their windows, in order."""
    return [w for s in stretches for w in s.windows]


def wander_deg(windows: Sequence[GaitWindow]) -> float:
    """Root mean square angle of the windows' ups from their mean."""
    middle = mean_up(windows)
    return math.sqrt(sum([angle_deg(w.up, middle) ** 2 for w in windows]) / len(windows))


def pace_spm(windows: Sequence[GaitWindow]) -> float:
    """Mean cadence in steps a minute."""
    return 60.0 * sum([w.step_hz for w in windows]) / len(windows)


def vigour(windows: Sequence[GaitWindow]) -> float:
    """Median power of the vertical step [m²/s⁴]."""
    return sorted([w.weight for w in windows])[len(windows) // 2]


def from_plain(rows: Sequence[Sequence[Any]]) -> list[GaitWindow]:
    """Windows from lists of their values, also after JSON."""
    return [_window(*row) for row in rows]


def _window(second: int, up: Any, step_hz: float, scatter: Any, weight: float, ahead: Any, left: Any) -> GaitWindow:
    return GaitWindow(second, three(up), step_hz, tuple(scatter), weight, three(ahead), three(left))


def three(v: Sequence[float]) -> Three:
    """Three numbers as a tuple."""
    return v[0], v[1], v[2]


def rows_of(m: Any) -> Rows:
    """A matrix as rows of tuples, also after JSON."""
    return three(m[0]), three(m[1]), three(m[2])
