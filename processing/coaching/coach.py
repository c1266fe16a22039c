"""The coach of one sensor: hears what the wearer and the therapist enter, keeps the programme, and holds prompts back.

Sits over the flag engine (`rules/engine.py`), whose prompts it words, and says each entry as one event. What changes
prompts acts at once; a programme acts from the next local day. Entries carry the wearer in their ids, not the sensor, so
that all sensors of a wearer know a proposal by the same id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from processing.coaching.book import Book, Version, entries_as_json
from processing.coaching.controls import (
    AnswerRedFlags,
    ClearRedFlags,
    CoachControl,
    DecideProposal,
    LogExercise,
    LogNote,
    LogPain,
    Resume,
    SetMode,
    SetProgramme,
    Verdict,
)
from processing.coaching.programme import SIDES, library
from processing.coaching.prompts import composer
from processing.coaching.proposals import Proposals
from processing.coaching.redflags import CLEAR, STOPPED
from processing.rules.base import EPOCH_NS, LocalClock, event_id
from processing.rules.engine import RuleEngine
from processing.rules.study import Assignment, Study
from processing.types import NS_PER_S, Event, Json

MODE_TEXTS: Final[Mapping[str, str]] = {
    "training": "Prompts are on.",
    "tracking": "Recording only: no prompts.",
    "stopped": "Prompts are off.",
}
VERDICT_TEXTS: Final[Mapping[str, str]] = {
    "useful": "The therapist found this flag useful.",
    "not_useful": "The therapist found this flag not useful.",
    "wrong_posture": "The therapist says that the posture was not the one named.",
}


class Coach:
    """``engine`` decides flags and prompts; everything else here is what people said."""

    def __init__(self, wearer: str, sensor: str, study: Study, study_hash: str) -> None:
        self._wearer, self._study_version, self._hash = wearer, study.version, study_hash
        self._clock = LocalClock(study.timezone)
        self._book = Book(study.programme)
        self._proposals = Proposals(self._book, self._tell)
        self._last_ns: dict[str, int] = {}
        self._out: list[Event] = []
        self._quiet = False
        self.engine = RuleEngine(
            sensor,
            study,
            study_hash,
            None,
            compose=composer(study, lambda day: self._book.on(day).entries),
            has_programme=lambda day: bool(self._book.on(day).entries),
        )

    def answer(self, t_utc_ns: int, prompt_id: str, answer: str, done: LogExercise) -> list[Event]:
        """An answer to a prompt (`RuleEngine.answer`). ``done`` is an exercise done as well: the prompt's own where this
        sensor showed it, else as the control names it.
        """
        self._quiet = not done.tell
        self._out += self.engine.answer(t_utc_ns, prompt_id, answer, tell=done.tell)
        shown = self.engine.shown(prompt_id)
        if answer == "done" and shown is None and done.exercise:
            self._done(t_utc_ns, done)
        elif answer == "done" and shown is not None and not shown.done and isinstance(shown.exercise, str):
            self.engine.mark_done(prompt_id)
            side = next((s for s in SIDES if s == shown.side), SIDES[-1])
            self._done(t_utc_ns, LogExercise(shown.exercise, side, shown.sets, shown.reps, prompt_id))
        self._quiet = False
        return self._take()

    def control(self, control: CoachControl, t_utc_ns: int) -> list[Event]:
        """Take what somebody entered at ``t_utc_ns``; its events."""
        self._quiet = isinstance(control, Resume) or not control.tell
        self._HANDLERS[type(control)](self, control, t_utc_ns)
        self._quiet = False
        return self._take()

    def _take(self) -> list[Event]:
        out, self._out = self._out, []
        return out

    # ---- diary ----

    def _pain(self, c: LogPain, t: int) -> None:
        asks = c.asks_health_questions
        text = f"Pain {c.score} of 10."
        self._tell(t, "pain", {"score": c.score, "note": c.note or None, "asks_health_questions": asks, "text": text})
        if asks:
            self._hold(t, "asked")
            self._tell(
                t,
                "red_flag",
                {
                    "outcome": "asked",
                    "stop": self.engine.gate.red_flag == "stopped",
                    "answers": None,
                    "reason": "pain",
                    "text": "The health questions are asked again; prompts wait for the answers.",
                },
            )
        day = self._day(t)
        self._proposals.pain(t, c.score, day)

    def _note(self, c: LogNote, t: int) -> None:
        self._tell(t, "note", {"note": c.note, "text": "A note was written."})

    def _exercise(self, c: LogExercise, t: int) -> None:
        shown = self.engine.shown(c.event_id) if c.event_id else None
        if shown is not None and shown.done:
            return  # this prompt's exercise stands already
        if shown is not None:
            self._out += self.engine.answer(t, c.event_id, "done", tell=not self._quiet)
            self.engine.mark_done(c.event_id)
        else:
            self.engine.exercised(t)
        self._done(t, c)

    def _done(self, t: int, c: LogExercise) -> None:
        shown = self.engine.shown(c.event_id) if c.event_id else None
        known = library().get(c.exercise)
        name = known.name if known else c.exercise
        day = self._day(t)
        data: dict[str, Json] = {
            "exercise": c.exercise,
            "exercise_name": name,
            "side": c.side,
            "sets": c.sets,
            "reps": c.reps,
            "prompt_event_id": c.event_id or None,
            "flag_event_id": None if shown is None else shown.flag_id,
            "programme_version": self._book.on(day).number,
            "text": f"Done: {name}, {c.sets} x {c.reps}.",
        }
        self._tell(t, "exercise", data)
        self._proposals.done(t, c.exercise, day)

    # ---- what holds prompts back ----

    def _mode(self, c: SetMode, t: int) -> None:
        until = None if c.minutes is None else t + c.minutes * 60 * NS_PER_S
        self._out += self.engine.set_mode(t, c.mode, until)
        text = MODE_TEXTS[c.mode] + (f" For {c.minutes} minutes." if c.minutes else "")
        self._tell(t, "mode", {"mode": c.mode, "until": until, "minutes": c.minutes, "text": text})

    def _red_flags(self, c: AnswerRedFlags, t: int) -> None:
        stop = any(c.answers.values()) or self.engine.gate.red_flag == "stopped"
        self._hold(t, "stopped" if stop else "")
        data: dict[str, Json] = {"outcome": "answered", "answers": dict(c.answers), "stop": stop}
        self._tell(t, "red_flag", data | {"text": STOPPED if stop else CLEAR})

    def _clear(self, c: ClearRedFlags, t: int) -> None:
        self._hold(t, "")
        text = "A therapist has cleared the health questions; prompts may come again."
        self._tell(
            t, "red_flag", {"outcome": "cleared", "answers": None, "stop": False, "editor": c.editor, "text": text}
        )

    def _hold(self, t: int, state: str) -> None:
        if state != "asked" or self.engine.gate.red_flag != "stopped":
            self._out += self.engine.set_red_flag(t, state)

    # ---- programme ----

    def _programme(self, c: SetProgramme, t: int) -> None:
        self._set(t, c.entries, c.editor, None)

    def _set(self, t: int, entries: tuple[Assignment, ...], editor: str, proposal: str | None) -> None:
        today = self._clock.at(t // NS_PER_S).date()
        before = self._book.on(today.isoformat())
        version = self._book.set(entries, today.isoformat(), (today + timedelta(days=1)).isoformat())
        self._proposals.withdraw(t, entries, editor)
        data: dict[str, Json] = {
            "version": version.number,
            "editor": editor,
            "effective": version.day,
            "entries": entries_as_json(entries),
            "before": {"version": before.number, "entries": entries_as_json(before.entries)},
            "proposal_event_id": proposal,
            "text": f"Programme version {version.number}: {len(entries)} exercises from {version.day} on.",
        }
        self._tell(t, "programme", data)

    def _decide(self, c: DecideProposal, t: int) -> None:
        accepted = self._proposals.decide(t, c, self._day(t))
        if accepted is not None:
            old, new = accepted
            entries = [new if e.exercise == old.exercise else e for e in self._book.latest().entries]
            once = {(e.exercise, e.side): e for e in entries}
            self._set(t, tuple(once.values()), c.editor, c.event_id)

    # ---- the therapist's view, and other pipelines' ----

    def _verdict(self, c: Verdict, t: int) -> None:
        self._tell(
            t,
            "verdict",
            {
                "flag_event_id": c.event_id,
                "verdict": c.verdict,
                "rater": c.rater,
                "note": c.note or None,
                "text": VERDICT_TEXTS[c.verdict],
            },
            c.rule or None,
        )

    def _resume(self, c: Resume, t: int) -> None:
        pending = None if c.pending_version is None else Version(c.pending_version, c.pending_day, c.pending_entries)
        if c.version:  # 0: nobody has changed the study's programme
            self._book.resume(Version(c.version, "", c.entries), pending)
        self._out += self.engine.set_mode(t, c.mode, c.mode_until_ns)
        self._out += self.engine.set_red_flag(t, c.red_flag)

    _HANDLERS: Final[Mapping[type, Callable[[Any, Any, int], None]]] = {
        LogPain: _pain,
        LogNote: _note,
        LogExercise: _exercise,
        SetMode: _mode,
        AnswerRedFlags: _red_flags,
        ClearRedFlags: _clear,
        SetProgramme: _programme,
        DecideProposal: _decide,
        Verdict: _verdict,
        Resume: _resume,
    }

    def _day(self, t_utc_ns: int) -> str:
        return self._clock.day(t_utc_ns // EPOCH_NS)

    def _tell(self, t_utc_ns: int, type_: str, data: dict[str, Json], rule: str | None = None) -> str:
        """Say it as an event, a nanosecond later where one of its type stands at this instant; its id."""
        last = self._last_ns.get(type_, -1)
        t = last + 1 if last - 1000 < t_utc_ns <= last else t_utc_ns
        self._last_ns[type_] = t
        id_ = event_id(self._wearer, type_, t, self._hash)
        if not self._quiet:
            origin: dict[str, Json] = {"study_version": self._study_version, "study_hash": self._hash}
            self._out.append(Event(t, id_, type_, rule, origin | data))
        return id_

    def snapshot(self) -> dict[str, Any]:
        """State as plain JSON, the engine's included; to be taken between two calls."""
        return {
            "engine": self.engine.snapshot(),
            "book": self._book.snapshot(),
            "proposals": self._proposals.snapshot(),
            "last_ns": dict(self._last_ns),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a `snapshot`."""
        self.engine.restore(state["engine"])
        self._book.restore(state["book"])
        self._proposals.restore(state["proposals"])
        self._last_ns = dict(state["last_ns"])
