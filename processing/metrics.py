"""The metric record of each second: tilt and its doubt where they could be measured, posture, coverage and quality.

Last step of the core for what happened second by second; `epochs.py` sums up from the same seconds.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from processing.features.tilt import SecondTilt
from processing.types import F64, I64, NS_PER_S, POSTURE_CODE, POSTURES, ContextBlock, Metric
from processing.unfrozen import open_twin

_NOT_WORN = POSTURE_CODE["not_worn"]
_OPEN: Final = open_twin(Metric)


def metrics_of(second: I64, context: ContextBlock, tilt: SecondTilt) -> list[Metric]:
    """One record for each UTC second (m,); angles are None without a valid sample and where nobody wears the sensor."""
    measured = (tilt.valid > 0) & (context.posture != _NOT_WORN)
    everywhere, known = bool(measured.all()), measured.tolist()

    def angles(v: F64) -> list[float | None]:
        return v.tolist() if everywhere else [x if k else None for x, k in zip(v.tolist(), known, strict=True)]

    return _made(
        (second * np.int64(NS_PER_S)).tolist(),
        angles(tilt.anterior_tilt_deg),
        angles(tilt.obliquity_deg),
        angles(tilt.uncertainty_deg),
        [POSTURES[code] for code in context.posture.tolist()],
        context.confidence.tolist(),
        tilt.coverage.tolist(),
        tilt.quality.tolist(),
    )


def _made(*columns: list[Any]) -> list[Metric]:
    """Records from the columns of their fields."""
    made: list[Metric] = list(map(_OPEN, *columns))
    for metric in made:
        metric.__class__ = Metric
    return made
