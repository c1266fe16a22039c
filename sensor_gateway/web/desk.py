"""What all pages share: who asks, in which role, the store behind them, and the way to the gateway.

Roles: the guard may put ``role`` ("wearer" or "therapist") and ``wearer`` on the request; where there is none, one
person at home is both.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from processing.rules.study import Study
from processing.types import NS_PER_S, Event
from sensor_gateway.commands.command import Command, CommandError, OnCommand
from sensor_gateway.sinks.store import Store
from sensor_gateway.web.source import Source

NO_GATEWAY = "This page only shows stored data; start it with 'tiltline run' to enter something or set your neutral."
T = TypeVar("T")


def bound_to(request: Request) -> str | None:
    """The wearer that the request's sign-in belongs to, None where it may see all."""
    bound: str | None = getattr(request.state, "wearer", None)
    return bound


async def body_of(request: Request, kind: type[T]) -> T:
    """The request's JSON as ``kind``, its size bounded by the guard before; what does not fit is refused with the reason."""
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise HTTPException(422, f"This cannot be used: {e}.") from None


class Desk:
    """Shared by the handlers of one page server."""

    def __init__(self, source: Source, study: Study, on_command: OnCommand | None) -> None:
        self.source, self.clock, self.study = source, source.clock, study
        self._on_command = on_command

    @property
    def can_command(self) -> bool:
        """Whether there is a gateway to take what is entered."""
        return self._on_command is not None

    def today(self) -> date:
        """The wearer's local day, by the study's time zone: programmes change with it."""
        now = datetime.fromtimestamp(self.clock.utc_ns() / NS_PER_S, UTC)
        return now.astimezone(ZoneInfo(self.study.timezone)).date()

    async def read(self, ask: Callable[[Store], T], nothing: T) -> T:
        """Ask the store in a worker thread; ``nothing`` before its first record."""
        store = await run_in_threadpool(self.source.store)
        return nothing if store is None else await run_in_threadpool(ask, store)

    async def newest(self, wearer: str, types: tuple[str, ...], limit: int = 1) -> list[Event]:
        """The wearer's newest events of these types, newest first."""
        nothing: list[Event] = []
        return await self.read(lambda store: store.newest(wearer, types, limit), nothing)

    async def wearer(self, request: Request) -> str:
        """The wearer the request is about: the one its token is bound to, else the one asked for."""
        bound = bound_to(request)
        asked = request.query_params.get("wearer")
        if bound is not None:
            if asked not in (None, bound):
                raise HTTPException(403, "This sign-in belongs to another wearer.")
            return bound
        return await run_in_threadpool(self.source.wearer, asked)

    def therapist(self, request: Request) -> None:
        """Refuse whoever is a wearer only."""
        if getattr(request.state, "role", "therapist") != "therapist":
            raise HTTPException(403, "Only your therapist can do this; please ask.")

    async def send(self, wearer: str, command: Command) -> None:
        """Give it to the gateway, which journals it."""
        if self._on_command is None:
            raise HTTPException(503, NO_GATEWAY)
        try:
            await self._on_command(wearer, command)
        except CommandError as e:
            raise HTTPException(409, str(e)) from None
