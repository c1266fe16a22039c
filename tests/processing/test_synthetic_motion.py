"""The simulated wearer agrees with itself: angles, angular rate and specific force are one motion, whatever the block."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.frames import DEG, tilt_and_obliquity_deg, up_in_sensor
from processing.synthetic import Script, Truth, bmi270, day_script, quaternion_ep, render, sample_times
from processing.synthetic.tracks import Ramp, Track
from processing.types import F64, GRAVITY_MPS2, I64, POSTURE_CODE

START = 1_790_000_000_000_000_000


@pytest.fixture(scope="module")
def script() -> Script:
    return day_script(START, 3600.0)


@pytest.fixture(scope="module")
def hour(script: Script) -> Truth:
    return render(script, sample_times(START, 360_000, 100.0))


def product(a: F64, b: F64) -> F64:
    """Hamilton product of two quaternions."""
    return np.array(
        [
            a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
            a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
            a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
            a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
        ]
    )


def when(script: Script, posture: str) -> int:
    """Start of the first activity of that posture [ns]."""
    return next(a.start_utc_ns for a in script.activities if a.posture == posture)


@pytest.mark.parametrize("posture", ["walking", "stairs", "sitting", "lying"])
def test_integrated_angular_rate_gives_the_orientation_back(script: Script, posture: str) -> None:
    # Rate at the middle of 1 ms steps: what is left over is the step's own third-order error.
    first = when(script, posture)
    truth = render(script, sample_times(first, 20_001, 2000.0))
    q_true = quaternion_ep(truth)
    q = q_true[0]
    for rate in truth.gyr_p_rps[1::2]:
        turn = rate * 1e-3
        angle = np.sqrt(np.sum(turn**2))
        axis = turn / angle if angle else turn
        q = product(q, np.concatenate(([np.cos(angle / 2)], np.sin(angle / 2) * axis)))
    moved, left = (2 * np.degrees(np.arccos(min(1.0, abs(float(np.sum(a * q_true[-1])))))) for a in (q_true[0], q))
    assert moved > 1.0
    assert left < 0.001


def test_gravity_of_a_still_wearer_is_exact_and_shows_the_true_angles(script: Script, hour: Truth) -> None:
    still = (np.abs(hour.acc_up_mps2) == 0.0) & np.isin(hour.posture, [POSTURE_CODE["sitting"], POSTURE_CODE["lying"]])
    still &= np.abs(np.sqrt(np.sum(hour.acc_p_mps2**2, axis=1)) - GRAVITY_MPS2) < 1e-9
    assert still.sum() > 60_000
    tilt, obliquity = tilt_and_obliquity_deg(hour.acc_p_mps2[still] / GRAVITY_MPS2)
    upright = np.isfinite(tilt)
    assert upright.any()
    assert np.max(np.abs(tilt - hour.anterior_tilt_deg[still])[upright]) < 1e-9
    assert np.max(np.abs(obliquity - hour.obliquity_deg[still])) < 1e-9


def test_orientation_and_specific_force_are_the_same_motion(hour: Truth) -> None:
    up = up_in_sensor(quaternion_ep(hour))
    tilt, obliquity = tilt_and_obliquity_deg(up)
    assert np.nanmax(np.abs(tilt - hour.anterior_tilt_deg)) < 1e-9
    assert np.max(np.abs(obliquity - hour.obliquity_deg)) < 1e-9
    vertical = np.sum(up * hour.acc_p_mps2, axis=1) - GRAVITY_MPS2
    assert np.max(np.abs(vertical - hour.acc_up_mps2)) < 1e-9


def test_standing_up_raises_the_pelvis_by_what_the_script_says(script: Script) -> None:
    seat = [t for t in script.transitions if {t.before, t.after} == {"sitting", "standing"}]
    assert len(seat) >= 2
    for t in seat:
        assert 0.35 <= abs(t.rise_m) <= 0.45
        assert 1.4e9 < t.stop_utc_ns - t.start_utc_ns < 2.6e9
        truth = render(script, sample_times(t.start_utc_ns, 3000, 1000.0))
        rise = float(np.sum(np.cumsum(truth.acc_up_mps2)) * 1e-6)
        assert rise == pytest.approx(t.rise_m, abs=0.005)


def test_a_walk_leaves_no_vertical_speed_behind_and_steps_at_its_rate(script: Script) -> None:
    bout = script.bouts[0]
    count = round((bout.stop_s - bout.start_s) * 1000)
    truth = render(script, sample_times(START + round(bout.start_s * 1e9), count, 1000.0))
    assert abs(float(np.sum(truth.acc_up_mps2)) * 1e-3) < 0.01
    assert float(np.std(truth.acc_up_mps2)) > 1.0
    power = np.abs(np.fft.rfft(truth.acc_up_mps2)) ** 2
    assert np.fft.rfftfreq(count, 1e-3)[np.argmax(power)] == pytest.approx(bout.step_hz, rel=0.03)
    middle = slice(3000, count - 3000)
    assert 2.0 < float(np.ptp(truth.anterior_tilt_deg[middle])) < 8.0
    assert float(np.ptp(truth.rotation_deg)) > 80.0  # turns


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(1, 29_999), max_size=12, unique=True), first=st.integers(0, 250_000))
def test_blocks_join_without_a_seam(cuts: list[int], first: int) -> None:
    script, sensor = day_script(START, 3600.0), bmi270(5)

    def block(lo: int, hi: int) -> tuple[F64 | I64, ...]:
        truth = render(script, sample_times(START, hi - lo, 100.0, first + lo))
        measured = sensor.measure(truth.t_utc_ns, first + lo, truth.acc_p_mps2, truth.gyr_p_rps)
        return (truth.t_utc_ns, truth.anterior_tilt_deg, truth.acc_p_mps2, truth.gyr_p_rps, *measured)

    edges = [0, *sorted(cuts), 30_000]
    pieces = [block(lo, hi) for lo, hi in zip(edges, edges[1:], strict=False)]
    for whole, *parts in zip(block(0, 30_000), *pieces, strict=True):
        assert np.array_equal(whole, np.concatenate(parts))


def test_motion_has_no_jumps(hour: Truth) -> None:
    # 100 Hz steps: running at its hardest moves less than this between samples.
    assert np.max(np.abs(np.diff(hour.anterior_tilt_deg))) < 2.0
    assert np.max(np.abs(np.diff(hour.acc_p_mps2, axis=0))) < 3.0
    assert np.max(np.abs(np.diff(hour.gyr_p_rps, axis=0))) * DEG < 40.0


def test_a_track_refuses_moves_that_overlap() -> None:
    with pytest.raises(ValueError, match="overlap"):
        Track(0.0, [Ramp(0.0, 2.0, 1.0), Ramp(1.0, 2.0, 3.0)])
    assert [len(x) for x in Track(0.0, [])(np.empty(0))] == [0, 0, 0]


def test_a_track_rests_before_between_and_after_its_moves() -> None:
    track = Track(1.0, [Ramp(10.0, 2.0, 5.0), Ramp(20.0, 1.0, -3.0)])
    x, dx, ddx = track(np.array([0.0, 9.99, 10.0, 11.0, 12.0, 15.0, 20.5, 30.0]))
    assert x.tolist() == pytest.approx([1.0, 1.0, 1.0, 3.0, 5.0, 5.0, 1.0, -3.0])
    assert dx[[0, 1, 2, 4, 5, 7]].tolist() == [0.0] * 6
    assert dx[3] == pytest.approx(1.875 * 4.0 / 2.0)  # the peak speed of a minimum-jerk move
    assert ddx[3] == pytest.approx(0.0)
