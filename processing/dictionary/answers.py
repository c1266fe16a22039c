"""The table `answers`: what people entered, as columns; each row is an event, of which `data` has the rest.

One of the tables in `tables.py`; read out of events by `sensor_gateway/export/answers.py`.
"""

from __future__ import annotations

from typing import Final

from processing.dictionary.field import Field, instant
from processing.dictionary.words import ANSWERS, MODES, PROPOSALS, QUESTIONS, SIDES, VERDICTS

ANSWER_TYPES: Final = (
    "answer", "exercise", "pain", "note", "verdict", "mode", "red_flag", "programme", "proposal",
)  # fmt: skip
"""Event types that are rows of it."""

_S = "string"
_I = "int64"
_NO_EXERCISE: Final = "no exercise belongs to it"

ANSWER: Final = (
    instant("t_utc_ns", "When it was entered, UTC nanoseconds since 1970."),
    Field("event_id", _S, "1", "The event it is; its `data` says more."),
    Field("type", _S, "1", "What was entered.", words=ANSWER_TYPES),
    Field("rule", _S, "1", "The rule behind the flag.", "no flag is behind it"),
    Field("flag_event_id", _S, "1", "The flag it follows from.", "entered without a flag, or long ago"),
    Field("prompt_event_id", _S, "1", "The prompt answered.", "no prompt is behind it"),
    Field(
        "latency_s",
        "float64",
        "s",
        "From the prompt to this.",
        "no prompt is behind it, or it is not among the records of the two days before",
        0,
    ),
    Field("answer", _S, "1", "What was answered.", "another type than answer", words=ANSWERS),
    Field("exercise", _S, "1", "Id of the exercise.", _NO_EXERCISE),
    Field("side", _S, "1", "Which side.", _NO_EXERCISE, words=SIDES),
    Field("sets", _I, "1", "Sets done.", "another type than exercise", 1),
    Field("reps", _I, "1", "Repetitions a set.", "another type than exercise", 1),
    Field("pain_score", _I, "1", "Pain.", "another type than pain", 0, 10),
    Field(
        "verdict",
        _S,
        "1",
        "Of a therapist.",
        "another type than verdict",
        words=VERDICTS,
    ),
    Field(
        "outcome",
        _S,
        "1",
        "Of the health questions: asked, answered, cleared. Of a proposal: open, accepted, declined, withdrawn.",
        "another type than red_flag or proposal",
        words=(*QUESTIONS, *PROPOSALS),
    ),
    Field("stop", "bool", "1", "Whether prompts are stopped by the health questions.", "another type than red_flag"),
    Field("mode", _S, "1", "training: prompts; tracking: recording only.", "another type than mode", words=MODES),
    instant("until_utc_ns", "When that ends.", "open end, or another type than mode"),
    Field(
        "person",
        _S,
        "1",
        "Pseudonym of the therapist who judged, set, decided or cleared; `rule` where a rule did.",
        "the wearer entered it",
    ),
    Field("note", _S, "1", "What was typed.", "nothing typed; or left out of exports that are shared and of MQTT"),
)
