"""`static_posture`: what counts, what breaks the stretch, when it flags again, and that variation leads its prompt."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from processing.coaching.prompts import CUES_LONG
from processing.rules.study import PromptRule, StaticRule, Study, TiltRule
from tests.processing.rules_sim import (
    K0,
    OPEN_GATE,
    disturb,
    engine_of,
    epoch,
    of_type,
    recompute,
    run,
    stretch,
    text_of,
)

STUDY = Study(prompt=OPEN_GATE)


def flags(study, epochs):
    return [(e.t_utc_ns // 10**10 - K0, e.data["value"]) for e in of_type(run(study, epochs), "flag")]


@pytest.mark.parametrize("posture", ["sitting", "standing"])
def test_half_an_hour_of_one_posture_is_a_flag_and_10_s_less_is_none(posture):
    assert flags(STUDY, stretch(K0, 179 / 6, posture)) == []
    assert flags(STUDY, stretch(K0, 30, posture)) == [(179, 1800)]


@pytest.mark.parametrize("posture", ["walking", "lying", "running", "stairs", "not_worn"])
def test_other_postures_never_are_static(posture):
    assert flags(STUDY, stretch(K0, 120, posture)) == []


@pytest.mark.parametrize("other", ["walking", "standing", "lying", "stairs", "not_worn"])
def test_one_sure_epoch_of_anything_else_begins_anew(other):
    epochs = [*stretch(K0, 29, "sitting"), epoch(K0 + 174, other), *stretch(K0 + 175, 31, "sitting")]
    assert flags(STUDY, epochs) == [(175 + 179, 1800)]


def test_it_flags_again_after_as_long_once_more_and_each_flag_is_recomputable():
    events = of_type(run(STUDY, stretch(K0, 100, "sitting")), "flag")
    assert [e.data["value"] for e in events] == [1800, 3600, 5400]
    assert [e.data["limit"] for e in events] == [1800, 3600, 5400]
    assert {e.data["window"]["start_utc_ns"] for e in events} == {K0 * 10**10}
    for e in events:
        again = recompute(json.dumps(e.data))
        assert (again["fired"], again["value"]) == ([again["last_k"]], e.data["value"])


@pytest.mark.parametrize(
    "unsure",
    [None, {"posture": "unknown"}, {"coverage_permille": 499}, {"confidence_permille": 699, "posture": "walking"}],
)
def test_what_is_missing_or_unsure_neither_counts_nor_breaks_until_five_minutes(unsure):
    def with_hole(n):
        hole = [] if unsure is None else [replace(epoch(K0 + 60 + i, "sitting"), **unsure) for i in range(n)]
        return [*stretch(K0, 10, "sitting"), *hole, *stretch(K0 + 60 + n, 25, "sitting")]

    assert flags(STUDY, with_hole(29)) == [(179 + 29, 1800)]
    assert flags(STUDY, with_hole(30)) == []


def test_putting_the_clip_on_again_begins_anew_and_no_neutral_is_needed():
    epochs = [*stretch(K0, 20, "sitting"), *stretch(K0 + 120, 31, "sitting", mount="m2", neutral="nominal")]
    assert flags(STUDY, epochs) == [(120 + 179, 1800)]


def test_the_study_decides():
    sitting = stretch(K0, 61, "sitting")
    assert flags(replace(STUDY, static_posture=StaticRule(enabled=False)), sitting) == []
    assert flags(replace(STUDY, static_posture=StaticRule(postures=("standing",))), sitting) == []
    assert flags(replace(STUDY, static_posture=StaticRule(after_s=3600)), sitting) == [(359, 3600)]


def test_under_a_new_study_the_stretch_goes_on():
    engine = engine_of(STUDY)
    engine.update(stretch(K0, 40, "sitting"))
    later = engine_of(replace(STUDY, static_posture=StaticRule(after_s=3000)))
    later.restore(json.loads(json.dumps(engine.snapshot())))
    (flag,) = of_type(later.update(stretch(K0 + 240, 20, "sitting")) + later.finish(), "flag")
    assert (flag.data["value"], flag.t_utc_ns // 10**10 - K0) == (3000, 299)
    assert recompute(json.dumps(flag.data))["fired"] == [K0 + 299]


def test_tilt_plays_no_part():
    rng = random.Random(1)
    epochs = [epoch(K0 + i, "standing", rng.choice([None, -20.0, 0.0, 4.0])) for i in range(180)]
    assert flags(STUDY, epochs) == [(179, 1800)]


@pytest.mark.parametrize("posture", ["sitting", "standing"])
def test_its_prompt_leads_with_variation_and_adds_the_exercise(posture):
    (prompt,) = of_type(run(STUDY, stretch(K0, 31, posture)), "prompt")
    said = prompt.data
    assert said["lead"] == "variation"
    assert said["variation"] == CUES_LONG[posture][0]
    assert said["text"].index(said["variation"]) < said["text"].index(said["exercise_name"])
    assert "if you like, add: Glute squeeze" in said["text"]
    assert "walk" in said["variation"]
    tilted = of_type(run(STUDY, stretch(K0, 13, tilt_deg=9.0)), "prompt")
    assert [p.data["lead"] for p in tilted] == ["activation"]


def test_it_shares_the_gate_with_the_tilt_rules():
    study = Study(tilt=TiltRule(dose_deg_min=1e6), prompt=replace(OPEN_GATE, refractory_s=3600))
    events = of_type(run(study, stretch(K0, 31, tilt_deg=9.0)), "flag", "prompt", "suppressed")
    assert [(e.type, e.rule, e.data.get("reason")) for e in events] == [
        ("flag", "sustained_tilt", None),
        ("prompt", "sustained_tilt", None),
        ("flag", "static_posture", None),
        ("suppressed", "static_posture", "refractory"),
    ]


def test_eight_hours_at_a_desk_prompt_at_most_four_times():
    start = 1_790_150_400 // 10  # 08:00 UTC
    events = run(Study(prompt=PromptRule()), stretch(start, 480, "sitting"))
    assert len(of_type(events, "flag")) == 16
    assert len(of_type(events, "prompt")) == 4
    assert {e.data["reason"] for e in of_type(events, "suppressed")} == {"coverage", "refractory", "budget"}


def test_disturbed_and_restarted_stretches_give_the_same_bytes():
    for seed in range(20):
        rng = random.Random(seed)
        epochs, k = [], K0
        while len(epochs) < 3000:
            n = rng.randrange(1, 400)
            posture = rng.choice(["sitting", "sitting", "standing", "walking", "unknown", "gap"])
            if posture != "gap":
                mount = f"m{rng.randrange(2)}"
                epochs += [
                    replace(epoch(k + i, posture, mount=mount), confidence_permille=rng.choice([600, 900, 900]))
                    for i in range(n)
                ]
            k += n
        plain = run(STUDY, epochs)
        engine, got, arriving = engine_of(STUDY), [], disturb(rng, epochs)
        for at in range(0, len(arriving), 171):
            got += engine.update(arriving[at : at + 171])
            fresh = engine_of(STUDY)
            fresh.restore(json.loads(json.dumps(engine.snapshot())))
            engine = fresh
        assert text_of(got + engine.finish()) == text_of(plain)
        for flag in of_type(plain, "flag"):
            again = recompute(json.dumps(flag.data))
            assert again["fired"] == [again["last_k"]] == [flag.t_utc_ns // 10**10]
