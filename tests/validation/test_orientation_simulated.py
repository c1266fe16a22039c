"""Orientation on simulated wearers, where the truth is known: a day's activities, lost packets, a bad gyroscope, clipping.

The accelerometer counts as calibrated to 15 % of its offset, as in the design's measurements: otherwise its offset is all one
would see. Run with -s for the figures.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from processing.frames import rotate
from processing.synthetic import SensorModel, Wearer, bmi270, day_script, render, sample_times
from processing.synthetic.motion import Truth
from processing.types import NS_PER_S, POSTURE_CODE, TimedBatch
from tests.validation.up import up_by

pytestmark = pytest.mark.slow

RATE = 100.0
START_NS = 1_790_000_000 * NS_PER_S
LIVELY_S = 7200.0
SECONDS = 2400
SEEDS = (1, 2, 3)


def chip(seed: int) -> SensorModel:
    model = bmi270(seed)
    x, y, z = model.acc_offset_mps2
    return replace(model, acc_offset_mps2=(0.15 * x, 0.15 * y, 0.15 * z))


@cache
def day(seed: int) -> tuple[TimedBatch, np.ndarray, np.ndarray]:
    """Forty minutes around the lively part of a day: samples, true up in sensor axes, posture codes."""
    script = day_script(START_NS, 4 * 3600.0, Wearer(seed), lively_from_s=LIVELY_S)
    t = sample_times(START_NS + round((LIVELY_S - 1000) * NS_PER_S), round(SECONDS * RATE), RATE)
    truth, model = render(script, t), chip(seed)
    acc, gyr = model.measure(t, 0, truth.acc_p_mps2, truth.gyr_p_rps)
    return TimedBatch(t, acc, gyr), rotate(model.r_sp, true_up(truth)), truth.posture


def true_up(truth: Truth) -> np.ndarray:
    """Up in pelvis axes."""
    o, a = np.radians(truth.obliquity_deg), np.radians(truth.anterior_tilt_deg)
    return np.column_stack([-np.cos(o) * np.sin(a), np.cos(o) * np.cos(a), np.sin(o)])


def error_deg(up: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip(np.sum(up * truth, axis=1), -1, 1)))


def rms(values: list[np.ndarray]) -> float:
    return float(np.sqrt(np.mean(np.concatenate(values) ** 2)))


BARS = {"online": 0.55, "settled": 0.45, "retro": 0.40}


@pytest.mark.parametrize("mode", list(BARS))
def test_a_lively_part_of_the_day_stays_near_the_truth(mode: str) -> None:
    errors = [error_deg(up_by(mode, day(s)[0], RATE), day(s)[1]) for s in SEEDS]
    print(f"{mode}: {rms(errors):.2f} deg RMSE over {len(SEEDS)} wearers")
    assert rms(errors) <= BARS[mode]


@pytest.mark.parametrize("mode", list(BARS))
def test_walking_with_five_percent_lost_in_bursts(mode: str) -> None:
    errors = []
    for seed in SEEDS:
        timed, truth, posture = day(seed)
        rng = np.random.default_rng(seed)
        keep = np.ones(len(timed), dtype=bool)
        for at in rng.integers(500, len(timed) - 50, round(0.05 * len(timed) / 50)):
            keep[at : at + 50] = False
        cut = TimedBatch(timed.t_utc_ns[keep], timed.acc_mps2[keep], timed.gyr_rps[keep])
        up = up_by(mode, cut, RATE)
        walking = posture[keep] == POSTURE_CODE["walking"]
        errors.append(error_deg(up, truth[keep])[walking])
    print(f"{mode}: {rms(errors):.2f} deg RMSE walking, settling included")
    assert rms(errors) <= 2.0


@pytest.mark.parametrize("mode", list(BARS))
def test_a_gyroscope_four_degrees_per_second_off(mode: str) -> None:
    errors = []
    for seed in SEEDS:
        timed, truth, _ = day(seed)
        bias = np.radians(4.0) * np.array([0.6, -0.64, 0.48])
        off = TimedBatch(timed.t_utc_ns, timed.acc_mps2, timed.gyr_rps + bias)
        errors.append(error_deg(up_by(mode, off, RATE), truth))
    print(f"{mode}: {rms(errors):.2f} deg RMSE with 4 deg/s")
    assert rms(errors) <= 0.7


def test_clipped_samples_leave_no_lasting_trace() -> None:
    """A blow beyond the ranges (16 g, 2000 deg/s): a minute later the error is what it was."""
    timed, truth, _ = day(1)
    acc, gyr = timed.acc_mps2.copy(), timed.gyr_rps.copy()
    at = 60_000
    acc[at : at + 10] = 157.0
    gyr[at : at + 10] = -34.9
    clean = error_deg(up_by("online", timed, RATE), truth)
    hit = error_deg(up_by("online", TimedBatch(timed.t_utc_ns, acc, gyr), RATE), truth)
    after = slice(at + 6000, at + 12_000)
    assert np.sqrt(np.mean(hit[after] ** 2)) < np.sqrt(np.mean(clean[after] ** 2)) + 0.3


@pytest.mark.parametrize(("mode", "bar_deg"), [("online", 1.6), ("settled", 0.95)])
def test_a_recording_that_begins_amid_a_walk(mode: str, bar_deg: float) -> None:
    """Forty seconds each, begun 1, 4 and 8 s into walks as vigorous as people's. When simulated walks were smoother: 1.2 online, 0.8 settled; with
    the bias free from the first sample 3.7, 1.5; held 4.5 s: 1.7, 1.0.
    """
    errors = []
    for seed in range(10):
        script = day_script(START_NS, 900.0, Wearer(seed))
        model = replace(bmi270(seed), acc_offset_mps2=(0.0, 0.0, 0.0))
        for begin_s in (
            b.start_s + s for b in script.bouts[:2] for s in (1.0, 4.0, 8.0) if b.stop_s - b.start_s - s > 12.0
        ):
            first = round(begin_s * RATE)
            t = sample_times(START_NS, round(40 * RATE), RATE, first)
            truth = render(script, t)
            acc, gyr = model.measure(t, first, truth.acc_p_mps2, truth.gyr_p_rps)
            up = up_by(mode, TimedBatch(t, acc, gyr), RATE)
            errors.append(rms([error_deg(up, rotate(model.r_sp, true_up(truth)))]))
    print(f"{mode}: {np.mean(errors):.2f} deg, mean of {len(errors)} beginnings")
    assert len(errors) >= 20
    assert np.mean(errors) < bar_deg
