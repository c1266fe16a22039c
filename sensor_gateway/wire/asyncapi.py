"""What travels over MQTT, for other people's programs: an AsyncAPI 3 document and a JSON Schema per payload.

Generated from `topics.py` and `schemas.py`. Run ``python -m sensor_gateway.wire.asyncapi docs`` after changing what they rest
on; a test compares, one holds every schema against the real encoder and decoder, and one every message on a real broker
against the document.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from processing.dictionary import EVENT_TYPES, KINDS
from sensor_gateway.wire import topics
from sensor_gateway.wire.commands import MAX_BYTES as MAX_COMMAND_BYTES
from sensor_gateway.wire.messages import MAX_BYTES, VERSION
from sensor_gateway.wire.schemas import Schema, schemas

DOCUMENT: Final = "asyncapi.json"
SCHEMAS: Final = "schema"
_ABOUT: Final = {
    "title": "Tiltline",
    "version": f"{VERSION}.0.0",
    "description": (
        "Pelvic tilt through the day, per second, per minute and as events. Missing is null, never zero. Measured with a "
        "clip-on sensor: not a diagnosis.\n\n"
        "MQTT 5, QoS 1. A message carries JSON in UTF-8 and no properties of MQTT 5. A record may come more than once, with "
        "the same `spool` and `seq`: the gateway sends again what nobody has called durable. What is computed with hindsight "
        "(`tiltline replay --mode retro`) goes into the database and does not travel here."
    ),
    "license": {"name": "Apache-2.0"},
}
_KIND_SAYS: Final = {
    "metric": "One a second and sensor.",
    "epoch": "One a minute and sensor.",
    "event": "When something happens: " + ", ".join(EVENT_TYPES) + ".",
    "device": "The sensor's own state, about once a minute and when its link changes.",
}
_CLEARED: Final = " An empty retained message takes the kept one away (`tiltline erase`)."
_SITE: Final = {"description": "The site's id."}
_GATEWAY: Final = {"description": "The gateway's id, which is also its user at the broker."}
_WEARER: Final = {"description": "The wearer's pseudonym."}


@dataclass(frozen=True, slots=True)
class _Said:
    """A message as one side sends it: on which channel, and whether the broker keeps it."""

    channel: str
    action: str  # of whoever reads the document
    retain: bool
    max_bytes: int = MAX_BYTES


_OWN: Final = {
    "status": _Said("status", "receive", retain=True),
    "durable": _Said("durable", "send", retain=True),
    "carried": _Said("durable", "send", retain=False),
    "command": _Said("command", "send", retain=False, max_bytes=MAX_COMMAND_BYTES),
    "receipt": _Said("receipt", "receive", retain=False),
}
_SAID: Final = {**{kind: _Said(kind, "receive", retain=False) for kind in KINDS}, **_OWN}


def asyncapi() -> Schema:
    """The document, seen from somebody who connects to the broker beside the gateways."""
    return {
        "asyncapi": "3.0.0",
        "info": _ABOUT,
        "defaultContentType": "application/json",
        "servers": {
            "site": {
                "host": "{broker}:{port}",
                "protocol": "secure-mqtt",
                "protocolVersion": "5",
                "description": "The site's broker, over TLS; an access list holds who may read and write what.",
                "variables": {"broker": {"default": "127.0.0.1"}, "port": {"default": "8883"}},
                "security": [{"type": "userPassword"}],
            }
        },
        "channels": _channels(),
        "operations": {f"{said.action}_{name}": _operation(name, said) for name, said in _SAID.items()},
        "components": {
            "messages": {
                name: {
                    "name": name,
                    "title": schema["title"],
                    "contentType": "application/json",
                    "summary": f"At most {_SAID[name].max_bytes} bytes.",
                    "payload": schema,
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


def _channels() -> Schema:
    own = {"site": _SITE, "gateway": _GATEWAY}
    at = ("{site}", "{gateway}")
    channels = {
        kind: _channel(topics.record(*at, "{wearer}", kind), (kind,), {**own, "wearer": _WEARER}, _KIND_SAYS[kind])
        for kind in KINDS
    }
    channels["status"] = _channel(
        topics.status(*at), ("status",), own, "Retained; also the gateway's last will." + _CLEARED
    )
    channels["durable"] = _channel(
        topics.durable(*at),
        ("durable", "carried"),
        own,
        "Written by the bridge. What is durable is retained; that one of several bridges carries the gateway is not."
        + _CLEARED,
    )
    channels["command"] = _channel(
        topics.command(*at), ("command",), own, "What a therapist asks of the gateway, signed; never retained."
    )
    channels["receipt"] = _channel(
        topics.receipt(*at), ("receipt",), own, "What became of a command; none where the signature did not hold."
    )
    return channels


def _channel(address: str, messages: Sequence[str], parameters: Schema, said: str) -> Schema:
    return {
        "address": address,
        "description": said,
        "messages": {message: {"$ref": f"#/components/messages/{message}"} for message in messages},
        "parameters": parameters,
    }


def _operation(name: str, said: _Said) -> Schema:
    return {
        "action": said.action,
        "channel": {"$ref": f"#/channels/{said.channel}"},
        "messages": [{"$ref": f"#/channels/{said.channel}/messages/{name}"}],
        "bindings": {"mqtt": {"qos": 1, "retain": said.retain, "bindingVersion": "0.2.0"}},
    }


if __name__ == "__main__":
    for written in write(Path(sys.argv[1])):
        print(written)
