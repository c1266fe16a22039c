"""Minutes taken at once give the records of minutes taken one by one, a clip that slips and a late calibration included."""

from __future__ import annotations

import numpy as np
import pytest

from processing.alignment.static import align, neutral_gravity, parse_mount
from processing.batch import blocks, process_recording
from processing.core import CoreSetup
from processing.mount_search import find_mounts, long_chunks
from processing.rules.study import Study
from processing.synthetic import NEUTRAL_S, Wearer, bmi270, day_script, render, sample_times
from processing.types import NS_PER_S, TimedBatch
from sensor_gateway.recording.alignment import NOMINAL_MOUNT

START_NS = 1_772_438_400 * NS_PER_S
RATE_HZ = 50.0


def _recording(minutes: int) -> TimedBatch:
    t = sample_times(START_NS, round(minutes * 60 * RATE_HZ), RATE_HZ, 0)
    truth = render(day_script(START_NS, minutes * 60.0 + NEUTRAL_S, Wearer(seed=5)), t)
    acc, gyr = bmi270(5).measure(t, 0, truth.acc_p_mps2, truth.gyr_p_rps)
    # From two thirds on the clip sits turned by 25 degrees about its front axis.
    a, late = np.radians(25.0), slice(2 * len(t) // 3, None)
    turn = np.array([[1.0, 0.0, 0.0], [0.0, np.cos(a), -np.sin(a)], [0.0, np.sin(a), np.cos(a)]])
    acc[late], gyr[late] = acc[late] @ turn.T, gyr[late] @ turn.T
    return TimedBatch(t, acc, gyr)


@pytest.mark.slow
def test_pieces_of_any_length_give_the_same_records() -> None:
    whole = _recording(45)
    pose = neutral_gravity(whole.acc_mps2[:500], whole.gyr_rps[:500])
    mount = align(parse_mount(NOMINAL_MOUNT), pose, given=True, mount_id="m", t_utc_ns=int(whole.t_utc_ns[499]))
    setup = CoreSetup("w-001", "clip-1", RATE_HZ, mount)
    minute = process_recording(blocks(whole, 60), setup, Study())
    assert {"mount", "alignment"} <= {getattr(r, "type", "") for r in minute.records}  # the slip was found
    for seconds in (7, 180, 300, 2700):
        other = process_recording(blocks(whole, seconds), setup, Study())
        assert repr(other.records) == repr(minute.records)
        assert other.steps == minute.steps
    assert find_mounts(blocks(whole, 60), RATE_HZ, mount) == find_mounts([whole], RATE_HZ, mount)


def test_long_chunks_keep_every_sample() -> None:
    whole = _recording(2)
    parts = list(long_chunks(blocks(whole, 10), samples=1_700))
    assert [len(p) for p in parts] == [2_000, 2_000, 2_000]
    assert np.array_equal(np.concatenate([p.t_utc_ns for p in parts]), whole.t_utc_ns)
    assert np.array_equal(np.concatenate([p.acc_mps2 for p in parts]), whole.acc_mps2)
