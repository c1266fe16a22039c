"""`tiltline bench` on a few simulated minutes: it measures what it says and leaves the signal out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sensor_gateway import cli
from sensor_gateway.bench.core import growth


@pytest.mark.parametrize("mode", ["online", "retro"])
def test_bench_measures_the_core_alone(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--hours", "0.25", "--mode", mode, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (result,) = found["core"]
    assert result["samples"] == 90_000
    assert result["records"] >= 900 + 15
    assert min(result["core_cpu_s"], result["plain_vqf_cpu_s"], result["signal_cpu_s"]) > 0
    assert result["core_cpu_s"] + result["plain_vqf_cpu_s"] + result["signal_cpu_s"] < 2 * result["wall_s"] + 1
    assert result["ratio_to_plain_vqf"] == pytest.approx(result["core_cpu_s"] / result["plain_vqf_cpu_s"], rel=0.2)
    assert found["machine"]["cores"] >= 1


def test_bench_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "core", "--hours", "0.02"]) == 0
    said = capsys.readouterr().out
    assert said.count("CPU s") >= 4  # causal and looking back
    assert "cores" in said
    with pytest.raises(SystemExit):
        cli.main(["bench", "--hours", "0"])
    assert cli.main(["bench", "nights"]) == 2
    assert "core, day, month" in capsys.readouterr().err


def test_growth_tells_time_a_day_and_memory() -> None:
    rows = growth((0.01, 0.02))["growth"]
    assert [r["days"] for r in rows] == [0.01, 0.02]
    for row in rows:
        assert row["ratio_to_plain_vqf"] > 0
        assert row["core_cpu_s_per_day"] > 1.0  # of a few minutes' work, told for a day
    assert rows[1]["peak_mb"] >= rows[0]["peak_mb"]


@pytest.mark.slow
def test_a_day_goes_through_store_and_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "day", "month", "--hours", "0.25", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    day, month = found["day"], found["month"]
    assert day["samples"] == pytest.approx(90_000, abs=50)
    assert day["records"] >= 900 + 15
    assert 20 < day["journal_mb_per_day"] < 100
    assert month["seconds"] == pytest.approx(30 * 900, abs=90)
    assert month["view"]["days_with_data"] == 30
    for row, peer in (
        (day["journal_to_store"], day["plain_vqf_cpu_s"]),
        (day["journal_to_raw"], day["bare_parquet_cpu_s"]),
        (day["journal_to_angles"], day["plain_vqf_cpu_s"]),
        (month["metrics_to_parquet"], month["bare_parquet_cpu_s"]),
    ):
        assert row["cpu_s"] > peer
        assert row["wall_s"] > 0.1
        assert row["peak_mb"] > 30


def test_journal_of_real_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "recordings" / "still"
    folder.mkdir(parents=True)
    rng, n = np.random.default_rng(1), 24_000
    columns = {"t_s": np.arange(n) / 100, "label": np.repeat([4, 5], n // 2)}
    columns |= {f"a{a}": rng.normal(9.8 * (a == "x"), 0.02, n) for a in "xyz"}
    columns |= {f"g{a}": rng.normal(0.0, 0.004, n) for a in "xyz"}
    pq.write_table(pa.table(columns), folder / "one.parquet")
    assert cli.main(["bench", "journal", "--reference", str(folder.parent), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["journal"]
    assert found["minutes_of_samples"] == {"still": 3.0, "sitting": 2.0, "standing": 2.0}
    # Six noises of about eight steps of the chip: 5 bits each, besides headers and times.
    assert all(30 < mb < 75 for mb in found["mb_per_day"].values())
    assert cli.main(["bench", "journal", "--reference", str(tmp_path / "none")]) == 1
    assert "--reference" in capsys.readouterr().err


def test_others_are_named_where_they_are_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "peers", "--hours", "0.01"]) == 1
    assert "make bench-peers" in capsys.readouterr().err
