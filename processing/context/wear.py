"""Worn or lying about: ten minutes in which nothing moves beyond the sensor's own noise.

A body is never that still: breathing turns the pelvis by 0.1-1 deg/s all the time. So each second is tested three ways: rate of
turn within 1.5 times the sensor's own noise, vertical acceleration within 13 mg, and hardly any slow turning (the second's mean
rate of turn against the second before: there noise averages out and breathing does not).

The noise is not known beforehand. It is taken as the least rate of turn over some ten seconds so far, which a sensor put down shows
soon. While it has only ever been on a body the figure is too high, and the slow turning alone must tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from processing.features.movement import Movement
from processing.frames import columns
from processing.types import GRAVITY_MPS2


@dataclass(frozen=True, slots=True)
class WearParams:
    """Limits of stillness. Factor, 13 mg and ten minutes follow common practice for non-wear in accelerometry."""

    min_s: int = 600
    noise_factor: float = 1.5
    acc_sd_mps2: float = 0.013 * GRAVITY_MPS2
    slow_turn_dps: float = 0.08
    noise_dps: tuple[float, float] = (0.05, 0.6)  # what gyroscopes have, all axes together
    knocks: int = 3  # seconds of disturbance forgiven, one a minute: a table is knocked now and then


class WearStage:
    """Counts seconds as still as a table."""

    def __init__(self, rate_hz: float, params: WearParams | None = None) -> None:
        self.params = params or WearParams()
        # Four standard deviations of the difference of one axis's means over a second, as a share of the noise of three axes.
        self._mean_noise = 4.0 * math.sqrt(2.0 / (3.0 * rate_hz))
        self._noise_dps = self.params.noise_dps[1]
        self._recent_dps = self._noise_dps
        self._still_s = 0
        self._credit = 0
        self._worn = True
        self._before: list[float] = []

    def update(self, m: Movement) -> tuple[list[float], list[bool]]:
        """For each second: the probability that the sensor is worn (0 once it surely is not), and whether it is worn again
        from here. A body may keep so still for a minute; by ten it is as likely a table, and then that is the answer.
        """
        p = self.params
        worn, put_on = [1.0] * len(m.second), [False] * len(m.second)
        slow = m.slow_turn_dps
        before = np.concatenate([np.array([self._before]) if self._before else slow[:1], slow[:-1]])
        change = np.maximum.reduce(columns(np.abs(slow - before)), axis=0)
        self._before = slow[-1].tolist()
        rows = zip(m.turn_sd_dps.tolist(), m.acc_sd_mps2.tolist(), change.tolist(), m.covered.tolist(), strict=True)
        least_dps, recent_dps, noise_dps = p.noise_dps[0], self._recent_dps, self._noise_dps
        still_s, credit, was_on = self._still_s, self._credit, self._worn
        still_dps, acc_mps2 = p.noise_factor * noise_dps, p.acc_sd_mps2
        for k, (turn, acc, changed, covered) in enumerate(rows):
            if covered == 1.0:
                recent_dps += _RECENT * (turn - recent_dps)
                if recent_dps < noise_dps:
                    noise_dps = max(recent_dps, least_dps)
                    still_dps = p.noise_factor * noise_dps
            if turn <= still_dps and acc <= acc_mps2 and changed <= max(p.slow_turn_dps, self._mean_noise * noise_dps):
                still_s += 1
                if still_s % 60 == 0:
                    credit = min(credit + 1, p.knocks)
            elif credit:
                credit -= 1
                still_s += 1
            else:  # most of a day
                still_s = 0
                if not was_on:
                    was_on = put_on[k] = True
                continue
            was_on = still_s < p.min_s
            worn[k] = 1.0 - 0.5 * still_s / p.min_s if was_on else 0.0
        self._recent_dps, self._noise_dps = recent_dps, noise_dps
        self._still_s, self._credit, self._worn = still_s, credit, was_on
        return worn, put_on

    def snapshot(self) -> list[Any]:
        return [self._noise_dps, self._recent_dps, self._still_s, self._credit, self._worn, self._before]

    def restore(self, state: list[Any]) -> None:
        self._noise_dps, self._recent_dps, self._still_s, self._credit, self._worn, before = state
        self._before = list(before)


_RECENT = 0.1  # weight of a second in the mean of the last ten or so


def fill_unworn(worn: list[float], params: WearParams) -> list[float]:
    """Looking back: the minutes of stillness that led to "not worn" were not worn either."""
    out = list(worn)
    for i in range(1, len(worn)):
        if worn[i - 1] > 0.0 and worn[i] == 0.0:
            for k in range(max(0, i - params.min_s + 1), i):
                out[k] = 0.0
    return out
