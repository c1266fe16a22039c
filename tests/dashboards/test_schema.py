"""The dashboards against Grafana's own published types, strictly; and planted faults, so that the check itself is checked."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dashboards.__main__ import DEFAULT_DIRECTORY
from dashboards.therapist import client_day

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(
        shutil.which("npm") is None or shutil.which("node") is None, reason="node and npm are not installed"
    ),
]

SCHEMA = Path(__file__).parent / "schema"
Plant = Callable[[dict[str, Any]], None]


def panel(dashboard: dict[str, Any], kind: str) -> dict[str, Any]:
    """The first panel of a type."""
    found: dict[str, Any] = next(p for p in dashboard["panels"] if p["type"] == kind)
    return found


def typo_in_dashboard(d: dict[str, Any]) -> None:
    d["refesh"] = "1m"


def typo_in_panel(d: dict[str, Any]) -> None:
    panel(d, "stat")["gridpos"] = {}


def typo_in_options(d: dict[str, Any]) -> None:
    panel(d, "table")["options"]["showHeaders"] = True


def typo_in_custom(d: dict[str, Any]) -> None:
    panel(d, "timeseries")["fieldConfig"]["defaults"]["custom"]["spanNull"] = False


def typo_in_override(d: dict[str, Any]) -> None:
    panel(d, "timeseries")["fieldConfig"]["overrides"][0]["properties"][0]["id"] = "custom.lineWidt"


def typo_in_target(d: dict[str, Any]) -> None:
    panel(d, "table")["targets"][0]["rawQuer"] = True


def wrong_type(d: dict[str, Any]) -> None:
    panel(d, "stat")["gridPos"]["w"] = "4"


def wrong_type_in_override(d: dict[str, Any]) -> None:
    panel(d, "timeseries")["fieldConfig"]["overrides"][0]["properties"][0]["value"] = "thin"


def bad_enum(d: dict[str, Any]) -> None:
    panel(d, "timeseries")["fieldConfig"]["defaults"]["custom"]["drawStyle"] = "lines"


def bad_enum_number(d: dict[str, Any]) -> None:
    d["graphTooltip"] = 7


def no_description(d: dict[str, Any]) -> None:
    del panel(d, "state-timeline")["description"]


FAULTS: dict[str, tuple[Plant, str]] = {
    f.__name__: (f, pattern)
    for f, pattern in (
        (typo_in_dashboard, "refesh"),
        (typo_in_panel, "gridpos"),
        (typo_in_options, "showHeaders"),
        (typo_in_custom, "spanNull"),
        (typo_in_override, "lineWidt"),
        (typo_in_target, "rawQuer"),
        (wrong_type, "gridPos/w must be number"),
        (wrong_type_in_override, "lineWidth must be number"),
        (bad_enum, "drawStyle must be equal to one of"),
        (bad_enum_number, "graphTooltip must be equal to one of"),
        (no_description, "must have required property 'description'"),
    )
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Errors by dashboard uid and by planted fault: one run of the validator, for its start is what takes time."""
    installed = subprocess.run(
        [str(SCHEMA.parents[2] / "scripts" / "npm.sh"), str(SCHEMA)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    if installed.returncode:
        pytest.skip(f"the npm packages of {SCHEMA.name}/package.json could not be installed: {installed.stderr[-300:]}")
    directory = tmp_path_factory.mktemp("planted")
    sound = client_day().to_json()
    for name, (plant, _) in FAULTS.items():
        broken = copy.deepcopy(sound)
        plant(broken)
        (directory / f"{name}.json").write_text(json.dumps(broken))
    files = [*sorted((DEFAULT_DIRECTORY / "json").glob("*.json")), *sorted(directory.glob("*.json"))]
    ran = subprocess.run(
        ["node", str(SCHEMA / "validate.mjs"), *map(str, files)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return {Path(file).stem: errors for file, errors in json.loads(ran.stdout).items()}


def test_every_generated_dashboard_is_valid(report: dict[str, list[str]]) -> None:
    generated = {path.stem for path in (DEFAULT_DIRECTORY / "json").glob("*.json")}
    assert len(generated) == 6
    assert {uid: report[uid] for uid in generated} == {uid: [] for uid in generated}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_named(report: dict[str, list[str]], name: str) -> None:
    assert any(re.search(FAULTS[name][1], error) for error in report[name]), report[name]
