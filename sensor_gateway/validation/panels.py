"""The report's figures with a panel per mode: agreement and confusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from processing.types import F64, POSTURES
from sensor_gateway.validation.agreement import Agreement
from sensor_gateway.validation.rows import TILTLINE, Row
from sensor_gateway.validation.summary import Result
from sensor_gateway.validation.svg import MODES, SERIES, WIDTH, Canvas, ticks
from sensor_gateway.validation.tally import SCORED_POSTURES


def bland_altman(rows: Sequence[Row], found: Mapping[str, Agreement]) -> str:
    """Difference against mean, a panel per mode; dots every 0.1 s."""
    panels = [m for m in MODES if m in found]
    mean, difference = (
        {m: np.concatenate([_thin(r, key) for r in rows if r.mode == m]) for m in panels}
        for key in ("mean_deg", "difference_deg")
    )
    every_x = np.concatenate(list(mean.values()))
    edges = [e for a in found.values() for e in (*a.lower_interval_deg, *a.upper_interval_deg)]
    half = float(max(np.nanmax(np.abs(np.concatenate(list(difference.values())))), *map(abs, edges))) * 1.05
    x_low, x_high = float(np.nanmin(every_x)) - 0.5, float(np.nanmax(every_x)) + 0.5
    each = (WIDTH - 50) / len(panels)
    canvas = Canvas(WIDTH, 300)
    for k, mode in enumerate(panels):
        left, right, top, bottom = 46 + each * k, 46 + each * (k + 1) - 18, 28, 250

        def x(v: float, left: float = left, right: float = right) -> float:
            return left + (right - left) * (v - x_low) / (x_high - x_low)

        def y(v: float, top: float = top, bottom: float = bottom) -> float:
            return (top + bottom) / 2 - (bottom - top) / 2 * v / half

        for tick in ticks(-half, half, 8):
            canvas.line(left, y(tick), right, y(tick), "grid")
            if k == 0:
                canvas.text(left - 6, y(tick) + 4, f"{tick:+g}°" if tick else "0°", "muted", "end")
        for tick in ticks(x_low, x_high, 6):
            canvas.text(x(tick), bottom + 16, f"{tick:g}°", "muted", "middle")
        a, style = found[mode], SERIES[mode]
        for low, high in (a.bias_interval_deg, a.lower_interval_deg, a.upper_interval_deg):
            canvas.box(left, y(high), right - left, y(low) - y(high), f"{style}", 0.14)
        for px, py in zip(mean[mode].tolist(), difference[mode].tolist(), strict=True):
            if np.isfinite(px + py):
                canvas.dot(x(px), y(py), 1.7, f"{style} faint")
        for value in (a.bias_deg, a.lower_deg, a.upper_deg):
            canvas.line(left, y(value), right, y(value), f"{style} stroke{'' if value == a.bias_deg else ' dash'}")
        canvas.text(left, 16, mode, "ink")
        canvas.text(left + 58, 16, f"bias {a.bias_deg:+.2f}°, limits {a.lower_deg:+.2f}°, {a.upper_deg:+.2f}°", "small")
    canvas.text(WIDTH / 2, 290, "mean of both (tilt relative to the neutral pose)", "muted", "middle")
    words = "; ".join(
        f"{m} bias {a.bias_deg:+.2f}°, limits {a.lower_deg:+.2f}° to {a.upper_deg:+.2f}°" for m, a in found.items()
    )
    return canvas.svg(f"Bland-Altman: Tiltline less markers against their mean; {words}")


def _thin(row: Row, key: str) -> F64:
    step = max(1, round(0.1 / float(np.median(np.diff(row.detail["t_s"])))))
    return row.detail[key][::step]


def confusion(results: Sequence[Result]) -> str:
    """Truth by answer, a panel per mode, one above the other: share of each true posture, and seconds."""
    tables = {
        r.mode: np.array(list(r.tally.values())).reshape(len(SCORED_POSTURES), len(POSTURES))
        for r in results
        if r.kind == "all" and r.estimator == TILTLINE
    }
    panels = [m for m in MODES if m in tables]
    shown = [k for k, p in enumerate(POSTURES) if p in SCORED_POSTURES or any(t[:, k].any() for t in tables.values())]
    left, cell_w, cell_h = 96, (WIDTH - 108) / len(shown), 34
    tall = cell_h * len(SCORED_POSTURES) + 34
    canvas = Canvas(WIDTH, 26 + tall * len(panels))
    for j, column in enumerate(shown):
        canvas.text(left + cell_w * (j + 0.5), 20, f"said: {POSTURES[column]}", "muted", "middle")
    for k, mode in enumerate(panels):
        top = 50 + tall * k
        canvas.text(8, top - 9, f"{mode}:", f"{SERIES[mode]} said")
        for i, name in enumerate(SCORED_POSTURES):
            canvas.text(left - 10, top + cell_h * i + cell_h / 2 + 3, name, "ink", "end")
            total = tables[mode][i].sum()
            for j, column in enumerate(shown):
                n = tables[mode][i, column]
                share = n / total if total else 0.0
                x, y = left + cell_w * j, top + cell_h * i
                canvas.box(x, y, cell_w - 3, cell_h - 3, "cell")
                canvas.box(x, y, cell_w - 3, cell_h - 3, SERIES[mode], 0.55 * share**0.5 if n else 0.0)
                if n:
                    canvas.text(x + cell_w / 2 - 1, y + 14, f"{100 * share:.1f} %", "small strong", "middle")
                    canvas.text(x + cell_w / 2 - 1, y + 26, f"{n:.0f} s", "small", "middle")
    return canvas.svg("Confusion of postures, truth by answer, share of the true seconds, for each mode")
