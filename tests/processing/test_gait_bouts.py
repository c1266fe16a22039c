"""Strides and bouts from steps and angles that are known."""

from __future__ import annotations

import numpy as np
import pytest

from processing.features.gait import Step
from processing.features.gait_bouts import MDC_SECONDS, WalkingBout, sided_obliquity_deg, walking_bouts
from processing.types import NS_PER_S
from tests.processing.walker import T0_S, Foot, angles, evenly

RATE_HZ = 100.0


def steps_of(feet: list[Foot], *, sided: bool = True) -> list[Step]:
    side = {True: "right", False: "left"}
    return [Step(round((T0_S + f.t_s) * NS_PER_S), side[f.right] if sided else "unknown", 0.8) for f in feet]


def bouts(feet: list[Foot], *, left_deg: float = 3.0, right_deg: float = 3.0, sided: bool = True) -> list[WalkingBout]:
    t = np.arange(0, feet[-1].t_s + 2, 1 / RATE_HZ)
    tilt, obliquity = angles(t, feet, left_deg, right_deg)
    t_ns = T0_S * NS_PER_S + np.round(t * NS_PER_S).astype(np.int64)
    return walking_bouts(steps_of(feet, sided=sided), t_ns, tilt, obliquity, np.ones(len(t), bool), RATE_HZ)


def test_an_even_walk() -> None:
    (bout,) = bouts(evenly(2.0, 41, 0.5))
    assert bout.steps == 41
    assert len(bout.strides) == 20
    assert bout.cadence_per_min == pytest.approx(120.0)
    assert bout.tilt_range_deg == pytest.approx(3.0, abs=0.02)
    assert bout.obliquity_range_deg == pytest.approx(6.0, abs=0.02)
    assert bout.obliquity_asymmetry_deg == pytest.approx(0.0, abs=0.02)
    assert bout.step_time_asymmetry_percent == pytest.approx(0.0, abs=0.1)
    assert (bout.end_utc_ns - bout.start_utc_ns) / NS_PER_S == pytest.approx(20.0)


def test_asymmetry_has_the_sign_of_right_less_left() -> None:
    (bout,) = bouts(evenly(2.0, 41, 0.5), left_deg=2.0, right_deg=4.0)
    assert bout.obliquity_asymmetry_deg == pytest.approx(2.0, abs=0.05)
    (other,) = bouts(evenly(2.0, 41, 0.5, right_first=False), left_deg=2.0, right_deg=4.0)
    assert other.obliquity_asymmetry_deg == pytest.approx(2.0, abs=0.05)


def test_a_leg_that_bears_the_weight_longer() -> None:
    feet = [
        Foot(2.0 + i * 0.55 + (0.05 if i % 2 else 0.0), i % 2 == 0) for i in range(30)
    ]  # right bears 0.60, left 0.50
    (bout,) = bouts(feet)
    assert bout.step_time_asymmetry_percent == pytest.approx(100 * 0.1 / 0.55, abs=0.5)


def test_unknown_sides_give_ranges_but_no_asymmetry() -> None:
    (bout,) = bouts(evenly(2.0, 41, 0.5), sided=False)
    assert bout.tilt_range_deg is not None
    assert bout.obliquity_asymmetry_deg is None
    assert bout.step_time_asymmetry_percent is None


def test_a_pause_parts_bouts_and_few_steps_are_none() -> None:
    found = bouts([*evenly(2.0, 10, 0.5), *evenly(20.0, 3, 0.5), *evenly(30.0, 6, 0.5)])
    assert [b.steps for b in found] == [10, 6]


def test_samples_that_are_missing_or_invalid_leave_strides_out() -> None:
    feet = evenly(2.0, 41, 0.5)
    t = np.arange(0, 30, 1 / RATE_HZ)
    tilt, obliquity = angles(t, feet, 3.0, 3.0)
    tilt[t < 7.0] = np.nan
    valid = t < 17.0
    t_ns = T0_S * NS_PER_S + np.round(t * NS_PER_S).astype(np.int64)
    (bout,) = walking_bouts(steps_of(feet), t_ns, tilt, obliquity, valid, RATE_HZ)
    assert len(bout.strides) == 10
    assert min(s.t_utc_ns for s in bout.strides) >= (T0_S + 7) * NS_PER_S


def test_a_short_bout_needs_a_larger_difference() -> None:
    (short,) = bouts(evenly(2.0, 19, 0.625))
    assert short.mdc_factor() == pytest.approx((MDC_SECONDS / 11.25) ** 0.5)
    (long,) = bouts(evenly(2.0, 101, 0.5))
    assert long.mdc_factor() == 1.0


def test_ranges_of_strides_are_those_of_their_samples_and_sided_ones_by_themselves_those_of_the_bouts() -> None:
    feet = [*evenly(2.0, 12, 0.55), *evenly(12.0, 9, 0.5)]
    t = np.arange(0, feet[-1].t_s + 2, 1 / RATE_HZ)
    tilt, obliquity = angles(t, feet, 3.0, 4.0)
    t_ns = T0_S * NS_PER_S + np.round(t * NS_PER_S).astype(np.int64)
    valid = (t < 4.0) | (t > 5.0)
    steps = steps_of(feet)
    two = walking_bouts(steps, t_ns, tilt, obliquity, valid, RATE_HZ)
    assert len(two) == 2
    strides = [stride for bout in two for stride in bout.strides]
    sided = [(s.left.obliquity_range_deg, s.right.obliquity_range_deg) for s in strides if s.left and s.right]
    assert sided
    left, right = sided_obliquity_deg([steps[:12], steps[12:]], t_ns, tilt, obliquity, valid, RATE_HZ)
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == sided
    assert 0 < len(two[0].strides) < 5  # the second without samples has cost some
    for stride in strides:
        end_ns = stride.t_utc_ns + round(stride.duration_s * NS_PER_S)
        within = valid & (t_ns >= stride.t_utc_ns) & (t_ns < end_ns)
        assert stride.tilt_range_deg == np.ptp(tilt[within])
        assert stride.obliquity_range_deg == np.ptp(obliquity[within])
