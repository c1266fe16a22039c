"""What an event carries in InfluxDB beside its JSON: the few numbers and words that InfluxQL has to count and compare.

InfluxQL cannot look into JSON, so a panel could not draw pain or count verdicts from ``data_json`` alone. Every fact stands in the
event's data as well (`FROM`), and nothing is read back from these fields: they are for queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from processing.dictionary.field import Field
from processing.dictionary.words import COMPARED
from processing.types import Json

EVENT_FACTS: Final = (
    Field("flag_event_id", "string", "1", "The flag this event follows from: one query gives a flag's whole chain."),
    Field("word", "string", "1", "What was said or found: the answer, verdict, exercise, reason, mode, or outcome."),
    Field(
        "compared",
        "string",
        "1",
        "Of a response: exercise, or control (a flag that led to no prompt).",
        words=COMPARED,
    ),
    Field("pain", "float64", "1", "Pain the wearer logged.", "no pain event", 0, 10),
    Field("useful", "float64", "1", "Of a verdict: 1 useful, 0 not; its mean is the precision.", "no verdict", 0, 1),
    Field(
        "change_deg",
        "float64",
        "deg",
        "Of a response: tilt after minus tilt before.",
        "too little to compare",
        -360,
        360,
    ),
    Field("change_se_deg", "float64", "deg", "Its standard error.", "too little to compare", 0),
    Field(
        "standing_deg",
        "float64",
        "deg",
        "Median tilt while standing, of the day that ended.",
        "too little standing",
        -180,
        180,
    ),
    Field(
        "walking_deg",
        "float64",
        "deg",
        "Median tilt while walking, of the day that ended.",
        "too little walking",
        -180,
        180,
    ),
    Field(
        "standing_usual_deg", "float64", "deg", "The wearer's usual tilt while standing.", "too few days yet", -180, 180
    ),
    Field(
        "walking_usual_deg", "float64", "deg", "The wearer's usual tilt while walking.", "too few days yet", -180, 180
    ),
    Field(
        "standing_limit_deg",
        "float64",
        "deg",
        "Threshold while standing, from the next day on.",
        "no baseline",
        -180,
        180,
    ),
    Field(
        "walking_limit_deg",
        "float64",
        "deg",
        "Threshold while walking, from the next day on.",
        "no baseline",
        -180,
        180,
    ),
    Field(
        "side_difference_deg",
        "float64",
        "deg",
        "Sideways movement in walking, left minus right.",
        "no such event",
        -360,
        360,
    ),
    Field("side_mdc_deg", "float64", "deg", "The least difference that can be told from error.", "not known", 0),
)

_WORDS: Final[Mapping[str, str]] = {
    "answer": "answer",
    "verdict": "verdict",
    "exercise": "exercise",
    "prompt": "exercise",
    "suppressed": "reason",
    "response": "outcome",
    "mode": "mode",
    "red_flag": "outcome",
    "proposal": "outcome",
    "alignment": "outcome",
    "mount": "reason",
}
_NUMBERS: Final[Mapping[str, Mapping[str, str]]] = {
    "pain": {"pain": "score"},
    "response": {"change_deg": "delta_deg", "change_se_deg": "se_deg"},
    "strides": {"side_difference_deg": "difference_deg", "side_mdc_deg": "mdc_deg"},
}
_OF_POSTURE: Final[Mapping[str, str]] = {"": "day_median_deg", "_usual": "median_deg", "_limit": "threshold_deg"}


def event_facts(type_: str, data: Mapping[str, Json]) -> dict[str, float | str]:
    """An event's facts by their name; what is missing or not of its kind is left out, never zero."""
    found: dict[str, float | str] = {}
    texts = {"flag_event_id": "flag_event_id", "word": _WORDS.get(type_, "")}
    if type_ == "response":
        texts["compared"] = "group"
    for name, key in texts.items():
        text = data.get(key)
        if isinstance(text, str) and text:
            found[name] = text
    for name, key in _NUMBERS.get(type_, {}).items():
        _number(found, name, data.get(key))
    if type_ == "verdict":
        found["useful"] = 1.0 if data.get("verdict") == "useful" else 0.0
    postures = data.get("postures") if type_ == "baseline" else None
    if isinstance(postures, Mapping):
        for posture in ("standing", "walking"):
            own = postures.get(posture)
            for suffix, key in _OF_POSTURE.items():
                if isinstance(own, Mapping):
                    _number(found, f"{posture}{suffix}_deg", own.get(key))
    return found


def _number(found: dict[str, float | str], name: str, value: Json) -> None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        found[name] = float(value)
