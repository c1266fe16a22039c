"""Bland and Altman's agreement of two ways to measure an angle: bias, limits, and how sure both are.

Bland JM, Altman DG (1999) Measuring agreement in method comparison studies, Stat Methods Med Res 8:135, section 5.3: repeated
measurements of several people, the true value changing. The variance of a difference is that between people plus that
within, from a one-way analysis of variance; pooling the samples alone would call ten thousand samples of one person ten thousand people.

Deviation from the paper: intervals by resampling people (or, of a single person, stretches of `BLOCK_S`, which speak for that
recording only), because neighbouring samples of a walk depend on each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from processing.types import F64
from sensor_gateway.validation.doubt import MIN_SUBJECTS

BLOCK_S: Final = 2.0
"""Longer than a stride; shorter ones would pretend that the two halves of a step are independent."""
_RESAMPLES: Final = 1000


@dataclass(frozen=True, slots=True)
class Agreement:
    """Bias and limits [deg] with 95 % intervals; ``over`` says what was drawn anew: people or stretches of one recording."""

    bias_deg: float
    lower_deg: float
    upper_deg: float
    bias_interval_deg: tuple[float, float]
    lower_interval_deg: tuple[float, float]
    upper_interval_deg: tuple[float, float]
    over: str
    people: int
    samples: int


def limits_deg(groups: Sequence[F64]) -> tuple[float, float, float]:
    """Bias and the two 95 % limits from the differences of each person; groups must not be empty."""
    sizes = np.array([len(g) for g in groups], dtype=np.float64)
    means = np.array([g.mean() for g in groups])
    n, k = float(sizes.sum()), len(groups)
    bias = float((sizes * means).sum() / n)
    inside = float(sum(((g - m) ** 2).sum() for g, m in zip(groups, means, strict=True)))
    within = inside / (n - k) if n > k else 0.0
    between = 0.0
    if k > 1:
        spread = float((sizes * (means - bias) ** 2).sum()) / (k - 1)
        usual = (n - float((sizes**2).sum()) / n) / (k - 1)  # the size of a group where all are alike
        between = max(0.0, (spread - within) / usual)
    half = 1.96 * float(np.sqrt(within + between))
    return bias, bias - half, bias + half


def agreement(groups: Sequence[F64], rate_hz: float, seed: int = 0) -> Agreement | None:
    """Agreement of the differences [deg] of each person, in order of time; None where there are none."""
    groups = [g[np.isfinite(g)] for g in groups]
    groups = [g for g in groups if len(g)]
    if not groups:
        return None
    rng = np.random.default_rng(seed)
    whole = limits_deg(groups)
    by_people = len(groups) >= MIN_SUBJECTS
    drawn = np.array([limits_deg(_again(groups, rng, rate_hz, by_people=by_people)) for _ in range(_RESAMPLES)])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    bias, lower, upper = ((float(a), float(b)) for a, b in zip(low, high, strict=True))
    over = "people" if by_people else f"stretches of {BLOCK_S:g} s; says nothing of other people"
    return Agreement(*whole, bias, lower, upper, over, len(groups), sum(map(len, groups)))


def _again(groups: Sequence[F64], rng: np.random.Generator, rate_hz: float, *, by_people: bool) -> list[F64]:
    if by_people:
        return [groups[i] for i in rng.integers(0, len(groups), len(groups))]
    return [_stretches(g, rng, max(1, round(BLOCK_S * rate_hz))) for g in groups]


def _stretches(g: F64, rng: np.random.Generator, size: int) -> F64:
    blocks = [g[i : i + size] for i in range(0, len(g), size)]
    return np.concatenate([blocks[i] for i in rng.integers(0, len(blocks), len(blocks))])
