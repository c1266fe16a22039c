"""The local sinks: each record once whatever the crash, outages waited out, nothing confirmed that is not on the disk."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from processing.types import Event, Metric, Record
from sensor_gateway.sinks.base import Backoff, Complaints, Sink, SinkError, run_writer
from sensor_gateway.sinks.file import FileSink
from sensor_gateway.sinks.store import Store
from sensor_gateway.sinks.store_sink import StoreSink
from sensor_gateway.spool.database import Spool
from sensor_gateway.spool.outbox import Outbox, SinkView
from sensor_gateway.wire.messages import Entry
from tests.integration.servers import wait_until

S = 10**9
DAY = 86_400 * S
T0 = 20_000 * DAY - 30 * S  # half a minute before midnight UTC


def metric(i: int) -> Metric:
    return Metric(T0 + i * S, float(i % 90), 0.1, None, "standing", 0.9, 1.0, 0.8)


def records(n: int) -> list[Record]:
    return [Event(T0 + i * S, f"id{i}", "gap", None, {"i": i}) if i % 10 == 9 else metric(i) for i in range(n)]


def deliver(outbox: Outbox, sink: Sink, until: Callable[[], bool]) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=sink.run, args=(SinkView(outbox, sink.name), stop))
    thread.start()
    try:
        wait_until("delivery", until)
    finally:
        stop.set()
        outbox.wake()
        thread.join(5)
    assert not thread.is_alive()


def filled(folder: Path, sink: str, n: int = 60) -> Outbox:
    outbox = Outbox(Spool(folder / "spool.db"), [sink], 10**6)
    run = outbox.run("clip-1", "w-001", "hash", 0)
    outbox.store(run, run.next_ordinal or 0, records(n)[run.next_ordinal or 0 :])
    return outbox


def test_the_store_gets_every_record_once(tmp_path: Path) -> None:
    outbox = filled(tmp_path, "store")
    sink = StoreSink(tmp_path / "store.db")
    deliver(outbox, sink, lambda: outbox.queued("store") == 0)
    store = Store.open(tmp_path / "store.db", readonly=True)
    assert [*store.metrics("w-001")] == [r for r in records(60) if isinstance(r, Metric)]
    assert [*store.events("w-001")] == [r for r in records(60) if isinstance(r, Event)]


def test_a_store_that_is_gone_begins_anew_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox, path = filled(tmp_path, "store"), tmp_path / "store.db"
    deliver(outbox, StoreSink(path), lambda: outbox.queued("store") == 0)
    deliver(outbox, StoreSink(path), path.is_file)
    assert "is gone" not in caplog.text
    path.unlink()
    deliver(outbox, StoreSink(path), path.is_file)
    assert "store.db is gone, though records had been written to it; a new store begins" in caplog.text


def test_a_store_that_cannot_be_opened_is_waited_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = filled(tmp_path, "store")
    (tmp_path / "store.db").mkdir()

    def mend() -> bool:
        if (tmp_path / "store.db").is_dir() and "cannot be opened" in caplog.text:
            (tmp_path / "store.db").rmdir()
        return outbox.queued("store") == 0

    deliver(outbox, StoreSink(tmp_path / "store.db"), mend)
    assert Store.open(tmp_path / "store.db", readonly=True).count("metric", "w-001") == 54


def test_a_trouble_that_lasts_does_not_fill_the_log() -> None:
    complaints = Complaints()
    said = [complaints.level(text) for text in ("broker away", "broker away", "refused", "broker away", "refused")]
    assert said == [logging.WARNING, logging.INFO, logging.WARNING, logging.INFO, logging.INFO]


def lines(folder: Path) -> list[int]:
    return [
        json.loads(line)["seq"]
        for path in sorted(folder.glob("records-*.ndjson"))
        for line in path.read_text().splitlines()
    ]


def test_files_are_cut_at_midnight_utc(tmp_path: Path) -> None:
    outbox = filled(tmp_path, "file")
    deliver(outbox, FileSink(tmp_path / "out", "home", "gw-1"), lambda: outbox.queued("file") == 0)
    assert [p.name for p in sorted((tmp_path / "out").iterdir())] == [
        "records-2024-10-03.ndjson",
        "records-2024-10-04.ndjson",
    ]
    assert lines(tmp_path / "out") == list(range(1, 61))
    first = json.loads((tmp_path / "out" / "records-2024-10-03.ndjson").read_text().splitlines()[0])
    assert (first["wearer"], first["kind"], first["data"]["anterior_tilt_deg"]) == ("w-001", "metric", 0.0)


@pytest.mark.parametrize("torn", [0, 1, 40, 400])
def test_a_crash_before_the_confirmation_repeats_no_line(tmp_path: Path, torn: int) -> None:
    outbox = filled(tmp_path, "file")
    sink = FileSink(tmp_path / "out", "home", "gw-1")
    view = SinkView(outbox, "file")
    stop = threading.Event()
    stop.set()
    sink.run(view, stop)  # learns the spool's id, writes nothing
    sink.open()
    sink.write(view.read(0, 45))  # killed before the cursor moved
    newest = max((tmp_path / "out").iterdir())
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size - torn])
    again = FileSink(tmp_path / "out", "home", "gw-1")
    deliver(outbox, again, lambda: outbox.queued("file") == 0)
    assert lines(tmp_path / "out") == list(range(1, 61))


def test_a_writer_gets_the_same_records_again_after_an_error(tmp_path: Path) -> None:
    class Flaky:
        def __init__(self) -> None:
            self.trouble: str | None = None
            self.got: list[int] = []
            self.opened = 0

        def open(self) -> None:
            self.opened += 1
            if self.opened == 2:
                raise SinkError("still away")

        def write(self, entries: list[Entry]) -> None:
            if self.opened == 1:
                raise SinkError("went away")
            self.got += [e.seq for e in entries]

        def close(self) -> None:
            """Nothing to close."""

    outbox = filled(tmp_path, "flaky")
    flaky, stop = Flaky(), threading.Event()
    thread = threading.Thread(target=run_writer, args=("flaky", flaky, SinkView(outbox, "flaky"), stop))
    thread.start()
    wait_until("delivery", lambda: outbox.queued("flaky") == 0)
    stop.set()
    outbox.wake()
    thread.join(5)
    assert flaky.got == list(range(1, 61))
    assert flaky.opened == 3


def test_backoff_grows_to_its_bound_and_honours_what_is_asked() -> None:
    backoff = Backoff(first_s=1.0, most_s=60.0)
    pauses = [backoff.next_s() for _ in range(200)]
    for i, pause in enumerate(pauses):
        assert min(60.0, 2.0**i) / 2 <= pause <= min(60.0, 2.0**i)
    assert len({round(p, 6) for p in pauses[10:]}) > 150  # jittered, not in step
    assert backoff.next_s(at_least_s=100) >= 100
    backoff.reset()
    assert backoff.next_s() <= 1.0
