"""The page's HTTP interface: ``/api/now``, ``/api/today``, ``/api/trends``, ``/api/live``, ``/api/flag/{id}``, two commands.

Every refusal is JSON ``{"error": sentence}``. Commands go to the gateway's callback, which journals them; a page served
without a gateway (``tiltline web``) answers 503 to them.
"""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from processing.pipeline import Answer, CaptureNeutral
from processing.rules.gate import ANSWERS
from sensor_gateway.live import LiveHub
from sensor_gateway.sinks.store import StoreError
from sensor_gateway.web.desk import Desk, body_of, bound_to
from sensor_gateway.web.shape import View
from sensor_gateway.web.source import NotFoundError
from sensor_gateway.web.stream import MAX_STREAMS, stream

BAD_DAY = "Use tz=Area/City and day=YYYY-MM-DD, e.g. tz=Europe/Berlin."
UNREADABLE = "What was recorded cannot be read at the moment; please tell whoever looks after this gateway."
TREND_DAYS = ("7", "28")


class AnswerBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /api/answer``."""

    event_id: str
    answer: str


class NeutralBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /api/neutral``."""

    duration_s: float = 5.0


class Api:
    """The handlers, bound to their desk and the live hub."""

    def __init__(self, desk: Desk, hub: LiveHub, timezone: str) -> None:
        self._desk, self._source, self._hub, self._timezone = desk, desk.source, hub, timezone

    def routes(self) -> list[Route]:
        return [
            Route("/api/now", self.now),
            Route("/api/today", self.today),
            Route("/api/trends", self.trends),
            Route("/api/live", self.live),
            Route("/api/flag/{event_id}", self.flag),
            Route("/api/answer", self.answer, methods=["POST"]),
            Route("/api/neutral", self.neutral, methods=["POST"]),
        ]

    async def now(self, request: Request) -> Response:
        view = await run_in_threadpool(self._source.now, await self._desk.wearer(request))
        bound = bound_to(request)
        wearers = [bound] if bound else await run_in_threadpool(self._source.wearers)
        return JSONResponse({**view, "can_command": self._desk.can_command, "wearers": wearers})

    async def today(self, request: Request) -> Response:
        query = request.query_params
        zone = self._zone(request)
        try:
            day = date.fromisoformat(query["day"]) if "day" in query else None
        except ValueError:
            raise HTTPException(400, BAD_DAY) from None
        return JSONResponse(await run_in_threadpool(self._source.day, await self._desk.wearer(request), day, zone))

    async def trends(self, request: Request) -> Response:
        days = request.query_params.get("days", "7")
        if days not in TREND_DAYS:
            raise HTTPException(400, f"Use days= and one of {', '.join(TREND_DAYS)}.")
        wearer, zone = await self._desk.wearer(request), self._zone(request)
        return JSONResponse(await run_in_threadpool(self._source.trends, wearer, int(days), zone))

    def _zone(self, request: Request) -> ZoneInfo:
        try:
            return ZoneInfo(request.query_params.get("tz") or self._timezone)
        except (KeyError, ValueError, OSError):
            raise HTTPException(400, BAD_DAY) from None

    async def live(self, request: Request) -> Response:
        wearer = await self._desk.wearer(request)
        if self._hub.subscribers >= MAX_STREAMS:
            raise HTTPException(503, "Too many pages are open on this gateway; close one of them.")
        return StreamingResponse(stream(self._source, self._hub, wearer), media_type="text/event-stream")

    async def flag(self, request: Request) -> Response:
        return JSONResponse(await self._event(request, request.path_params["event_id"]))

    async def _event(self, request: Request, event_id: str) -> View:
        """An event with what followed; of another wearer's a wearer's sign-in learns not even that it exists."""
        found = await run_in_threadpool(self._source.flag, event_id)
        if bound_to(request) not in (None, found["wearer"]):
            raise NotFoundError(f"There is no event {event_id[:40]!r}; it may belong to another gateway.")
        return found

    async def answer(self, request: Request) -> Response:
        body = await body_of(request, AnswerBody)
        if body.answer not in ANSWERS:
            raise HTTPException(422, f"The answer is one of {', '.join(ANSWERS)}.")
        prompt = await self._event(request, body.event_id)
        if prompt["type"] != "prompt":
            raise HTTPException(422, "Only a prompt can be answered.")
        await self._desk.send(prompt["wearer"], Answer(body.event_id, body.answer))
        self._source.answered(body.event_id, body.answer)
        return JSONResponse({"event_id": body.event_id, "answer": body.answer}, 202)

    async def neutral(self, request: Request) -> Response:
        body = await body_of(request, NeutralBody)
        if not 2.0 <= body.duration_s <= 30.0:
            raise HTTPException(422, "Take the neutral over 2 to 30 seconds.")
        await self._desk.send(await self._desk.wearer(request), CaptureNeutral(body.duration_s))
        return JSONResponse({"duration_s": body.duration_s}, 202)


async def on_error(_: Request, error: Exception) -> Response:
    """Errors the handlers raise on purpose, as JSON."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code)
    if isinstance(error, StoreError):
        return JSONResponse({"error": UNREADABLE}, 503)  # why stands in `tiltline status`
    found = {"wearers": error.wearers} if isinstance(error, NotFoundError) and error.wearers is not None else {}
    return JSONResponse({"error": str(error), **found}, 404)


ERRORS: dict[Any, Any] = {HTTPException: on_error, NotFoundError: on_error, StoreError: on_error}
