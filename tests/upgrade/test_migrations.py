"""Files of release 0.1.0 under this release: nothing of them is lost, everything in them is still read; newer ones are refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from sensor_gateway.bridge.queue import BridgeQueue, Good
from sensor_gateway.sinks.store import Store
from sensor_gateway.spool.database import Spool
from sensor_gateway.spool.journal import Journal
from sensor_gateway.spool.outbox import Outbox
from sensor_gateway.upgrade.migrations import OPENERS, MigrationError, look, migrate
from sensor_gateway.wire.line import line
from sensor_gateway.wire.messages import MessageError, decode_message, decode_record, encode_message, message_record
from tests.upgrade.v0_1_0 import EXPECTED, T0, make


def test_every_row_of_the_previous_release_is_still_there(tmp_path: Path) -> None:
    make(tmp_path)
    before = {name: look(tmp_path / name) for name in OPENERS}
    done = {m.file: m for m in migrate(tmp_path)}
    for name, (version, rows) in before.items():
        assert done[name].before == version
        assert done[name].after == 1
        assert {table: done[name].rows[table] for table in rows if table != "counter"} == {
            table: n for table, n in rows.items() if table != "counter"
        }
    again = migrate(tmp_path)
    assert [m.before for m in again] == [1, 1, 1]
    assert [m.rows for m in again] == [m.rows for m in done.values()]


def test_the_gateway_goes_on_with_the_old_spool(tmp_path: Path) -> None:
    make(tmp_path)
    spool = Spool(tmp_path / "spool.db")
    journal, outbox = Journal(spool, 10**9), Outbox(spool, ["store", "mqtt"], 10**6)
    assert spool.id == "8c1f000000000000"
    assert [e.received.payload[0] for part in journal.read("clip-1") for e in part] == list(range(30))
    waiting = outbox.read("store", 0, 10)
    assert [e.seq for e in waiting] == [1, 2, 3]
    assert (decode_record("metric", waiting[0].body), decode_record("device", waiting[1].body)) == EXPECTED
    assert [e.seq for e in outbox.read("mqtt", 0, 10)] == [2, 3]
    assert outbox.run("clip-1", "w-001", "old", 30).snapshot == b"a state of 0.1.0"
    # 0.1.0 did not note how far a run came: a new one begins at the journal's end, so that nothing comes twice.
    assert outbox.run("clip-1", "w-001", "new study", 30).start_seq == 31
    # A message made of an old row is one this release takes.
    message = decode_message(encode_message(waiting[1], "home", "gw-1", spool.id))
    assert message_record(message) == EXPECTED[1]
    spool.close()


def test_the_store_reads_old_rows_and_takes_new_ones(tmp_path: Path) -> None:
    make(tmp_path)
    store = Store.open(tmp_path / "store.db")
    assert (next(store.metrics("w-001")), next(store.devices("w-001"))) == EXPECTED
    event = store.event("abc")
    assert event is not None
    assert event.record.data == {"why": 1}  # type: ignore[union-attr]
    assert list(store.epochs("w-001")) == []
    store.close()


def test_the_bridge_goes_on_with_the_old_queue_and_its_books(tmp_path: Path) -> None:
    make(tmp_path)
    queue = BridgeQueue(tmp_path / "bridge.db")
    counters = queue.counters()
    assert counters["received"] == counters["written"] + counters["rejected"] + counters["dropped"] + counters["queued"]
    assert counters["dead_letter_bytes"] == 4
    assert [row.id for row in queue.take(10)] == [3, 4]
    queue.settle([3, 4], [])
    assert [(w.spool, w.up_to) for w in queue.words()] == [("8c1f000000000000", 4)]
    spool = Spool(tmp_path / "spool.db")
    row = Outbox(spool, ["mqtt"], 10**6).read("mqtt", 0, 10)[0]
    old = decode_message(encode_message(row, "home", "gw-1", spool.id))
    queue.receive([Good(old, line("home", "w-001", "clip-1", message_record(old)))])
    assert queue.counters()["duplicates"] == 5  # of the same spool, and below what is durable: known
    queue.close()
    spool.close()


@pytest.mark.parametrize("name", sorted(OPENERS))
def test_a_newer_file_is_refused_and_not_touched(tmp_path: Path, name: str) -> None:
    make(tmp_path)
    with sqlite3.connect(tmp_path / name) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = (tmp_path / name).read_bytes()
    with pytest.raises(MigrationError, match=rf"{name}: written by a newer Tiltline \(schema 99\); update"):
        migrate(tmp_path)
    assert (tmp_path / name).read_bytes() == before


def test_a_newer_message_is_refused_with_what_to_do(tmp_path: Path) -> None:
    make(tmp_path)
    spool = Spool(tmp_path / "spool.db")
    row = Outbox(spool, ["mqtt"], 10**6).read("mqtt", 0, 1)[0]
    text = encode_message(row, "home", "gw-1", spool.id)
    newer = text.replace(b'"v":1', b'"v":2', 1)
    with pytest.raises(MessageError, match="version 2 is not known here; update this side"):
        decode_message(newer)
    # A field that a newer gateway adds within version 1 is no obstacle.
    added = text.replace(b'"data":{', b'"mood":"good","data":{"later":[1],', 1)
    assert message_record(decode_message(added)).t_utc_ns == T0
    spool.close()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"no database" * 100)
    with pytest.raises(MigrationError, match=r"store\.db: cannot be read"):
        migrate(tmp_path)
