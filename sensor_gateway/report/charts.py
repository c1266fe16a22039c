"""The reports' pictures as SVG inside the page: classes take their colours from the page, so dark and print work too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, tzinfo
from itertools import pairwise
from typing import Final

import numpy as np

from processing.rules.explain import degrees
from processing.types import NS_PER_S, Epoch, Event
from sensor_gateway.report.figures import MINUTE_NS, DayFigures, WeekFigures
from sensor_gateway.report.minutes import OwnRange, main_posture
from sensor_gateway.report.words import say

WIDTH: Final = 900
LEFT, RIGHT, TOP = 46, 12, 30
HEIGHT, STRIP, AXIS = 220, 34, 22
BIN_MINUTES: Final = 5
"""A day of single minutes is finer than paper shows."""
TALL: Final = {
    "lying": 0.28,
    "sitting": 0.5,
    "standing": 0.76,
    "walking": 1.0,
    "running": 1.0,
    "stairs": 1.0,
    "unknown": 0.14,
    "not_worn": 0.06,
}
"""Height tells the posture as well as colour does, as on the page."""
UPRIGHT: Final = ("standing", "walking", "running", "stairs")


class _Scale:
    """Degrees to pixels; holds all values shown, never less than 16 degrees."""

    def __init__(self, values: Sequence[float], own: OwnRange | None) -> None:
        shown = [*values, -6.0, 10.0, *((own.low_deg, own.high_deg) if own else ())]
        self.low: float = max(-45.0, min(shown) - 1)
        self.high: float = min(45.0, max(shown) + 1)

    def y(self, deg: float) -> float:
        inside: float = min(self.high, max(self.low, deg))
        return TOP + (self.high - inside) / (self.high - self.low) * HEIGHT

    def grid(self) -> str:
        span = self.high - self.low
        step = 20 if span > 45 else 10 if span > 22 else 5
        out = []
        for deg in range(-40, 41, step):
            if self.low <= deg <= self.high:
                y = self.y(deg)
                kind = "zero" if deg == 0 else "grid"
                out.append(f'<path class="{kind}" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
                out.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_whole(deg)}</text>')
        return "".join(out)


def day_chart(day: DayFigures, zone: tzinfo, about: str) -> str:
    """Tilt in five-minute steps with its spread, the own range, flags, exercises, pain; postures below; holes stay empty."""
    hours = _hours(day)
    if hours is None:
        return ""
    t0, t1 = hours

    def x(t_ns: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (t_ns - t0) / (t1 - t0)

    # Not joined with each other, and of other minutes only the posture: a tilt between two postures is nobody's habit.
    drawn = [(list(_bins([e for e in day.epochs if _kind(e) == kind])), kind) for kind in ("seat", "feet")]
    scale = _Scale([v for bins, _ in drawn for b in bins for v in b[3:]], day.own)
    parts = [_own_band(day.own, scale), scale.grid(), _hour_ticks(t0, t1, zone)]
    for bins, kind in drawn:
        for run in _runs(bins):
            at = [run[0][0], *((b[0] + b[1]) // 2 for b in run), run[-1][1]]
            held = [run[0], *run, run[-1]]
            low, line, high = (
                [f"{x(t):.1f},{scale.y(b[i]):.1f}" for t, b in zip(at, held, strict=True)] for i in (3, 2, 4)
            )
            parts.append(f'<polygon class="spread {kind}" points="{" ".join([*high, *reversed(low)])}"/>')
            parts.append(f'<polyline class="tilt {kind}" points="{" ".join(line)}"/>')
    floor = TOP + HEIGHT + AXIS
    for first, end, posture in _bands(day.epochs):
        tall = STRIP * TALL[posture]
        w = max(x(end) - x(first), 0.6)
        parts.append(
            f'<rect class="p-{posture}" x="{x(first):.1f}" y="{floor + STRIP - tall:.1f}" width="{w:.1f}" height="{tall:.1f}"/>'
        )
    marks = apart([x(f.flag.t_utc_ns) for f in day.flags], LEFT, WIDTH - RIGHT)
    parts += [_mark(at, TOP - 14, "flag", str(i)) for i, at in enumerate(marks, 1)]
    entered = [(e.t_utc_ns, "done", "✓") for e in day.exercises if e.t_utc_ns < day.to_ns]
    entered = sorted([*entered, *((e.t_utc_ns, "pain", _score(e)) for e in day.pain)])
    places = apart([x(t) for t, _, _ in entered], LEFT, WIDTH - RIGHT)
    parts += [_mark(at, TOP + HEIGHT - 12, kind, sign) for at, (_, kind, sign) in zip(places, entered, strict=True)]
    return _svg(floor + STRIP + 4, say("chart.day"), about, parts)


def apart(places: Sequence[float], low: float, high: float, gap: float = 21.0) -> list[float]:
    """Places in order, moved so that their marks do not hide each other: to the right, and back from the edge."""
    room = min(gap, (high - low) / max(1, len(places) - 1))
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + room if moved else low))
    for i in range(len(moved)):
        moved[-1 - i] = min(moved[-1 - i], high - i * room)
    return moved


def week_chart(week: WeekFigures, today: date) -> str:
    """For each day the middle and the 10th to 90th percentile of the upright minutes' tilt, on the own range.

    Days after ``today`` are to come: they stay empty without a word.
    """
    tilts = [[t for t in day.tilt if t.posture != "sitting"] for day in week.days]
    scale = _Scale([v for day in tilts for t in day for v in (t.p10_deg, t.p90_deg)], week.own)
    step = (WIDTH - LEFT - RIGHT) / 7
    parts = [_own_band(week.own, scale), scale.grid()]
    for i, (day, found) in enumerate(zip(week.days, tilts, strict=True)):
        middle = LEFT + step * (i + 0.5)
        parts.append(
            f'<text class="tick" x="{middle:.1f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{day.day:%a %d}</text>'
        )
        for shift, one in zip((-16, 16) if len(found) > 1 else (0,), found, strict=False):
            x = middle + shift
            top, bottom = scale.y(one.p90_deg), scale.y(one.p10_deg)
            height = max(bottom - top, 2)
            parts.append(
                f'<rect class="p-{one.posture}" rx="4" x="{x - 9:.1f}" y="{top:.1f}" width="18" height="{height:.1f}" opacity=".45"/>'
                f'<path class="p-{one.posture}-line" d="M{x - 12:.1f} {scale.y(one.median_deg):.1f}h24"/>'
            )
        if not found and day.day <= today:
            said = say("chart.too_little" if day.epochs else "chart.no_data")
            parts.append(
                f'<text class="tick" x="{middle:.1f}" y="{TOP + HEIGHT / 2:.1f}" text-anchor="middle">{said}</text>'
            )
    return _svg(TOP + HEIGHT + 26, say("chart.week"), say("chart.week_about"), parts)


def _svg(height: float, title: str, about: str, parts: Sequence[str]) -> str:
    inner = "".join(parts)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{title}">'
        f"<title>{title}</title><desc>{about}</desc>{inner}</svg>"
    )


def _own_band(own: OwnRange | None, scale: _Scale) -> str:
    if own is None:
        return ""
    top, bottom = scale.y(own.high_deg), scale.y(own.low_deg)
    return f'<rect class="own" x="{LEFT}" y="{top:.1f}" width="{WIDTH - LEFT - RIGHT}" height="{bottom - top:.1f}"/>'


def _hours(day: DayFigures) -> tuple[int, int] | None:
    """Whole hours around what is there, at least four; None where nothing is."""
    times = [e.t_utc_ns for e in day.epochs if main_posture(e) is not None]
    times += [e.t_utc_ns for e in (*day.pain, *day.exercises, *(f.flag for f in day.flags))]
    if not times:
        return None
    hour = 3600 * NS_PER_S
    first = day.from_ns + (min(times) - day.from_ns) // hour * hour
    last = max(first + 4 * hour, day.from_ns - (day.from_ns - max(times) - MINUTE_NS) // hour * hour)
    return max(day.from_ns, first - max(0, last - day.to_ns)), min(last, day.to_ns)


def _hour_ticks(t0: int, t1: int, zone: tzinfo) -> str:
    step = 2 if (t1 - t0) // NS_PER_S > 10 * 3600 else 1
    out = []
    for t in range(t0, t1 + 1, step * 3600 * NS_PER_S):
        at = LEFT + (WIDTH - LEFT - RIGHT) * (t - t0) / (t1 - t0)
        label = datetime.fromtimestamp(t // NS_PER_S, zone).strftime("%H")
        out.append(f'<text class="tick" x="{at:.1f}" y="{TOP + HEIGHT + 15}" text-anchor="middle">{label}</text>')
    return "".join(out)


def _kind(epoch: Epoch) -> str:
    posture = main_posture(epoch)
    return "feet" if posture in UPRIGHT else "seat" if posture == "sitting" else "other"


def _bins(epochs: Sequence[Epoch]) -> Iterator[tuple[int, int, float, float, float]]:
    """Start, end, middle, low and high of each five minutes with tilt."""
    slots: dict[int, list[Epoch]] = {}
    for e in epochs:
        if e.tilt_median_deg is not None:
            slots.setdefault(e.t_utc_ns // (BIN_MINUTES * MINUTE_NS), []).append(e)
    for slot, held in sorted(slots.items()):
        medians = [e.tilt_median_deg for e in held if e.tilt_median_deg is not None]
        lows = [e.tilt_p5_deg for e in held if e.tilt_p5_deg is not None] or medians
        highs = [e.tilt_p95_deg for e in held if e.tilt_p95_deg is not None] or medians
        start = slot * BIN_MINUTES * MINUTE_NS
        end = start + BIN_MINUTES * MINUTE_NS
        yield start, end, float(np.median(medians)), float(np.median(lows)), float(np.median(highs))


def _runs(bins: Sequence[tuple[int, int, float, float, float]]) -> list[list[tuple[int, int, float, float, float]]]:
    runs: list[list[tuple[int, int, float, float, float]]] = [[bins[0]]] if bins else []
    for before, now in pairwise(bins):
        if before[1] == now[0]:
            runs[-1].append(now)
        else:
            runs.append([now])
    return runs


def _bands(epochs: Sequence[Epoch]) -> list[tuple[int, int, str]]:
    bands: list[tuple[int, int, str]] = []
    for e in epochs:
        posture = main_posture(e)
        if posture is None:
            continue
        if bands and bands[-1][2] == posture and bands[-1][1] == e.t_utc_ns:
            bands[-1] = (bands[-1][0], e.t_utc_ns + MINUTE_NS, posture)
        else:
            bands.append((e.t_utc_ns, e.t_utc_ns + MINUTE_NS, posture))
    return bands


def _mark(x: float, y: float, kind: str, sign: str) -> str:
    return (
        f'<circle class="m-{kind}" cx="{x:.1f}" cy="{y:.1f}" r="9"/>'
        f'<text class="m-text" x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle">{sign}</text>'
    )


def _score(event: Event) -> str:
    score = event.data.get("score")
    return f"{score:.0f}" if isinstance(score, int | float) else "?"


def _whole(deg: int) -> str:
    return degrees(float(deg)).replace(".0", "")
