"""Bows and pelvic tilts: any clip orientation, front told from back, and a reason wherever the movement does not tell."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from processing.alignment.functional import FunctionalHeading, functional_heading
from processing.alignment.realign import angle_deg
from processing.alignment.static import Mount, align
from processing.frames import rotate, tilt_and_obliquity_deg
from processing.types import F64, GRAVITY_MPS2
from tests.processing.test_alignment_static import all_mounts

RATE = 100.0
Signals = tuple[F64, F64, F64]


def movement(
    depth_deg: float, *, back_deg: float = 0.0, twist_deg: float = 0.0, times: int = 3, seed: int = 1
) -> Signals:
    """Two quiet seconds, then bows by ``depth_deg`` (and back by ``back_deg``), each 3 s, with some twist about the vertical.

    Specific force, rate of turn, up, in pelvis axes; slow enough for acceleration to be gravity.
    """
    t = np.arange(int(RATE * 3 * times)) / RATE
    wave = np.sin(np.pi * t / 3.0) ** 2 * np.where((t // 3) % 2 == 0, depth_deg, -back_deg if back_deg else depth_deg)
    tilt = np.radians(np.concatenate([np.zeros(int(2 * RATE)), wave]))
    turn = np.radians(twist_deg) * np.concatenate([np.zeros(int(2 * RATE)), np.sin(np.pi * t / 1.5)])
    up = np.stack([-np.sin(tilt), np.cos(tilt), np.zeros(len(tilt))], axis=1)
    gyr = np.zeros((len(tilt), 3))
    gyr[:, 2] = -np.gradient(tilt, 1 / RATE)
    gyr += up * np.gradient(turn, 1 / RATE)[:, None]
    rng = np.random.default_rng(seed)
    return GRAVITY_MPS2 * up + rng.normal(0, 0.03, up.shape), gyr + rng.normal(0, 0.003, up.shape), up


def turned(signals: Signals, to_sensor: F64) -> Signals:
    acc, gyr, up = (x @ to_sensor.T for x in signals)
    return acc, gyr, up


@pytest.mark.parametrize(("text", "sensor_from_pelvis"), all_mounts())
def test_gravity_and_bows_align_every_clip_within_one_degree(text: str, sensor_from_pelvis: F64) -> None:
    rng = np.random.default_rng(sum(map(ord, text)))
    to_sensor = sensor_from_pelvis @ Rotation.from_rotvec(np.radians(rng.uniform(-20, 20, 3))).as_matrix()
    acc, gyr, up = turned(movement(35.0, twist_deg=4.0), to_sensor)
    found = functional_heading(acc, gyr, up, RATE)
    assert isinstance(found, FunctionalHeading)
    assert found.range_deg == pytest.approx(35.0, abs=1.0)
    a = align(
        Mount(found.up, found.anterior),
        None,
        given=False,
        mount_id="m",
        t_utc_ns=0,
        found_by="functional",
        uncertainty_deg=found.uncertainty_deg,
    )
    assert (a.method, a.has_neutral) == ("functional", False)
    for tilt in (-30.0, 0.0, 10.0, 45.0):
        true_up = to_sensor @ np.array([-np.sin(np.radians(tilt)), np.cos(np.radians(tilt)), 0])
        got, _ = tilt_and_obliquity_deg(rotate(a.r_ps, true_up[None, :]))
        assert got[0] == pytest.approx(tilt, abs=1.0)


def test_pelvic_tilts_need_to_know_the_side_the_front_is_on() -> None:
    acc, gyr, up = movement(8.0, back_deg=8.0, times=4)
    with pytest.raises(ValueError, match="mount_anterior"):
        functional_heading(acc, gyr, up, RATE, "pelvic_tilts")
    for hint in ((0.8, 0.1, 0.5), (-0.8, 0.1, 0.5)):
        found = functional_heading(acc, gyr, up, RATE, "pelvic_tilts", hint)
        assert isinstance(found, FunctionalHeading)
        assert angle_deg(found.anterior, (np.sign(hint[0]), 0.0, 0.0)) < 2.0


@pytest.mark.parametrize(
    ("signals", "word"),
    [
        (movement(10.0), "bow deeper"),
        (movement(30.0, twist_deg=60.0), "straight ahead"),
        (tuple(x[:250] for x in movement(30.0)), "at least three"),
        (tuple(x[280:] for x in movement(40.0)), "first second must be quiet"),
    ],
)
def test_a_movement_that_does_not_tell_is_refused_with_its_reason(signals: Signals, word: str) -> None:
    reason = functional_heading(*signals, RATE)
    assert isinstance(reason, str)
    assert word in reason


def test_turning_round_is_refused() -> None:
    acc, gyr, up = movement(25.0)
    gyr = gyr + up * np.where(np.arange(len(up)) > 2 * RATE, 1.5, 0.0)[:, None]
    reason = functional_heading(acc, gyr, up, RATE)
    assert isinstance(reason, str)
    assert "level" in reason
