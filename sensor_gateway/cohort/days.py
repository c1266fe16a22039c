"""One synthetic day in steps of ten seconds: postures in blocks, tilt that follows them, holes, a slip, a ride.

The arrays stand where the pipeline would have judged the seconds of a real clip; the rules see their ten-second epochs
(`cohort/life.py`). Only numpy's seeded generator decides, so a day is the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processing.rules.base import EPOCH_S
from processing.types import F64, POSTURE_CODE, Bool
from sensor_gateway.cohort.people import Person, Work

PER_EPOCH: Final = 5
"""Tilt values per ten seconds; a minute's quantiles stand on thirty of them."""
NOTHING: Final = -1
HOUR: Final = 3600 // EPOCH_S
MINUTE: Final = 60 // EPOCH_S
SIT, STAND, WALK = (POSTURE_CODE[p] for p in ("sitting", "standing", "walking"))
LIE, UNKNOWN, NOT_WORN = (POSTURE_CODE[p] for p in ("lying", "unknown", "not_worn"))
STAIRS: Final = POSTURE_CODE["stairs"]

# Posture: (share of the blocks, mean minutes of a block).
_BLOCKS: Final[dict[Work, dict[int, tuple[float, float]]]] = {
    "desk": {SIT: (0.42, 21), STAND: (0.3, 9), WALK: (0.2, 5), STAIRS: (0.03, 0.7), UNKNOWN: (0.05, 1)},
    "mixed": {SIT: (0.34, 13), STAND: (0.36, 12), WALK: (0.22, 7), STAIRS: (0.03, 0.7), UNKNOWN: (0.05, 1)},
    "feet": {SIT: (0.18, 9), STAND: (0.45, 15), WALK: (0.3, 8), STAIRS: (0.03, 0.7), UNKNOWN: (0.04, 1)},
    "home": {SIT: (0.35, 16), STAND: (0.3, 10), WALK: (0.2, 5), LIE: (0.1, 25), UNKNOWN: (0.05, 1)},
}


@dataclass(slots=True)
class Day:
    """Epochs from ``first_k`` on: posture code (`NOTHING`: nothing received), tilt (n, 5) [deg], confidence, coverage.

    ``slip`` is the epoch from which the clip sat differently and the one from which the neutral was known again.
    """

    first_k: int
    posture: NDArray[np.int8]
    tilt_deg: F64
    confidence: F64
    coverage: F64
    shaken: Bool
    slip: tuple[int, int] | None = None
    flat_from: int | None = None

    @property
    def received(self) -> Bool:
        got: Bool = self.posture != NOTHING
        return got

    def slipped(self, i: int) -> bool:
        """Whether epoch i stands on a clip that slipped and was not aligned again."""
        return self.slip is not None and self.slip[0] <= i < self.slip[1]


def draw_day(person: Person, rng: np.random.Generator, first_k: int, epochs: int, day: int, *, last: bool) -> Day:
    """The person's ``day``-th day (from 0), ``epochs`` long; ``last``: what the story says of today happens."""
    posture = np.full(epochs, NOTHING, np.int8)
    shaken = np.zeros(epochs, bool)
    worn = last or rng.random() < person.wears
    start, end = ((h + rng.normal(0, 0.4)) * HOUR for h in (person.from_h, person.to_h))
    start, end = max(0, round(start)), min(epochs, round(end))
    if worn:
        if last:
            start = min(start, max(0, epochs - 4 * HOUR))  # somebody who looks early finds data of today
        _fill(person, rng, posture, shaken, start, end)
    found = Day(first_k, posture, np.empty((0, PER_EPOCH)), np.empty(0), np.empty(0), shaken)
    if worn and last and person.flat_today:
        found.flat_from = max(start, end - 2 * HOUR)
        posture[found.flat_from :] = NOTHING
    _holes(person, rng, posture, start, end)
    found.tilt_deg = _tilt(person, rng, posture, day)
    sure = rng.normal(0.93, 0.03, epochs)
    found.confidence = np.clip(np.where(posture == UNKNOWN, 0.4, sure), 0, 1)
    dropped = rng.random(epochs) < person.weak_radio
    found.coverage = np.where(posture == NOTHING, 0.0, np.where(dropped, rng.uniform(0.2, 0.9, epochs), 0.995))
    if worn and end - start > 2 * HOUR and ((last and person.slipped_today) or rng.random() < person.slips):
        at = int(rng.integers(start + HOUR, end - HOUR // 2))
        back = end if last and person.slipped_today else min(end, at + int(rng.integers(10 * MINUTE, HOUR)))
        found.slip = at, back
        found.tilt_deg[at:back] += rng.choice([-1, 1]) * rng.uniform(5, 9)
    return found


def _fill(
    person: Person, rng: np.random.Generator, posture: NDArray[np.int8], shaken: Bool, start: int, end: int
) -> None:
    """Blocks of posture from start to end; a lunch off the clip now and then, rides at both ends of the day."""
    blocks = _BLOCKS[person.work]
    codes, shares = list(blocks), np.array([share for share, _ in blocks.values()])
    at, now = start, NOT_WORN
    posture[start : start + MINUTE] = NOT_WORN
    at += MINUTE
    while at < end:
        weights = np.where(np.array(codes) == now, 0, shares)
        now = int(rng.choice(codes, p=weights / weights.sum()))
        long = max(2, round(rng.gamma(2.0, blocks[now][1] / 2) * MINUTE))
        posture[at : min(end, at + long)] = now
        at += long
    if rng.random() < 0.3 and end - start > 3 * HOUR:
        off = int(rng.integers(start + HOUR, end - HOUR))
        posture[off : off + int(rng.integers(10, 45)) * MINUTE] = NOT_WORN
    if person.rides:
        for ride in (start + HOUR // 2, end - 4 * HOUR):
            span = slice(max(start, ride), max(start, min(end, ride + 35 * MINUTE)))
            posture[span], shaken[span] = SIT, True
    posture[end:] = NOTHING


def _holes(person: Person, rng: np.random.Generator, posture: NDArray[np.int8], start: int, end: int) -> None:
    if end - start < HOUR:
        return
    for _ in range(int(rng.poisson(person.holes_per_day))):
        at = int(rng.integers(start + MINUTE, end))
        posture[at : at + max(1, round(rng.exponential(8) * MINUTE))] = NOTHING


def _tilt(person: Person, rng: np.random.Generator, posture: NDArray[np.int8], day: int) -> F64:
    """Habit of the posture, a day's own shift, slow wander (20 minutes), and what moves within seconds."""
    n = len(posture)
    habit = person.standing_deg + person.drift_deg_per_week * day / 7 + rng.normal(0, 0.7)
    wander, keep = np.empty(n), float(np.exp(-EPOCH_S / 1200))
    kicks = rng.normal(0, person.wander_deg * np.sqrt(1 - keep**2), n).tolist()
    level = float(rng.normal(0, person.wander_deg))
    for i, kick in enumerate(kicks):
        level = keep * level + kick
        wander[i] = level
    middle = np.full(n, habit)
    middle[(posture == WALK) | (posture == STAIRS)] += person.walking_extra_deg
    middle[posture == SIT] = person.sitting_deg
    middle[posture == LIE] = -6.0
    restless = np.where((posture == WALK) | (posture == STAIRS), 1.5, 0.5)
    tilt: F64 = (middle + wander)[:, None] + rng.normal(0, 1, (n, PER_EPOCH)) * restless[:, None]
    tilt[(posture == NOTHING) | (posture == NOT_WORN)] = np.nan
    return tilt
