"""The guided set-up over HTTP: start a step, watch how it goes, and hear why it was refused.

The steps themselves run in the pipeline (`processing/alignment/capture.py`): a capture is a journaled control, its outcome an
``alignment`` event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from processing.alignment.capture import Guidance
from processing.pipeline import CaptureMovement, CaptureNeutral
from processing.types import Event
from sensor_gateway.commands.command import Command
from sensor_gateway.web.desk import Desk, body_of
from sensor_gateway.web.shape import View, age_s, ms

OnGuidance: TypeAlias = Callable[[str], Guidance | None]
SETTLE_S: Final = 5.0
"""What a capture needs beyond its duration until its outcome is stored, at rest."""


class SetupBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /api/setup/{step}``; an empty object takes the step's usual length."""

    duration_s: float | None = None


STEPS: Final[Mapping[str, tuple[str, float, str]]] = {
    "neutral": ("neutral", 5.0, "Stand quietly and look ahead."),
    "bow": ("bows", 12.0, "Stand still for a second, then bow three times from the hips."),
    "tilt": ("pelvic_tilts", 12.0, "Stand still for a second, then tuck and untuck your tailbone three times."),
    "walk": ("walk", 30.0, "Walk straight ahead at your usual pace."),
}
"""Step of the page to the pipeline's step, its length [s], and what to do."""


class SetupApi:
    """The handlers, bound to their desk. Remembers what it started until the outcome is there."""

    def __init__(self, desk: Desk, guidance: OnGuidance) -> None:
        self._desk, self._guidance = desk, guidance
        self._started: dict[tuple[str, str], tuple[int, float]] = {}

    def routes(self) -> list[Route]:
        return [
            Route("/api/setup", self.overview),
            Route("/api/setup/{step}", self.watch),
            Route("/api/setup/{step}", self.start, methods=["POST"]),
        ]

    async def overview(self, request: Request) -> Response:
        wearer = await self._desk.wearer(request)
        events = await self._alignments(wearer)
        steps = [self._view(wearer, step, events) for step in STEPS]
        return JSONResponse({"wearer": wearer, "aligned": is_aligned(events), "steps": steps})

    async def watch(self, request: Request) -> Response:
        step = _step(request)
        wearer = await self._desk.wearer(request)
        return JSONResponse(self._view(wearer, step, await self._alignments(wearer)))

    async def start(self, request: Request) -> Response:
        step = _step(request)
        body = await body_of(request, SetupBody)
        kind, usual_s, _ = STEPS[step]
        duration_s = usual_s if body.duration_s is None else body.duration_s
        if not 2.0 <= duration_s <= 120.0:
            raise HTTPException(422, "A step takes 2 to 120 seconds.")
        wearer = await self._desk.wearer(request)
        command: Command = CaptureNeutral(duration_s) if kind == "neutral" else _movement(kind, duration_s)
        await self._desk.send(wearer, command)
        self._started[wearer, step] = (self._desk.clock.utc_ns(), duration_s)
        return JSONResponse(self._view(wearer, step, await self._alignments(wearer)), 202)

    async def _alignments(self, wearer: str) -> list[Event]:
        return await self._desk.newest(wearer, ("alignment",), 50)

    def _view(self, wearer: str, step: str, events: Sequence[Event]) -> View:
        kind, usual_s, text = STEPS[step]
        started = self._started.get((wearer, step))
        running = self._guidance(wearer)
        view: View = {
            "step": step,
            "duration_s": usual_s,
            "text": text,
            "state": "todo",
            "progress": 0.0,
            "good": None,
            "reason": None,
            "t_ms": None,
        }
        if running is not None and running.step == kind:
            progress = min(1.0, running.elapsed_s / running.duration_s)
            return view | {"state": "running", "progress": progress, "good": running.good, "text": running.text}
        last = next((e for e in events if e.data.get("step") == kind), None)
        if started is not None and (last is None or last.t_utc_ns < started[0]):
            waited_s = age_s(self._desk.clock.utc_ns(), started[0])
            if waited_s < started[1] + SETTLE_S + 25.0:  # settled estimates are told up to some 20 s later
                return view | {"state": "running", "progress": min(1.0, waited_s / started[1])}
            return view | {"state": "failed", "reason": "No data came from the sensor. Check that it is on and near."}
        if last is not None:
            data: Mapping[str, Any] = last.data
            failed = data.get("outcome") == "refused"
            view |= {"state": "failed" if failed else "done", "progress": 1.0, "t_ms": ms(last.t_utc_ns)}
            view |= {"reason": data.get("reason") if failed else None, "uncertainty_deg": data.get("uncertainty_deg")}
        return view


def is_aligned(events: Sequence[Event]) -> bool:
    """Whether a neutral pose holds; ``events`` are alignments, newest first."""
    held = next((e for e in events if e.data.get("outcome") != "refused"), None)
    return held is not None and not str(held.data.get("alignment_id", "nominal")).startswith("nominal")


def _step(request: Request) -> str:
    step: str = request.path_params["step"]
    if step not in STEPS:
        raise HTTPException(404, f"There is no step {step[:20]!r}; steps: {', '.join(STEPS)}.")
    return step


def _movement(kind: str, duration_s: float) -> CaptureMovement:
    return msgspec.convert({"movement": kind, "duration_s": duration_s}, CaptureMovement)
