"""A report as one HTML document: style and pictures inside, no script, nothing to load; safe whatever was typed in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from html import escape
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from processing.rules.explain import degrees
from processing.types import NS_PER_S, POSTURES
from sensor_gateway.report.charts import day_chart, week_chart
from sensor_gateway.report.figures import DayFigures, WeekFigures
from sensor_gateway.report.told import DASH, clip, flags, gaps, log, responses
from sensor_gateway.report.words import duration, from_neutral, say

QUESTIONS: Final = (1, 2, 3)


def day_page(day: DayFigures, zone: ZoneInfo, made_ns: int, name: str | None = None) -> str:
    """The day report; ``name`` is what this machine calls the wearer, and stands nowhere else."""
    title = f"{say('day.title')}: {day.day:%A}, {day.day.day} {day.day:%B %Y}"
    if day.empty:
        return _document(title, _head(title, say("none"), name or day.wearer, made_ns, zone), "", _foot([day]))
    if not day.epochs:  # something was entered, nothing measured: no picture, and no number that would look like a zero
        lead = say("today.none")
        body = [_section("log.title", log(day, zone)), _questions()]
        return _document(title, _head(title, lead, name or day.wearer, made_ns, zone), "".join(body), _foot([day]))
    lead = _lead(day)
    clip_told = clip(day, zone)
    body = [
        _tiles(day),
        _figure("chart.day", day_chart(day, zone, f"{say('chart.about')} {lead}"), _key(day)),
        _section("flags.title", flags(day.flags, zone), "long"),
        '<div class="two">',
        _section("tilt.title", _tilt_table(day) + _own(day) + _shifts(day) + _sure(day)),
        _section("log.title", log(day, zone)),
        _section("after.title", responses([day], zone)),
        _section("gaps.title", gaps(day, zone)),
        _section("clip.title", clip_told) if clip_told else "",
        _questions(),  # within the columns: under them it alone would often take a second sheet
        "</div>",
    ]
    return _document(title, _head(title, lead, name or day.wearer, made_ns, zone), "".join(body), _foot([day]))


def week_page(week: WeekFigures, zone: ZoneInfo, made_ns: int, name: str | None = None) -> str:
    """The week report, Monday to Sunday."""
    first, last = week.days[0].day, week.days[-1].day
    until = f"{last.day} {last:%B %Y}"
    title = f"{say('week.title')}: {first.day} {first:%B} to {until}"
    today = datetime.fromtimestamp(made_ns // NS_PER_S, zone).date()
    over = [d for d in week.days if d.day <= today]
    lead = _week_lead(week, len(over))
    body = [
        _figure("chart.week", week_chart(week, today), _week_key()),
        _section("week.table", _week_table(over)),
        _section("after.title", responses(week.days, zone)),
        _questions(),
    ]
    head = _head(title, lead, name or week.wearer, made_ns, zone)
    return _document(title, head, "".join(body), _foot(week.days))


@cache
def style() -> str:
    """The document's style sheet."""
    return files("sensor_gateway.report").joinpath("style.css").read_text(encoding="utf-8")


def content_policy() -> str:
    """What a browser may do with a served report: show it, with this very style sheet, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _document(title: str, head: str, body: str, foot: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title} · Tiltline</title><style>{style()}</style></head>"
        f"<body><header>{head}</header><main>{body}</main><footer>{foot}</footer></body></html>\n"
    )


def _head(title: str, lead: str, name: str, made_ns: int, zone: ZoneInfo) -> str:
    made = datetime.fromtimestamp(made_ns // NS_PER_S, zone).strftime("%d %B %Y, %H:%M").lstrip("0")
    return (
        f'<p>{say("for", name=name)}</p><h1>{title}</h1><p class="lead">{lead}</p>'
        f"<p>{say('made', when=made, zone=zone.key)}</p>"
    )


def _lead(day: DayFigures) -> str:
    if day.upright_median_deg is None:
        return say("today.summary_no_tilt", worn=duration(day.worn_s))
    return say("today.summary", worn=duration(day.worn_s), tilt=from_neutral(day.upright_median_deg))


def _week_lead(week: WeekFigures, days: int) -> str:
    """What the week brought; of one that is not over, only of its ``days`` so far."""
    key = "week.lead" if days == len(week.days) else "week.lead_so_far"
    if not week.worn_days:
        return say(f"{key}_none")
    return say(key, n=week.worn_days, of=days, worn=duration(sum(d.worn_s for d in week.days)))


def _tiles(day: DayFigures) -> str:
    upright = sum(day.posture_s.get(p, 0) for p in ("standing", "walking", "running", "stairs"))
    scores = [s for e in day.pain if isinstance(s := e.data.get("score"), int)]
    pain = f"{min(scores)}–{max(scores)}" if len(set(scores)) > 1 else f"{scores[0]}" if scores else say("tile.none")
    tiles = [
        (duration(day.worn_s), "tile.worn"),
        (duration(upright), "tile.upright"),
        (str(len(day.flags)), "tile.flags"),
        (str(day.prompts), "tile.prompts"),
        (str(day.done), "tile.done"),
        (pain, "tile.pain"),
    ]
    items = "".join(f"<li><b>{value}</b><span>{say(key)}</span></li>" for value, key in tiles)
    return f'<ul class="tiles">{items}</ul>'


def _figure(key: str, chart: str, legend: str) -> str:
    return f"<figure><h2>{say(key)}</h2>{_wide(key, chart)}{legend}</figure>"


def _wide(key: str, inner: str) -> str:
    """What a phone scrolls sideways by itself; reachable and named for whoever uses keys."""
    return f'<div class="wide" tabindex="0" role="region" aria-label="{say(key)}">{inner}</div>'


def _key(day: DayFigures) -> str:
    marks = [("accent", "today.key_line")]
    marks += [("seat", "today.key_seat")] if day.posture_s.get("sitting") else []
    marks += [("own", "today.key_range")] if day.own else []
    marks += [("flag", "chart.key_flag")] if day.flags else []
    marks += [("good", "trends.key_done")] if day.exercises else []
    marks += [("pain", "today.key_pain")] if day.pain else []
    shown = [(color, say(key)) for color, key in marks]
    shown += [(p if p != "not_worn" else "unknown", say(f"posture.{p}")) for p in POSTURES if p in day.posture_s]
    return _legend(shown, f"{say('today.axis')}. {say('today.key_gap')}.")


def _week_key() -> str:
    colors = [
        ("standing", say("posture.standing")),
        ("walking", say("posture.walking")),
        ("own", say("today.key_range")),
    ]
    return _legend(colors, f"{say('today.axis')}.")


def _legend(entries: Iterable[tuple[str, str]], closing: str) -> str:
    items = "".join(f'<span><i class="k-{color}"></i>{said}</span>' for color, said in entries)
    return f'<figcaption class="key">{items}<span>{closing}</span></figcaption>'


def _section(key: str, inner: str, kind: str = "") -> str:
    return f"<section{f' class={kind!r}' if kind else ''}><h2>{say(key)}</h2>{inner}</section>"


def _tilt_table(day: DayFigures) -> str:
    rows = "".join(
        f"<tr><td>{say(f'posture.{t.posture}')}</td><td>{t.minutes}</td><td>{degrees(t.median_deg)}</td>"
        f"<td>{degrees(t.p10_deg)} to {degrees(t.p90_deg)}</td></tr>"
        for t in day.tilt
    )
    head = "".join(f"<th>{say(k)}</th>" for k in ("tilt.posture", "tilt.minutes", "tilt.middle", "tilt.mostly"))
    sitting = any(t.posture == "sitting" for t in day.tilt)
    note = f'<p class="soft">{say("tilt.sitting_note")}</p>' if sitting else ""
    return f"{_wide('tilt.title', f'<table><tr>{head}</tr>{rows}</table>')}{note}"


def _own(day: DayFigures) -> str:
    if day.own is None:
        return f"<p>{say('own.none')}</p>"
    return f"<p>{say('own.some', low=degrees(day.own.low_deg), high=degrees(day.own.high_deg))}</p>"


def _shifts(day: DayFigures) -> str:
    if day.shifts_per_15_min is None:
        return ""
    return f"<p>{say('shifts.some', n=f'{day.shifts_per_15_min:.1f}')}</p>"


def _sure(day: DayFigures) -> str:
    if day.uncertainty_deg is None:
        said = say("sure.none")
    else:
        quality = 0 if day.quality is None else round(100 * day.quality)
        said = say("sure.some", n=f"{day.uncertainty_deg:.1f}", q=quality)
    return f'<p>{said}</p><p class="soft">{say("sure.note")}</p>'


def _questions() -> str:
    asked = "".join(f"<li>{say(f'ask.{i}')}</li>" for i in QUESTIONS)
    return _section(
        "ask.title",
        f'<ul>{asked}</ul><p class="soft">{say("ask.space")}</p><div class="line"></div><div class="line"></div>',
    )


def _week_table(days: Sequence[DayFigures]) -> str:
    columns = ("day", "worn", "standing", "walking", "sitting", "shifts", "flags", "prompts", "done", "pain")
    head = "".join(f"<th>{say(f'week.{c}')}</th>" for c in columns)
    rows = "".join(f"<tr>{_week_row(d)}</tr>" for d in days)
    table = _wide("week.table", f"<table><tr>{head}</tr>{rows}</table>")
    return f'{table}<p class="soft">{say("week.table_note")}</p>'


def _week_row(day: DayFigures) -> str:
    tilt = {t.posture: degrees(t.median_deg) for t in day.tilt}
    known = bool(day.epochs)
    scores = [str(e.data.get("score")) for e in day.pain]
    cells = [
        f"{day.day:%a %d}",
        duration(day.worn_s) if known else DASH,
        *(tilt.get(p, DASH) for p in ("standing", "walking", "sitting")),
        DASH if day.shifts_per_15_min is None else f"{day.shifts_per_15_min:.1f}",
        *((str(n) if known else DASH) for n in (len(day.flags), day.prompts)),
        str(day.done) if known or day.exercises else DASH,
        ", ".join(scores) if scores else DASH,
    ]
    return "".join(f"<td>{escape(c)}</td>" for c in cells)


def _foot(days: Sequence[DayFigures]) -> str:
    minutes = sum(len(d.epochs) for d in days)
    events = sum(len(d.flags) + len(d.exercises) + len(d.pain) + len(d.notes) for d in days)
    data = say("foot.data", wearer=days[0].wearer, minutes=minutes, events=events)
    return f"<p>{say('foot')}</p><p>{data}</p>"
