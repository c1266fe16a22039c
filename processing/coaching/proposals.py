"""Proposals to the therapist: a harder or an easier exercise, open until decided, withdrawn or replaced.

The rule is in `progression.py`; `coach.py` feeds it and puts an accepted step into the programme.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final, TypeAlias

from processing.coaching.book import Book, easier, entries_as_json, harder
from processing.coaching.controls import DecideProposal
from processing.coaching.programme import library
from processing.coaching.progression import Progress
from processing.rules.study import Assignment
from processing.types import Json

MOST_OPEN: Final = 20
Say: TypeAlias = Callable[[int, str, dict[str, Json]], str]
"""Tells an event at a time, of a type, with its data; gives its id."""


@dataclass(frozen=True, slots=True)
class _Proposal:
    """A step that waits for the therapist."""

    event_id: str
    direction: str
    old: Assignment
    new: Assignment
    day: str


class Proposals:
    """What is open, and since when a decided step rests. ``book`` is only read."""

    def __init__(self, book: Book, say: Say) -> None:
        self._book, self._say = book, say
        self._progress = Progress()
        self._open: list[_Proposal] = []
        self._rested: dict[str, str] = {}  # direction and exercise to the day of the last decision

    def pain(self, t: int, score: int, day: str) -> None:
        """Pain was logged: an easier step may be due."""
        self._progress.pain(score, day)
        self._propose_easier(t, day)

    def done(self, t: int, exercise: str, day: str) -> None:
        """An exercise was done: a harder step may be due."""
        self._progress.done(exercise, day)
        self._propose_harder(t, day, exercise)

    def withdraw(self, t: int, entries: Sequence[Assignment], editor: str) -> None:
        """A new programme: proposals about exercises it does not have are over."""
        kept: list[_Proposal] = []
        for one in self._open:
            if any(e.exercise == one.old.exercise for e in entries):
                kept.append(one)
            else:
                self._decided(t, one, "withdrawn", editor)
        self._open = kept

    def decide(self, t: int, c: DecideProposal, day: str) -> tuple[Assignment, Assignment] | None:
        """The therapist's word; the entry and what replaces it where a step was accepted and still fits."""
        one = next((p for p in self._open if p.event_id == c.event_id), None)
        if one is not None:
            self._open.remove(one)
        elif c.old is not None and c.new is not None:
            one = _Proposal(c.event_id, c.direction, c.old, c.new, day)  # made by a sensor before this one
            if c.old not in self._book.latest().entries:
                if _step_name(one) not in self._rested:  # else it was decided already
                    self._decided(t, one, "withdrawn", c.editor)  # the programme went on without it
                return None
        else:
            return None
        self._rested[_step_name(one)] = day
        self._decided(t, one, "accepted" if c.accept else "declined", c.editor)
        return (one.old, one.new) if c.accept else None

    def _decided(self, t: int, one: _Proposal, outcome: str, editor: str) -> None:
        data = _step(one) | {"outcome": outcome, "proposal_event_id": one.event_id, "editor": editor}
        self._say(t, "proposal", data | {"text": f"The proposal was {outcome}."})

    def _propose_harder(self, t: int, day: str, exercise: str) -> None:
        version = self._book.on(day)
        item = next((e for e in self._book.latest().entries if e.exercise == exercise), None)
        if item is None or self._book.waiting(day) is not None:
            return
        why = self._progress.ready(exercise, day, max(version.day, self._rested.get(f"progression:{exercise}", "")))
        if why is not None and self._progress.rising(day) is None:
            step = harder(item, library(), {e.exercise for e in self._book.latest().entries})
            self._propose(t, day, "progression", item, step, why)

    def _propose_easier(self, t: int, day: str) -> None:
        why = self._progress.rising(day)
        if why is None or self._book.waiting(day) is not None:
            return
        for one in [p for p in self._open if p.direction == "progression"]:
            self._open.remove(one)
            self._decided(t, one, "withdrawn", "rule")
        known = library()
        hardest_first = sorted(
            self._book.on(day).entries, key=lambda e: -(known[e.exercise].level if e.exercise in known else 0)
        )
        for item in hardest_first:
            step = easier(item, known)
            if step is not None:
                self._propose(t, day, "regression", item, step, why)
                return

    def _propose(
        self, t: int, day: str, direction: str, old: Assignment, new: Assignment | None, why: Mapping[str, Json]
    ) -> None:
        if new is None or any(p.direction == direction and p.old == old for p in self._open):
            return
        rested = self._rested.get(f"{direction}:{old.exercise}")
        if rested is not None and day < _after(rested, self._progress.limits.rest_days):
            return
        names = [known.name if (known := library().get(x.exercise)) else x.exercise for x in (old, new)]
        kind = "harder" if direction == "progression" else "easier"
        change = f"{names[0]} to {names[1]}" if old.exercise != new.exercise else f"{names[0]}, {new.sets} x {new.reps}"
        one = _Proposal("", direction, old, new, day)
        data = _step(one) | {"outcome": "open", "why": dict(why), "limits": self._progress.limits.as_json()}
        id_ = self._say(t, "proposal", data | {"text": f"Something {kind} is proposed to the therapist: {change}."})
        self._open = [*self._open[-MOST_OPEN + 1 :], replace(one, event_id=id_)]

    def snapshot(self) -> dict[str, Any]:
        """State as plain JSON."""
        return {
            "progress": self._progress.snapshot(),
            "open": [[p.event_id, p.direction, _row(p.old), _row(p.new), p.day] for p in self._open],
            "rested": dict(self._rested),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a `snapshot`."""
        self._progress.restore(state["progress"])
        self._open = [_Proposal(i, d, Assignment(*old), Assignment(*new), day) for i, d, old, new, day in state["open"]]
        self._rested = dict(state["rested"])


def _row(item: Assignment) -> list[Any]:
    return [item.exercise, item.side, item.sets, item.reps, item.hold_s]


def _step_name(one: _Proposal) -> str:
    return f"{one.direction}:{one.old.exercise}"


def _step(one: _Proposal) -> dict[str, Json]:
    old, new = entries_as_json((one.old, one.new))
    return {"direction": one.direction, "from": old, "to": new}


def _after(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
