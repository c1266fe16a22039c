"""VQF on pairs of rows: the orientation it has row by row, told of each row at once, however rows are parted."""

from __future__ import annotations

import numpy as np
import pytest
from vqf import VQF, offlineVQF

from processing.frames import conjugate, multiply, up_in_sensor
from processing.orientation.causal import OrientationParams
from processing.orientation.paired import PairedVQF
from processing.orientation.paired_offline import paired_offline
from processing.snapshot import dump, load
from processing.types import F64, GRAVITY_MPS2

RATE = 50.0
PARAMS = OrientationParams(RATE).vqf()


def tumbling(n: int, speed: float, bias_rps: float = 0.0) -> tuple[F64, F64]:
    """Rates and forces (n, 3) of a sensor that turns about changing axes, by up to some ``speed`` rad/s, gravity alone acting on it."""
    fine, t = 20, np.arange(20 * n) / (20 * RATE)
    rate = speed * np.column_stack([np.sin(2.1 * t), np.cos(1.7 * t), np.sin(0.9 * t + 1.0)])
    q = np.empty((len(t), 4))
    now = np.array([[1.0, 0.0, 0.0, 0.0]])
    for i, (x, y, z) in enumerate((0.5 * rate / (fine * RATE)).tolist()):
        size = np.sqrt(x * x + y * y + z * z)
        now = multiply(now, np.concatenate([[np.cos(size)], np.sinc(size / np.pi) * np.array([x, y, z])])[None])
        q[i] = now
    gyr = rate.reshape(n, fine, 3).mean(axis=1) + bias_rps
    return gyr, GRAVITY_MPS2 * np.ascontiguousarray(up_in_sensor(q[fine - 1 :: fine]))


def apart_deg(p: F64, q: F64) -> F64:
    cosine: F64 = np.clip(np.abs(multiply(conjugate(p), q)[:, 0]), 0.0, 1.0)
    return np.degrees(2.0 * np.arccos(cosine))


@pytest.mark.parametrize(("speed", "least_deg"), [(0.5, 0.05), (2.0, 0.2), (6.0, 1.0)])
def test_as_row_by_row(speed: float, least_deg: float) -> None:
    gyr, acc = tumbling(1500, speed)
    plain = VQF(1.0 / RATE, **PARAMS).updateBatch(gyr, acc)["quat6D"]
    paired, _ = PairedVQF(RATE, PARAMS).update(gyr, acc)
    assert apart_deg(plain, paired)[250:].max() < least_deg
    # First rows are turned on by the gyroscope, second rows by VQF: neither stands out.
    each = apart_deg(multiply(conjugate(paired[:-1]), paired[1:]), multiply(conjugate(plain[:-1]), plain[1:]))[250:]
    assert np.median(each[::2]) == pytest.approx(np.median(each[1::2]), abs=0.02 * speed)


def test_the_bias_it_learnt_is_taken_out_of_first_rows_too() -> None:
    gyr, acc = np.full((4000, 3), np.radians(2.0)), np.tile([GRAVITY_MPS2, 0.0, 0.0], (4000, 1))
    q, bias = PairedVQF(RATE, PARAMS).update(gyr, acc)
    assert np.degrees(bias[-1]) == pytest.approx([2.0] * 3, abs=0.1)
    assert np.array_equal(bias[1::2], bias[:-1:2])
    assert apart_deg(q[-200:-1], q[-199:]).max() < 0.01


@pytest.mark.parametrize("step", [1, 2, 3, 7, 50, 51])
def test_parted_anyhow_and_restarted_within_a_pair(step: int) -> None:
    gyr, acc = tumbling(301, 2.0, bias_rps=0.01)
    once = PairedVQF(RATE, PARAMS)
    q, bias = once.update(gyr[:150], acc[:150])
    once.anew()
    rest = once.update(gyr[150:], acc[150:])
    stage, parts = PairedVQF(RATE, PARAMS), []
    for from_row, to_row in ((0, 150), (150, 301)):
        for lo in range(from_row, to_row, step):
            hi = min(lo + step, to_row)
            parts.append(stage.update(gyr[lo:hi], acc[lo:hi]))
            again = PairedVQF(RATE, PARAMS)
            again.restore(load(dump(stage.snapshot())))
            stage = again
        if to_row == 150:
            stage.anew()
    for i, whole in enumerate((np.concatenate([q, rest[0]]), np.concatenate([bias, rest[1]]))):
        assert np.array_equal(np.concatenate([part[i] for part in parts]), whole)


def test_slow_sensors_go_row_by_row() -> None:
    gyr, acc = tumbling(4000, 1.0)
    plain = VQF(1.0 / 40.0, **PARAMS)
    stage = PairedVQF(40.0, PARAMS)
    assert stage.step_hz == 40.0
    q, _ = stage.update(gyr[:1], acc[:1])
    assert np.array_equal(q, plain.updateBatch(gyr[:1], acc[:1])["quat6D"])
    plain.state = stage.state
    now, then = stage.update(gyr[1:], acc[1:]), plain.updateBatch(gyr[1:], acc[1:])
    assert np.array_equal(now[0], then["quat6D"])
    assert np.array_equal(now[1], then["bias"])


@pytest.mark.parametrize("rate_hz", [40.0, RATE])
def test_levelling_at_the_start_or_after_a_hole_is_not_taken_for_a_bias(rate_hz: float) -> None:
    """VQF alone starts such a sensor, at rest and free of errors, with 0.4 °/s of bias, and is 0.2° off within two seconds."""
    still = np.zeros((500, 3)), np.tile([GRAVITY_MPS2, 0.0, 0.0], (500, 1))
    stage = PairedVQF(rate_hz, PARAMS)
    for _ in range(2):
        q, bias = stage.update(*still)
        assert np.degrees(np.arccos(np.clip(up_in_sensor(q)[:, 0], -1.0, 1.0))).max() < 1e-4
        assert np.abs(np.degrees(bias)).max() < 1e-6
        stage.anew()


def test_a_row_in_hand_is_no_longer_so_after_a_flush() -> None:
    gyr, acc = tumbling(100, 1.0)
    stage = PairedVQF(RATE, PARAMS)
    q, _ = stage.update(gyr, acc)  # one by itself, 49 pairs, one in hand
    was = stage.state["gyrQuat"]
    stage.flush()
    now = stage.state["gyrQuat"]
    assert apart_deg(np.array([was]), np.array([now]))[0] == pytest.approx(apart_deg(q[-2:-1], q[-1:])[0], abs=0.05)
    stage.flush()
    assert stage.state["gyrQuat"] == now


def test_quaternions_are_of_unit_length_however_fast_it_turns() -> None:
    gyr, acc = tumbling(2000, 20.0)
    assert np.abs(gyr).max() > 19.0
    q, _ = PairedVQF(RATE, PARAMS).update(gyr, acc)
    np.testing.assert_allclose(np.sqrt((q**2).sum(axis=1)), 1.0, atol=1e-8)


RETRO = OrientationParams(RATE).vqf(retro=True)


def there_and_back(n: int, speed: float) -> tuple[F64, F64]:
    """`tumbling`, and all of it backwards: level at both ends, where offlineVQF takes levelling for the work of a bias."""
    gyr, acc = tumbling(n, speed)
    start = np.array([[0.0, 0.0, GRAVITY_MPS2]])
    return np.concatenate([gyr, -gyr[::-1]]), np.concatenate([acc, acc[-2::-1], start])


@pytest.mark.parametrize(("speed", "by_row_deg", "paired_deg"), [(0.5, 0.2, 0.35), (2.0, 1.0, 2.0), (6.0, 2.0, 4.0)])
@pytest.mark.parametrize("odd", [0, 1])
def test_looking_back_as_row_by_row(speed: float, by_row_deg: float, paired_deg: float, odd: int) -> None:
    """Who turns without a pause, as nobody does, loses by pairs: offlineVQF's way back takes each rate one step late."""
    gyr, acc = there_and_back(1000, speed)
    gyr, acc = gyr[odd:], acc[odd:]
    plain = offlineVQF(gyr, acc, None, 1.0 / RATE, RETRO)["quat6D"]
    pairs = paired_offline(gyr, acc, (), RATE, RETRO)
    assert inclined_deg(plain, acc).max() < by_row_deg
    assert inclined_deg(pairs, acc).max() < paired_deg
    each = apart_deg(multiply(conjugate(pairs[:-1]), pairs[1:]), multiply(conjugate(plain[:-1]), plain[1:]))[250:-250]
    assert np.median(each[::2]) == pytest.approx(np.median(each[1::2]), abs=0.02 * speed)


def inclined_deg(q: F64, acc: F64) -> F64:
    """Angle between up and forces of gravity alone."""
    return np.degrees(np.arccos(np.clip((up_in_sensor(q) * acc).sum(axis=1) / GRAVITY_MPS2, -1.0, 1.0)))


def test_looking_back_over_holes_no_row_is_paired_with_one_beyond() -> None:
    """A turn of 90° in the first row after a hole, as `retro.py` puts it in where the sensor turned unheard."""
    turned = np.array([0.0, 0.5 * np.pi * RATE, 0.0])
    for n in (700, 701, 702):
        gyr, acc = np.zeros((3 * n, 3)), np.tile([GRAVITY_MPS2, 0.0, 0.0], (3 * n, 1))
        gyr[n], gyr[2 * n] = turned, -turned
        acc[n : 2 * n] = [0.0, 0.0, GRAVITY_MPS2]
        off = inclined_deg(paired_offline(gyr, acc, (n, 2 * n), RATE, RETRO), acc)
        assert off.max() < 1.5  # such a turn is also a rate that a bias is looked for in
        assert np.median(off) < 0.1


def test_looking_back_slow_sensors_go_row_by_row() -> None:
    gyr, acc = tumbling(2000, 1.0)
    plain = offlineVQF(gyr, acc, None, 1.0 / 40.0, RETRO)["quat6D"]
    assert np.array_equal(paired_offline(gyr, acc, (70,), 40.0, RETRO), plain)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_looking_back_on_very_few_rows(n: int) -> None:
    gyr, acc = np.zeros((n, 3)), np.tile([GRAVITY_MPS2, 0.0, 0.0], (n, 1))
    for breaks in ((), (n // 2,)):
        assert up_in_sensor(paired_offline(gyr, acc, breaks, RATE, RETRO))[:, 0] == pytest.approx(1.0)
