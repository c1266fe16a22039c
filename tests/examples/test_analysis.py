"""The analysis examples as a researcher runs them, on an export of the synthetic cohort; and the export read back three ways."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest

from processing.dictionary import KINDS
from sensor_gateway import cli
from sensor_gateway.cohort.cohort import CohortOptions, seed
from sensor_gateway.export.export import KIND_OF_TABLE
from sensor_gateway.sinks.store import Store

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A store of two synthetic wearers over a week and its export."""
    folder = tmp_path_factory.mktemp("cohort")
    seed(CohortOptions(folder / "data", datetime(2026, 10, 27, 18, tzinfo=UTC), 2, 7), None, lambda _: None)
    words = ["export", "--store", folder / "data/store.db", "--kind", ",".join(KIND_OF_TABLE), "--out", folder / "out"]
    assert cli.main([str(w) for w in words]) == 0
    return folder / "data/store.db", folder / "out"


def example(name: str, *words: str | Path, folder: Path) -> str:
    command = [sys.executable, str(ROOT / "examples/analysis" / name), *map(str, words)]
    environment = {"PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(folder), "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=200, check=False, env=environment)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_every_reader_finds_what_the_store_holds(cohort: tuple[Path, Path]) -> None:
    store = Store.open(cohort[0], readonly=True)
    for table, kind in KIND_OF_TABLE.items():
        names = ["sensor", *(f.name for f in KINDS[kind])]
        want = [
            (wearer, *row)
            for wearer in store.wearers()
            for page in store.columns(kind, wearer)
            for row in zip(*(page[n] for n in names), strict=True)
        ]
        assert want
        path = str(cohort[1] / f"{table}.parquet")
        frame = pd.read_parquet(path, dtype_backend="pyarrow")
        assert list(frame.columns) == ["wearer", *names]
        by_pandas = zip(*(frame[n].array.__arrow_array__().to_pylist() for n in frame.columns), strict=True)
        assert list(by_pandas) == want, table
        assert pl.read_parquet(path).rows() == want, table
        assert duckdb.execute("SELECT * FROM read_parquet(?)", [path]).fetchall() == want, table
    store.close()


def test_the_examples_run(cohort: tuple[Path, Path], tmp_path: Path) -> None:
    out = cohort[1]
    told = example("load_export.py", out, folder=tmp_path)
    epochs = pd.read_parquet(out / "epochs.parquet")
    assert f"'w-001': {epochs[epochs.wearer == 'w-001'].tilt_mean_deg.mean():.2f}".rstrip("0") in told
    assert "DuckDB, flags by rule: {" in told
    example("plot_day.py", out, "w-001", tmp_path / "day.png", folder=tmp_path)
    assert (tmp_path / "day.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "days of 2 wearers: " in example("tilt_by_week.py", out, folder=tmp_path)
    flags = int((pd.read_parquet(out / "events.parquet").type == "flag").sum())
    told = example("recompute_flag.py", out, folder=tmp_path)
    assert told.startswith(f"{flags} flags")
    assert told.rstrip().endswith(", 0 differ")
