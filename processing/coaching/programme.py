"""The exercise library (`exercises.toml`) and the check that a wearer's programme is drawn from it."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from processing.rules.study import Assignment, Side, Study

GRADES: Final = ("trials", "muscle activity", "design choice")
SIDES: Final[tuple[Side, ...]] = ("left", "right", "both")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An easier or harder way: a sentence, and the library's exercise where it is one."""

    text: str
    exercise: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Where an exercise comes from, what kind of evidence that is (`GRADES`), and how much of it was read."""

    text: str
    grade: str
    seen: str


@dataclass(frozen=True, slots=True)
class Exercise:
    """One activation exercise. ``sides`` are those a programme may ask for; ``level`` grows with difficulty."""

    id: str
    name: str
    purpose: str
    sides: tuple[str, ...]
    level: int
    dose: Assignment
    steps: tuple[str, ...]
    regression: Neighbour
    progression: Neighbour
    contraindications: tuple[str, ...]
    source: Source


@cache
def library() -> Mapping[str, Exercise]:
    """All exercises by id, in the file's order."""
    text = files("processing.coaching").joinpath("exercises.toml").read_text(encoding="utf-8")
    return parse_library(text)


def parse_library(text: str) -> dict[str, Exercise]:
    """TOML text to exercises; raises ValueError naming the exercise and the key that cannot be used."""
    found: dict[str, Exercise] = {}
    for i, raw in enumerate(tomllib.loads(text)["exercise"]):
        where = f"exercise {raw.get('id', i + 1)!r}"
        try:
            exercise = _exercise(raw)
        except (KeyError, TypeError, ValueError) as e:
            raise ValueError(f"{where}: {e} is missing, unknown or of the wrong kind; see the entries beside it") from e
        _require(exercise.id not in found, where, "id", "stands twice")
        _require(bool(exercise.steps and exercise.contraindications), where, "steps, contraindications", "are empty")
        _require(set(exercise.sides) <= set(SIDES) and bool(exercise.sides), where, "sides", f"are not of {SIDES}")
        _require(exercise.source.grade in GRADES, where, "source.grade", f"is not one of {GRADES}")
        found[exercise.id] = exercise
    for exercise in found.values():
        for key, near in (("regression", exercise.regression), ("progression", exercise.progression)):
            known = not near.exercise or near.exercise in found
            _require(known, f"exercise {exercise.id!r}", key, f"points to {near.exercise!r}, which is not there")
    return found


def _exercise(raw: Mapping[str, Any]) -> Exercise:
    parts: dict[str, Any] = {
        "sides": tuple(raw["sides"]),
        "dose": Assignment(raw["id"], "both", **raw["dose"]),
        "steps": tuple(raw["steps"]),
        "regression": Neighbour(**raw["regression"]),
        "progression": Neighbour(**raw["progression"]),
        "contraindications": tuple(raw["contraindications"]),
        "source": Source(**raw["source"]),
    }
    return Exercise(**{**raw, **parts})


def check_programme(study: Study) -> None:
    """Raise ValueError, naming key and remedy, where the programme asks for what the library does not have."""
    check_entries(study.programme, "study key 'programme[{}]")


def check_entries(entries: Sequence[Assignment], where: str) -> None:
    """Raise ValueError where an entry is not in the library or its side cannot be; ``where`` names entry {}."""
    known = library()
    for i, item in enumerate(entries):
        key = where.format(i)
        if item.exercise not in known:
            close = difflib.get_close_matches(item.exercise, known, 1)
            hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
            raise ValueError(f"{key}.exercise' is {item.exercise!r}, not in the library; {hint}")
        sides = known[item.exercise].sides
        if item.side not in sides:
            raise ValueError(f"{key}.side' is {item.side!r}; {item.exercise} can be done as {', '.join(sides)}")


def _require(holds: bool, where: str, key: str, what: str) -> None:
    if not holds:
        raise ValueError(f"{where}: {key} {what}")
