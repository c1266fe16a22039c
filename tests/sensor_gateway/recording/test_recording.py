"""Reading recordings: what is accepted, what is dropped with a word, and what is refused with one clear sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from processing.types import GRAVITY_MPS2, NS_PER_S
from sensor_gateway.recording.checks import rate_of
from sensor_gateway.recording.recording import Recording, RecordingError, read_recording

START = 1_790_000_000 * NS_PER_S
NAMES = ("ax", "ay", "az", "gx", "gy", "gz")


def samples(n: int = 1000, rate_hz: float = 100.0) -> dict[str, np.ndarray]:
    """A slow nod of ±20° about the sensor's y axis: gravity and angular rate that belong together."""
    t = np.arange(n) / rate_hz
    angle, rate = 0.35 * np.sin(t), 0.35 * np.cos(t)
    zero = np.zeros(n)
    acc = (GRAVITY_MPS2 * np.cos(angle), zero, GRAVITY_MPS2 * np.sin(angle))
    return {"t_s": t, **dict(zip(NAMES, (*acc, zero, rate, zero), strict=True))}


def write(path: Path, data: dict[str, object]) -> Path:
    table = pa.table(data)
    if path.suffix == ".csv":
        pa_csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    return path


def refused(path: Path, start: int | None = None) -> str:
    with pytest.raises(RecordingError) as e:
        read_recording(path, start)
    text = str(e.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert "Traceback" not in text
    return text.removeprefix(f"{path}: ")


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_reads_what_was_written(tmp_path: Path, suffix: str) -> None:
    data = samples()
    r = read_recording(write(tmp_path / f"a{suffix}", {**data, "label": ["sit"] * 1000}), START)
    np.testing.assert_array_equal(r.t_utc_ns, START + np.rint(data["t_s"] * 1e9).astype(np.int64))
    np.testing.assert_array_equal(r.acc_mps2, np.column_stack([data[c] for c in NAMES[:3]]))
    np.testing.assert_array_equal(r.gyr_rps, np.column_stack([data[c] for c in NAMES[3:]]))
    assert (r.rate_hz, r.zero_utc_ns, r.dated, r.warnings) == (100.0, START, True, ())
    assert r.acc_mps2.flags.c_contiguous
    assert r.dropped == {"no_time": 0, "not_finite": 0, "repeated": 0, "leaping": 0}


def test_without_a_start_time_zero_is_1970_and_says_it_is_undated(tmp_path: Path) -> None:
    r = read_recording(write(tmp_path / "a.parquet", samples()))
    assert (int(r.t_utc_ns[0]), r.dated) == (0, False)
    unix = {**samples(), "t_s": samples()["t_s"] + 1_790_000_000.0}
    r = read_recording(write(tmp_path / "b.parquet", unix))
    assert (int(r.t_utc_ns[0]), r.dated) == (START, True)


def test_utc_columns_as_integers_and_as_timestamps(tmp_path: Path) -> None:
    data = samples()
    t = START + np.rint(data.pop("t_s") * 1e9).astype(np.int64)
    expected = read_recording(write(tmp_path / "a.parquet", {"t_utc_ns": t, **data}))
    np.testing.assert_array_equal(expected.t_utc_ns, t)
    assert expected.zero_utc_ns == START
    for i, column in enumerate(
        (pa.array(t // 1000).cast(pa.timestamp("us", tz="UTC")), pa.array(t, pa.timestamp("ns")))
    ):
        r = read_recording(write(tmp_path / f"ts{i}.parquet", {"t_utc_ns": column, **data}))
        np.testing.assert_array_equal(r.t_utc_ns, t)
    np.testing.assert_array_equal(read_recording(write(tmp_path / "a.csv", {"t_utc_ns": t, **data})).t_utc_ns, t)
    assert "leave out --start" in refused(tmp_path / "a.parquet", START)


def test_float32_integers_and_half_floats_are_widened(tmp_path: Path) -> None:
    data = samples()
    narrow = {"t_s": data["t_s"], **{c: data[c].astype(np.float32) for c in NAMES}}
    r = read_recording(write(tmp_path / "a.parquet", narrow))
    assert r.acc_mps2.dtype == np.float64
    np.testing.assert_array_equal(r.acc_mps2[:, 0], narrow["ax"].astype(np.float64))
    half = {**data, "gx": data["gx"].astype(np.float16), "gz": np.zeros(1000, np.int16)}
    assert read_recording(write(tmp_path / "b.parquet", half)).warnings == ()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_rows_that_are_not_finite_become_a_gap(tmp_path: Path, bad: float, suffix: str) -> None:
    data = samples()
    data["gy"][100:110] = bad
    data["ax"][500] = bad
    r = read_recording(write(tmp_path / f"a{suffix}", data))
    assert len(r.t_utc_ns) == 989
    assert np.isfinite(r.acc_mps2).all()
    assert np.isfinite(r.gyr_rps).all()
    assert r.dropped["not_finite"] == 11
    assert "11 rows hold NaN, inf" in r.warnings[0]


def test_rows_without_a_time_are_left_out(tmp_path: Path) -> None:
    data = samples()
    data["t_s"][3] = np.nan
    r = read_recording(write(tmp_path / "a.parquet", data))
    assert (len(r.t_utc_ns), r.dropped["no_time"]) == (999, 1)


def test_a_row_sent_twice_is_dropped_but_two_samples_at_one_time_are_refused(tmp_path: Path) -> None:
    data = {k: np.insert(v, 200, v[200]) for k, v in samples().items()}
    r = read_recording(write(tmp_path / "a.parquet", data))
    assert (len(r.t_utc_ns), r.dropped["repeated"]) == (1000, 1)
    assert "repeat the row before" in r.warnings[0]
    data["gy"][201] += 0.1
    assert "t_s repeats: rows 201 and 202 have the same time" in refused(write(tmp_path / "b.parquet", data))


def test_times_that_go_back_are_refused_naming_the_rows(tmp_path: Path) -> None:
    data = samples()
    data["t_s"][500:] -= 3.0
    text = refused(write(tmp_path / "a.parquet", data))
    assert "goes back from row 500 to row 501 (by 2.99 s)" in text
    assert "import --sort" in text


def _shift(by: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda t: t + by


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_shift(-5.0), "before 1970; give the time of t_s = 0 with --start"),
        (lambda t: t * 1000, "looks like milliseconds"),
        (_shift(1.79e12), "milliseconds"),
        (_shift(8e9), "after the year 2200"),
        (lambda t: np.where(t < 5, t, t + 90 * 86400), "jumps by 90 days from row 500 to row 501"),
        (lambda t: t * 1e-4, "faster than any motion sensor"),
    ],
)
def test_impossible_times_are_refused(tmp_path: Path, change: Callable[[np.ndarray], np.ndarray], says: str) -> None:
    data = samples()
    assert says in refused(write(tmp_path / "a.parquet", {**data, "t_s": change(data["t_s"])}))


def test_negative_seconds_are_fine_with_a_start(tmp_path: Path) -> None:
    data = samples()
    r = read_recording(write(tmp_path / "a.parquet", {**data, "t_s": data["t_s"] - 5.0}), START)
    assert int(r.t_utc_ns[0]) == START - 5 * NS_PER_S


def _units(r: Recording) -> str:
    return " ".join(r.warnings)


@pytest.mark.parametrize(
    ("acc", "gyr", "says"),
    [
        (1 / GRAVITY_MPS2, 1.0, "looks like g;"),
        (1000 / GRAVITY_MPS2, 1.0, "looks like mg;"),
        (3.28084, 1.0, "looks like ft/s²;"),
        (16384 / GRAVITY_MPS2, 1.0, "looks like raw counts"),
        (0.01, 1.0, "gravity seems to be taken out"),
        (2.0, 1.0, "no unit we know"),
        (1.0, 180 / np.pi, "looks like deg/s"),
        (1.0, 16.4 * 1e4, "raw counts"),
    ],
)
def test_a_wrong_unit_is_warned_about_by_name(tmp_path: Path, acc: float, gyr: float, says: str) -> None:
    data = samples(4000)
    for c in NAMES:
        data[c] = data[c] * (acc if c[0] == "a" else gyr)
    r = read_recording(write(tmp_path / "a.parquet", data))
    assert len(r.warnings) == 1
    assert says in _units(r)


def test_missing_columns_are_named_with_what_was_found_and_the_nearest(tmp_path: Path) -> None:
    data = samples()
    renamed = {
        "time": data["t_s"],
        "acc_x": data["ax"],
        **{c: data[c] for c in ("ay", "az", "gx", "gy")},
        "gyrz": data["gz"],
    }
    text = refused(write(tmp_path / "a.csv", renamed))
    assert text.startswith("missing columns t_s (or t_utc_ns), ax, gz; found: time, acc_x, ay, az, gx, gy, gyrz")
    assert "gz may be 'gyrz'" in text
    del data["gy"]
    assert refused(write(tmp_path / "b.parquet", data)).startswith("missing column gy; found: t_s, ax, ay, az, gx, gz")


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_no_rows_and_one_row(tmp_path: Path, suffix: str) -> None:
    data = samples()
    assert "0 rows" in refused(write(tmp_path / f"a{suffix}", {k: v[:0] for k, v in data.items()}))
    assert "1 usable of 1 rows" in refused(write(tmp_path / f"b{suffix}", {k: v[:1] for k, v in data.items()}))
    nothing = {k: v if k == "t_s" else v * np.nan for k, v in data.items()}
    assert "0 usable of 1000 rows" in refused(write(tmp_path / f"c{suffix}", nothing))


def test_files_that_are_none(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "none.parquet")
    assert "is a folder" in refused(tmp_path)
    for name, content, says in [
        ("a.parquet", b"", "empty (0 bytes)"),
        ("b.csv", b"", "empty (0 bytes)"),
        ("c.parquet", b"t_s,ax\n", "is not a Parquet file inside"),
        ("d.xlsx", b"PK\3\4", "neither Parquet nor CSV"),
        ("e.csv", b"t_s,\0\1", "neither Parquet nor CSV"),
        ("f.csv", b"\n# only a comment\n", "no header line"),
    ]:
        (tmp_path / name).write_bytes(content)
        assert says in refused(tmp_path / name)


def test_a_cut_or_damaged_parquet_is_called_so_at_any_length(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.parquet", samples()).read_bytes()
    for n in (4, 9, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.parquet").write_bytes(whole[:n])
        assert "cut off or damaged" in refused(tmp_path / "cut.parquet")
    (tmp_path / "hole.parquet").write_bytes(whole[:64] + bytes(4000) + whole[4064:])
    assert "cut off or damaged" in refused(tmp_path / "hole.parquet")


def test_a_csv_cut_in_its_last_line_is_used_up_to_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", samples())
    whole = path.read_bytes().rstrip(b"\n")
    path.write_bytes(whole[: whole.rindex(b",")])
    r = read_recording(path)
    assert len(r.t_utc_ns) == 999
    assert "ends in the middle of a line" in r.warnings[0]


def test_a_csv_with_a_broken_line_inside_or_text_is_refused_naming_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", samples())
    lines = path.read_text().splitlines()
    (tmp_path / "b.csv").write_text("\n".join([*lines[:5], "1,2,3", *lines[6:]]) + "\n")
    assert refused(tmp_path / "b.csv").startswith("line 6 has 3 values where the header names 7 columns")
    (tmp_path / "c.csv").write_text("\n".join([*lines[:5], lines[5].replace(",", ",oops", 1), *lines[6:]]) + "\n")
    text = refused(tmp_path / "c.csv")
    assert "column ax holds something that is not a number" in text
    assert "oops" in text
    data = samples()
    text = refused(write(tmp_path / "d.parquet", {**data, "gx": [*["0.1"] * 999, "left"]}))
    assert "column gx holds something that is not a number" in text
    assert "not numbers" in refused(write(tmp_path / "e.parquet", {**data, "gx": [True] * 1000}))


def test_text_layouts(tmp_path: Path) -> None:
    data = samples(200)
    rows = [[f"{v[i]:.17g}" for v in data.values()] for i in range(200)]
    layouts = {
        "tab.tsv": "\t".join(data) + "\n" + "\n".join("\t".join(r) for r in rows),
        "comma.csv": ";".join(data) + "\n" + "\n".join(";".join(c.replace(".", ",") for c in r) for r in rows),
        "comment.csv": "\ufeff# clip 1\n" + ",".join(data) + "\r\n" + "\r\n".join(",".join(r) for r in rows) + "\r\n",
    }
    for name, text in layouts.items():
        (tmp_path / name).write_bytes(text.encode())
        np.testing.assert_array_equal(read_recording(tmp_path / name).acc_mps2[:, 0], data["ax"])


def test_the_rate_survives_gaps_jitter_and_rounded_times() -> None:
    rng = np.random.default_rng(1)
    t = np.arange(20_000) / 285.714285
    assert rate_of(np.rint(t * 1e9).astype(np.int64)) == pytest.approx(285.7143, abs=1e-4)
    assert rate_of(np.rint(t * 1e3).astype(np.int64) * 1_000_000) == pytest.approx(285.714, rel=1e-3)
    lost = np.sort(rng.permutation(20_000)[:18_000])
    assert rate_of(np.rint(t[lost] * 1e9).astype(np.int64)) == pytest.approx(285.7143, abs=1e-3)
    jitter = np.rint((t + rng.normal(0, 0.0003, len(t))) * 1e9).astype(np.int64)
    assert rate_of(jitter) == pytest.approx(285.7143, rel=2e-3)
