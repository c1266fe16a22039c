"""What a simulated day consists of: the wearer's habits, the activities with their true postures, and the curves to draw.

`day.py` writes a script, `motion.py` renders it. Times inside are seconds since the script's start; outside they are UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from processing.synthetic.gait import Bout
from processing.synthetic.tracks import Track
from processing.types import F64, NS_PER_S, POSTURE_CODE


@dataclass(frozen=True, slots=True)
class Wearer:
    """A wearer's habits. Tilts [deg] are relative to the neutral pose (+ = anterior), heights [m] are the clip's above ground.

    ``raised_deg`` bounds the tilt of the episodes the rules are there for; a wearer with (0, 0) has no such habit.
    ``before_chair_s``: who has walked to a chair stands before it for so long, back turned to it, and only then sits down.
    ``rest_s``: on their feet, the wearer stands for so long (median) and then walks a few steps; 0: walks only when the day says so.
    ``bow_rounds``: how often the wearer bows three times after the neutral pose, as the guided set-up asks.
    """

    seed: int = 1
    desk_tilt_deg: float = -18.0
    standing_tilt_deg: float = 0.5
    raised_deg: tuple[float, float] = (7.0, 14.0)
    raised_min: tuple[float, float] = (12.0, 40.0)
    step_hz: float = 1.85
    standing_m: float = 0.95
    sitting_m: float = 0.55
    lying_m: float = 0.50
    before_chair_s: float = 1.5
    rest_s: float = 0.0
    bow_rounds: int = 0


@dataclass(frozen=True, slots=True)
class Activity:
    """One true posture of the day, [start, stop) in UTC; ``raised`` marks episodes of raised anterior tilt."""

    posture: str
    start_utc_ns: int
    stop_utc_ns: int
    tilt_deg: float
    raised: bool = False


@dataclass(frozen=True, slots=True)
class Transition:
    """One true change of posture: begins, ends (UTC) and how far the pelvis rises [m] (negative: sinks)."""

    before: str
    after: str
    start_utc_ns: int
    stop_utc_ns: int
    rise_m: float


@dataclass(frozen=True, slots=True)
class Script:
    """A day ready to be rendered. ``gaps`` are UTC intervals out of radio range; ``tracks`` the curves of `motion.py`."""

    wearer: Wearer
    start_utc_ns: int
    stop_utc_ns: int
    activities: tuple[Activity, ...]
    transitions: tuple[Transition, ...]
    gaps: tuple[tuple[int, int], ...]
    bouts: tuple[Bout, ...]
    tracks: Mapping[str, Track]

    @property
    def sway_phase(self) -> float:
        """No two wearers sway alike."""
        return float(self.wearer.seed % 6283) * 1e-3

    def bouts_between(self, from_s: float, to_s: float) -> list[Bout]:
        """Bouts of gait that touch the interval of script seconds."""
        return [b for b in self.bouts if b.stop_s > from_s and b.start_s <= to_s]

    def posture_codes(self, t_s: F64) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
        """True posture codes (`types.POSTURES`) at script seconds (n,)."""
        starts = np.array([(a.start_utc_ns - self.start_utc_ns) / NS_PER_S for a in self.activities])
        codes = np.array([POSTURE_CODE[a.posture] for a in self.activities], dtype=np.int8)
        out: np.ndarray[tuple[int], np.dtype[np.int8]] = codes[
            np.maximum(np.searchsorted(starts, t_s, side="right") - 1, 0)
        ]
        return out

    def linked(self, t_s: F64) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Whether the sensor is in radio range at script seconds (n,)."""
        out = np.ones(len(t_s), dtype=np.bool_)
        for start, stop in self.gaps:
            lo, hi = np.searchsorted(
                t_s, ((start - self.start_utc_ns) / NS_PER_S, (stop - self.start_utc_ns) / NS_PER_S)
            )
            out[lo:hi] = False
        return out
