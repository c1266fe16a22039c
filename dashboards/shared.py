"""What several dashboards share: the variables at the top, the postures' colours, words of the dictionary, common columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dashboards.influxql import EPOCH, RECEIVED, dictionary_field, worn_hours
from dashboards.model import Override, Panel, Query, Variable
from dashboards.panels import line_color, stat, time_series
from processing.types import POSTURES, Json

POSTURE_LOOKS: Final[Mapping[str, tuple[str, str]]] = {
    "lying": ("lying", "dark-purple"),
    "sitting": ("sitting", "blue"),
    "standing": ("standing", "green"),
    "walking": ("walking", "yellow"),
    "running": ("running", "orange"),
    "stairs": ("stairs", "semi-dark-orange"),
    "unknown": ("not sure", "#8e8e8e"),
    "not_worn": ("not worn", "#5a5a5a"),
}
"""Posture → word and colour, in the dictionary's order. The word is always shown with the colour."""

RULE_WORDS: Final[Mapping[str, str]] = {
    "tilt_dose": "tilt over the last hour",
    "sustained_tilt": "tilt for ten minutes",
    "static_posture": "one position for long",
    "asymmetry": "left and right differ",
}
"""Rule → the words of the review page."""
EVENT_WORDS: Final[Mapping[str, str]] = {
    "flag": "flag",
    "episode_start": "tilt past its limit",
    "episode_end": "tilt no longer past it",
    "prompt": "prompt",
    "suppressed": "kept quiet",
    "alignment": "neutral pose",
    "wear_on": "worn from here",
    "wear_off": "taken off",
    "gap": "samples missing",
    "clock": "sensor's clock",
    "mount": "clip moved",
    "answer": "answer",
    "response": "tilt before and after",
    "baseline": "usual tilt",
    "hint": "worth a look",
    "link": "connection",
    "calibration": "sensor's own error",
    "pain": "pain",
    "note": "note",
    "exercise": "exercise done",
    "mode": "prompts on or off",
    "red_flag": "health questions",
    "programme": "programme",
    "proposal": "step proposed",
    "verdict": "verdict",
    "strides": "left and right",
}
"""Type of event → how tables name it."""
VERDICT_WORDS: Final[Mapping[str, str]] = {
    "useful": "useful",
    "not_useful": "not useful",
    "wrong_posture": "another posture",
}

GAPS_STAY: Final = "Where nothing was received nothing is drawn: missing is never zero."

_IN_SITE: Final = ('"site" =~ /^${site:regex}$/',)


def wearers(*, several: bool) -> tuple[Variable, Variable]:
    """Give the variables `site` and `wearer` that every query uses."""
    site = Variable("site", "Site", "Home or clinic.", EPOCH.tag_values("site"), several=True)
    text = "Pseudonyms of the people who wear a sensor."
    return site, Variable("wearer", "Wearer", text, EPOCH.tag_values("wearer", _IN_SITE), several=several)


def about(measurement: str, *names: str) -> str:
    """What the dictionary says of these fields, with the words that a text may be."""
    fields = [dictionary_field(measurement, name) for name in names]
    return " ".join(f"{f.meaning} One of {', '.join(f.words)}." if f.words else f.meaning for f in fields)


def words(of: Mapping[str, str]) -> dict[str, Json]:
    """Show stored names as words."""
    return {"mappings": [{"type": "value", "options": {name: {"text": text} for name, text in of.items()}}]}


def hidden(name: str) -> Override:
    """A column that is not shown, such as the time of a row over the whole range."""
    return Override(name, {"custom.hideFrom": {"viz": True, "legend": True, "tooltip": True}})


def named(**shown: str) -> Sequence[Override]:
    """Columns shown under another name."""
    return tuple(Override(name, {"displayName": text}) for name, text in shown.items())


def rule_column() -> Override:
    """The rule in words."""
    return Override("rule", {"displayName": "Rule", "custom.width": 190, **words(RULE_WORDS)})


def type_column() -> Override:
    """What kind of event it is, in words."""
    return Override("type", {"displayName": "What", "custom.width": 190, **words(EVENT_WORDS)})


def event_columns() -> Sequence[Override]:
    """The columns of a list of events."""
    return (
        Override("Time", {"custom.width": 180}),
        Override("wearer", {"displayName": "Wearer", "custom.width": 110}),
        Override("sensor", {"displayName": "Sensor", "custom.width": 150}),
        type_column(),
        rule_column(),
        Override("summary", {"displayName": "Reason"}),
        Override("event_id", {"displayName": "Event id", "custom.width": 170}),
    )


def hours_worn(text: str, *, width: int = 4, decimals: int = 0) -> Panel:
    """The stat of that name; ``text`` says whose hours."""
    query = Query(EPOCH.latest({"Hours worn": worn_hours()}))
    return stat("Hours worn", f"Hours received and worn, {text}.", [query], unit="h", width=width, decimals=decimals)


def posture_bars(
    title: str, description: str, every: str, divisor: int, unit: str, *, local_days: bool, width: int
) -> Panel:
    """Stacked bars of the time in each posture per ``every``; ``divisor`` turns seconds into ``unit``."""
    columns = {POSTURE_LOOKS[p][0]: f"{EPOCH.call('sum', f'{p}_s')} / {divisor}" for p in POSTURES}
    return time_series(
        title,
        description,
        [Query(EPOCH.series(columns, every=every, where=(RECEIVED,), local_days=local_days))],
        unit=unit or "count",
        width=width,
        style="bars",
        stacked=True,
        min_interval=every,
        overrides=[line_color(text, color) for text, color in POSTURE_LOOKS.values()],
    )
