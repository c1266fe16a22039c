"""`docs/asyncapi.json` as a stranger reads it: which message a topic may carry, what is wrong with one, and how to damage one.

Nothing of Tiltline's own code is used here, only the document.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

DOCUMENT = Path(__file__).parents[2] / "docs" / "asyncapi.json"
CONTENT = "x-content-schema"
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Promise:
    """A message as the document promises it."""

    name: str
    schema: Schema
    qos: int
    retain: bool
    max_bytes: int


class Document:
    """The promises by channel."""

    def __init__(self) -> None:
        self._text: Schema = json.loads(DOCUMENT.read_text(encoding="utf-8"))
        self.channels: dict[str, list[Promise]] = {name: [] for name in self._text["channels"]}
        for operation in self._text["operations"].values():
            channel = operation["channel"]["$ref"].split("/")[-1]
            mqtt = operation["bindings"]["mqtt"]
            for reference in operation["messages"]:
                self.channels[channel].append(self._promise(reference["$ref"], mqtt))

    @property
    def names(self) -> set[str]:
        """Of all messages."""
        return {promise.name for promises in self.channels.values() for promise in promises}

    def _at(self, reference: str) -> Schema:
        node = self._text
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        return self._at(node["$ref"]) if "$ref" in node else node

    def _promise(self, reference: str, mqtt: Schema) -> Promise:
        message = self._at(reference)
        assert message["contentType"] == "application/json"
        (most,) = re.findall(r"At most (\d+) bytes", message["summary"])
        return Promise(message["name"], message["payload"], mqtt["qos"], mqtt["retain"], int(most))

    def channel_of(self, topic: str) -> tuple[str, dict[str, str]]:
        """Name and parameters of the one channel with this address; raises `LookupError`."""
        found = []
        for name, channel in self._text["channels"].items():
            address = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(channel["address"]))
            match = re.fullmatch(address, topic)
            if match:
                assert match.groupdict().keys() == channel["parameters"].keys()
                found.append((name, match.groupdict()))
        if len(found) != 1:
            raise LookupError(f"{topic} is an address of {len(found)} channels")
        return found[0]

    def promise_of(self, topic: str, body: Schema) -> Promise:
        """What the document says of this message; of a channel's messages the one that demands most and fits."""
        channel, _ = self.channel_of(topic)
        fitting = [p for p in self.channels[channel] if not complaints(p.schema, body)]
        if not fitting:
            raise LookupError(f"{topic}: {[complaints(p.schema, body) for p in self.channels[channel]]}")
        return max(fitting, key=lambda promise: len(promise.schema["required"]))


def complaints(schema: Schema, body: Any) -> list[str]:
    """What is wrong with a payload, also within the JSON texts that it carries as strings."""
    found = [
        f"{error.json_path}: {error.message[:200]}" for error in jsonschema.Draft7Validator(schema).iter_errors(body)
    ]
    for name, field in schema.get("properties", {}).items():
        if CONTENT in field and isinstance(body, dict) and isinstance(body.get(name), str):
            try:
                within = json.loads(body[name])
            except json.JSONDecodeError as e:
                found.append(f"$.{name}: {e}")
            else:
                found += [f"{name}: {what}" for what in complaints(field[CONTENT], within)]
    return found


def damaged(schema: Schema, body: Any) -> Iterator[tuple[str, Any]]:
    """The payload with one thing wrong at a time, with what it is; each part of the schema that says something is tried."""
    if isinstance(body, dict):
        yield from _damaged_object(schema, body)
    if isinstance(body, list) and body and "items" in schema:
        for what, bad in damaged(schema["items"], body[0]):
            yield f"[0]{what}", [bad, *body[1:]]
    if isinstance(body, str) and CONTENT in schema:
        for what, bad in damaged(schema[CONTENT], json.loads(body)):
            yield f"<{what}>", json.dumps(bad)
        yield " no JSON", body[:-1]
    for branch in schema.get("anyOf", []):
        if not complaints(branch, body):
            yield from damaged(branch, body)
    for rule in schema.get("allOf", []):
        if not complaints(rule["if"], body):
            yield from damaged(rule["then"], body)


def _damaged_object(schema: Schema, body: Schema) -> Iterator[tuple[str, Any]]:
    def put(name: str, value: Any) -> Schema:
        return {**copy.deepcopy(body), name: value}

    for name in schema.get("required", []):
        yield f".{name} missing", {key: value for key, value in body.items() if key != name}
    if schema.get("additionalProperties") is False:
        yield ".more", put("more", 1)
    elif isinstance(schema.get("additionalProperties"), dict):
        yield ".more of a wrong type", put("more", [1])
    for name, field in schema.get("properties", {}).items():
        if name not in body:
            continue
        for what, wrong in _wrong(field):
            yield f".{name} {what}", put(name, wrong)
        for what, bad in damaged(field, body[name]):
            yield f".{name}{what}", put(name, bad)


def _wrong(field: Schema) -> Iterator[tuple[str, Any]]:
    """Values that this field must refuse."""
    types = field.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types or "const" in field or "enum" in field:
        yield "of a wrong type", True if "boolean" not in types else "true"
    if "object" in types and "array" not in types:
        yield "a list", [1]
    tests: dict[str, Callable[[Any], Any]] = {
        "minimum": lambda low: low - 1,
        "maximum": lambda high: high + 1,
        "pattern": lambda _: "No id!",
        "const": lambda _: "another",
        "enum": lambda _: "another",
        "minLength": lambda _: "",
        "maxLength": lambda most: "x" * (most + 1),
    }
    for word, wrong in tests.items():
        if word in field:
            yield f"beyond {word}", wrong(field[word])
