"""De-identified exports: nothing of who and when is left in any file, everything between two instants is."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from processing.alignment.offset import PelvicOffset
from processing.types import NS_PER_S, DeviceReport, Epoch, Event, Metric
from sensor_gateway import cli
from sensor_gateway.alignments.notes import append, offset_note
from sensor_gateway.export.manifest import check_manifest
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from tests.integration.test_delivery import sensors, write_recording

DAY_NS = 86_400 * NS_PER_S
T0 = 1_790_000_040 * NS_PER_S
WEARERS, SENSORS, PEOPLE = ("w-001", "anna7"), ("clip-1", "left-back"), ("pt-berger",)
HASHES = ("00000000000000a1", "00000000000000b2", "static-12345678", "mount-0badc0de", "2026-09-20.5ffa4da0")


def flag(t: int, i: int, sensor: str) -> list[Event]:
    day = str(datetime.fromtimestamp(t / 1e9, UTC).date())
    first, second = f"{HASHES[0][:-1]}{i}", f"{HASHES[1][:-1]}{i}"
    data: dict[str, Any] = {
        "sensor": sensor,
        "window": {"start_utc_ns": t - 600 * NS_PER_S, "end_utc_ns": t},
        "epochs": {"k": [[t // NS_PER_S // 10 - 60, 60]], "tilt_mdeg": [6914]},
        "limits": {"leak": 1_096_461_666_828, "dose_on_udeg_min": 60_000_000, "after_s": 1800},
        "alignment_id": HASHES[2],
        "mount_id": HASHES[3],
        "baseline_version": HASHES[4],
        "study_hash": "5ebcf5a54a72b842",
        "text": f"On {day} the clip {sensor} said so.",
        "until_s": t // NS_PER_S,
    }
    verdict = {"flag_event_id": first, "rater": PEOPLE[0], "note": "Anna Berger, Tuesday", "day": day}
    return [Event(t, first, "flag", "tilt_dose", data), Event(t + 5, second, "verdict", None, verdict)]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "store.db"
    store = Store.open(path)
    for n, (wearer, sensor) in enumerate(zip(WEARERS, SENSORS, strict=True)):
        for day in range(3):
            t = T0 + day * DAY_NS
            rows = [Metric(t + i * NS_PER_S, 1.5 + i, 0.1, 2.0, "standing", 0.9, 1.0, 0.8) for i in range(20)]
            epoch = Epoch(t, 1.5, 1.4, -2.0, 4.0, 1.1, 0, 0, 60, 0, 0, 0, 0, 0, None, 1.0, 1.0)
            events = flag(t, 3 * n + day, sensor)
            store.write(Owned(wearer, sensor, r) for r in (*rows, epoch, DeviceReport(t, 81.5), *events))
    store.close()
    offset = PelvicOffset(9.5, "caliper", PEOPLE[0], T0, 1.0)
    append(path.parent, lambda v: offset_note(v, T0 + DAY_NS, WEARERS[1], offset, "of Anna"))
    return path


def export(db: Path, out: Path, *words: str | Path) -> int:
    asked = ("export", "--store", db, "--kind", "metrics,epochs,events,devices", "--out", out, *words)
    return cli.main([str(w) for w in asked])


def everything(folder: Path) -> str:
    """All tables and texts of an export, as text."""
    return "\n".join(
        pd.read_parquet(path).to_csv() if path.suffix == ".parquet" else path.read_text(encoding="utf-8")
        for path in folder.iterdir()
    )


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_no_id_and_no_day_is_left_anywhere(db: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    assert export(db, out, "--format", form, "--shift-days", "random", "--remap-ids") == 0
    text = everything(out).replace("5ebcf5a54a72b842", "")
    for old in (*WEARERS, *SENSORS, *PEOPLE, *HASHES, "Anna", "Tuesday", *(h[:-1] for h in HASHES[:2])):
        # A whole word: a random id may begin like an old one (clip-1f97dd08).
        assert not re.search(rf"(?<![0-9A-Za-z-]){re.escape(old)}(?![0-9A-Za-z])", text), old
    days = [datetime.fromtimestamp(T0 / 1e9, UTC).date() + timedelta(days=d) for d in range(-1, 4)]
    assert not [d for d in days if str(d) in text]
    measured = [int(m) for m in re.findall(r"(?<!\d)1\d{18}(?!\d)", text)]
    assert measured
    assert max(measured) < T0 - 365 * DAY_NS
    assert not re.findall(r"(?<![\d.])17[89]\d{6,7}(?!\d)", text)  # epochs and seconds of those days
    assert check_manifest(out) == []


def test_intervals_values_and_references_are_kept(db: Path, tmp_path: Path) -> None:
    plain, veiled = tmp_path / "plain", tmp_path / "veiled"
    assert export(db, plain) == 0
    assert export(db, veiled, "--shift-days", "random", "--remap-ids", "--key", tmp_path / "key.json") == 0
    key = json.loads((tmp_path / "key.json").read_text())
    assert (tmp_path / "key.json").stat().st_mode & 0o777 == 0o600
    assert len({facts["days"] for facts in key["wearers"].values()}) == 2
    for table in ("metrics", "epochs", "events", "devices", "absolute"):
        a, b = pd.read_parquet(plain / f"{table}.parquet"), pd.read_parquet(veiled / f"{table}.parquet")
        assert len(a) == len(b)
        for wearer, facts in key["wearers"].items():
            mine, moved = a[a.wearer == wearer], b[b.wearer == facts["id"]]
            hidden = ["wearer", "sensor", "t_utc_ns", "event_id", "data"]
            assert list(moved.t_utc_ns) == [t + facts["days"] * DAY_NS for t in mine.t_utc_ns]
            left = [frame.drop(columns=hidden, errors="ignore").reset_index(drop=True) for frame in (mine, moved)]
            pd.testing.assert_frame_equal(*left)
    events = pd.read_parquet(veiled / "events.parquet")
    flags = {row.event_id: row for row in events[events.type == "flag"].itertuples()}
    assert len(flags) == 6
    for row in flags.values():
        data = json.loads(row.data)
        assert data["window"]["end_utc_ns"] == row.t_utc_ns == data["window"]["start_utc_ns"] + 600 * NS_PER_S
        assert data["epochs"] == {"k": [[row.t_utc_ns // NS_PER_S // 10 - 60, 60]], "tilt_mdeg": [6914]}
        assert data["until_s"] == row.t_utc_ns // NS_PER_S
        assert data["limits"] == {"leak": 1_096_461_666_828, "dose_on_udeg_min": 60_000_000, "after_s": 1800}
        assert data["study_hash"] == "5ebcf5a54a72b842"
        day = datetime.fromtimestamp(row.t_utc_ns / 1e9, UTC).date()
        assert data["text"] == f"On {day} the clip {row.sensor} said so."
        assert data["sensor"] == row.sensor
    for row in events[events.type == "verdict"].itertuples():
        data = json.loads(row.data)
        assert flags[data["flag_event_id"]].wearer == row.wearer
        assert data["note"] is None
        assert date.fromisoformat(data["day"]) == datetime.fromtimestamp(row.t_utc_ns / 1e9, UTC).date()


def test_the_manifest_says_what_was_done_and_nothing_that_undoes_it(db: Path, tmp_path: Path) -> None:
    words = ("--shift-days", "-4711", "--remap-ids", "--from", "2026-09-21", "--to", "2026-10-30")
    assert export(db, tmp_path / "out", *words) == 0
    text = (tmp_path / "out" / "manifest.json").read_text()
    manifest = json.loads(text)
    assert manifest["deidentified"]["dates"].startswith("moved by whole days, the same shift for all wearers")
    assert manifest["deidentified"]["recorded_here"] == "neither shifts nor the mapping of ids"
    assert manifest["selection"]["from_utc_ns"] is manifest["selection"]["to_utc_ns"] is None
    assert "4711" not in text
    assert manifest["offsets"][0]["rater"].startswith("person-")
    metrics = pd.read_parquet(tmp_path / "out" / "metrics.parquet")
    assert metrics.t_utc_ns.min() == T0 - 4711 * DAY_NS


def test_exports_under_one_key_fit_together_and_others_do_not(db: Path, tmp_path: Path) -> None:
    key, names = tmp_path / "key.json", []
    for name, words in (("a", ("--key", key)), ("b", ("--key", key)), ("c", ())):
        assert export(db, tmp_path / name, "--remap-ids", *words) == 0
        names.append(set(pd.read_parquet(tmp_path / name / "metrics.parquet").wearer))
    assert names[0] == names[1]
    assert not names[0] & names[2]
    assert (tmp_path / "a" / "events.parquet").read_bytes() == (tmp_path / "b" / "events.parquet").read_bytes()


def test_ids_stay_where_only_days_move_but_not_those_that_tell_the_day(db: Path, tmp_path: Path) -> None:
    assert export(db, tmp_path / "out", "--shift-days", "-1000") == 0
    text = everything(tmp_path / "out")
    assert all(old in text for old in (*WEARERS, *SENSORS, *PEOPLE))
    assert not [h for h in HASHES if h in text]


def test_wrong_options_get_one_sentence(db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, key = tmp_path / "out", tmp_path / "key.json"
    for words, says in (
        (("--key", key), "--key belongs to"),
        (("--remap-ids", "--key", out / "key.json"), "outside --out"),
    ):
        assert export(db, out, *words) == 2
        assert says in capsys.readouterr().err
    for wrong in ("0", "x", "99999"):
        with pytest.raises(SystemExit):
            export(db, out, "--shift-days", wrong)
    assert export(db, out, "--remap-ids", "--key", tmp_path / "none" / "key") == 1
    assert "none/key: cannot be written" in capsys.readouterr().err
    assert export(db, tmp_path / "first", "--remap-ids", "--key", key) == 0
    assert export(db, out, "--shift-days", "random", "--remap-ids", "--key", key) == 1
    assert "use the same options" in capsys.readouterr().err
    key.chmod(0o644)
    assert export(db, out, "--remap-ids", "--key", key) == 1
    assert "chmod 600" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.slow
def test_raw_samples_move_and_are_renamed_as_well(tmp_path: Path) -> None:
    write_recording(tmp_path / "walk.parquet", 60)
    config = tmp_path / "gateway.toml"
    config.write_text(f'[site]\ndata_dir = "data"\n{sensors(tmp_path / "walk.parquet", 0)}\n[web]\nenabled = false\n')
    assert cli.main(["run", "--config", str(config), "--until-done"]) == 0
    words = ["export", "--config", str(config), "--kind", "raw", "--out"]
    assert cli.main([*words, str(tmp_path / "plain")]) == 0
    assert cli.main([*words, str(tmp_path / "veiled"), "--shift-days", "-800", "--remap-ids"]) == 0
    a, b = (pd.read_parquet(tmp_path / name / "raw.parquet") for name in ("plain", "veiled"))
    assert len(a) == 6000
    assert (b.t_utc_ns == a.t_utc_ns - 800 * DAY_NS).all()
    pd.testing.assert_frame_equal(a.drop(columns=["wearer", "sensor", "t_utc_ns"]), b.iloc[:, 3:])
    assert b.wearer.str.fullmatch("p-[0-9a-f]{8}").all()
    text = (tmp_path / "veiled" / "manifest.json").read_text()
    assert not [old for old in ("w-001", "clip-1", "-800") if old in text]
