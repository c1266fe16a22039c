"""A day made of short recordings: as long as asked for, worn as asked for, with their movement as it was and their rests drawn out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from processing.alignment.auto import auto_mount, survey
from processing.alignment.static import parse_mount
from processing.frames import rotate
from processing.synthetic import Wearer, day_script, mount_rows, render, sample_times
from processing.types import F64, I64, NS_PER_S, POSTURES, TimedBatch
from sensor_gateway.bench.lived_day import PASSES, lived_day
from sensor_gateway.bench.machine import BenchError

MOUNT = "up=+x,anterior=-z"
HZ = 50.0
SESSION_S = 190.0
START_NS = 1_772_438_400 * NS_PER_S
LABEL = {"standing": 5, "walking": 1, "sitting": 4}
BETWEEN = 7


def _write(path: Path, seed: int = 5, **turned_deg: float) -> I64:
    """A simulated wearer's first minutes (standing, a walk, a chair), the clip sitting askew; gives their labels (n,)."""
    script = day_script(START_NS, SESSION_S, Wearer(seed=seed))
    t = sample_times(START_NS, round(SESSION_S * HZ), HZ)
    truth = render(script, t)
    codes = script.posture_codes((t - START_NS) / NS_PER_S)
    label = np.array([LABEL.get(POSTURES[code], BETWEEN) for code in codes.tolist()])
    clip = mount_rows(MOUNT, **turned_deg)
    acc, gyr = rotate(clip, truth.acc_p_mps2), rotate(clip, truth.gyr_p_rps)
    columns = {"t_s": (t - START_NS) / NS_PER_S, "label": label}
    columns |= {f"a{a}": acc[:, i] for i, a in enumerate("xyz")} | {f"g{a}": gyr[:, i] for i, a in enumerate("xyz")}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return label


def _how_it_sits(acc: F64, gyr: F64) -> tuple[F64, F64]:
    """Up and anterior in the clip's axes, as its walks tell."""
    t = START_NS + np.rint(np.arange(len(acc)) * NS_PER_S / HZ).astype(np.int64)
    found = auto_mount(survey([TimedBatch(t, acc, gyr)], HZ))
    assert not isinstance(found, str), found
    return np.array(found.mount.up), np.array(found.mount.anterior)


def test_whoever_wore_it_the_clip_sits_as_asked_for(tmp_path: Path) -> None:
    labels = [
        _write(tmp_path / "a.parquet"),
        _write(tmp_path / "b.parquet", 6, pitch_deg=12.0, roll_deg=-20.0, yaw_deg=40.0),
    ]
    mount, hours = parse_mount(MOUNT), 0.5
    acc, gyr = lived_day(tmp_path, hours, HZ, mount)
    assert acc.shape == gyr.shape == (round(hours * 3600 * HZ), 3)
    for session in np.array_split(np.arange(len(acc)), PASSES * len(labels)):
        up, anterior = _how_it_sits(acc[session], gyr[session])
        assert np.degrees(np.arccos(up @ np.array(mount.up))) < 2.0
        assert np.degrees(np.arccos(anterior @ np.array(mount.anterior))) < 3.0


def test_rest_fills_the_day_forth_and_back_and_movement_stays_as_it_was(tmp_path: Path) -> None:
    label = _write(tmp_path / "one.parquet")
    acc, gyr = lived_day(tmp_path, 0.3, HZ, parse_mount(MOUNT))
    moving = int(np.flatnonzero(label == LABEL["sitting"])[0]) - 1
    begins = np.flatnonzero((acc[: len(acc) - moving] == acc[0]).all(axis=1))
    assert len(begins) == PASSES
    for i in begins.tolist():
        assert np.array_equal(acc[i : i + moving], acc[:moving])
    assert np.diff(begins).tolist() == [0.1 * 3600 * HZ] * (PASSES - 1)
    # Sitting goes to its end and back, at the same pace, turning the other way.
    turning = moving + int(np.flatnonzero((acc[moving:-1] == acc[moving + 1 :]).all(axis=1))[0]) + 1
    there, back = slice(moving + 1, turning), slice(turning, 2 * turning - moving - 1)
    assert turning - moving == pytest.approx(int((label == LABEL["sitting"]).sum()), abs=3)
    assert np.array_equal(acc[back], acc[there][::-1])
    assert np.array_equal(gyr[back], -gyr[there][::-1])


@pytest.mark.parametrize(("hours", "say"), [(0.02, "no day of 0.02 h"), (0.25, "no recordings")])
def test_no_day_without_room_or_labels(tmp_path: Path, hours: float, say: str) -> None:
    if hours < 0.1:
        _write(tmp_path / "one.parquet")
    with pytest.raises(BenchError, match=say):
        lived_day(tmp_path, hours, HZ, parse_mount(MOUNT))
