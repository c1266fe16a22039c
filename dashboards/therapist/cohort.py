"""Cohort: who may need the therapist today: flags, low wear, a slipped clip, silence, pain; the way into a wearer's day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from dashboards.influxql import DEVICE, EPOCH, EVENT, RECEIVED, TILT, at_least, of_type, unanswered, worn_hours
from dashboards.model import Dashboard, Override, Panel, Query
from dashboards.panels import Thresholds, coloured, stat, status_history, table
from dashboards.shared import about, event_columns, hidden, hours_worn, wearers
from dashboards.therapist.client_day import DAY_UID
from processing.dictionary import EVENT_TYPES, MEASUREMENT
from processing.types import Json

COHORT_UID: Final = "tiltline-cohort"
REASONS: Final = "Reasons"
WIDTH: Final = 122
"""Of a column [px]: eleven of them stand side by side on a common screen."""


def cohort() -> Dashboard:
    """Everybody in one table, and the week in three maps."""
    return Dashboard(
        uid=COHORT_UID,
        title="Tiltline · Cohort",
        description="Who may need you: flags, little wear, a slipped clip, unanswered prompts, rising pain. Click a wearer for the day.",
        tags=("therapist",),
        variables=wearers(several=True),
        time_from="now-7d/d",
        panels=(_wearers(), *_stats(), _wear(), _pain(), _tilt(), _flags()),
    )


@dataclass(frozen=True, slots=True)
class Need:
    """A column whose value may be a reason to look: from ``limit`` on, or where ``below`` under it. ``value`` is one InfluxQL
    expression over ``source``, which ends before the grouping.
    """

    name: str
    value: str
    source: str
    limit: float
    color: str
    below: bool = False
    looks: dict[str, Json] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """The column that holds 1 where this is a reason, else 0; added up and not shown."""
        return f"{self.name}: reason"

    def query(self) -> Query:
        reached = at_least(self.value, self.limit)
        counted = f"1 - {reached}" if self.below else reached
        chosen = f'{self.value} AS "{self.name}", {counted} AS "{self.reason}"'
        return Query(f'SELECT {chosen} FROM {self.source} GROUP BY "wearer"', table=True)

    def column(self) -> Override:
        first, then = (self.color, "transparent") if self.below else ("transparent", self.color)
        steps: Thresholds = ((None, first), (self.limit, then))
        return Override(self.name, {"displayName": self.name, "custom.width": WIDTH, **self.looks, **coloured(steps)})


NEEDS: Final = (
    Need(
        "Flags",
        EVENT.call("count", "event_id"),
        EVENT.source(of_type("flag")),
        35,
        "orange",
    ),
    Need(
        "Hours worn", worn_hours(), EPOCH.source(), 20, "orange", below=True, looks={"unit": "suffix:h", "decimals": 0}
    ),
    Need(
        "Sure within",
        TILT.call("last", "tilt_uncertainty_deg"),
        TILT.source(),
        5,
        "purple",
        looks={"unit": "degree", "decimals": 0},
    ),
    Need("Unanswered", "sum(n)", unanswered(), 10, "blue"),
    Need(
        "Pain rise",
        f"{EVENT.call('last', 'pain')} - {EVENT.call('mean', 'pain')}",
        EVENT.source(of_type("pain")),
        2,
        "red",
        looks={"decimals": 1},
    ),
    Need(
        "Battery",
        DEVICE.call("last", "battery_percent"),
        DEVICE.source(),
        20,
        "yellow",
        below=True,
        looks={"unit": "percent", "decimals": 0},
    ),
)
"""In the order of the columns. The limits are for a week: five flags a day, three hours worn a day."""


def _wearers() -> Panel:
    by = ("wearer",)
    day_link: Json = [
        {
            "title": "Open this wearer's day",
            "url": f"/d/{DAY_UID}?var-wearer=${{__value.raw}}&from=now/d&to=now",
            "targetBlank": False,
        }
    ]
    plain = (
        # A selector alone keeps the time of its point, so this row's time is when the wearer's last minute ended up here.
        EPOCH.latest({"Last minute": EPOCH.call("last", "coverage")}, by=by, where=(RECEIVED,)),
        EVENT.latest({"Pain now": EVENT.call("last", "pain")}, by=by, where=(of_type("pain"),)),
        EVENT.latest({"Clip moved": EVENT.call("count", "event_id")}, by=by, where=(of_type("mount"),)),
    )
    columns = ["wearer", REASONS, *(need.name for need in NEEDS), "Pain now", "Clip moved", "Time"]
    order: dict[str, Json] = {}
    for i, name in enumerate(columns):
        order |= dict.fromkeys((name, *(f"{name} {source}" for source in MEASUREMENT.values())), i)
    return table(
        "Wearers",
        "One row per wearer, the last seven days, most reasons to look first. A reason is a coloured cell: 35 flags or more; under 20 "
        "hours worn; a tilt that is only sure within 5° or more, as after the clip slipped; ten prompts without an answer; pain now "
        "two or more above its mean; a battery under 20 %. Click a wearer for today. An empty cell: there is no such record, not zero.",
        [*(Query(text, table=True) for text in plain), *(need.query() for need in NEEDS)],
        height=14,
        sort_by=((REASONS, True), ("Flags", True)),
        own_range="7d",
        transformations=(
            # Only the first query's time says something (the last data); the others' is the start of the range.
            {
                "id": "organize",
                "filter": {"id": "byRefId", "options": "/^[B-Z]$/"},
                "options": {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": {}},
            },
            {"id": "joinByField", "options": {"byField": "wearer", "mode": "outer"}},
            {
                "id": "calculateField",
                "options": {
                    "mode": "reduceRow",
                    "alias": REASONS,
                    "reduce": {"reducer": "sum", "include": [need.reason for need in NEEDS]},
                },
            },
            {
                "id": "organize",
                "options": {
                    "excludeByName": {},
                    "indexByName": {n: i for i, n in enumerate(order)},
                    "renameByName": {},
                },
            },
        ),
        overrides=(
            Override("wearer", {"displayName": "Wearer", "custom.width": WIDTH, "links": day_link}),
            Override(REASONS, {"custom.width": WIDTH}),
            Override("Time", {"displayName": "Last data", "unit": "dateTimeFromNow"}),
            Override("Pain now", {"displayName": "Pain now", "decimals": 0, "custom.width": WIDTH}),
            Override("Clip moved", {"displayName": "Clip moved", "custom.width": WIDTH}),
            *(need.column() for need in NEEDS),
            *(hidden(name) for name in ("Last minute", *(need.reason for need in NEEDS))),
        ),
    )


def _stats() -> Sequence[Panel]:
    def count(title: str, type_: str, description: str) -> Panel:
        query = EVENT.latest({title: EVENT.call("count", "event_id")}, where=(of_type(type_),))
        return stat(title, description, [Query(query)], unit="count", width=6)

    return (
        count("Flags", "flag", "Flags raised in the chosen time, all chosen wearers. No data: none was raised."),
        count("Prompts offered", "prompt", "Activation prompts offered to the chosen wearers in the chosen time."),
        hours_worn("all chosen wearers together", width=6),
        stat(
            "Mean coverage",
            f"{about('epoch', 'coverage')} Averaged over the minutes in which anything was received.",
            [Query(EPOCH.latest({"Mean coverage": EPOCH.call("mean", "coverage")}, where=(RECEIVED,)))],
            unit="1",
            width=6,
            decimals=0,
            steps=((None, "orange"), (0.8, "green")),
        ),
    )


def _map(title: str, description: str, query: str, unit: str, steps: Thresholds, decimals: int = 0) -> Panel:
    return status_history(
        title,
        f"A cell per wearer and day (from midnight UTC). {description}",
        [Query(query, alias="$tag_wearer")],
        unit=unit,
        width=8,
        height=12,
        steps=steps,
        decimals=decimals,
    )


def _wear() -> Panel:
    query = EPOCH.series({"Hours worn": worn_hours()}, every="1d", by=("wearer",), where=(RECEIVED,))
    text = "Hours received and worn. No cell: nothing was received that day."
    return _map("Hours worn per day", text, query, "h", ((None, "orange"), (4, "yellow"), (8, "green")))


def _pain() -> Panel:
    query = EVENT.series({"Pain": EVENT.call("mean", "pain")}, every="1d", by=("wearer",), where=(of_type("pain"),))
    text = f"{EVENT_TYPES['pain']} The mean of the day. No cell: no entry that day."
    return _map("Pain per day", text, query, "count", ((None, "green"), (3, "yellow"), (5, "orange"), (7, "red")))


def _tilt() -> Panel:
    change = f"{EVENT.call('last', 'standing_deg')} - {EVENT.call('last', 'standing_usual_deg')}"
    query = EVENT.series({"Change": change}, every="1d", by=("wearer",), where=(of_type("baseline"),))
    text = (
        "Median tilt while standing, less the wearer's own usual; orange is further forward, blue further back. Told when the next "
        "day begins. No cell: too little standing, or no usual yet."
    )
    steps = ((None, "blue"), (-1.5, "#8e8e8e"), (1.5, "orange"))
    return _map("Standing tilt against the usual", text, query, "deg", steps, decimals=1)


def _flags() -> Panel:
    return table(
        "Flags, newest first",
        "Each flag with its rule and its reason in one sentence. A flag says that a rule's limits were met for long enough; "
        "whether exercises may help is for you and the wearer to judge.",
        [Query(EVENT.rows(("wearer", "rule", "summary", "event_id"), where=(of_type("flag"),)), table=True)],
        overrides=event_columns(),
    )
