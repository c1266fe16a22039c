"""Arrow columns of the store, read by a process beside: the cells that `sqlite3` gives, or a refusal."""

from __future__ import annotations

import math
import shutil
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from processing.alignment.offset import PelvicOffset
from processing.dictionary import IDENTITY, KINDS
from processing.types import NS_PER_S, DeviceReport, Epoch, Event, Metric, Record
from sensor_gateway import cli
from sensor_gateway.alignments.notes import append, offset_note
from sensor_gateway.export.csv_parquet import open_table
from sensor_gateway.export.deidentify import Veil
from sensor_gateway.export.tables import column_table, schema_of
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.records import FAR_NS
from sensor_gateway.sinks.store import Store, StoreError
from sensor_gateway.sinks.store_arrow import MANY, arrow_columns

T0 = 1_790_000_040 * NS_PER_S
N = 9000  # more than two batches of the reader; the first without a tilt
QUIET = 8500


def records(n: int) -> Iterable[Record]:
    for i in range(n):
        t = T0 + i * NS_PER_S
        tilt = None if i < QUIET else i / 8
        yield Metric(t, tilt, 0.1 * i, tilt, "standing" if i % 2 else "lying", 0.9, 1.0, 0.8)
        if i % 300 == 0:
            yield Epoch(t, tilt, tilt, tilt, tilt, tilt, 0, 0, 60, 0, 0, 0, 0, 0, None, 1.0, 1.0, shifts=i or None)
            yield Event(t, f"{i:016x}", "flag", "tilt_dose" if i else None, {"why": 'über "7°",\nso', "of": [1, None]})
            yield DeviceReport(t, battery_percent=81.5 if i else None, firmware="1.2" if i else None)


def joined(pages: Iterable[Mapping[str, Sequence[Any]]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for page in pages:
        for name, cells in page.items():
            found.setdefault(name, []).extend(c.as_py() if hasattr(c, "as_py") else c for c in cells)
    return found


@pytest.fixture
def store(tmp_path: Path) -> Iterable[Store]:
    store = Store.open(tmp_path / "a store's.db")
    store.write(Owned("w'1", clip, r) for clip in ("clip-1", "clip-2") for r in records(N if clip == "clip-1" else 40))
    store.write(Owned("w-2", "clip-3", r) for r in records(10))
    yield store
    store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_its_columns_are_those_of_the_store_beside_one_who_writes(store: Store, kind: str) -> None:
    for wearer, t0, t1 in (
        ("w'1", 0, FAR_NS),
        ("w'1", T0 + 30 * NS_PER_S, T0 + QUIET * NS_PER_S),
        ("nobody", 0, FAR_NS),
    ):
        expected = joined(store.columns(kind, wearer, t0, t1))
        assert joined(arrow_columns(store.path, kind, wearer, t0, t1)) == expected
        assert bool(expected) == (wearer != "nobody")


@pytest.mark.parametrize("kind", KINDS)
def test_its_tables_have_the_dictionarys_types(store: Store, kind: str) -> None:
    """Also where a column has no value in a whole batch."""
    (expected,), tables = store.columns(kind, "w'1", page=FAR_NS), arrow_columns(store.path, kind, "w'1", 0, FAR_NS)
    whole = column_table(expected, KINDS[kind])
    at = 0
    for page in tables:
        table = column_table(page, KINDS[kind])
        assert table.equals(whole.slice(at, table.num_rows), check_metadata=True)
        at += table.num_rows
    assert at == whole.num_rows


def test_who_stops_reading_ends_the_reader(store: Store) -> None:
    pages = arrow_columns(store.path, "metric", "w'1", 0, FAR_NS)
    assert 0 < sum(len(page["sensor"]) for page in islice(pages, 1)) < N
    pages.close()
    store.write([Owned("w'1", "clip-1", Metric(T0, 1.0, 1.0, 1.0, "lying", 1.0, 1.0, 1.0))])


def test_a_file_that_breaks_off_is_refused_and_never_shortened(store: Store) -> None:
    store.close()
    with store.path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(size // 2)
        file.write(b"\xff" * (size // 4))
    with pytest.raises(StoreError, match="cannot be read"):
        list(arrow_columns(store.path, "metric", "w'1", 0, FAR_NS))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.db"):
        list(arrow_columns(tmp_path / "none.db", "metric", "w-1", 0, FAR_NS))


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More seconds than are read row by row, over three days."""
    path = tmp_path_factory.mktemp("month") / "store.db"
    store = Store.open(path)
    store.write(Owned("w-1", "clip-1", r) for r in records(301) if not isinstance(r, Metric))
    posed = Event(
        T0 + 9 * NS_PER_S, "a" * 16, "alignment", None, {"outcome": "in force", "method": "static", "r_ps": []}
    )
    store.write([Owned("w-1", "clip-1", posed)])
    store.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "INSERT INTO metric SELECT 'w-1', 'clip-' || (1 + value % 2), ?1 + value * 1000000000, "
            "CASE WHEN value % 7 THEN value / 8.0 END, value * 0.1, CASE WHEN value % 5 THEN 2.0 END, 'sitting', 0.9, 1.0, 0.8 FROM "
            "(WITH RECURSIVE n(value) AS (SELECT 0 UNION ALL SELECT value + 1 FROM n WHERE value < ?2 - 1) SELECT value FROM n)",
            (T0, MANY),
        )
    return path


def export(db: Path, out: Path, *more: str | Path) -> int:
    return cli.main([str(word) for word in ("export", "--store", db, "--out", out, "--kind", "metrics", *more)])


def test_an_export_of_very_many_rows_is_that_of_the_cells(month: Path, tmp_path: Path) -> None:
    """To the last byte of the file."""
    out, expected = tmp_path / "out", tmp_path / "expected.parquet"
    assert export(month, out) == 0
    fields = (*IDENTITY, *KINDS["metric"])
    writer = open_table(expected, schema_of(fields), "parquet")
    with closing(Store.open(month, readonly=True)) as store:
        for page in store.columns("metric", "w-1"):
            writer.write(column_table({"wearer": ["w-1"] * len(page["sensor"]), **page}, fields))
    writer.close()
    assert writer.rows == MANY
    assert (out / "metrics.parquet").read_bytes() == expected.read_bytes()


DAYS = ("2026-09-21", "2026-09-22", "2026-09-23", "2026-09-24")
HIDE = ("--shift-days", "random", "--remap-ids", "--key")


@pytest.mark.parametrize("hidden", [False, True])
def test_very_many_rows_by_day_are_those_of_each_day_alone(month: Path, tmp_path: Path, hidden: bool) -> None:
    together, apart, key = tmp_path / "together", tmp_path / "apart", (*HIDE, tmp_path / "key") if hidden else ()
    assert export(month, together, "--by-day", *key) == 0
    for first, end in pairwise(DAYS):  # too few rows for the process beside
        assert export(month, apart, "--by-day", *key, "--from", first, "--to", end) == 0
    files = sorted(path.relative_to(apart) for path in apart.rglob("*.parquet"))
    assert len(files) == len(DAYS) - 1
    assert files == sorted(path.relative_to(together) for path in together.rglob("*.parquet"))
    for name in files:
        assert (together / name).read_bytes() == (apart / name).read_bytes()


def test_very_many_rows_are_moved_and_renamed_as_few_are(month: Path, tmp_path: Path) -> None:
    whole, days, key = tmp_path / "whole", tmp_path / "days", (*HIDE, tmp_path / "key")
    assert export(month, whole, *key) == 0
    assert "w-1" not in (whole / "manifest.json").read_text()
    parts = []
    for first, end in pairwise(DAYS):
        assert export(month, days, *key, "--from", first, "--to", end) == 0
        parts.append(pq.read_table(days / "metrics.parquet"))
    found = pq.read_table(whole / "metrics.parquet")
    assert found.num_rows == MANY
    assert found.equals(pa.concat_tables(parts), check_metadata=True)
    assert not set(found["sensor"].unique().to_pylist()) & {"clip-1", "clip-2"}


def test_absolute_tilt_of_very_many_rows_stands_in_the_order_of_metrics(month: Path, tmp_path: Path) -> None:
    db, whole, days = tmp_path / "store.db", tmp_path / "whole", tmp_path / "days"
    shutil.copyfile(month, db)
    offset = PelvicOffset(9.5, "caliper", "pt-1", T0 + 100 * NS_PER_S, 1.5)
    append(tmp_path, lambda version: offset_note(version, T0, "w-1", offset))
    assert export(db, whole) == 0
    parts = []
    for first, end in pairwise(DAYS):
        assert export(db, days, "--from", first, "--to", end) == 0
        parts.append(pq.read_table(days / "absolute.parquet"))
    found, metrics = pq.read_table(whole / "absolute.parquet"), pq.read_table(whole / "metrics.parquet")
    assert found.equals(pa.concat_tables(parts))
    for name in ("sensor", "t_utc_ns"):
        assert found[name].equals(metrics[name])
    rows = zip(
        *(metrics[name].to_pylist() for name in ("sensor", "anterior_tilt_deg", "tilt_uncertainty_deg")), strict=True
    )
    expected = [
        (tilt + 9.5, math.hypot(doubt, 1.5))
        if i >= 100 and sensor == "clip-1" and None not in (tilt, doubt)
        else (None, None)
        for i, (sensor, tilt, doubt) in enumerate(rows)
    ]
    assert found["offset_version"].to_pylist() == [None] * 100 + [1] * (MANY - 100)
    assert (
        list(zip(*(found[n].to_pylist() for n in ("anterior_tilt_abs_deg", "tilt_abs_uncertainty_deg")), strict=True))
        == expected
    )


def test_events_in_arrow_arrays_are_moved_and_renamed_as_in_lists(store: Store) -> None:
    hide = Veil(-400, True, "5e" * 32, {"w'1": "wearer", "clip-1": "sensor"})
    expected, found = (
        pa.concat_tables(column_table(hide.columns("w'1", page), KINDS["event"]) for page in pages).combine_chunks()
        for pages in (store.columns("event", "w'1"), arrow_columns(store.path, "event", "w'1", 0, FAR_NS))
    )
    assert found.equals(expected)
    assert found.num_rows > 20
