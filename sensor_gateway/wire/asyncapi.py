"""What travels over MQTT, for other people's programs: an AsyncAPI 3 document and a JSON Schema per payload.

Generated from `processing.dictionary`, `topics.py` and `messages.py`. Run ``python -m sensor_gateway.wire.asyncapi docs``
after changing any of them; a test compares, and holds every schema against the real encoder and decoder.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any, Final, TypeAlias

from processing.dictionary import EVENT_TYPES, KINDS, Field
from processing.types import KIND_OF, POSTURES
from sensor_gateway.wire import topics
from sensor_gateway.wire.messages import MAX_BYTES, MAX_T_UTC_NS, VERSION

Schema: TypeAlias = dict[str, Any]
DRAFT: Final = "http://json-schema.org/draft-07/schema#"
DOCUMENT: Final = "asyncapi.json"
SCHEMAS: Final = "schema"
_TYPES: Final = {"int64": "integer", "float64": "number", "bool": "boolean", "string": "string", "json": "object"}
_ID: Final[Schema] = {"type": "string", "pattern": f"^{topics.ID.pattern}$", "description": "A pseudonym."}
_SPOOL: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{16}$", "description": "Random id of the spool file."}
_VERSION: Final[Schema] = {"const": VERSION, "description": "Version of the message; a known field keeps its meaning."}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 2**62}
_WORDS: Final = {
    ("metric", "posture"): list(POSTURES),
    ("event", "type"): list(EVENT_TYPES),
}


def record_schema(kind: str) -> Schema:
    """A record as it stands in a message's ``data``; unknown fields are allowed, a newer gateway may add some."""
    build = next(record for record, name in KIND_OF.items() if name == kind)
    return {
        "type": "object",
        # A field that came later has a default, so that an older gateway's messages are still read.
        "required": [
            f.name for f in dataclasses.fields(build) if f.default is f.default_factory is dataclasses.MISSING
        ],
        "properties": {f.name: _field(kind, f) for f in KINDS[kind]},
    }


def message_schema(kind: str) -> Schema:
    """A record with its envelope."""
    return {
        "$schema": DRAFT,
        "title": f"Tiltline {kind} message",
        "type": "object",
        "required": [
            "v", "kind", "site", "wearer", "sensor", "gateway", "spool", "seq", "after", "floor", "t_utc_ns", "data",
        ],
        "properties": {
            "v": _VERSION,
            "kind": {"const": kind},
            "site": _ID,
            "wearer": _ID,
            "sensor": _ID,
            "gateway": _ID,
            "spool": _SPOOL,
            "seq": {**_COUNT, "minimum": 1, "description": "The record's number in the gateway's outbox."},
            "after": {**_COUNT, "description": "Number of the row the gateway holds before this one."},
            "floor": {**_COUNT, "description": "Lowest number the gateway still holds; everything below is durable."},
            "t_utc_ns": {**_COUNT, "maximum": MAX_T_UTC_NS, "description": "Time of the record, as within data."},
            "data": record_schema(kind),
        },
    }  # fmt: skip


def status_schema() -> Schema:
    """A gateway's retained status."""
    return {
        "$schema": DRAFT,
        "title": "Tiltline gateway status",
        "type": "object",
        "required": ["v", "online"],
        "properties": {
            "v": _VERSION,
            "online": {"type": "boolean", "description": "False also as the last will, with nothing else."},
            "t_utc_ns": {"type": ["integer", "null"]},
            "spool": {**_SPOOL, "type": ["string", "null"]},
            "queued": {**_COUNT, "type": ["integer", "null"], "description": "Rows that wait in the outbox."},
            "durable_up_to": {**_COUNT, "type": ["integer", "null"]},
            "counters": {"type": "object", "additionalProperties": {"type": "integer"}},
            "vitals": {"type": "object", "additionalProperties": {"type": "number"}},
            "bridge": {**_ID, "description": "Which of several bridges carries the gateway; absent: one is wanted."},
        },
    }


def durable_schema() -> Schema:
    """The bridge's word to a gateway."""
    return {
        "$schema": DRAFT,
        "title": "Tiltline durable notice",
        "type": "object",
        "required": ["v", "spool", "up_to"],
        "properties": {
            "v": _VERSION,
            "spool": {"type": "string", "description": "The spool file that is meant."},
            "up_to": {**_COUNT, "description": "Everything up to this number is on disk in the database."},
            "bridge": {**_ID, "description": "Present: this one of several bridges carries the gateway from now on."},
        },
    }


def schemas() -> dict[str, Schema]:
    """All payloads by name."""
    return {**{kind: message_schema(kind) for kind in KINDS}, "status": status_schema(), "durable": durable_schema()}


def asyncapi() -> Schema:
    """The document, seen from somebody who connects to the broker."""
    own = {"site": _parameter("The site's id."), "gateway": _parameter("The gateway's id, which is also its user.")}
    channels = {
        kind: _channel(topics.record("{site}", "{gateway}", "{wearer}", kind), kind, _about(kind))
        | {"parameters": {**own, "wearer": _parameter("The wearer's pseudonym.")}}
        for kind in KINDS
    }
    channels["status"] = _channel(topics.status("{site}", "{gateway}"), "status", "Retained; also the last will.")
    channels["durable"] = _channel(topics.durable("{site}", "{gateway}"), "durable", "Retained; written by the bridge.")
    for name in ("status", "durable"):
        channels[name]["parameters"] = own
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tiltline",
            "version": f"{VERSION}.0.0",
            "description": "Pelvic tilt through the day, per second, per minute and as events. Missing is null, never zero. "
            "Measured with a clip-on sensor: not a diagnosis.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {f"receive_{name}": _operation("receive", name) for name in channels if name != "durable"}
        | {"send_durable": _operation("send", "durable")},
        "components": {
            "messages": {
                name: {
                    "name": name,
                    "title": schema["title"],
                    "contentType": "application/json",
                    "summary": f"At most {MAX_BYTES} bytes.",
                    "payload": schema,
                    "bindings": {"mqtt": {"bindingVersion": "0.2.0"}},
                }
                for name, schema in schemas().items()
            }
        },
    }


def write(folder: Path) -> list[Path]:
    """Write the document and the schemas; gives their paths."""
    texts = {folder / DOCUMENT: asyncapi()}
    texts |= {folder / SCHEMAS / f"{name}.json": schema for name, schema in schemas().items()}
    for path, content in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_text(content), encoding="utf-8", newline="\n")
    return list(texts)


def as_text(content: Schema) -> str:
    """The form in which they are kept."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _field(kind: str, f: Field) -> Schema:
    plain = _TYPES[f.type]
    said = f.meaning if not f.null_means else f"{f.meaning} Null: {f.null_means}."
    schema: Schema = {"type": [plain, "null"] if f.null_means else plain, "description": said}
    if f.unit != "1":
        schema["x-unit"] = f.unit
    if f.name == "t_utc_ns":
        schema |= {"minimum": 0, "maximum": MAX_T_UTC_NS}
    if f.low is not None:
        schema["minimum"] = f.low
    if f.high is not None:
        schema["maximum"] = f.high
    words = _WORDS.get((kind, f.name))
    if words:
        schema["enum"] = words
    return schema


def _about(kind: str) -> str:
    return {
        "metric": "One a second and wearer.",
        "epoch": "One a minute and wearer.",
        "event": "When something happens: " + ", ".join(EVENT_TYPES) + ".",
        "device": "The sensor's own state, about once a minute and when its link changes.",
    }[kind]


def _parameter(said: str) -> Schema:
    return {"description": said}


def _channel(address: str, message: str, said: str) -> Schema:
    return {
        "address": address,
        "description": said,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
    }


def _operation(action: str, name: str) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
        "bindings": {"mqtt": {"qos": 1, "retain": name in ("status", "durable"), "bindingVersion": "0.2.0"}},
    }


if __name__ == "__main__":
    for written in write(Path(sys.argv[1])):
        print(written)
