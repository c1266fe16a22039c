"""The export that grows: whole days as files, only what changed is written, a killed run goes on, InfluxDB gives the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest

from processing.types import NS_PER_S, DeviceReport, Epoch, Event, Metric, Record
from sensor_gateway import cli
from sensor_gateway.config import Influx
from sensor_gateway.export.manifest import check_manifest, manifest_of
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.influx_admin import Database
from sensor_gateway.sinks.influx_reader import InfluxRecords
from sensor_gateway.sinks.records import Records
from sensor_gateway.sinks.store import Store
from tests.sensor_gateway.export.influx_copy import influxd_in, send

DAY0 = 20_700  # a UTC day of 2026
DAY_NS = 86_400 * NS_PER_S
KINDS = "metrics,epochs,events,devices"


def records(day: int, n: int) -> Iterator[Record]:
    start = (DAY0 + day) * DAY_NS
    for i in range(n):
        t = start + i * 600 * NS_PER_S
        tilt = None if i % 7 == 3 else i / 8  # whole numbers among them
        yield Metric(t, tilt, 0.1 * i, None if tilt is None else 2.0, "standing", 0.9, 1.0, 0.8)
        yield Epoch(t, 1.5, 1.4, -2.0, 4.0, 1.1, 0, 0, 60, 0, 0, 0, 0, 0, None, 1.0, 1.0)
        data = {"why": 'über 7° "so", nicht\nso', "limits": [1, None, {"b": 2.5, "a": True}]}
        yield Event(t, f"{day:08x}{i:08x}", "flag", "tilt_dose" if i % 2 else None, data)
        yield DeviceReport(t, battery_percent=80.0 - i, frames_received=i, link="streaming" if i else None)


def fill(store: Store, days: range, n: int = 20) -> None:
    store.write(
        Owned(w, c, r)
        for w, c in (("w-001", "clip-1"), ("w-001", "clip-2"), ("w-002", "clip-3"))
        for d in days
        for r in unique(c, d, n)
    )


def unique(sensor: str, day: int, n: int) -> Iterator[Record]:
    """As `records`, with event ids of the sensor's own."""
    for r in records(day, n):
        yield Event(r.t_utc_ns, f"{sensor[-1]}{r.event_id[1:]}", r.type, r.rule, r.data) if isinstance(r, Event) else r


@pytest.fixture
def db(tmp_path: Path) -> Path:
    store = Store.open(tmp_path / "store.db")
    fill(store, range(3))
    store.close()
    return tmp_path / "store.db"


def run(*words: str | Path) -> int:
    return cli.main([str(w) for w in words])


def by_day(db: Path, out: Path, *more: str) -> dict[str, int]:
    assert run("export", "--store", db, "--by-day", "--kind", KINDS, "--out", out, *more) == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["complete"] is True
    assert check_manifest(out) == []
    return dict(manifest["files"])


def stamps(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}


def test_a_second_run_writes_nothing_and_a_new_day_only_itself(db: Path, tmp_path: Path):
    out = tmp_path / "out"
    assert by_day(db, out) == {"written": 2 * 4 * 3, "as_before": 0}
    before = stamps(out)
    assert by_day(db, out) == {"written": 0, "as_before": 24}
    assert stamps(out) == before
    store = Store.open(db)
    fill(store, range(2, 4), 21)  # a record more on day 2, and a new day
    store.close()
    assert by_day(db, out) == {"written": 16, "as_before": 16}
    after = stamps(out)
    assert len([path for path in before if after[path] == before[path]]) == 16


def test_pandas_polars_and_duckdb_read_the_folder_as_the_plain_export(db: Path, tmp_path: Path):
    out, plain = tmp_path / "out", tmp_path / "plain"
    by_day(db, out)
    assert run("export", "--store", db, "--kind", KINDS, "--out", plain) == 0
    for table in KINDS.split(","):
        want = pd.read_parquet(plain / f"{table}.parquet")
        order = ["wearer", "t_utc_ns", "sensor"]
        want = want.sort_values(order, ignore_index=True)
        pandas = pd.read_parquet(out / table).astype({"wearer": str})
        polars = pl.read_parquet(out / table / "**/*.parquet", hive_partitioning=True).to_pandas()
        duck = duckdb.sql(f"FROM read_parquet('{out}/{table}/**/*.parquet', hive_partitioning = true)").df()
        for read in (pandas, polars, duck):
            found = read.sort_values(order, ignore_index=True)[list(want.columns)]
            # Each library has its own missing text (None, nan): where they stand must agree, and all that is not missing.
            pd.testing.assert_frame_equal(found.isna(), want.isna())
            pd.testing.assert_frame_equal(
                found.astype(object).fillna(-1), want.astype(object).fillna(-1), check_dtype=False
            )


def test_a_changed_value_is_seen_though_the_number_of_records_is_the_same(db: Path, tmp_path: Path):
    out = tmp_path / "out"
    by_day(db, out)
    store = Store.open(db)
    store.write([Owned("w-002", "clip-3", Metric(DAY0 * DAY_NS, 9.75, 0.0, 2.0, "standing", 0.9, 1.0, 0.8))])
    store.close()
    assert by_day(db, out)["written"] == 1


def test_a_damaged_or_missing_file_is_written_again(db: Path, tmp_path: Path):
    out = tmp_path / "out"
    by_day(db, out)
    first, second = sorted(out.rglob("metrics.parquet"))[:2]
    first.unlink()
    second.write_bytes(second.read_bytes()[:100])
    assert by_day(db, out)["written"] == 2


def test_another_export_in_the_folder_is_refused_and_left_alone(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    by_day(db, out)
    before = stamps(out)
    other = tmp_path / "other.db"
    other.write_bytes(db.read_bytes())
    assert run("export", "--store", other, "--by-day", "--kind", KINDS, "--out", out) == 1
    assert "holds another export" in capsys.readouterr().err
    assert (
        run("export", "--store", db, "--by-day", "--kind", KINDS, "--out", out, "--from", "2026-09-03T10:00:00Z") == 1
    )
    assert "whole UTC days" in capsys.readouterr().err
    assert run("export", "--store", db, "--out", out) == 1
    assert "go on with --by-day" in capsys.readouterr().err
    assert stamps(out) == before
    assert check_manifest(out) == []


def test_moved_days_and_renamed_ids_need_a_key_and_stay_the_same_under_it(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out, key = tmp_path / "out", tmp_path / "key.json"
    hide = ("--shift-days", "random", "--remap-ids")
    assert run("export", "--store", db, "--by-day", "--out", out, *hide) == 2
    assert "needs --key" in capsys.readouterr().err
    assert by_day(db, out, *hide, "--key", str(key))["written"] == 24
    assert by_day(db, out, *hide, "--key", str(key)) == {"written": 0, "as_before": 24}
    names = " ".join(str(p.relative_to(out)) for p in out.rglob("*")) + (out / "manifest.json").read_text()
    for told in ("w-001", "w-002", "clip-1", "2026-09"):
        assert told not in names
    assert (
        run(
            "export",
            "--store",
            db,
            "--by-day",
            "--kind",
            KINDS,
            "--out",
            out,
            *hide,
            "--key",
            tmp_path / "another.json",
        )
        == 1
    )


def test_an_erased_wearer_leaves_the_folder_and_the_others_stay_byte_for_byte(db: Path, tmp_path: Path):
    from sensor_gateway.privacy.exports import erase_exports

    out = tmp_path / "out"
    by_day(db, out)
    others = {p: p.read_bytes() for p in out.rglob("*.parquet") if "w-002" in str(p)}
    assert erase_exports(db.parent, "w-001")["exports_rewritten"] == 1
    assert {p: p.read_bytes() for p in out.rglob("*.parquet")} == others
    assert check_manifest(out) == []
    assert "w-001" not in (out / "manifest.json").read_text()


@pytest.mark.parametrize("with_manifest", [True, False])
def test_a_wearer_leaves_a_shared_bids_data_set_and_its_manifest(db: Path, tmp_path: Path, with_manifest: bool):
    from sensor_gateway.privacy.exports import erase_exports

    out = tmp_path / "bids"
    assert run("export", "--store", db, "--format", "bids", "--out", out) == 0
    hers = [f for f in manifest_of(out)["outputs"] if f.startswith("sub-w001/")]
    others = {p: p.read_bytes() for p in out.glob("sub-w002/**/*") if p.is_file()}
    assert hers
    assert others
    if not with_manifest:
        (out / "manifest.json").unlink()
    done = erase_exports(db.parent, "w-001")
    assert done["exports_rewritten"] == 1
    assert (done["export_rows"] > 0) == with_manifest
    assert {p: p.read_bytes() for p in out.rglob("sub-*/**/*") if p.is_file()} == others
    assert not any(b"w-001" in p.read_bytes() or b"w001" in p.read_bytes() for p in out.rglob("*") if p.is_file())
    if with_manifest:
        assert check_manifest(out) == []
        assert len(manifest_of(out)["outputs"]) == len(others) + 5
    assert erase_exports(db.parent, "w-002")["exports_deleted"] == 1
    assert not out.exists()


def test_an_erasure_takes_what_a_killed_export_left_too(db: Path, tmp_path: Path):
    from sensor_gateway.privacy.exports import erase_exports

    out, plain, bids = tmp_path / "out", tmp_path / "plain", tmp_path / "bids"
    by_day(db, out)
    assert run("export", "--store", db, "--wearer", "w-001", "--out", plain) == 0
    assert run("export", "--store", db, "--wearer", "w-001", "--format", "bids", "--out", bids) == 0
    shutil.rmtree(bids)
    half = [
        next(out.glob("metrics/wearer=w-002/day=*")) / ".metrics.parquet.partial",
        plain / ".absolute.csv.partial",
        bids / "sub-w001/ses-20260301/motion/.half.tsv.partial",
        bids / ".participants.tsv.partial",
    ]
    own = plain / ".notes.partial"
    for path in (*half, own):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("w-001")
    erase_exports(db.parent, "w-001")
    assert not [path for path in half if path.exists()]
    assert own.exists()
    assert not bids.exists() or not list(bids.iterdir())


@pytest.mark.slow
def test_killed_at_any_moment_the_next_run_completes_it(db: Path, tmp_path: Path):
    store = Store.open(db)
    fill(store, range(3, 40), 100)
    store.close()
    out = tmp_path / "out"
    words = [
        sys.executable,
        "-m",
        "sensor_gateway.cli",
        "export",
        "--store",
        str(db),
        "--by-day",
        "--kind",
        KINDS,
        "--out",
        str(out),
    ]
    kept = 0
    for least in (1, 60, 140):  # files there when it is killed
        going = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        while going.poll() is None and len(list(out.rglob("[a-z]*.parquet"))) < least:
            time.sleep(0.002)
        os.killpg(going.pid, signal.SIGKILL) if going.poll() is None else None
        going.wait()
        kept = len(list(out.rglob("[a-z]*.parquet")))
    found = by_day(db, out)
    assert found["as_before"] >= kept - 1 > 0
    assert found["written"] + found["as_before"] == 2 * 4 * 40
    assert not list(out.rglob(".*.partial"))


@pytest.mark.servers
def test_influxdb_gives_the_same_records_as_the_store(db: Path, tmp_path: Path):
    with influxd_in(tmp_path / "influx") as influxd:
        store = Store.open(db, readonly=True)
        send(influxd, store, "here")
        send(influxd, store, "elsewhere", lambda wearer: wearer.replace("w-0", "x-0"))
        remote: Records = InfluxRecords(Database(Influx(url=f"http://127.0.0.1:{influxd.port}"), ""), "here")
        assert remote.wearers() == store.wearers()
        for kind in ("metric", "epoch", "event", "device"):
            for span in ((0, 2**63 - 1), ((DAY0 + 1) * DAY_NS + 5, (DAY0 + 2) * DAY_NS - 5)):
                assert flat(remote, kind, *span) == flat(store, kind, *span)
                assert remote.count(kind, "w-001", *span) == store.count(kind, "w-001", *span)
        store.close()
        config = tmp_path / "gateway.toml"
        config.write_text(
            f'[site]\nid = "here"\ndata_dir = "."\n[influx]\nurl = "http://127.0.0.1:{influxd.port}"\ntoken_file = "token"\n'
        )
        (tmp_path / "token").write_text("none-needed")
        (tmp_path / "token").chmod(0o600)
        folders = tmp_path / "a", tmp_path / "b"
        for folder, more in zip(folders, ((), ("--influx",)), strict=True):
            assert run("export", "--config", config, "--kind", KINDS, "--out", folder, *more) == 0
        for table in KINDS.split(","):
            assert (folders[0] / f"{table}.parquet").read_bytes() == (folders[1] / f"{table}.parquet").read_bytes()
        days = tmp_path / "days"
        for written in (24, 0):
            assert run("export", "--config", config, "--influx", "--by-day", "--kind", KINDS, "--out", days) == 0
            assert json.loads((days / "manifest.json").read_text())["files"]["written"] == written


def flat(records: Records, kind: str, *span: int) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for wearer in ("w-001", "w-002"):
        for page in records.columns(kind, wearer, *span, page=17):
            for name, cells in page.items():
                found.setdefault(name, []).extend(cells)
    return found
