"""What InfluxDB holds: every measurement with its tags and fields - the records, the records with hindsight, and the machines.

The fields are the dictionary's; an event's differ, since InfluxQL cannot look into JSON (`facts.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from processing.dictionary.facts import EVENT_FACTS
from processing.dictionary.field import Field
from processing.dictionary.states import STATE_TAGS, STATES
from processing.dictionary.tables import KINDS, MEASUREMENT

RETRO: Final = "retro"
"""The source of records derived with hindsight: the tag, and the end of their measurements' names."""
TAGS: Final = {
    "site": "The site's pseudonym.",
    "wearer": "The wearer's pseudonym.",
    "sensor": "The sensor's id in the gateway's settings.",
    "type": "An event's type.",
    "rule": "An event's rule; no tag where it comes from none.",
    "source": f"`{RETRO}`, or the name given to it, on what was derived with hindsight; no tag on what was told live.",
    "gateway": "The name of the gateway that speaks of itself.",
    "bridge": "The name of the bridge that speaks of itself (its `site.gateway`).",
}
_RECORD: Final = ("site", "wearer", "sensor")
_EVENT: Final = (*_RECORD, "rule", "type")
_EVENT_FIELDS: Final = (
    *(f for f in KINDS["event"] if f.name == "event_id"),
    Field("summary", "string", "1", "The event as one sentence."),
    Field("data_json", "string", "1", "The event's `data` as JSON text."),
    *(replace(f, null_means=f.null_means or "not of this type") for f in EVENT_FACTS),
)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement; every point has the instant of its record (of a machine's: when it was said)."""

    about: str
    tags: tuple[str, ...]
    fields: tuple[Field, ...]


def measurement_of(kind: str, source: str = "") -> str:
    """Where records of a kind are. Those of another ``source`` than the live chain have measurements of their own, so that no
    question about what was told live ever mixes them in.
    """
    return f"{MEASUREMENT[kind]}_{source}" if source else MEASUREMENT[kind]


def _records(kind: str, source: str) -> Measurement:
    fields = _EVENT_FIELDS if kind == "event" else tuple(f for f in KINDS[kind] if f.name != "t_utc_ns")
    tags = _EVENT if kind == "event" else _RECORD
    if not source:
        return Measurement(f"Records of kind `{kind}`, as they were told live.", tags, fields)
    about = (
        f"The same fields as `{MEASUREMENT[kind]}`, derived again with hindsight by `tiltline replay --mode retro --influx`: late "
        "samples stand at their own time, clocks and angles are estimated from what follows as well. Each run replaces the time "
        "it covers, of its name."
    )
    return Measurement(about, (*tags, "source"), fields)


INFLUX: Final = (
    {measurement_of(kind, source): _records(kind, source) for source in ("", RETRO) for kind in KINDS}
    | {"gateway": Measurement("What a gateway last said of itself.", STATE_TAGS["gateway"], STATES["gateway"])}
    | {"bridge": Measurement("What a bridge says of itself, every half minute.", STATE_TAGS["bridge"], STATES["bridge"])}
)  # fmt: skip
"""Measurement to what it holds."""
