"""Cohort: who may need the therapist today: flags, low wear, a slipped clip, silence, pain; the way into a wearer's day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dashboards.influxql import DEVICE, EPOCH, EVENT, RECEIVED, of_type, worn_hours
from dashboards.model import Dashboard, Override, Panel, Query
from dashboards.panels import coloured, stat, status_history, table, time_series
from dashboards.shared import GAPS_STAY, about, event_columns, wearers
from dashboards.therapist.client_day import DAY_UID
from processing.dictionary import EVENT_TYPES
from processing.types import Json

COHORT_UID: Final = "tiltline-cohort"


def cohort() -> Dashboard:
    """Everybody in one table, and the day's flags."""
    return Dashboard(
        uid=COHORT_UID,
        title="Tiltline · Cohort",
        description="Who may need you: flags, little wear, a slipped clip, unanswered prompts, rising pain. Click a wearer for the day.",
        tags=("therapist",),
        variables=wearers(several=True),
        time_from="now-7d/d",
        panels=(_cohort_table(), *_cohort_stats(), _cohort_pain(), _cohort_wear(), _cohort_flags(), _cohort_tilt()),
    )


def _cohort_table() -> Panel:
    by = ("wearer",)
    day_link: Json = [
        {
            "title": "Open this wearer's day",
            "url": f"/d/{DAY_UID}?var-wearer=${{__value.raw}}&from=${{__from}}&to=${{__to}}",
            "targetBlank": False,
        }
    ]
    queries = (
        # A selector alone keeps the time of its point, so this row's time is when the wearer's last minute ended up here.
        EPOCH.latest({"Coverage of last minute": EPOCH.call("last", "coverage")}, by=by),
        EPOCH.latest({"Hours worn": worn_hours()}, by=by),
        EPOCH.latest({"Mean coverage": EPOCH.call("mean", "coverage")}, by=by),
        EPOCH.latest({"Median tilt": EPOCH.call("median", "tilt_median_deg")}, by=by),
        EVENT.latest({"Flags": EVENT.call("count", "event_id")}, by=by, where=(of_type("flag"),)),
        EVENT.latest({"Clip moved": EVENT.call("count", "event_id")}, by=by, where=(of_type("mount"),)),
        EVENT.latest({"Prompts": EVENT.call("count", "event_id")}, by=by, where=(of_type("prompt"),)),
        EVENT.latest({"Answered": EVENT.call("count", "event_id")}, by=by, where=(of_type("answer"),)),
        EVENT.latest({"Exercises": EVENT.call("count", "event_id")}, by=by, where=(of_type("exercise"),)),
        EVENT.latest({"Pain now": EVENT.call("last", "pain")}, by=by, where=(of_type("pain"),)),
        EVENT.latest({"Pain against mean": _pain_rise()}, by=by, where=(of_type("pain"),)),
        EVENT.latest({"Kept quiet": EVENT.call("count", "event_id")}, by=by, where=(of_type("suppressed"),)),
        DEVICE.latest({"Battery": DEVICE.call("last", "battery_percent")}, by=by),
    )
    hours: dict[str, Json] = {"unit": "suffix: h", "decimals": 1}
    share: dict[str, Json] = {"unit": "percentunit", "decimals": 0}
    pain: dict[str, Json] = {"decimals": 1, **coloured(((None, "transparent"), (1, "orange"), (2, "red")))}
    return table(
        "Wearers",
        "One row per wearer in the chosen time, most flags first; click a column to sort by another need. 'Last data' is the "
        "newest minute received. Coloured cells are worth a look: little wear, a clip that moved, pain above its mean, a low "
        "battery. Prompts far above answered: they go unheard. An empty cell means there is no such record, not zero.",
        [Query(text, table=True) for text in queries],
        height=12,
        sort_by=("Flags", True),
        transformations=(
            # Only the first query's time says something (the last data); the others' is the start of the range.
            {
                "id": "organize",
                "filter": {"id": "byRefId", "options": "/^[B-Z]$/"},
                "options": {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": {}},
            },
            {"id": "joinByField", "options": {"byField": "wearer", "mode": "outer"}},
        ),
        # The join may add the measurement's name to a column's, hence the patterns and the explicit names.
        overrides=(
            Override("wearer", {"displayName": "Wearer", "links": day_link}),
            _column("Time", "Last data", {"unit": "dateTimeFromNow"}),
            _column("Coverage of last minute", "Last minute's coverage", share),
            _column("Hours worn", "Hours worn", hours | coloured(((None, "orange"), (20, "transparent")))),
            _column("Mean coverage", "Mean coverage", share),
            _column("Median tilt", "Median tilt", {"unit": "degree", "decimals": 1}),
            _column("Flags", "Flags", {}),
            _column("Clip moved", "Clip moved", coloured(((None, "transparent"), (1, "purple")))),
            _column("Prompts", "Prompts", {}),
            _column("Answered", "Answered", {}),
            _column("Exercises", "Exercises", {}),
            _column("Pain now", "Pain now", {"decimals": 0}),
            _column("Pain against mean", "Pain against mean", pain),
            _column("Kept quiet", "Kept quiet", {}),
            _column(
                "Battery",
                "Battery",
                {"unit": "percent", "decimals": 0, **coloured(((None, "red"), (20, "transparent")))},
            ),
        ),
    )


def _column(name: str, shown: str, properties: Mapping[str, Json]) -> Override:
    return Override(f"/^{name}\\b/", {"displayName": shown, **properties})


def _cohort_stats() -> Sequence[Panel]:
    return (
        stat(
            "Flags",
            "Flags raised in the chosen time, all chosen wearers. No data: none was raised.",
            [Query(EVENT.latest({"Flags": EVENT.call("count", "event_id")}, where=(of_type("flag"),)))],
            unit="count",
            width=6,
        ),
        stat(
            "Prompts offered",
            "Activation prompts offered to the chosen wearers in the chosen time.",
            [Query(EVENT.latest({"Prompts": EVENT.call("count", "event_id")}, where=(of_type("prompt"),)))],
            unit="count",
            width=6,
        ),
        stat(
            "Hours worn",
            "Hours received and worn, all chosen wearers together.",
            [Query(EPOCH.latest({"Hours worn": worn_hours()}))],
            unit="h",
            width=6,
            decimals=1,
        ),
        stat(
            "Mean coverage",
            f"{about('epoch', 'coverage')} Averaged over the minutes that have a record.",
            [Query(EPOCH.latest({"Mean coverage": EPOCH.call("mean", "coverage")}))],
            unit="1",
            width=6,
            decimals=0,
            steps=((None, "orange"), (0.8, "green")),
        ),
    )


def _pain_rise() -> str:
    return f"{EVENT.call('last', 'pain')} - {EVENT.call('mean', 'pain')}"


def _cohort_pain() -> Panel:
    return time_series(
        "Pain by wearer",
        f"{EVENT_TYPES['pain']} The mean of each day with an entry, as a point; a day without an entry has none.",
        [
            Query(
                EVENT.series(
                    {"Pain": EVENT.call("mean", "pain")}, every="1d", by=("wearer",), where=(of_type("pain"),)
                ),
                alias="$tag_wearer",
            )
        ],
        unit="count",
        width=12,
        style="points",
        low=0,
        high=10,
        min_interval="1d",
    )


def _cohort_wear() -> Panel:
    return status_history(
        "Hours worn per day",
        "A cell per wearer and day: hours received and worn. No cell: nothing was received that day. Days start at midnight UTC.",
        [
            Query(
                EPOCH.series({"Hours worn": worn_hours()}, every="1d", by=("wearer",), where=(RECEIVED,)),
                alias="$tag_wearer",
            )
        ],
        unit="h",
        width=12,
        height=8,
        steps=((None, "orange"), (4, "yellow"), (8, "green")),
    )


def _cohort_flags() -> Panel:
    return table(
        "Flags, newest first",
        "Each flag with its rule and its reason in one sentence. A flag says that a rule's limits were met for long enough; "
        "whether exercises may help is for you and the wearer to judge.",
        [Query(EVENT.rows(("wearer", "rule", "summary", "event_id"), where=(of_type("flag"),)), table=True)],
        overrides=event_columns(),
    )


def _cohort_tilt() -> Panel:
    return time_series(
        "Tilt by wearer",
        f"{about('epoch', 'tilt_median_deg')} {about('epoch', 'tilt_mean_deg')} Averaged over each drawn interval. {GAPS_STAY}",
        [Query(EPOCH.series({"Tilt": EPOCH.call("mean", "tilt_median_deg")}, by=("wearer",)), alias="$tag_wearer")],
        unit="deg",
        min_interval="5m",
    )
