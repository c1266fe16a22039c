"""Typed builders for the parts of a Grafana dashboard we use; `Dashboard.to_json()` is the provisioned file.

The JSON's shape is Grafana's own (`@grafana/schema`; held against its published types by `tests/dashboards/test_schema.py`).
Panels are laid out from left to right in Grafana's 24 columns; ids are numbered in that order, so they are unique and a
panel keeps its id while nothing before it changes. Every panel must explain itself: a description is not optional here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from processing.types import Json

DATA_SOURCE_UID: Final = "tiltline-influxql"
DATA_SOURCE: Final[dict[str, Json]] = {"type": "influxdb", "uid": DATA_SOURCE_UID}
GRID_COLUMNS: Final = 24
SCHEMA_VERSION: Final = 41
"""Grafana migrates older dashboards upwards on load, never downwards."""

UNITS: Final[Mapping[str, str]] = {
    "deg": "degree",
    "deg*min": "suffix:°·min",
    "%": "percent",
    "1": "percentunit",
    "s": "s",
    "h": "suffix:h",
    "Hz": "hertz",
    "dBm": "suffix:dBm",
    "count": "none",
    "per minute": "none",
}
"""Our units (those of the dictionary, and a few of sums) to Grafana's unit ids. "1" is a share between 0 and 1."""


@dataclass(frozen=True, slots=True)
class Query:
    """One InfluxQL query of a panel. ``alias`` names the series: `$col` is the label after AS, `$tag_x` a tag."""

    text: str
    alias: str = "$col"
    table: bool = False

    def to_json(self, ref: str) -> dict[str, Json]:
        query: dict[str, Json] = {
            "refId": ref,
            "datasource": DATA_SOURCE,
            "query": self.text,
            "rawQuery": True,
            "resultFormat": "table" if self.table else "time_series",
        }
        if not self.table:
            query["alias"] = self.alias
        return query


@dataclass(frozen=True, slots=True)
class Override:
    """Settings of the fields that match: by exact name, or by a ``/pattern/``."""

    match: str
    properties: Mapping[str, Json]

    def to_json(self) -> dict[str, Json]:
        kind = "byRegexp" if self.match.startswith("/") else "byName"
        return {
            "matcher": {"id": kind, "options": self.match},
            "properties": [{"id": key, "value": value} for key, value in self.properties.items()],
        }


@dataclass(frozen=True, slots=True)
class Panel:
    """Any panel; the functions below fill in what each type needs."""

    type: str
    title: str
    description: str
    queries: Sequence[Query]
    unit: str
    width: int
    height: int
    options: Mapping[str, Json]
    custom: Mapping[str, Json] = field(default_factory=dict)
    defaults: Mapping[str, Json] = field(default_factory=dict)
    overrides: Sequence[Override] = ()
    transformations: Sequence[Mapping[str, Json]] = ()
    min_interval: str = ""
    own_range: str = ""
    """Looks at this long before now, whatever the dashboard's range is; e.g. "7d"."""

    def to_json(self, panel_id: int, x: int, y: int) -> dict[str, Json]:
        defaults: dict[str, Json] = {"noValue": "no data", **self.defaults}
        if self.unit:
            defaults["unit"] = UNITS[self.unit]
        if self.custom:
            defaults["custom"] = dict(self.custom)
        panel: dict[str, Json] = {
            "id": panel_id,
            "type": self.type,
            "title": self.title,
            "description": self.description,
            "datasource": DATA_SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [query.to_json(chr(ord("A") + i)) for i, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": defaults, "overrides": [o.to_json() for o in self.overrides]},
            "options": dict(self.options),
        }
        if self.min_interval:
            panel["interval"] = self.min_interval
        if self.own_range:
            panel["timeFrom"] = self.own_range
        if self.transformations:
            panel["transformations"] = [dict(t) for t in self.transformations]
        return panel


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top: from a query, or free text where ``query`` is empty (then ``value`` is the start)."""

    name: str
    label: str
    description: str
    query: str = ""
    value: str = ""
    several: bool = False

    def to_json(self) -> dict[str, Json]:
        common: dict[str, Json] = {"name": self.name, "label": self.label, "description": self.description}
        if not self.query:
            start: dict[str, Json] = {"text": self.value, "value": self.value, "selected": True}
            return {**common, "type": "textbox", "query": self.value, "current": start, "options": [start]}
        return {
            **common,
            "type": "query",
            "datasource": DATA_SOURCE,
            "query": self.query,
            "refresh": 2,  # on a change of the time range: a wearer who joined last week appears
            "sort": 7,  # natural: w-2 before w-10
            "multi": self.several,
            "includeAll": self.several,
            "current": {"text": ["All"], "value": ["$__all"], "selected": True}
            if self.several
            else {"text": "", "value": ""},
        }


@dataclass(frozen=True, slots=True)
class Annotation:
    """Events drawn as marks on every time axis; the event's ``summary`` is the text."""

    name: str
    color: str
    query: str
    shown: bool = True

    def to_json(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "datasource": DATA_SOURCE,
            "enable": self.shown,
            "iconColor": self.color,
            "target": {
                "refId": "Anno",
                "datasource": DATA_SOURCE,
                "query": self.query,
                "rawQuery": True,
                "textEditor": True,
                "fromAnnotations": True,
                "resultFormat": "table",
                "textColumn": "summary",
                "tagsColumn": "type,rule",
            },
        }


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard. ``tags`` start with `tiltline`, by which the dashboards link to each other."""

    uid: str
    title: str
    description: str
    panels: Sequence[Panel]
    variables: Sequence[Variable]
    annotations: Sequence[Annotation] = ()
    tags: Sequence[str] = ()
    time_from: str = "now/d"
    time_to: str = "now"
    refresh: str = "1m"

    def to_json(self) -> dict[str, Json]:
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["tiltline", *self.tags],
            "schemaVersion": SCHEMA_VERSION,
            "editable": False,
            "graphTooltip": 1,
            "timezone": "browser",
            "time": {"from": self.time_from, "to": self.time_to},
            "refresh": self.refresh,
            "links": [_DASHBOARD_MENU],
            "templating": {"list": [v.to_json() for v in self.variables]},
            "annotations": {"list": [a.to_json() for a in self.annotations]},
            "panels": list(_laid_out(self.panels)),
        }


def _laid_out(panels: Sequence[Panel]) -> list[Json]:
    placed: list[Json] = []
    x = y = row_height = 0
    for panel_id, panel in enumerate(panels, start=1):
        if x + panel.width > GRID_COLUMNS:
            x, y, row_height = 0, y + row_height, 0
        placed.append(panel.to_json(panel_id, x, y))
        x += panel.width
        row_height = max(row_height, panel.height)
    return placed


_DASHBOARD_MENU: Final[dict[str, Json]] = {
    "title": "Tiltline",
    "type": "dashboards",
    "tags": ["tiltline"],
    "asDropdown": True,
    "includeVars": True,
    "keepTime": False,
    "targetBlank": False,
    "icon": "external link",
    "tooltip": "The other Tiltline dashboards, with the same site and wearer.",
}
