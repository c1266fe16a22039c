"""`tiltline process` and `tiltline import` as a person calls them: files, exit status, one clear sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.spatial.transform import Rotation

from processing.dictionary import BOUT, EPOCH, METRIC, SAMPLE
from processing.rules.study import Study, study_hash
from processing.synthetic import render
from processing.types import GRAVITY_MPS2, NS_PER_S, POSTURES, Event
from sensor_gateway import cli
from sensor_gateway.export.manifest import check_manifest
from sensor_gateway.process import FILES
from sensor_gateway.wire.summary import summary
from tests.processing.alignment_chain import T0_NS
from tests.processing.alignment_chain import recording as wearer

START = "2026-03-02T08:00:00Z"
START_NS = 1_772_438_400 * NS_PER_S
RATE = 100.0
FORWARD_DEG = 10.0


def recording(seconds: float = 130.0) -> pd.DataFrame:
    """Stand upright for 60 s, tip the pelvis 10° forward within 2 s, stay: sensor x up, sensor z backward."""
    t = np.arange(round(seconds * RATE)) / RATE
    share = np.clip((t - 60.0) / 2.0, 0.0, 1.0)
    angle = np.radians(FORWARD_DEG) * share
    rate = np.where((t > 60.0) & (t < 62.0), np.radians(FORWARD_DEG) / 2.0, 0.0)
    zero = np.zeros_like(t)
    # Tipping forward lifts the sensor's z, which points backward: up moves from x towards z, a turn about +y.
    return pd.DataFrame(
        {
            "t_s": t,
            "ax": GRAVITY_MPS2 * np.cos(angle),
            "ay": zero,
            "az": GRAVITY_MPS2 * np.sin(angle),
            "gx": zero,
            "gy": rate,
            "gz": zero,
        }
    )


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("in") / "walk.parquet"
    recording().to_parquet(path, index=False)
    return path


def run(*words: str | Path) -> int:
    return cli.main([str(w) for w in words])


MOUNT = ("--mount", "up=+x,anterior=-z")
NEUTRAL = ("--neutral", "10:20")


@pytest.mark.parametrize("mode", ["online", "retro"])
def test_the_files_and_columns_of_the_fixed_interface(walk: Path, tmp_path: Path, mode: str) -> None:
    assert run("process", walk, "--out", tmp_path, "--start", START, *NEUTRAL, *MOUNT, "--mode", mode) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(FILES)
    samples = pd.read_parquet(tmp_path / "samples.parquet")
    assert list(samples) == [f.name for f in SAMPLE]
    np.testing.assert_array_equal(samples.t_utc_ns, START_NS + np.arange(13_000) * 10_000_000)
    assert samples.anterior_tilt_deg[2000:5900].abs().max() < 0.1  # a young filter still learns its bias
    assert samples.anterior_tilt_deg[9000:].sub(FORWARD_DEG).abs().max() < 0.1
    assert samples.obliquity_deg.abs().max() < 0.1
    metrics = pd.read_parquet(tmp_path / "metrics.parquet")
    assert list(metrics) == [f.name for f in METRIC]
    assert (np.diff(metrics.t_utc_ns) == NS_PER_S).all()
    assert metrics.t_utc_ns.iloc[0] == START_NS
    assert list(pd.read_parquet(tmp_path / "epochs.parquet")) == [f.name for f in EPOCH]
    events = [json.loads(line) for line in (tmp_path / "events.ndjson").read_text().splitlines()]
    assert [e["data"]["method"] for e in events if e["type"] == "alignment"] == ["static"]


def test_the_manifest_lets_a_reader_check_everything(walk: Path, tmp_path: Path) -> None:
    assert run("process", walk, "--out", tmp_path, *NEUTRAL) == 0
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert {"tiltline", "numpy", "scipy", "vqf"} <= set(manifest["versions"])
    assert manifest["study"]["hash"] == study_hash(Study())
    assert manifest["input"]["rows"] == 13_000
    assert manifest["input"]["dated"] is False
    assert manifest["alignment"]["method"] == "static"
    assert manifest["outputs"]["samples.parquet"]["rows"] == 13_000
    assert manifest["counters"]["samples"] == 13_000
    assert manifest["warnings"] == []
    assert check_manifest(tmp_path) == []
    with (tmp_path / "events.ndjson").open("a") as f:
        f.write("{}\n")
    assert check_manifest(tmp_path) == ["events.ndjson"]


def test_the_same_input_gives_the_same_bytes_and_replaces_what_was_there(walk: Path, tmp_path: Path) -> None:
    for folder in ("a", "b", "b"):
        assert run("process", walk, "--out", tmp_path / folder, "--start", START) == 0
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_csv_gives_the_same_records_as_parquet(walk: Path, tmp_path: Path) -> None:
    recording().to_csv(tmp_path / "walk.csv", index=False)
    assert run("process", walk, "--out", tmp_path / "a") == 0
    assert run("process", tmp_path / "walk.csv", "--out", tmp_path / "b") == 0
    for name in FILES[:-1]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_several_recordings_get_a_folder_each_and_a_bad_one_does_not_stop_the_rest(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.csv").write_text("t_s,ax\n0,1\n")
    frame = recording(20.0)
    frame.to_parquet(tmp_path / "short.parquet", index=False)
    out = tmp_path / "out"
    assert run("process", walk, tmp_path / "bad.csv", tmp_path / "short.parquet", "--out", out, "--json") == 1
    printed = capsys.readouterr()
    printed_json = json.loads(printed.out)
    assert [r["recording"] for r in printed_json["recordings"]] == ["walk.parquet", "short.parquet"]
    assert printed_json["recordings"][0]["samples"] == 13_000
    assert len(printed_json["errors"]) == 1
    assert "missing columns ay, az, gx, gy, gz" in printed.err
    assert sorted(p.name for p in out.iterdir()) == ["short", "walk"]
    assert run("process", walk, tmp_path / "x" / "walk.csv", "--out", out) == 2
    assert "two recordings are called walk" in capsys.readouterr().err


def test_missing_samples_stay_missing(tmp_path: Path) -> None:
    frame = recording()
    frame.loc[3000:3999, "gy"] = np.nan
    frame.loc[8000:8099, "ax"] = np.inf
    frame = frame.astype(dict.fromkeys(("ax", "ay", "az", "gx", "gy", "gz"), np.float32))
    frame.to_parquet(tmp_path / "a.parquet", index=False)
    assert run("process", tmp_path / "a.parquet", "--out", tmp_path / "out", *NEUTRAL) == 0
    samples = pd.read_parquet(tmp_path / "out/samples.parquet")
    assert len(samples) == 13_000 - 1100
    assert np.isfinite(samples[["q_es_w", "q_es_x", "q_es_y", "q_es_z"]].to_numpy()).all()
    metrics = pd.read_parquet(tmp_path / "out/metrics.parquet")
    inside = metrics[(metrics.t_utc_ns >= 30 * NS_PER_S) & (metrics.t_utc_ns < 40 * NS_PER_S)]
    assert inside.anterior_tilt_deg.isna().all()
    events = [json.loads(line) for line in (tmp_path / "out/events.ndjson").read_text().splitlines()]
    assert [e["data"]["missing_samples"] for e in events if e["type"] == "gap"] == [1000, 100]
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["input"]["dropped"]["not_finite"] == 1100
    assert "1100 rows hold NaN, inf" in manifest["warnings"][0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--neutral", "200:210"), "neutral 200:210 s: lies outside the recording, which runs from 0.00 to 129.99 s"),
        (("--neutral", "59:63"), "neutral 59:63 s: "),
        (("--neutral", "10:10.2"), "stand quietly"),
        (("--neutral", "10:20", "--mount", "up=+z,anterior=+x"), "gravity lies along the mount's anterior axis"),
    ],
)
def test_a_neutral_that_cannot_be_used_is_an_error(
    walk: Path, tmp_path: Path, words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = recording()
    frame.loc[(frame.t_s > 60) & (frame.t_s < 62), "gy"] *= 8
    frame.to_parquet(tmp_path / "walk.parquet", index=False)
    assert run("process", tmp_path / "walk.parquet", "--out", tmp_path / "out", *words) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert list((tmp_path / "out").glob("*")) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--mount", "up=x"), "name two signed sensor axes"),
        (("--study", "none.toml"), "no such file"),
        (("--neutral", "8:2"), "must begin before it ends"),
        (("--neutral", "now"), "write two seconds such as 2:8"),
        (("--start", "yesterday"), "write e.g. 2026-03-01T08:00:00Z"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_read(
    walk: Path, tmp_path: Path, words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = run("process", walk, "--out", tmp_path / "out", *words)
    except SystemExit as e:
        status = int(str(e.code))
    assert status == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_study_is_used_and_its_mistakes_named(walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "study.toml"
    study.write_text('version = "mine"\n[tilt]\nsustained_s = 300\n')
    assert run("process", walk, "--out", tmp_path / "out", "--study", study) == 0
    assert json.loads((tmp_path / "out/manifest.json").read_text())["study"]["content"]["tilt"]["sustained_s"] == 300
    study.write_text("[tilt]\nsustained = 300\n")
    assert run("process", walk, "--out", tmp_path / "out", "--study", study) == 2
    assert "unknown key 'tilt.sustained'; did you mean 'sustained_s'?" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_sentence(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run("process", walk, "--out", tmp_path / "file") == 1
    assert "cannot be written" in capsys.readouterr().err


def test_a_mount_upside_down_is_warned_about(walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("process", walk, "--out", tmp_path / "out", *NEUTRAL, "--mount", "up=-x,anterior=-z") == 0
    assert "up in the neutral pose is 180 deg away from the mount given" in capsys.readouterr().err


AUTO = ("--mount", "auto", "--neutral", "auto")


@pytest.fixture(scope="module")
def worn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated wearer stands, walks, sits at a desk and walks; the clip sits upside down and turned about."""
    turn = Rotation.from_rotvec([1.0, -2.0, 0.5]).as_matrix()
    _, timed = wearer(0.5, turn=turn)
    frame = pd.DataFrame(np.hstack([timed.acc_mps2, timed.gyr_rps]), columns=["ax", "ay", "az", "gx", "gy", "gz"])
    frame.insert(0, "t_utc_ns", timed.t_utc_ns)
    path = tmp_path_factory.mktemp("worn") / "worn.parquet"
    frame.to_parquet(path, index=False)
    return path


def truth_of(metrics: pd.DataFrame) -> pd.DataFrame:
    """Tilt of the simulated wearer and posture, at the middle of the seconds."""
    script, _ = wearer(0.5)
    middle = metrics.t_utc_ns.to_numpy() + NS_PER_S // 2
    truth = render(script, middle)
    posture = [POSTURES[c] for c in script.posture_codes((middle - script.start_utc_ns) / NS_PER_S)]
    return pd.DataFrame({"tilt": truth.anterior_tilt_deg, "posture": posture})


@pytest.mark.parametrize("mode", ["online", "settled", "retro"])
def test_mount_and_neutral_are_found_in_the_recording(worn: Path, tmp_path: Path, mode: str) -> None:
    assert run("process", worn, "--out", tmp_path, *AUTO, "--mode", mode) == 0
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    source, alignment = manifest["alignment_source"], manifest["alignment"]
    assert manifest["warnings"] == []
    assert (source["mount"]["by"], source["neutral"]["by"]) == ("walking", "quiet standing")
    assert source["mount"]["walking_s"] > 60
    assert 0 < source["mount"]["heading_uncertainty_deg"] < 15
    assert alignment["method"] == "static"
    assert alignment["t_utc_ns"] == source["neutral"]["to_utc_ns"]
    assert alignment["uncertainty_deg"] == source["neutral"]["uncertainty_deg"] > 2.0
    metrics = pd.read_parquet(tmp_path / "metrics.parquet")
    truth = truth_of(metrics)
    pose = metrics.t_utc_ns.between(source["neutral"]["from_utc_ns"], source["neutral"]["to_utc_ns"] - 1)
    assert set(truth.posture[pose]) == {"standing"}
    desk = truth.posture == "sitting"
    # Relative to a stand somebody was found in: right within what the manifest says of it, twice.
    error = (metrics.anterior_tilt_deg - truth.tilt)[desk]
    assert truth.tilt[desk].median() < -10
    assert abs(error.median()) < 2 * alignment["uncertainty_deg"]
    assert (metrics.posture == truth.posture).mean() > 0.9
    bouts = pd.read_parquet(tmp_path / "bouts.parquet")
    assert list(bouts) == [f.name for f in BOUT]
    assert (bouts.end_utc_ns > bouts.start_utc_ns).all()
    assert (bouts.start_utc_ns[1:].to_numpy() >= bouts.end_utc_ns[:-1].to_numpy()).all()
    # The script: 30 s upright, two minutes on foot, then the desk.
    first, second, third = bouts.posture[:3]
    assert (first, second, third) == ("standing", "walking", "sitting")
    assert abs(bouts.start_utc_ns[1] - T0_NS - 30 * NS_PER_S) < 10 * NS_PER_S
    assert abs(bouts.end_utc_ns[1] - T0_NS - 150 * NS_PER_S) < 20 * NS_PER_S


def test_a_found_mount_without_a_neutral_and_a_found_neutral_with_a_given_mount(worn: Path, tmp_path: Path) -> None:
    assert run("process", worn, "--out", tmp_path / "a", "--mount", "auto") == 0
    manifest = json.loads((tmp_path / "a/manifest.json").read_text())
    assert manifest["alignment"]["method"] == "walking"
    assert manifest["alignment"]["uncertainty_deg"] == 6.0
    assert manifest["alignment_source"]["neutral"] is None
    up, anterior = (np.array(manifest["alignment_source"]["mount"][k]) for k in ("up", "anterior"))
    assert abs(float(np.sum(up * anterior))) < 1e-9
    _, timed = wearer(0.5)
    frame = pd.DataFrame(np.hstack([timed.acc_mps2, timed.gyr_rps]), columns=["ax", "ay", "az", "gx", "gy", "gz"])
    frame.insert(0, "t_utc_ns", timed.t_utc_ns)
    frame.to_parquet(tmp_path / "plain.parquet", index=False)
    assert run("process", tmp_path / "plain.parquet", "--out", tmp_path / "b", "--neutral", "auto", *MOUNT) == 0
    manifest = json.loads((tmp_path / "b/manifest.json").read_text())
    assert manifest["alignment"]["method"] == "static"
    assert manifest["alignment_source"]["mount"] == {"by": "given", "axes": MOUNT[1]}
    assert manifest["alignment_source"]["neutral"]["by"] == "quiet standing"


@pytest.mark.parametrize("mode", ["online", "retro"])
def test_what_cannot_be_found_is_a_warning_and_no_error(
    walk: Path, tmp_path: Path, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("process", walk, "--out", tmp_path, *AUTO, "--mode", mode) == 0
    said = capsys.readouterr().err
    assert "mount auto: no walking was found" in said
    assert "The usual mount up=+x,anterior=-z was assumed" in said
    assert "There is no neutral pose: tilt is relative to the mount" in said
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert len(manifest["warnings"]) == 2
    assert manifest["alignment"]["method"] == "nominal"
    assert manifest["alignment_source"]["mount"]["by"] == "nominal"
    assert "no walking was found" in manifest["alignment_source"]["mount"]["not_found"]
    assert manifest["alignment_source"]["neutral"]["by"] == "none"


def test_a_clip_that_slips_pauses_what_rests_on_its_zero_and_walking_brings_it_back(tmp_path: Path) -> None:
    turn = Rotation.from_euler("y", 15, degrees=True).as_matrix()
    script, timed = wearer(0.8, seed=2, turn=turn, turn_from_s=900.0)
    frame = pd.DataFrame(np.hstack([timed.acc_mps2, timed.gyr_rps]), columns=["ax", "ay", "az", "gx", "gy", "gz"])
    frame.insert(0, "t_utc_ns", timed.t_utc_ns)
    frame.to_parquet(tmp_path / "slip.parquet", index=False)
    assert run("process", tmp_path / "slip.parquet", "--out", tmp_path / "out", *MOUNT, "--neutral", "0:10") == 0
    events = [json.loads(line) for line in (tmp_path / "out/events.ndjson").read_text().splitlines()]
    told = [e for e in events if e["type"] in ("mount", "alignment")]
    moved, suspended, found, again = told[1:]
    assert (moved["type"], moved["data"]["reason"]) == ("mount", "slip")
    assert moved["data"]["up_deg"] == pytest.approx(15, abs=2)
    assert summary(Event(**moved)).startswith("The clip seems to have moved: walking looks tilted")
    assert suspended["data"]["method"] == "suspended"
    assert summary(Event(**suspended)) == f"Alignment {suspended['data']['alignment_id']} holds from here."
    assert summary(Event(**found)).startswith("A walk showed how the clip sits now")
    metrics = pd.read_parquet(tmp_path / "out/metrics.parquet")
    error = metrics.anterior_tilt_deg - render(script, metrics.t_utc_ns.to_numpy() + NS_PER_S // 2).anterior_tilt_deg
    before = metrics.t_utc_ns < T0_NS + 900 * NS_PER_S
    while_away = metrics.t_utc_ns.between(suspended["t_utc_ns"], again["t_utc_ns"] - 1)
    after = metrics.t_utc_ns >= again["t_utc_ns"]
    assert after.sum() > 600
    assert abs(error[before].median()) < 2
    assert abs(error[while_away].median()) > 10
    assert metrics.tilt_uncertainty_deg[while_away].min() > 13
    assert metrics.quality[while_away].max() < metrics.quality[before].median()
    assert abs(error[after].median()) < 2
    assert len({e["event_id"] for e in events}) == len({(e["type"], e["t_utc_ns"]) for e in events}) == len(events)


@pytest.mark.parametrize("rows", [2, 3, 60, 150, 260])
@pytest.mark.parametrize("mode", ["online", "retro"])
@pytest.mark.parametrize("options", [(), AUTO])
def test_very_short_recordings_give_lawful_files(
    tmp_path: Path, rows: int, mode: str, options: tuple[str, ...]
) -> None:
    recording().iloc[:rows].to_parquet(tmp_path / "a.parquet", index=False)
    assert run("process", tmp_path / "a.parquet", "--out", tmp_path / "out", "--mode", mode, *options) == 0
    assert len(pd.read_parquet(tmp_path / "out/samples.parquet")) == rows


def test_the_command_itself_prints_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sensor_gateway.cli", "process", str(tmp_path), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert (
        done.stderr
        == f"tiltline process: {tmp_path}: is a folder; name the recordings in it, e.g. {tmp_path}/*.parquet\n"
    )


FOREIGN = {
    "dot": ("SampleTimeFine", 1e6, ("Acc_X", "Acc_Y", "Acc_Z", "Gyr_X", "Gyr_Y", "Gyr_Z"), 1.0, 180 / np.pi),
    "bracket": (
        "epoc (ms)",
        1e3,
        ("x-axis acc (g)", "y-axis acc (g)", "z-axis acc (g)", "gyro x (deg/s)", "gyro y (deg/s)", "gyro z (deg/s)"),
        1 / GRAVITY_MPS2,
        180 / np.pi,
    ),
    "camel": ("time", 1.0, ("accelX", "accelY", "accelZ", "gyroX", "gyroY", "gyroZ"), 1000 / GRAVITY_MPS2, 1.0),
    "short": ("t", 1e3, ("aX", "aY", "aZ", "wx", "wy", "wz"), 1.0, 1000 * 180 / np.pi),
}


def moving(n: int = 6000) -> np.ndarray:
    """A slow nod: gravity and angular rate that belong together."""
    t = np.arange(n) / RATE
    angle, rate, zero = 0.35 * np.sin(t), 0.35 * np.cos(t), np.zeros(n)
    return np.column_stack((GRAVITY_MPS2 * np.cos(angle), zero, GRAVITY_MPS2 * np.sin(angle), zero, rate, zero))


@pytest.mark.parametrize("name", FOREIGN)
def test_import_guesses_names_and_units_of_foreign_tables(tmp_path: Path, name: str) -> None:
    time, per_s, names, acc, gyr = FOREIGN[name]
    values = moving() * np.array([acc] * 3 + [gyr] * 3)
    frame = pd.DataFrame(
        {
            time: np.arange(6000) / RATE * per_s,
            **dict(zip(names, values.T, strict=True)),
            "FreeAcc_X": 0.0,
            "Mag_X": 1.0,
        }
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert run("import", tmp_path / "a.csv", "--out", tmp_path / "clean") == 0
    clean = pd.read_parquet(tmp_path / "clean/a.parquet")
    assert list(clean) == ["t_s", "ax", "ay", "az", "gx", "gy", "gz"]
    np.testing.assert_allclose(clean.t_s, np.arange(6000) / RATE, atol=1e-9)
    np.testing.assert_allclose(clean.to_numpy()[:, 1:], moving(), rtol=1e-9, atol=1e-12)
    assert run("process", tmp_path / "clean/a.parquet", "--out", tmp_path / "out") == 0


def test_import_shows_its_guesses_and_writes_nothing_unless_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.DataFrame(moving() / GRAVITY_MPS2, columns=["AccX", "AccY", "AccZ", "GyrX", "GyrY", "GyrZ"])
    frame.insert(0, "timestamp", pd.date_range("2026-03-02T08:00:00", periods=6000, freq="10ms").astype(str))
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert run("import", tmp_path / "a.csv") == 0
    shown = capsys.readouterr().out
    assert "gravity at rest reads" in shown
    assert "at rest +x points up" in shown
    assert "nothing written" in shown
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    assert run("import", tmp_path / "a.csv", "--json", "--out", tmp_path / "b") == 0
    found = json.loads(capsys.readouterr().out)["files"][0]
    assert found["absolute_time"] is True
    assert [g["unit"] for g in found["guesses"]] == ["date", "g", "g", "g", "rps", "rps", "rps"]
    assert pq.read_table(tmp_path / "b/a.parquet")["t_utc_ns"][0].as_py() == START_NS


def test_import_can_be_overruled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = moving()
    order = np.r_[3000:6000, 0:3000]
    table = pa.table({"clock": np.arange(6000)[order] * 10, **{f"c{i}": values[order, i] * 2 for i in range(6)}})
    pq.write_table(table, tmp_path / "a.parquet")
    assert run("import", tmp_path / "a.parquet", "--out", tmp_path / "b") == 1
    error = capsys.readouterr().err
    assert "found no column for time, ax, ay, az, gx, gy, gz; the file has clock, c0" in error
    words = ("--time", "clock", "--time-unit", "ms", "--acc", "c0,-c2,c1", "--gyr", "c3,-c5,c4", "--sort")
    assert (
        run(
            "import",
            tmp_path / "a.parquet",
            *words,
            "--acc-scale",
            "0.5",
            "--gyr-scale",
            "0.5",
            "--out",
            tmp_path / "b",
        )
        == 0
    )
    clean = pd.read_parquet(tmp_path / "b/a.parquet").to_numpy()
    np.testing.assert_allclose(clean[:, 0], np.arange(6000) / RATE)
    np.testing.assert_allclose(clean[:, 1:], values[:, [0, 2, 1, 3, 5, 4]] * [1, -1, 1, 1, -1, 1], atol=1e-12)


def test_import_never_overwrites_its_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording(20.0).to_parquet(tmp_path / "a.parquet", index=False)
    before = (tmp_path / "a.parquet").read_bytes()
    assert run("import", tmp_path / "a.parquet", "--out", tmp_path) == 1
    assert "would overwrite the file itself" in capsys.readouterr().err
    assert (tmp_path / "a.parquet").read_bytes() == before
