"""What several dashboards share: the variables at the top, the postures' colours, words of the dictionary, common columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dashboards.influxql import EPOCH, dictionary_field
from dashboards.model import Override, Panel, Query, Variable
from dashboards.panels import line_color, time_series
from processing.types import POSTURES

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

GAPS_STAY: Final = "Where nothing was received nothing is drawn: missing is never zero."

_IN_SITE: Final = ('"site" =~ /^${site:regex}$/',)


def wearers(*, several: bool) -> tuple[Variable, Variable]:
    """Give the variables `site` and `wearer` that every query uses."""
    site = Variable("site", "Site", "Home or clinic.", EPOCH.tag_values("site"), several=True)
    text = "Pseudonyms of the people who wear a sensor."
    return site, Variable("wearer", "Wearer", text, EPOCH.tag_values("wearer", _IN_SITE), several=several)


def about(measurement: str, *names: str) -> str:
    """What the dictionary says of these fields."""
    return " ".join(dictionary_field(measurement, name).meaning for name in names)


def event_columns() -> Sequence[Override]:
    return (
        Override("Time", {"custom.width": 180}),
        Override("wearer", {"displayName": "Wearer", "custom.width": 110}),
        Override("type", {"displayName": "What", "custom.width": 130}),
        Override("rule", {"displayName": "Rule", "custom.width": 150}),
        Override("summary", {"displayName": "Reason"}),
        Override("event_id", {"displayName": "Event id", "custom.width": 170}),
    )


def posture_bars(
    title: str, description: str, every: str, divisor: int, unit: str, *, local_days: bool, width: int
) -> Panel:
    columns = {POSTURE_LOOKS[p][0]: f"{EPOCH.call('sum', f'{p}_s')} / {divisor}" for p in POSTURES}
    return time_series(
        title,
        description,
        [Query(EPOCH.series(columns, every=every, local_days=local_days))],
        unit=unit or "count",
        width=width,
        style="bars",
        stacked=True,
        min_interval=every,
        overrides=[line_color(text, color) for text, color in POSTURE_LOOKS.values()],
    )
