"""Benchmarks beside their aims: what counts as met, what is kept, and that a row which cannot run says so."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from sensor_gateway.bench.machine import machine
from tests.scale.aims import Verdict, verdicts
from tests.scale.bars import ROWS, RowError, keep, lines, main, measure, read

GROWTH = {"growth": {"growth": [{"core_cpu_s_per_day": s, "peak_mb": mb} for s, mb in ((4.0, 180.0), (4.3, 185.0))]}}
LIVE: dict[str, Any] = {"wearers": 500, "seconds": 300, "lost": 0, "lag_s": {"0.95": 1.5}, "wrong": []}


def test_an_aim_itself_is_met_and_no_number_is_not() -> None:
    assert Verdict("time", 4.0, "less", 4.0).met
    assert not Verdict("time", 4.01, "less", 4.0).met
    assert Verdict("ratio", 1.8, "more", 1.8).met
    assert not Verdict("ratio", 1.79, "more", 1.8).met
    assert not Verdict("lag", math.nan, "less", 1.5).met


def test_days_in_a_row_are_judged_by_their_spread() -> None:
    assert [(v.reached, v.met) for v in verdicts("growth", GROWTH)] == [(0.075, True), (5.0, True)]


@pytest.mark.parametrize(
    "damage",
    [{"lost": 1}, {"lag_s": {"0.95": 1.6}}, {"wrong": ["w-1: 297 seconds of 300"]}, {"wearers": 499}, {"seconds": 60}],
)
def test_a_live_run_meets_all_or_says_what_not(damage: dict[str, Any]) -> None:
    assert all(v.met for v in verdicts("live", LIVE))
    assert [v.met for v in verdicts("live", LIVE | damage)].count(False) == 1


@pytest.mark.parametrize("row", ROWS)
def test_another_report_is_not_taken_for_a_row(row: str) -> None:
    with pytest.raises(KeyError):
        verdicts(row, {"month of another row": {}})


def test_what_was_before_stands_beside_what_is() -> None:
    (line,) = lines(
        "core", [Verdict("24 h, online", 3.9, "less", 4.0, "CPU s")], [Verdict("24 h, online", 4.1, "less", 4.0)]
    )
    assert all(words in line for words in ("met", "3.9", "was 4.1"))
    (line,) = lines("core", [Verdict("24 h, online", 4.1, "less", 4.0, "CPU s")])
    assert "MISSED" in line
    assert "was" not in line


def test_a_row_that_cannot_be_measured_says_what_it_needs() -> None:
    with pytest.raises(RowError, match="TILTLINE_REFERENCE"):
        measure("journal", None)


def test_rows_run_one_by_one_are_kept_together(tmp_path: Path) -> None:
    live, growth = keep("live", LIVE, machine(), tmp_path), keep("growth", GROWTH, machine(), tmp_path)
    assert read(tmp_path) == {"live": live, "growth": growth}
    again = keep("live", LIVE | {"lost": 3}, machine(), tmp_path)
    assert read(tmp_path) == {"live": again, "growth": growth}
    assert json.loads((tmp_path / "live.json").read_text())["lost"] == 3


def test_the_command_says_what_it_could_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TILTLINE_REFERENCE", raising=False)
    assert main(["journal", "--out", str(tmp_path)]) == 1
    assert "journal   FAILED needs real recordings" in capsys.readouterr().out
    assert read(tmp_path) == {}
