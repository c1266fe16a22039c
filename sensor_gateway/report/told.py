"""The lists of a report: what stood out and what came of it, what was done and noted, what followed, where data are missing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Any, Final
from zoneinfo import ZoneInfo

from processing.rules.compare import INSUFFICIENT
from processing.rules.explain import degrees
from processing.types import NS_PER_S, Event
from sensor_gateway.report.figures import DayFigures, Followed
from sensor_gateway.report.words import catalogue, clock, dose, duration, say

DASH: Final = "–"
MOST_LISTED: Final = 8
Z95: Final = 1.96


def flags(followed: Sequence[Followed], zone: ZoneInfo) -> str:
    """Each flag with the number it has in the picture, in the words of the wearer's page."""
    if not followed:
        return f"<p>{say('flags.none_past')}</p>"
    return f'<ol class="many">{"".join(_flag(i, f, zone) for i, f in enumerate(followed, 1))}</ol>'


def _flag(number: int, one: Followed, zone: ZoneInfo) -> str:
    lines = [*_limit(one.flag), *_came_of_it(one)]
    at = clock(one.flag.t_utc_ns, zone)
    return (
        f'<li><span class="no">{number}</span><span><span class="when">{at}</span><b>{_headline(one.flag)}</b><br>'
        f'<span class="soft">{" ".join(lines)}</span></span></li>'
    )


def _headline(flag: Event) -> str:
    data, known = flag.data, catalogue()
    keys = (f"flag.{flag.rule}.{data.get('posture')}", f"flag.{flag.rule}", "flag.other")
    value = data.get("value")
    long = duration(value) if data.get("unit") == "s" and isinstance(value, int | float) else ""
    return say(next(key for key in keys if key in known), duration=long, rule=flag.rule)


def _limit(flag: Event) -> list[str]:
    threshold = flag.data.get("threshold_deg")
    if not isinstance(threshold, int | float):
        return []
    return [f"{say('why.threshold')}: {say('why.threshold_value', n=f'{threshold:.1f}')}."]


def _came_of_it(one: Followed) -> list[str]:
    if one.prompt is not None:
        what = one.prompt.data.get("exercise_name")
        offered = say("why.prompt", exercise=f"{what} ({dose(one.prompt.data)})") if what else say("why.prompt_plain")
        answer = None if one.answer is None else one.answer.data.get("answer")
        return [offered, say(f"why.answer.{answer}")] if f"why.answer.{answer}" in catalogue() else [offered]
    if one.suppressed is None:
        return [say("why.noted")]
    reason = one.suppressed.data.get("reason")
    told = catalogue().get(f"quiet.{reason}") or one.suppressed.data.get("text") or reason or DASH
    return [say("why.quiet", reason=told)]


def log(day: DayFigures, zone: ZoneInfo) -> str:
    """Exercises, pain and notes of the day in the order of their times."""
    entries = [(e, _logged(e)) for e in sorted((*day.exercises, *day.pain, *day.notes), key=lambda e: e.t_utc_ns)]
    if not entries:
        return f"<p>{say('entries.none')}</p>"
    items = "".join(f'<li><span class="when">{clock(e.t_utc_ns, zone)}</span>{said}</li>' for e, said in entries)
    return f"<ul>{items}</ul>"


def _logged(event: Event) -> str:
    data = event.data
    note = data.get("note")
    extra = f" {say('log.note', what=note)}" if isinstance(note, str) and note and event.type != "note" else ""
    if event.type == "pain":
        return say("entry.pain", n=data.get("score", DASH)) + extra
    if event.type == "note":
        return say("log.note", what=note) if note else say("log.note_kept")
    what = data.get("exercise_name") or str(data.get("exercise") or DASH).replace("_", " ")
    much = f' <span class="soft">{escape(dose(data))}</span>' if dose(data) else ""
    return say("entry.exercise", exercise=what) + much + extra


def responses(days: Sequence[DayFigures], zone: ZoneInfo) -> str:
    """What was measured after exercises, each with its interval, and after times without a prompt."""
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


def gaps(day: DayFigures, zone: ZoneInfo) -> str:
    """The longer holes between the first and the last minute."""
    if not day.gaps:
        return f"<p>{say('gaps.none')}</p>"
    shown = [
        say("gaps.item", **{"from": clock(a, zone), "to": clock(b, zone), "length": duration((b - a) / NS_PER_S)})
        for a, b in day.gaps[:MOST_LISTED]
    ]
    if len(day.gaps) > MOST_LISTED:
        shown.append(say("gaps.more", n=len(day.gaps) - MOST_LISTED))
    return f"<ul>{''.join(f'<li>{item}</li>' for item in shown)}</ul>"


def clip(day: DayFigures, zone: ZoneInfo) -> str:
    """When the neutral was set, the clip moved, and a walk showed how it sits; empty on a day without any of it."""
    told = [(e, f"clip.{e.data.get('reason') or e.data.get('method')}") for e in day.alignments if not _refused(e)]
    items = [
        f'<li><span class="when">{clock(e.t_utc_ns, zone)}</span>{say(key)}</li>'
        for e, key in told
        if key in catalogue()
    ]
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _refused(event: Event) -> bool:
    return "refused" in (event.data.get("outcome"), event.data.get("kind"))
