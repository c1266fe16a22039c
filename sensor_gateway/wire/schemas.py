"""A JSON Schema (draft-07) for each payload that travels over MQTT.

Records, statuses and notices come from `processing/dictionary`; commands and receipts from the types that decode them
(`wire/commands.py`). `asyncapi.py` says on which topic each travels and writes them to `docs/schema`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final, TypeAlias

import msgspec

from processing.dictionary import EVENT_DATA, KINDS, MAX_T_UTC_NS, Field
from processing.types import KIND_OF
from sensor_gateway.wire import topics
from sensor_gateway.wire.commands import Body, Envelope, Receipt
from sensor_gateway.wire.messages import VERSION

Schema: TypeAlias = dict[str, Any]
DRAFT: Final = "http://json-schema.org/draft-07/schema#"
CONTENT: Final = "x-content-schema"
"""Schema of the JSON text within a string; draft-07 has no keyword for it."""
SIGNED: Final = "tiltline command\\n{topic}\\n{issuer}\\n{body}"
_FIRST: Final = "0.1.0"
_TYPES: Final = {
    "int64": "integer",
    "float64": "number",
    "bool": "boolean",
    "string": "string",
    "json": ["object", "array"],
}
_ID: Final[Schema] = {"type": "string", "pattern": f"^{topics.ID.pattern}$", "description": "A pseudonym."}
_SPOOL: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{16}$", "description": "Random id of the spool file."}
_VERSION: Final[Schema] = {"const": VERSION, "description": "Version of the message; a known field keeps its meaning."}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 2**62}
_TIME: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": MAX_T_UTC_NS}


def record_schema(kind: str) -> Schema:
    """A record as it stands in a message's ``data``; unknown fields are allowed, a newer gateway may add some."""
    build = next(record for record, name in KIND_OF.items() if name == kind)
    schema: Schema = {
        "type": "object",
        # A field that came later has a default, so that an older gateway's messages are still read.
        "required": [
            f.name for f in dataclasses.fields(build) if f.default is f.default_factory is dataclasses.MISSING
        ],
        "properties": {f.name: _field(f) for f in KINDS[kind]},
    }
    if kind == "event":
        schema["properties"]["event_id"] |= {"minLength": 1, "maxLength": 64}
        schema["properties"]["data"]["type"] = "object"
        schema["allOf"] = [
            {
                "if": {"properties": {"type": {"const": type_}}, "required": ["type"]},
                "then": {"properties": {"data": _event_data(fields)}},
            }
            for type_, fields in EVENT_DATA.items()
        ]
    return schema


def message_schema(kind: str) -> Schema:
    """A record with its envelope."""
    properties = {
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
        "t_utc_ns": {**_TIME, "description": "Time of the record, as within data."},
        "data": record_schema(kind),
    }
    return _object(f"Tiltline {kind} message", list(properties), properties)


def status_schema() -> Schema:
    """A gateway's retained status."""
    properties = {
        "v": _VERSION,
        "online": {"type": "boolean", "description": "False also as the last will, with nothing else."},
        "t_utc_ns": {**_TIME, "type": ["integer", "null"]},
        "spool": {**_SPOOL, "type": ["string", "null"]},
        "queued": {**_COUNT, "type": ["integer", "null"], "description": "Rows that wait in the outbox."},
        "durable_up_to": {**_COUNT, "type": ["integer", "null"]},
        "counters": {"type": "object", "additionalProperties": {"type": "integer"}},
        "vitals": {"type": "object", "additionalProperties": {"type": "number"}},
        "bridge": {
            **_ID,
            "type": ["string", "null"],
            "description": "Which of several bridges carries the gateway; absent: one is wanted.",
        },
    }
    return _object("Tiltline gateway status", ["v", "online"], properties)


def durable_schema() -> Schema:
    """The bridge's word to a gateway: so much is in the database."""
    properties = {
        "v": _VERSION,
        "spool": {**_SPOOL, "description": "The spool file that is meant."},
        "up_to": {
            **_COUNT,
            "description": "Everything up to this number is in the database, or set aside as a dead letter.",
        },
    }
    return _object("Tiltline durable notice", list(properties), properties)


def carried_schema() -> Schema:
    """The word of one of several bridges that it carries the gateway from now on."""
    schema = durable_schema()
    schema["title"] = "Tiltline carried notice"
    schema["required"].append("bridge")
    schema["properties"]["bridge"] = {**_ID, "description": "The bridge that hears this gateway's records now."}
    return schema


def command_schema() -> Schema:
    """A signed command; its body is JSON within a string, since what was signed is what is read, byte by byte."""
    schema = _decoded(Envelope, "Tiltline command")
    schema["properties"]["v"] = _VERSION
    schema["properties"]["issuer"]["description"] = "Who signs: one of the gateway's [[commands.issuers]]."
    schema["properties"]["body"] |= {
        "contentMediaType": "application/json",
        "description": f"The command as JSON text, of the schema under {CONTENT}.",
        CONTENT: _decoded(Body, "Body of a Tiltline command"),
    }
    schema["properties"]["mac"]["description"] = (
        f"HMAC-SHA256 in hexadecimal of the UTF-8 text {SIGNED} (\\n is a line feed), with the text of the issuer's key "
        "file as key, without white space around it."
    )
    return schema


def receipt_schema() -> Schema:
    """What became of a command whose signature held."""
    schema = _decoded(Receipt, "Tiltline receipt")
    schema["properties"]["v"] = _VERSION
    schema["properties"]["id"]["description"] = "The id in the command's body."
    schema["properties"]["reason"]["description"] = "Why it was not done; empty where it was."
    return schema


def schemas() -> dict[str, Schema]:
    """All payloads by name."""
    return {
        **{kind: message_schema(kind) for kind in KINDS},
        "status": status_schema(),
        "durable": durable_schema(),
        "carried": carried_schema(),
        "command": command_schema(),
        "receipt": receipt_schema(),
    }


def _object(title: str, required: list[str], properties: Schema) -> Schema:
    return {"$schema": DRAFT, "title": title, "type": "object", "required": required, "properties": properties}


def _field(f: Field) -> Schema:
    plain = _TYPES[f.type]
    types = [plain] if isinstance(plain, str) else list(plain)
    words: list[str | None] = list(f.words)
    said = f.meaning
    if f.null_means:
        types.append("null")
        words.append(None)
        said += f" Null: {f.null_means}."
    schema: Schema = {"type": types if len(types) > 1 else types[0], "description": said}
    if f.unit != "1":
        schema["x-unit"] = f.unit
    if f.low is not None:
        schema["minimum"] = f.low
    if f.high is not None:
        schema["maximum"] = f.high
    if f.words:
        schema["enum"] = words
    return schema


def _event_data(fields: tuple[Field, ...]) -> Schema:
    """What lies in an event's ``data``; a key that came later may be absent, an older gateway has none."""
    return {
        "required": [f.name for f in fields if not f.null_means and f.since == _FIRST],
        "properties": {f.name: _field(f) for f in fields},
    }


def _decoded(type_: type, title: str) -> Schema:
    """The schema of what a decoder takes, with the parts it refers to put in place and no words that draft-07 lacks."""
    (found,), parts = msgspec.json.schema_components([type_], ref_template="{name}")

    def plain(node: Any) -> Any:
        if isinstance(node, list):
            return [plain(one) for one in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return plain(parts[node["$ref"]])
        return {key: plain(value) for key, value in node.items() if key != "discriminator"}

    return {"$schema": DRAFT, **plain(found), "title": title}
