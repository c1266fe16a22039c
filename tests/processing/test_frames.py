"""Analytic poses: tilt and obliquity follow from the pose to 1e-9, whatever the heading."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.frames import rotate, tilt_and_obliquity_deg, up_in_sensor

# Up in pelvis axes (X anterior, Y superior, Z right) and the angles it must give; None: no value.
POSES = [
    ("upright", (0.0, 1.0, 0.0), 0.0, 0.0),
    ("10 deg anterior", (-math.sin(math.radians(10)), math.cos(math.radians(10)), 0.0), 10.0, 0.0),
    ("18 deg posterior", (math.sin(math.radians(18)), math.cos(math.radians(18)), 0.0), -18.0, 0.0),
    ("supine", (1.0, 0.0, 0.0), -90.0, 0.0),
    ("prone", (-1.0, 0.0, 0.0), 90.0, 0.0),
    ("on the left side", (0.0, 0.0, 1.0), None, 90.0),
    ("on the right side", (0.0, 0.0, -1.0), None, -90.0),
    ("5 deg right side up", (0.0, math.cos(math.radians(5)), math.sin(math.radians(5))), 0.0, 5.0),
]


@pytest.mark.parametrize(("name", "up", "tilt", "obliquity"), POSES)
def test_pose(name: str, up: tuple[float, float, float], tilt: float | None, obliquity: float) -> None:
    a, o = tilt_and_obliquity_deg(np.array([up]))
    assert o[0] == pytest.approx(obliquity, abs=1e-9)
    if tilt is None:
        assert np.isnan(a[0])
    else:
        assert a[0] == pytest.approx(tilt, abs=1e-9)


def _axis_quaternion(axis: tuple[int, int, int], angle: float) -> np.ndarray:
    return np.array([math.cos(angle / 2), *(math.sin(angle / 2) * np.array(axis))])


def _multiply(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return np.array(
        [
            p[0] * q[0] - p[1] * q[1] - p[2] * q[2] - p[3] * q[3],
            p[0] * q[1] + p[1] * q[0] + p[2] * q[3] - p[3] * q[2],
            p[0] * q[2] - p[1] * q[3] + p[2] * q[0] + p[3] * q[1],
            p[0] * q[3] + p[1] * q[2] - p[2] * q[1] + p[3] * q[0],
        ]
    )


@given(
    heading=st.floats(-math.pi, math.pi),
    obliquity=st.floats(-math.radians(59), math.radians(59)),
    tilt=st.floats(-math.radians(170), math.radians(170)),
)
def test_rotation_obliquity_tilt_sequence_needs_no_heading(heading: float, obliquity: float, tilt: float) -> None:
    """Build earth ← pelvis by the sequence itself and read the same angles back, for any heading."""
    # Earth z up; at rest pelvis Y points up: a quarter turn about x carries pelvis axes there.
    upright = _axis_quaternion((1, 0, 0), math.pi / 2)
    q = _multiply(_axis_quaternion((0, 0, 1), heading), upright)
    # A positive turn about Z lifts the front (posterior tilt), one about X lowers the right side.
    q = _multiply(q, _axis_quaternion((1, 0, 0), -obliquity))
    q = _multiply(q, _axis_quaternion((0, 0, 1), -tilt))
    a, o = tilt_and_obliquity_deg(up_in_sensor(q[None, :]))
    assert a[0] == pytest.approx(math.degrees(tilt), abs=1e-9)
    assert o[0] == pytest.approx(math.degrees(obliquity), abs=1e-9)


def test_up_is_the_third_row_of_the_rotation_matrix() -> None:
    rng = np.random.default_rng(1)
    q = rng.standard_normal((50, 4))
    q /= np.linalg.norm(q, axis=1)[:, None]
    v = rng.standard_normal(3)
    for row, up in zip(q, up_in_sensor(q), strict=True):
        conjugate = row * np.array([1, -1, -1, -1])
        in_earth = _multiply(_multiply(row, np.array([0, *v])), conjugate)[1:]
        assert in_earth[2] == pytest.approx(float(up @ v), abs=1e-12)


def test_rotate_by_rows() -> None:
    rows = ((0.0, 0.0, -1.0), (1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
    assert rotate(rows, np.array([[1.0, 2.0, 3.0]])).tolist() == [[-3.0, 1.0, -2.0]]
