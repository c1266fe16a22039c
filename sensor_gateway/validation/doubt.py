"""How far a figure can be trusted: intervals from drawing people anew, and for shares where that says nothing."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from processing.types import F64
from sensor_gateway.validation.tally import Figure, OfTally

MIN_SUBJECTS: Final = 5
"""Below this, resampling people says little: the interval is left out rather than shown too narrow."""
RESAMPLES: Final = 4000


def bootstrap(by_subject: F64, of: OfTally, *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float] | None:
    """95 % percentile interval of a figure when people (n, k) are drawn anew; None below `MIN_SUBJECTS` people.

    Recordings of one person stay together: they are no independent evidence. The same input gives the same interval.
    """
    n = len(by_subject)
    if n < MIN_SUBJECTS:
        return None
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n, np.full(n, 1.0 / n), size=resamples).astype(np.float64)
    values = of(drawn @ by_subject)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def wilson(hits: float, n: float) -> tuple[float, float] | None:
    """95 % interval of a share of n independent events (Wilson 1927, JASA 22:209).

    For a share of 0 or 1, where every resample of people says the same and the bootstrap would claim certainty.
    """
    if n <= 0:
        return None
    z = 1.959964
    share, z2 = hits / n, z * z / n
    middle = (share + z2 / 2) / (1 + z2)
    half = z * math.sqrt(share * (1 - share) / n + z2 / (4 * n)) / (1 + z2)
    return max(0.0, middle - half), min(1.0, middle + half)


def interval(by_subject: F64, figure: Figure) -> tuple[float, float] | None:
    """How sure a figure over people (n, k) is: `bootstrap`, or `wilson` where that finds no spread at all."""
    drawn = bootstrap(by_subject, figure.of)
    if drawn is None or drawn[0] < drawn[1] or figure.events is None:
        return drawn
    total = by_subject.sum(axis=0)
    hits, all_of = figure.events
    return wilson(float(total[hits]), float(total[list(all_of)].sum()))
