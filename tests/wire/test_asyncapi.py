"""The published description of the messages: current, accepted by the official parser, and true of the real messages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from processing.rules.study import Study
from processing.types import Event, Record
from sensor_gateway.wire import asyncapi, commands, messages, schemas, topics
from sensor_gateway.wire.commands import RefusedError
from sensor_gateway.wire.messages import MessageError
from tests.sensor_gateway.test_wire import DEVICE, EPOCH, METRIC, SPOOL, T0, entry
from tests.wire.document import Document, complaints, damaged

DOCS = Path(__file__).parents[2] / "docs"
TOOL = Path(__file__).parent / "asyncapi"
GAP = Event(
    T0, "0f3a", "gap", None, {"from_utc_ns": T0, "to_utc_ns": T0 + 1, "missing_samples": 3, "action": "filter_reset"}
)
ID, KEY = "ab" * 16, "k" * 64
RECORDS: dict[str, Record] = {"metric": METRIC, "epoch": EPOCH, "event": GAP, "device": DEVICE}
needs_node = pytest.mark.skipif(
    shutil.which("npm") is None or shutil.which("node") is None, reason="node and npm are not installed"
)


def test_the_files_in_docs_are_current(tmp_path: Path) -> None:
    for made in asyncapi.write(tmp_path):
        kept = DOCS / made.relative_to(tmp_path)
        assert kept.read_text(encoding="utf-8") == made.read_text(encoding="utf-8"), (
            f"{kept.name} is stale; run python -m sensor_gateway.wire.asyncapi docs"
        )


def sent() -> list[tuple[str, str, bytes]]:
    """Name, topic and payload of every message that the program makes, in all its forms."""
    own = ("home", "gw-1")
    status = messages.Status(1, True, T0, SPOOL, 3, 9, {"received": 4}, {"disk_free_mb": 1.5}, "bridge-1")
    made = [
        (kind, topics.record(*own, "w-001", kind), messages.encode_message(entry(record, kind), *own, SPOOL))
        for kind, record in RECORDS.items()
    ]
    made += [("status", topics.status(*own), messages.encode_status(s)) for s in (status, messages.Status(1, False))]
    made += [
        ("durable", topics.durable(*own), messages.encode_durable(SPOOL, 9)),
        ("carried", topics.durable(*own), messages.encode_durable(SPOOL, 9, "bridge-1")),
        ("receipt", topics.receipt(*own), msgspec.json.encode(commands.Receipt(1, ID, False, "why", T0))),
    ]
    programme = commands.Programme(Study().programme)
    for asked in (commands.Calibrate(8.0), commands.Snooze(30), commands.Stop(9), commands.Resume(), programme):
        body = commands.Body(ID, "w-001", T0, T0 + 1, asked)
        made.append(("command", topics.command(*own), commands.sign(topics.command(*own), "pt-1", KEY, body)))
    return made


def decode(name: str, payload: bytes) -> None:
    """As the receiving side reads it; raises `MessageError`, `RefusedError` or msgspec's own error."""
    if name in RECORDS:
        message = messages.decode_message(payload)
        assert message.kind == name  # the topic says so, and the bridge compares
        messages.message_record(message)
    elif name == "status":
        messages.decode_status(payload)
    elif name in ("durable", "carried"):
        messages.decode_durable(payload)
    elif name == "command":
        msgspec.json.decode(commands.open_envelope(payload).body, type=commands.Body)
    else:
        msgspec.json.decode(payload, type=commands.Receipt)


def test_every_message_is_of_its_channel_and_fits_its_schema() -> None:
    document = Document()
    for name, topic, payload in sent():
        assert document.promise_of(topic, json.loads(payload)).name == name
        decode(name, payload)
    assert {name for name, _, _ in sent()} == document.names


@pytest.mark.parametrize("name", schemas.schemas())
def test_schema_and_decoder_refuse_the_same(name: str) -> None:
    """Each field in turn is missing, of a wrong type, beyond its range or none of its words."""
    schema = schemas.schemas()[name]
    jsonschema.Draft7Validator.check_schema(schema)
    refused = 0
    for sort, _, payload in sent():
        for what, bad in damaged(schema, json.loads(payload)) if sort == name else ():
            assert complaints(schema, bad), what
            if decoded(name, what):
                with pytest.raises((MessageError, RefusedError, msgspec.DecodeError, AssertionError)):
                    decode(name, json.dumps(bad).encode())
            refused += 1
    assert refused > len(schema["required"]) + len(schema["properties"])


def decoded(name: str, what: str) -> bool:
    """Whether the receiving side looks at it too.

    It does not look into an event's data, which a bridge only hands on, and asks for a bridge's name only where it needs one;
    a receipt's version is not looked at, since whoever waits for one compares its id; a newer gateway may know more states of a link.
    """
    return not (
        (name == "event" and re.match(r"\.data\.data[. ]", what) and what != ".data.data of a wrong type")
        or (name, what) == ("carried", ".bridge missing")
        or (name == "receipt" and what == ".v beyond const")
        or (name == "device" and what == ".data.link beyond enum")
    )


def check(path: Path) -> tuple[int, list[dict[str, Any]]]:
    subprocess.run([str(DOCS.parent / "scripts" / "npm.sh"), str(TOOL)], check=True, capture_output=True, timeout=280)
    done = subprocess.run(
        ["node", "validate.mjs", str(path)], cwd=TOOL, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.node
@pytest.mark.slow
@needs_node
def test_the_official_parser_accepts_the_document_and_finds_planted_faults(tmp_path: Path) -> None:
    status, found = check(DOCS / asyncapi.DOCUMENT)
    assert (status, [d for d in found if d["severity"] == 0]) == (0, [])
    for plant in ("channels", "operations", "payload"):
        broken = asyncapi.asyncapi()
        if plant == "channels":
            broken["channels"]["metric"]["adress"] = "x"
        elif plant == "operations":
            broken["operations"]["receive_metric"]["action"] = "listen"
        else:
            broken["components"]["messages"]["metric"]["payload"]["type"] = "objekt"
        path = tmp_path / f"{plant}.json"
        path.write_text(json.dumps(broken), encoding="utf-8")
        assert check(path)[0] == 1, plant
