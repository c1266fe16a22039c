"""A night with midnight and a change of the clocks: the replay is what was live, bit for bit, with its budgets and quiet hours.

The whole gateway takes the night from a recording as fast as it can; days and quiet hours follow the study's time zone.
"""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from processing.types import GRAVITY_MPS2, Event
from sensor_gateway import cli
from sensor_gateway.sinks.store import Store

pytestmark = pytest.mark.slow
BERLIN = ZoneInfo("Europe/Berlin")
RATE_HZ = 25
STUDY = """
timezone = "Europe/Berlin"
[tilt]
on_s = 20
off_s = 10
sustained_s = 60
min_coverage = 0.5
min_confidence = 0.1
[prompt]
refractory_s = 0
budget_per_day = 8
quiet_from = "00:30"
quiet_to = "03:10"
settle_s = 10
"""


def write_night(path: Path, hours: float) -> None:
    """Standing with some sway and a few steps now and then; of every six minutes three are 15° forward of neutral."""
    rng = np.random.default_rng(2)
    t = np.arange(round(hours * 3600 * RATE_HZ)) / RATE_HZ
    phase = t % 360
    raised = 15.0 * (np.clip((phase - 180) / 3, 0, 1) - np.clip((phase - 354) / 3, 0, 1))
    tilt = np.radians(raised + np.sin(2 * np.pi * 0.2 * t) * (t > 20))
    steps = ((phase % 120) > 90)[:, None] * 2.0 * np.sin(2 * np.pi * 1.8 * t)[:, None]
    acc = GRAVITY_MPS2 * np.stack([np.cos(tilt), np.zeros_like(t), np.sin(tilt)], 1) + rng.normal(0, 0.03, (len(t), 3))
    acc += steps
    gyr = rng.normal(0, 0.002, acc.shape)
    gyr[:, 1] += np.gradient(tilt, 1 / RATE_HZ)
    names = ("t_s", "ax", "ay", "az", "gx", "gy", "gz")
    pq.write_table(pa.table(dict(zip(names, np.column_stack([t, acc, gyr]).T, strict=True))), path)


def at(e: Event) -> datetime:
    return datetime.fromtimestamp(e.t_utc_ns / 1e9, UTC)


@pytest.mark.parametrize(
    ("start", "hours", "midnight", "quiet_ends"),
    [
        ("2026-03-28T22:00:00Z", 3.8, "2026-03-28T23:00:00Z", "2026-03-29T01:10:00Z"),  # 02:00 is followed by 03:00
        ("2026-10-24T21:00:00Z", 5.8, "2026-10-24T22:00:00Z", "2026-10-25T02:10:00Z"),  # 03:00 is followed by 02:00
    ],
)
def test_a_night_with_a_change_of_the_clocks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], start: str, hours: float, midnight: str, quiet_ends: str
) -> None:
    write_night(tmp_path / "night.parquet", hours)
    (tmp_path / "study.toml").write_text(STUDY)
    config = tmp_path / "gateway.toml"
    sensor = 'id = "clip-1"\nwearer = "w-001"\ndriver = "replay"\n'
    options = f'options = {{ path = "{tmp_path / "night.parquet"}", start = "{start}", neutral = "10:14" }}\n'
    config.write_text(
        f'study = "study.toml"\n[site]\ndata_dir = "data"\n[[sensors]]\n{sensor}{options}[web]\nenabled = false\n'
    )
    assert cli.main(["run", "--config", str(config), "--until-done"]) == 0
    capsys.readouterr()
    assert cli.main(["replay", "--config", str(config), "--check", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert all(found[f"w-001 {kind}"]["equal"] > 5 for kind in ("metric", "epoch", "event"))

    with closing(Store.open(tmp_path / "data" / "store.db", readonly=True)) as store:
        events = list(store.events("w-001"))
    quiet = [at(e) for e in events if e.type == "suppressed" and "quiet" in e.data["reasons"]]  # type: ignore[operator]
    prompts = [at(e) for e in events if e.type == "prompt"]
    begins, ends = datetime.fromisoformat(midnight), datetime.fromisoformat(quiet_ends)
    assert begins.astimezone(BERLIN).hour == 0
    assert len(quiet) > 10
    assert min(quiet) >= begins + timedelta(minutes=30)
    assert max(quiet) < ends
    before, after = [t for t in prompts if t < begins], [t for t in prompts if t >= begins]
    assert before
    assert len(after) == 8  # the new day's budget, whatever the old one had left
    assert not [t for t in after if begins + timedelta(minutes=30) <= t < ends]
    assert after[-1] >= ends
    assert min(at(e) for e in events if e.type == "suppressed" and e.data["reason"] == "budget") > after[-1]
