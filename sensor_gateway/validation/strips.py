"""The report's figure of alignment: a dot a person, a row a set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from sensor_gateway.validation.alignment import MIN_WALKING_S, Half
from sensor_gateway.validation.svg import WIDTH, Canvas, ticks

_LEVEL_DEG: Final = 6.0
_LABEL: Final = 210
_ROW: Final = 46


def halves(found: Sequence[Half]) -> str:
    """Difference of heading between two halves of each person's walking, by set."""
    sets = list(dict.fromkeys(h.set for h in found))
    high = max(_LEVEL_DEG, *(h.apart_deg for h in found)) * 1.1
    canvas = Canvas(WIDTH, _ROW * len(sets) + 58)
    bottom = canvas.height - 44

    def x(value: float) -> float:
        return _LABEL + (WIDTH - _LABEL - 70) * value / high

    for tick in ticks(0.0, high):
        canvas.line(x(tick), 6, x(tick), bottom, "grid")
        canvas.text(x(tick), bottom + 16, f"{tick:g}°", "muted", "middle")
    canvas.line(x(_LEVEL_DEG), 2, x(_LEVEL_DEG), bottom, "bar")
    canvas.text((_LABEL + WIDTH - 70) / 2, bottom + 36, f"difference of heading, people with {MIN_WALKING_S} s of walking and more", "muted", "middle")  # fmt: skip
    for k, name in enumerate(sets):
        y = 6 + _ROW * k + _ROW / 2
        mine = [h for h in found if h.set == name]
        canvas.text(_LABEL - 12, y + 4, f"{name} ({len(mine)})", "ink", "end")
        for i, h in enumerate(sorted(mine, key=lambda h: h.apart_deg)):
            lift = (i % 3 - 1) * 7.0  # neighbours in value side by side
            canvas.dot(
                x(h.apart_deg), y + lift, 4.0, "s-online faint", f"{h.subject}: {h.apart_deg:.1f}° in {h.walking_s} s"
            )
        middle = float(np.median([h.apart_deg for h in mine]))
        canvas.line(x(middle), y - 15, x(middle), y + 15, "s-online stroke")
        canvas.text(WIDTH - 8, y + 4, f"median {middle:.1f}°", "muted", "end")
        canvas.line(8, 6 + _ROW * (k + 1), WIDTH - 8, 6 + _ROW * (k + 1), "grid")
    p95 = float(np.percentile([h.apart_deg for h in found], 95))
    return canvas.svg(f"{len(found)} people: 95th percentile {p95:.1f}°, level {_LEVEL_DEG:g}°")
