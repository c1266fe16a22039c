"""Scripted days: when nothing prompts, that every prompt has a reason and a way out, and that variation comes first."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from processing.coaching.coach import Coach
from processing.coaching.controls import AnswerRedFlags, LogPain, SetMode
from processing.coaching.prompts import CUES_LONG, CUES_SEATED, CUES_UP
from processing.coaching.redflags import QUESTIONS
from processing.features.shaking import shaken_seconds
from processing.features.tilt import TiltParams, second_tilt
from processing.rules.gate import REASONS
from processing.rules.study import Assignment, PromptRule, StaticRule, Study, TiltRule, study_hash
from processing.types import Event, RuleEpoch, SecondBlock
from tests.processing.rules_sim import of_type, stretch

ZONE = "Europe/Berlin"
STUDY = Study(timezone=ZONE, tilt=TiltRule(dose_deg_min=1e6), static_posture=StaticRule(enabled=False))
SITTING_STILL = replace(STUDY, static_posture=StaticRule())


def k_at(hour: int, minute: int = 0, day: int = 21) -> int:
    return int(datetime(2026, 9, day, hour, minute, tzinfo=ZoneInfo(ZONE)).timestamp()) // 10


def coach_of(study: Study = STUDY) -> Coach:
    return Coach("w-001", "clip-1", study, study_hash(study))


def day(study: Study, epochs: list[RuleEpoch], *entries: tuple[int, object]) -> list[Event]:
    """A day's epochs with entries at their epoch."""
    coach, events = coach_of(study), []
    for k, control in entries:
        events += coach.engine.update([e for e in epochs if e.k < k])
        epochs = [e for e in epochs if e.k >= k]
        events += coach.control(control, k * 10**10)
    return events + coach.engine.update(epochs) + coach.engine.finish()


def led_to(events: list[Event]) -> list[str]:
    return [str(e.data.get("reason", "prompt")) for e in of_type(events, "prompt", "suppressed")]


def wide_awake(k: int, minutes: float = 60) -> list[RuleEpoch]:
    """Enough of the last hour is known."""
    return stretch(k, minutes, "standing", 1.0)


def leaning(k: int, minutes: float = 13, posture: str = "standing") -> list[RuleEpoch]:
    return stretch(k, minutes, posture, 8.0)


def test_a_plain_day_prompts_so_silence_below_means_something():
    k = k_at(10)
    assert led_to(day(STUDY, wide_awake(k) + leaning(k + 360, 20))) == ["prompt"]


def test_nothing_prompts_while_lying():
    k = k_at(10)
    up = wide_awake(k) + leaning(k + 360, 12.5, "walking")
    events = day(STUDY, up + stretch(up[-1].k + 1, 60, "lying", None))
    assert led_to(events) == ["expired"]


def test_nothing_prompts_in_quiet_hours():
    k = k_at(21, 50)
    assert led_to(day(STUDY, wide_awake(k - 360) + leaning(k, 20))) == ["quiet"]
    k = k_at(6, 0)
    assert led_to(day(STUDY, wide_awake(k - 360) + leaning(k, 20))) == ["quiet"]


def test_a_flag_raised_before_quiet_hours_does_not_prompt_in_them():
    k = k_at(21, 47)
    events = day(STUDY, wide_awake(k - 360) + leaning(k, 14, "walking") + stretch(k + 84, 5, "standing", 1.0))
    assert led_to(events) == ["quiet"]


def test_nothing_prompts_over_the_budget():
    study = replace(STUDY, prompt=PromptRule(refractory_s=0, budget_per_day=2))
    epochs = wide_awake(k_at(9))
    for _ in range(4):
        epochs += leaning(epochs[-1].k + 1, 20)
        epochs += stretch(epochs[-1].k + 1, 10, "sitting", -10.0)
    assert led_to(day(study, epochs)) == ["prompt", "prompt", "budget", "budget"]


def test_nothing_prompts_when_too_little_of_the_hour_was_measured():
    k = k_at(10)
    assert led_to(day(STUDY, leaning(k, 20))) == ["coverage"]


def test_nothing_prompts_while_the_filter_settles():
    k = k_at(10)
    up = wide_awake(k) + leaning(k + 360, 12.2, "walking")
    settling = [replace(e, settling=True) for e in stretch(up[-1].k + 1, 30, "standing", 1.0)]
    assert led_to(day(STUDY, up + settling)) == ["expired"]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (SetMode("stopped"), "switched_off"),
        (SetMode("tracking", 600), "paused"),
        (LogPain(8), "questions"),
        (AnswerRedFlags({q.id: q.id == "night" for q in QUESTIONS}), "red_flag"),
    ],
)
def test_nothing_prompts_after_a_word_of_the_wearer(entry, reason):
    k = k_at(10)
    assert led_to(day(STUDY, wide_awake(k) + leaning(k + 360, 20), (k + 300, entry))) == [reason]


def test_stop_holds_until_it_is_switched_on_again_also_next_week():
    k = k_at(10)
    epochs = wide_awake(k)
    for n in range(1, 8):
        epochs += wide_awake(k + 8640 * n) + leaning(k + 8640 * n + 360, 20)
    events = day(STUDY, epochs, (k + 300, SetMode("stopped")), (k + 8640 * 7 - 10, SetMode("training")))
    assert led_to(events) == ["switched_off"] * 6 + ["prompt"]


def ride(k: int, minutes: float, shaken: int = 900) -> list[RuleEpoch]:
    return [replace(e, shaken_permille=shaken) for e in stretch(k, minutes, "sitting", -10.0)]


def test_nothing_prompts_on_a_ride_and_a_red_light_does_not_end_it():
    k = k_at(10)
    before = wide_awake(k, 40)
    drive: list[RuleEpoch] = []
    at = before[-1].k + 1
    for _ in range(8):  # six minutes of road, one at the lights
        drive += ride(at, 6) + ride(at + 36, 1, shaken=0)
        at = drive[-1].k + 1
    events = day(SITTING_STILL, before + drive)
    assert led_to(events)[-1] == "riding"
    assert "prompt" not in [
        word
        for e, word in zip(of_type(events, "prompt", "suppressed"), led_to(events), strict=True)
        if e.t_utc_ns >= drive[0].k * 10**10
    ]


def test_a_chair_is_no_ride_and_steps_end_one():
    k = k_at(10)
    sat = day(SITTING_STILL, wide_awake(k, 20) + ride(k + 120, 45, shaken=100))
    assert led_to(sat)[-1] == "prompt"
    left = ride(k, 60) + stretch(k + 360, 1, "walking", 1.0) + leaning(k + 366, 20)
    assert led_to(day(STUDY, left)) == ["prompt"]


def seconds(rng: np.random.Generator, n: int, shake_mps2: float, sway_mps2: float, rate: float = 100.0) -> SecondBlock:
    """n seconds of sitting: specific force with broadband shake and a slow sway."""
    m = int(n * rate)
    t = np.arange(m) / rate
    acc = np.zeros((m, 3))
    acc[:, 1] = 9.81 + sway_mps2 * np.sin(2 * np.pi * 0.3 * t)
    acc += rng.normal(0, shake_mps2 / np.sqrt(3), (m, 3))
    zero = np.zeros(m)
    start = (np.arange(n + 1) * rate).astype(np.int64)
    return SecondBlock(
        np.arange(n), start, (t * 1e9).astype(np.int64), acc, np.zeros((m, 3)), np.zeros((m, 3)), zero, zero, zero,
        np.ones(m, bool), np.zeros(n, bool), rate,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shake", "sway", "share"), [(0.02, 0.0, 0.0), (0.06, 0.5, 0.0), (0.25, 0.0, 1.0), (0.5, 1.0, 1.0)]
)
def test_a_seat_on_the_road_shakes_and_a_chair_does_not(shake, sway, share):
    assert shaken_seconds(seconds(np.random.default_rng(1), 60, shake, sway)).mean() == pytest.approx(share, abs=0.02)


def test_one_knock_is_no_shaking_and_chunks_change_nothing():
    block = seconds(np.random.default_rng(2), 10, 0.02, 0.0)
    block.acc_p_mps2[450:455, 1] += 6.0
    assert not shaken_seconds(block).any()
    road = seconds(np.random.default_rng(3), 40, 0.13, 0.2)
    whole = shaken_seconds(road)
    parts = []
    for lo, hi in ((0, 7), (7, 8), (8, 40)):
        rows = slice(road.start[lo], road.start[hi])
        arrays = {
            name: getattr(road, name)[rows]
            for name in ("t_utc_ns", "acc_p_mps2", "gyr_p_rps", "up_p", "acc_up_mps2", "anterior_tilt_deg",
                         "obliquity_deg", "valid")
        }  # fmt: skip
        part = replace(road, second=road.second[lo:hi], start=road.start[lo : hi + 1] - road.start[lo], **arrays)
        parts.append(shaken_seconds(part))
    assert 0 < whole.sum() < 40
    assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("shake", [0.02, 0.11, 0.12, 0.13, 0.15])
def test_what_a_seconds_spread_rules_out_is_not_shaken(shake: float) -> None:
    block = seconds(np.random.default_rng(4), 120, shake, 0.0)
    spread = second_tilt(block, 0.0, has_neutral=True, params=TiltParams()).acc_spread_mps2
    assert np.array_equal(shaken_seconds(block, spread), shaken_seconds(block))


def test_every_prompt_has_a_reason_a_way_out_and_leads_with_variation():
    study = replace(
        SITTING_STILL,
        prompt=PromptRule(refractory_s=0, budget_per_day=50, min_known=0.0),
        tilt=TiltRule(dose_deg_min=20.0, dose_rearm_deg_min=5.0),
        programme=(
            Assignment("single_leg_bridge", "left", 1, 6, 3),
            Assignment("clamshell", "right"),
            Assignment("heel_dig"),
        ),
    )
    epochs = wide_awake(k_at(8))
    for n in range(8):
        epochs += leaning(epochs[-1].k + 1, 25, "standing" if n % 2 else "walking")
        epochs += stretch(epochs[-1].k + 1, 40, "sitting", -10.0)
    events = day(study, epochs)
    prompts = of_type(events, "prompt")
    assert len(prompts) > 8
    assert {p.rule for p in prompts} >= {"sustained_tilt", "static_posture"}
    flags = {e.event_id for e in of_type(events, "flag")}
    cues = {*CUES_UP, *CUES_SEATED, *(c for group in CUES_LONG.values() for c in group)}
    for prompt in prompts:
        data = prompt.data
        assert data["flag_event_id"] in flags
        assert data["why"]
        assert data["answers"] == ["done", "not_now", "snooze", "stop"]
        assert data["order"] == ["variation", "activation"]
        assert data["variation"] in cues
        assert data["text"].startswith(data["variation"])
        assert data["text"].index(data["exercise_name"]) > len(data["variation"])
        assert isinstance(data["exercise"], str)
        assert data["side"] in ("left", "right", "both")
        assert data["sets"] >= 1
        assert data["steps"]
        assert "ask your therapist" in data["text"]
    for e in of_type(events, "suppressed"):
        assert e.data["text"] == REASONS[e.data["reason"]]
