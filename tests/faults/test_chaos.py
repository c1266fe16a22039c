"""The short form of the fault campaign, and proof that its verdict is sharp: planted differences are found."""

from __future__ import annotations

import argparse
import copy
import os
from pathlib import Path
from typing import Any

import pytest

from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Sensor
from sensor_gateway.drivers.base import TransportContext
from tests.faults import chaos
from tests.faults.schedule import KINDS, schedule
from tests.faults.tape import PER_FRAME, TapeSensor, wearers, write_tape
from tests.faults.verify import Rows, compare, expected_rows, under_any_study
from tests.integration.servers import need

SEEDS, FAULTS = 4, 10


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Rows]]:
    """Ten minutes of one wearer, undisturbed."""
    folder = tmp_path_factory.mktemp("calm")
    wearer = wearers(1, 600, 7)[0]
    write_tape(folder / "clip-1.tape", wearer, 600)
    return folder, expected_rows(chaos.calm_run(folder, {wearer: folder / "clip-1.tape"}))


def test_a_seed_names_its_faults() -> None:
    assert schedule(5, 300) == schedule(5, 300)
    assert schedule(5, 300) != schedule(6, 300)
    struck = {(f.kind, f.target) for s in range(20) for strike in schedule(s, 15) for f in strike.faults}
    assert struck == {(kind, target) for kind, targets in KINDS.items() for target in targets}
    assert sum(len(strike.faults) for strike in schedule(3, 100)) == 100


def test_a_tape_goes_on_wherever_a_gateway_stopped(calm: tuple[Path, dict[str, Rows]]) -> None:
    sensor = Sensor("clip-1", "w-011", "tape", options={"path": str(calm[0] / "clip-1.tape")})
    whole = list(TapeSensor(sensor, TransportContext(SystemClock()))._left)
    rest = list(TapeSensor(sensor, TransportContext(SystemClock(), start_after_utc_ns=whole[99][0]))._left)
    assert rest == whole[100:]
    assert 0.9 < len(whole) / (600 * 100 / PER_FRAME) < 1.0, "a few frames are lost on the way"


def test_the_days_on_tape_are_worth_torturing(calm: tuple[Path, dict[str, Rows]]) -> None:
    rows = calm[1]
    assert len(rows["metric"]) > 590
    types = {row["type"] for row in rows["event"].values()}
    assert {"alignment", "gap", "clock"} <= types, types


@pytest.mark.parametrize("plant", ["lost", "added", "changed"])
def test_the_verdict_finds_a_single_record(calm: tuple[Path, dict[str, Rows]], plant: str) -> None:
    want = calm[1]
    have: dict[str, Any] = copy.deepcopy(want)
    assert compare("database", want, have) == []
    key = sorted(have["metric"])[300]
    if plant == "lost":
        del have["metric"][key]
    elif plant == "added":
        have["metric"][key[0], key[1], key[2] + 1, ""] = have["metric"][key]
    else:
        have["metric"][key]["quality"] += 1e-12
    found = compare("database", want, have)
    assert len(found) == 1
    assert "1 metric records" in found[0]


def test_an_event_that_two_studies_gave_is_found(calm: tuple[Path, dict[str, Rows]]) -> None:
    """A changed study renames every event, so the verdict goes by what happened when: twice the same is still once too many."""
    want = calm[1]
    have: dict[str, Any] = copy.deepcopy(want)
    key = min(have["event"])
    other = have["event"].pop(key) | {"event_id": "under another study"}
    have["event"][(*key[:3], "under another study")] = other
    assert len(compare("database", want, have)) == 2
    assert compare("database", under_any_study(want), under_any_study(have)) == []
    have["event"][key] = want["event"][key]
    found = compare("database", under_any_study(want), under_any_study(have))
    assert len(found) == 1
    assert "1 event records that nobody computed" in found[0]


@pytest.mark.slow
@pytest.mark.servers
@pytest.mark.timeout(900)
def test_tortured_sites_end_as_calm_ones(tmp_path: Path) -> None:
    need(*chaos.PROGRAMS)
    words = ["--seeds", str(SEEDS), "--faults", str(FAULTS), "--hours", "0.5", "--longest", "0.8", "--jobs", "4"]
    options: argparse.Namespace = chaos.options_of(words)
    report = chaos.campaign(options, tmp_path)
    assert report["wrong"] == {}, chaos.as_text(report)
    assert report["faults"] == SEEDS * FAULTS
    assert report["records_per_seed"] > 3500
    skipped = set(report["faults_not_possible_here"])
    assert not skipped - {"clock_step", "disk_full"}
    assert os.geteuid() != 0 or "disk_full" not in skipped
