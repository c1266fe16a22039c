"""Tilt before against tilt after: the arithmetic of a response and its words (`response.py` collects the epochs).

Medians over eligible epochs of one posture. Integers in millidegrees throughout, so that every machine says the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final, TypeAlias

from processing.rules.base import EPOCH_S
from processing.rules.explain import degrees
from processing.types import Json

LEAST_EPOCHS: Final = 5 * 60 // EPOCH_S
LEAST_CHANGE_MDEG: Final = 2000
SE_PPM: Final = 1_858_143
"""1.2533 (a median's standard error over a mean's) times 1.4826 (MAD to standard deviation), in parts per million."""
EPOCHS_PER_MINUTE: Final = 60 // EPOCH_S
CHANGED: Final = "changed"
UNCHANGED: Final = "no_measurable_change"
INSUFFICIENT: Final = "insufficient_data"
DISTURBED: Final = "another_prompt_or_exercise"

Row: TypeAlias = tuple[int, str, int]
"""An eligible epoch: k, posture, tilt [mdeg]."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison found; numbers are None where there was too little to compare."""

    posture: str
    outcome: str
    reason: str | None
    before: Mapping[str, Json]
    after: Mapping[str, Json]
    delta_mdeg: int | None = None
    se_mdeg: int | None = None
    limit_mdeg: int | None = None


def compare(postures: Sequence[str], before: Sequence[Row], after: Sequence[Row]) -> Compared:
    """Difference of medians in the posture with most epochs on both sides, its standard error, and what it amounts to.

    The standard error comes from the medians of one-minute blocks, as neighbouring epochs are not independent.
    """
    sides = {p: ([r for r in before if r[1] == p], [r for r in after if r[1] == p]) for p in postures}
    posture = max(postures, key=lambda p: min(map(len, sides[p])))
    one, two = sides[posture]
    if min(len(one), len(two)) < LEAST_EPOCHS:
        short: tuple[dict[str, Json], ...] = ({"eligible_s": len(one) * EPOCH_S}, {"eligible_s": len(two) * EPOCH_S})
        return Compared(posture, INSUFFICIENT, "too_few_epochs", short[0], short[1])
    (median_1, mad_1, n_1), (median_2, mad_2, n_2) = _spread(one), _spread(two)
    delta = median_2 - median_1
    se = isqrt(SE_PPM**2 * (mad_1**2 * n_2 + mad_2**2 * n_1) // (10**12 * n_1 * n_2))
    limit = max(LEAST_CHANGE_MDEG, 2 * se)
    outcome = CHANGED if abs(delta) > limit else UNCHANGED
    return Compared(posture, outcome, None, _side(one, median_1, mad_1), _side(two, median_2, mad_2), delta, se, limit)


def in_words(group: str, found: Compared) -> str:
    """One sentence a wearer may read: what was measured, and not what caused it."""
    after = "the exercise" if group == "exercise" else "a flag without a prompt (for comparison)"
    delta, limit = found.delta_mdeg, found.limit_mdeg
    if found.reason == DISTURBED:
        return f"Not compared: another prompt or exercise fell into the time around {after}."
    if delta is None or limit is None:
        return f"Too little was measured in one posture before and after {after} to compare."
    if found.outcome == UNCHANGED:
        return (
            f"No measurable change of tilt in {found.posture} after {after} ({degrees(delta / 1000)}; up to "
            f"{limit / 1000:.1f}° can be chance)."
        )
    way = "less" if delta < 0 else "more"
    return (
        f"After {after}, tilt in {found.posture} was {abs(delta) / 1000:.1f}° {way} forward than before. Tilt also comes "
        "and goes by itself, so one time shows little."
    )


def _spread(rows: Sequence[Row]) -> tuple[int, int, int]:
    """Median of the epochs, MAD of the one-minute medians, and how many minutes there are."""
    blocks = _blocks(rows)
    centre = middle(blocks)
    return middle([r[2] for r in rows]), middle([abs(b - centre) for b in blocks]), len(blocks)


def middle(values: Sequence[int]) -> int:
    """Of an even count the mean of the two middle values, rounded down: few blocks must not look steadier than they are."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) // 2


def _blocks(rows: Sequence[Row]) -> list[int]:
    minutes: dict[int, list[int]] = {}
    for k, _, tilt in rows:
        minutes.setdefault(k // EPOCHS_PER_MINUTE, []).append(tilt)
    return [middle(tilts) for tilts in minutes.values()]


def _side(rows: Sequence[Row], median: int, mad: int) -> dict[str, Json]:
    return {
        "eligible_s": len(rows) * EPOCH_S,
        "median_deg": median / 1000,
        "block_mad_deg": mad / 1000,
        "block_median_mdeg": list(_blocks(rows)),
        "tilt_mdeg": [r[2] for r in rows],
    }
