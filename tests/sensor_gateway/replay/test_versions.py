"""A replay by another version of Tiltline: both are named, and what the new one computes otherwise is found.

The other version is a copy of the packages with one constant changed and a version number of its own, run in a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution, version
from pathlib import Path

import pytest

from sensor_gateway import cli
from tests.sensor_gateway.simulated_site import make_site

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
OTHER = "99.0.0"
WAS, IS = "STATIC_UNCERTAINTY_DEG: Final = 2.0", "STATIC_UNCERTAINTY_DEG: Final = 3.0"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages and metadata of a version in which a neutral pose is less sure."""
    folder = tmp_path_factory.mktemp("other")
    for name in ("processing", "sensor_gateway"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    static = folder / "processing/alignment/static.py"
    text = static.read_text(encoding="utf-8")
    assert WAS in text
    static.write_text(text.replace(WAS, IS), encoding="utf-8")
    info = folder / f"tiltline-{OTHER}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tiltline\nVersion: {OTHER}\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        str(distribution("tiltline").read_text("entry_points.txt")), encoding="utf-8"
    )
    return folder


def replay(other: Path, site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sensor_gateway.cli", "replay", "--config", str(site / "gateway.toml"), *words]
    env = os.environ | {"PYTHONPATH": str(other)}
    return subprocess.run(command, cwd=site, env=env, capture_output=True, text=True, check=False)


def test_a_check_by_another_version_says_so(site: Path, other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", "--config", str(site / "gateway.toml"), "--check"]) == 0
    found = replay(other, site, "--check")
    assert found.returncode == 1, found.stderr
    said = f"differ from what the gateway stored: stored by tiltline {version('tiltline')}, this is tiltline {OTHER}."
    assert said in found.stderr
    assert "--diff" in found.stderr


def test_the_report_names_both_versions_and_what_changed(site: Path, other: Path) -> None:
    done = replay(other, site, "--name", "newer", "--diff", "newer.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((site / "newer.json").read_text(encoding="utf-8"))
    assert report["derivation"]["versions"]["tiltline"] == OTHER
    assert [m["versions"]["tiltline"] for m in report["stored_by"]] == [version("tiltline")]
    assert (report["study_changes"], report["alignment_changes"]) == ([], [])  # nothing else was other
    kinds = report["wearers"]["w-001"]["kinds"]
    assert {"tilt_uncertainty_deg"} <= set(kinds["metric"]["columns"]) <= {"tilt_uncertainty_deg", "quality"}
    largest = kinds["metric"]["columns"]["tilt_uncertainty_deg"]["largest"]
    assert 0.0 < largest <= 1.0
    assert kinds["metric"]["added"] == kinds["metric"]["removed"] == 0
    listed = replay(other, site, "--list")
    assert "newer: " in listed.stdout
    assert f"tiltline {OTHER}" in listed.stdout
