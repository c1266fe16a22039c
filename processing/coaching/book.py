"""The wearer's programme through time: what holds today, what holds from tomorrow, and who said so.

A therapist's change counts from the wearer's next local day, so that nobody finds another exercise at noon. The study's
programme is version 1.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from processing.coaching.programme import Exercise
from processing.rules.study import Assignment
from processing.types import Json


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a programme, and the local day (YYYY-MM-DD) from which it holds; empty: always."""

    number: int
    day: str
    entries: tuple[Assignment, ...]


class Book:
    """The version in force and the one that waits for its day."""

    def __init__(self, entries: tuple[Assignment, ...]) -> None:
        self._current = Version(1, "", entries)
        self._pending: Version | None = None

    def on(self, day: str) -> Version:
        """The version that holds on a local day; days are asked for in about their order."""
        pending = self._pending
        return pending if pending is not None and pending.day <= day else self._current

    def latest(self) -> Version:
        """The newest version, in force or not: what a change starts from."""
        return self._pending or self._current

    def waiting(self, day: str) -> Version | None:
        """The version that a later day than ``day`` brings."""
        return self._pending if self._pending is not None and self._pending.day > day else None

    def set(self, entries: tuple[Assignment, ...], today: str, from_day: str) -> Version:
        """Take a new version that holds from ``from_day``; one that still waits is replaced by it."""
        number = self.latest().number + 1
        self._current = self.on(today)
        self._pending = Version(number, from_day, entries)
        return self._pending

    def resume(self, current: Version, pending: Version | None) -> None:
        """Hold what holds elsewhere already."""
        self._current, self._pending = current, pending

    def snapshot(self) -> dict[str, Any]:
        """State as plain JSON."""
        return {"current": asdict(self._current), "pending": None if self._pending is None else asdict(self._pending)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a `snapshot`."""
        self._current = _version(state["current"])
        self._pending = None if state["pending"] is None else _version(state["pending"])


def _version(state: Mapping[str, Any]) -> Version:
    return Version(state["number"], state["day"], tuple(Assignment(**e) for e in state["entries"]))


def entries_as_json(entries: Sequence[Assignment]) -> list[Json]:
    """Entries for an event's data."""
    return [asdict(e) for e in entries]


def harder(item: Assignment, known: Mapping[str, Exercise], held: Collection[str]) -> Assignment | None:
    """The next step up: the library's harder exercise with its usual dose, else two repetitions, else another set.

    ``held``: what the programme holds already; a step up to one of those would only take ``item`` away.
    """
    exercise = known.get(item.exercise)
    if exercise is None:
        return None
    if exercise.progression.exercise and exercise.progression.exercise not in held:
        return _moved(item, known[exercise.progression.exercise])
    if item.reps < 12:
        return replace(item, reps=min(12, item.reps + 2))
    return replace(item, sets=item.sets + 1, reps=exercise.dose.reps) if item.sets < 3 else None


def easier(item: Assignment, known: Mapping[str, Exercise]) -> Assignment | None:
    """The step down: a set less, else the library's easier exercise, else half the repetitions."""
    exercise = known.get(item.exercise)
    if exercise is None:
        return None
    if item.sets > 1:
        return replace(item, sets=item.sets - 1)
    if exercise.regression.exercise:
        return _moved(item, known[exercise.regression.exercise])
    return replace(item, reps=max(3, item.reps // 2)) if item.reps > 3 else None


def _moved(item: Assignment, to: Exercise) -> Assignment:
    side = item.side if item.side in to.sides else to.dose.side if to.dose.side in to.sides else "both"
    return Assignment(to.id, side, 1, to.dose.reps, to.dose.hold_s)
