"""Thresholds: therapist, neutral, personal and its cap; days that count; freezing at local midnight; clock changes."""

from __future__ import annotations

import json
import random
import statistics
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from processing.rules.base import Limits, LocalClock
from processing.rules.baseline import Baselines, decide_threshold, median_and_mad
from processing.rules.study import Assignment, PromptRule, Study, TiltRule, study_hash
from tests.processing.rules_sim import engine_of, of_type, run, stretch

BERLIN = Study(timezone="Europe/Berlin")


def day_k(zone: str, day: int, hour: int = 10) -> int:
    """Epoch of a local hour, ``day`` days after 2026-03-25 (Berlin changes its clocks on day 4)."""
    local = datetime(2026, 3, 25, hour, tzinfo=ZoneInfo(zone)) + timedelta(days=day)
    return int(local.timestamp()) // 10


def fill(baselines: Baselines, zone: str, day: int, minutes: float, tilt_mdeg: int, posture: str = "standing") -> None:
    for i in range(round(minutes * 6)):
        baselines.add(day_k(zone, day) + i, posture, tilt_mdeg + (i % 5 - 2) * 500)


def test_five_days_of_20_minutes_make_a_personal_threshold_at_the_next_midnight():
    baselines = Baselines(BERLIN)
    for day in range(5):
        fill(baselines, "Europe/Berlin", day, 20, 4000)
        assert baselines.version is None
    baselines.add(day_k("Europe/Berlin", 4, 23), "standing", 4000)
    assert baselines.version is None  # still the fifth day
    baselines.add(day_k("Europe/Berlin", 5, 0), "standing", 4000)
    found = baselines.thresholds["standing"]
    assert (found.median_mdeg, found.mad_mdeg, found.days) == (4000, 500, 5)
    assert (found.on_mdeg, found.source) == (4000 + 500 * 3_706_500 // 10**6, "personal")
    assert baselines.version is not None
    assert baselines.version.startswith("2026-03-29.")
    assert baselines.thresholds["walking"].source == "neutral"


def test_a_day_with_too_little_of_a_posture_does_not_count_for_it():
    baselines = Baselines(BERLIN)
    for day in range(5):
        fill(baselines, "Europe/Berlin", day, 19.8 if day == 2 else 20, 4000)
        fill(baselines, "Europe/Berlin", day, 20, 4500, "walking")
    baselines.add(day_k("Europe/Berlin", 5), "standing", 4000)
    assert baselines.thresholds["standing"].source == "neutral"
    assert baselines.thresholds["walking"].source == "personal"


def test_frozen_means_the_day_itself_does_not_move_its_threshold():
    baselines = Baselines(BERLIN)
    for day in range(6):
        fill(baselines, "Europe/Berlin", day, 30, 4000)
    before = baselines.thresholds["standing"], baselines.version
    for i in range(2000):
        baselines.add(day_k("Europe/Berlin", 5, 12) + i, "standing", 9000)
    assert (baselines.thresholds["standing"], baselines.version) == before


def test_only_the_newest_days_are_kept():
    study = replace(BERLIN, tilt=TiltRule(baseline_max_days=5))
    baselines = Baselines(study)
    for day in range(12):
        fill(baselines, "Europe/Berlin", day, 20, 4000 if day < 6 else 6000)
    baselines.add(day_k("Europe/Berlin", 12), "standing", 0)
    assert (baselines.thresholds["standing"].median_mdeg, baselines.thresholds["standing"].days) == (6000, 5)


@pytest.mark.parametrize(
    ("median", "mad", "on_mdeg", "source"),
    [
        (None, None, 5000, "neutral"),
        (1000, 300, 5000, "neutral"),  # the habit's edge lies below what one clip can tell apart
        (4000, 1000, 7706, "personal"),
        (11_000, 2000, 12_000, "personal_capped"),  # a chronic tilt must not become normal
        (-8000, 500, 5000, "neutral"),
    ],
)
def test_floor_and_cap(median, mad, on_mdeg, source):
    found = decide_threshold(Limits.of(TiltRule()), "standing", median, mad, 5)
    assert (found.on_mdeg, found.source) == (on_mdeg, source)


def test_the_therapist_overrides_both():
    limits = Limits.of(TiltRule(therapist_limit_deg={"standing": 3.5}))
    assert decide_threshold(limits, "standing", 11_000, 2000, 5).on_mdeg == 3500
    assert decide_threshold(limits, "walking", 11_000, 2000, 5).on_mdeg == 12_000


def test_median_and_mad_of_a_histogram_are_those_of_its_values():
    rng = random.Random(1)
    for n in (1, 3, 301):
        values = [rng.randrange(-80, 160) for _ in range(n)]
        median = statistics.median_low(values)
        mad = statistics.median_low([abs(v - median) for v in values])
        counts = {v: values.count(v) for v in values}
        assert median_and_mad(counts) == (median * 100, mad * 100)


def test_a_snapshot_carries_the_days_and_the_frozen_thresholds():
    baselines = Baselines(BERLIN)
    for day in range(7):
        fill(baselines, "Europe/Berlin", day, 25, 4000 + 100 * day)
    twin = Baselines(BERLIN)
    twin.restore(json.loads(json.dumps(baselines.snapshot())))
    assert (twin.thresholds, twin.version) == (baselines.thresholds, baselines.version)
    for b in (twin, baselines):
        b.add(day_k("Europe/Berlin", 7), "standing", 0)
    assert (twin.thresholds, twin.version) == (baselines.thresholds, baselines.version)
    assert json.dumps(twin.snapshot()) == json.dumps(baselines.snapshot())


def test_an_engine_takes_given_baselines_without_changing_them():
    given = Baselines(BERLIN)
    for day in range(6):
        fill(given, "Europe/Berlin", day, 30, 6000)
    before = json.dumps(given.snapshot())
    k = day_k("Europe/Berlin", 6)
    engine = engine_of(BERLIN)
    assert engine.baselines.version is None
    with_days = type(engine)("clip-1", BERLIN, study_hash(BERLIN), given, compose=dict)
    epochs = stretch(k, 3, tilt_deg=7.5)  # above neutral + 5, below the habit's edge of 7.85
    assert of_type(with_days.update(epochs) + with_days.finish(), "episode_start") == []
    (start,) = of_type(run(BERLIN, epochs), "episode_start")
    assert start.data["baseline_version"] is None
    assert json.dumps(given.snapshot()) == before


def test_a_chronic_tilt_does_not_become_normal():
    """A week at 14 degrees makes a personal threshold of 12 degrees, not of 14; the eighth day flags like the first."""
    epochs = [e for day in range(8) for e in stretch(day_k("Europe/Berlin", day), 25, tilt_deg=14.0)]
    flags = of_type(run(BERLIN, epochs), "flag")
    sustained = [e for e in flags if e.rule == "sustained_tilt"]
    assert len(sustained) == 8
    sources = [(e.data["threshold_deg"], e.data["thresholds"]["standing"]["source"]) for e in sustained]
    assert sources == 5 * [(5.0, "neutral")] + 3 * [(12.0, "personal_capped")]
    assert [e.data["baseline_version"] is None for e in sustained] == 5 * [True] + 3 * [False]


@pytest.mark.parametrize(
    ("zone", "date", "hours"),
    [
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("Africa/Cairo", (2026, 4, 24), 23),  # begins at 01:00
        ("America/Havana", (2026, 11, 1), 25),  # has midnight twice
        ("Australia/Lord_Howe", (2026, 10, 4), 23.5),
        ("Asia/Kathmandu", (2026, 10, 4), 24),
    ],
)
def test_local_days_have_the_hours_the_zone_gives_them(zone, date, hours):
    clock = LocalClock(zone)
    noon = int(datetime(*date, 12, tzinfo=ZoneInfo(zone)).timestamp()) // 10
    start, end = clock.day_end(noon - 8640), clock.day_end(noon)
    assert (end - start) * 10 == hours * 3600
    name = datetime(*date, tzinfo=UTC).date().isoformat()
    assert {clock.day(k) for k in range(start, end, 7)} == {name}
    assert clock.day(start - 1) != name != clock.day(end)


def test_quiet_hours_that_begin_and_end_together_are_none():
    clock = LocalClock("UTC")
    assert not any(clock.is_quiet(k, PromptRule(quiet_from="08:00", quiet_to="08:00")) for k in range(0, 8640, 60))
    within = PromptRule(quiet_from="12:00", quiet_to="13:00")
    assert [clock.is_quiet(k, within) for k in (4319, 4320, 4679, 4680)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: TiltRule(on_s=0), "tilt.on_s"),
        (lambda: TiltRule(hysteresis_deg=-1), "tilt.hysteresis_deg"),
        (lambda: TiltRule(min_coverage=80), "tilt.min_coverage"),
        (lambda: TiltRule(min_above_neutral_deg=13), "tilt.max_above_neutral_deg"),
        (lambda: TiltRule(dose_rearm_deg_min=60), "tilt.dose_rearm_deg_min"),
        (lambda: TiltRule(baseline_max_days=3), "tilt.baseline_max_days"),
        (lambda: TiltRule(postures=("sitting",)), "tilt.postures"),
        (lambda: TiltRule(therapist_limit_deg={"sitting": 3}), "tilt.therapist_limit_deg"),
        (lambda: TiltRule(dose_tau_s=float("nan")), "tilt.dose_tau_s"),
        (lambda: PromptRule(quiet_from="24:00"), "prompt.quiet_from"),
        (lambda: PromptRule(expire_s=20), "prompt.expire_s"),
        (lambda: PromptRule(mode="loud"), "prompt.mode"),
        (lambda: Assignment("hip_hinge", reps=0), "programme.reps"),
        (lambda: Study(timezone="Europe/Nowhere"), "timezone"),
    ],
)
def test_a_study_that_cannot_work_is_refused_by_key(build, key):
    with pytest.raises(ValueError, match=f"study key '{key}.* is .*; use "):
        build()


def test_each_day_tells_how_far_the_habit_lies_from_neutral():
    """A habit that drifts by half a degree a day, in one event per worn day, dated at the midnight that froze it."""
    epochs = [
        e for day in range(9) for e in stretch(day_k("Europe/Berlin", day), 25, "walking", tilt_deg=2.0 + day / 2)
    ]
    told = of_type(run(BERLIN, epochs), "baseline")
    midnights = [datetime(2026, 3, 26, tzinfo=ZoneInfo("Europe/Berlin")) + timedelta(days=d) for d in range(8)]
    assert [e.t_utc_ns for e in told] == [int(m.timestamp()) * 10**9 for m in midnights]
    assert [e.rule for e in told] == 8 * [None]
    walking = [e.data["postures"]["walking"] for e in told]
    assert [w["day_median_deg"] for w in walking] == [2.0 + day / 2 for day in range(8)]
    assert [w["day_eligible_s"] for w in walking] == 8 * [1500]
    assert [w["median_deg"] for w in walking] == 4 * [None] + [3.0, 3.0, 3.5, 3.5]
    assert [w["since_first_deg"] for w in walking] == 4 * [None] + [0.0, 0.0, 0.5, 0.5]
    assert [w["days"] for w in walking] == list(range(1, 9))
    assert [e.data["baseline_version"] is None for e in told] == 4 * [True] + 4 * [False]
    assert told[0].data["text"] == "Not enough days yet for a usual tilt."
    assert told[7].data["text"] == "Usual tilt from neutral: walking +3.5°."
    assert told[7].data["postures"]["standing"]["day_median_deg"] is None
    last = told[7].data["postures"]["walking"]
    edge = 3.5 + last["mad_deg"] * 2.5 * 1.4826
    assert last["threshold_deg"] == pytest.approx(max(5.0, edge), abs=0.002)


def test_days_without_an_eligible_epoch_tell_nothing():
    epochs = [e for day in (0, 3) for e in stretch(day_k("Europe/Berlin", day), 25, tilt_deg=1.0)]
    epochs += stretch(day_k("Europe/Berlin", 4), 60, "sitting", -15.0)
    told = of_type(run(BERLIN, epochs), "baseline")
    assert [e.data["day"] for e in told] == ["2026-03-25"]  # the last worn day is told when a later one begins
