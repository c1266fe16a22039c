"""Worn or lying about: ten minutes in which nothing moves beyond the sensor's own noise.

A body is never that still: breathing turns the pelvis by 0.1-1 deg/s a few times a minute. So each second is tested three ways:
rate of turn within 1.5 times the sensor's own noise, vertical acceleration within 13 mg, and hardly any slow turning (mean
rate of turn per second about its running mean, where noise averages out and breathing does not).
The noise is not known beforehand: it is taken as the least rate of turn of any second so far, within what inertial sensors
have. A sensor put down at once shows its noise at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from processing.features.movement import Movement
from processing.types import GRAVITY_MPS2


@dataclass(frozen=True, slots=True)
class WearParams:
    """Limits; the first three follow the accelerometer literature on non-wear, applied to both sensors."""

    noise_factor: float = 1.5
    acc_sd_mps2: float = 0.013 * GRAVITY_MPS2
    min_s: int = 600
    slow_turn_dps: float = 0.08
    max_noise_dps: float = 0.6
    forgiven_s: int = 3  # knocks on the table


class WearStage:
    """Counts seconds as still as a table."""

    def __init__(self, params: WearParams | None = None) -> None:
        self.params = params or WearParams()
        self._noise_dps = self.params.max_noise_dps
        self._still_s = 0
        self._excused = 0
        self._mean = [0.0, 0.0, 0.0]
        self._mean_known = False

    def update(self, m: Movement) -> list[bool]:
        """Whether the sensor is worn, for each second."""
        p = self.params
        out = []
        columns = zip(m.turn_sd_dps.tolist(), m.acc_sd_mps2.tolist(), m.slow_turn_dps.tolist(), strict=True)
        for turn, acc, slow in columns:
            if turn < self._noise_dps:
                self._noise_dps = max(turn, 1e-3)
            if not self._mean_known:
                self._mean, self._mean_known = list(slow), True
            off = 0.0
            for k in range(3):
                change = slow[k] - self._mean[k]
                off = max(off, abs(change))
                self._mean[k] += 0.02 * change
            still = turn <= p.noise_factor * self._noise_dps and acc <= p.acc_sd_mps2 and off <= p.slow_turn_dps
            if still:
                self._still_s += 1
            elif self._still_s >= p.min_s and self._excused < p.forgiven_s:
                self._excused += 1
            elif self._excused < p.forgiven_s and self._still_s > 60 * (self._excused + 1):
                self._excused += 1
                self._still_s += 1
            else:
                self._still_s = self._excused = 0
            if still and self._excused and self._still_s % 60 == 0:
                self._excused -= 1
            out.append(self._still_s < p.min_s)
        return out

    def snapshot(self) -> list[Any]:
        return [self._noise_dps, self._still_s, self._excused, self._mean, self._mean_known]

    def restore(self, state: list[Any]) -> None:
        self._noise_dps, self._still_s, self._excused, mean, self._mean_known = state
        self._mean = list(mean)


def fill_unworn(worn: list[bool], params: WearParams) -> list[bool]:
    """Looking back: the minutes of stillness that led to "not worn" were not worn either."""
    out = list(worn)
    for i in range(1, len(worn)):
        if worn[i - 1] and not worn[i]:
            for k in range(max(0, i - params.min_s + 1), i):
                out[k] = False
    return out
