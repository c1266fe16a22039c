"""The simulated chip errs as its data sheet says, and the simulated radio loses, delays and drifts as it was told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vqf import VQF

from processing.frames import rotate, up_in_sensor
from processing.synthetic import (
    RadioModel,
    SensorModel,
    bmi270,
    day_script,
    mount_rows,
    quaternion_ep,
    render,
    sample_times,
)
from processing.types import GRAVITY_MPS2, NS_PER_S, POSTURE_CODE

START = 1_790_000_000_000_000_000


def test_the_default_mount_puts_up_on_x_and_anterior_on_minus_z() -> None:
    rows = mount_rows("up=+x,anterior=-z")
    assert rotate(rows, np.array([[0.0, 1.0, 0.0]])).tolist() == [[1.0, 0.0, 0.0]]
    assert rotate(rows, np.array([[1.0, 0.0, 0.0]])).tolist() == [[0.0, 0.0, -1.0]]
    for text, angles in (("up=+x,anterior=-z", (6.0, -3.0, 2.0)), ("up=-y,anterior=+x", (0.0, 20.0, 0.0))):
        m = np.array(mount_rows(text, *angles))
        assert np.allclose(m @ m.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(m) == pytest.approx(1.0)


def test_pitch_of_the_mount_turns_about_the_lateral_axis_alone() -> None:
    straight, pitched = (np.array(mount_rows("up=+x,anterior=-z", p)) for p in (0.0, 10.0))
    lateral = np.array([0.0, 0.0, 1.0])
    assert np.allclose(straight @ lateral, pitched @ lateral)
    up = np.array([0.0, 1.0, 0.0])
    assert np.degrees(np.arccos((straight @ up) @ (pitched @ up))) == pytest.approx(10.0)


def test_noise_bias_gain_and_steps_are_as_stated() -> None:
    sensor, n = bmi270(11), 60_000
    times = sample_times(START, n, 100.0)
    still = np.tile([0.0, GRAVITY_MPS2, 0.0], (n, 1))
    acc, gyr = sensor.measure(times, 0, still, np.zeros((n, 3)))
    assert np.std(acc, axis=0) == pytest.approx([sensor.acc_noise_mps2] * 3, rel=0.03)
    assert np.std(gyr - np.mean(gyr), axis=0)[0] == pytest.approx(sensor.gyr_noise_rps, rel=0.6)
    expected = rotate(sensor.r_sp, still[:1])[0] * sensor.acc_gain + sensor.acc_offset_mps2
    assert np.mean(acc, axis=0) == pytest.approx(expected, abs=1e-3)
    worst_drift = np.abs(sensor.gyr_drift_rps)
    assert np.all(np.abs(np.mean(gyr, axis=0) - sensor.gyr_bias_rps) <= worst_drift + 1e-5)
    assert np.max(np.abs(acc / sensor.acc_lsb_mps2 - np.rint(acc / sensor.acc_lsb_mps2))) < 1e-6


def test_readings_beyond_the_range_are_clipped() -> None:
    sensor = SensorModel(1, mount_rows("up=+x,anterior=-z"), acc_range_mps2=20.0, gyr_range_rps=2.0)
    acc, gyr = sensor.measure(np.array([START]), 0, np.array([[0.0, 99.0, 0.0]]), np.array([[0.0, -9.0, 1.0]]))
    assert acc.tolist() == [[20.0, 0.0, 0.0]]
    assert gyr.tolist() == [[-2.0, -1.0, 0.0]]


def test_an_ideal_sensor_shows_nothing_but_the_mount() -> None:
    sensor = SensorModel(1, mount_rows("up=+x,anterior=-z"))
    truth = render(day_script(START, 200.0), sample_times(START, 2000, 100.0))
    acc, gyr = sensor.measure(truth.t_utc_ns, 0, truth.acc_p_mps2, truth.gyr_p_rps)
    assert np.array_equal(acc, rotate(sensor.r_sp, truth.acc_p_mps2))
    assert np.array_equal(gyr, rotate(sensor.r_sp, truth.gyr_p_rps))


def test_the_filter_finds_the_simulated_orientation() -> None:
    # 20 min with walking, stairs apart: the simulation and the filter were written apart, so agreement tests both.
    script = day_script(START, 1200.0)
    truth = render(script, sample_times(START, 120_000, 100.0))
    sensor = SensorModel(3, mount_rows("up=+x,anterior=-z"), acc_noise_mps2=0.01, gyr_noise_rps=0.001)
    acc, gyr = sensor.measure(truth.t_utc_ns, 0, truth.acc_p_mps2, truth.gyr_p_rps)
    q = VQF(0.01, tauAcc=5.0, restBiasEstEnabled=False).updateBatch(
        np.ascontiguousarray(gyr), np.ascontiguousarray(acc)
    )["quat6D"]
    true_up = rotate(sensor.r_sp, up_in_sensor(quaternion_ep(truth)))
    off = np.degrees(np.arccos(np.clip(np.sum(up_in_sensor(q) * true_up, axis=1), -1.0, 1.0)))
    for posture, limit in (("standing", 0.6), ("sitting", 0.6), ("walking", 1.2)):
        of_posture = truth.posture == POSTURE_CODE[posture]
        assert np.sqrt(np.mean(off[of_posture] ** 2)) < limit, posture


def test_the_oscillator_runs_at_its_own_pace() -> None:
    radio = RadioModel(seed=1, ppm=20.0)
    assert radio.period_ns == 10_000_200
    k = radio.sample_at(START)
    times = radio.sample_utc_ns(k, 3)
    assert times[0] >= START > times[0] - radio.period_ns
    assert np.diff(times).tolist() == [10_000_200] * 2


@pytest.mark.parametrize(("loss", "burst_s"), [(0.05, 0.5), (0.01, 0.1), (0.2, 2.0)])
def test_loss_has_the_stated_share_and_comes_in_bursts(loss: float, burst_s: float) -> None:
    radio = RadioModel(seed=9, loss=loss, burst_s=burst_s)
    lost = radio.lost(1_000_000, 400_000)
    assert np.mean(lost) == pytest.approx(loss, rel=0.08)
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate(([0], lost.astype(int), [0]))))[:])[::2]
    assert runs[1:-1].min() >= round(burst_s * 10)


def test_nothing_is_lost_unless_asked() -> None:
    assert not RadioModel(seed=9).lost(0, 1000).any()


@settings(max_examples=25)
@given(first=st.integers(10**6, 10**9), cut=st.integers(1, 2999), stall_s=st.sampled_from([0.0, 0.4, 2.0]))
def test_arrivals_come_in_order_after_their_samples_whatever_the_block(first: int, cut: int, stall_s: float) -> None:
    radio = RadioModel(seed=4, retransmit=0.1, stall_s=stall_s, loss=0.1)
    arrival = radio.arrival_utc_ns(first, 3000)
    parts = (radio.arrival_utc_ns(first, cut), radio.arrival_utc_ns(first + cut, 3000 - cut))
    assert np.array_equal(arrival, np.concatenate(parts))
    assert np.array_equal(
        radio.lost(first, 3000), np.concatenate((radio.lost(first, cut), radio.lost(first + cut, 3000 - cut)))
    )
    assert np.min(np.diff(arrival)) >= 1_000_000
    last_sample = radio.sample_utc_ns(first * 10, 30_000)[9::10]
    delay = arrival - last_sample
    assert delay.min() >= 0
    assert delay.max() <= round((stall_s + 0.035 + 0.2) * NS_PER_S)


def test_shares_outside_zero_to_one_are_refused() -> None:
    with pytest.raises(ValueError, match="shares"):
        RadioModel(seed=1, loss=1.0)
    with pytest.raises(ValueError, match="stall_s"):
        RadioModel(seed=1, stall_s=60.0)
