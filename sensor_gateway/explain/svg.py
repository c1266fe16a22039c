"""The window of a flag as a picture (SVG), drawn from the flag's own record: what was measured against its limit.

Tilt flags: median tilt of each ten-second epoch, threshold, episode, the wearer's baseline and neutral. Static posture:
the stretch and where it became too long. Asymmetry: days against their limits. No library, same record same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from html import escape
from itertools import pairwise
from typing import Any, Final

from processing.types import NS_PER_S, Event
from sensor_gateway.explain.recompute import EPOCH_NS, TiltEpoch, stretches, tilt_epochs

WIDTH: Final = 920
HEIGHT: Final = 380
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 64, 56
HEAD: Final = 50
_INK, _MUTED, _TILT, _LIMIT, _OWN, _EPISODE = "#1f2933", "#66727f", "#1769aa", "#b4540a", "#5b8c5a", "#fbe3c8"
_TICKS_S: Final = (60, 300, 600, 900, 1800, 3600, 7200, 14400)
_STEPS_DEG: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)


class _Chart:
    """Axes: time [ns] to the right, a value up. Collects SVG elements."""

    def __init__(self, t0: int, t1: int, low: float, high: float, zone: tzinfo) -> None:
        self.t0, self.t1, self.low, self.high, self.zone = t0, t1, low, high, zone
        self.parts: list[str] = []

    def x(self, t_ns: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (t_ns - self.t0) / (self.t1 - self.t0)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - self.low) / (self.high - self.low)

    def line(self, points: Sequence[tuple[int, float]], color: str, *, dash: str = "", width: float = 1.6) -> None:
        path = " ".join(f"{self.x(t):.1f},{self.y(v):.1f}" for t, v in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width:g}"{dashed}/>')

    def box(self, t0: int, t1: int, low: float, high: float, color: str, opacity: float = 1.0) -> None:
        x, y = self.x(t0), self.y(high)
        w, h = max(self.x(t1) - x, 0.5), self.y(low) - y
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" fill="{color}" opacity="{opacity:g}"/>'
        )

    def dot(self, t: int, value: float) -> None:
        self.parts.append(f'<circle cx="{self.x(t):.1f}" cy="{self.y(value):.1f}" r="1.8" fill="{_TILT}"/>')

    def text(self, x: float, y: float, said: str, color: str = _INK, anchor: str = "start", size: int = 12) -> None:
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" font-size="{size}" text-anchor="{anchor}">{escape(said)}</text>'
        )

    def axes(self, unit: str) -> None:
        """Ticks below and, where there is a unit, to the left."""
        span_s = (self.t1 - self.t0) // NS_PER_S
        step_s = next((s for s in _TICKS_S if span_s / s <= 9), 86_400)
        first = -(-self.t0 // (step_s * NS_PER_S)) * step_s * NS_PER_S
        for t in range(first, self.t1 + 1, step_s * NS_PER_S):
            label = datetime.fromtimestamp(t // NS_PER_S, self.zone).strftime("%H:%M")
            self.text(self.x(t), HEIGHT - BOTTOM + 18, label, _MUTED, "middle")
        day = datetime.fromtimestamp(self.t0 // NS_PER_S, self.zone).strftime("%Y-%m-%d, times in %Z")
        self.text(WIDTH - RIGHT, HEIGHT - 14, day, _MUTED, "end")
        if unit:
            step = next((s for s in _STEPS_DEG if (self.high - self.low) / s <= 8), 45.0)
            value = -(-self.low // step) * step
            while value <= self.high:
                self.line([(self.t0, value), (self.t1, value)], "#e4e8ec", width=0.8)
                self.text(LEFT - 8, self.y(value) + 4, f"{value + 0.0:g}{unit}".replace("-", "−"), _MUTED, "end")
                value += step

    def legend(self, entries: Sequence[tuple[str, str]]) -> None:
        """Colour and meaning, below."""
        x = float(LEFT)
        for color, said in entries:
            self.parts.append(
                f'<rect x="{x:.1f}" y="{HEIGHT - 24}" width="12" height="12" fill="{color}" stroke="{_MUTED}" stroke-width="0.5"/>'
            )
            self.text(x + 17, HEIGHT - 14, said, _MUTED)
            x += 32 + 6.4 * len(said)

    def svg(self, title: str, about: str, headed: bool) -> str:
        """The document; ``title`` and ``about`` also serve who cannot see it. Not ``headed``: cut above the drawing."""
        top = 0 if headed else HEAD
        height = HEIGHT - top
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 {top} {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img" font-family="sans-serif"><title>{escape(title)}</title><desc>{escape(about)}</desc>'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
        )
        if headed:
            first, dot, _ = title.partition(". ")  # what follows stands in <title>
            self.text(LEFT, 26, first + dot.strip(), size=16)
            self.text(LEFT, 46, about, _MUTED)
        return "\n".join([head, *self.parts, "</svg>", ""])


def draw(flag: Event, zone: tzinfo, *, headed: bool = True) -> str:
    """A flag or hint as SVG text; times in ``zone``. Not ``headed`` where its sentence stands beside it anyway."""
    if flag.rule == "asymmetry":
        chart = _days(flag.data, zone)
    elif flag.rule == "static_posture":
        chart = _stretch(flag.data, zone)
    else:
        chart = _tilt(flag.data, zone)
    return chart.svg(str(flag.data["text"]), f"{flag.rule}, {flag.type} {flag.event_id}", headed)


def _tilt(data: Mapping[str, Any], zone: tzinfo) -> _Chart:
    epochs = tilt_epochs(data)
    own = data["thresholds"][data["posture"]]
    values = [e.tilt_mdeg / 1000 for e in epochs] + [e.threshold_mdeg / 1000 for e in epochs] + [0.0]
    t0, t1 = epochs[0].k * EPOCH_NS, (epochs[-1].k + 1) * EPOCH_NS
    chart = _Chart(t0, t1, min(values) - 1.0, max(values) + 1.0, zone)
    legend = [(_TILT, "tilt, each 10 s"), (_LIMIT, "limit"), (_MUTED, "neutral")]
    for start, end in _episodes(data, epochs):
        chart.box(start, end, chart.low, chart.high, _EPISODE)
        legend = [*legend[:3], (_EPISODE, "beyond the limit")]
    chart.axes("°")
    chart.line([(t0, 0.0), (t1, 0.0)], _MUTED)
    if own["median_mdeg"] is not None:
        usual, spread = own["median_mdeg"] / 1000, own["mad_mdeg"] / 1000
        chart.box(t0, t1, max(usual - spread, chart.low), min(usual + spread, chart.high), _OWN, 0.2)
        chart.line([(t0, usual), (t1, usual)], _OWN)
        legend.append((_OWN, f"usual in {data['posture']}, with its spread"))
    for run in _runs(epochs):
        chart.line([(e.k * EPOCH_NS + EPOCH_NS // 2, e.tilt_mdeg / 1000) for e in run], _TILT, width=1.0)
        steps = [p for e in run for p in ((e.k * EPOCH_NS, e.threshold_mdeg), ((e.k + 1) * EPOCH_NS, e.threshold_mdeg))]
        chart.line([(t, mdeg / 1000) for t, mdeg in steps], _LIMIT, dash="6 3")
    for e in epochs:
        chart.dot(e.k * EPOCH_NS + EPOCH_NS // 2, e.tilt_mdeg / 1000)
    chart.legend(legend)
    return chart


def _episodes(data: Mapping[str, Any], epochs: Sequence[TiltEpoch]) -> Iterator[tuple[int, int]]:
    """The episode of a sustained flag; for a dose, the stretches that added to it."""
    if data["rule"] == "sustained_tilt":
        yield data["window"]["start_utc_ns"], data["window"]["end_utc_ns"]
        return
    for run in _runs([e for e in epochs if e.tilt_mdeg > e.threshold_mdeg]):
        yield run[0].k * EPOCH_NS, (run[-1].k + 1) * EPOCH_NS


def _runs(epochs: Sequence[TiltEpoch]) -> list[list[TiltEpoch]]:
    """Neighbouring epochs together: no line is drawn across what did not count."""
    runs = [[e] for e in epochs[:1]]
    for one, two in pairwise(epochs):
        if two.k == one.k + 1:
            runs[-1].append(two)
        else:
            runs.append([two])
    return runs


def _stretch(data: Mapping[str, Any], zone: tzinfo) -> _Chart:
    window = data["window"]
    chart = _Chart(window["start_utc_ns"], window["end_utc_ns"], 0.0, 1.0, zone)
    listed = stretches(data["epochs"]["k"])
    if data["before"]["still_s"]:
        chart.box(window["start_utc_ns"], listed[0] * EPOCH_NS, 0.35, 0.65, _TILT, 0.35)
    for first, count in data["epochs"]["k"]:
        chart.box(first * EPOCH_NS, (first + count) * EPOCH_NS, 0.35, 0.65, _TILT)
    chart.line([(window["end_utc_ns"], 0.2), (window["end_utc_ns"], 0.8)], _LIMIT, width=3)
    chart.axes("")
    name = f"{data['posture']}, sure" if not data["before"]["still_s"] else f"{data['posture']} (paler: flagged before)"
    chart.legend([(_TILT, name), (_LIMIT, f"{data['limit'] / 60:g} min counted"), ("#ffffff", "empty: not sure")])
    return chart


def _days(data: Mapping[str, Any], zone: tzinfo) -> _Chart:
    days = data["days"]
    high = max(max(abs(d[2]), d[4]) for d in days) / 1000 + 0.5
    chart = _Chart(0, len(days), 0.0, high, zone)
    width = (WIDTH - LEFT - RIGHT) / len(days)
    for i, (day, _, difference, _, limit) in enumerate(days):
        x, y = LEFT + i * width, chart.y(abs(difference) / 1000)
        judged = day >= data["from_day"]
        color = _TILT if judged else "#b9cbdb"
        chart.parts.append(
            f'<rect x="{x + 0.15 * width:.1f}" y="{y:.1f}" width="{0.7 * width:.1f}" height="{chart.y(0) - y:.1f}" '
            f'fill="{color}"/>'
        )
        at = chart.y(limit / 1000)
        chart.parts.append(f'<path d="M{x:.1f} {at:.1f}h{width:.1f}" stroke="{_LIMIT}" stroke-width="2"/>')
        if judged or len(days) <= 10:
            chart.text(x + width / 2, HEIGHT - BOTTOM + 18, day[5:], _MUTED, "middle", 11)
        chart.text(x + width / 2, y - 4, f"{abs(difference) / 1000:.1f}°", _INK, "middle", 10)
    chart.legend(
        [(_TILT, "left-right difference, days judged"), ("#b9cbdb", "days before"), (_LIMIT, "limit of the day")]
    )
    return chart
