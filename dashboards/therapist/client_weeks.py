"""Client weeks: one wearer's habit, adherence, responses, sides, pain and wear, on the wearer's own calendar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dashboards.influxql import EPOCH, EVENT, ON_FEET, RECEIVED, of_type, worn_hours
from dashboards.model import Dashboard, Override, Panel, Query, Variable
from dashboards.panels import band, line_color, stat, time_series
from dashboards.shared import about, posture_bars, wearers
from processing.dictionary import EVENT_TYPES
from processing.types import Json

WEEKS_UID: Final = "tiltline-weeks"

_ZONE: Final = Variable(
    "timezone", "Days start in", "Time zone that decides where a day begins, for example Europe/Berlin.", value="UTC"
)


def client_weeks() -> Dashboard:
    """One wearer, four weeks, a bar or point a day."""
    return Dashboard(
        uid=WEEKS_UID,
        title="Tiltline · Client weeks",
        description="One wearer's last weeks: tilt against the usual, answers, what followed exercises, sides, pain, wear.",
        tags=("therapist",),
        variables=(*wearers(several=False), _ZONE),
        time_from="now-28d/d",
        time_to="now",
        refresh="",
        panels=(
            *_answers(),
            _habit("standing", "green"),
            _habit("walking", "yellow"),
            _weeks_tilt(),
            _responses("exercise", "After an exercise", "green"),
            _responses("control", "For comparison: flags without a prompt", "#8e8e8e"),
            _sides(),
            _pain(),
            _weeks_wear(),
            _weeks_events(),
            _weeks_postures(),
            _weeks_dose(),
            _weeks_coverage(),
        ),
    )


def _weeks_tilt() -> Panel:
    columns = {
        "5 %": EPOCH.call("percentile", "tilt_median_deg", 5),
        "Median": EPOCH.call("median", "tilt_median_deg"),
        "95 %": EPOCH.call("percentile", "tilt_median_deg", 95),
    }
    return time_series(
        "Tilt on the feet, per day",
        "Median of the day's minutes in which the wearer neither sat nor lay, with the band from the 5th to the 95th percentile of "
        "those minutes. A change smaller than the uncertainty of one put-on clip (about 5°) may come from the clip. "
        "Days without data are blank.",
        [_per_day(columns, *ON_FEET)],
        unit="deg",
        height=8,
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
        "What became of flags, per day",
        "Each flag leads to a prompt or is kept quiet: the bars stand on each other, the point is all flags of the day. No bar means none that day, or that the sensor was not worn: see "
        "the hours beside.",
        [daily("Prompts", "prompt"), daily("Kept quiet", "suppressed"), daily("Flags", "flag")],
        unit="count",
        width=12,
        style="bars",
        stacked=True,
        min_interval="1d",
        overrides=(
            line_color("Prompts", "blue", 1),
            line_color("Kept quiet", "#8e8e8e", 1),
            _dots("Flags", "orange", 6, {"custom.drawStyle": "points", "custom.stacking": {"mode": "none"}}),
        ),
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
        f"{about('epoch', 'coverage', 'wear')} Averaged over the minutes in which anything was received.",
        [_per_day(columns)],
        unit="1",
        low=0,
        high=1,
        width=12,
        style="points",
        min_interval="1d",
    )


def _answers() -> Sequence[Panel]:
    def count(title: str, what: str, *where: str) -> Panel:
        return stat(
            title, what, [Query(EVENT.latest({title: EVENT.call("count", "event_id")}, where=where))], unit="count"
        )

    def change(title: str, compared: str) -> Panel:
        told = (of_type("response"), f"\"compared\" = '{compared}'")
        return stat(
            title,
            f"{about('event', 'change_deg')} The median of all comparisons with enough data before and after; below zero is less "
            "forward tilt. Tilt also falls by itself after it was high: read it beside the comparison without a prompt.",
            [Query(EVENT.latest({title: EVENT.call("median", "change_deg")}, where=told))],
            unit="deg",
            decimals=1,
        )

    return (
        count("Prompts", EVENT_TYPES["prompt"], of_type("prompt")),
        count("Answered", f"{EVENT_TYPES['answer']} Fewer than prompts: some went unheard.", of_type("answer")),
        count("Answered: done", "Prompts answered with: done.", of_type("answer"), "\"word\" = 'done'"),
        count("Exercises", EVENT_TYPES["exercise"], of_type("exercise")),
        change("After exercise", "exercise"),
        change("Without a prompt", "control"),
    )


def _habit(posture: str, color: str) -> Panel:
    columns = {
        "The day": EVENT.call("last", f"{posture}_deg"),
        "Usual": EVENT.call("last", f"{posture}_usual_deg"),
        "Limit": EVENT.call("last", f"{posture}_limit_deg"),
    }
    return time_series(
        f"Tilt while {posture}, against the wearer's own usual",
        f"{about('event', f'{posture}_deg', f'{posture}_usual_deg', f'{posture}_limit_deg')} 0° is the wearer's neutral. Told when "
        "the next day begins; a day without enough of this posture has no point.",
        [Query(EVENT.series(columns, every="1d", where=(of_type("baseline"),), local_days=True))],
        unit="deg",
        width=12,
        style="points",
        min_interval="1d",
        overrides=(
            _dots("The day", color, 8),
            Override(
                "Usual",
                {"color": {"mode": "fixed", "fixedColor": "blue"}, "custom.drawStyle": "line", "custom.lineWidth": 2},
            ),
            Override(
                "Limit",
                {"color": {"mode": "fixed", "fixedColor": "orange"}, "custom.drawStyle": "line", "custom.lineWidth": 1},
            ),
        ),
    )


def _responses(compared: str, title: str, color: str) -> Panel:
    change, se = EVENT.field("change_deg"), EVENT.field("change_se_deg")
    columns = {"Low": f"{change} - 2 * {se}", "Change": change, "High": f"{change} + 2 * {se}"}
    return time_series(
        title,
        f"{about('event', 'change_deg', 'change_se_deg')} Each point is one comparison; Low and High are two standard errors to "
        "either side. Where they lie on both sides of zero, nothing measurable changed. Comparisons with too little data, or with "
        "another prompt or exercise in between, have no point.",
        [Query(EVENT.points(columns, where=(of_type("response"), f"\"compared\" = '{compared}'")))],
        unit="deg",
        width=12,
        style="points",
        overrides=(
            _dots("Change", color, 8),
            _dots("Low", color, 3),
            _dots("High", color, 3),
        ),
    )


def _sides() -> Panel:
    mdc = EVENT.call("last", "side_mdc_deg")
    columns = {
        "Left minus right": EVENT.call("last", "side_difference_deg"),
        "Can be told, left": mdc,
        "Can be told, right": f"{mdc} * -1",
    }
    hidden: dict[str, Json] = {"color": {"mode": "fixed", "fixedColor": "#8e8e8e"}, "custom.drawStyle": "line"}
    return time_series(
        "Left and right in walking",
        f"{about('event', 'side_difference_deg', 'side_mdc_deg')} A point between the grey lines cannot be told from error. One "
        "clip cannot say why sides differ; compare it with what you see. Days with few strides have no point.",
        [Query(EVENT.series(columns, every="1d", where=(of_type("strides"),), local_days=True))],
        unit="deg",
        width=12,
        style="points",
        min_interval="1d",
        overrides=(
            _dots("Left minus right", "blue", 8),
            Override("Can be told, left", hidden),
            Override("Can be told, right", hidden),
        ),
    )


def _pain() -> Panel:
    columns = {"Pain": EVENT.call("mean", "pain"), "Highest": EVENT.call("max", "pain")}
    return time_series(
        "Pain per day",
        f"{EVENT_TYPES['pain']} Mean and highest entry of each day; a day without an entry has no point.",
        [Query(EVENT.series(columns, every="1d", where=(of_type("pain"),), local_days=True))],
        unit="count",
        width=12,
        style="points",
        low=0,
        high=10,
        min_interval="1d",
        overrides=(_dots("Pain", "orange", 9), _dots("Highest", "red", 4)),
    )


def _dots(name: str, color: str, size: int, more: Mapping[str, Json] | None = None) -> Override:
    fixed: dict[str, Json] = {"color": {"mode": "fixed", "fixedColor": color}, "custom.pointSize": size}
    return Override(name, fixed | dict(more or {}))


def _per_day(columns: Mapping[str, str], *where: str) -> Query:
    return Query(EPOCH.series(columns, every="1d", where=(RECEIVED, *where), local_days=True))
