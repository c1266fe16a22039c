"""The embedded store: round trips, idempotence, paging, concurrent reading, refusals."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import fields
from pathlib import Path

import pytest

from processing.dictionary import KINDS
from processing.types import DeviceReport, Epoch, Event, Metric, Record
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store, StoreError

S = 1_000_000_000
T0 = 1_790_000_000 * S


def metric(i: int, tilt: float | None = 3.25) -> Metric:
    return Metric(T0 + i * S, tilt, 0.1, 1.5, "standing", 0.9, 1.0, 0.8)


EPOCH = Epoch(T0, 3.0, 3.1, -1.0, 7.0, 2.0, 0, 10, 40, 10, 0, 0, 0, 0, None, 0.98, 1.0)
EVENT = Event(T0 + 5, "abc123", "flag", "tilt_dose", {"threshold_deg": 8.0, "why": ["ä", None, True]})
DEVICE = DeviceReport(T0, battery_percent=88.0, frames_lost=3, link="streaming")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "sub" / "store.db")


def own(record: Record, wearer: str = "w-001", sensor: str = "clip-1") -> Owned:
    return Owned(wearer, sensor, record)


def test_every_kind_comes_back_equal(store: Store) -> None:
    assert store.write(map(own, (metric(0), metric(1, None), EPOCH, EVENT, DEVICE))) == 5
    assert list(store.metrics("w-001")) == [metric(0), metric(1, None)]
    assert list(store.epochs("w-001")) == [EPOCH]
    assert list(store.events("w-001")) == [EVENT]
    assert list(store.devices("w-001")) == [DEVICE]
    assert store.latest_metric("w-001") == metric(1, None)
    assert list(store.devices("w-001")) == [DEVICE]
    assert store.event("abc123") == own(EVENT)
    assert store.event("nope") is None
    assert store.latest_metric("w-404") is None
    store.write([own(DEVICE, wearer="w-000")])
    assert store.wearers() == ["w-000", "w-001"]


def test_columns_are_the_fields_in_order() -> None:
    for kind, cls in (("metric", Metric), ("epoch", Epoch), ("event", Event), ("device", DeviceReport)):
        assert [f.name for f in fields(cls)] == [f.name for f in KINDS[kind]]


def test_a_repeat_changes_nothing(store: Store) -> None:
    for _ in range(3):
        store.write(map(own, (metric(0), EPOCH, EVENT, DEVICE)))
    assert [store.count(kind, "w-001") for kind in KINDS] == [1, 1, 1, 1]


def test_a_failed_write_leaves_nothing_behind(store: Store) -> None:
    broken = Metric(T0 + S, 1.0, 1.0, 1.0, None, 0.5, 1.0, 1.0)
    with pytest.raises(sqlite3.IntegrityError):
        store.write(map(own, (metric(0), broken)))
    assert list(store.metrics("w-001")) == []
    assert store.write([own(metric(0))]) == 1


def test_a_packed_store_is_taken_whole_or_not_at_all(store: Store) -> None:
    store.write(own(metric(i)) for i in range(3))
    part = Store.in_memory()
    part.write(map(own, (metric(2, 9.0), metric(3), EPOCH, EVENT, DEVICE)))
    packed = part.packed()
    for _ in range(2):
        store.take(packed)
        assert list(store.metrics("w-001")) == [metric(0), metric(1), metric(2, 9.0), metric(3)]
        assert [store.count(kind, "w-001") for kind in KINDS if kind != "metric"] == [1, 1, 1]
        assert list(store.events("w-001")) == [EVENT]
    part.close()
    old = sqlite3.connect(":memory:", isolation_level=None)
    old.deserialize(packed)
    old.execute("UPDATE metric SET anterior_tilt_deg = 5")
    old.execute("ALTER TABLE device DROP COLUMN battery_percent")
    for bad in (old.serialize(), b"nothing" * 100):
        with pytest.raises(StoreError, match="let the same Tiltline make them"):
            store.take(bad)
    assert store.write([own(metric(4))]) == 1
    assert [m.anterior_tilt_deg for m in store.metrics("w-001")] == [3.25, 3.25, 9.0, 3.25, 3.25]


def test_interval_is_half_open_and_wearers_are_apart(store: Store) -> None:
    store.write(own(metric(i)) for i in range(10))
    store.write([own(metric(3, 9.0), wearer="w-002")])
    assert [m.t_utc_ns for m in store.metrics("w-001", T0 + 2 * S, T0 + 5 * S)] == [T0 + i * S for i in (2, 3, 4)]
    assert [m.anterior_tilt_deg for m in store.metrics("w-002")] == [9.0]


def test_pages_join_without_loss_also_where_times_tie(store: Store) -> None:
    store.write(own(metric(i), sensor=sensor) for i in range(50) for sensor in ("clip-1", "clip-2", "clip-3"))
    pages = list(store.columns("metric", "w-001", page=7))
    assert len(pages) == 22
    got = [key for page in pages for key in zip(page["t_utc_ns"], page["sensor"], strict=True)]
    assert got == [(T0 + i * S, sensor) for i in range(50) for sensor in ("clip-1", "clip-2", "clip-3")]
    assert list(pages[0])[:3] == ["sensor", "t_utc_ns", "anterior_tilt_deg"]


def test_other_connections_read_while_one_writes(store: Store) -> None:
    store.write([own(metric(0))])
    reader = Store.open(store.path, readonly=True)
    seen: list[int] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.wait(0.005):
            seen.append(sum(1 for _ in reader.metrics("w-001")))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for i in range(1, 40):
            store.write([own(metric(i))])
    finally:
        stop.set()
        thread.join()
    assert seen == sorted(seen)
    assert reader.count("metric", "w-001") == 40
    reader.close()


def test_a_reader_cannot_write(store: Store) -> None:
    reader = Store.open(store.path, readonly=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.write([own(metric(0))])


def test_an_older_file_gains_new_columns(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    Store.open(path).close()
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE device DROP COLUMN link")
    store = Store.open(path)
    store.write([own(DEVICE)])
    assert list(store.devices("w-001")) == [DEVICE]


def test_refusals_name_the_file_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"absent.db: no store there yet; start"):
        Store.open(tmp_path / "absent.db", readonly=True)
    (tmp_path / "junk.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match=r"junk.db: cannot be used as a store"):
        Store.open(tmp_path / "junk.db")
    path = tmp_path / "newer.db"
    Store.open(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer Tiltline"):
        Store.open(path)
