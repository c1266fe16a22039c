"""What lies in the `data` of events that follow from what people enter: diary, answers, programme, verdicts.

Part of the table in `events.py`, with the keys that both share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from processing.dictionary.field import Field, instant
from processing.dictionary.words import MODES, PROPOSALS, QUESTIONS, SIDES, VERDICTS

_S = "string"
_I = "int64"
_J = "json"

STUDY: Final = (
    Field("study_version", _S, "1", "The study's name, from the study file."),
    Field("study_hash", _S, "1", "Hash of the study file in force; the same on every machine (`tiltline study hash`)."),
)
TEXT: Final = Field("text", _S, "1", "The event as a sentence for a person.")
FLAG_ID: Final = Field("flag_event_id", _S, "1", "The flag this follows from.", "entered without a flag, or long ago")
EXERCISE: Final = (
    Field("exercise", _S, "1", "Id of the exercise.", "the prompt is not known any more"),
    Field("side", _S, "1", "Which side.", "the prompt is not known any more", words=SIDES),
)
DOSE: Final = (
    Field("exercise_name", _S, "1", "Its name."),
    Field("sets", _I, "1", "Sets.", "", 1),
    Field("reps", _I, "1", "Repetitions a set.", "", 1),
)
_NOTE: Final = Field(
    "note", _S, "1", "What was typed.", "nothing typed; or left out of exports that are shared and of MQTT"
)
_EDITOR: Final = Field("editor", _S, "1", "Pseudonym of who decided; `rule` where a rule did.", "nobody decided")
_SPEAKS_FOR: Final = (
    Field(
        "why",
        _J,
        "1",
        "What speaks for it: days with the exercise done and pain, or pain against the usual.",
        "decided",
    ),
    Field("limits", _J, "1", "The rule's numbers.", "decided"),
)

ENTRY_DATA: Final[Mapping[str, tuple[Field, ...]]] = {
    "pain": (
        *STUDY,
        Field("score", _I, "1", "Pain.", "", 0, 10),
        _NOTE,
        Field("asks_health_questions", "bool", "1", "Whether the health questions are asked for it."),
        TEXT,
    ),
    "note": (*STUDY, _NOTE, TEXT),
    "exercise": (
        *STUDY,
        *EXERCISE,
        *DOSE,
        Field("prompt_event_id", _S, "1", "The prompt it answers.", "done without one"),
        FLAG_ID,
        Field("programme_version", _I, "1", "Version of the programme that day.", "", 0),
        TEXT,
    ),
    "mode": (
        *STUDY,
        Field("mode", _S, "1", "training: prompts; tracking: recording only.", words=MODES),
        instant("until", "When it ends, UTC nanoseconds since 1970.", "open end"),
        Field("minutes", _I, "min", "The same as chosen.", "open end", 0),
        TEXT,
    ),
    "red_flag": (
        *STUDY,
        Field("outcome", _S, "1", "What happened to the questions.", words=QUESTIONS),
        Field("answers", _J, "1", "Answer (true: yes) by question.", "not answered"),
        Field("stop", "bool", "1", "Whether prompts are stopped until a therapist clears it."),
        Field("reason", _S, "1", "Why they are asked.", "another outcome than asked"),
        Field("editor", _S, "1", "Pseudonym of who cleared it.", "another outcome than cleared"),
        TEXT,
    ),
    "programme": (
        *STUDY,
        Field("version", _I, "1", "Version of the programme.", "", 1),
        Field("editor", _S, "1", "Pseudonym of who set it."),
        Field("effective", _S, "1", "Local day from which it holds."),
        Field("entries", _J, "1", "Its entries: `exercise`, `side`, `sets`, `reps`, `hold_s` (s)."),
        Field("before", _J, "1", "The `version` and `entries` until now."),
        Field("proposal_event_id", _S, "1", "The proposal accepted by it.", "set by hand"),
        TEXT,
    ),
    "proposal": (
        *STUDY,
        Field("outcome", _S, "1", "Where it stands.", words=PROPOSALS),
        Field("direction", _S, "1", "progression: harder; regression: easier.", words=("progression", "regression")),
        Field("from", _J, "1", "The programme's entry now: `exercise`, `side`, `sets`, `reps`, `hold_s` (s)."),
        Field("to", _J, "1", "The entry proposed."),
        *_SPEAKS_FOR,
        Field("proposal_event_id", _S, "1", "The proposal decided.", "the proposal itself"),
        _EDITOR,
        TEXT,
    ),
    "verdict": (
        *STUDY,
        FLAG_ID,
        Field("verdict", _S, "1", "The verdict.", words=VERDICTS),
        Field("rater", _S, "1", "Pseudonym of the therapist."),
        _NOTE,
        TEXT,
    ),
}
"""Keys of each type's data."""
