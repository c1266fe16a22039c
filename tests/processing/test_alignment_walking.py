"""Walking tells how the clip sits: any orientation, upside-down and reversed included; streaming gives the same windows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from processing.alignment.gait_cells import WindowStage, cells_of
from processing.alignment.gait_window import GaitWindow
from processing.alignment.realign import angle_deg
from processing.alignment.walking import WalkingHeading, gait_windows, heading_of, walking_seconds
from processing.synthetic import render, sample_times
from processing.types import F64, NS_PER_S
from tests.processing.alignment_chain import T0_NS, oriented, recording
from tests.processing.test_alignment_static import all_mounts

RATE = 50.0


@pytest.fixture(scope="module")
def walk() -> tuple[np.ndarray, F64, F64, F64]:
    """A noise-free walk of two minutes with turns, in pelvis axes: times, specific force, rate of turn, up."""
    script, _ = recording(0.06)
    (bout,) = script.bouts
    t = sample_times(T0_NS, int((bout.stop_s - bout.start_s) * RATE), RATE, int(bout.start_s * RATE))
    truth = render(script, t)
    tilt, obliquity = np.radians(truth.anterior_tilt_deg), np.radians(truth.obliquity_deg)
    up = np.stack([-np.sin(tilt) * np.cos(obliquity), np.cos(tilt) * np.cos(obliquity), np.sin(obliquity)], axis=1)
    return t, truth.acc_p_mps2, truth.gyr_p_rps, up


@pytest.mark.parametrize(("text", "sensor_from_pelvis"), all_mounts())
def test_every_clip_orientation_is_found(
    text: str, sensor_from_pelvis: F64, walk: tuple[np.ndarray, F64, F64, F64]
) -> None:
    t, acc, gyr, up = walk
    rng = np.random.default_rng(sum(map(ord, text)))
    to_sensor = sensor_from_pelvis @ Rotation.from_rotvec(np.radians(rng.uniform(-20, 20, 3))).as_matrix()
    found = heading_of(gait_windows(t, acc @ to_sensor.T, gyr @ to_sensor.T, up @ to_sensor.T))
    assert isinstance(found, WalkingHeading)
    x, y = to_sensor[:, 0], to_sensor[:, 1]
    # The wearer leans forward by two degrees in walking: that is the up to find.
    assert angle_deg(found.up, (y[0], y[1], y[2])) < 3.0
    assert angle_deg(found.anterior, (x[0], x[1], x[2])) < 5.0
    assert found.sign_confidence > 0.99
    assert found.uncertainty_deg < 6.0
    assert found.walking_s > 60


def test_turns_alone_tell_front_from_back(walk: tuple[np.ndarray, F64, F64, F64]) -> None:
    windows = gait_windows(*walk)
    mute = [GaitWindow(w.second, w.up, w.step_hz, w.scatter, w.weight, (0.0, 0.0, 0.0), w.left) for w in windows]
    found = heading_of(mute)
    assert isinstance(found, WalkingHeading)
    assert found.anterior[0] > 0.95
    assert found.sign_confidence > 0.8


def test_doubt_shrinks_with_walking_and_never_below_what_people_differ_by(
    walk: tuple[np.ndarray, F64, F64, F64],
) -> None:
    windows = gait_windows(*walk)
    short, long = heading_of(windows[:2]), heading_of(windows)
    assert isinstance(short, WalkingHeading)
    assert isinstance(long, WalkingHeading)
    assert 4.0 <= long.uncertainty_deg < short.uncertainty_deg


def test_where_nobody_walks_there_is_a_reason() -> None:
    t = T0_NS + np.arange(3000) * (NS_PER_S // 50)
    rng = np.random.default_rng(3)
    still = np.array([9.81, 0, 0]) + rng.normal(0, 0.05, (3000, 3))
    reason = heading_of(gait_windows(t, still, rng.normal(0, 0.01, (3000, 3)), np.tile([1.0, 0, 0], (3000, 1))))
    assert isinstance(reason, str)
    assert "walk straight ahead" in reason
    assert heading_of(gait_windows(t[:0], still[:0], still[:0], still[:0])) == reason


def test_shaking_by_hand_is_not_walking() -> None:
    t_s = np.arange(3000) / RATE
    shaken = np.array([9.81, 0, 0]) + np.outer(4.0 * np.sin(2 * np.pi * 5.0 * t_s), [1.0, 0.3, 0.2])
    gyr = np.outer(2.0 * np.sin(2 * np.pi * 5.0 * t_s), [0.0, 1.0, 0.0])
    assert gait_windows(T0_NS + (t_s * 1e9).astype(np.int64), shaken, gyr, np.tile([1.0, 0, 0], (3000, 1))) == []


@pytest.mark.parametrize("seed", range(4))
def test_windows_do_not_depend_on_how_seconds_are_grouped(seed: int) -> None:
    _, batch = recording(0.07)
    rng = np.random.default_rng(seed)
    lost = np.zeros(len(batch), dtype=bool)
    for start in rng.integers(0, len(batch), 12):
        lost[start : start + rng.integers(1, 400)] = True
    batch = type(batch)(batch.t_utc_ns[~lost], batch.acc_mps2[~lost], batch.gyr_rps[~lost])
    filled, up = oriented(batch, RATE)
    whole = gait_windows(filled.t_utc_ns, filled.acc_mps2, filled.gyr_rps, up)
    assert len(whole) > 10
    stage, parts = WindowStage(), []
    second = filled.t_utc_ns // NS_PER_S
    edges = np.sort(rng.choice(np.unique(second), 40, replace=False))
    bounds = [0, *np.searchsorted(second, edges).tolist(), len(second)]
    for lo, hi in zip(bounds[:-1], bounds[1:], strict=True):
        parts += stage.update(
            *cells_of(filled.t_utc_ns[lo:hi], filled.acc_mps2[lo:hi], filled.gyr_rps[lo:hi], up[lo:hi])
        )
        state, stage = stage.snapshot(), WindowStage()
        stage.restore(state)
    assert parts == whole


def test_seconds_of_walking_count_overlaps_once() -> None:
    def at(second: int) -> GaitWindow:
        return GaitWindow(second, (1.0, 0.0, 0.0), 1.8, (0.0,) * 6, 1.0, (0.0,) * 3, (0.0,) * 3)

    assert walking_seconds([at(0), at(2), at(4), at(20)]) == 12
