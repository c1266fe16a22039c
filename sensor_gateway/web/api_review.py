"""The therapist's review: each flag with its evidence and what became of it, and a verdict on it.

The precision of a rule is the share of its judged flags that were found useful, with how many were judged: a share of three
flags says little, and the page shows both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from processing.coaching.controls import VERDICTS, Verdict, VerdictWord
from processing.types import NS_PER_S, Event
from sensor_gateway.explain.svg import draw
from sensor_gateway.sinks.store import Store
from sensor_gateway.web.api_coaching import open_proposals
from sensor_gateway.web.desk import Desk, body_of
from sensor_gateway.web.explain import answers_of, flag_views
from sensor_gateway.web.shape import View, ms

REVIEWED = ("flag", "prompt", "suppressed", "answer", "exercise", "response", "verdict")
MOST_EVENTS = 5000
MOST_FLAGS = 200
WAITING_NS = 28 * 86_400 * NS_PER_S


class ReviewBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /api/review``."""

    event_id: str
    verdict: VerdictWord
    rater: str
    note: str = ""


class ReviewApi:
    """The handlers, bound to their desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        return [
            Route("/api/review", self.queue),
            Route("/api/review", self.judge, methods=["POST"]),
            Route("/api/review/wearers", self.wearers),
            Route("/api/review/{event_id}/picture.svg", self.picture),
        ]

    async def wearers(self, request: Request) -> Response:
        """Whose flags there may be, and what of the last four weeks waits for the therapist."""
        self._desk.therapist(request)
        known = await run_in_threadpool(self._desk.source.wearers)
        since_ns = self._desk.clock.utc_ns() - WAITING_NS
        nothing: dict[str, View] = {}
        found = await self._desk.read(lambda store: {w: waiting(store, w, since_ns) for w in known}, nothing)
        return JSONResponse({"wearers": known, "waiting": found})

    async def picture(self, request: Request) -> Response:
        """The minutes behind a flag, drawn from the flag's own record."""
        self._desk.therapist(request)
        owned = await self._desk.read(lambda store: store.event(request.path_params["event_id"]), None)
        if owned is None or not isinstance(owned.record, Event) or owned.record.type != "flag":
            raise HTTPException(404, "There is no such flag here; load the queue again.")
        try:
            zone = ZoneInfo(request.query_params.get("tz") or self._desk.study.timezone)
        except (KeyError, ValueError, OSError):
            raise HTTPException(400, "Use tz=Area/City, e.g. tz=Europe/Berlin.") from None
        drawn = draw(owned.record, zone, headed=False)
        return Response(drawn, media_type="image/svg+xml")

    async def queue(self, request: Request) -> Response:
        """Flags, newest first; ``state`` open (no verdict yet) or all."""
        self._desk.therapist(request)
        state = request.query_params.get("state", "open")
        if state not in ("open", "all"):
            raise HTTPException(400, "Use state=open or state=all.")
        wearer = await self._desk.wearer(request)
        events = await self._desk.newest(wearer, REVIEWED, MOST_EVENTS)
        flags = review_views(events[::-1], self._desk.clock.utc_ns(), self._desk.study.prompt.expire_s)
        shown = [f for f in flags if state == "all" or f["verdict"] is None][:MOST_FLAGS]
        return JSONResponse({"wearer": wearer, "flags": shown, "precision": precision(flags)})

    async def judge(self, request: Request) -> Response:
        self._desk.therapist(request)
        body = await body_of(request, ReviewBody)
        found = await self._desk.read(lambda store: flag_owner(store, body.event_id), None)
        if found is None:
            raise HTTPException(404, "There is no such flag here; load the queue again.")
        try:
            verdict = Verdict(body.event_id, body.verdict, body.rater, body.note, rule=found[1])
        except ValueError as e:
            raise HTTPException(422, f"{str(e)[:1].upper()}{str(e)[1:]}.") from None
        await self._desk.send(found[0], verdict)
        return JSONResponse({"event_id": body.event_id, "verdict": body.verdict}, 202)


def waiting(store: Store, wearer: str, since_ns: int) -> View:
    """How many flags have no verdict yet, and how many proposed steps no decision."""
    events = store.newest(wearer, ("flag", "verdict", "proposal"), MOST_EVENTS, since_ns)
    judged = {e.data.get("flag_event_id") for e in events if e.type == "verdict"}
    return {
        "flags": sum(e.type == "flag" and e.event_id not in judged for e in events),
        "proposals": len(open_proposals([e for e in events if e.type == "proposal"])),
    }


def flag_owner(store: Store, event_id: str) -> tuple[str, str] | None:
    """Whose flag it is, and its rule; None where it is none."""
    owned = store.event(event_id)
    if owned is None or not isinstance(owned.record, Event) or owned.record.type != "flag":
        return None
    return owned.wearer, owned.record.rule or ""


def review_views(events: Sequence[Event], now_ns: int, expire_s: int) -> list[View]:
    """Flags, newest first, each with its evidence, what followed, and the verdicts; ``events`` in time order."""
    follows: defaultdict[str, dict[str, list[Event]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        flag_id = event.data.get("flag_event_id")
        if isinstance(flag_id, str):
            follows[flag_id][event.type].append(event)
    texts = {e.event_id: e.data.get("text") for e in events if e.type == "flag"}
    found: list[View] = []
    for view in reversed(flag_views(events, answers_of(events), now_ns, expire_s)):
        mine = follows[view["event_id"]]
        verdicts = [_verdict(e) for e in mine["verdict"]]
        found.append(
            {
                **view,
                "text": texts[view["event_id"]],
                "exercises": [
                    _part(e, ("exercise", "exercise_name", "side", "sets", "reps")) for e in mine["exercise"]
                ],
                "responses": [
                    _part(e, ("group", "outcome", "delta_deg", "se_deg", "limit_deg", "text")) for e in mine["response"]
                ],
                "verdicts": verdicts,
                "verdict": verdicts[-1]["verdict"] if verdicts else None,
            }
        )
    return found


def precision(flags: Sequence[View]) -> dict[str, View]:
    """Per rule: judged flags by verdict, and the share found useful (null where none was judged)."""
    counts: dict[str, dict[str, int]] = {}
    for flag in flags:
        if flag["verdict"] is not None:
            counts.setdefault(flag["rule"], dict.fromkeys(VERDICTS, 0))[flag["verdict"]] += 1
    return {
        rule: {**by, "judged": sum(by.values()), "precision": by["useful"] / sum(by.values())}
        for rule, by in sorted(counts.items())
    }


def _verdict(event: Event) -> View:
    return _part(event, ("verdict", "rater", "note"))


def _part(event: Event, keys: Sequence[str]) -> View:
    data: Mapping[str, Any] = event.data
    return {"event_id": event.event_id, "t_ms": ms(event.t_utc_ns), **{key: data.get(key) for key in keys}}
