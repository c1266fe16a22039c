"""The outbox: each record once whatever is replayed, a cursor per sink, bounds, refusals."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.types import DeviceReport, Epoch, Event, Metric, Record
from sensor_gateway.spool.books import DELIVERED, DROPPED, RECEIVED, SINK_DROPPED
from sensor_gateway.spool.database import Spool, SpoolFullError
from sensor_gateway.spool.outbox import ADDED, SET_ASIDE, Outbox
from sensor_gateway.spool.run import Run, Snapshot

S = 1_000_000_000
T0 = 1_790_000_000 * S


def metric(i: int) -> Metric:
    return Metric(T0 + i * S, float(i % 90), 0.1, 1.5, "standing", 0.9, 1.0, 0.8)


def event(i: int) -> Event:
    return Event(T0 + i * S, f"id{i}", "flag", "tilt_dose", {"i": i})


def epoch(i: int) -> Epoch:
    return Epoch(T0 + i * S, 3.0, 3.1, -1.0, 7.0, 2.0, 0, 10, 40, 10, 0, 0, 0, 0, None, 0.98, 1.0)


def balance(outbox: Outbox, sink: str) -> tuple[int, int, int, int]:
    """received, delivered, dropped, queued of a sink; they must balance at any moment."""
    counters = outbox.counters()
    received, delivered, dropped = (counters.get(sink + part, 0) for part in (RECEIVED, DELIVERED, SINK_DROPPED))
    assert received == delivered + dropped + outbox.queued(sink), (sink, counters)
    return received, delivered, dropped, outbox.queued(sink)


def outbox_at(path: Path, sinks: tuple[str, ...] = ("store",), max_rows: int = 10_000) -> tuple[Spool, Outbox, Run]:
    spool = Spool(path / "spool.db")
    outbox = Outbox(spool, sinks, max_rows)
    return spool, outbox, outbox.run("clip-1", "w-001", "hash", 0)


def test_rows_come_in_order_with_their_links(tmp_path: Path) -> None:
    _, outbox, run = outbox_at(tmp_path)
    assert outbox.read("store", 0, 10) == []
    assert outbox.store(run, 0, [metric(0), epoch(0), event(0), DeviceReport(T0)]) == 4
    rows = outbox.read("store", 0, 10)
    assert [(r.seq, r.after, r.floor, r.kind) for r in rows] == [
        (1, 0, 1, "metric"),
        (2, 1, 1, "epoch"),
        (3, 2, 1, "event"),
        (4, 3, 1, "device"),
    ]
    assert (rows[2].wearer, rows[2].sensor, rows[2].t_utc_ns) == ("w-001", "clip-1", T0)
    outbox.confirm("store", 2)
    assert [(r.seq, r.after, r.floor) for r in outbox.read("store", 0, 1)] == [(3, 2, 3)]
    assert [(r.seq, r.after, r.floor) for r in outbox.read("store", 3, 1)] == [(4, 3, 3)]


def test_known_ordinals_are_skipped_in_any_overlap(tmp_path: Path) -> None:
    spool, outbox, run = outbox_at(tmp_path)
    outbox.store(run, 0, [metric(0), metric(1), metric(2)])
    assert outbox.store(run, 0, [metric(0), metric(1)]) == 0
    assert outbox.store(run, 1, [metric(1), metric(2), metric(3)]) == 1
    spool.close()
    _, outbox, run = outbox_at(tmp_path)
    assert run.next_ordinal == 4
    assert outbox.store(run, 2, [metric(2), metric(3), metric(4)]) == 1
    assert [r.t_utc_ns for r in outbox.read("store", 0, 99)] == [T0 + i * S for i in range(5)]
    with pytest.raises(ValueError, match="ordinals 5 to 6 never came"):
        outbox.store(run, 7, [metric(7)])


@settings(max_examples=30)
@given(st.data())
def test_replays_after_crashes_give_each_record_once(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("spool")
    records: list[Record] = [metric(i) for i in range(40)]
    at, snapshot_at = 0, 0
    spool, outbox, run = outbox_at(path)
    while at < len(records):
        if data.draw(st.booleans()):  # a crash: everything after the snapshot is computed again
            spool.close()
            spool, outbox, run = outbox_at(path)
            assert (run.snapshot or b"0") == str(snapshot_at).encode()
            at = snapshot_at
        step = data.draw(st.integers(1, 9))
        part = records[at : at + step]
        take = data.draw(st.booleans())
        outbox.store(run, at, part, Snapshot(at, str(at + len(part)).encode()) if take else None)
        at += len(part)
        snapshot_at = at if take else snapshot_at
    assert [r.t_utc_ns for r in outbox.read("store", 0, 999)] == [r.t_utc_ns for r in records]
    assert [r.seq for r in outbox.read("store", 0, 999)] == list(range(1, 41))
    spool.close()


def test_a_new_configuration_starts_a_new_run(tmp_path: Path) -> None:
    _, outbox, run = outbox_at(tmp_path)
    outbox.store(run, 0, [metric(0)], Snapshot(77, b"state"), 80)
    same = outbox.run("clip-1", "w-001", "hash", 500)
    assert (same.run, same.start_seq, same.next_ordinal, same.snapshot_seq, same.snapshot) == (1, 1, 1, 77, b"state")
    other = outbox.run("clip-1", "w-001", "other", 500)
    # Entries 81 to 500 were journaled, but the old run never came to them: they are the new one's.
    assert (other.run, other.start_seq, other.next_ordinal, other.snapshot) == (2, 81, None, None)
    assert other.warm_seq == 1
    assert outbox.run("clip-1", "w-001", "third", 500).start_seq == 81
    other = outbox.run("clip-1", "w-001", "other", 500)
    assert outbox.store(other, 1234, [metric(5)], None, 900) == 1
    assert outbox.store(other, 1234, [metric(5)], Snapshot(600, b"computed again"), 600) == 0
    assert outbox.run("clip-1", "w-001", "other", 900).next_ordinal == 1235
    assert outbox.run("clip-2", "w-001", "hash", 3).start_seq == 4
    assert outbox.run("clip-1", "w-001", "other", 950, fresh=True).start_seq == 901
    # The clip went to somebody else: nothing of the first wearer may warm up the second one's baselines.
    handed_on = outbox.run("clip-1", "w-002", "other", 1000)
    assert (handed_on.run, handed_on.warm_seq, handed_on.start_seq) == (6, 1001, 1001)
    assert outbox.run("clip-1", "w-002", "new study", 2000).warm_seq == 1001


def test_a_row_goes_when_every_sink_has_passed_it(tmp_path: Path) -> None:
    spool, outbox, run = outbox_at(tmp_path, ("store", "mqtt"))
    outbox.store(run, 0, [metric(i) for i in range(10)])
    outbox.confirm("store", 8)
    assert [r.seq for r in outbox.read("mqtt", 0, 99)] == list(range(1, 11))
    assert [(r.seq, r.after, r.floor) for r in outbox.read("store", 0, 99)] == [(9, 8, 9), (10, 9, 9)]
    outbox.confirm("mqtt", 5)
    outbox.confirm("mqtt", 3)
    assert outbox.cursor("mqtt") == 5
    assert spool.query("SELECT min(seq) FROM outbox")[0][0] == 6
    assert (outbox.queued("store"), outbox.queued("mqtt")) == (2, 5)
    spool.close()
    # The broker was taken out of the configuration: it holds nothing back any more.
    spool, outbox, run = outbox_at(tmp_path, ("store", "file"))
    assert [r.seq for r in outbox.read("file", 0, 99)] == [6, 7, 8, 9, 10]
    outbox.confirm("store", 10)
    outbox.confirm("file", 10)
    spool.close()
    # Numbers are not used again, also by a sink that joins an empty outbox.
    _, outbox, run = outbox_at(tmp_path, ("late",))
    outbox.store(run, 10, [metric(10)])
    assert [(r.seq, r.after, r.floor) for r in outbox.read("late", 0, 9)] == [(11, 10, 11)]
    assert outbox.last_seq() == 11


def test_the_bound_costs_seconds_before_minutes_and_never_events(tmp_path: Path) -> None:
    spool, outbox, run = outbox_at(tmp_path, max_rows=100)
    records: list[Record] = [(event, epoch, metric, metric)[i % 4](i) for i in range(400)]
    for i in range(0, 400, 7):
        outbox.store(run, i, records[i : i + 7])
        assert spool.query("SELECT count(*) FROM outbox")[0][0] <= 107
    rows = outbox.read("store", 0, 999)
    assert [r.t_utc_ns for r in rows if r.kind == "event"] == [T0 + i * S for i in range(0, 400, 4)]
    counters = outbox.counters()
    assert counters[ADDED] == 400 == len(rows) + sum(n for name, n in counters.items() if name.startswith(DROPPED))
    assert counters[DROPPED + "metric"] >= counters[DROPPED + "epoch"]
    # The links close over the holes, so that a receiver can tell a hole from a loss.
    assert [r.after for r in rows] == [rows[0].floor - 1, *(r.seq for r in rows[:-1])]


def test_a_record_no_sink_could_take_is_set_aside(tmp_path: Path) -> None:
    spool, outbox, run = outbox_at(tmp_path)
    bad = Metric(T0, 999.0, 0.1, 1.5, "standing", 0.9, 1.0, 0.8)
    nan = Metric(T0, 1.0, 0.1, 1.5, "standing", float("nan"), 1.0, 0.8)
    huge = Event(T0, "id", "flag", "r", {"x": "y" * 100_000})
    assert outbox.store(run, 0, [metric(0), bad, nan, huge, metric(1)]) == 2
    assert outbox.counters()[SET_ASIDE] == 3
    reasons = [row[0] for row in spool.query("SELECT reason FROM set_aside ORDER BY id")]
    assert reasons[0] == "metric: anterior_tilt_deg is 999.0, outside -180..180"
    assert "posture_confidence" in reasons[1]
    assert "100" in reasons[2]
    assert outbox.store(run, 5, [metric(2)]) == 1


def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path) -> None:
    spool, outbox, run = outbox_at(tmp_path)
    outbox.store(run, 0, [metric(0)])
    spool.query(f"PRAGMA max_page_count = {spool.query('PRAGMA page_count')[0][0] + 2}")
    with pytest.raises(SpoolFullError):
        outbox.store(run, 1, [metric(i) for i in range(1, 1000)])
    assert [r.seq for r in outbox.read("store", 0, 99)] == [1]
    spool.query("PRAGMA max_page_count = 1000000")
    assert outbox.store(run, 1, [metric(1), metric(2)]) == 2
    assert [r.seq for r in outbox.read("store", 0, 99)] == [1, 2, 3]


def test_every_sink_has_its_own_books_and_they_balance(tmp_path: Path) -> None:
    spool, outbox, run = outbox_at(tmp_path, ("store", "mqtt"), max_rows=50)
    for i in range(0, 120, 10):
        outbox.store(run, i, [metric(j) for j in range(i, i + 10)])
        outbox.confirm("store", outbox.last_seq() - 3)
        balance(outbox, "store")
        balance(outbox, "mqtt")
    received, delivered, dropped, queued = balance(outbox, "mqtt")
    assert (received, delivered) == (120, 0)
    assert dropped == outbox.counters()[DROPPED + "metric"] == 120 - queued > 0
    assert balance(outbox, "store")[2] == 0, "what one sink has taken is not lost for it"
    outbox.confirm("mqtt", outbox.last_seq())
    assert balance(outbox, "mqtt") == (120, queued, dropped, 0)
    spool.close()
    spool, outbox, run = outbox_at(tmp_path, ("store", "file"))  # mqtt has gone, file is new
    outbox.store(run, 120, [metric(120)])
    assert balance(outbox, "file") == (4, 0, 0, 4), "a new sink begins with what it finds"
    assert not any(name.startswith("mqtt_") for name in outbox.counters())
    assert balance(outbox, "store")[0] == 121
    spool.close()


def test_old_records_are_given_up_events_never(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    outbox = Outbox(spool, ["mqtt"], 10_000, max_days=2)
    run, other = outbox.run("clip-1", "w-001", "hash", 0), outbox.run("clip-2", "w-002", "hash", 0)
    day = 86_400
    outbox.store(other, 0, [metric(0)])
    for i in range(5):
        outbox.store(run, 3 * i, [metric(i * day), epoch(i * day), event(i * day)])
        balance(outbox, "mqtt")
    rows = [r for r in outbox.read("mqtt", 0, 99) if r.sensor == "clip-1"]
    assert [r.t_utc_ns for r in rows if r.kind == "event"] == [T0 + i * day * S for i in range(5)]
    assert [r.t_utc_ns for r in rows if r.kind == "metric"] == [T0 + i * day * S for i in (2, 3, 4)]
    assert outbox.counters()[DROPPED + "epoch"] == 2
    assert outbox.queued("mqtt") == 12, "age is counted within a sensor"
    spool.close()


def test_a_sink_reads_what_is_committed_while_more_is_being_written(tmp_path: Path) -> None:
    """A group of sensors is computed within one transaction; what stands in the outbox leaves meanwhile."""
    spool = Spool(tmp_path / "spool.db")
    outbox = Outbox(spool, ["mqtt"], 1000)
    run = outbox.run("clip-1", "w-001", "hash", 0)
    outbox.store(run, 0, [metric(0)])
    with ThreadPoolExecutor(1) as sink, spool.together():
        outbox.store(run, 1, [metric(1)])
        assert [e.seq for e in sink.submit(outbox.read, "mqtt", 0, 10).result(30)] == [1]
        assert sink.submit(outbox.queued, "mqtt").result(30) == 1
    assert [(e.seq, e.after, e.floor) for e in outbox.read("mqtt", 0, 10)] == [(1, 0, 1), (2, 1, 1)]
    assert [(e.seq, e.after, e.floor) for e in outbox.read("mqtt", 1, 10)] == [(2, 1, 1)]
