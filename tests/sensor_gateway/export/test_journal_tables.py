"""Tables that only the journal has: equal to what `tiltline process` makes of the same samples, joinable, by day, and honest about gaps."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from processing.dictionary import TABLES
from processing.types import NS_PER_S
from sensor_gateway import cli
from sensor_gateway.config import Retention
from sensor_gateway.export import registry
from sensor_gateway.export.manifest import check_manifest
from sensor_gateway.privacy.exports import erase_exports
from sensor_gateway.privacy.retention import retain
from sensor_gateway.process import process_file
from tests.scale.identity import Case, synthetic
from tests.sensor_gateway.export.lived import Lived

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("export_journal")]

DAY_NS = 86_400 * NS_PER_S
DERIVED = ("samples", "steps", "transfers", "bouts")
OF_JOURNAL = ("raw", *DERIVED)
TIME = {name: fields[0].name for name, fields in TABLES.items()}


def run(*words: str | Path) -> int:
    return cli.main([str(w) for w in words])


@dataclass(frozen=True)
class TwoSensors(Lived):
    """A gateway that has lived the same quarter of an hour over midnight UTC with two sensors."""

    cases: tuple[Case, Case]
    midnight_ns: int


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> TwoSensors:
    folder = tmp_path_factory.mktemp("lived")
    made = synthetic(folder, 1, 0.25, seed=4)
    midnight_ns = (made.start_utc_ns // DAY_NS + 1) * DAY_NS
    start_ns = midnight_ns - 500 * NS_PER_S
    first, second = (replace(made, number=n, start_utc_ns=start_ns) for n in (1, 2))
    lived = TwoSensors(folder, (first, second), midnight_ns)
    lived.live(lived.cases)
    return lived


def test_tables_are_those_of_process_bit_for_bit(lived: TwoSensors, tmp_path: Path) -> None:
    case = lived.cases[1]
    process_file(case.path, tmp_path / "processed", case.options("online"))
    out = tmp_path / "out"
    assert run("export", "--config", lived.config, "--kind", "all", "--wearer", case.wearer, "--out", out) == 0
    for name in (*DERIVED, "metrics", "epochs"):
        want, found = pq.read_table(tmp_path / "processed" / f"{name}.parquet"), pq.read_table(out / f"{name}.parquet")
        assert found.column_names == ["wearer", "sensor", *want.column_names]
        mine = found.select(want.column_names)
        assert mine.equals(want), name
        assert mine.schema.remove_metadata().equals(want.schema.remove_metadata())
        assert [f.metadata for f in mine.schema] == [f.metadata for f in want.schema]
        assert want.num_rows > 0, name
        assert set(found["wearer"].to_pylist()) == {case.wearer}
    assert check_manifest(out) == []


@pytest.fixture(scope="module")
def whole(lived: TwoSensors, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything of it, plainly exported."""
    out = tmp_path_factory.mktemp("whole")
    export(lived, out, "--kind", "all")
    return out


@pytest.fixture
def mine(lived: TwoSensors, tmp_path: Path) -> TwoSensors:
    """The gateway's folder, to be changed."""
    shutil.copytree(lived.folder, tmp_path / "mine")
    (tmp_path / "mine" / "data" / registry.FILE).unlink(missing_ok=True)  # exports of the other tests
    return replace(lived, folder=tmp_path / "mine")


def forget_after(spool: Path, t_utc_ns: int) -> None:
    """The journal as it was at that instant."""
    with closing(sqlite3.connect(spool)) as db, db:
        db.execute("DELETE FROM journal WHERE last_rx_utc_ns > ?", (t_utc_ns,))


def export(lived: TwoSensors, out: Path, *words: str | Path) -> dict[str, Any]:
    assert run("export", "--config", lived.config, "--out", out, *words) == 0
    assert check_manifest(out) == []
    manifest: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return manifest


def in_order(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(["wearer", "sensor", TIME[table]], kind="stable", ignore_index=True)


def by_day(folder: Path, table: str) -> pd.DataFrame:
    return in_order(table, pd.read_parquet(folder / table).astype({"wearer": str}).drop(columns="day"))


def plain(folder: Path, table: str) -> pd.DataFrame:
    return in_order(table, pd.read_parquet(folder / f"{table}.parquet"))


def same(table: str, days: Path, whole: Path) -> None:
    want = plain(whole, table)
    assert len(want), table
    pd.testing.assert_frame_equal(by_day(days, table)[list(want.columns)], want, check_exact=True)


def test_a_span_is_the_part_of_the_whole_and_csv_holds_the_same(lived: TwoSensors, whole: Path, tmp_path: Path) -> None:
    words = ("--kind", ",".join(OF_JOURNAL))
    at = str(np.datetime64(lived.midnight_ns, "ns"))[:19] + "Z"
    export(lived, tmp_path / "until", *words, "--to", at)
    export(lived, tmp_path / "since", *words, "--from", at, "--format", "csv")
    for table in OF_JOURNAL:
        rows, until = plain(whole, table), plain(tmp_path / "until", table)
        early = rows[TIME[table]] < lived.midnight_ns
        pd.testing.assert_frame_equal(until, rows[early].reset_index(drop=True))
        since = in_order(table, pd.read_csv(tmp_path / "since" / f"{table}.csv"))
        pd.testing.assert_frame_equal(since, rows[~early].reset_index(drop=True), check_dtype=False, check_exact=True)


def test_by_day_is_the_plain_export_for_every_reader_and_a_second_run_writes_nothing(
    lived: TwoSensors, whole: Path, tmp_path: Path
) -> None:
    days = tmp_path / "days"
    files = export(lived, days, "--kind", "all", "--by-day")["files"]
    before = {path: path.stat().st_mtime_ns for path in days.rglob("*.parquet")}
    assert files == {"written": len(before), "as_before": 0}
    assert export(lived, days, "--kind", "all", "--by-day")["files"] == {"written": 0, "as_before": len(before)}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    for table in (*OF_JOURNAL, "metrics", "epochs", "events", "devices"):
        same(table, days, whole)
    for table in DERIVED:
        want = plain(whole, table)
        polars = pl.read_parquet(days / table / "**/*.parquet", hive_partitioning=True).to_pandas()
        duck = duckdb.sql(f"FROM read_parquet('{days}/{table}/**/*.parquet', hive_partitioning = true)").df()
        for read in (polars, duck):
            found = in_order(table, read)[list(want.columns)]
            pd.testing.assert_frame_equal(found.isna(), want.isna())
            pd.testing.assert_frame_equal(
                found.astype(object).fillna(-1), want.astype(object).fillna(-1), check_dtype=False, check_exact=True
            )


def test_a_journal_that_grows_changes_only_what_is_new(mine: TwoSensors, whole: Path, tmp_path: Path) -> None:
    """As the archive of a running gateway: the bout at the end of a run is not over, and its file says so."""
    days, full = tmp_path / "days", tmp_path / "full.db"
    words = ("--kind", ",".join(OF_JOURNAL), "--by-day")
    shutil.copy(mine.spool, full)
    forget_after(mine.spool, mine.midnight_ns + 100 * NS_PER_S)
    export(mine, days, *words)
    assert by_day(days, "samples")["t_utc_ns"].max() < mine.midnight_ns + 101 * NS_PER_S
    shutil.copy(full, mine.spool)
    written = export(mine, days, *words)["files"]["written"]
    assert written == len(list(days.rglob("*.parquet")))  # of two days, and both are within a day of the newest entry
    for table in OF_JOURNAL:
        same(table, days, whole)


def test_days_that_are_past_are_left_alone_but_for_samples_that_came_late(lived: TwoSensors, tmp_path: Path) -> None:
    """Four days of two minutes each."""
    rows = pq.read_table(lived.cases[0].path).to_pandas()
    part = rows[rows["t_s"] < 120]
    days_s = 86_400 * np.arange(4)
    pieces = [part.assign(t_s=part["t_s"] + day_s) for day_s in days_s]
    pd.concat(pieces).to_parquet(tmp_path / "days.parquet", index=False)
    case = replace(lived.cases[0], path=tmp_path / "days.parquet", start_utc_ns=lived.midnight_ns + 3600 * NS_PER_S)
    mine = replace(lived, folder=tmp_path)
    mine.live([case])
    shutil.copy(mine.spool, tmp_path / "full.db")
    forget_after(mine.spool, lived.midnight_ns + 3 * DAY_NS)  # three days
    out, words = tmp_path / "out", ("--kind", ",".join(OF_JOURNAL))
    export(mine, out, *words, "--by-day")
    raw = min(out.glob("raw/*/*/*.parquet"))
    table = pq.read_table(raw, partitioning=None)
    pq.write_table(table.slice(0, table.num_rows - 100), raw, compression="zstd")  # of before some samples came
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    shutil.copy(tmp_path / "full.db", mine.spool)
    # The third day and the fourth, and the first one's raw samples.
    files = export(mine, out, *words, "--by-day")["files"]
    changed = {path.parts[-4:-1] for path in out.rglob("*.parquet") if path.stat().st_mtime_ns != before.get(path)}
    first, _, third, fourth = (f"day={str(np.datetime64(lived.midnight_ns + d * DAY_NS, 'ns'))[:10]}" for d in range(4))
    owner = f"wearer={case.wearer}"
    assert changed == {("raw", owner, first)} | {(t, owner, day) for t in OF_JOURNAL for day in (third, fourth)}
    assert files == {"written": 11, "as_before": 10}
    export(mine, tmp_path / "whole", *words)
    for name in OF_JOURNAL:
        if len(plain(tmp_path / "whole", name)):
            same(name, out, tmp_path / "whole")


def test_what_retention_has_taken_is_named_and_an_archive_keeps_it(
    mine: TwoSensors, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--kind", ",".join(OF_JOURNAL))
    days = tmp_path / "days"
    export(mine, days, *words, "--by-day")
    cut_ns = mine.midnight_ns + 150 * NS_PER_S
    assert retain(mine.folder / "data", Retention(raw_days=1), cut_ns + DAY_NS).gone["raw"] > 0
    yesterday, today = (str(np.datetime64(mine.midnight_ns + d * DAY_NS, "ns"))[:10] for d in (-1, 0))
    capsys.readouterr()
    told = export(mine, tmp_path / "left", *words)["journal"]
    assert [of["days_missing"] for of in told] == [[yesterday, today], [yesterday, today]]
    assert f"missing of {yesterday}, {today}" in capsys.readouterr().err
    left = plain(tmp_path / "left", "samples")
    assert 0 < left["t_utc_ns"].min() - mine.midnight_ns < 151 * NS_PER_S
    settled = plain(whole, "samples").merge(left, on=["wearer", "sensor", "t_utc_ns"])
    settled = settled[settled["t_utc_ns"] > cut_ns + 60 * NS_PER_S]
    assert len(settled) > 1000
    # The zero of the alignment in force then is the store's; the filter has found itself again.
    assert (settled["anterior_tilt_deg_x"] - settled["anterior_tilt_deg_y"]).abs().max() < 1.0
    assert run("export", "--config", mine.config, *words, "--to", today, "--out", tmp_path / "none") == 1
    assert f"retention has taken {yesterday}" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    # A gateway without a store knows at least where its journal begins; one whose wearer has no sensor any more says that.
    shutil.move(mine.folder / "data" / "store.db", tmp_path / "aside.db")
    told = export(mine, tmp_path / "alone", *words)["journal"]
    assert {of["begins_utc_ns"] > mine.midnight_ns for of in told} == {True}
    assert "is missing of days before" in capsys.readouterr().err
    shutil.move(tmp_path / "aside.db", mine.folder / "data" / "store.db")
    config = mine.config.read_text()
    mine.config.write_text(config[: config.rindex("[[sensors]]")])
    export(mine, tmp_path / "one", "--kind", "steps,epochs")
    assert f"no sensor of {mine.cases[1].wearer} is configured here" in capsys.readouterr().err
    mine.config.write_text(config)
    # The archive had it all, and has it still.
    manifest = export(mine, days, *words, "--by-day")
    assert [of["days_missing"] for of in manifest["journal"]] == [[], []]
    assert manifest["files"]["written"] == 0
    for table in OF_JOURNAL:
        same(table, days, whole)
    # One that begins now says what it lacks, again and again.
    for written in (len(OF_JOURNAL) * 2, 0):
        manifest = export(mine, tmp_path / "new", *words, "--by-day")
        assert manifest["files"]["written"] == written
        assert [of["days_missing"] for of in manifest["journal"]] == [[yesterday, today], [yesterday, today]]


def test_an_archive_of_a_journal_shorter_than_its_rhythm_keeps_the_beginning_of_the_day(
    mine: TwoSensors, whole: Path, tmp_path: Path
) -> None:
    words = ("--kind", ",".join(OF_JOURNAL))
    days, full = tmp_path / "days", tmp_path / "full.db"
    shutil.copy(mine.spool, full)
    forget_after(mine.spool, mine.midnight_ns + 200 * NS_PER_S)
    export(mine, days, *words, "--by-day")
    shutil.copy(full, mine.spool)
    retain(mine.folder / "data", Retention(raw_days=1), mine.midnight_ns + 150 * NS_PER_S + DAY_NS)
    manifest = export(mine, days, *words, "--by-day")
    assert [of["days_missing"] for of in manifest["journal"]] == [[], []]
    want, found = plain(whole, "samples"), by_day(days, "samples")
    assert list(found["t_utc_ns"]) == list(want["t_utc_ns"])
    assert len(by_day(days, "raw")) == len(plain(whole, "raw"))


def test_renamed_and_moved_the_tables_still_fit_together(lived: TwoSensors, whole: Path, tmp_path: Path) -> None:
    hide = ("--kind", "all", "--shift-days", "random", "--remap-ids", "--key", tmp_path / "key.json")
    export(lived, tmp_path / "veiled", *hide)
    export(lived, tmp_path / "days", *hide, "--by-day")
    key = json.loads((tmp_path / "key.json").read_text())["wearers"]
    text = (tmp_path / "veiled" / "manifest.json").read_text() + (tmp_path / "days" / "manifest.json").read_text()
    names = text + " ".join(str(path.relative_to(tmp_path)) for path in (tmp_path / "days").rglob("*"))
    for case in lived.cases:
        assert case.wearer not in names
        assert case.sensor not in names
    for table in (*OF_JOURNAL, "metrics"):
        a, b = plain(whole, table), plain(tmp_path / "veiled", table)
        same(table, tmp_path / "days", tmp_path / "veiled")
        for wearer, facts in key.items():
            was, now = a[a.wearer == wearer].reset_index(drop=True), b[b.wearer == facts["id"]].reset_index(drop=True)
            assert len(was) == len(now) > 0
            for column in was.columns.drop(["wearer", "sensor"]):
                moved = facts["days"] * DAY_NS if column.endswith("_utc_ns") else None
                pd.testing.assert_series_equal(now[column], was[column] if moved is None else was[column] + moved)
    samples, metrics = (plain(tmp_path / "veiled", table) for table in ("samples", "metrics"))
    samples["second"] = samples["t_utc_ns"] // NS_PER_S * NS_PER_S
    joined = samples.merge(metrics, left_on=["wearer", "sensor", "second"], right_on=["wearer", "sensor", "t_utc_ns"])
    assert len(joined) == len(samples[samples["second"] <= metrics["t_utc_ns"].max()])


def test_an_erased_wearer_leaves_every_table(mine: TwoSensors, tmp_path: Path) -> None:
    hers, others = (case.wearer for case in mine.cases)
    for name, words in (("plain", ()), ("days", ("--by-day",))):
        out = tmp_path / name
        export(mine, out, "--kind", "all", *words)
        kept = {path: path.read_bytes() for path in out.rglob(f"*/wearer={others}/**/*.parquet")}
        assert erase_exports(mine.folder / "data", hers)["exports_rewritten"] == 1
        assert check_manifest(out) == []
        assert hers not in (out / "manifest.json").read_text()
        assert {path: path.read_bytes() for path in kept} == kept
        for table in OF_JOURNAL:
            assert set((plain if name == "plain" else by_day)(out, table)["wearer"]) == {others}


def test_options_that_do_not_go_together_get_one_sentence(
    mine: TwoSensors, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    asked = ("export", "--config", mine.config, "--kind", "samples", "--out", out)
    assert run(*asked, "--wearer", "w-009") == 1
    assert "no sensor of w-009 is configured here" in capsys.readouterr().err
    (mine.folder / "data" / "store.db").unlink()  # a gateway without the store
    assert run(*asked) == 0
    assert run(*asked[:-1], tmp_path / "days", "--by-day") == 0
    assert run("export", "--config", mine.config, "--kind", "samples,metrics", "--out", tmp_path / "other") == 1
    assert "no store there" in capsys.readouterr().err
    mine.spool.unlink()
    assert run(*asked) == 1
    assert "no journal there" in capsys.readouterr().err


def test_killed_at_any_moment_the_next_run_completes_it(mine: TwoSensors, whole: Path, tmp_path: Path) -> None:
    days = tmp_path / "days"
    words = ["export", "--config", str(mine.config), "--kind", "all", "--by-day", "--out", str(days)]
    for least in (1, 16):
        going = subprocess.Popen([sys.executable, "-m", "sensor_gateway.cli", *words], start_new_session=True)
        while going.poll() is None and len(list(days.rglob("[a-z]*.parquet"))) < least:
            time.sleep(0.002)
        if going.poll() is None:
            os.killpg(going.pid, signal.SIGKILL)
        going.wait()
    assert cli.main(words) == 0
    assert check_manifest(days) == []
    for table in OF_JOURNAL:
        same(table, days, whole)
    assert not list(days.rglob(".*.partial"))


def test_a_disk_that_takes_no_more_leaves_one_sentence_and_nothing_half_written(
    mine: TwoSensors, whole: Path, tmp_path: Path
) -> None:
    days = tmp_path / "days"
    words = ["export", "--config", str(mine.config), "--kind", "all", "--by-day", "--out", str(days)]
    full = ["prlimit", "--fsize=300000", sys.executable, "-m", "sensor_gateway.cli", *words]
    failed = subprocess.run(full, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert f"{days}: cannot be written" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not list(days.rglob(".*.partial"))
    assert cli.main(words) == 0
    for table in OF_JOURNAL:
        same(table, days, whole)
