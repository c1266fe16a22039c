"""What a prompt says: first a change of position, then one exercise of the wearer's programme, in plain words.

Nothing is chosen by what the sensor sees: the therapist sets exercise, side and dose, and the prompts turn through the
programme in its order. One sensor on the pelvis cannot tell a left from a right muscle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from processing.coaching.programme import Exercise, check_programme, library
from processing.rules.baseline import Baselines
from processing.rules.engine import RuleEngine
from processing.rules.gate import ANSWERS, Compose, PromptRequest
from processing.rules.static_posture import STATIC
from processing.rules.study import Assignment, Study
from processing.types import Json

CUES_UP: Final = (
    "Shift your weight from one foot to the other and walk a few steps.",
    "Walk a few steps, then stand with your weight on both feet.",
    "Put one foot on a low step for a moment, change feet, and walk a little.",
)
CUES_SEATED: Final = (
    "Stand up and walk a few steps.",
    "Shift your weight from one sitting bone to the other, then stand up for a moment.",
)
CUES_LONG: Final[Mapping[str, tuple[str, ...]]] = {
    "sitting": (
        "You have been sitting for a while. Shift your weight, stand up and walk a few steps.",
        "Time for another position: stand up, stand on both feet for a moment, and walk a little.",
    ),
    "standing": (
        "You have been standing in one place for a while. Shift your weight from foot to foot and walk a few steps.",
        "Time for another position: walk a little, or sit down for a moment.",
    ),
}
"""Where the flag is about staying put, the change of position is the prompt and the exercise an extra."""
WHY: Final[Mapping[str, str]] = {
    "tilt_dose": "Your pelvis has leaned forward for a good part of the last hour.",
    "sustained_tilt": "Your pelvis has leaned forward for ten minutes or more.",
    STATIC: "You have stayed in one position for a while.",
}
"""Why the prompt comes, by the rule behind it."""
ProgrammeOn: TypeAlias = Callable[[str], Sequence[Assignment]]
CLOSING: Final = "It may help; leave it out if it does not feel right, and ask your therapist if you are unsure."


def rule_engine(sensor: str, study: Study, study_hash: str, baselines: Baselines | None = None) -> RuleEngine:
    """Build the flag engine of a sensor, with prompts from the study's programme; ValueError where that is unusable."""
    return RuleEngine(sensor, study, study_hash, baselines, compose=composer(study))


def composer(study: Study, programme: ProgrammeOn | None = None) -> Compose:
    """Check the study's programme, and give the function that words a prompt; ``programme`` says what holds on a day."""
    check_programme(study)
    holds = programme or (lambda _: study.programme)

    def compose(request: PromptRequest) -> Mapping[str, Json]:
        entries = holds(request.day)
        item = entries[request.ordinal % len(entries)]
        return word_prompt(request, item, library()[item.exercise])

    return compose


def word_prompt(request: PromptRequest, item: Assignment, exercise: Exercise) -> dict[str, Json]:
    """Variation cue, exercise with side and dose, steps, and the sentence that joins them.

    ``lead`` says which of the two the prompt is about: the variation after a long time in one posture, else the activation.
    """
    static = request.rule == STATIC
    seated = request.posture == "sitting"
    cues = CUES_LONG["sitting" if seated else "standing"] if static else CUES_SEATED if seated else CUES_UP
    cue = cues[request.ordinal % len(cues)]
    then = "That is enough; if you like, add" if static else "Then"
    return {
        "lead": "variation" if static else "activation",
        "why": WHY[request.rule],
        "order": ["variation", "activation"],
        "answers": list(ANSWERS),
        "variation": cue,
        "exercise": exercise.id,
        "exercise_name": exercise.name,
        "side": item.side,
        "sets": item.sets,
        "reps": item.reps,
        "hold_s": item.hold_s,
        "steps": list(exercise.steps),
        "before_you_start": list(exercise.contraindications),
        "text": f"{cue} {then}: {exercise.name}, {describe_side(item, exercise)}{describe_dose(item)}. {CLOSING}",
    }


def describe_side(item: Assignment, exercise: Exercise) -> str:
    """The side in words, with a comma after it; nothing for an exercise that always uses both at once."""
    if item.side != "both":
        return f"{item.side} side, "
    return "each side in turn, " if exercise.sides[0] != "both" else ""


def describe_dose(item: Assignment) -> str:
    """Sets, repetitions and hold in words."""
    sets = "1 set" if item.sets == 1 else f"{item.sets} sets"
    times = "1 time" if item.reps == 1 else f"{item.reps} times"
    hold = f", holding {item.hold_s} s" if item.hold_s else ""
    return f"{sets} of {times}{hold}"
