"""Answers and responses: what is compared, when it says nothing, honest words, and a chain that the flag's id finds."""

from __future__ import annotations

import json
import math
import random
import statistics
from dataclasses import replace

import pytest

from processing.coaching import rule_engine
from processing.rules.compare import CHANGED, INSUFFICIENT, UNCHANGED, compare, in_words
from processing.rules.explain import degrees
from processing.rules.study import PromptRule, Study, TiltRule, study_hash
from processing.types import RuleEpoch
from tests.processing.rules_sim import K0, NO_STATIC, OPEN_GATE, engine_of, epoch, of_type, run, stretch, text_of
from tests.processing.test_coaching import BANNED

STUDY = Study(tilt=TiltRule(dose_deg_min=1e6), static_posture=NO_STATIC, prompt=OPEN_GATE)
SILENT = replace(STUDY, prompt=replace(OPEN_GATE, mode="tracking"))


def noisy(k: int, minutes: float, tilt_deg: float, seed: int = 0, sd: float = 0.3, **more: str) -> list[RuleEpoch]:
    rng = random.Random(seed)
    return [epoch(k + i, tilt_deg=tilt_deg + rng.gauss(0, sd), **more) for i in range(round(minutes * 6))]


RAISED = noisy(K0, 30, 8.0)
"""Raised for half an hour, with the flag on the way."""


def told(after: list[RuleEpoch], *, answer: str = "done", study: Study = STUDY):
    """The prompt's response after ``answer`` at epoch 180 (five minutes of a pause follow)."""
    engine = engine_of(study)
    events = engine.update(RAISED)
    (prompt,) = of_type(events, "prompt")
    events += engine.answer((K0 + 180) * 10**10, prompt.event_id, answer)
    events += engine.update(after) + engine.finish()
    return events, [e for e in of_type(events, "response") if e.data["group"] == "exercise"]


def test_a_done_exercise_is_answered_compared_and_found_by_its_flag():
    events, (response,) = told(noisy(K0 + 180, 40, 1.0, 1))
    flag = next(e for e in of_type(events, "flag"))
    chain = [e for e in events if e.data.get("flag_event_id") == flag.event_id]
    assert [e.type for e in chain] == ["prompt", "answer", "response"]
    prompt, answer, _ = chain
    assert (answer.data["answer"], answer.data["prompt_event_id"]) == ("done", prompt.event_id)
    assert (answer.data["exercise"], answer.data["side"], answer.rule) == ("isometric_glute_set", "both", flag.rule)
    data = response.data
    assert (data["about_event_id"], data["answer_event_id"]) == (prompt.event_id, answer.event_id)
    assert (data["outcome"], data["posture"], response.rule) == ("changed", "standing", "sustained_tilt")
    assert data["delta_deg"] == pytest.approx(-7.0, abs=0.3)
    minute = 60 * 10**9
    assert data["window_before"] == {
        "start_utc_ns": prompt.t_utc_ns - 30 * minute,
        "end_utc_ns": prompt.t_utc_ns,
    }
    assert data["window_after"] == {
        "start_utc_ns": answer.t_utc_ns + 5 * minute,
        "end_utc_ns": answer.t_utc_ns + 35 * minute,
    }
    # The prompt came at epoch 71: of the half hour before it only that much was recorded.
    assert (data["before"]["eligible_s"], data["after"]["eligible_s"]) == (710, 1800)


def test_the_numbers_are_those_of_the_plain_statistics():
    _, (response,) = told(noisy(K0 + 180, 40, 6.5, 2, sd=1.5))
    data, sides = response.data, []
    for name in ("before", "after"):
        tilts, blocks = data[name]["tilt_mdeg"], data[name]["block_median_mdeg"]
        middle = math.floor(statistics.median(blocks))
        mad = math.floor(statistics.median([abs(b - middle) for b in blocks]))
        sides.append((math.floor(statistics.median(tilts)), 1.2533 * 1.4826 * mad / math.sqrt(len(blocks))))
    delta = sides[1][0] - sides[0][0]
    assert data["delta_deg"] == delta / 1000
    assert data["se_deg"] * 1000 == pytest.approx(math.hypot(sides[0][1], sides[1][1]), abs=1.01)
    assert data["limit_deg"] == max(2.0, 2 * data["se_deg"])
    assert data["after"]["tilt_mdeg"] == [e.tilt_mdeg for e in noisy(K0 + 180, 40, 6.5, 2, sd=1.5)[30:210]]


def rows(tilts_deg: list[float], k: int = 6000, posture: str = "standing"):
    return [(k + i, posture, round(1000 * tilt)) for i, tilt in enumerate(tilts_deg)]


@pytest.mark.parametrize(
    ("after_deg", "outcome"), [(2.0, UNCHANGED), (2.001, CHANGED), (-2.0, UNCHANGED), (-2.001, CHANGED)]
)
def test_changed_means_more_than_two_degrees(after_deg, outcome):
    assert compare(["standing"], rows([0.0] * 30), rows([after_deg] * 30)).outcome == outcome


def test_changed_means_more_than_two_standard_errors_too():
    # Minutes swing between -6 and +6 degrees: a MAD of 6 over 6 minutes is a standard error of 4.55 a side.
    swing = [v for minute in range(6) for v in [6.0 if minute % 2 else -6.0] * 6]
    found = compare(["standing"], rows(swing), rows([v + 12.0 for v in swing]))
    assert found.delta_mdeg == 12_000
    assert found.limit_mdeg is not None
    assert found.limit_mdeg > 12_000
    assert found.outcome == UNCHANGED


@pytest.mark.parametrize(
    ("delta_mdeg", "said"), [(-1800, "(−1.8°; up to"), (1800, "(+1.8°; up to"), (-40, "(0.0°; up to")]
)
def test_a_sentence_writes_signed_degrees_as_people_do(delta_mdeg: int, said: str) -> None:
    before = [(i, "standing", 8000) for i in range(60)]
    after = [(100 + i, "standing", 8000 + delta_mdeg) for i in range(60)]
    sentence = in_words("exercise", compare(["standing"], before, after))
    assert said in sentence
    assert degrees(delta_mdeg / 1000) in sentence


def test_five_minutes_on_each_side_in_one_posture_or_nothing_is_said():
    thirty = rows([0.0] * 30)
    assert compare(["standing"], thirty, rows([9.0] * 29)).outcome == INSUFFICIENT
    assert compare(["standing", "walking"], thirty, rows([9.0] * 30, posture="walking")).outcome == INSUFFICIENT
    mixed = [*rows([0.0] * 40, posture="walking"), *thirty]
    found = compare(["standing", "walking"], mixed, [*rows([9.0] * 35, posture="walking"), *rows([0.0] * 30)])
    assert (found.posture, found.delta_mdeg) == ("walking", 9000)


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (noisy(K0 + 180, 40, 7.5, 3), "no_measurable_change"),
        (stretch(K0 + 180, 60, "sitting", -15.0), "insufficient_data"),
        (noisy(K0 + 180, 9, 1.0), "insufficient_data"),  # 4 min after the pause, then the recording ends
        (noisy(K0 + 180, 40, 1.0, mount="m2", neutral="n2"), "insufficient_data"),
        (noisy(K0 + 180, 40, 1.0, neutral="n2"), "insufficient_data"),
        ([], "insufficient_data"),
    ],
)
def test_what_cannot_be_told_is_not_told(after, outcome):
    _, (response,) = told(after)
    assert response.data["outcome"] == outcome
    assert (response.data["delta_deg"] is None) == (outcome == "insufficient_data")
    assert not BANNED.search(response.data["text"])


@pytest.mark.parametrize("word", ["not_now", "snooze", "stop"])
def test_only_done_is_compared_and_every_answer_is_a_record(word):
    events, responses = told(noisy(K0 + 180, 40, 1.0), answer=word)
    assert responses == []
    assert [(e.data["answer"], e.t_utc_ns) for e in of_type(events, "answer")] == [(word, (K0 + 180) * 10**10)]
    assert not BANNED.search(of_type(events, "answer")[0].data["text"])


def test_an_answer_to_an_unknown_prompt_is_recorded_without_a_flag():
    (answer,) = engine_of(STUDY).answer(5, "0123456789abcdef", "done")
    assert (answer.type, answer.rule, answer.data["flag_event_id"]) == ("answer", None, None)
    assert "rule_version" not in answer.data


def test_a_suppressed_flag_is_its_own_control():
    epochs = [*noisy(K0, 14, 8.0), *noisy(K0 + 84, 40, 1.0, 1)]
    events = run(SILENT, epochs)
    (flag,) = of_type(events, "flag")
    (suppressed,) = of_type(events, "suppressed")
    (control,) = of_type(events, "response")
    data = control.data
    assert (data["group"], data["flag_event_id"], data["about_event_id"]) == (
        "control",
        flag.event_id,
        suppressed.event_id,
    )
    assert data["outcome"] == "changed"  # it fell without any exercise: what the tally is there for
    assert data["so_far"]["control"] == {"n": 1, "median_delta_deg": data["delta_deg"]}
    assert data["so_far"]["exercise"] == {"n": 0, "median_delta_deg": None}
    assert "without a prompt" in data["text"]
    assert not BANNED.search(data["text"])


def test_a_prompt_or_an_exercise_within_spoils_a_control():
    study = replace(STUDY, prompt=replace(OPEN_GATE, refractory_s=3600))
    bout = [*noisy(K0, 13, 8.0), *stretch(K0 + 78, 6, "sitting", -15.0)]
    second = [replace(e, k=e.k + 114) for e in bout]
    events = run(study, bout + second + noisy(K0 + 228, 40, 1.0))
    (control,) = of_type(events, "response")
    assert (control.data["outcome"], control.data["reason"]) == ("insufficient_data", "another_prompt_or_exercise")
    assert control.data["so_far"]["control"]["n"] == 0


def test_a_second_exercise_within_spoils_the_first_comparison_and_not_the_tally():
    engine = engine_of(STUDY)
    events = engine.update(RAISED)
    (first,) = of_type(events, "prompt")
    events += engine.answer((K0 + 180) * 10**10, first.event_id, "done")
    events += engine.update(stretch(K0 + 180, 6, "sitting", -10.0) + noisy(K0 + 216, 15, 8.0))
    second = of_type(events, "prompt")[-1]
    assert second.event_id != first.event_id
    events += engine.answer((K0 + 306) * 10**10, second.event_id, "done")
    events += engine.update(noisy(K0 + 306, 45, 1.0)) + engine.finish()
    responses = of_type(events, "response")
    assert [r.data["reason"] for r in responses] == ["another_prompt_or_exercise", "another_prompt_or_exercise"]


def test_restarts_between_prompt_answer_and_response_change_nothing():
    def play(*, restart: bool) -> str:
        engine, events = engine_of(STUDY), []

        def again():
            fresh = engine_of(STUDY)
            fresh.restore(json.loads(json.dumps(engine.snapshot())))
            return fresh if restart else engine

        for part in (RAISED[:100], RAISED[100:]):
            events += engine.update(part)
            engine = again()
        events += engine.answer((K0 + 180) * 10**10, of_type(events, "prompt")[0].event_id, "done")
        for part in (noisy(K0 + 180, 20, 1.0), noisy(K0 + 300, 20, 1.0)):
            engine = again()
            events += engine.update(part)
        return text_of(events + engine.finish())

    assert play(restart=True) == play(restart=False)


def test_a_study_without_tilt_postures_still_answers():
    study = Study(tilt=TiltRule(postures=()), prompt=replace(OPEN_GATE))
    events = run(study, stretch(K0, 40, "sitting"))
    assert len(of_type(events, "prompt")) == 1


def test_the_default_study_compares_prompts_that_come_by_day():
    """The whole way with the defaults: a day of work, every prompt done at once, one response each."""
    study = Study(prompt=PromptRule())
    engine = rule_engine("clip-1", study, study_hash(study))
    start, events, done = 1_790_150_400 // 10, [], 0
    for hour in range(9):
        k = start + hour * 360
        part = [*noisy(k, 20, 8.0, hour), *noisy(k + 120, 36, 2.0, hour), *stretch(k + 336, 4, "walking", 3.0)]
        for at in range(0, 360, 6):
            events += engine.update(part[at : at + 6])
            prompts = of_type(events, "prompt")
            if len(prompts) > done:
                done = len(prompts)
                events += engine.answer((k + at + 12) * 10**10, prompts[-1].event_id, "done")
    events += engine.finish()
    mine = [e for e in of_type(events, "response") if e.data["group"] == "exercise"]
    assert len(mine) == done == 4
    assert [e.data["so_far"]["exercise"]["n"] for e in mine][-1] == sum(
        e.data["outcome"] != "insufficient_data" for e in mine
    )
