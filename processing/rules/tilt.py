"""The episode machine: idle, candidate, active; sustained tilt after ten minutes of an active episode.

Time counts in eligible epochs only: sitting, lying or a gap freezes every timer, and ends the episode when it lasts.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from processing.rules.base import EPOCH_S, Limits
from processing.rules.reading import Reading

IDLE: Final = "idle"
CANDIDATE: Final = "candidate"
ACTIVE: Final = "active"


class Step(Enum):
    """What an epoch did to the episode."""

    NOTHING = 0
    STARTED = 1
    SUSTAINED = 2
    ENDED = 3


class TiltMachine:
    """Phase and timers of the current episode [s]. ``start_k`` is the epoch in which it began."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.phase = IDLE
        self.start_k = 0
        self.on_s = 0
        self.active_s = 0
        self.below_s = 0

    def reset(self) -> None:
        """Back to idle, timers cleared."""
        self.phase = IDLE
        self.on_s = self.active_s = self.below_s = 0

    def step(self, k: int, reading: Reading) -> Step:
        """One eligible epoch."""
        limits = self._limits
        tilt, threshold = reading
        if self.phase == ACTIVE:
            return self._step_active(tilt >= threshold - limits.hysteresis_mdeg)
        if self.phase == IDLE:
            if tilt < threshold:
                return Step.NOTHING
            self.phase, self.start_k, self.on_s = CANDIDATE, k, EPOCH_S
        elif tilt >= threshold:
            self.on_s += EPOCH_S
        else:
            self.on_s -= 2 * EPOCH_S
            if self.on_s <= 0 or tilt < threshold - limits.hysteresis_mdeg:
                self.reset()
                return Step.NOTHING
        if self.on_s >= limits.on_s:
            self.phase, self.active_s, self.below_s = ACTIVE, 0, 0
            return Step.STARTED
        return Step.NOTHING

    def _step_active(self, held: bool) -> Step:
        limits = self._limits
        self.active_s += EPOCH_S
        self.below_s = 0 if held else self.below_s + EPOCH_S
        if self.below_s >= limits.off_s:
            return Step.ENDED  # the caller reports the episode with its timers, then resets
        # Passed for the first time: the limit need not be a whole number of epochs.
        if self.active_s - EPOCH_S < limits.sustained_s <= self.active_s:
            return Step.SUSTAINED
        return Step.NOTHING
