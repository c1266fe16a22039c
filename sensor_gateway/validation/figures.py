"""The report's figures of errors: by group, and of steps in time. `panels.py` has those that stand side by side by mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from sensor_gateway.validation.rows import TILTLINE, Row
from sensor_gateway.validation.summary import Result
from sensor_gateway.validation.svg import MODES, SERIES, WIDTH, Canvas, series_of, ticks
from sensor_gateway.validation.tally import MEASURES

_LABEL: Final = 210
_LANE: Final = 13
_FAR: Final = 1.7
"""A peer's error beyond this many times our largest is written at the edge."""


def errors(results: Sequence[Result], bars: Mapping[str, float]) -> str:
    """The headline figure of one set and measure: a line per group, a lane per mode; pale dots are single recordings.

    ``bars`` are the levels by mode. Peers that lie far out are written at the edge instead of squeezing the rest.
    """
    head = MEASURES[results[0].measure].figures[0]
    rows = _lines(results)
    own = [v for r in results if r.estimator == TILTLINE for v in _reach(r, head.name)]
    own += [
        v for r in results if head.better == "low" and (v := r.values[head.name]) is not None and v < _FAR * max(own)
    ]
    low, high = (
        (0.0, max([*own, *bars.values()]) * 1.08) if head.better == "low" else (min([*own, *bars.values()]), 1.0)
    )
    if head.better == "high":
        low -= 0.05 * (1.0 - low) + 0.002
    heights = [_LANE * len(lanes) + 10 for _, lanes in rows]
    canvas = Canvas(WIDTH, sum(heights) + 62)
    bottom = canvas.height - 40

    def x(value: float) -> float:
        return _LABEL + (WIDTH - _LABEL - 60) * (value - low) / (high - low)

    for tick in ticks(low, high):
        canvas.line(x(tick), 6, x(tick), bottom, "grid")
        canvas.text(x(tick), bottom + 16, f"{tick:g}{head.unit}", "muted", "middle")
    canvas.text((_LABEL + WIDTH - 60) / 2, bottom + 34, f"{head.label}, {'lower' if head.better == 'low' else 'higher'} is better", "muted", "middle")  # fmt: skip
    y = 8.0
    for (label, lanes), height in zip(rows, heights, strict=True):
        canvas.text(_LABEL - 12, y + height / 2, label, "ink", "end")
        for k, result in enumerate(lanes):
            _lane(canvas, result, y + 9 + _LANE * k, x, (low, high), bars if result.kind == "all" else {})
        y += height
        canvas.line(8, y - 1, WIDTH - 8, y - 1, "grid")
    return canvas.svg(_in_words(results))


def _reach(r: Result, name: str) -> list[float]:
    value, around = r.values[name], r.intervals[name]
    return [v for v in (value, *(around or ()), *r.each) if v is not None]


def _lines(results: Sequence[Result]) -> list[tuple[str, list[Result]]]:
    """Label and lanes: all, each peer, then the other groups of Tiltline."""
    lines: dict[str, list[Result]] = {}
    for r in results:
        if r.estimator != TILTLINE and r.kind == "all":
            lines.setdefault(r.estimator, []).append(r)
        elif r.estimator == TILTLINE:
            label = "Tiltline, all" if r.kind == "all" else r.group
            lines.setdefault(label, []).append(r)
    order = sorted(lines.items(), key=lambda line: (line[1][0].kind != "all", line[1][0].estimator != TILTLINE))
    return [(label, sorted(lanes, key=lambda r: list(SERIES).index(r.mode))) for label, lanes in order]


def _lane(canvas: Canvas, r: Result, y: float, x: Callable[[float], float], span: tuple[float, float], bars: Mapping[str, float]) -> None:  # fmt: skip
    name = MEASURES[r.measure].figures[0].name
    style = series_of(r.estimator, r.mode)
    value, around = r.values[name], r.intervals[name]
    if value is None:
        return
    for one in r.each:
        if span[0] <= one <= span[1] and r.recordings > 1:
            canvas.dot(x(one), y, 2.2, f"{style} pale")
    if around is not None and around[0] < span[1] and around[1] > span[0]:
        canvas.line(x(max(span[0], around[0])), y, x(min(span[1], around[1])), y, f"{style} stroke")
    show = MEASURES[r.measure].figures[0].show
    said = f"{r.estimator} {r.mode} {r.group}: {show(value)}"
    if span[0] <= value <= span[1]:
        canvas.dot(x(value), y, 4.6, style, said)
        canvas.text(WIDTH - 8, y + 4, show(value), "muted", "end")
    else:
        arrow = f"{show(value)} →" if value > span[1] else f"← {show(value)}"
        canvas.text(WIDTH - 8, y + 4, arrow, "muted", "end")
    if r.mode in bars and r.estimator == TILTLINE:
        canvas.line(x(bars[r.mode]), y - 6, x(bars[r.mode]), y + 6, "bar")


def _in_words(results: Sequence[Result]) -> str:
    head = MEASURES[results[0].measure].figures[0]
    said = [
        f"{r.estimator} {r.mode} {head.show(v)}".replace("  ", " ")
        for r in results
        if r.kind == "all" and (v := r.values[head.name]) is not None
    ]
    return f"{head.label}: {'; '.join(said)}"


def step_timing(rows: Sequence[Row]) -> str:
    """What is left between step and contact once the one delay of a recording is gone, in bins of 10 ms."""
    edges = np.arange(-0.125, 0.1251, 0.01)
    shares = {}
    for mode in MODES:
        left = [r.detail["left_s"] for r in rows if r.mode == mode and r.estimator == TILTLINE]
        if left and (values := np.concatenate(left)).size:
            shares[mode] = np.histogram(values, edges)[0] / len(values), float(np.std(values))
    canvas = Canvas(WIDTH, 230)
    top = max((float(s.max()) for s, _ in shares.values()), default=1.0) * 1.1

    def x(v: float) -> float:
        return 60 + (WIDTH - 100) * (v + 0.125) / 0.25

    def y(v: float) -> float:
        return 180 - 150 * v / top

    for tick in ticks(0.0, top, 5):
        canvas.line(60, y(tick), WIDTH - 40, y(tick), "grid")
        canvas.text(52, y(tick) + 4, f"{100 * tick:g} %", "muted", "end")
    for ms in range(-120, 121, 40):
        canvas.text(x(ms / 1000), 198, f"{ms:+d} ms" if ms else "0", "muted", "middle")
    canvas.text(WIDTH / 2, 222, "step less contact, matched steps, one delay per recording removed", "muted", "middle")
    for k, (mode, (share, sd)) in enumerate(shares.items()):
        points = [(x(e), y(s)) for a, b, s in zip(edges[:-1], edges[1:], share, strict=True) for e in (a, b)]
        canvas.path(points, f"{SERIES[mode]} stroke hollow{' dash' if mode == 'settled' else ''}")
        canvas.text(WIDTH - 48, 22 + 16 * k, f"{mode}: sd {1000 * sd:.0f} ms", f"{SERIES[mode]} said", "end")
    said = "; ".join(f"{m}: standard deviation {1000 * sd:.0f} ms" for m, (_, sd) in shares.items())
    return canvas.svg(said or "no step could be matched with a contact")
