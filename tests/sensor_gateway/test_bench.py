"""`tiltline bench` on a few simulated minutes: it measures what it says and leaves the signal out."""

from __future__ import annotations

import json

import pytest

from sensor_gateway import cli
from sensor_gateway.bench import growth


@pytest.mark.parametrize("mode", ["online", "retro"])
def test_bench_measures_the_core_alone(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--hours", "0.25", "--mode", mode, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["samples"] == 90_000
    assert result["records"] >= 900 + 15
    assert result["core_cpu_s"] > result["plain_vqf_cpu_s"] * 0.9  # the core contains such a filter
    assert result["core_cpu_s"] + result["plain_vqf_cpu_s"] + result["signal_cpu_s"] < 2 * result["wall_s"] + 1
    assert result["ratio_to_plain_vqf"] == pytest.approx(result["core_cpu_s"] / result["plain_vqf_cpu_s"], rel=0.2)
    assert result["machine"]["cores"] >= 1


def test_bench_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--hours", "0.02"]) == 0
    assert "CPU s" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["bench", "--hours", "0"])


def test_growth_tells_time_a_day_and_memory() -> None:
    rows = growth((0.01, 0.02))["growth"]
    assert [r["days"] for r in rows] == [0.01, 0.02]
    for row in rows:
        # A day's work at this rate, from the few minutes: more than plain VQF, and far from a whole second a minute.
        assert 0.9 < row["ratio_to_plain_vqf"] < 20.0
        assert row["core_cpu_s_per_day"] > 1.0
    assert rows[1]["peak_mb"] >= rows[0]["peak_mb"]
