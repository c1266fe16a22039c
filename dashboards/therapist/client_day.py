"""Client day: one wearer's tilt with its doubt, posture, wear, and every flag, prompt and re-alignment of a day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dashboards.influxql import EPOCH, EVENT, ON_FEET, RECEIVED, TILT, of_type
from dashboards.model import Annotation, Dashboard, Panel, Query
from dashboards.panels import band, line_color, stat, state_timeline, status_history, table, time_series
from dashboards.shared import GAPS_STAY, POSTURE_LOOKS, about, event_columns, hours_worn, posture_bars, wearers
from processing.dictionary import EVENT_TYPES

DAY_UID: Final = "tiltline-day"


def client_day() -> Dashboard:
    """One wearer, one day."""
    return Dashboard(
        uid=DAY_UID,
        title="Tiltline · Client day",
        description="One wearer's day: tilt with its doubt, posture, wear, and every flag, prompt and re-alignment.",
        tags=("therapist",),
        variables=wearers(several=False),
        annotations=_day_annotations(),
        panels=(
            *_day_stats(),
            _day_tilt(),
            _day_posture(),
            _day_uncertainty(),
            _day_received(),
            _day_dose(),
            _day_share(),
            _day_quality(),
            *_event_tables(),
        ),
    )


def _day_annotations() -> Sequence[Annotation]:
    def marks(name: str, color: str, *types: str, shown: bool = True) -> Annotation:
        return Annotation(name, color, EVENT.rows(("summary", "type", "rule"), where=(of_type(*types),)), shown)

    return (
        marks("Flags", "orange", "flag"),
        marks("Prompts", "blue", "prompt"),
        marks("Exercises and answers", "green", "exercise", "answer"),
        marks("Pain and notes", "yellow", "pain", "note"),
        marks("Kept quiet", "#8e8e8e", "suppressed"),
        marks("Alignment and mount", "purple", "alignment", "mount"),
        marks("Wear on and off", "green", "wear_on", "wear_off", shown=False),
        marks("Gaps and clock", "red", "gap", "clock", shown=False),
    )


def _day_stats() -> Sequence[Panel]:
    def count(event_type: str, label: str) -> list[Query]:
        return [Query(EVENT.latest({label: EVENT.call("count", "event_id")}, where=(of_type(event_type),)))]

    return (
        stat(
            "Tilt on the feet",
            "The median of the minutes in which the wearer neither sat nor lay. 0° is the wearer's own neutral.",
            [Query(EPOCH.latest({"Tilt": EPOCH.call("median", "tilt_median_deg")}, where=ON_FEET))],
            unit="deg",
            decimals=1,
        ),
        hours_worn("in the chosen time", decimals=1),
        stat(
            "Dose",
            f"{about('epoch', 'dose_deg_min')} Summed over the chosen time.",
            [Query(EPOCH.latest({"Dose": EPOCH.call("sum", "dose_deg_min")}))],
            unit="deg*min",
            decimals=0,
        ),
        stat("Flags", f"{EVENT_TYPES['flag']} No data: none was raised.", count("flag", "Flags"), unit="count"),
        stat(
            "Prompts", f"{EVENT_TYPES['prompt']} No data: none was offered.", count("prompt", "Prompts"), unit="count"
        ),
        stat(
            "Kept quiet",
            f"{EVENT_TYPES['suppressed']} No data: none was kept quiet.",
            count("suppressed", "Kept quiet"),
            unit="count",
        ),
    )


def _day_tilt() -> Panel:
    columns = {
        "5 %": EPOCH.call("mean", "tilt_p5_deg"),
        "Median": EPOCH.call("mean", "tilt_median_deg"),
        "95 %": EPOCH.call("mean", "tilt_p95_deg"),
    }
    return time_series(
        "Tilt, minute by minute",
        f"{about('epoch', 'tilt_mean_deg')} The line is the median, the band runs from the 5th to the 95th percentile. "
        "0° is the wearer's own neutral; up is the top of the pelvis forward. Wider intervals than a minute show the mean "
        f"of the minutes. {GAPS_STAY} Marks: flags, prompts, alignment; point at one for its reason.",
        [Query(EPOCH.series(columns))],
        unit="deg",
        height=10,
        overrides=(*band("5 %", "95 %", "blue"), line_color("Median", "blue")),
    )


def _day_posture() -> Panel:
    return state_timeline(
        "Posture",
        f"{about('tilt', 'posture')} The posture at the end of each drawn interval. Blank: nothing was received.",
        [Query(TILT.series({"Posture": TILT.call("last", "posture")}))],
        states=POSTURE_LOOKS,
    )


def _day_uncertainty() -> Panel:
    tilt, doubt = TILT.call("mean", "anterior_tilt_deg"), TILT.call("mean", "tilt_uncertainty_deg")
    return time_series(
        "Tilt in every posture, and how sure it is",
        f"{about('tilt', 'anterior_tilt_deg', 'tilt_uncertainty_deg')} The band is tilt plus and minus that uncertainty. "
        f"Sitting and lying tilt is shown here and is not judged by the rules. {GAPS_STAY}",
        [Query(TILT.series({"Low": f"{tilt} - {doubt}", "Tilt": tilt, "High": f"{tilt} + {doubt}"}))],
        unit="deg",
        overrides=(*band("Low", "High", "purple"), line_color("Tilt", "purple", 1)),
        min_interval="1s",
    )


def _day_received() -> Panel:
    return status_history(
        "What was received, and worn",
        f"{about('epoch', 'coverage', 'wear')} Shaded per five minutes; where there is no cell nothing was received at all.",
        [
            Query(
                EPOCH.series(
                    {"Received": EPOCH.call("mean", "coverage"), "Worn": EPOCH.call("mean", "wear")},
                    every="5m",
                    where=(RECEIVED,),
                )
            )
        ],
        unit="1",
        height=4,
        steps=((None, "orange"), (0.8, "green")),
        min_interval="5m",
    )


def _day_dose() -> Panel:
    return time_series(
        "Dose per quarter of an hour",
        f"{about('epoch', 'dose_deg_min')} Summed per 15 minutes. No bar: no limit yet, no eligible time, or no data.",
        [Query(EPOCH.series({"Dose": EPOCH.call("sum", "dose_deg_min")}, every="15m"))],
        unit="deg*min",
        width=12,
        style="bars",
        min_interval="15m",
    )


def _day_share() -> Panel:
    return posture_bars(
        "Minutes per posture",
        "Minutes received per hour, split by posture. A short bar: data are missing.",
        "1h",
        60,
        "",
        local_days=False,
        width=12,
    )


def _day_quality() -> Panel:
    return time_series(
        "Coverage, wear and quality",
        f"{about('epoch', 'coverage', 'wear')} Quality: {about('tilt', 'quality')} Read the tilt with care where these are "
        f"low. {GAPS_STAY}",
        [
            Query(
                EPOCH.series(
                    {"Coverage": EPOCH.call("mean", "coverage"), "Wear": EPOCH.call("mean", "wear")}, where=(RECEIVED,)
                )
            ),
            Query(TILT.series({"Quality": TILT.call("mean", "quality")})),
        ],
        unit="1",
        low=0,
        high=1,
        height=7,
    )


def _event_tables() -> Sequence[Panel]:
    return (
        table(
            "Flags and their reasons",
            "Each flag with its rule and reason. The event id finds the full record with its inputs in the export.",
            [Query(EVENT.rows(("rule", "summary", "event_id"), where=(of_type("flag"),)), table=True)],
            overrides=event_columns(),
        ),
        table(
            "What else happened",
            "Prompts, prompts kept quiet with the reason, episodes, alignment, wear, gaps and clock, newest first. Verdicts are on "
            "the review dashboard.",
            [
                Query(
                    EVENT.rows(
                        ("type", "rule", "summary"),
                        where=(of_type(*(t for t in EVENT_TYPES if t not in ("flag", "verdict"))),),
                    ),
                    table=True,
                )
            ],
            overrides=event_columns(),
        ),
    )
