"""Stores know which versions wrote them, and a check that finds differences says what that has to do with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from processing.types import NS_PER_S, Metric
from sensor_gateway import cli
from sensor_gateway.replay.check import check
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.makers import COMPUTING, Maker, installed
from sensor_gateway.sinks.store import Store
from tests.integration.test_delivery import write_recording

T0 = 1_790_000_040 * NS_PER_S
HERE = installed(*COMPUTING)


def filled(path: Path, tilt_deg: float) -> Store:
    store = Store.open(path)
    store.write([Owned("w-001", "clip-1", Metric(T0, tilt_deg, 0.1, 2.0, "standing", 0.9, 1.0, 0.8))])
    return store


def test_each_version_signs_once_and_in_order(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.db")
    for at, version in ((5, "1"), (6, "1"), (7, "2"), (3, "3")):  # the last one's clock was set back
        store.sign(at, {"tiltline": version})
    assert store.makers() == [Maker(5, {"tiltline": "1"}), Maker(7, {"tiltline": "2"}), Maker(8, {"tiltline": "3"})]
    store.close()
    with_records = filled(tmp_path / "old.db", 1.0)
    with_records.sign(9, {"tiltline": "1"})
    assert with_records.makers() == [Maker(0, {}), Maker(9, {"tiltline": "1"})]
    with_records.close()


@pytest.mark.parametrize(
    ("signed", "said"),
    [
        ([HERE], f"with the same version (tiltline {HERE['tiltline']})"),
        ([HERE | {"tiltline": "0.0.9"}], f"stored by tiltline 0.0.9, this is tiltline {HERE['tiltline']}."),
        ([HERE | {"numpy": "1.0"}, HERE], f"some stored by numpy 1.0, this is numpy {HERE['numpy']}."),
        ([], "an earlier release stored some of them"),
    ],
)
def test_a_difference_is_put_down_to_its_version(tmp_path: Path, signed: list[dict[str, str]], said: str) -> None:
    stored = Store.open(tmp_path / "stored.db")
    for at, versions in enumerate(signed):
        stored.sign(at, versions)
    stored.close()
    stored, replayed = filled(tmp_path / "stored.db", 1.0), filled(tmp_path / "replayed.db", 1.5)
    replayed.sign(T0, HERE, {"name": "again"})
    checked = check(stored, replayed, {"w-001": ["clip-1"]})
    assert not checked.same
    assert checked.sentence().startswith("1 records differ")
    assert said in checked.sentence()
    for store in (stored, replayed):
        store.close()


def test_a_sensor_that_somebody_else_wore_before_is_replayed_from_its_new_wearer_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_recording(tmp_path / "walk.parquet", 60)
    config = tmp_path / "gateway.toml"
    for wearer, start in (("w-001", "2026-03-01T08:00:00Z"), ("w-002", "2026-03-01T09:00:00Z")):
        options = f'path = "{tmp_path / "walk.parquet"}", start = "{start}", neutral = "10:14"'
        config.write_text(
            f'[site]\ndata_dir = "data"\n[web]\nenabled = false\n[[sensors]]\nid = "clip-1"\nwearer = "{wearer}"\n'
            f'driver = "replay"\noptions = {{ {options} }}\n'
        )
        assert cli.main(["run", "--config", str(config), "--until-done"]) == 0
    capsys.readouterr()
    again = tmp_path / "again.db"
    assert cli.main(["replay", "--config", str(config), "--check", "--out", str(again), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["w-002 metric"]["equal"] == 60
    assert found["clip-1"]["missing_before"] == 0
    store = Store.open(again, readonly=True)
    assert store.wearers() == ["w-002"]
    assert min(m.t_utc_ns for m in store.metrics("w-002")) >= 1_772_355_600 * NS_PER_S  # 09:00: nothing of the other's
    store.close()
