"""A report as one HTML document: style and pictures inside, no script, nothing to load; safe whatever was typed in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo

from processing.rules.compare import INSUFFICIENT
from processing.types import NS_PER_S, POSTURES, Event
from sensor_gateway.report.charts import day_chart, week_chart
from sensor_gateway.report.figures import DayFigures, Followed, WeekFigures
from sensor_gateway.report.words import clock, degrees, duration, from_neutral, say

RULES: Final = ("sustained_tilt", "tilt_dose", "static_posture")
DASH: Final = "–"
MOST_LISTED: Final = 8
Z95: Final = 1.96


def day_page(day: DayFigures, zone: ZoneInfo, made_ns: int, name: str | None = None) -> str:
    """The day report; ``name`` is what this machine calls the wearer, and stands nowhere else."""
    title = f"{say('day.title')}, {day.day:%A, %d %B %Y}"
    if day.empty:
        return _document(title, _head(title, say("none"), name or day.wearer, made_ns, zone), "", _foot([day]))
    lead = _lead(day)
    body = [
        _tiles(day),
        f"<figure><h2>{say('chart.day')}</h2>{day_chart(day, zone, say('chart.about', lead=''))}{_key(day)}</figure>",
        '<div class="two">',
        _section("tilt.title", _tilt_table(day) + _own(day) + _shifts(day) + _sure(day)),
        _section("flags.title", _flags(day.flags, zone)),
        _section("log.title", _log(day, zone)),
        _section("after.title", _responses([day], zone)),
        _section("gaps.title", _gaps(day, zone)),
        _questions(),
        "</div>",
    ]
    return _document(title, _head(title, lead, name or day.wearer, made_ns, zone), "".join(body), _foot([day]))


def week_page(week: WeekFigures, zone: ZoneInfo, made_ns: int, name: str | None = None) -> str:
    """The week report, Monday to Sunday."""
    first, last = week.days[0].day, week.days[-1].day
    title = f"{say('week.title')}, {first:%d %B} to {last:%d %B %Y}"
    worn = sum(d.worn_s for d in week.days)
    lead = say("week.lead", n=week.worn_days, worn=duration(worn)) if week.worn_days else say("week.lead_none")
    body = [
        f"<figure><h2>{say('chart.week')}</h2>{week_chart(week)}{_week_key()}</figure>",
        _section("week.table", _week_table(week)),
        '<div class="two">',
        _section("after.title", _responses(week.days, zone)),
        _questions(),
        "</div>",
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
    made = datetime.fromtimestamp(made_ns // NS_PER_S, zone).strftime("%Y-%m-%d %H:%M")
    return (
        f'<p>{say("for", name=name)}</p><h1>{title}</h1><p class="lead">{lead}</p>'
        f"<p>{say('made', when=made, zone=zone.key)}</p>"
    )


def _lead(day: DayFigures) -> str:
    if day.upright_median_deg is None:
        return say("lead.no_tilt", worn=duration(day.worn_s))
    return say("lead.upright", worn=duration(day.worn_s), tilt=from_neutral(day.upright_median_deg))


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


def _key(day: DayFigures) -> str:
    marks = [("accent", "chart.key_tilt")]
    marks += [("own", "chart.key_own")] if day.own else []
    marks += [("flag", "chart.key_flag")] if day.flags else []
    marks += [("good", "chart.key_done")] if day.exercises else []
    marks += [("pain", "chart.key_pain")] if day.pain else []
    shown = [(color, say(key)) for color, key in marks]
    shown += [(p if p != "not_worn" else "unknown", say(f"posture.{p}")) for p in POSTURES if p in day.posture_s]
    return _legend(shown, f"{say('chart.axis')}; {say('chart.key_gap')}")


def _week_key() -> str:
    colors = [("standing", say("posture.standing")), ("walking", say("posture.walking")), ("own", say("chart.key_own"))]
    return _legend(colors, say("chart.axis"))


def _legend(entries: Iterable[tuple[str, str]], closing: str) -> str:
    items = "".join(f'<span><i class="k-{color}"></i>{said}</span>' for color, said in entries)
    return f'<figcaption class="key">{items}<span>{closing}</span></figcaption>'


def _section(key: str, inner: str) -> str:
    return f"<section><h2>{say(key)}</h2>{inner}</section>"


def _tilt_table(day: DayFigures) -> str:
    rows = "".join(
        f"<tr><td>{say(f'posture.{t.posture}')}</td><td>{t.minutes}</td><td>{degrees(t.median_deg)}</td>"
        f"<td>{degrees(t.p10_deg)} to {degrees(t.p90_deg)}</td></tr>"
        for t in day.tilt
    )
    head = "".join(f"<th>{say(k)}</th>" for k in ("tilt.posture", "tilt.minutes", "tilt.middle", "tilt.mostly"))
    sitting = any(t.posture == "sitting" for t in day.tilt)
    note = f'<p class="soft">{say("tilt.sitting_note")}</p>' if sitting else ""
    return f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>{note}'


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


def _flags(flags: Sequence[Followed], zone: ZoneInfo) -> str:
    if not flags:
        return f"<p>{say('flags.none')}</p>"
    return f"<ul>{''.join(_flag(f, zone) for f in flags)}</ul>"


def _flag(one: Followed, zone: ZoneInfo) -> str:
    rule = one.flag.rule if one.flag.rule in RULES else "other"
    lines = [escape(str(one.flag.data.get("text", "")))]
    if one.prompt is not None:
        what = one.prompt.data.get("exercise_name")
        lines.append(say("flags.prompted", what=what) if what else say("flags.prompted_plain"))
        answer = None if one.answer is None else one.answer.data.get("answer")
        if answer in ("done", "not_now", "snooze", "stop"):
            lines.append(say(f"flags.answer.{answer}"))
    elif one.suppressed is not None:
        lines.append(say("flags.quiet", why=one.suppressed.data.get("text", DASH)))
    else:
        lines.append(say("flags.waiting"))
    at = clock(one.flag.t_utc_ns, zone)
    return f'<li><span class="when">{at}</span><b>{say(f"rule.{rule}")}</b><br><span class="soft">{" ".join(lines)}</span></li>'


def _log(day: DayFigures, zone: ZoneInfo) -> str:
    entries = [(e, _logged(e)) for e in sorted((*day.exercises, *day.pain, *day.notes), key=lambda e: e.t_utc_ns)]
    if not entries:
        return f"<p>{say('log.none')}</p>"
    items = "".join(f'<li><span class="when">{clock(e.t_utc_ns, zone)}</span>{said}</li>' for e, said in entries)
    return f"<ul>{items}</ul>"


def _logged(event: Event) -> str:
    note = event.data.get("note")
    extra = f" {say('log.note', what=note)}" if isinstance(note, str) and note and event.type != "note" else ""
    if event.type == "pain":
        return say("log.pain", n=event.data.get("score", DASH)) + extra
    if event.type == "note":
        return say("log.note", what=note) if note else say("log.note_kept")
    what = event.data.get("exercise_name") or str(event.data.get("exercise") or DASH).replace("_", " ")
    side = event.data.get("side")
    return say("log.exercise", what=f"{what} ({side})" if side in ("left", "right") else what) + extra


def _responses(days: Sequence[DayFigures], zone: ZoneInfo) -> str:
    told = [f.response for d in days for f in d.flags if f.response is not None]
    measured = [
        e for e in told if isinstance(e.data.get("delta_deg"), int | float) and e.data.get("outcome") != INSUFFICIENT
    ]
    own = [e for e in measured if e.data.get("group") == "exercise"]
    control = sorted(float(_number(e, "delta_deg")) for e in measured if e.data.get("group") == "control")
    if not own:
        lines = f"<p>{say('after.none')}</p>"
    else:
        lines = f"<ul>{''.join(f'<li>{_response(e, zone, len(days) > 1)}</li>' for e in own[:MOST_LISTED])}</ul>"
        lines += f'<p class="soft">{say("gaps.more", n=len(own) - MOST_LISTED)}</p>' if len(own) > MOST_LISTED else ""
    if control:
        middle = control[len(control) // 2] if len(control) % 2 else sum(control[len(control) // 2 - 1 :][:2]) / 2
        lines += f"<p>{say('after.control', n=degrees(middle), count=len(control))}</p>"
    return lines + f'<p class="soft">{say("after.words")}</p>'


def _response(event: Event, zone: ZoneInfo, dated: bool) -> str:
    delta, half = _number(event, "delta_deg"), Z95 * _number(event, "se_deg")
    at = datetime.fromtimestamp(event.t_utc_ns // NS_PER_S, zone).strftime("%a %H:%M" if dated else "%H:%M")
    return say("after.item", time=at, change=degrees(delta), low=degrees(delta - half), high=degrees(delta + half))


def _number(event: Event, key: str) -> float:
    value: Any = event.data.get(key)
    return float(value) if isinstance(value, int | float) else 0.0


def _gaps(day: DayFigures, zone: ZoneInfo) -> str:
    if not day.gaps:
        return f"<p>{say('gaps.none')}</p>"
    shown = [
        say("gaps.item", **{"from": clock(a, zone), "to": clock(b, zone), "length": duration((b - a) / NS_PER_S)})
        for a, b in day.gaps[:MOST_LISTED]
    ]
    if len(day.gaps) > MOST_LISTED:
        shown.append(say("gaps.more", n=len(day.gaps) - MOST_LISTED))
    return f"<ul>{''.join(f'<li>{item}</li>' for item in shown)}</ul>"


def _questions() -> str:
    asked = "".join(f"<li>{say(f'ask.{i}')}</li>" for i in (1, 2, 3))
    return _section("ask.title", f'<ul>{asked}</ul><p class="soft">{say("ask.space")}</p><div class="line"></div>')


def _week_table(week: WeekFigures) -> str:
    columns = ("day", "worn", "standing", "walking", "sitting", "shifts", "flags", "prompts", "done", "pain")
    head = "".join(f"<th>{say(f'week.{c}')}</th>" for c in columns)
    rows = "".join(f"<tr>{_week_row(d)}</tr>" for d in week.days)
    return f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div><p class="soft">{say("week.table_note")}</p>'


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
