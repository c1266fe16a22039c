"""A neutral pose makes tilt zero there for any clip orientation; bad poses and mounts are refused with a reason."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from processing.alignment.static import AlignmentError, align, neutral_gravity, parse_mount
from processing.frames import rotate, tilt_and_obliquity_deg

G = 9.80665


def all_mounts() -> list[tuple[str, np.ndarray]]:
    """The 24 right-handed ways a box can sit: text, and the matrix pelvis -> sensor."""
    found = []
    for up, anterior in itertools.product(["+x", "-x", "+y", "-y", "+z", "-z"], repeat=2):
        if up[1] == anterior[1]:
            continue
        axis = {"x": np.array([1.0, 0, 0]), "y": np.array([0, 1.0, 0]), "z": np.array([0, 0, 1.0])}
        y = axis[up[1]] * (1 if up[0] == "+" else -1)
        x = axis[anterior[1]] * (1 if anterior[0] == "+" else -1)
        found.append((f"up={up},anterior={anterior}", np.column_stack([x, y, np.cross(x, y)])))
    return found


def test_there_are_24_mounts() -> None:
    assert len(all_mounts()) == 24


@pytest.mark.parametrize(("text", "sensor_from_pelvis"), all_mounts())
def test_tilt_is_right_for_every_mount_with_20_degrees_of_slack(text: str, sensor_from_pelvis: np.ndarray) -> None:
    rng = np.random.default_rng(list(text.encode()))
    for _ in range(10):
        # The clip is turned about pelvis Z (pitch of the belt): gravity in the neutral pose takes it out exactly.
        slack = Rotation.from_euler("z", rng.uniform(-20, 20), degrees=True).as_matrix()
        to_sensor = sensor_from_pelvis @ slack
        neutral = to_sensor @ np.array([0, G, 0])
        a = align(parse_mount(text), neutral, given=True, mount_id="m", t_utc_ns=0)
        for tilt in (-30.0, 0.0, 10.0, 45.0):
            up = to_sensor @ np.array([-np.sin(np.radians(tilt)), np.cos(np.radians(tilt)), 0])
            got, obliquity = tilt_and_obliquity_deg(rotate(a.r_ps, up[None, :]))
            assert got[0] == pytest.approx(tilt, abs=1e-9)
            assert obliquity[0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("text", ["", "up=x", "up=+x,anterior=+x", "up=+x,anterior=-q", "up=+x,anterior=-z,left=+y"])
def test_a_mount_that_is_not_understood_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(AlignmentError, match="up"):
        parse_mount(text)


def quiet(n: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return np.array([G, 0, 0]) + rng.normal(0, 0.03, (n, 3)), rng.normal(0, 0.005, (n, 3))


def test_a_quiet_pose_is_taken() -> None:
    acc, gyr = quiet()
    assert neutral_gravity(acc, gyr) == pytest.approx([G, 0, 0], abs=0.01)


def test_a_short_moving_or_shaken_pose_is_refused_with_its_reason() -> None:
    acc, gyr = quiet()
    with pytest.raises(AlignmentError, match="at least two seconds"):
        neutral_gravity(acc[:20], gyr[:20])
    with pytest.raises(AlignmentError, match="turned at"):
        neutral_gravity(acc, gyr + 0.3)
    with pytest.raises(AlignmentError, match="shook"):
        neutral_gravity(acc + np.sin(np.arange(500) / 5)[:, None], gyr)
    with pytest.raises(AlignmentError, match="gravity reads"):
        neutral_gravity(acc / G, gyr)


def test_gravity_along_the_anterior_axis_is_refused() -> None:
    with pytest.raises(AlignmentError, match="anterior axis"):
        align(parse_mount("up=+x,anterior=-z"), np.array([0, 0, -G]), given=False, mount_id="m", t_utc_ns=0)
