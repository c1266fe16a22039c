"""The recording itself tells mount and neutral; where it cannot, it says so."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from processing.alignment.auto import NeutralWindow, Survey, auto_mount, auto_neutral, survey
from processing.alignment.realign import angle_deg
from processing.alignment.static import align
from processing.batch import blocks
from processing.frames import rotate, tilt_and_obliquity_deg
from processing.synthetic import Script
from processing.types import NS_PER_S, POSTURE_CODE, TimedBatch
from tests.processing.alignment_chain import T0_NS, recording

RATE = 50.0


@pytest.fixture(scope="module")
def day() -> tuple[Script, TimedBatch]:
    """Stand, walk, sit at a desk, stand, walk, stairs, lie: the first fifty minutes."""
    return recording(0.85)


def turned(batch: TimedBatch, turn: np.ndarray) -> TimedBatch:
    return TimedBatch(batch.t_utc_ns, batch.acc_mps2 @ turn.T, batch.gyr_rps @ turn.T)


@pytest.mark.parametrize(
    ("name", "turn"),
    [
        ("as it is", np.eye(3)),
        ("upside down", Rotation.from_euler("z", 180, degrees=True).as_matrix()),
        ("left for right", Rotation.from_euler("x", 180, degrees=True).as_matrix()),
        ("any", Rotation.from_rotvec([1.0, -2.0, 0.5]).as_matrix()),
    ],
)
def test_mount_and_neutral_from_the_recording_give_true_tilt(
    name: str, turn: np.ndarray, day: tuple[Script, TimedBatch]
) -> None:
    script, batch = day
    batch = turned(batch, turn)
    found = survey(blocks(batch), RATE)
    mount, window = auto_mount(found), auto_neutral(found)
    assert not isinstance(mount, str)
    assert isinstance(window, NeutralWindow)
    at = np.array([(window.from_utc_ns + window.to_utc_ns) / 2 - script.start_utc_ns]) / NS_PER_S
    assert script.posture_codes(at)[0] == POSTURE_CODE["standing"]
    lo, hi = np.searchsorted(batch.t_utc_ns, (window.from_utc_ns, window.to_utc_ns))
    gravity = batch.acc_mps2[lo:hi].mean(axis=0)
    alignment = align(mount.mount, gravity, given=True, mount_id="m", t_utc_ns=0)
    # What the nominal mount, turned alike, says of a pelvis tilted by 20 degrees: the clip sits askew by some 6 degrees.
    first = batch.acc_mps2[: int(10 * RATE)].mean(axis=0)
    x, y = turn @ np.array([0.0, 0.0, -1.0]), first / np.sqrt((first**2).sum())
    x = x - y * (x @ y)
    up = np.cos(np.radians(20)) * y - np.sin(np.radians(20)) * x / np.sqrt((x**2).sum())
    tilt, _ = tilt_and_obliquity_deg(rotate(alignment.r_ps, up[None, :]))
    assert tilt[0] == pytest.approx(20.0, abs=2.5)
    assert mount.heading.sign_confidence > 0.95


def test_a_survey_does_not_depend_on_chunks(day: tuple[Script, TimedBatch]) -> None:
    _, batch = day
    batch = TimedBatch(batch.t_utc_ns[:15000], batch.acc_mps2[:15000], batch.gyr_rps[:15000])
    a, b = survey(blocks(batch, 60), RATE), survey(blocks(batch, 7), RATE)
    assert a.windows == b.windows
    for name in ("second", "turn_dps", "acc_sd_mps2", "up_s"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_context_decides_where_it_is_given(day: tuple[Script, TimedBatch]) -> None:
    script, batch = day
    found = survey(blocks(batch), RATE)
    last = script.posture_codes(found.second - T0_NS // NS_PER_S + 0.5) == POSTURE_CODE["standing"]
    last[: len(last) // 2] = False
    window = auto_neutral(found, last)
    assert isinstance(window, NeutralWindow)
    assert window.from_utc_ns // NS_PER_S >= found.second[len(last) // 2]
    nowhere = auto_neutral(found, np.zeros(len(last), dtype=bool))
    assert isinstance(nowhere, str)
    with pytest.raises(ValueError, match="same recording"):
        auto_neutral(found, last[:-1])


def test_without_walking_neither_is_guessed(day: tuple[Script, TimedBatch]) -> None:
    _, batch = day
    still = TimedBatch(batch.t_utc_ns[:1000], batch.acc_mps2[:1000], batch.gyr_rps[:1000])
    found = survey(blocks(still), RATE)
    assert isinstance(mount := auto_mount(found), str)
    assert "walk" in mount
    assert isinstance(pose := auto_neutral(found), str)
    assert "sitting" in pose
    empty = survey([], RATE)
    assert isinstance(empty, Survey)
    assert isinstance(auto_neutral(empty), str)


def test_sitting_upright_after_a_walk_is_not_taken_for_standing() -> None:
    _, batch = recording(0.3)
    found = survey(blocks(batch), RATE)
    # The script walks from 30 s to 150 s, then sits at a desk: cut away what stands before.
    desk = found.second > found.windows[len(found.windows) // 2].second
    seated = Survey(
        [w for w in found.windows if w.second >= found.second[desk][0]],
        found.second[desk],
        found.turn_dps[desk],
        found.acc_sd_mps2[desk],
        found.up_s[desk],
    )
    assert seated.windows
    assert isinstance(auto_neutral(seated), str)


def test_angle_between_mounts_is_small_on_two_halves(day: tuple[Script, TimedBatch]) -> None:
    found = survey(blocks(day[1]), RATE)
    half = len(found.windows) // 2
    a, b = (
        auto_mount(Survey(w, found.second, found.turn_dps, found.acc_sd_mps2, found.up_s))
        for w in (found.windows[:half], found.windows[half:])
    )
    assert not isinstance(a, str)
    assert not isinstance(b, str)
    assert angle_deg(a.mount.anterior, b.mount.anterior) < 3.0
