"""The simulated day is believable, and the same day again for the same seed, however long it is asked for."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest

from processing.alignment.functional import FunctionalHeading, functional_heading
from processing.frames import rotate, up_in_sensor
from processing.synthetic import (
    NEUTRAL_S,
    ORDINARY_REST_S,
    Script,
    Wearer,
    bmi270,
    day_script,
    quaternion_ep,
    render,
    sample_times,
)
from processing.types import POSTURE_CODE

START = 1_790_000_000_000_000_000


def minutes(script: Script) -> dict[str, float]:
    spent: dict[str, float] = defaultdict(float)
    for a in script.activities:
        spent[a.posture] += (a.stop_utc_ns - a.start_utc_ns) / 60e9
    return spent


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_eight_hours_hold_what_the_rules_and_the_page_need(seed: int) -> None:
    script = day_script(START, 8 * 3600.0, Wearer(seed))
    spent = minutes(script)
    assert sum(spent.values()) == pytest.approx(480.0)
    assert {"sitting", "standing", "walking", "lying", "stairs"} <= set(spent)
    assert 120 < spent["sitting"] < 330
    assert spent["walking"] > 8
    raised = [a for a in script.activities if a.raised]
    long = [a for a in raised if a.stop_utc_ns - a.start_utc_ns > 660e9]
    assert len(long) >= 3
    assert all(6.0 <= a.tilt_deg <= 14.0 for a in raised)
    assert all(a.tilt_deg < -10.0 for a in script.activities if a.posture == "sitting" and a.tilt_deg != -5.0)


def test_activities_follow_each_other_without_holes() -> None:
    script = day_script(START, 30 * 3600.0)
    a = script.activities
    assert a[0].start_utc_ns == START
    assert a[-1].stop_utc_ns == script.stop_utc_ns == START + 30 * 3600 * 10**9
    assert all(x.stop_utc_ns == y.start_utc_ns for x, y in zip(a, a[1:], strict=False))
    assert max(x.stop_utc_ns - x.start_utc_ns for x in a if x.posture == "lying") > 8 * 3600e9  # the night
    assert {"not_worn", "running"} <= set(minutes(script))
    assert script.gaps


def test_a_day_begins_with_a_quiet_neutral() -> None:
    truth = render(day_script(START, 600.0), sample_times(START, round(NEUTRAL_S * 100) - 200, 100.0))
    assert np.all(truth.posture == POSTURE_CODE["standing"])
    assert np.max(np.abs(truth.anterior_tilt_deg)) < 0.5
    assert abs(float(np.mean(truth.anterior_tilt_deg))) < 0.15
    assert np.degrees(np.sqrt(np.mean(np.sum(truth.gyr_p_rps**2, axis=1)))) < 1.0


def test_the_desk_tilts_backward_and_raised_standing_forward() -> None:
    script = day_script(START, 3600.0)
    truth = render(script, sample_times(START, 36_000, 10.0))
    sitting = truth.anterior_tilt_deg[truth.posture == POSTURE_CODE["sitting"]]
    assert -24.0 < float(np.median(sitting)) < -12.0
    episode = next(a for a in script.activities if a.raised)
    inside = (truth.t_utc_ns > episode.start_utc_ns + 10**10) & (truth.t_utc_ns < episode.stop_utc_ns - 10**10)
    assert np.percentile(truth.anterior_tilt_deg[inside], 5) > 5.0


def test_a_longer_day_begins_with_the_shorter_one() -> None:
    short, long = day_script(START, 2 * 3600.0), day_script(START, 9 * 3600.0)
    assert long.activities[: len(short.activities) - 1] == short.activities[:-1]
    times = sample_times(START, 720_000, 100.0)[::50]
    assert np.array_equal(render(short, times).acc_p_mps2, render(long, times).acc_p_mps2)


def test_seeds_and_habits_matter_and_repeat() -> None:
    times = sample_times(START, 30_000, 20.0)
    one, again, other = (render(day_script(START, 1500.0, Wearer(s)), times).anterior_tilt_deg for s in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    calm = day_script(START, 8 * 3600.0, Wearer(1, raised_deg=(0.0, 0.0)))
    assert not any(a.raised for a in calm.activities)
    assert max(a.tilt_deg for a in calm.activities if a.posture == "standing") < 3.0


@pytest.mark.parametrize("lively_from_s", [1200.0, 3000.0, 9 * 3600.0 + 17.0])
def test_whoever_watches_from_now_on_sees_everything(lively_from_s: float) -> None:
    script = day_script(START, lively_from_s + 1200.0, lively_from_s=lively_from_s)
    seen_from = START + round(lively_from_s * 1e9)
    for start in range(0, 500, 100):
        lo, hi = seen_from + start * 10**9, seen_from + (start + 150) * 10**9
        seen = {a.posture for a in script.activities if a.stop_utc_ns > lo and a.start_utc_ns < hi}
        assert {"standing", "walking", "sitting"} <= seen, start
    quiet = day_script(START, lively_from_s + 1200.0)
    before = [a for a in quiet.activities if a.stop_utc_ns < seen_from - 60 * 10**9]
    assert script.activities[: len(before)] == tuple(before)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_wearer_bows_as_the_set_up_asks_and_then_goes_on_with_the_day(seed: int) -> None:
    script, rate_hz = day_script(START, 300.0, Wearer(seed, bow_rounds=3)), 100.0
    clip = bmi270(seed, misplaced_deg=20.0)
    true_front = np.array(clip.r_sp)[:, 0]
    for a in script.activities[1:4]:
        truth = render(script, sample_times(a.start_utc_ns + 3 * 10**9, 1200, rate_hz))
        acc, gyr = clip.measure(truth.t_utc_ns, 0, truth.acc_p_mps2, truth.gyr_p_rps)
        up = rotate(clip.r_sp, up_in_sensor(quaternion_ep(truth)))
        found = functional_heading(acc, gyr, up, rate_hz, "bows")
        assert isinstance(found, FunctionalHeading), found
        assert 25.0 < found.range_deg < 45.0
        assert found.uncertainty_deg < 5.0
        assert math.degrees(math.acos(float(true_front @ found.anterior))) < 2.0 * found.uncertainty_deg
    assert [a.posture for a in script.activities[4:6]] == ["standing", "walking"]


def test_a_day_without_duration_is_refused() -> None:
    with pytest.raises(ValueError, match="give a duration above 0"):
        day_script(START, 0.0)


def test_an_ordinary_wearer_walks_often_and_mostly_briefly() -> None:
    days = [day_script(START, 24 * 3600.0, Wearer(seed, rest_s=ORDINARY_REST_S)) for seed in range(1, 7)]
    walks_s = [
        [(a.stop_utc_ns - a.start_utc_ns) / 1e9 for a in day.activities if a.posture == "walking"] for day in days
    ]
    assert all(50 <= len(each) <= 340 for each in walks_s)
    steps = [sum(each) * Wearer().step_hz for each in walks_s]
    assert all(4_000 < n < 18_000 for n in steps)
    brief = np.mean([s <= 30.0 for each in walks_s for s in each])
    assert 0.5 < brief < 0.75


def test_short_walks_are_those_of_the_truth() -> None:
    script = day_script(START, 3600.0, Wearer(2, rest_s=30.0))
    t = sample_times(START, 3600 * 50, 50.0)
    truth = render(script, t)
    assert np.array_equal(truth.posture, script.posture_codes((t - START) / 1e9))
    vertical = np.abs(np.linalg.norm(truth.acc_p_mps2, axis=1) - 9.80665)
    walking = truth.posture == POSTURE_CODE["walking"]
    assert vertical[walking].mean() > 5.0 * vertical[truth.posture == POSTURE_CODE["standing"]].mean()
