"""Client weeks: one wearer, a bar or a point a day, on the wearer's own calendar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dashboards.influxql import EPOCH, EVENT, of_type, worn_hours
from dashboards.model import Dashboard, Panel, Query, Variable
from dashboards.panels import band, line_color, time_series
from dashboards.shared import about, posture_bars, wearers

WEEKS_UID: Final = "tiltline-weeks"

_ZONE: Final = Variable(
    "timezone", "Days start in", "Time zone that decides where a day begins, for example Europe/Berlin.", value="UTC"
)


def client_weeks() -> Dashboard:
    """One wearer, four weeks, a bar or point a day."""
    return Dashboard(
        uid=WEEKS_UID,
        title="Tiltline · Client weeks",
        description="One wearer's last weeks, day by day: tilt, wear time, postures, flags and prompts.",
        tags=("therapist",),
        variables=(*wearers(several=False), _ZONE),
        time_from="now-28d/d",
        time_to="now",
        refresh="",
        panels=(_weeks_tilt(), _weeks_wear(), _weeks_events(), _weeks_postures(), _weeks_dose(), _weeks_coverage()),
    )


def _weeks_tilt() -> Panel:
    columns = {
        "5 %": EPOCH.call("percentile", "tilt_median_deg", 5),
        "Median": EPOCH.call("median", "tilt_median_deg"),
        "95 %": EPOCH.call("percentile", "tilt_median_deg", 95),
    }
    return time_series(
        "Tilt per day",
        "Median of the day's one-minute medians while upright, with the band from the 5th to the 95th percentile of those "
        "minutes. A change smaller than the uncertainty of one put-on clip (about 5°) may come from the clip. "
        "Days without data are blank.",
        [_per_day(columns)],
        unit="deg",
        height=9,
        overrides=(*band("5 %", "95 %", "blue"), line_color("Median", "blue")),
        min_interval="1d",
    )


def _weeks_wear() -> Panel:
    return time_series(
        "Hours worn per day",
        "Hours received and worn. A day without a bar has no data.",
        [_per_day({"Hours worn": worn_hours()})],
        unit="h",
        width=12,
        style="bars",
        min_interval="1d",
    )


def _weeks_events() -> Panel:
    def daily(label: str, event_type: str) -> Query:
        return Query(EVENT.counts(label, "event_id", every="1d", where=(of_type(event_type),), local_days=True))

    return time_series(
        "Flags and prompts per day",
        "Flags raised, prompts offered, prompts kept quiet. No bar means none that day, or that the sensor was not worn: see "
        "the hours beside.",
        [daily("Flags", "flag"), daily("Prompts", "prompt"), daily("Kept quiet", "suppressed")],
        unit="count",
        width=12,
        style="bars",
        min_interval="1d",
        overrides=(line_color("Flags", "orange"), line_color("Prompts", "blue"), line_color("Kept quiet", "#8e8e8e")),
    )


def _weeks_postures() -> Panel:
    return posture_bars(
        "Hours per posture and day",
        "Hours received per day, split by posture.",
        "1d",
        3600,
        "h",
        local_days=True,
        width=24,
    )


def _weeks_dose() -> Panel:
    return time_series(
        "Dose per day",
        f"{about('epoch', 'dose_deg_min')} Summed per day; compare with the hours worn.",
        [_per_day({"Dose": EPOCH.call("sum", "dose_deg_min")})],
        unit="deg*min",
        width=12,
        style="bars",
        min_interval="1d",
    )


def _weeks_coverage() -> Panel:
    columns = {"Coverage": EPOCH.call("mean", "coverage"), "Wear": EPOCH.call("mean", "wear")}
    return time_series(
        "Coverage and wear per day",
        f"{about('epoch', 'coverage', 'wear')} Averaged over the minutes that have a record.",
        [_per_day(columns)],
        unit="1",
        low=0,
        high=1,
        width=12,
        style="points",
        min_interval="1d",
    )


def _per_day(columns: Mapping[str, str]) -> Query:
    return Query(EPOCH.series(columns, every="1d", local_days=True))
