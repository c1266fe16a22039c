"""Steps or not, second by second: rhythm and strength of vertical acceleration in the step band, with hysteresis.

Walking is told by lasting rhythm, so that a single sit-down, as strong as a step, is not taken for it: it begins with a
strong second after a fair one, or with the third fair second in a row, and lasts while seconds stay fair. Levels: at the
lower back slow walking (0.5 m/s) swings the vertical by about 0.5 m/s² root mean square in the step band, comfortable
walking by 1.2-2, stairs down by 3, running by 7 and more (the body falls freely once a step).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from processing.features.movement import Movement

STILL, FAIR, WALKING, RUNNING = 0, 1, 2, 3
"""What a second's steps amount to: none, perhaps, walking, running."""
_FAIR_MPS2: Final = 0.42
_STRONG_MPS2: Final = 0.9
_RUN_MPS2: Final = 6.9  # g over the square root of two: a swing that just reaches free fall
_MIN_TURN_DPS: Final = 8.0
_MAX_CROSSINGS_2S: Final = 9  # faster than 4.5 Hz is shaking
_SLOW_START_S: Final = 3


@dataclass(slots=True)
class GaitStage:
    """Carries the last second's level and the run of fair seconds."""

    previous: float = 0.0
    previous_crossings: float = 0.0
    fair_s: int = 0
    walking: bool = False

    def update(self, m: Movement) -> list[int]:
        """One of `STILL`, `FAIR`, `WALKING`, `RUNNING` for each second."""
        out: list[int] = []
        columns = zip(
            m.step_rms_mps2.tolist(), m.crossings.tolist(), m.turn_sd_dps.tolist(), m.gap_before.tolist(), strict=True
        )
        for level, crossings, turn, gap in columns:
            if gap:
                self.previous, self.previous_crossings, self.fair_s, self.walking = 0.0, 0.0, 0, False
            both = math.sqrt(0.5 * (level * level + self.previous * self.previous))
            rhythm = 2.0 <= crossings + self.previous_crossings <= _MAX_CROSSINGS_2S
            fair = level >= _FAIR_MPS2 and turn >= _MIN_TURN_DPS and rhythm
            self.fair_s = self.fair_s + 1 if fair else 0
            begins = self.fair_s >= _SLOW_START_S or min(level, both) >= _STRONG_MPS2
            self.walking = fair and (self.walking or begins)
            running = self.walking and level >= _RUN_MPS2
            out.append(RUNNING if running else WALKING if self.walking else FAIR if fair else STILL)
            self.previous, self.previous_crossings = level, crossings
        return out

    def snapshot(self) -> list[Any]:
        return [self.previous, self.previous_crossings, self.fair_s, self.walking]

    def restore(self, state: list[Any]) -> None:
        self.previous, self.previous_crossings, self.fair_s, self.walking = state


def fill_back(codes: list[int]) -> list[int]:
    """Looking back: fair seconds that led up to walking were walking."""
    out = list(codes)
    for i in range(len(out) - 2, -1, -1):
        if out[i] == FAIR and out[i + 1] >= WALKING:
            out[i] = WALKING
    return out
