"""Small drawings without a library: same numbers, same bytes. Colours come from the page's style sheet, light or dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from sensor_gateway.validation.rows import TILTLINE

WIDTH: Final = 860
MODES: Final = ("online", "settled", "retro")
SERIES: Final = {"online": "s-online", "settled": "s-settled", "retro": "s-retro", "": "s-peer"}
"""Style class of a mode; peers have none."""
_STEPS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)


def series_of(estimator: str, mode: str) -> str:
    """Style class of an estimator in a mode."""
    return SERIES[mode] if estimator == TILTLINE else SERIES[""]


def ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round values from low to high, at most about ``most``."""
    step = next((s for s in _STEPS if (high - low) / s <= most), 50.0)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 6) for k in range(first, math.floor(high / step + 1e-9) + 1)]


class Canvas:
    """Collects elements in pixels, y down."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._parts: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        self._parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>')

    def path(self, points: Sequence[tuple[float, float]], style: str) -> None:
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(f'<polyline points="{joined}" class="{style}"/>')

    def box(self, x: float, y: float, w: float, h: float, style: str, opacity: float = 1.0) -> None:
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" class="{style}" opacity="{opacity:.3f}"/>'
        )

    def dot(self, x: float, y: float, r: float, style: str, said: str = "") -> None:
        title = f"<title>{escape(said)}</title>" if said else ""
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:g}" class="{style}">{title}</circle>')

    def text(self, x: float, y: float, said: str, style: str = "ink", anchor: str = "start") -> None:
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(said)}</text>'
        )

    def svg(self, about: str) -> str:
        """The drawing; ``about`` says in words what it shows, for who cannot see it."""
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(about, quote=True)}">'
            + "".join(self._parts)
            + "</svg>"
        )
