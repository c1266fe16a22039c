"""Steps or not, second by second: rhythm and strength of vertical acceleration in the step band, with hysteresis.

Walking is told by lasting rhythm, so that a single sit-down, as strong as a step, is not taken for it: it begins with a
strong second after a fair one, or with the third fair second in a row, and lasts while seconds stay fair. Beside it there is
stepping: one second of a strong step by itself, and slow or shuffling steps after others while the pelvis keeps turning as
between steps. Levels: at the lower back slow walking (0.5 m/s) swings the vertical by about 0.5 m/s² root mean square in the
step band, comfortable walking by 1.2-2, stairs down by 3.

Running has steps above 2.4 Hz together with flight (both feet leave the ground once a step, and the pelvis falls freely for a
tenth of the time and more) or with a swing that walking does not reach. Who hurries down stairs with
a heavy tread may be taken for a runner for a few seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from processing.features.movement import Movement

STILL, FAIR, STEPPING, WALKING, RUNNING, STAIRS = 0, 1, 2, 3, 4, 5
"""What a second's steps amount to: none, perhaps, single or shuffling steps, walking, running; stairs are named by
`climbing.py` and `stairs.py`. From `STEPPING` on a second counts as walking; from `WALKING` on it is evidence of being upright:
turning over in bed can look like a step or two.
"""
_FAIR_MPS2: Final = 0.42
_STRONG_MPS2: Final = 0.9
_ALONE_MPS2: Final = 1.05  # in one second, with nothing before
_LASTING_MPS2: Final = 0.3  # slow and shuffling steps amid a walk
_FLIGHT: Final = 0.1  # share of two seconds; runners fly a fifth to a third of the time, walkers never
_RUN_MPS2: Final = 4.5  # half of g: beyond fast walking; a heavy tread down the stairs may come near
_RUN_CROSSINGS_2S: Final = 5  # 2.4 Hz and more
_MIN_TURN_DPS: Final = 8.0
_LASTING_TURN_DPS: Final = 15.0
_MAX_CROSSINGS_2S: Final = 9  # faster than 4.5 Hz is shaking
_SLOW_START_S: Final = 3


@dataclass(slots=True)
class GaitStage:
    """Carries the last second's level and the run of fair seconds."""

    previous: float = 0.0
    previous_crossings: float = 0.0
    previous_flight: float = 0.0
    fair_s: int = 0
    walking: bool = False
    stepping: bool = False

    def update(self, m: Movement) -> list[int]:
        """One of `STILL`, `FAIR`, `STEPPING`, `WALKING`, `RUNNING` for each second."""
        levels, crossings, flights = m.step_rms_mps2, m.crossings, m.flight
        out = [STILL] * len(levels)
        before, crossings_before, flight_before = self.previous, self.previous_crossings, self.previous_flight
        fair_s, walking, stepping = self.fair_s, self.walking, self.stepping
        end = 0
        # In most of a day there is no step, and none goes on.
        for i in np.flatnonzero(levels >= _LASTING_MPS2).tolist():
            if i != end:
                before, crossings_before, flight_before = levels.item(i - 1), crossings.item(i - 1), flights.item(i - 1)
                fair_s, walking, stepping = 0, False, False
            if m.gap_before[i]:
                before, crossings_before, flight_before = 0.0, 0.0, 0.0
                fair_s, walking, stepping = 0, False, False
            end = i + 1
            level, crossed, turn, flight = levels.item(i), crossings.item(i), m.turn_sd_dps.item(i), flights.item(i)
            both = math.sqrt(0.5 * (level * level + before * before))
            steps = crossed + crossings_before
            rhythm = 2.0 <= steps <= _MAX_CROSSINGS_2S
            fair = level >= _FAIR_MPS2 and turn >= _MIN_TURN_DPS and rhythm
            fair_s = fair_s + 1 if fair else 0
            begins = fair_s >= _SLOW_START_S or min(level, both) >= _STRONG_MPS2
            walking = fair and (walking or begins)
            alone = fair and level >= _ALONE_MPS2
            stepping = walking or (rhythm and turn >= _LASTING_TURN_DPS and (alone or stepping))
            if walking:
                flies = 0.5 * (flight + flight_before) >= _FLIGHT or level >= _RUN_MPS2
                out[i] = RUNNING if flies and steps >= _RUN_CROSSINGS_2S else WALKING
            elif stepping:
                out[i] = STEPPING
            elif fair:
                out[i] = FAIR
            before, crossings_before, flight_before = level, crossed, flight
        if end != len(out):
            before, crossings_before, flight_before = levels.item(-1), crossings.item(-1), flights.item(-1)
            fair_s, walking, stepping = 0, False, False
        self.previous, self.previous_crossings, self.previous_flight = before, crossings_before, flight_before
        self.fair_s, self.walking, self.stepping = fair_s, walking, stepping
        return out

    def snapshot(self) -> list[Any]:
        before = [self.previous, self.previous_crossings, self.previous_flight]
        return [*before, self.fair_s, self.walking, self.stepping]

    def restore(self, state: list[Any]) -> None:
        self.previous, self.previous_crossings, self.previous_flight = state[:3]
        self.fair_s, self.walking, self.stepping = state[3:]


def looked_back(codes: list[int]) -> list[int]:
    """Looking back: fair seconds that led up to walking were steps, and steps with no walking next to them were none."""
    out = list(codes)
    start = 0
    for end in range(len(codes) + 1):
        if end < len(codes) and codes[end] >= FAIR:
            continue
        walks = [k for k in range(start, end) if codes[k] >= WALKING]
        for k in range(start, end):
            if not walks:
                out[k] = FAIR
            elif codes[k] == FAIR and k < walks[-1]:
                out[k] = STEPPING
        start = end + 1
    return out
