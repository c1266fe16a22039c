"""The library is complete and consistent, the programme is checked against it, and prompts speak plainly."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files

import pytest

from processing.coaching import check_programme, composer, library, rule_engine
from processing.coaching.programme import GRADES, parse_library
from processing.coaching.prompts import CUES_SEATED, CUES_UP
from processing.rules.gate import REASONS, PromptRequest
from processing.rules.study import Assignment, Study, study_hash

TEXT = files("processing.coaching").joinpath("exercises.toml").read_text(encoding="utf-8")
BANNED = re.compile(
    r"stretch|diagnos|patholog|disorder|disease|abnormal|deformity|damage|danger|injur(?:e|ing)\b|harm|risk|worse|wrong"
    r"|bad posture|must\b|cure|treat|patient|symptom|syndrome|weak\b",
    re.IGNORECASE,
)


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for v in value.values():
            yield from strings(v)
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from strings(v)


def test_the_library_holds_the_programme_seed():
    assert {
        "isometric_glute_set",
        "two_leg_bridge_abducted",
        "single_leg_bridge",
        "hamstring_walk_out",
        "hip_hinge",
        "standing_posterior_tilt",
    } <= library().keys()
    check_programme(Study())


def test_every_exercise_is_complete():
    for exercise in library().values():
        assert exercise.name
        assert exercise.purpose
        assert len(exercise.steps) >= 3
        assert exercise.regression.text
        assert exercise.progression.text
        assert exercise.contraindications
        assert exercise.source.grade in GRADES
        assert exercise.source.seen in {"abstract", "full text", "none"}
        assert exercise.dose.sets == 1, "an activation snack is one set"
        assert exercise.dose.reps * (exercise.dose.hold_s + 6) <= 120, "and takes less than two minutes"


def test_easier_is_never_harder():
    known = library()
    for exercise in known.values():
        if exercise.regression.exercise:
            assert known[exercise.regression.exercise].level < exercise.level
        if exercise.progression.exercise:
            assert known[exercise.progression.exercise].level > exercise.level


def test_what_the_wearer_reads_is_plain_and_not_diagnostic():
    shown = [s for raw in tomllib.loads(TEXT)["exercise"] for k, v in raw.items() if k != "source" for s in strings(v)]
    shown += [*REASONS.values(), *CUES_UP, *CUES_SEATED]
    compose = composer(Study())
    shown += [s for n in range(6) for p in ("standing", "sitting") for s in strings(compose(request(n, p)))]
    assert [s for s in shown if BANNED.search(s)] == []


def request(ordinal: int, posture: str = "standing") -> PromptRequest:
    return PromptRequest(ordinal, "tilt_dose", posture)


def test_a_prompt_leads_with_variation_names_one_exercise_and_ends_with_the_therapist():
    compose = composer(Study(programme=(Assignment("single_leg_bridge", "left", 2, 6, 3),)))
    said = compose(request(0))
    assert said["text"] == (
        f"{CUES_UP[0]} Then: Single-leg bridge, left side, 2 sets of 6 times, holding 3 s. "
        "It may help; leave it out if it does not feel right, and ask your therapist if you are unsure."
    )
    assert (said["exercise"], said["side"], said["sets"], said["reps"], said["hold_s"]) == (
        "single_leg_bridge",
        "left",
        2,
        6,
        3,
    )
    assert said["variation"] == CUES_UP[0]
    assert said["steps"] == list(library()["single_leg_bridge"].steps)


def test_sides_and_doses_in_words():
    def words(*assignment):
        return composer(Study(programme=(Assignment(*assignment),)))(request(0))["text"]

    assert "Single-leg bridge, each side in turn, 1 set of 6 times, holding 3 s." in words(
        "single_leg_bridge", "both", 1, 6, 3
    )
    assert "Hamstring walk-out, 1 set of 1 time." in words("hamstring_walk_out", "both", 1, 1, 0)


def test_a_seated_wearer_gets_a_seated_cue_and_cues_turn():
    compose = composer(Study())
    assert [compose(request(n, "sitting"))["variation"] for n in range(3)] == [*CUES_SEATED, CUES_SEATED[0]]
    assert [compose(request(n))["variation"] for n in range(4)] == [*CUES_UP, CUES_UP[0]]


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        (Assignment("hip_hing"), r"programme\[0\].exercise' is 'hip_hing', not in the library; did you mean 'hip_hin"),
        (Assignment("xyz"), "known: isometric_glute_set"),
        (
            Assignment("hamstring_walk_out", "left"),
            r"programme\[0\].side' is 'left'; hamstring_walk_out can be done as",
        ),
    ],
)
def test_a_programme_the_library_does_not_have_is_refused(assignment, says):
    study = Study(programme=(assignment,))
    with pytest.raises(ValueError, match=says):
        rule_engine("clip-1", study, study_hash(study))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("level = 1\n", "", "'isometric_glute_set'.*level"),
        ('id = "hip_hinge"', 'id = "single_leg_bridge"', "'single_leg_bridge': id stands twice"),
        ('exercise = "hip_hinge" }', 'exercise = "nowhere" }', "progression points to 'nowhere'"),
        ('grade = "trials"', 'grade = "sure"', "'hip_hinge': source.grade is not one of"),
        ('sides = ["both"]', 'sides = ["middle"]', "sides are not of"),
        ("reps = 5", "reps = 0", "'hamstring_walk_out'.*reps"),
    ],
)
def test_a_broken_library_is_refused_by_exercise_and_key(old, new, says):
    assert old in TEXT
    with pytest.raises(ValueError, match=says):
        parse_library(TEXT.replace(old, new, 1))


def test_every_exercise_has_its_picture_as_it_is_drawn():
    """Own drawings: titled, described, readable in light and dark, small, and nothing from elsewhere."""
    from scripts.draw_exercises import FOLDER, drawn

    pictures = drawn()
    assert {p.name for p in FOLDER.glob("*.svg")} == pictures.keys() == {f"{id_}.svg" for id_ in library()}
    for name, text in pictures.items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, "run python scripts/draw_exercises.py"
        assert re.search(r"<title>[^<]{5,}</title><desc>[^<]{20,}</desc>", text)
        assert "currentColor" in text
        assert "prefers-color-scheme:dark" in text
        assert "href" not in text
        assert len(text) < 6000


def test_the_library_only_grows():
    """Journals name exercises for years: an id that was once there stays."""
    assert len(library()) >= 14
    assert list(library())[:6] == [
        "isometric_glute_set",
        "two_leg_bridge_abducted",
        "single_leg_bridge",
        "hamstring_walk_out",
        "hip_hinge",
        "standing_posterior_tilt",
    ]
