"""From flag to prompt: the reasons in their order, the wait for a calm moment, budget, quiet hours, answers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from processing.rules.gate import REASONS
from processing.rules.study import Assignment, Study, TiltRule, Trial
from processing.types import RuleEpoch
from tests.processing.rules_sim import K0, NO_STATIC, OPEN_GATE, engine_of, epoch, of_type, run, stretch

FLAG_AT = 71
"""Epoch in which tilt from epoch 0 on becomes a sustained flag (2 min to start, 10 min active)."""


def k_at(zone: str, *when: int) -> int:
    return int(datetime(*when, tzinfo=ZoneInfo(zone)).timestamp()) // 10


def study(*, timezone: str = "UTC", tilt: TiltRule | None = None, **prompt) -> Study:
    rule = tilt or TiltRule(dose_deg_min=1e6)
    return Study(timezone=timezone, tilt=rule, static_posture=NO_STATIC, prompt=replace(OPEN_GATE, **prompt))


def bouts(k: int, n: int, *, tilt_deg: float = 7.0, up_min: float = 13, rest_min: float = 6) -> list[RuleEpoch]:
    """n bouts that each raise one sustained flag, with a sitting rest that ends the episode."""
    epochs: list[RuleEpoch] = []
    for _ in range(n):
        epochs += stretch(k, up_min, tilt_deg=tilt_deg)
        epochs += stretch(epochs[-1].k + 1, rest_min, "sitting", 20.0)
        k = epochs[-1].k + 1
    return epochs


def outcome(events):
    """What every flag led to, in order: "prompt" or the reason of its suppression."""
    return [e.data.get("reason", "prompt") for e in of_type(events, "prompt", "suppressed")]


def test_a_standing_wearer_is_prompted_at_once_and_the_prompt_names_its_flag():
    events = run(study(), stretch(K0, 15, tilt_deg=7.0))
    flag, prompt = of_type(events, "flag", "prompt")
    assert (flag.type, prompt.type) == ("flag", "prompt")
    assert flag.t_utc_ns == prompt.t_utc_ns == (K0 + FLAG_AT) * 10**10
    assert prompt.data["flag_event_id"] == flag.event_id
    assert prompt.rule == flag.rule == "sustained_tilt"


def test_a_walking_wearer_is_prompted_after_30_s_of_standing_or_sitting():
    walk = stretch(K0, 14, "walking", 7.0)
    calm = [epoch(K0 + 84, "standing", 7.0), epoch(K0 + 85, "walking", 7.0)]
    calm += [epoch(K0 + 86, "sitting", 20.0), epoch(K0 + 87, "standing", 7.0), epoch(K0 + 88, "sitting", 20.0)]
    events = run(study(), walk + calm)
    assert [e.t_utc_ns // 10**10 - K0 for e in of_type(events, "flag", "prompt")] == [FLAG_AT, 88]


def test_a_prompt_without_a_calm_moment_expires_after_15_min():
    events = run(study(), stretch(K0, 40, "walking", 7.0))
    assert outcome(events) == ["expired"]
    assert of_type(events, "suppressed")[0].t_utc_ns == (K0 + FLAG_AT + 90) * 10**10


def test_a_prompt_expires_in_a_gap_too():
    walk = stretch(K0, 12.5, "walking", 7.0)
    events = run(study(), [*walk, epoch(K0 + 5000, "sitting", 20.0)])
    assert outcome(events) == ["expired"]
    assert of_type(events, "suppressed")[0].t_utc_ns == (K0 + FLAG_AT + 90) * 10**10


def test_the_end_of_a_recording_closes_the_waiting_prompt():
    assert outcome(run(study(), stretch(K0, 14, "walking", 7.0))) == ["recording_ended"]


def test_a_flag_while_a_prompt_waits_is_suppressed():
    both = study(tilt=TiltRule(dose_deg_min=25.0, dose_rearm_deg_min=1.0))
    events = run(both, stretch(K0, 14, "walking", 7.0))
    assert [(e.rule, e.data["reason"]) for e in of_type(events, "suppressed")] == [
        ("tilt_dose", "pending"),
        ("sustained_tilt", "recording_ended"),
    ]


def test_coverage_needs_60_percent_of_the_last_hour():
    early = run(study(min_known=0.6), stretch(K0, 15, tilt_deg=7.0))
    assert outcome(early) == ["coverage"]
    sitting = stretch(K0 - 144, 24, "sitting", 20.0)  # 144 + 72 epochs of 360 are 60 %
    assert outcome(run(study(min_known=0.6), sitting + stretch(K0, 15, tilt_deg=7.0))) == ["prompt"]
    assert outcome(run(study(min_known=0.6), sitting[1:] + stretch(K0, 15, tilt_deg=7.0))) == ["coverage"]
    unsure = [replace(e, coverage_permille=499) for e in sitting]
    assert outcome(run(study(min_known=0.6), unsure + stretch(K0, 15, tilt_deg=7.0))) == ["coverage"]


def test_refractory_time_after_a_prompt():
    events = run(study(refractory_s=5400), bouts(K0, 6))
    assert outcome(events) == ["prompt"] + 4 * ["refractory"] + ["prompt"]  # a bout every 19 min


def test_budget_of_the_local_day():
    start = k_at("Europe/Berlin", 2026, 6, 1, 8, 0)
    events = run(study(timezone="Europe/Berlin", budget_per_day=4), bouts(start, 60))
    days: dict[str, list[str]] = {}
    for e in of_type(events, "prompt", "suppressed"):
        day = datetime.fromtimestamp(e.t_utc_ns // 10**9, ZoneInfo("Europe/Berlin")).date().isoformat()
        days.setdefault(day, []).append(e.data.get("reason", "prompt"))
    assert [found[:5] for found in days.values()] == 2 * [4 * ["prompt"] + ["budget"]]


def test_eight_hours_of_the_worst_posture_prompt_at_most_four_times():
    """Rules as they come: refractory time, budget and coverage together."""
    start = k_at("UTC", 2026, 6, 1, 9, 0)
    events = run(Study(), bouts(start, 26, tilt_deg=25.0))
    assert len(of_type(events, "flag")) > 20
    assert len(of_type(events, "prompt")) == 4
    assert set(outcome(events)) == {"prompt", "coverage", "refractory", "budget"}


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Berlin", (2026, 3, 28)),  # the night loses an hour
        ("Europe/Berlin", (2026, 10, 24)),  # the night gains an hour
        ("Africa/Cairo", (2026, 4, 23)),  # midnight itself is skipped
        ("America/Havana", (2026, 10, 31)),  # midnight comes twice
    ],
)
def test_no_prompt_in_quiet_hours_across_midnight_and_clock_changes(zone, day):
    start = k_at(zone, *day, 20, 0)
    events = run(study(timezone=zone, quiet_from="22:00", quiet_to="07:00"), bouts(start, 45))
    hours = [datetime.fromtimestamp(e.t_utc_ns // 10**9, ZoneInfo(zone)).hour for e in of_type(events, "prompt")]
    quiet = [e for e in of_type(events, "suppressed") if e.data["reason"] == "quiet"]
    assert {20, 21, 7, 8} <= set(hours) <= {20, 21, *range(7, 20)}
    local = {datetime.fromtimestamp(e.t_utc_ns // 10**9, ZoneInfo(zone)).hour for e in quiet}
    assert local <= {22, 23, *range(7)}
    assert {22, 23, 6} <= local


def test_a_prompt_that_waits_into_quiet_hours_is_suppressed():
    start = k_at("UTC", 2026, 6, 1, 21, 44)
    walk = stretch(start, 17, "walking", 7.0)  # flagged at 21:55, walking until 22:01
    events = run(study(quiet_from="22:00", quiet_to="07:00"), walk + stretch(start + 102, 2, tilt_deg=7.0))
    assert outcome(events) == ["quiet"]


def test_tracking_records_flags_and_prompts_nothing():
    events = run(study(mode="tracking"), bouts(K0, 2))
    assert outcome(events) == ["tracking", "tracking"]


def test_without_a_programme_nothing_is_prompted():
    assert outcome(run(replace(study(), programme=()), stretch(K0, 15, tilt_deg=7.0))) == ["no_programme"]


def test_all_reasons_stand_in_the_order_of_the_checks():
    start = k_at("UTC", 2026, 6, 1, 6, 30)
    rule = replace(OPEN_GATE, min_known=1.0, budget_per_day=0, quiet_to="07:00", quiet_from="05:00", mode="tracking")
    events = run(Study(prompt=rule, programme=()), stretch(start, 15, tilt_deg=7.0))
    data = of_type(events, "suppressed")[0].data
    assert data["reason"] == "tracking"
    assert data["reasons"] == ["tracking", "no_programme", "coverage", "budget", "quiet"]
    assert data["text"] == REASONS["tracking"]
    assert [r for r in REASONS if r in data["reasons"]] == data["reasons"]


def test_the_programme_turns_from_prompt_to_prompt():
    programme = (
        Assignment("isometric_glute_set", "left"),
        Assignment("hip_hinge", "right", 2, 6, 1),
        Assignment("standing_posterior_tilt"),
    )
    events = run(replace(study(), programme=programme), bouts(K0, 4))
    assert [(e.data["exercise"], e.data["side"]) for e in of_type(events, "prompt")] == [
        ("isometric_glute_set", "left"),
        ("hip_hinge", "right"),
        ("standing_posterior_tilt", "both"),
        ("isometric_glute_set", "left"),
    ]


def test_the_lot_withholds_its_share_by_seed_and_flag_alone():
    flags = [f"flag-{i}" for i in range(4000)]
    drawn = [Trial(0.3, 7).withholds(flag) for flag in flags]
    assert sum(drawn) == pytest.approx(1200, abs=4 * (4000 * 0.3 * 0.7) ** 0.5)
    assert drawn == [Trial(0.3, 7).withholds(flag) for flag in flags]
    assert drawn != [Trial(0.3, 8).withholds(flag) for flag in flags]
    assert not any(Trial(0.0, 7).withholds(flag) for flag in flags)


def test_a_withheld_prompt_is_told_as_such_and_becomes_the_wearers_own_control():
    rules = replace(study(), trial=Trial(0.5, 3))
    events = run(rules, bouts(K0, 8))
    flags = of_type(events, "flag")
    assert outcome(events) == ["withheld" if rules.trial.withholds(flag.event_id) else "prompt" for flag in flags]
    assert {"withheld", "prompt"} == set(outcome(events))
    withheld = {e.event_id for e in of_type(events, "suppressed")}
    controls = {e.data["about_event_id"] for e in of_type(events, "response") if e.data["group"] == "control"}
    assert withheld <= controls


def test_the_lot_is_drawn_only_where_a_prompt_would_have_come():
    assert outcome(run(replace(study(mode="tracking"), trial=Trial(0.99)), bouts(K0, 2))) == ["tracking", "tracking"]


class Answered:
    """An engine that has just prompted, at epoch ``FLAG_AT``."""

    def __init__(self, rules: Study) -> None:
        self.rules = rules
        self.engine = engine_of(rules)
        self.events = self.engine.update(stretch(K0, 15, tilt_deg=7.0))
        (self.prompt,) = of_type(self.events, "prompt")

    def answer(self, word: str, k: int = K0 + 90) -> None:
        self.events += self.engine.answer(k * 10**10, self.prompt.event_id, word)
        again = engine_of(self.rules)
        again.restore(json.loads(json.dumps(self.engine.snapshot())))
        self.engine = again

    def go_on(self, epochs: list[RuleEpoch]) -> list[str]:
        return outcome(self.engine.update(epochs) + self.engine.finish())


def test_done_starts_the_refractory_time_anew():
    base = study(refractory_s=3600)
    rest = stretch(K0 + 90, 40, "sitting", 20.0)
    later = stretch(K0 + 330, 15, tilt_deg=7.0)  # flagged 55 min after the prompt, 52 min after the answer
    latest = [*stretch(K0 + 420, 6, "sitting", 20.0), *stretch(K0 + 456, 15, tilt_deg=7.0)]
    silent, done = Answered(base), Answered(base)
    silent.answer("not_now")
    done.answer("done", K0 + 200)
    assert silent.go_on(rest + later + latest) == ["refractory", "prompt"]
    assert done.go_on(rest + later + latest) == ["refractory", "refractory"]


def test_snooze_offers_the_same_exercise_again_15_min_later():
    told = Answered(study(refractory_s=5400))
    told.answer("snooze")
    events = told.engine.update(stretch(K0 + 90, 40, "sitting", 20.0))
    (again,) = of_type(events, "prompt")
    assert again.t_utc_ns == (K0 + 90 + 90) * 10**10
    assert again.event_id != told.prompt.event_id
    assert again.data["flag_event_id"] == told.prompt.data["flag_event_id"]
    assert again.data["exercise"] == told.prompt.data["exercise"]


def test_snooze_then_done_shows_nothing_again():
    told = Answered(study())
    told.answer("snooze")
    told.answer("done")
    assert told.go_on(stretch(K0 + 90, 40, "sitting", 20.0)) == []


def test_snooze_of_an_unknown_prompt_changes_nothing():
    told = Answered(study())
    told.events += told.engine.answer((K0 + 90) * 10**10, "0123456789abcdef", "snooze")
    assert told.go_on(stretch(K0 + 90, 40, "sitting", 20.0)) == []


def test_stop_switches_prompts_off_for_the_local_day_only():
    told = Answered(study())
    told.answer("stop")
    same_day = stretch(K0 + 90, 6, "sitting", 20.0) + bouts(K0 + 126, 2)
    next_day = bouts(K0 + 8640, 1)
    assert told.go_on(same_day + next_day) == ["stopped", "stopped", "prompt"]


def test_stop_drops_the_prompt_that_waits():
    engine = engine_of(study())
    events = engine.update(stretch(K0, 16, "walking", 7.0))
    t = (K0 + 96) * 10**10
    events += engine.answer(t, "", "stop")
    assert outcome(events) == ["stopped"]
    assert of_type(events, "suppressed")[0].t_utc_ns == t
    assert outcome(engine.update(stretch(K0 + 96, 40)) + engine.finish()) == []


def test_an_unknown_answer_is_refused_by_name():
    with pytest.raises(ValueError, match="'later' is not known; use one of done, not_now, snooze, stop"):
        engine_of(study()).answer(0, "", "later")


def test_k0_is_what_the_tests_believe():
    assert datetime.fromtimestamp(K0 * 10, UTC) == datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
