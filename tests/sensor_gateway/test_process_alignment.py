"""How `tiltline process` comes to an alignment: any site and side by walking, guided movements, the therapist's offset, reasons."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.spatial.transform import Rotation

from processing.types import F64, NS_PER_S, TimedBatch
from sensor_gateway import cli
from sensor_gateway.process import ProcessOptions, process_file
from tests.processing.alignment_chain import T0_NS, recording
from tests.processing.test_alignment_functional import movement
from tests.processing.test_alignment_functional import turned as sensed

SITE = {"sacrum": 0.0, "left crest": 75.0, "right crest": -75.0}
WORN = {"as meant": [0.0, 0.0, 0.0], "upside down": [0.0, 0.0, 180.0], "left for right": [180.0, 0.0, 0.0], "reversed": [0.0, 180.0, 0.0]}  # fmt: skip
USUAL = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])  # sensor from pelvis, up=+x, anterior=-z


@pytest.fixture(scope="module")
def walk() -> TimedBatch:
    return recording(0.06)[1]


def write(path: Path, batch: TimedBatch, turn: F64) -> Path:
    columns = {"t_s": (batch.t_utc_ns - T0_NS) / NS_PER_S}
    columns |= {f"a{c}": batch.acc_mps2 @ turn[i] for i, c in enumerate("xyz")}
    columns |= {f"g{c}": batch.gyr_rps @ turn[i] for i, c in enumerate("xyz")}
    pd.DataFrame(columns).to_parquet(path, index=False)
    return path


@pytest.mark.parametrize("site", SITE)
@pytest.mark.parametrize("worn", WORN)
def test_a_walk_shows_how_the_clip_sat_wherever_and_whichever_way(
    walk: TimedBatch, tmp_path: Path, site: str, worn: str
) -> None:
    about_up = Rotation.from_rotvec(np.radians([SITE[site], 0.0, 0.0]))  # the sensor's x points up
    turn = (Rotation.from_rotvec(np.radians(WORN[worn])) * about_up).as_matrix()
    done = process_file(
        write(tmp_path / "w.parquet", walk, turn), tmp_path / "o", ProcessOptions(mount="auto", neutral_s="auto")
    )
    source = done.manifest["alignment_source"]["mount"]
    assert source["by"] == "walking"
    assert source["sign_confidence"] > 0.95
    to_sensor = turn @ USUAL
    for said, axis in (("up", 1), ("anterior", 0)):
        off = np.degrees(np.arccos(np.clip(np.array(source[said]) @ to_sensor[:, axis], -1, 1)))
        assert off < 12.0, said  # the simulated clip is put on a few degrees askew


def bows(tmp_path: Path, depth_deg: float = 35.0) -> Path:
    rng = np.random.default_rng(2)
    still = 9.80665 * np.tile([0.0, 1.0, 0.0], (1000, 1)) + rng.normal(0, 0.02, (1000, 3))
    signals = movement(depth_deg, twist_deg=3.0)
    acc = np.vstack([still, signals[0]])
    gyr = np.vstack([rng.normal(0, 0.002, (1000, 3)), signals[1]])
    turn = USUAL @ Rotation.from_rotvec([0.0, np.radians(130.0), 0.0]).as_matrix()
    acc, gyr, _ = sensed((acc, gyr, gyr), turn)
    t = T0_NS + np.arange(len(acc)) * 10_000_000
    return write(tmp_path / "bows.parquet", TimedBatch(t, acc, gyr), np.eye(3))


@pytest.mark.parametrize("neutral", [None, (2.0, 8.0)])
def test_bows_show_the_front_of_a_clip_put_on_anyhow(tmp_path: Path, neutral: tuple[float, float] | None) -> None:
    options = ProcessOptions(mount="bows@10.5:21", neutral_s=neutral)
    done = process_file(bows(tmp_path), tmp_path / "o", options)
    source, alignment = done.manifest["alignment_source"]["mount"], done.manifest["alignment"]
    assert (source["by"], round(source["range_deg"])) == ("bows", 35)
    assert alignment["method"] == ("functional" if neutral is None else "static")
    tilt = pq.read_table(tmp_path / "o/samples.parquet")["anterior_tilt_deg"].to_numpy()
    assert max(tilt) == pytest.approx(35.0, abs=1.5)
    assert np.median(tilt[:1000]) == pytest.approx(0.0, abs=0.5)


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ("bows@0:9", "bow deeper"),
        ("functional@30:40", "stand for a second"),
        ("bows@9:2", "is not understood"),
        ("walk@2:9", "is not understood"),
    ],
)
def test_a_movement_that_tells_nothing_is_refused_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mount: str, words: str
) -> None:
    assert cli.main(["process", str(bows(tmp_path)), "--out", str(tmp_path / "o"), "--mount", mount]) in (1, 2)
    assert words in capsys.readouterr().err
    assert not (tmp_path / "o/manifest.json").exists()


def test_an_offset_gives_absolute_tilt_with_its_doubt_and_changes_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["process", str(bows(tmp_path)), "--mount", "bows@10.5:21"]
    offset = ["--offset", "12.5", "--offset-method", "radiograph", "--offset-rater", "th-03"]
    for name, more in (("plain", []), ("zero", offset), ("posed", [*offset, "--neutral", "2:8"])):
        assert cli.main([*words, "--out", str(tmp_path / name), *more]) == 0
    assert "no neutral pose is in force" in capsys.readouterr().err
    read = {
        n: json.loads((tmp_path / n / "manifest.json").read_text(encoding="utf-8")) for n in ("plain", "zero", "posed")
    }
    same = {n: {f: o["sha256"] for f, o in m["outputs"].items() if f != "absolute.parquet"} for n, m in read.items()}
    assert same["plain"] == same["zero"]
    assert "absolute.parquet" not in read["plain"]["outputs"]
    assert read["posed"]["offset"]["sigma_deg"] == 1.0
    rows = pq.read_table(tmp_path / "posed/absolute.parquet").to_pylist()
    metrics = pq.read_table(tmp_path / "posed/metrics.parquet").to_pylist()
    assert len(rows) == len(metrics)
    assert rows[5]["anterior_tilt_abs_deg"] == pytest.approx(metrics[5]["anterior_tilt_deg"] + 12.5)
    assert rows[5]["tilt_abs_uncertainty_deg"] > metrics[5]["tilt_uncertainty_deg"]
    assert cli.main([*words, "--out", str(tmp_path / "x"), "--offset", "3"]) == 2
    assert "--offset-rater" in capsys.readouterr().err


def test_searching_the_recording_counts_as_progress(walk: TimedBatch, tmp_path: Path) -> None:
    shares: list[float] = []
    path = write(tmp_path / "w.parquet", walk, np.eye(3))
    process_file(path, tmp_path / "o", ProcessOptions(mount="auto", neutral_s="auto"), shares.append)
    assert shares == sorted(shares)
    assert 0.0 < shares[0] < 0.2
    assert sum(s < 0.4 for s in shares) >= 4
    assert shares[-1] == 1.0
