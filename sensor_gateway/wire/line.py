"""Records as InfluxDB line protocol, one line each; the bridge writes what this gives.

Measurements, tags and fields are those of `processing.dictionary`; a value that is missing is left out, never written as
zero. Integers carry their `i`, floats their shortest exact text, so a point reads back as the record was.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Final

from processing.dictionary import KINDS, event_facts, measurement_of
from processing.types import KIND_OF, Event, Record
from sensor_gateway.wire.summary import summary

_TAG_ESCAPES: Final = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})
_STRING_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"'})
_NOT_FIELDS: Final = ("t_utc_ns", "type", "rule", "data")
_FIELDS: Final = {
    kind: [(f.name, f.type) for f in fields if f.name not in _NOT_FIELDS] for kind, fields in KINDS.items()
}


@dataclass(frozen=True, slots=True)
class Queued:
    """A line that waits for the database."""

    id: int
    line: str


def line(site: str, wearer: str, sensor: str, record: Record, source: str = "", derivation: str = "") -> str:
    """One line without its newline. Pseudonyms are expected to be valid ids, as configuration and wire ensure.

    ``source``: see `measurement_of`; it is a tag too, or the name of the ``derivation`` is, so that several derivations lie side by side.
    """
    kind = KIND_OF[type(record)]
    tags = {"sensor": sensor, "site": site, "wearer": wearer} | ({"source": derivation or source} if source else {})
    fields = []
    if isinstance(record, Event):
        tags["type"] = record.type
        if record.rule is not None:
            tags["rule"] = record.rule
        fields.append(f"data_json={_string(json.dumps(record.data, sort_keys=True, separators=(',', ':')))}")
        fields.append(f"summary={_string(summary(record))}")
        for name, fact in event_facts(record.type, record.data).items():
            if isinstance(fact, str):
                fields.append(f"{name}={_string(fact)}")
            elif math.isfinite(fact):
                fields.append(f"{name}={fact!r}")
    for name, kind_of_value in _FIELDS[kind]:
        value = getattr(record, name)
        if value is None:
            continue
        if kind_of_value == "float64":
            if math.isfinite(value):
                fields.append(f"{name}={float(value)!r}")
        elif kind_of_value == "int64":
            fields.append(f"{name}={value}i")
        else:
            fields.append(f"{name}={_string(value)}")
    head = ",".join([measurement_of(kind, source), *(f"{k}={_tag(v)}" for k, v in sorted(tags.items()))])
    return f"{head} {','.join(fields)} {record.t_utc_ns}"


def _tag(value: str) -> str:
    # A trailing backslash would escape what follows it; a line break would end the line.
    return value.replace("\n", " ").rstrip("\\").translate(_TAG_ESCAPES)


def _string(value: str) -> str:
    return f'"{value.translate(_STRING_ESCAPES)}"'
