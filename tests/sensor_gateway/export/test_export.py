"""Export and data dictionary: what lies in the files is what lies in the store, in the dictionary's words."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from processing.dictionary import DEVICE, EPOCH, EVENT, METRIC, SAMPLE, TABLES
from processing.types import NS_PER_S, DeviceReport, Epoch, Event, Metric, Samples
from sensor_gateway import cli
from sensor_gateway.export import registry
from sensor_gateway.export.csv_parquet import ROW_GROUP, open_table
from sensor_gateway.export.dictionary_doc import dictionary_json, dictionary_markdown, influx_markdown
from sensor_gateway.export.manifest import check_manifest
from sensor_gateway.export.tables import event_line, sample_table, schema_of
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from sensor_gateway.whole_files import FileSet

ROOT = Path(__file__).parents[3]
T0 = 1_790_000_040 * NS_PER_S  # a full minute


def metric(i: int, tilt: float | None) -> Metric:
    return Metric(T0 + i * NS_PER_S, tilt, 0.1 * i, None if tilt is None else 2.0, "standing", 0.9, 1.0, 0.8)


def epoch(i: int) -> Epoch:
    return Epoch(T0 + i * 60 * NS_PER_S, 1.5, 1.4, -2.0, 4.0, 1.1, 0, 0, 60, 0, 0, 0, 0, 0, None, 1.0, 1.0)


def event(i: int) -> Event:
    data = {"why": 'über 7° "so", nicht\nso', "limits": [1, None, {"b": 2.5, "a": True}]}
    return Event(T0 + i * 90 * NS_PER_S, f"{i:016x}", "flag", "tilt_dose" if i else None, data)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    path = tmp_path / "store.sqlite"
    store = Store.open(path)
    for wearer in ("w-002", "w-001"):
        records = [
            *(metric(i, None if i % 10 == 3 else math.sin(i) * 7) for i in range(600)),
            *(epoch(i) for i in range(10)),
            DeviceReport(T0, battery_percent=81.5),
        ]
        store.write(Owned(wearer, "clip-1", r) for r in records)
    store.write(Owned("w-001", "clip-1", event(i)) for i in range(3))
    store.close()
    return path


def run(*words: str | Path) -> int:
    return cli.main([str(w) for w in words])


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_files_hold_exactly_what_the_store_holds(db: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    assert run("export", "--store", db, "--format", form, "--kind", "metrics,epochs,events,devices", "--out", out) == 0
    read = pd.read_csv if form == "csv" else pd.read_parquet
    metrics = read(out / f"metrics.{form}")
    assert list(metrics.columns) == ["wearer", "sensor", *(f.name for f in METRIC)]
    assert list(metrics.wearer.unique()) == ["w-001", "w-002"]
    for wearer, rows in metrics.groupby("wearer"):
        expected = [metric(i, None if i % 10 == 3 else math.sin(i) * 7) for i in range(600)]
        for field in METRIC:
            want = pd.Series([getattr(m, field.name) for m in expected])
            pd.testing.assert_series_equal(
                rows[field.name].reset_index(drop=True),
                want,
                check_names=False,
                check_exact=True,
                check_dtype=form == "parquet",  # in CSV a column of whole numbers reads back as integers
                obj=f"{wearer} {field.name}",
            )
    assert metrics.anterior_tilt_deg.isna().sum() == 120
    epochs = read(out / f"epochs.{form}")
    assert len(epochs) == 20
    assert epochs.dose_deg_min.isna().all()
    events = read(out / f"events.{form}")
    assert [json.loads(text) for text in events.data] == [event(i).data for i in range(3)]
    assert list(events.rule.isna()) == [True, False, False]
    devices = read(out / f"devices.{form}")
    assert devices.battery_percent.tolist() == [81.5, 81.5]
    assert check_manifest(out) == []


def test_a_folder_is_compared_with_its_manifest(db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run("export", "--store", db, "--out", out) == 0
    assert run("export", "--check", out) == 0
    with (out / "events.parquet").open("ab") as f:
        f.write(b"\0")
    (out / "epochs.parquet").unlink()
    capsys.readouterr()
    assert run("export", "--check", out, "--json") == 1
    assert json.loads(capsys.readouterr().out)["missing_or_changed"] == ["epochs.parquet", "events.parquet"]
    assert run("export", "--check", tmp_path) == 1
    assert "holds no manifest" in capsys.readouterr().err
    assert run("export", "--store", db) == 2
    assert "--out" in capsys.readouterr().err


def test_csv_spells_missing_as_an_empty_cell_and_numbers_so_that_they_read_back(db: Path, tmp_path: Path) -> None:
    assert run("export", "--store", db, "--format", "csv", "--wearer", "w-001", "--out", tmp_path / "out") == 0
    lines = (tmp_path / "out/metrics.csv").read_text().splitlines()
    assert lines[0].replace('"', "") == "wearer,sensor," + ",".join(f.name for f in METRIC)
    assert lines[4].split(",")[3] == ""
    assert float(lines[2].split(",")[3]) == math.sin(1) * 7


def test_parquet_carries_units_and_meanings(db: Path, tmp_path: Path) -> None:
    assert run("export", "--store", db, "--out", tmp_path / "out") == 0
    schema = pq.read_schema(tmp_path / "out/epochs.parquet")
    for field in EPOCH:
        mine = schema.field(field.name)
        assert mine.metadata[b"unit"].decode() == field.unit
        assert mine.metadata[b"meaning"].decode() == field.meaning
        assert mine.nullable == bool(field.null_means)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_exporting_again_gives_the_same_bytes(db: Path, tmp_path: Path, form: str) -> None:
    for name in ("a", "b", "b"):
        assert run("export", "--store", db, "--format", form, "--out", tmp_path / name) == 0
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "b").iterdir())
    assert not [n for n in names if n.startswith(".")]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_selection_of_wearer_span_and_kind(db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ("--wearer", "w-002", "--from", "2026-09-21T14:14:00Z", "--to", "2026-09-21T16:15:00+02:00")
    assert run("export", "--store", db, *words, "--kind", "metrics", "--out", out, "--json") == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["outputs"]["metrics.parquet"]["rows"] == 60
    assert manifest["selection"]["from_utc_ns"] == T0
    assert sorted(p.name for p in out.iterdir()) == [
        "dictionary.json",
        "dictionary.md",
        "manifest.json",
        "metrics.parquet",
    ]
    assert pq.read_table(out / "metrics.parquet")["t_utc_ns"].to_pylist() == [T0 + i * NS_PER_S for i in range(60)]


def test_wrong_selections_get_one_sentence(db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run("export", "--store", db, "--wearer", "w-009", "--out", out) == 1
    assert "has no wearer w-009; it knows w-001, w-002" in capsys.readouterr().err
    assert run("export", "--store", tmp_path / "none.sqlite", "--out", out) == 1
    assert "no store there" in capsys.readouterr().err
    Store.open(tmp_path / "new.sqlite").close()
    assert run("export", "--store", tmp_path / "new.sqlite", "--out", out) == 1
    assert "holds no records yet" in capsys.readouterr().err
    assert run("export", "--store", db, "--from", "2026-03-02", "--to", "2026-03-01", "--out", out) == 2
    assert not out.exists()
    (tmp_path / "file").write_text("")
    assert run("export", "--store", db, "--out", tmp_path / "file" / "below") == 1
    assert "cannot be written" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("export", "--store", db, "--kind", "metrics,strides", "--out", out)
    assert "name some of raw, samples, metrics" in capsys.readouterr().err
    assert run("export", "--store", db, "--kind", "metrics,steps", "--out", out) == 2
    assert "come from the journal" in capsys.readouterr().err
    assert run("export", "--store", db, "--to", "2020-01-01", "--out", out) == 0
    assert "no record lies in this span" in capsys.readouterr().err


def test_a_file_in_the_place_of_the_folder_is_left_alone_and_never_taken_for_an_export(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    known = registry.known(db.parent)
    assert run("export", "--store", db, "--out", mine) == 1
    assert f"{mine}: is a file; name a folder with --out" in capsys.readouterr().err
    assert registry.known(db.parent) == known
    assert mine.read_text() == "mine"


def test_what_an_earlier_export_left_in_the_folder_is_told_and_what_a_killed_one_left_goes(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("export", "--store", db, "--kind", "metrics,events", "--out", out) == 0
    (out / ".epochs.parquet.partial").write_bytes(b"half")
    (out / "notes.txt").write_text("the researcher's own")
    capsys.readouterr()
    assert run("export", "--store", db, "--kind", "metrics,devices", "--out", out) == 0
    assert "warning: events.parquet in " in capsys.readouterr().err
    expected = {"metrics.parquet", "devices.parquet", "events.parquet", "notes.txt"}
    assert {path.name for path in out.iterdir()} == expected | {"manifest.json", "dictionary.json", "dictionary.md"}
    (out / "events.parquet").unlink()
    assert run("export", "--store", db, "--kind", "metrics,devices", "--out", out) == 0
    assert "warning" not in capsys.readouterr().err


def test_bids_takes_no_kinds_and_is_checked_as_other_exports(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("export", "--store", db, "--format", "bids", "--kind", "events", "--out", out) == 2
    assert "leave --kind out" in capsys.readouterr().err
    assert run("export", "--store", db, "--format", "bids", "--out", out) == 0
    assert run("export", "--check", out) == 0
    damaged = next(out.rglob("*_motion.tsv"))
    damaged.write_text(damaged.read_text(encoding="utf-8") + "0\n", encoding="utf-8")
    capsys.readouterr()
    assert run("export", "--check", out, "--json") == 1
    assert json.loads(capsys.readouterr().out)["missing_or_changed"] == [damaged.relative_to(out).as_posix()]
    (out / "manifest.json").unlink()
    assert run("export", "--check", out) == 1
    assert "holds no manifest that can be read" in capsys.readouterr().err


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")

    def fail_half_way() -> None:
        with FileSet(tmp_path) as files:
            files.write_text("a.txt", "new")
            files.write_text("b.txt", "new")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail_half_way()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]


def test_row_groups_do_not_depend_on_the_pieces_that_came(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    n = ROW_GROUP + 1000
    q = rng.normal(size=(n, 4))
    tilt = np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))
    samples = Samples(np.arange(n), q, tilt, tilt.copy(), ~np.isnan(tilt))
    whole = sample_table(samples)
    for name, size in (("a", n), ("b", 70_001)):
        writer = open_table(tmp_path / name, whole.schema, "parquet")
        for start in range(0, n, size):
            writer.write(whole.slice(start, size))
        writer.close()
        assert writer.rows == n
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    back = pq.read_table(tmp_path / "a")
    assert back.equals(whole)
    assert back["anterior_tilt_deg"].null_count == int(np.isnan(tilt).sum())


def test_an_event_line_is_one_line_without_nan() -> None:
    line = event_line(Event(5, "ab", "gap", None, {"z": float("nan"), "a": "x\ny"}))
    assert line == '{"t_utc_ns":5,"event_id":"ab","type":"gap","rule":null,"data":{"a":"x\\ny","z":null}}\n'
    assert json.loads(event_line(event(1)))["data"] == event(1).data


@pytest.mark.parametrize(
    ("record", "fields"), [(Metric, METRIC), (Epoch, EPOCH), (Event, EVENT), (DeviceReport, DEVICE)]
)
def test_every_field_of_a_record_is_in_the_dictionary_and_the_other_way_round(record: type, fields: tuple) -> None:
    assert [f.name for f in dataclasses.fields(record)] == [f.name for f in fields]


def test_every_column_of_samples_is_in_the_dictionary() -> None:
    one = Samples(np.zeros(1, np.int64), np.zeros((1, 4)), np.zeros(1), np.zeros(1), np.ones(1, bool))
    assert sample_table(one).schema.names == [f.name for f in SAMPLE]
    spread = {"q_es": {"q_es_w", "q_es_x", "q_es_y", "q_es_z"}}
    names = set().union(*(spread.get(f.name, {f.name}) for f in dataclasses.fields(Samples)))
    assert names == {f.name for f in SAMPLE}
    assert schema_of(SAMPLE).field("valid").type == pa.bool_()


def test_the_committed_data_dictionary_is_current() -> None:
    assert (ROOT / "docs/data_dictionary.md").read_text(
        encoding="utf-8"
    ) == f"{dictionary_markdown()}\n{influx_markdown()}", (
        "run: python -m sensor_gateway.export.dictionary_doc docs/data_dictionary.md"
    )


def test_the_dictionary_as_json_names_every_table() -> None:
    content = json.loads(dictionary_json())
    assert set(content["tables"]) == set(TABLES)
    assert {f["name"] for f in content["tables"]["epochs"]} == {f.name for f in EPOCH}
    assert {f["name"]: f["unit"] for f in content["event_data"]["response"]}["delta_deg"] == "deg"
