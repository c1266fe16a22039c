"""Researcher at a glance: how complete the data are, how good, from which firmware, and how far the rules are trusted."""

from __future__ import annotations

from typing import Final

from dashboards.influxql import DEVICE, EPOCH, EVENT, RECEIVED, TILT, of_type, worn_hours
from dashboards.model import Dashboard, Override, Panel, Query
from dashboards.panels import stat, status_history, table
from dashboards.shared import about, hidden, hours_worn, named, rule_column, type_column, wearers

RESEARCH_UID: Final = "tiltline-research"
DICTIONARY: Final = "docs/data_dictionary.md"


def research() -> Dashboard:
    """Completeness by wearer and day, quality, firmware, precision."""
    return Dashboard(
        uid=RESEARCH_UID,
        title="Tiltline · Research",
        description=f"Completeness, quality, firmware and precision at a glance. Every field is explained in {DICTIONARY}, which "
        "`tiltline export` puts beside the data.",
        tags=("research",),
        variables=wearers(several=True),
        time_from="now-28d/d",
        refresh="",
        panels=(*_totals(), _heat(), _quality(), _kinds(), _firmware(), _rules()),
    )


def _received() -> str:
    seconds = " + ".join(
        EPOCH.call("sum", f"{p}_s")
        for p in ("lying", "sitting", "standing", "walking", "running", "stairs", "unknown", "not_worn")
    )
    return f"({seconds}) / 3600"


def _heat() -> Panel:
    return status_history(
        "Hours received per day",
        "A cell per wearer and day, worn or not. No cell: nothing was received that day, which is not the same as zero hours. Days "
        "start at midnight UTC.",
        [
            Query(
                EPOCH.series({"Received": _received()}, every="1d", by=("wearer",), where=(RECEIVED,)),
                alias="$tag_wearer",
            )
        ],
        unit="h",
        steps=((None, "red"), (0.1, "orange"), (5, "yellow"), (10, "green")),
    )


def _totals() -> tuple[Panel, ...]:
    count = EVENT.call("count", "event_id")
    return (
        hours_worn("all chosen wearers together", width=6),
        stat(
            "Mean quality",
            f"{about('tilt', 'quality')} Over the seconds that are kept in the database.",
            [Query(TILT.latest({"Quality": TILT.call("mean", "quality")}))],
            unit="1",
            width=6,
            decimals=0,
        ),
        stat(
            "Clips that moved",
            "New mounts: a clip slipped or was put on again, so what follows stands on another zero until it is aligned.",
            [Query(EVENT.latest({"Clips that moved": count}, where=(of_type("mount"),)))],
            unit="count",
            width=6,
        ),
        stat(
            "Holes",
            "Interruptions of a second and longer, nights included.",
            [Query(EVENT.latest({"Holes": count}, where=(of_type("gap"),)))],
            unit="count",
            width=6,
        ),
    )


def _quality() -> Panel:
    columns = {
        "Coverage": EPOCH.call("mean", "coverage"),
        "Wear": EPOCH.call("mean", "wear"),
        "Hours worn": worn_hours(),
        "Spread": EPOCH.call("median", "tilt_sd_deg"),
    }
    return table(
        "Completeness by wearer",
        f"{about('epoch', 'coverage', 'wear', 'tilt_sd_deg')} Means over all minutes told, empty ones included, so a night off the "
        "clip lowers them.",
        [Query(EPOCH.latest(columns, by=("wearer",)), table=True)],
        width=12,
        height=11,
        overrides=(
            hidden("Time"),
            *named(wearer="Wearer"),
            Override("Coverage", {"unit": "percentunit", "decimals": 0}),
            Override("Wear", {"unit": "percentunit", "decimals": 0}),
            Override("Hours worn", {"unit": "suffix:h", "decimals": 0}),
            Override("Spread", {"unit": "degree", "decimals": 1}),
        ),
    )


def _kinds() -> Panel:
    return table(
        "Events by type and wearer",
        "How many events of each type there are. A type that is missing here did not happen, or its sensor was not worn.",
        [Query(EVENT.latest({"Events": EVENT.call("count", "event_id")}, by=("type", "wearer")), table=True)],
        width=12,
        height=11,
        sort_by=(("Events", True),),
        overrides=(
            hidden("Time"),
            type_column(),
            *named(wearer="Wearer"),
        ),
    )


def _firmware() -> Panel:
    columns = {"Firmware": DEVICE.call("last", "firmware"), "Rate": DEVICE.call("last", "rate_hz")}
    columns["Lost"] = DEVICE.call("last", "frames_lost")
    return table(
        "Firmware and rate",
        f"{about('device', 'firmware', 'rate_hz', 'frames_lost')} The newest report of each sensor.",
        [Query(DEVICE.latest(columns, by=("wearer", "sensor")), table=True)],
        width=12,
        overrides=(
            hidden("Time"),
            *named(wearer="Wearer", sensor="Sensor"),
            Override("Rate", {"unit": "hertz"}),
        ),
    )


def _rules() -> Panel:
    columns = {"Precision": EVENT.call("mean", "useful"), "Judged": EVENT.call("count", "useful")}
    return table(
        "Precision by rule",
        f"{about('event', 'useful')} Judged: how many verdicts it stands on.",
        [Query(EVENT.latest(columns, by=("rule",), where=(of_type("verdict"),)), table=True)],
        width=12,
        overrides=(
            hidden("Time"),
            rule_column(),
            Override("Precision", {"unit": "percentunit", "decimals": 0}),
        ),
    )
