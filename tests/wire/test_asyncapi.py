"""The published description of the messages: current, accepted by the official parser, and true of the real messages."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from processing.dictionary import KINDS
from processing.types import Record
from sensor_gateway.wire import asyncapi, messages
from sensor_gateway.wire.messages import MessageError
from tests.sensor_gateway.test_wire import DEVICE, EPOCH, EVENT, METRIC, SPOOL, T0, entry

DOCS = Path(__file__).parents[2] / "docs"
TOOL = Path(__file__).parent / "asyncapi"
RECORDS: dict[str, Record] = {"metric": METRIC, "epoch": EPOCH, "event": EVENT, "device": DEVICE}
needs_node = pytest.mark.skipif(
    shutil.which("npm") is None or shutil.which("node") is None, reason="node and npm are not installed"
)


def message(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(messages.encode_message(entry(RECORDS[kind], kind), "home", "gw-1", SPOOL))
    return found


def test_the_files_in_docs_are_current(tmp_path: Path) -> None:
    for made in asyncapi.write(tmp_path):
        kept = DOCS / made.relative_to(tmp_path)
        assert kept.read_text(encoding="utf-8") == made.read_text(encoding="utf-8"), (
            f"{kept.name} is stale; run python -m sensor_gateway.wire.asyncapi docs"
        )


@pytest.mark.parametrize("kind", KINDS)
def test_real_messages_fit_their_schema(kind: str) -> None:
    jsonschema.Draft7Validator.check_schema(asyncapi.message_schema(kind))
    jsonschema.validate(message(kind), asyncapi.message_schema(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_schema_and_decoder_refuse_the_same(kind: str) -> None:
    """Each field in turn gets a wrong type, and where it has a range a value beyond it."""
    schema = asyncapi.message_schema(kind)
    refused = 0
    for name, field in schema["properties"]["data"]["properties"].items():
        for wrong in (
            [1],
            *([field["maximum"] + 1] if "maximum" in field else []),
            *(["?"] if "enum" in field else []),
        ):
            bad = copy.deepcopy(message(kind))
            bad["data"][name] = wrong
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(bad, schema)
            with pytest.raises(MessageError):
                messages.message_record(messages.decode_message(json.dumps(bad).encode()))
            refused += 1
    assert refused >= len(KINDS[kind])


def test_status_and_durable_fit_their_schema() -> None:
    status = messages.encode_status(messages.Status(1, True, T0, SPOOL, 3, 9, {"received": 4}, {"disk_free_mb": 1.5}))
    jsonschema.validate(json.loads(status), asyncapi.status_schema())
    jsonschema.validate(json.loads(messages.encode_status(messages.Status(1, online=False))), asyncapi.status_schema())
    jsonschema.validate(json.loads(messages.encode_durable(SPOOL, 9)), asyncapi.durable_schema())


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
