"""The five panel types the dashboards are made of, with the settings that keep them honest.

Lines never bridge a gap (`spanNulls` off; the queries fill empty buckets with null), bars start at zero, a panel without
data says "no data", and colours are Grafana's named ones, which it adapts to its light and dark themes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from dashboards.model import Override, Panel, Query
from processing.types import Json

_LEGEND: Final[dict[str, Json]] = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
_TOOLTIP: Final[Json] = {"mode": "multi", "sort": "none"}

# In every column: "no data" a dozen times in a row hides the cells that say something.
_EMPTY_CELL: Final = Override("/.*/", {"noValue": "–"})

Thresholds = Sequence[tuple[float | None, str]]


def thresholds(steps: Thresholds) -> dict[str, Json]:
    """Colour from a value on; the first step's value is None (from minus infinity)."""
    return {
        "color": {"mode": "thresholds"},
        "thresholds": {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in steps]},
    }


def band(lower: str, upper: str, color: str) -> tuple[Override, Override]:
    """Two series drawn as one shaded band without edges, named by the panel's description and not in the legend."""
    hidden_line: dict[str, Json] = {
        "custom.lineWidth": 0,
        "color": {"mode": "fixed", "fixedColor": color},
        "custom.showPoints": "never",
        "custom.hideFrom": {"legend": True, "tooltip": False, "viz": False},
    }
    fill: dict[str, Json] = {"custom.fillBelowTo": lower, "custom.fillOpacity": 22}
    return Override(lower, hidden_line), Override(upper, {**hidden_line, **fill})


def line_color(name: str, color: str, width: int = 2) -> Override:
    """A fixed colour for one series."""
    return Override(name, {"color": {"mode": "fixed", "fixedColor": color}, "custom.lineWidth": width})


def time_series(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    width: int = 24,
    height: int = 8,
    style: Literal["line", "bars", "points"] = "line",
    stacked: bool = False,
    low: float | None = None,
    high: float | None = None,
    steps: Thresholds | None = None,
    overrides: Sequence[Override] = (),
    min_interval: str = "1m",
    many: bool = False,
) -> Panel:
    """Values over time. ``many`` series have their legend at the side, where a dozen names leave the drawing its room. ``min_interval`` is how often a value can exist at all: 1m for epochs, 1s for metrics."""
    custom: dict[str, Json] = {
        "drawStyle": style,
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 70 if style == "bars" else 0,
        "spanNulls": False,
        # A lone value between two gaps has no neighbour to draw a line to; "auto" keeps it visible as a point.
        "showPoints": "auto",
        "pointSize": 4,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    defaults: dict[str, Json] = {"color": {"mode": "palette-classic"}}
    if steps is not None:  # as lines: the colours go on telling the series apart
        defaults["thresholds"] = thresholds(steps)["thresholds"]
        custom["thresholdsStyle"] = {"mode": "dashed"}
    if style == "bars":
        low = 0 if low is None else low
    defaults |= {key: value for key, value in (("min", low), ("max", high)) if value is not None}
    return Panel(
        type="timeseries",
        title=title,
        description=description,
        queries=queries,
        unit=unit,
        width=width,
        height=height,
        options={"legend": {**_LEGEND, "placement": "right"} if many else _LEGEND, "tooltip": _TOOLTIP},
        custom=custom,
        defaults=defaults,
        overrides=overrides,
        min_interval=min_interval,
    )


def state_timeline(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    states: Mapping[str, tuple[str, str]],
    width: int = 24,
    height: int = 5,
    min_interval: str = "10s",
) -> Panel:
    """Named states over time; ``states`` maps a stored value to (word, colour)."""
    mapping: Json = {
        "type": "value",
        "options": {
            value: {"text": text, "color": color, "index": i} for i, (value, (text, color)) in enumerate(states.items())
        },
    }
    return Panel(
        type="state-timeline",
        title=title,
        description=description,
        queries=queries,
        unit="",
        width=width,
        height=height,
        options={
            "mergeValues": True,
            "showValue": "auto",
            "rowHeight": 0.9,
            "alignValue": "left",
            "legend": _LEGEND,
            "tooltip": {"mode": "single", "sort": "none"},
        },
        custom={"fillOpacity": 75, "lineWidth": 0},
        defaults={"mappings": [mapping], "color": {"mode": "palette-classic"}},
        min_interval=min_interval,
    )


def status_history(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    steps: Thresholds,
    width: int = 24,
    height: int = 10,
    decimals: int = 0,
    min_interval: str = "1d",
) -> Panel:
    """A heat map: a row per series, a cell per bucket, coloured by ``steps``; a bucket without data has no cell.

    Twenty rows at a time: of a clinic's forty all at once, neither names nor numbers could be read.
    """
    return Panel(
        type="status-history",
        title=title,
        description=description,
        queries=queries,
        unit=unit,
        width=width,
        height=height,
        options={
            "rowHeight": 0.9,
            "colWidth": 0.95,
            "perPage": 20,
            "showValue": "auto",
            "legend": {**_LEGEND, "showLegend": False},
            "tooltip": {"mode": "single", "sort": "none"},
        },
        custom={"fillOpacity": 75, "lineWidth": 0},
        defaults={**thresholds(steps), "decimals": decimals},
        min_interval=min_interval,
    )


def coloured(steps: Thresholds) -> dict[str, Json]:
    """Properties of a table's column whose cells are coloured by their value."""
    return {
        "custom.cellOptions": {"type": "color-background", "mode": "basic"},
        "thresholds": thresholds(steps)["thresholds"],
        "color": {"mode": "thresholds"},
    }


def stat(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    width: int = 4,
    height: int = 4,
    decimals: int | None = None,
    steps: Thresholds = ((None, "text"),),
) -> Panel:
    """One number over the chosen time. The query aggregates; the panel shows its last value as it is."""
    defaults = thresholds(steps)
    if decimals is not None:
        defaults["decimals"] = decimals
    return Panel(
        type="stat",
        title=title,
        description=description,
        queries=queries,
        unit=unit,
        width=width,
        height=height,
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "textMode": "auto",
            "orientation": "auto",
        },
        defaults=defaults,
    )


def table(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    width: int = 24,
    height: int = 8,
    overrides: Sequence[Override] = (),
    transformations: Sequence[Mapping[str, Json]] = (),
    sort_by: Sequence[tuple[str, bool]] = (),
    own_range: str = "",
) -> Panel:
    """Rows; ``sort_by`` are (displayed column name, descending), the first one first."""
    options: dict[str, Json] = {"showHeader": True, "cellHeight": "sm"}
    if sort_by:
        options["sortBy"] = [{"displayName": name, "desc": descending} for name, descending in sort_by]
    return Panel(
        type="table",
        title=title,
        description=description,
        queries=queries,
        unit="",
        width=width,
        height=height,
        options=options,
        custom={"align": "auto", "cellOptions": {"type": "auto"}, "wrapText": True, "inspect": False},
        overrides=(_EMPTY_CELL, *overrides),
        transformations=transformations,
        own_range=own_range,
    )
