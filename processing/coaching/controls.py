"""What a wearer or a therapist enters, as frozen controls: journaled by the gateway, taken by the pipeline in order.

A wearer can have several sensors and each pipeline hears every control, since each has prompts of its own to hold back.
``tell`` is true for one of them only, so that an entry becomes one event. Values that cannot work are refused here, so a
journal never holds one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from processing.coaching.redflags import ASK_FROM_PAIN
from processing.rules.study import Assignment, Side

Mode: TypeAlias = Literal["training", "tracking", "stopped"]
VerdictWord: TypeAlias = Literal["useful", "not_useful", "wrong_posture"]
MODES: Final = ("training", "tracking", "stopped")
VERDICTS: Final = ("useful", "not_useful", "wrong_posture")
MOST_CHARS: Final = 500
MOST_ENTRIES: Final = 12
MOST_MINUTES: Final = 7 * 24 * 60
_PERSON: Final = re.compile(r"[a-z0-9][a-z0-9 ._-]{0,39}", re.IGNORECASE)


def _require(holds: bool, remedy: str) -> None:
    if not holds:
        raise ValueError(remedy)


def _check_note(note: str) -> None:
    _require(len(note) <= MOST_CHARS, f"a note has at most {MOST_CHARS} characters")


def _check_person(who: str) -> None:
    _require(bool(_PERSON.fullmatch(who)), "say who decided, as a short pseudonym of letters and digits, e.g. 'pt-1'")


@dataclass(frozen=True, slots=True)
class LogPain:
    """Pain now, 0 (none) to 10; ``note`` stays on the gateway."""

    score: int
    note: str = ""
    tell: bool = True

    def __post_init__(self) -> None:
        _require(0 <= self.score <= 10, "pain is a whole number from 0 to 10")
        _check_note(self.note)

    @property
    def asks_health_questions(self) -> bool:
        """Whether so much pain brings the health questions up again."""
        return self.score >= ASK_FROM_PAIN


@dataclass(frozen=True, slots=True)
class LogNote:
    """A note of the wearer's; it stays on the gateway."""

    note: str
    tell: bool = True

    def __post_init__(self) -> None:
        _require(bool(self.note.strip()), "write something into the note")
        _check_note(self.note)


@dataclass(frozen=True, slots=True)
class LogExercise:
    """An exercise was done; ``event_id`` is the prompt it answers (empty: done unasked)."""

    exercise: str
    side: Side
    sets: int = 1
    reps: int = 8
    event_id: str = ""
    tell: bool = True

    def __post_init__(self) -> None:
        _require(1 <= self.sets <= 20 and 1 <= self.reps <= 100, "sets are 1 to 20, repetitions 1 to 100")


@dataclass(frozen=True, slots=True)
class SetMode:
    """Prompts on (training), recording only (tracking), or off (stopped); ``minutes`` None: until changed again."""

    mode: Mode
    minutes: int | None = None
    tell: bool = True

    def __post_init__(self) -> None:
        holds = self.minutes is None or 1 <= self.minutes <= MOST_MINUTES
        _require(holds, f"minutes are 1 to {MOST_MINUTES}, or none for 'until I change it'")
        _require(self.mode != "training" or self.minutes is None, "training has no end; leave the minutes away")


@dataclass(frozen=True, slots=True)
class AnswerRedFlags:
    """The wearer's answers to the health questions by their id; any yes stops all prompts until a therapist clears it."""

    answers: Mapping[str, bool]
    tell: bool = True


@dataclass(frozen=True, slots=True)
class ClearRedFlags:
    """A therapist has spoken with the wearer; prompts may come again."""

    editor: str
    tell: bool = True

    def __post_init__(self) -> None:
        _check_person(self.editor)


@dataclass(frozen=True, slots=True)
class SetProgramme:
    """A therapist's new programme; it holds from the wearer's next local day."""

    entries: tuple[Assignment, ...]
    editor: str
    tell: bool = True

    def __post_init__(self) -> None:
        _check_person(self.editor)
        _require(len(self.entries) <= MOST_ENTRIES, f"a programme has at most {MOST_ENTRIES} exercises")


@dataclass(frozen=True, slots=True)
class DecideProposal:
    """A therapist accepts or declines the proposal ``event_id``; what it says stands here too, for a newer sensor."""

    event_id: str
    accept: bool
    editor: str
    direction: Literal["progression", "regression"] = "progression"
    old: Assignment | None = None
    new: Assignment | None = None
    tell: bool = True

    def __post_init__(self) -> None:
        _check_person(self.editor)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a therapist thinks of the flag ``event_id``, by whom; ``note`` stays on the gateway."""

    event_id: str
    verdict: VerdictWord
    rater: str
    note: str = ""
    tell: bool = True
    rule: str = ""  # the flag's, so that a rule's precision can be counted from verdicts alone

    def __post_init__(self) -> None:
        _check_person(self.rater)
        _check_note(self.note)


@dataclass(frozen=True, slots=True)
class Resume:
    """What holds for this wearer already, for a pipeline whose own journal does not know it (a new sensor, an old
    journal trimmed): programme, mode and health stop. It becomes no event.
    """

    version: int
    entries: tuple[Assignment, ...]
    mode: Mode = "training"
    mode_until_ns: int | None = None
    red_flag: Literal["", "asked", "stopped"] = ""
    pending_version: int | None = None
    pending_entries: tuple[Assignment, ...] = ()
    pending_day: str = ""


CoachControl: TypeAlias = (
    LogPain
    | LogNote
    | LogExercise
    | SetMode
    | AnswerRedFlags
    | ClearRedFlags
    | SetProgramme
    | DecideProposal
    | Verdict
    | Resume
)
COACH_CONTROLS: Final = (
    LogPain,
    LogNote,
    LogExercise,
    SetMode,
    AnswerRedFlags,
    ClearRedFlags,
    SetProgramme,
    DecideProposal,
    Verdict,
    Resume,
)
