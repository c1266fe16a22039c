"""Scores of one recording against its truth: pure functions from arrays to tallies (`tally.py`).

Nothing here knows a file, a data set or a method. Angles are in degrees, times in seconds on the recording's own clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processing.types import F64, POSTURE_CODE, POSTURES, Bool
from sensor_gateway.validation.tally import INCLINATION, POSTURE, SCORED_POSTURES, STEPS, TILT, TRANSFERS, WALKING

STEP_TOLERANCE_S: Final = 0.12
"""At ±0.25 s a metronome reaches 0.92."""
TRANSFER_TOLERANCE_S: Final = 2.0


def rms(x: F64) -> float:
    """Root mean square; NaN of nothing."""
    return float(np.sqrt(np.mean(x * x))) if len(x) else float("nan")


def inclination_error_deg(up: F64, truth: F64) -> F64:
    """Angle between two directions of up (n, 3), both in sensor axes; NaN where either is."""
    cross = np.cross(up, truth)
    # arctan2 keeps small angles exact, where arccos loses half of the digits.
    angle: F64 = np.degrees(np.arctan2(np.sqrt((cross * cross).sum(axis=1)), (up * truth).sum(axis=1)))
    return angle


def inclination(error_deg: F64, scored: Bool) -> F64:
    """Tally of one recording from its inclination error (n,) over the samples ``scored`` (n,), those with a known truth."""
    have = error_deg[scored & np.isfinite(error_deg)]
    return INCLINATION.tally(
        {
            "recordings": bool(len(have)),
            "rmse_sum_deg": rms(have) if len(have) else 0.0,
            "samples": len(have),
            "expected": int(scored.sum()),
        }
    )


def without_constant(error: F64) -> F64:
    """The error less its mean: what the choice of zero cannot explain."""
    return error - error.mean() if len(error) else error


def tilt(
    tilt_error_deg: F64, obliquity_error_deg: F64, scored: Bool, constants_deg: tuple[float, float] | None = None
) -> F64:
    """Tally of one recording (or, with the whole recording's ``constants_deg``, of a part of it): RMSE, one constant removed."""
    have = tilt_error_deg[scored & np.isfinite(tilt_error_deg)]
    side = obliquity_error_deg[scored & np.isfinite(obliquity_error_deg)]
    if constants_deg is None:
        have, side = without_constant(have), without_constant(side)
    else:
        have, side = have - constants_deg[0], side - constants_deg[1]
    return TILT.tally(
        {
            "recordings": bool(len(have)),
            "rmse_sum_deg": rms(have) if len(have) else 0.0,
            "samples": len(have),
            "expected": int(scored.sum()),
            "with_obliquity": bool(len(side)),
            "obliquity_rmse_sum_deg": rms(side) if len(side) else 0.0,
        }
    )


def posture(truth: Mapping[int, str], answer: Mapping[int, str]) -> F64:
    """Tally of seconds, truth by answer; a second without an answer counts as "unknown". Counts keep every answer; which of them are
    right is the figure's matter (`tally.class_f1`).
    """
    counts = np.zeros((len(SCORED_POSTURES), len(POSTURES)))
    for second, name in truth.items():
        counts[SCORED_POSTURES.index(name), POSTURE_CODE[answer.get(second, "unknown")]] += 1
    return POSTURE.tally(dict(zip(POSTURE.fields, counts.ravel().tolist(), strict=True)))


def match(found: F64, true: F64, tolerance_s: float) -> list[tuple[int, int]]:
    """The most one-to-one pairs (i, j) of sorted times within the tolerance: earliest first is optimal on a line."""
    i = j = 0
    pairs = []
    while i < len(found) and j < len(true):
        apart = found[i] - true[j]
        if abs(apart) <= tolerance_s:
            pairs.append((i, j))
        i += int(apart <= tolerance_s)
        j += int(apart >= -tolerance_s)
    return pairs


def transfers(found: Sequence[tuple[float, str]], true: Sequence[tuple[float, str]], known: Sequence[float]) -> F64:
    """Tally of changes of posture (time of the middle, kind), one to one within 2 s, each kind for itself.

    ``known`` are those times of ``found`` at which the truth says what happened; others, unmatched, are not held against anyone.
    """
    hits = false = 0
    sure = set(known)
    for kind in sorted({k for _, k in true} | {k for _, k in found}):
        mine = sorted(t for t, k in found if k == kind)
        theirs = sorted(t for t, k in true if k == kind)
        pairs = match(np.array(mine), np.array(theirs), TRANSFER_TOLERANCE_S)
        hits += len(pairs)
        matched = {i for i, _ in pairs}
        false += sum(i not in matched and t in sure for i, t in enumerate(mine))
    return TRANSFERS.tally({"hits": hits, "missed": len(true) - hits, "false": false})


def best_delay_s(found: F64, true: F64) -> float:
    """The one constant delay within ±0.2 s that matches most steps, and of those the one that leaves least."""

    def merit(delay: float) -> tuple[int, float]:
        pairs = match(found - delay, true, STEP_TOLERANCE_S)
        return len(pairs), -sum(abs(float(found[i]) - delay - float(true[j])) for i, j in pairs)

    return max((round(d * 0.01, 2) for d in range(-20, 21)), key=merit)


@dataclass(frozen=True, slots=True)
class StepMatch:
    """Tally of one recording's steps, the delay taken away [s], and what is left at each matched one [s]."""

    tally: F64
    delay_s: float
    left_s: F64
    pairs: list[tuple[int, int]]


def steps(found: F64, true: F64, sides: tuple[Sequence[str], Sequence[str]] | None = None) -> StepMatch:
    """Steps against contacts, sorted times [s]: one constant delay removed, one to one within ±0.12 s.

    ``sides`` are "left", "right" or "unknown" of both; only matched steps with a known true side are asked, and "unknown" is wrong.
    """
    pairs: list[tuple[int, int]] = []
    delay = 0.0
    if len(found) and len(true):
        delay = best_delay_s(found, true)
        pairs = match(found - delay, true, STEP_TOLERANCE_S)
    asked = [] if sides is None else [(sides[0][i], sides[1][j]) for i, j in pairs if sides[1][j] != "unknown"]
    tally = STEPS.tally(
        {
            "hits": len(pairs),
            "found": len(found),
            "true": len(true),
            "side_right": sum(a == b for a, b in asked),
            "sided": len(asked),
        }
    )
    left = np.array([found[i] - delay - true[j] for i, j in pairs])
    return StepMatch(tally, delay, left, pairs)


def walking(contacts_s: F64, second: NDArray[np.int64], walked: Bool) -> F64:
    """Seconds amid three contacts are walking; seconds 2 s away from any are not; the others are not asked."""
    counts = dict.fromkeys(WALKING.fields, 0.0)
    for s, said in zip(second.tolist(), walked.tolist(), strict=True):
        off = contacts_s - (s + 0.5)
        near = off[np.abs(off) < 1.2]
        if len(near) >= 3 and near.min() < 0 < near.max():
            counts["walked_s"] += 1
            counts["hits_s"] += said
        elif len(off) and np.abs(off).min() > 2.0:
            counts["still_s"] += 1
            counts["false_s"] += said
    return WALKING.tally(counts)
