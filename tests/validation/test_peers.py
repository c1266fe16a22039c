"""The other methods in the same run, where their environment is here: `make peers` sets it up, or TILTLINE_PEERS names one.

They bring a gigabyte of packages that no other test needs, so no test fetches them: without the environment these are
skipped and say so.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.servers import REPOSITORY
from tests.reference import ABSENT, REFERENCE

PEERS = Path(os.environ.get("TILTLINE_PEERS", REPOSITORY / ".venv-validation")) / "bin" / "python"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PEERS.exists(), reason=f"no {PEERS.parts[-3]}: `make peers` sets up the other methods"),
]


def peers(*words: str | Path) -> str:
    ran = subprocess.run([PEERS, "-m", *map(str, words)], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_they_find_the_steps_of_a_simulated_walk() -> None:
    assert peers("tests.validation.peers_check").count("steps") == 3


@pytest.mark.reference
@pytest.mark.skipif(not REFERENCE.is_dir(), reason=ABSENT)
@pytest.mark.timeout(600)
def test_steps_are_found_better_than_by_any_of_them_in_the_same_run(tmp_path: Path) -> None:
    gait = "ipol_l5_gait,mobgap_lowback"
    peers("sensor_gateway.cli", "validate", REFERENCE, "--sets", gait, "--out", tmp_path, "--jobs", "2", "--json")
    found = json.loads((tmp_path / "validation.json").read_text())
    assert found["versions"]["mobgap"]
    steps = [b for b in found["bars"] if b["measure"] == "steps"]
    assert len(steps) == 6
    for bar in steps:
        assert bar["limit"] is not None
        assert bar["met"], bar
