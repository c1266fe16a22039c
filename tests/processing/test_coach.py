"""The coach: diary events, what holds prompts back, programmes from the next day, proposals, and exact restarts."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from processing.coaching.coach import Coach
from processing.coaching.controls import (
    AnswerRedFlags,
    ClearRedFlags,
    DecideProposal,
    LogExercise,
    LogNote,
    LogPain,
    Resume,
    SetMode,
    SetProgramme,
    Verdict,
)
from processing.coaching.redflags import QUESTIONS
from processing.rules.study import Assignment, Study, study_hash
from processing.types import Event
from tests.processing.rules_sim import K0, of_type, stretch, text_of
from tests.processing.test_rules_prompts import bouts, outcome, study

NO = {q.id: False for q in QUESTIONS}
T0 = K0 * 10**10
HARD = Assignment("single_leg_bridge", "left", 1, 6, 3)


def coach_of(the_study: Study, sensor: str = "clip-1") -> Coach:
    return Coach("w-001", sensor, the_study, study_hash(the_study))


def at(day: int, hour: int = 12) -> int:
    return int((datetime(2026, 9, 21, hour, tzinfo=UTC) + timedelta(days=day)).timestamp()) * 10**9


def plain(control, t: int = T0, the_study: Study | None = None) -> list[Event]:
    return coach_of(the_study or study()).control(control, t)


def test_diary_entries_become_one_event_each():
    (pain,) = plain(LogPain(4, "after the stairs"))
    assert (pain.type, pain.rule, pain.t_utc_ns) == ("pain", None, T0)
    assert (pain.data["score"], pain.data["note"], pain.data["asks_health_questions"]) == (4, "after the stairs", False)
    (note,) = plain(LogNote("long drive"))
    assert note.data["note"] == "long drive"
    (done,) = plain(LogExercise("hip_hinge", "both", 1, 8))
    assert (done.data["exercise"], done.data["reps"], done.data["prompt_event_id"]) == ("hip_hinge", 8, None)
    (verdict,) = plain(Verdict("f1", "useful", "pt-1", "ok"))
    assert (verdict.data["flag_event_id"], verdict.data["verdict"], verdict.data["rater"]) == ("f1", "useful", "pt-1")


def test_entries_of_one_instant_stay_apart():
    coach = coach_of(study())
    events = [e for score in (1, 2, 3) for e in coach.control(LogPain(score), T0)]
    assert len({(e.type, e.t_utc_ns) for e in events}) == len({e.event_id for e in events}) == 3


def test_a_second_sensor_hears_and_says_nothing():
    assert plain(LogPain(8, tell=False)) == []
    first, second = coach_of(study()), coach_of(study(), "clip-2")
    mine = first.control(SetProgramme((HARD,), "pt-1"), T0)
    assert second.control(SetProgramme((HARD,), "pt-1", tell=False), T0) == []
    assert of_type(mine, "programme")
    assert second.engine.gate.red_flag == ""
    second.control(LogPain(8, tell=False), T0)
    assert second.engine.gate.red_flag == "asked"


@pytest.mark.parametrize(
    ("control", "reason"),
    [
        (SetMode("stopped"), "switched_off"),
        (SetMode("tracking", 60), "paused"),
        (LogPain(7), "questions"),
        (AnswerRedFlags(NO | {"fall": True}), "red_flag"),
        (SetMode("training"), "prompt"),
        (LogPain(6), "prompt"),
        (AnswerRedFlags(NO), "prompt"),
    ],
)
def test_what_holds_a_prompt_back(control, reason):
    coach = coach_of(study())
    events = coach.control(control, T0)
    events += coach.engine.update(stretch(K0, 30, tilt_deg=7.0))
    assert outcome(events) == [reason]


def test_a_snooze_ends_by_itself_and_training_brings_prompts_back():
    epochs = bouts(K0, 3)
    coach = coach_of(study())
    events = coach.control(SetMode("tracking", 15), T0) + coach.engine.update(epochs) + coach.engine.finish()
    assert outcome(events) == ["paused", "prompt", "prompt"]
    coach = coach_of(study())
    events = coach.control(SetMode("stopped"), T0) + coach.engine.update(epochs[:114])
    events += coach.control(SetMode("training"), epochs[113].k * 10**10) + coach.engine.update(epochs[114:])
    assert outcome(events + coach.engine.finish()) == ["switched_off", "prompt", "prompt"]


@pytest.mark.parametrize(
    ("control", "reason"),
    [(SetMode("stopped"), "switched_off"), (LogPain(9), "questions"), (SetMode("tracking"), "paused")],
)
def test_a_waiting_prompt_is_dropped_at_once(control, reason):
    coach = coach_of(study())
    coach.engine.update(stretch(K0, 14.2, "walking", 7.0))
    assert coach.engine.gate.waiting is not None
    events = coach.control(control, (K0 + 86) * 10**10)
    assert outcome(events) == [reason]
    assert coach.engine.gate.waiting is None
    after = coach.engine.update(stretch(K0 + 86, 5, "standing", 2.0))
    assert of_type(after, "prompt") == []


def test_a_yes_stays_until_a_therapist_clears_it():
    coach = coach_of(study())
    (said,) = coach.control(AnswerRedFlags(NO | {"numb_seat": True}), T0)
    assert said.data["stop"] is True
    assert "see a doctor or your therapist" in said.data["text"]
    (again,) = coach.control(AnswerRedFlags(NO), T0 + 10**9)
    assert again.data["stop"] is True, "answering no later takes nothing back"
    coach.control(LogPain(9), T0 + 2 * 10**9)
    assert coach.engine.gate.red_flag == "stopped"
    (clear,) = coach.control(ClearRedFlags("pt-1"), T0 + 3 * 10**9)
    assert (clear.data["stop"], clear.data["editor"]) == (False, "pt-1")
    assert coach.engine.gate.red_flag == ""


def test_a_programme_holds_from_the_next_local_day():
    coach = coach_of(study(timezone="Europe/Berlin"))
    k = at(0, 8) // 10**10
    (event,) = coach.control(SetProgramme((HARD,), "pt-1"), k * 10**10)
    assert (event.data["version"], event.data["effective"], event.data["editor"]) == (2, "2026-09-22", "pt-1")
    assert event.data["before"]["version"] == 1
    today = of_type(coach.engine.update(stretch(k, 30, tilt_deg=7.0)), "prompt")
    assert [p.data["exercise"] for p in today] == ["isometric_glute_set"]
    tomorrow = of_type(coach.engine.update(stretch(k + 8640, 30, tilt_deg=7.0)), "prompt")
    assert [(p.data["exercise"], p.data["side"]) for p in tomorrow] == [("single_leg_bridge", "left")]


def test_an_empty_programme_prompts_nothing():
    coach = coach_of(study())
    coach.control(SetProgramme((), "pt-1"), T0 - 86_400 * 10**9)
    assert outcome(coach.engine.update(stretch(K0, 30, tilt_deg=7.0))) == ["no_programme"]


def test_done_is_an_exercise_that_names_prompt_and_flag_and_counts_once():
    coach = coach_of(study())
    flag, prompt = of_type(coach.engine.update(stretch(K0, 20, tilt_deg=7.0)), "flag", "prompt")
    t = prompt.t_utc_ns + 240 * 10**9
    done = LogExercise("", "both", 1, 1, prompt.event_id)
    answer, exercise = coach.answer(t, prompt.event_id, "done", done)
    assert (answer.type, exercise.type) == ("answer", "exercise")
    assert exercise.data["prompt_event_id"] == prompt.event_id
    assert exercise.data["flag_event_id"] == flag.event_id
    assert exercise.data["exercise"] == prompt.data["exercise"]
    assert coach.control(LogExercise("isometric_glute_set", "both", 1, 8, prompt.event_id), t + 10**9) == []


def test_an_exercise_logged_for_a_prompt_is_its_answer_too():
    coach = coach_of(study())
    _, prompt = of_type(coach.engine.update(stretch(K0, 20, tilt_deg=7.0)), "flag", "prompt")
    control = LogExercise("isometric_glute_set", "both", 1, 6, prompt.event_id)
    events = coach.control(control, prompt.t_utc_ns + 240 * 10**9)
    assert [e.type for e in events] == ["answer", "exercise"]
    assert events[1].data["reps"] == 6


def test_an_exercise_nobody_asked_for_keeps_the_next_prompt_away():
    coach = coach_of(study(refractory_s=5400))
    coach.control(LogExercise("hip_hinge", "both"), T0)
    assert outcome(coach.engine.update(stretch(K0, 30, tilt_deg=7.0))) == ["refractory"]


def train(coach: Coach, days: range, exercise: str = "two_leg_bridge_abducted", pain: int = 2) -> list[Event]:
    events: list[Event] = []
    for day in days:
        events += coach.control(LogPain(pain), at(day, 9))
        events += coach.control(LogExercise(exercise, "both"), at(day, 18))
    return events


def test_two_good_weeks_propose_the_next_step_and_only_the_therapist_takes_it():
    coach = coach_of(study())
    (open_,) = of_type(train(coach, range(0, 16, 2)), "proposal")
    assert open_.t_utc_ns == at(14, 18)
    assert (open_.data["direction"], open_.data["outcome"]) == ("progression", "open")
    assert open_.data["from"]["exercise"] == "two_leg_bridge_abducted"
    assert open_.data["to"]["exercise"] == "single_leg_bridge"
    assert open_.data["why"]["done_days"] == 8
    assert of_type(train(coach, range(16, 30, 2)), "proposal", "programme") == [], (
        "nothing changes by itself, nor again"
    )
    decided, programme = coach.control(DecideProposal(open_.event_id, True, "pt-1"), at(30))
    assert (decided.data["outcome"], decided.data["proposal_event_id"]) == ("accepted", open_.event_id)
    assert programme.data["proposal_event_id"] == open_.event_id
    names = [e["exercise"] for e in programme.data["entries"]]
    assert "single_leg_bridge" in names
    assert "two_leg_bridge_abducted" not in names
    assert coach.control(DecideProposal(open_.event_id, True, "pt-1"), at(30, 13)) == [], "decided once"


def test_a_step_proposed_before_a_restart_is_decided_or_withdrawn_where_it_no_longer_fits():
    coach, other = coach_of(study()), Assignment("single_leg_bridge")
    held = study().programme[0]
    gone = DecideProposal("p-1", True, "pt-1", "progression", Assignment("hip_hinge"), other)
    (withdrawn,) = coach.control(gone, at(1))
    assert (withdrawn.data["outcome"], withdrawn.data["proposal_event_id"]) == ("withdrawn", "p-1")
    fits = DecideProposal("p-2", True, "pt-1", "progression", held, other)
    accepted, programme = coach.control(fits, at(1, 13))
    assert accepted.data["outcome"] == "accepted"
    assert "single_leg_bridge" in [e["exercise"] for e in programme.data["entries"]]
    assert coach.control(fits, at(1, 14)) == [], "decided once"


def test_a_step_up_to_an_exercise_of_the_programme_is_a_step_in_repetitions():
    """The glute squeeze leads to the bridge; with the bridge in the programme already, that would only take the squeeze away."""
    (open_,) = of_type(train(coach_of(study()), range(0, 16, 2), "isometric_glute_set"), "proposal")
    assert "two_leg_bridge_abducted" in [e.exercise for e in study().programme]
    assert (open_.data["to"]["exercise"], open_.data["to"]["reps"]) == ("isometric_glute_set", 10)


@pytest.mark.parametrize(("days", "pain"), [(range(12), 2), (range(0, 30, 6), 2), (range(20), 4)])
def test_too_short_too_rare_or_with_pain_proposes_nothing(days, pain):
    assert of_type(train(coach_of(study()), days, pain=pain), "proposal") == []


def test_a_declined_step_rests_for_two_weeks():
    coach = coach_of(study())
    (open_,) = of_type(train(coach, range(0, 16, 2)), "proposal")
    (declined,) = coach.control(DecideProposal(open_.event_id, False, "pt-1"), at(15))
    assert declined.data["outcome"] == "declined"
    assert of_type(train(coach, range(16, 29)), "proposal") == []
    assert len(of_type(train(coach, range(29, 32)), "proposal")) == 1


def test_rising_pain_proposes_an_easier_step_and_withdraws_the_harder_one():
    coach = coach_of(study())
    (harder,) = of_type(train(coach, range(0, 16, 2)), "proposal")
    events = [e for day in (16, 17) for e in coach.control(LogPain(6), at(day))]
    withdrawn, easier = of_type(events, "proposal")
    assert (withdrawn.data["outcome"], withdrawn.data["proposal_event_id"]) == ("withdrawn", harder.event_id)
    assert (easier.data["direction"], easier.data["to"]["exercise"]) == ("regression", "isometric_glute_set")
    assert easier.data["why"] == {"usual_pain": 2, "days_above": 2, "highest_pain": 6}


def test_a_new_sensor_goes_on_where_the_wearer_is():
    coach = coach_of(study(), "clip-2")
    held = Resume(4, (HARD,), "tracking", None, "stopped", 5, (Assignment("hip_hinge"),), "2999-01-01")
    assert coach.control(held, T0 - 10**9) == []
    assert outcome(coach.engine.update(stretch(K0, 30, tilt_deg=7.0))) == ["red_flag"]
    (event,) = of_type(coach.control(SetProgramme((HARD,), "pt-1"), T0), "programme")
    assert event.data["version"] == 6


def controls(rng: random.Random, t: int):
    """A wearer's and a therapist's entries, any of them."""
    return rng.choice(
        [
            LogPain(rng.randrange(11)),
            LogNote("x"),
            LogExercise(rng.choice(["isometric_glute_set", "standing_posterior_tilt"]), "both"),
            SetMode("training"),
            SetMode("tracking", rng.choice([30, 600])),
            AnswerRedFlags(NO),
            AnswerRedFlags(NO | {"fall": rng.random() < 0.2}),
            ClearRedFlags("pt-1"),
            SetProgramme((HARD, Assignment("hip_hinge")), "pt-1"),
            DecideProposal(f"{t:016x}", True, "pt-1"),
            Verdict("f1", "useful", "pt-1"),
        ]
    )


@pytest.mark.parametrize("seed", range(6))
def test_any_restart_between_any_entries_gives_the_same_bytes(seed):
    rng = random.Random(seed)
    the_study = study(timezone="America/New_York", refractory_s=1800)
    script = []
    for day in range(20):
        k = at(day, 13) // 10**10
        for n in range(3):
            script += [("epochs", bouts(k + 400 * n, 2)), ("control", controls(rng, k))]
    results = []
    for restarts in (False, True):
        pick = random.Random(seed)
        coach, events = coach_of(the_study), []
        t = at(0)
        for kind, what in script:
            if kind == "epochs":
                events += coach.engine.update(what)
                t = (what[-1].k + 1) * 10**10
                prompts = of_type(events, "prompt")
                if prompts and pick.random() < 0.5:
                    done = LogExercise("", "both", 1, 1, prompts[-1].event_id)
                    events += coach.answer(t, prompts[-1].event_id, "done", done)
            else:
                events += coach.control(what, t + 10**9)
            if restarts:
                state = json.loads(json.dumps(coach.snapshot()))
                coach = coach_of(the_study)
                coach.restore(state)
        events += coach.engine.finish()
        assert len({e.event_id for e in events}) == len(events)
        assert len({(e.type, e.rule, e.t_utc_ns) for e in events}) == len(events)
        results.append(text_of(events))
    assert results[0] == results[1]
