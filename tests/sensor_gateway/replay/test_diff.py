"""`tiltline replay --diff`: what another study makes of the same days, said in numbers and in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from processing.types import NS_PER_S, Event, Metric
from sensor_gateway import cli
from sensor_gateway.replay import report
from sensor_gateway.replay.diff import diff
from sensor_gateway.replay.rederive import compare
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.makers import Maker
from sensor_gateway.sinks.store import Store
from tests.integration.test_delivery import sensors, write_recording

T0 = 1_790_000_040 * NS_PER_S


def metric(i: int) -> Metric:
    return Metric(T0 + i * NS_PER_S, 1.0 * i, 0.1, 2.0, "standing", 0.9, 1.0, 0.8)


def flag(i: int, rule: str, study: str) -> Event:
    return Event(T0 + i * NS_PER_S, f"{study}-{rule}-{i}", "flag", rule, {"text": f"<{rule}>", "study_hash": study})


def store(path: Path, records: list[Metric | Event]) -> Store:
    made = Store.open(path)
    made.write(Owned("w-001", "clip-1", r) for r in records)
    return made


def head(study_hash: str, changes: Sequence[tuple[str, object, object]] = ()) -> report.Head:
    study = {"hash": study_hash, "version": "1"}
    rows = [{"key": key, "from": was, "to": now} for key, was, now in changes]
    facts = {"name": "strict", "site": "home", "gateway": "gw-1", "mode": "live", "options": {"study": "strict.toml"}}
    maker = Maker(T0, {"tiltline": "0.1.0"}, {**facts, "study": study, "study_changes": rows})
    return report.Head(maker, [Maker(T0, {"tiltline": "0.0.9"})], "aa")


def test_rows_columns_and_flags_that_differ_are_told_apart(tmp_path: Path) -> None:
    rows = [metric(i) for i in range(10)]
    old = store(tmp_path / "a.db", [*rows[:9], flag(3, "tilt_dose", "a"), flag(5, "sustained_tilt", "a")])
    other = [*rows[1:], flag(3, "tilt_dose", "b"), flag(7, "static_posture", "b")]
    other[1] = replace(rows[2], anterior_tilt_deg=-3.0, posture="walking")
    other[2] = replace(rows[3], anterior_tilt_deg=3.5)
    other[3] = replace(rows[4], tilt_uncertainty_deg=None)
    new = store(tmp_path / "b.db", other)
    found = diff(old, new, {"w-001": ["clip-1"]})
    of = found["w-001"].kinds["metric"]
    assert (of.equal, of.changed, of.added, of.removed) == (5, 3, 1, 1)
    assert (of.first_utc_ns, of.last_utc_ns) == (T0, T0 + 9 * NS_PER_S)
    tilt = of.columns["anterior_tilt_deg"]
    assert (tilt.rows, tilt.largest, tilt.at_utc_ns) == (2, -5.0, T0 + 2 * NS_PER_S)
    assert (of.columns["posture"].rows, of.columns["posture"].largest) == (1, None)
    assert (of.columns["tilt_uncertainty_deg"].rows, of.columns["tilt_uncertainty_deg"].largest) == (1, None)
    events = found["w-001"].kinds["event"]
    assert (events.equal, events.added, events.removed) == (1, 1, 1)  # another study's id is no other flag
    changes = [(f.t_utc_ns, f.rule, f.gained) for f in found["w-001"].flags]
    assert changes == [(T0 + 5 * NS_PER_S, "sustained_tilt", False), (T0 + 7 * NS_PER_S, "static_posture", True)]
    for form in ("txt", "json", "html"):
        report.write(tmp_path / f"report.{form}", found, head("bb", [("tilt.on_s", 120, 60)]))
    text = (tmp_path / "report.txt").read_text()
    assert "flags: 1 gained, 1 lost" in text
    assert "- 2026-09-21 14:14:05Z clip-1 sustained_tilt: <sustained_tilt>" in text
    assert "  tilt.on_s: 120 -> 60" in text
    assert "  version: tiltline 0.0.9 -> tiltline 0.1.0" in text
    assert "  study: aa -> bb" in text
    assert "    flag: 1 added, 1 removed" in text
    assert "anterior_tilt_deg: 2 rows, the largest by -5 at 2026-09-21 14:14:02Z" in text
    page = (tmp_path / "report.html").read_text()
    assert "&lt;sustained_tilt&gt;" in page
    assert "<sustained_tilt>" not in page
    assert json.loads((tmp_path / "report.json").read_text())["wearers"]["w-001"]["kinds"]["metric"]["changed"] == 3
    assert report.lines(diff(old, old, {"w-001": ["clip-1"]}), head("aa"))[-1] == "  flags: 0 gained, 0 lost"


def test_a_replay_of_one_of_two_clips_is_compared_with_that_one(tmp_path: Path) -> None:
    both, one = store(tmp_path / "a.db", [metric(0), flag(1, "tilt_dose", "a")]), store(tmp_path / "b.db", [metric(0)])
    both.write(Owned("w-001", "clip-2", r) for r in (metric(0), metric(1), flag(3, "tilt_dose", "a")))
    found = diff(both, one, {"w-001": ["clip-1"]})["w-001"]
    of = found.kinds["metric"]
    assert (of.equal, of.changed, of.added, of.removed) == (1, 0, 0, 0)
    assert [(f.sensor, f.gained) for f in found.flags] == [("clip-1", False)]
    same = compare(both, one, "w-001", "metric", ["clip-1"])
    assert same.is_none
    assert same.equal == 1
    assert compare(both, one, "w-001", "metric").only_stored == 2
    assert both.counts("w-001", "clip-2") == {"metric": 2, "epoch": 0, "event": 1, "device": 0}


@pytest.mark.slow
def test_a_changed_threshold_shows_as_flags_gained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recording(tmp_path / "walk.parquet", 240)
    config = tmp_path / "gateway.toml"
    config.write_text(f'[site]\ndata_dir = "data"\n{sensors(tmp_path / "walk.parquet", 0)}\n[web]\nenabled = false\n')
    assert cli.main(["run", "--config", str(config), "--until-done"]) == 0
    (tmp_path / "strict.toml").write_text("[tilt]\ndose_deg_min = 2.0\ndose_rearm_deg_min = 1.0\n")
    replay = ["replay", "--config", str(config), "--json"]
    capsys.readouterr()

    same = tmp_path / "same.json"
    assert cli.main([*replay, "--out", str(tmp_path / "same.db"), "--diff", str(same)]) == 0
    told = json.loads(capsys.readouterr().out)["diff"]
    assert (told["changed"], told["added"], told["removed"], told["flags_gained"]) == (0, 0, 0, 0)

    report = tmp_path / "strict.json"
    words = ["--study", str(tmp_path / "strict.toml"), "--out", str(tmp_path / "strict.db"), "--diff", str(report)]
    assert cli.main([*replay, *words]) == 0
    told = json.loads(capsys.readouterr().out)["diff"]
    found = json.loads(report.read_text())
    assert found["study_hash"]["stored"] != found["study_hash"]["derived"]
    assert {c["key"]: c["to"] for c in found["study_changes"]} == {
        "tilt.dose_deg_min": 2.0,
        "tilt.dose_rearm_deg_min": 1.0,
    }
    gained = [f for f in found["wearers"]["w-001"]["flags"] if f["gained"]]
    assert len(gained) == told["flags_gained"] > 0
    assert {f["rule"] for f in gained} == {"tilt_dose"}
    seconds = found["wearers"]["w-001"]["kinds"]["metric"]
    # Thresholds do not touch what was measured; three of the 240 seconds are a hole.
    assert [seconds[k] for k in ("equal", "changed", "added", "removed")] == [237, 0, 0, 0]
    assert cli.main([*replay, "--out", str(tmp_path / "x.db"), "--diff", str(tmp_path / "x.pdf")]) == 1
    assert "--diff writes .html, .json, .txt" in capsys.readouterr().err
