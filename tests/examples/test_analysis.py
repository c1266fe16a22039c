"""The analysis examples as a researcher runs them, on an export of the synthetic cohort; and the export read back three ways."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from processing.dictionary import KINDS, STEP
from processing.types import NS_PER_S
from sensor_gateway import cli
from sensor_gateway.cohort.cohort import CohortOptions, seed
from sensor_gateway.export.selection import KIND_OF_TABLE
from sensor_gateway.sinks.store import Store
from tests.processing.walker import T0_S, angles, evenly
from tests.reference import ABSENT, REFERENCE

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
    ran = ran_example(name, *words, folder=folder)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def ran_example(name: str, *words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples/analysis" / name), *map(str, words)]
    environment = {"PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(folder), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, timeout=200, check=False, env=environment
    )


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


def test_too_little_is_said_in_a_sentence(cohort: tuple[Path, Path], tmp_path: Path) -> None:
    ran = ran_example("plot_day.py", cohort[1], "w-999", tmp_path / "day.png", folder=tmp_path)
    assert (ran.returncode, "holds no minute of w-999" in ran.stderr) == (1, True)
    ran = ran_example("plot_day.py", cohort[1], folder=tmp_path)
    assert (ran.returncode, ran.stderr.startswith("Draw a wearer's newest UTC day")) == (1, True)
    one = tmp_path / "one"
    words = ["export", "--store", str(cohort[0]), "--wearer", "w-001", "--from", "2026-10-26", "--out", str(one)]
    assert cli.main(words) == 0
    ran = ran_example("tilt_by_week.py", one, folder=tmp_path)
    assert ran.returncode == 1
    assert ran.stderr.rstrip().endswith("`tiltline demo --cohort 12 --days 30 --seed-only`")


def test_own_motion_capture_is_compared_whatever_its_clock_and_zero(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    t = np.arange(0, 120, 0.01)
    tilt = np.cumsum(rng.normal(0, 0.05, len(t)))
    columns = {"t_utc_ns": (t * 1e9).astype(np.int64) + 10**18, "anterior_tilt_deg": tilt + rng.normal(0, 0.5, len(t))}
    pd.DataFrame(columns | {"valid": True}).to_parquet(tmp_path / "samples.parquet")
    start = 370  # the cameras start 3.7 s later, at a clock and a zero of their own
    optical = pd.DataFrame({"t_s": 50 + t[start:], "anterior_tilt_deg": tilt[start:] + 12})
    optical.to_csv(tmp_path / "optical.csv", index=False)
    words = (tmp_path / "samples.parquet", tmp_path / "optical.csv", tmp_path / "agreement.png")
    told = example("validate_optical.py", *words, folder=tmp_path)
    assert "moved by +3.70 s" in told
    zeros, rmse = (float(n) for n in re.search(r"zeros (\S+) deg apart; around that RMSE (\S+) deg", told).groups())  # type: ignore[union-attr]
    assert zeros == pytest.approx(-12, abs=0.05)
    assert rmse == pytest.approx(0.5, abs=0.05)
    assert (tmp_path / "agreement.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_bouts_of_walking_have_their_sides_and_what_can_be_told(tmp_path: Path) -> None:
    feet = [*evenly(2.0, 41, 0.5), *evenly(40.0, 3, 0.5)]
    t = np.arange(0, 45, 0.01)
    tilt, obliquity = angles(t, feet, 2.0, 4.0)
    ns = (t * NS_PER_S).round().astype(np.int64) + T0_S * NS_PER_S
    samples = {"t_utc_ns": ns, "anterior_tilt_deg": tilt, "obliquity_deg": obliquity, "valid": True}
    pd.DataFrame(samples).to_parquet(tmp_path / "samples.parquet")
    steps = [(round((T0_S + f.t_s) * NS_PER_S), "right" if f.right else "left", 0.8) for f in feet]
    pd.DataFrame(steps, columns=[f.name for f in STEP]).to_parquet(tmp_path / "steps.parquet")
    (tmp_path / "manifest.json").write_text('{"input": {"rate_hz": 100.0}}')
    told = example("walking_bouts.py", tmp_path, tmp_path / "bouts.csv", folder=tmp_path)
    assert told.startswith("1 bouts, 41 steps in them")
    (bout,) = pd.read_csv(tmp_path / "bouts.csv").to_dict("records")
    assert (bout["seconds"], bout["steps"], bout["cadence_per_min"]) == (20.0, 41, 120.0)
    assert bout["obliquity_right_less_left_deg"] == pytest.approx(2.0, abs=0.05)
    assert bout["its_least_deg"] == pytest.approx(0.53 * (45 / 20) ** 0.5, abs=0.01)


def sway(seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Times at 100 Hz and a tilt that wanders."""
    t = np.arange(0, seconds, 0.01)
    return t, np.cumsum(np.random.default_rng(6).normal(0, 0.05, len(t)))


def pair(folder: Path, ours: pd.DataFrame, optical: pd.DataFrame) -> tuple[Path, Path, Path]:
    ours.to_parquet(folder / "samples.parquet")
    optical.to_csv(folder / "optical.csv", index=False)
    return folder / "samples.parquet", folder / "optical.csv", folder / "agreement.png"


def test_cameras_that_ran_for_a_part_at_another_rate_with_hidden_markers_are_compared_without_the_holes(
    tmp_path: Path,
) -> None:
    t, tilt = sway(900)
    ours = pd.DataFrame({"t_utc_ns": (t * 1e9).astype(np.int64) + 10**18, "anterior_tilt_deg": tilt, "valid": True})
    ours = ours[(t < 640) | (t > 655)]  # the radio was away
    theirs_t = np.arange(600, 720, 1 / 120)  # ten minutes after our start, at 120 Hz, on a clock of their own
    noise = np.random.default_rng(7).normal(0, 0.2, len(theirs_t))
    optical = pd.DataFrame({"t_s": theirs_t - 600, "anterior_tilt_deg": np.interp(theirs_t, t, tilt) - 9 + noise})
    optical.loc[(theirs_t > 680) & (theirs_t < 700), "anterior_tilt_deg"] = np.nan
    told = example("validate_optical.py", *pair(tmp_path, ours, optical), folder=tmp_path)
    assert "moved by +600.00 s" in told
    assert "its t_s 0 is 2001-09-09 01:56:40.000000 UTC" in told
    assert told.startswith("85 s in common")
    # Between two samples of 120 Hz a straight line has 2/3 of their noise's variance.
    assert float(re.search(r"RMSE (\S+) deg", told)[1]) == pytest.approx(0.2 * (2 / 3) ** 0.5, abs=0.02)  # type: ignore[index]


def test_signals_that_do_not_fit_together_give_no_figure_but_a_reason(tmp_path: Path) -> None:
    t, tilt = sway(120)
    ours = pd.DataFrame({"t_utc_ns": (t * 1e9).astype(np.int64) + 10**18, "anterior_tilt_deg": tilt, "valid": True})
    other = pd.DataFrame({"t_s": t, "anterior_tilt_deg": np.random.default_rng(8).normal(0, 1, len(t)).cumsum()})
    ran = ran_example("validate_optical.py", *pair(tmp_path, ours, other), folder=tmp_path)
    assert ran.returncode == 1
    assert "is it the same recording?" in ran.stderr
    assert "opposite" not in ran.stderr
    mirrored = pd.DataFrame({"t_s": t, "anterior_tilt_deg": -tilt})
    ran = ran_example("validate_optical.py", *pair(tmp_path, ours, mirrored), folder=tmp_path)
    assert ran.stderr.rstrip().endswith("is + forward in both?")


@pytest.mark.reference
def test_a_real_walk_with_markers_as_ones_own_data(tmp_path: Path) -> None:
    source = REFERENCE / "neura_pelvis" / "S02_walk1.parquet"
    if not source.is_file():
        pytest.skip(ABSENT)
    out = tmp_path / "out"
    assert (
        cli.main(
            [
                "process",
                str(source),
                "--out",
                str(out),
                "--mode",
                "retro",
                "--neutral",
                "auto",
                "--mount",
                "up=+x,anterior=-z",
            ]
        )
        == 0
    )
    truth = pd.read_parquet(source)[["t_s", "ref_tilt_deg"]].rename(columns={"ref_tilt_deg": "anterior_tilt_deg"})
    truth.to_csv(tmp_path / "optical.csv", index=False)
    words = (out / "samples.parquet", tmp_path / "optical.csv", tmp_path / "agreement.png")
    told = example("validate_optical.py", *words, folder=tmp_path)
    rmse = float(re.search(r"RMSE (\S+) deg", told)[1])  # type: ignore[index]
    assert rmse < 1.0  # the chain's own figure is 0.7 (docs/validation.md), with the mount of the recording
