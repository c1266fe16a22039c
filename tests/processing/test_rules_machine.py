"""The machine at its edges: when episodes begin and end, when the two flags fire, and what freezes or resets them."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from processing.rules.base import Limits
from processing.rules.reading import median_of_recent
from processing.rules.study import PromptRule, Study, TiltRule
from processing.types import RuleEpoch
from tests.processing.rules_sim import K0, NO_STATIC, epoch, of_type, run, stretch

STUDY = Study(static_posture=NO_STATIC)
NO_DOSE = Study(tilt=TiltRule(dose_deg_min=1e6), static_posture=NO_STATIC)


def ks(events, *types):
    return [e.t_utc_ns // 10**10 - K0 for e in of_type(events, *types)]


def ends(events):
    return [(e.t_utc_ns // 10**10 - K0, e.data["reason"]) for e in of_type(events, "episode_end")]


def with_gap(minutes_before: float, gap: list[RuleEpoch] | int, minutes_after: float) -> list[RuleEpoch]:
    """Standing at 7 degrees, a hole of ``gap`` missing epochs or the given ones, and on."""
    before = stretch(K0, minutes_before, tilt_deg=7.0)
    n = gap if isinstance(gap, int) else len(gap)
    filling = [] if isinstance(gap, int) else [replace(e, k=before[-1].k + 1 + i) for i, e in enumerate(gap)]
    return before + filling + stretch(before[-1].k + 1 + n, minutes_after, tilt_deg=7.0)


def test_an_episode_starts_after_two_minutes_and_is_dated_from_its_first_epoch():
    assert ks(run(STUDY, stretch(K0, 11 / 6, tilt_deg=5.0)), "episode_start") == []
    assert ks(run(STUDY, stretch(K0, 12 / 6, tilt_deg=5.0)), "episode_start") == [0]


def test_the_threshold_itself_counts_as_above_and_a_millidegree_less_does_not():
    assert ks(run(STUDY, stretch(K0, 3, tilt_deg=4.999)), "episode_start") == []
    assert ks(run(STUDY, stretch(K0, 3, tilt_deg=5.0)), "episode_start") == [0]


def test_sustained_fires_once_at_exactly_600_s_of_an_active_episode():
    active_from = 11  # the epoch that completes the 120 s; the next one is the first to count
    one_short = run(NO_DOSE, stretch(K0, (active_from + 60) / 6, tilt_deg=6.0))
    assert ks(one_short, "flag") == []
    longer = run(NO_DOSE, stretch(K0, 60, tilt_deg=6.0))
    assert ks(longer, "flag") == [active_from + 60]
    flag = of_type(longer, "flag")[0]
    assert (flag.rule, flag.data["value"]) == ("sustained_tilt", 600)
    assert flag.data["window"] == {"start_utc_ns": K0 * 10**10, "end_utc_ns": (K0 + active_from + 61) * 10**10}


def test_below_by_less_than_the_hysteresis_holds_the_episode_and_beyond_it_ends_after_30_s():
    up = stretch(K0, 5, tilt_deg=6.0)
    held = run(NO_DOSE, up + stretch(K0 + 30, 5, tilt_deg=3.0))
    assert ends(held) == [(59, "recording_ended")]
    left = run(NO_DOSE, up + stretch(K0 + 30, 5, tilt_deg=2.999))
    assert ends(left) == [(30 + 1 + 2, "below")]  # the median lags one epoch, then three below


def test_one_epoch_back_above_starts_the_30_s_anew():
    tilts = [6.0] * 30 + [0.0, 0.0, 6.0, 6.0, 6.0] * 8  # the median is low twice, then not
    events = run(NO_DOSE, [epoch(K0 + i, tilt_deg=tilt) for i, tilt in enumerate(tilts)])
    assert ends(events) == [(69, "recording_ended")]


def test_a_candidate_loses_twice_what_it_gains_and_falls_at_the_hysteresis():
    rising = [6.0] * 9
    dip = [4.0, 4.0]  # the median is low twice: 100 s fall to 60, and six epochs are missing again
    back = run(STUDY, [epoch(K0 + i, tilt_deg=t) for i, t in enumerate(rising + dip + [6.0] * 6)])
    assert ks(back, "episode_start") == []
    more = run(STUDY, [epoch(K0 + i, tilt_deg=t) for i, t in enumerate(rising + dip + [6.0] * 7)])
    assert ks(more, "episode_start") == [0]
    deep = run(STUDY, [epoch(K0 + i, tilt_deg=t) for i, t in enumerate(rising + [2.0, 2.0] + [6.0] * 20)])
    assert ks(deep, "episode_start") == [12]


@pytest.mark.parametrize("filling", ["sitting", "lying", "unknown", "missing"])
def test_a_pause_freezes_every_timer(filling):
    gap = 29 if filling == "missing" else stretch(K0, 29 / 6, filling, 20.0)
    events = run(NO_DOSE, with_gap(5, gap, 10))
    assert ks(events, "episode_start") == [0]
    assert ks(events, "flag") == [71 + 29]
    assert ends(events) == [(118, "recording_ended")]


@pytest.mark.parametrize("filling", ["sitting", "missing"])
def test_five_minutes_of_pause_end_the_episode(filling):
    gap = 30 if filling == "missing" else stretch(K0, 5, filling, 20.0)
    events = run(NO_DOSE, with_gap(5, gap, 3))
    assert ends(events) == [(59, "ineligible"), (77, "recording_ended")]
    assert ks(events, "episode_start") == [0, 60]


@pytest.mark.parametrize(
    "worse",
    [
        {"coverage_permille": 799},
        {"confidence_permille": 699},
        {"abs_obliquity_mdeg": 30_000},
        {"abs_obliquity_mdeg": None},
        {"settling": True},
        {"tilt_mdeg": None},
        {"posture": "stairs"},
    ],
)
def test_what_is_not_eligible_flags_nothing(worse):
    epochs = stretch(K0, 60, tilt_deg=12.0)
    assert run(STUDY, [replace(e, **worse) for e in epochs]) == []


def test_the_edges_of_eligibility_are_inside():
    epochs = [
        replace(e, coverage_permille=800, confidence_permille=700, abs_obliquity_mdeg=29_999)
        for e in stretch(K0, 3, tilt_deg=5.0)
    ]
    assert ks(run(STUDY, epochs), "episode_start") == [0]


def test_sitting_all_day_never_raises_a_rule_about_tilt():
    epochs = [e for hour in range(14) for e in stretch(K0 + hour * 360, 60, "sitting", 25.0 - hour)]
    assert run(STUDY, epochs) == []
    flags = of_type(run(Study(), epochs), "flag")
    assert {(e.rule, e.data["posture"]) for e in flags} == {("static_posture", "sitting")}
    assert len(flags) == 28


def test_a_wearer_whose_habit_is_the_neutral_is_never_flagged():
    rng = random.Random(3)
    # Three days of 18 degrees of habit, against a neutral of the same 18 degrees.
    epochs = [epoch(K0 + i, rng.choice(["standing", "walking"]), rng.gauss(0, 1.2)) for i in range(3 * 8640)]
    assert {e.type for e in run(Study(), epochs)} == {"baseline"}


def test_noise_around_the_threshold_gives_one_episode():
    rng = random.Random(4)
    epochs = [epoch(K0 + i, tilt_deg=5.0 + rng.uniform(-1.9, 1.9)) for i in range(4 * 360)]
    events = run(NO_DOSE, epochs)
    assert len(of_type(events, "episode_start")) == 1
    assert [why for _, why in ends(events)] == ["recording_ended"]
    assert len(of_type(events, "flag")) == 1


def test_the_dose_follows_the_closed_form_and_flags_where_it_reaches_the_limit():
    events = run(STUDY, stretch(K0, 60, tilt_deg=10.0))
    flag = next(e for e in of_type(events, "flag") if e.rule == "tilt_dose")
    per_epoch, kept = 5 * 10 / 60, math.exp(-10 / 3600)
    # D after n epochs = per_epoch * (1 - kept**n) / (1 - kept)
    n = math.ceil(math.log(1 - 60 * (1 - kept) / per_epoch) / math.log(kept))
    assert ks([flag], "flag") == [n - 1]
    assert flag.data["value"] == pytest.approx(per_epoch * (1 - kept**n) / (1 - kept), abs=1e-3)
    assert flag.data["limit"] == 60.0


def test_the_dose_flags_again_only_after_it_fell_below_half():
    study = Study(tilt=TiltRule(sustained_s=10**6))
    up = stretch(K0, 20, tilt_deg=10.0)
    # 20 min at 5 degrees over leave 85.0 deg*min, which fall to 30 in ln(85 / 30) = 62.5 min.
    flags = {
        minutes: len(of_type(run(study, up + stretch(K0 + 120 + minutes * 6, 20, tilt_deg=10.0)), "flag"))
        for minutes in (45, 61, 64)
    }
    assert flags == {45: 1, 61: 1, 64: 2}


def test_the_leak_is_the_same_number_everywhere():
    limits = Limits.of(TiltRule())
    assert limits.leak == 1_096_461_666_828  # 2**40 * exp(-1/360) = 1096461666827.965...
    assert limits.leak == pytest.approx(2**40 * math.exp(-1 / 360), abs=1)


def test_a_moved_clip_ends_the_episode_and_pauses_until_a_new_neutral():
    first = stretch(K0, 5, tilt_deg=7.0)
    moved = stretch(K0 + 30, 30, tilt_deg=25.0, mount="m2", neutral="n1")
    again = stretch(K0 + 210, 5, tilt_deg=7.0, mount="m2", neutral="n2")
    events = run(STUDY, first + moved + again)
    assert ends(events) == [(30, "mount_changed"), (239, "recording_ended")]
    assert ks(events, "episode_start") == [0, 210]
    assert of_type(events, "flag") == []


def test_a_neutral_of_an_old_mount_does_not_come_back_with_a_new_one():
    parts = [
        stretch(K0, 5, tilt_deg=0.0),
        stretch(K0 + 30, 5, tilt_deg=9.0, mount="m2", neutral="nominal"),
        stretch(K0 + 60, 30, tilt_deg=9.0, mount="m2", neutral="n1"),
    ]
    assert run(STUDY, [e for part in parts for e in part]) == []


def test_a_new_neutral_ends_the_episode_and_counts_anew():
    events = run(STUDY, stretch(K0, 5, tilt_deg=7.0) + stretch(K0 + 30, 5, tilt_deg=7.0, neutral="n2"))
    assert ends(events) == [(30, "realigned"), (59, "recording_ended")]
    assert ks(events, "episode_start") == [0, 30]


@pytest.mark.parametrize("neutral", ["nominal", "nominal-mount-1", ""])
def test_without_a_neutral_nothing_is_flagged(neutral):
    assert run(STUDY, stretch(K0, 120, tilt_deg=20.0, neutral=neutral)) == []


def test_ids_depend_on_sensor_and_study_and_on_nothing_else():
    epochs = stretch(K0, 30, tilt_deg=7.0)
    other = Study(version="other", prompt=PromptRule(mode="tracking"))
    ids = [{e.event_id for e in run(study, epochs)} for study in (STUDY, STUDY, other)]
    assert ids[0] == ids[1]
    assert not ids[0] & ids[2]
    assert all(len(i) == 16 and int(i, 16) >= 0 for i in ids[0])


def test_the_median_of_up_to_three():
    assert [median_of_recent(t) for t in [(7,), (1, 4), (3, 1, 2), (5, 5, 1), (-4, -1, -2)]] == [7, 2, 2, 5, -2]
