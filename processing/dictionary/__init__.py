"""Every published field once: name, type, unit, range, meaning. Additive only; dashboards and exports read it.

The Markdown, JSON and Arrow forms are generated from here (`sensor_gateway/export/dictionary_doc.py`). `tables.py` has the columns
of every table, `answers.py` those of what people entered, `events.py`, `signal.py` and `entries.py` what lies in an event's data,
`states.py` what the machines tell of themselves, `influx.py` and `facts.py` what InfluxDB holds, `words.py` what a text may be.
Others import from this package only.
"""

from processing.dictionary.answers import ANSWER, ANSWER_TYPES
from processing.dictionary.events import EVENT_DATA
from processing.dictionary.facts import event_facts
from processing.dictionary.field import MAX_T_UTC_NS, Field
from processing.dictionary.influx import INFLUX, RETRO, TAGS, measurement_of
from processing.dictionary.states import STATE_TAGS, STATES
from processing.dictionary.tables import (
    ABSOLUTE,
    BOUT,
    DEVICE,
    EPOCH,
    EVENT,
    EVENT_TYPES,
    IDENTITY,
    KINDS,
    MEASUREMENT,
    METRIC,
    RAW,
    SAMPLE,
    STEP,
    TABLES,
    TRANSFER,
)

__all__ = [
    "ABSOLUTE",
    "ANSWER",
    "ANSWER_TYPES",
    "BOUT",
    "DEVICE",
    "EPOCH",
    "EVENT",
    "EVENT_DATA",
    "EVENT_TYPES",
    "IDENTITY",
    "INFLUX",
    "KINDS",
    "MAX_T_UTC_NS",
    "MEASUREMENT",
    "METRIC",
    "RAW",
    "RETRO",
    "SAMPLE",
    "STATES",
    "STATE_TAGS",
    "STEP",
    "TABLES",
    "TAGS",
    "TRANSFER",
    "Field",
    "event_facts",
    "measurement_of",
]
