"""`tiltline import`: makers' own files made here from their descriptions, with their wraps, halves, units and traps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from processing.types import GRAVITY_MPS2
from sensor_gateway.cli import main
from sensor_gateway.recording.recording import read_recording

RATE = 60.0
EPOCH_MS = 1_760_000_000_000


def motion(n: int, rate_hz: float = RATE, phase_s: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A sensor that is tilted slowly to and fro about x, with still stretches: times, m/s², rad/s."""
    t = np.arange(n) / rate_hz + phase_s
    angle = 0.5 * np.sin(2 * np.pi * 0.2 * t) * np.maximum(np.sin(2 * np.pi * 0.05 * t), 0) ** 2
    rate = np.gradient(angle, t)
    acc = GRAVITY_MPS2 * np.column_stack((np.zeros(n), np.sin(angle), np.cos(angle)))
    return t, acc, np.column_stack((rate, np.zeros(n), np.zeros(n)))


def table(names: str, *columns: Any) -> str:
    rows = zip(*columns, strict=True)
    return (
        names
        + "\n"
        + "\n".join(",".join(f"{v:.6f}" if isinstance(v, float) else str(v) for v in r) for r in rows)
        + "\n"
    )


def dot_file(path: Path, first_us: int = 2**32 - 5_000_000, n: int = 1200) -> tuple[np.ndarray, np.ndarray]:
    _, acc, gyr = motion(n)
    ticks = [(first_us + round(i * 1e6 / RATE)) % 2**32 for i in range(n)]
    columns = [range(1, n + 1), ticks, *acc.T.tolist(), *np.degrees(gyr).T.tolist(), [0] * n]
    names = "PacketCounter,SampleTimeFine,Acc_X,Acc_Y,Acc_Z,Gyr_X,Gyr_Y,Gyr_Z,Status"
    head = "sep=,\nDeviceTag:,Xsens DOT 7\nFirmwareVersion:,2.0.0\nOutputRate:,60Hz\nFilterProfile:,General\n\n"
    path.write_text(head + table(names, *columns))
    return acc, gyr


def metamotion_pair(
    folder: Path, acc_hz: float = 100.0, gyr_hz: float = 50.0, seconds: float = 40.0, hole: bool = False
) -> tuple[Path, Path]:
    files = []
    for quantity, rate_hz, unit, factor in (
        ("Accelerometer", acc_hz, "g", 1 / GRAVITY_MPS2),
        ("Gyroscope", gyr_hz, "deg/s", 180 / np.pi),
    ):
        t, acc, gyr = motion(round(seconds * rate_hz), rate_hz, 0.003 if quantity == "Gyroscope" else 0.0)
        values = (acc if quantity == "Accelerometer" else gyr) * factor
        keep = np.ones(len(t), bool) if quantity == "Accelerometer" or not hole else (t < 10) | (t > 12)
        ms = [EPOCH_MS + round(1000 * x) for x in t[keep]]
        stamps = ["2025-10-09T10:53:20.000"] * len(ms)
        names = "epoc (ms),timestamp (+0200),elapsed (s)," + ",".join(f"{a}-axis ({unit})" for a in "xyz")
        path = folder / f"MetaWear_2025-10-09T10.53.20.000_C8F1A2B3C4D5_{quantity}_{rate_hz:.3f}Hz_1.5.0.csv"
        path.write_text(table(names, ms, stamps, t[keep].tolist(), *values[keep].T.tolist()))
        files.append(path)
    return files[0], files[1]


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, Any, str]:
    status = main(["import", *map(str, words), "--json"])
    out = capsys.readouterr()
    return status, json.loads(out.out), out.err


def units(told: Any) -> dict[str, tuple[str, str]]:
    return {g["ours"]: (g["unit"], g["sure"]) for g in told["guesses"]}


def test_a_dot_export_with_its_preamble_and_its_wrap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    acc, gyr = dot_file(tmp_path / "Xsens DOT 7.csv")
    status, told, _ = run(capsys, tmp_path / "Xsens DOT 7.csv", "--out", tmp_path / "clean")
    (f,) = told["files"]
    assert (status, f["layout"], f["rows"]) == (0, "Movella DOT export", 1200)
    assert f["rate_hz"] == pytest.approx(60, rel=1e-3)
    assert units(f)["ax"] == ("mps2", "sure")
    assert units(f)["gx"] == ("dps", "sure")
    assert units(f)["t_s"] == ("us", "sure")
    assert "wraps 1 time" in f["guesses"][0]["why"]
    assert f["up_axis"] == "+z"
    recording = read_recording(tmp_path / "clean" / "Xsens DOT 7.parquet")
    np.testing.assert_allclose(np.diff(recording.t_utc_ns) / 1e9, 1 / 60, atol=2e-6)
    np.testing.assert_allclose(recording.acc_mps2, acc, atol=1e-5)
    np.testing.assert_allclose(recording.gyr_rps, gyr, atol=1e-5)


def test_an_xsens_export_counts_in_ten_kilohertz_and_radians(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    n = 1500
    _, acc, gyr = motion(n, 100.0)
    columns = [range(n), range(5000, 5000 + 100 * n, 100), *acc.T.tolist(), *gyr.T.tolist()]
    path = tmp_path / "mt.txt"
    text = table("PacketCounter,SampleTimeFine,Acc_X,Acc_Y,Acc_Z,Gyr_X,Gyr_Y,Gyr_Z", *columns)
    path.write_text("// Start Time: Unknown\n// Update Rate: 100.0Hz\n" + text.replace(",", "\t"))
    status, told, _ = run(capsys, path)
    (f,) = told["files"]
    assert (status, f["rate_hz"]) == (0, pytest.approx(100))
    assert units(f)["t_s"] == ("0.1ms", "likely")
    assert units(f)["gx"] == ("rps", "likely")


@pytest.mark.parametrize("order", [1, -1])
def test_a_metamotion_pair_is_joined_on_time(tmp_path: Path, capsys: pytest.CaptureFixture[str], order: int) -> None:
    acc_path, gyr_path = metamotion_pair(tmp_path)
    status, told, _ = run(capsys, *(acc_path, gyr_path)[::order], "--out", tmp_path / "clean")
    (f,) = told["files"]
    assert (status, f["layout"], f["file"], f["joined_with"]) == (0, "MetaMotion export", str(acc_path), str(gyr_path))
    assert (f["rate_hz"], f["absolute_time"]) == (pytest.approx(100), True)
    assert units(f)["ax"] == ("g", "sure")
    assert units(f)["gx"] == ("dps", "sure")
    recording = read_recording(Path(f["out"]))
    t = (recording.t_utc_ns - EPOCH_MS * 1_000_000) / 1e9
    _, _, gyr = motion(4000, 100.0)
    at = np.rint(t * 100).astype(int)
    assert len(t) >= 3997
    inner = (t > 1) & (t < 39)
    assert np.abs(recording.gyr_rps - gyr[at])[inner].max() < 0.02  # of 0.63 rad/s; a millisecond's rounding is in it


def test_the_other_half_is_found_beside_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    acc_path, gyr_path = metamotion_pair(tmp_path)
    status, told, _ = run(capsys, gyr_path)
    assert (status, told["files"][0]["file"], told["files"][0]["joined_with"]) == (0, str(acc_path), str(gyr_path))


def test_a_hole_in_one_half_is_a_hole_and_not_a_line_across(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = metamotion_pair(tmp_path, hole=True)
    status, told, err = run(capsys, *paths, "--out", tmp_path / "clean")
    assert status == 0
    assert "have no angular rate at their time" in err
    t = read_recording(Path(told["files"][0]["out"])).t_utc_ns / 1e9
    assert np.diff(t).max() == pytest.approx(2.0, abs=0.05)


def test_a_lonely_half_and_two_strangers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    acc_path, gyr_path = metamotion_pair(tmp_path)
    alone = tmp_path / "elsewhere" / acc_path.name
    alone.parent.mkdir()
    alone.write_bytes(acc_path.read_bytes())
    status, told, err = run(capsys, alone)
    assert (status, told["files"]) == (1, [])
    assert "holds acceleration only; name the file with the angular rate" in err
    gyr_path.write_text(gyr_path.read_text().replace(f"{EPOCH_MS // 100_000}", f"{EPOCH_MS // 100_000 + 10}"))
    status, _, err = run(capsys, alone, gyr_path)
    assert status == 1
    assert "do not overlap in time" in err


def test_free_acceleration_is_refused_with_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dot.csv"
    names = "PacketCounter,SampleTimeFine,Euler_X,Euler_Y,Euler_Z,FreeAcc_X,FreeAcc_Y,FreeAcc_Z"
    path.write_text("DeviceTag:,7\n" + table(names, *[range(50)] * 8))
    status, _, err = run(capsys, path)
    assert status == 1
    assert "found no column for ax, ay, az, gx, gy, gz" in err
    assert "gravity taken off" in err


def test_movesense_halves_with_bare_axes_are_told_by_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    t, acc, gyr = motion(2000, 52.0)
    ms = [round(1000 * x) for x in t]
    (tmp_path / "walk_LinearAcceleration.csv").write_text(table("timestamp,x,y,z", ms, *acc.T.tolist()))
    (tmp_path / "walk_AngularVelocity.csv").write_text(table("timestamp,x,y,z", ms, *np.degrees(gyr).T.tolist()))
    status, told, _ = run(capsys, tmp_path / "walk_LinearAcceleration.csv")
    (f,) = told["files"]
    assert (status, f["rate_hz"]) == (0, pytest.approx(52, rel=0.01))
    assert (units(f)["ax"][0], units(f)["gx"][0], units(f)["t_s"][0]) == ("mps2", "dps", "ms")


def test_units_said_by_a_name_and_contradicted_by_gravity_are_not_believed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    t, acc, gyr = motion(3000, 100.0)
    path = tmp_path / "x.csv"
    names = "t (s)," + ",".join(f"acc_{a} (g)" for a in "xyz") + "," + ",".join(f"gyr_{a} (rad/s)" for a in "xyz")
    path.write_text(table(names, t.tolist(), *acc.T.tolist(), *np.degrees(gyr).T.tolist()))
    _, told, _ = run(capsys, path)
    assert units(told["files"][0])["ax"] == ("mps2", "unsure")
    assert units(told["files"][0])["gx"] == ("dps", "unsure")
    assert "check it" in told["files"][0]["guesses"][1]["why"]
    _, told, _ = run(capsys, path, "--acc-unit", "mps2", "--gyr-unit", "dps")
    assert units(told["files"][0])["ax"] == ("mps2", "stated")


def test_map_names_and_turns_single_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    t, acc, gyr = motion(2000, 100.0)
    path = tmp_path / "x.csv"
    path.write_text(
        table("clock,ax,ay,down,gx,gy,yaw", t.tolist(), *acc[:, :2].T.tolist(), (-acc[:, 2]).tolist(), *gyr.T.tolist())
    )
    words = ("--map", "t=clock", "--map", "az=-down", "--map", "gz=yaw")
    status, told, _ = run(capsys, path, *words, "--out", tmp_path / "clean")
    assert (status, told["files"][0]["up_axis"]) == (0, "+z")
    np.testing.assert_allclose(read_recording(Path(told["files"][0]["out"])).acc_mps2, acc, atol=1e-5)
    with pytest.raises(SystemExit):
        main(["import", str(path), "--map", "q=clock"])
    assert "write OURS=COLUMN" in capsys.readouterr().err


def test_one_bad_file_does_not_hold_up_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dot_file(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("")
    status, told, err = run(capsys, tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c.csv")
    assert (status, len(told["files"]), len(told["errors"])) == (1, 1, 2)
    assert "is empty" in err
    assert "no such file" in err


def test_the_table_for_people_says_how_sure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dot_file(tmp_path / "a.csv")
    assert main(["import", str(tmp_path / "a.csv")]) == 0
    out = capsys.readouterr().out
    assert "Movella DOT export: 1200 rows" in out
    assert "how sure" in out
    assert "nothing written; add --out DIR" in out


def test_a_clean_parquet_of_ours_comes_through_unchanged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dot_file(tmp_path / "a.csv")
    run(capsys, tmp_path / "a.csv", "--out", tmp_path / "one")
    status, told, _ = run(capsys, tmp_path / "one" / "a.parquet", "--out", tmp_path / "two")
    assert (status, [g["unit"] for g in told["files"][0]["guesses"]]) == (0, ["s", *["mps2"] * 3, *["rps"] * 3])
    one, two = (pq.read_table(tmp_path / d / "a.parquet") for d in ("one", "two"))
    for name in one.column_names:
        np.testing.assert_allclose(two[name].to_numpy(), one[name].to_numpy(), rtol=1e-12, atol=1e-9)


def test_a_raw_export_of_several_is_refused_and_of_one_comes_through(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows of two wearers one after the other would be one recording that steps back in time."""
    names = (
        "wearer,sensor,t_utc_ns,"
        + ",".join(f"acc_{a}_mps2" for a in "xyz")
        + ","
        + ",".join(f"gyr_{a}_rps" for a in "xyz")
    )
    t, acc, gyr = motion(1200)
    at = (EPOCH_MS * 1_000_000 + np.rint(t * 1e9).astype(np.int64)).tolist()
    rows = [["clip-1"] * 1200, at, *acc.T.tolist(), *gyr.T.tolist()]
    (tmp_path / "raw.csv").write_text(table(names, ["w-001"] * 1200, *rows))
    status, told, _ = run(capsys, tmp_path / "raw.csv", "--out", tmp_path / "one")
    assert (status, told["files"][0]["rows"]) == (0, 1200)
    (tmp_path / "raw.csv").write_text(table(names, ["w-001"] * 600 + ["w-002"] * 600, *rows))
    status, _, err = run(capsys, tmp_path / "raw.csv", "--out", tmp_path / "two")
    assert status == 1
    assert "holds 2 recordings (column wearer: w-001, w-002)" in err
    assert not (tmp_path / "two").exists()
