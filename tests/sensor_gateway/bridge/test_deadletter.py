"""Dead letters: bounded and counted, and sent again by a person once the cause is mended; the books balance throughout."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sensor_gateway import cli
from sensor_gateway.bridge import letters as bridge_letters
from sensor_gateway.bridge.intake import sort_out
from sensor_gateway.bridge.queue import BridgeQueue
from sensor_gateway.mqtt_link import Incoming
from tests.sensor_gateway.bridge.test_queue import arrival, settle_all, up_to

TOPIC = "tiltline/v1/home/gw-1/w-001/metric"


def balanced(queue: BridgeQueue) -> dict[str, int]:
    c = queue.counters()
    assert c["received"] == c["written"] + c["rejected"] + c["dropped"] + c["queued"], c
    return c


def junk(i: int, size: int = 10) -> Incoming:
    return Incoming(TOPIC, f"junk {i} ".encode().ljust(size, b"x"), i, 1)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "bridge.toml"
    path.write_text('[site]\ngateway = "bridge"\ndata_dir = "data"\n')
    return path


@pytest.fixture
def queue(config: Path) -> BridgeQueue:
    return BridgeQueue(config.parent / "data" / "bridge.db")


def tiltline(config: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    status = cli.main(["deadletter", *words, "--config", str(config), "--json"])
    out = capsys.readouterr()
    return status, json.loads(out.out) if out.out else out.err


def test_letters_are_bounded_and_what_goes_is_counted(tmp_path: Path) -> None:
    queue = BridgeQueue(tmp_path / "bridge.db", letters_max=20)
    for i in range(50):
        queue.receive([sort_out(junk(i))])
    counters = balanced(queue)
    assert (counters["dead_letters"], counters["rejected"], counters["dropped"]) == (20, 20, 30)
    assert queue.letters()[0].body.startswith(b"junk 30 ")
    assert counters["dead_letter_bytes"] == sum(len(letter.body) for letter in queue.letters())


def test_bytes_are_bounded_too(tmp_path: Path) -> None:
    db = BridgeQueue(tmp_path / "bridge.db")
    db.receive([sort_out(junk(i, 1000)) for i in range(10)])
    db.close()
    raw = sqlite3.connect(tmp_path / "bridge.db")
    with raw:
        bridge_letters.bound(raw, 100, 3500)
    raw.close()
    counters = balanced(BridgeQueue(tmp_path / "bridge.db"))
    assert (counters["dead_letters"], counters["dead_letter_bytes"], counters["dropped"]) == (3, 3000, 7)


def test_a_line_the_database_refused_goes_again(
    queue: BridgeQueue, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queue.receive([arrival(i) for i in range(1, 6)])
    rows = queue.take(5)
    queue.settle([r.id for r in rows[:3]], [(rows[3].id, "field type conflict"), (rows[4].id, "beyond retention")])
    assert up_to(queue) == 5, "a dead letter holds nobody up"
    status, listed = tiltline(config, capsys, "list")
    assert (status, listed["held"]) == (0, 2)
    first = listed["letters"][0]
    assert first["reason"] == "field type conflict"
    assert first["at"]
    assert tiltline(config, capsys, "show", str(first["id"]))[1]["body"] == rows[3].line
    assert tiltline(config, capsys, "requeue", "--reason", "conflict") == (0, {"requeued": [first["id"]], "kept": []})
    counters = balanced(queue)
    assert (counters["rejected"], counters["queued"], counters["requeued"]) == (1, 1, 1)
    assert [row.line for row in queue.take(9)] == [rows[3].line]
    settle_all(queue)
    assert balanced(queue)["written"] == 4
    assert up_to(queue) == 5
    # Refused once more it is a letter again.
    assert tiltline(config, capsys, "requeue", "--all")[0] == 0
    queue.settle([], [(queue.take(1)[0].id, "beyond retention")])
    assert (balanced(queue)["dead_letters"], balanced(queue)["queued"]) == (1, 0)


def test_a_message_is_checked_again_and_stays_while_it_is_wrong(
    queue: BridgeQueue, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queue.receive([sort_out(junk(1)), arrival(2, coverage=9.0)])
    status, answer = tiltline(config, capsys, "requeue", "--all")
    assert status == 1
    assert answer["requeued"] == []
    assert "coverage is 9.0" in answer["kept"][1]["reason"]
    status, answer = tiltline(config, capsys, "requeue", "99")
    assert (status, answer["kept"][0]["id"]) == (1, 99)
    balanced(queue)


def test_what_is_shown_cannot_steer_the_terminal(
    queue: BridgeQueue, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queue.receive([sort_out(Incoming(TOPIC, b"\x1b[2Jgone", 1, 1))])
    assert cli.main(["deadletter", "show", "1", "--config", str(config)]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\\x1b[2Jgone" in shown


def test_questions_that_have_no_answer_are_said(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["deadletter", "list", "--config", str(config)]) == 1
    assert "no queue there yet" in capsys.readouterr().err
    BridgeQueue(config.parent / "data" / "bridge.db").close()
    assert cli.main(["deadletter", "show", "5", "--config", str(config)]) == 1
    assert "no letter of this number" in capsys.readouterr().err
    assert cli.main(["deadletter", "requeue", "--config", str(config)]) == 2


def test_a_queue_of_an_earlier_release_is_taken_over(tmp_path: Path) -> None:
    raw = sqlite3.connect(tmp_path / "bridge.db")
    with raw:
        raw.executescript(
            "CREATE TABLE dead_letter (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, reason TEXT NOT NULL, "
            "topic TEXT NOT NULL, body BLOB NOT NULL); INSERT INTO dead_letter VALUES (1, 'd', 'r', 't', x'6162');"
            "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
            "INSERT INTO counter VALUES ('received', 1), ('written', 0), ('rejected', 1), ('duplicates', 0);"
        )
    raw.close()
    queue = BridgeQueue(tmp_path / "bridge.db")
    assert balanced(queue)["dead_letter_bytes"] == 2
    assert queue.letters()[0].at_utc_ns == 0
    queue.receive([arrival(1), sort_out(junk(1))])
    assert balanced(queue)["dead_letters"] == 2
