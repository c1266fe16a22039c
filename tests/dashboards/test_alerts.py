"""The alert rules, checked by Prometheus's own promtool and played through: each fires in its case and is silent otherwise."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sensor_gateway.status.metrics_endpoint import HELP

RULES = Path(__file__).parents[2] / "config" / "prometheus-rules.yml"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian package prometheus)"
)

# Series per alert: the first fires it by minute 40, the second never does.
OWN = 'role="gateway",site="home",gateway="gw-1"'
CASES: dict[str, tuple[str, str, str]] = {
    "TiltlineDataStale": (f'tiltline_sensor_data_age_seconds{{{OWN},sensor="clip-1"}}', "0+60x60", "5x60"),
    "TiltlineQueueGrowing": (f'tiltline_queued{{{OWN},hop="mqtt"}}', "0+240x60", "3000-10x60"),
    "TiltlineRecordsDropped": (f'tiltline_dropped_total{{{OWN},hop="mqtt"}}', "0x30 100x30", "7x60"),
    "TiltlineDeadLetters": (f"tiltline_dead_letters{{{OWN}}}", "0x30 3x30", "3x60"),
    "TiltlineBooksDoNotBalance": (f'tiltline_unaccounted{{{OWN},hop="mqtt"}}', "0x10 1x50", "0x60"),
    "TiltlineDiskLow": (f"tiltline_disk_free_bytes{{{OWN}}}", "1e9x60", "9e9x60"),
    "TiltlineBatteryLow": (f'tiltline_sensor_battery_percent{{{OWN},sensor="clip-1"}}', "30-1x60", "30x60"),
    "TiltlineClockOff": (f"tiltline_clock_step_seconds{{{OWN}}}", "0x30 -3600x30", "0.2x60"),
    "TiltlineDescriptorsLeak": (f"tiltline_open_fds{{{OWN}}}", "30+30x60", "40x60"),
}


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, timeout=60, check=False)


def names() -> set[str]:
    return set(re.findall(r"alert: (\w+)", RULES.read_text()))


def test_every_rule_asks_for_metrics_that_there_are() -> None:
    asked = set(re.findall(r"tiltline_[a-z_]+", "".join(re.findall(r"expr: (.*)", RULES.read_text()))))
    assert asked <= set(HELP), asked - set(HELP)
    assert names() == set(CASES) | {"TiltlineProcessGone"}


@needs_promtool
def test_promtool_accepts_the_rules_and_refuses_a_broken_one(tmp_path: Path) -> None:
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    broken = tmp_path / "rules.yml"
    broken.write_text(RULES.read_text().replace("tiltline_unaccounted != 0", "tiltline_unaccounted !== 0"))
    assert promtool("check", "rules", broken).returncode != 0


def firing(tmp_path: Path, series: list[tuple[str, str]], alert: str, at: str = "55m") -> bool:
    """Whether the alert fires; promtool says so by refusing the expectation that it does not."""
    expectation: dict[str, Any] = {"eval_time": at, "alertname": alert, "exp_alerts": []}
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series],
                "alert_rule_test": [expectation],
            }
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(json.dumps(test))  # JSON is YAML
    done = promtool("test", "rules", path)
    assert "SUCCESS" in done.stdout or "FAILED" in done.stdout + done.stderr, done.stdout + done.stderr
    return done.returncode != 0


@needs_promtool
@pytest.mark.parametrize("alert", sorted(CASES))
def test_an_alert_fires_in_its_case_and_only_then(tmp_path: Path, alert: str) -> None:
    name, bad, good = CASES[alert]
    assert firing(tmp_path, [(name, bad)], alert)
    assert not firing(tmp_path, [(name, good)], alert)


@needs_promtool
def test_a_process_that_stops_reporting_is_missed(tmp_path: Path) -> None:
    both = [(f'tiltline_up{{role="{role}",site="home",gateway="g"}}', "1x60") for role in ("gateway", "bridge")]
    assert not firing(tmp_path, both, "TiltlineProcessGone")
    assert firing(tmp_path, both[:1], "TiltlineProcessGone")
