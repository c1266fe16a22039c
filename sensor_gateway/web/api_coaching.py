"""Exercises, programme, diary, health questions and mode over HTTP; what is entered becomes a journaled control.

Times in answers are UTC nanoseconds where named ``_utc_ns`` and milliseconds where named ``_ms``. Every refusal is JSON
``{"error": sentence}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from processing.coaching import library
from processing.coaching.book import entries_as_json
from processing.coaching.controls import (
    AnswerRedFlags,
    ClearRedFlags,
    DecideProposal,
    LogExercise,
    LogNote,
    LogPain,
    Mode,
    SetMode,
    SetProgramme,
)
from processing.coaching.programme import Exercise, check_entries
from processing.coaching.redflags import QUESTIONS, STOPPED
from processing.rules.study import Assignment, Side
from processing.types import Event
from sensor_gateway.web.desk import Desk, body_of
from sensor_gateway.web.shape import View, ms

MOST_HISTORY = 200


class LogBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /api/log``; which fields count depends on ``kind``."""

    kind: Literal["pain", "note", "exercise"]
    score: int | None = None
    note: str = ""
    exercise: str = ""
    side: Side = "both"
    sets: int = 1
    reps: int | None = None
    event_id: str | None = None


class ModeBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /api/mode``."""

    mode: Mode
    minutes: int | None = None


class RedFlagBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /api/redflags``: answers by question, or a therapist's all-clear."""

    answers: dict[str, bool] | None = None
    clear: bool = False
    editor: str = ""


class ProgrammeBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``PUT /api/programme``."""

    entries: tuple[Assignment, ...]
    editor: str


class ProposalBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /api/proposal``."""

    event_id: str
    accept: bool
    editor: str


class CoachingApi:
    """The handlers, bound to their desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        return [
            Route("/api/exercises", self.exercises),
            Route("/api/programme", self.programme),
            Route("/api/programme", self.set_programme, methods=["PUT"]),
            Route("/api/programme/history", self.history),
            Route("/api/proposal", self.decide, methods=["POST"]),
            Route("/api/log", self.log, methods=["POST"]),
            Route("/api/redflags", self.red_flags),
            Route("/api/redflags", self.answer_red_flags, methods=["POST"]),
            Route("/api/mode", self.mode),
            Route("/api/mode", self.set_mode, methods=["POST"]),
        ]

    async def exercises(self, _: Request) -> Response:
        return JSONResponse([exercise_view(e) for e in library().values()])

    async def programme(self, request: Request) -> Response:
        wearer, desk = await self._desk.wearer(request), self._desk
        today = desk.today().isoformat()
        events = await desk.newest(wearer, ("programme",))
        proposals = open_proposals(await desk.newest(wearer, ("proposal",), MOST_HISTORY))
        return JSONResponse({**programme_view(events, desk.study.programme, today), "proposals": proposals})

    async def history(self, request: Request) -> Response:
        wearer = await self._desk.wearer(request)
        kinds = ("programme", "proposal")
        events = await self._desk.newest(wearer, kinds, MOST_HISTORY)
        return JSONResponse([_entry(e) for e in events])

    async def set_programme(self, request: Request) -> Response:
        self._desk.therapist(request)
        body = await body_of(request, ProgrammeBody)
        with _refused():
            check_entries(body.entries, "'entries[{}]")
            command = SetProgramme(body.entries, body.editor)
        await self._desk.send(await self._desk.wearer(request), command)
        return JSONResponse({"effective": "next local day", "entries": entries_as_json(body.entries)}, 202)

    async def decide(self, request: Request) -> Response:
        self._desk.therapist(request)
        body = await body_of(request, ProposalBody)
        wearer = await self._desk.wearer(request)
        known = open_proposals(await self._desk.newest(wearer, ("proposal",), MOST_HISTORY))
        if body.event_id not in {one["event_id"] for one in known}:
            raise HTTPException(404, "This proposal is not open any more; load the programme again.")
        with _refused():
            command = DecideProposal(body.event_id, body.accept, body.editor)
        await self._desk.send(wearer, command)
        return JSONResponse({"event_id": body.event_id, "accept": body.accept}, 202)

    async def log(self, request: Request) -> Response:
        body = await body_of(request, LogBody)
        wearer = await self._desk.wearer(request)
        with _refused():
            command = _logged(body)
        await self._desk.send(wearer, command)
        if isinstance(command, LogExercise) and command.event_id:
            self._desk.source.answered(command.event_id, "done")
        asks = isinstance(command, LogPain) and command.asks_health_questions
        return JSONResponse({"kind": body.kind, "asks_health_questions": asks}, 202)

    async def red_flags(self, request: Request) -> Response:
        wearer = await self._desk.wearer(request)
        events = await self._desk.newest(wearer, ("red_flag",))
        return JSONResponse(red_flag_view(events))

    async def answer_red_flags(self, request: Request) -> Response:
        body = await body_of(request, RedFlagBody)
        wearer = await self._desk.wearer(request)
        if body.clear:
            self._desk.therapist(request)
            with _refused():
                clear = ClearRedFlags(body.editor)
            await self._desk.send(wearer, clear)
            return JSONResponse({"stop": False}, 202)
        answers = body.answers or {}
        if set(answers) != {q.id for q in QUESTIONS}:
            raise HTTPException(422, "Please answer every question with yes or no.")
        await self._desk.send(wearer, AnswerRedFlags(answers))
        before = await self._desk.newest(wearer, ("red_flag",))
        stop = any(answers.values()) or bool(red_flag_view(before)["stop"])
        return JSONResponse({"stop": stop, "text": STOPPED if stop else None}, 202)

    async def mode(self, request: Request) -> Response:
        wearer = await self._desk.wearer(request)
        events = await self._desk.newest(wearer, ("mode",))
        return JSONResponse(mode_view(events, self._desk.clock.utc_ns()) | self._quiet_hours())

    def _quiet_hours(self) -> View:
        rule = self._desk.study.prompt
        return {
            "quiet_from": rule.quiet_from,
            "quiet_to": rule.quiet_to,
            "budget_per_day": rule.budget_per_day,
            "study_mode": rule.mode,
        }

    async def set_mode(self, request: Request) -> Response:
        body = await body_of(request, ModeBody)
        with _refused():
            command = SetMode(body.mode, body.minutes)
        await self._desk.send(await self._desk.wearer(request), command)
        return JSONResponse({"mode": body.mode, "minutes": body.minutes}, 202)


class _refused:  # noqa: N801 - reads as a word in `with`
    """A value that a control refuses becomes status 422 with its sentence."""

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, ValueError):
            text = str(error)
            raise HTTPException(422, f"{text[:1].upper()}{text[1:]}.") from None


def _logged(body: LogBody) -> LogPain | LogNote | LogExercise:
    if body.kind == "pain":
        if body.score is None:
            raise ValueError("say how strong the pain is with 'score', 0 to 10")
        return LogPain(body.score, body.note)
    if body.kind == "note":
        return LogNote(body.note)
    known = library().get(body.exercise)
    if known is None:
        raise ValueError(f"exercise {body.exercise!r} is not in the library; GET /api/exercises lists it")
    check_entries((Assignment(known.id, body.side),), "'exercise[{}]")
    reps = known.dose.reps if body.reps is None else body.reps
    return LogExercise(known.id, body.side, body.sets, reps, body.event_id or "")


def exercise_view(exercise: Exercise) -> View:
    """One exercise of the library as the pages show it."""
    dose = exercise.dose
    return {
        **asdict(exercise),
        "dose": {"sets": dose.sets, "reps": dose.reps, "hold_s": dose.hold_s},
        "picture": f"/exercises/{exercise.id}.svg",
    }


def programme_view(events: Sequence[Event], study: Sequence[Assignment], today: str) -> View:
    """The version that holds today and the one that waits; ``events`` newest first, the study's programme is version 1."""
    own: View = {"version": 1, "effective": None, "editor": None, "entries": entries_as_json(study), "pending": None}
    if not events:
        return own
    data: Mapping[str, Any] = events[0].data
    newest = {key: data[key] for key in ("version", "effective", "editor", "entries")}
    if data["effective"] <= today:
        return {**newest, "pending": None}
    before: Mapping[str, Any] = data["before"]
    return {**own, "version": before["version"], "entries": before["entries"], "pending": newest}


def open_proposals(events: Sequence[Event]) -> list[View]:
    """Proposals that nobody has decided yet, newest first as the events are."""
    decided = {e.data.get("proposal_event_id") for e in events}
    return [_entry(e) for e in events if e.data.get("outcome") == "open" and e.event_id not in decided]


def red_flag_view(events: Sequence[Event]) -> View:
    """The questions and how they stand: asked when, answered when, stopped or not."""
    data: Mapping[str, Any] = events[0].data if events else {}
    outcome = data.get("outcome")
    return {
        "questions": [asdict(q) for q in QUESTIONS],
        "asked_utc_ns": events[0].t_utc_ns if outcome == "asked" else None,
        "answered_utc_ns": events[0].t_utc_ns if outcome in ("answered", "cleared") else None,
        "due": not events or outcome == "asked",
        "stop": bool(data.get("stop")),
        "text": STOPPED if data.get("stop") else None,
    }


def mode_view(events: Sequence[Event], now_ns: int) -> View:
    """The wearer's mode now; one whose time is over is training again."""
    data: Mapping[str, Any] = events[0].data if events else {}
    until = data.get("until")
    if not events or (until is not None and now_ns >= until):
        return {"mode": "training", "until_utc_ns": None, "until_ms": None}
    return {"mode": data["mode"], "until_utc_ns": until, "until_ms": None if until is None else ms(until)}


def _entry(event: Event) -> View:
    return {"event_id": event.event_id, "t_ms": ms(event.t_utc_ns), "type": event.type, **event.data}
