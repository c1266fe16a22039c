"""A day made of short recordings: as long as asked for, with the movement they have and rests that join without a jump."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from processing.types import F64
from sensor_gateway.bench.lived_day import PASSES, lived_day
from sensor_gateway.bench.machine import BenchError

UP = np.array([1.0, 0.0, 0.0])
HZ = 50.0
STANDING_S, WALKING_S, SITTING_S = 20.0, 30.0, 10.0


def _write(path: Path, up: F64) -> None:
    """Standing with ``up`` pointing up, walking that shakes, sitting that turns slowly and evenly."""
    parts = [round(s * HZ) for s in (STANDING_S, WALKING_S, SITTING_S)]
    n = sum(parts)
    acc, gyr = np.tile(9.81 * up, (n, 1)), np.zeros((n, 3))
    acc[parts[0] : parts[0] + parts[1]] += 3.0 * np.sin(np.arange(parts[1]))[:, None]
    acc[-parts[2] :] += np.linspace(0.0, 1.0, parts[2])[:, None] * np.array([0.0, 0.0, 1.0])
    gyr[-parts[2] :, 1] = 0.1
    columns = {"t_s": np.arange(n) / HZ, "label": np.repeat([5, 1, 4], parts)}
    columns |= {f"a{a}": acc[:, i] for i, a in enumerate("xyz")} | {f"g{a}": gyr[:, i] for i, a in enumerate("xyz")}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def test_a_day_of_one_session(tmp_path: Path) -> None:
    _write(tmp_path / "one.parquet", np.array([0.8, 0.0, 0.6]))
    acc, gyr = lived_day(tmp_path, 0.25, 2 * HZ, UP)
    assert acc.shape == gyr.shape == (round(900 * 2 * HZ), 3)
    norm = np.sqrt((acc * acc).sum(axis=1))
    walking = np.abs(norm - 9.81) > 1.0
    assert PASSES * WALKING_S * 0.5 < walking.sum() / (2 * HZ) <= PASSES * WALKING_S
    # Turned upright: its standing shows gravity along the axis asked for.
    assert np.allclose(acc[10], [9.81, 0.0, 0.0], atol=1e-9)
    # The sitting, drawn out, goes forth and back at one pace and never jumps inside.
    resting = np.abs(np.abs(gyr[:, 1]) - 0.1) < 1e-9  # what lies between walking and sitting is half of it
    assert resting.sum() / (2 * HZ) == pytest.approx(900 - PASSES * (STANDING_S + WALKING_S), abs=PASSES)
    inside = resting[1:] & resting[:-1]
    assert np.abs(np.diff(acc, axis=0))[inside].max() < 0.01
    assert (gyr[resting, 1] > 0).mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("hours", "say"), [(0.02, "no day of 0.02 h"), (0.25, "no recordings")])
def test_no_day_without_room_or_labels(tmp_path: Path, hours: float, say: str) -> None:
    if hours < 0.1:
        _write(tmp_path / "one.parquet", UP)
    with pytest.raises(BenchError, match=say):
        lived_day(tmp_path, hours, HZ, UP)
