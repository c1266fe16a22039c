"""Sensors of a gateway that has many: what waits at the same time goes through journal and outbox in one transaction each.

Between `runner.py` and `line.py`. A commit costs the same for one sensor as for fifty, and on a real disk a durable one takes
milliseconds. The journal comes first for all of the group, then the computing; where a transaction fails nothing of it remains,
and every sensor of the group begins again from its snapshot and the journal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Final

from processing.types import Samples
from sensor_gateway.drivers.base import Received
from sensor_gateway.line import SensorLine
from sensor_gateway.spool.block import Source
from sensor_gateway.spool.database import Spool, SpoolFullError
from sensor_gateway.spool.journal import Journal
from sensor_gateway.spool.outbox import Outbox

log = logging.getLogger(__name__)

GROUP_LINES: Final = 32
"""Sensors computed within one transaction; the sinks wait for it, about as many milliseconds."""
TURN_PIECES: Final = 2
"""Of journals that are ahead, between two commits of what comes: one sensor after the other catches up, and nobody waits for all."""

Items = Sequence[tuple[Source, Received]]


class Group:
    """All lines of one spool. `ingest` is called in the event loop; the lines work in ``executor``, which has one thread."""

    def __init__(self, spool: Spool, journal: Journal, outbox: Outbox, executor: Executor) -> None:
        self._spool, self._journal, self._outbox, self._executor = spool, journal, outbox, executor
        self._waiting: list[tuple[SensorLine, Items, asyncio.Future[Samples | None]]] = []
        self._work: asyncio.Task[None] | None = None

    async def ingest(self, line: SensorLine, items: Items) -> Samples | None:
        """As `SensorLine.ingest`, with all that come before the compute thread is free again."""
        done: asyncio.Future[Samples | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((line, items, done))
        if self._work is None:
            self._work = asyncio.create_task(self._until_empty(), name="group")
        return await done

    async def _until_empty(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:GROUP_LINES], self._waiting[GROUP_LINES:]
                work = [(line, items) for line, items, _ in group]
                try:
                    found: Sequence[Samples | None] = await loop.run_in_executor(self._executor, self._together, work)
                except Exception as e:  # noqa: BLE001 - belongs to those who asked
                    for _, _, done in group:
                        if not done.done():
                            done.set_exception(e)
                    continue
                for (_, _, done), samples in zip(group, found, strict=True):
                    if not done.done():
                        done.set_result(samples)
        finally:
            self._work = None

    def _together(self, work: Sequence[tuple[SensorLine, Items]]) -> list[Samples | None]:
        """In the compute thread. Raises `SpoolFullError` where nothing was journaled."""
        for line, _ in work:
            line.ready()
        try:
            with self._spool.together():
                entries = [line.log(items) for line, items in work]
        except SpoolFullError:
            self._journal.reload()
            raise
        for line in [line for line, _ in work if line.behind][:TURN_PIECES]:
            line.catch_up()
        try:
            with self._spool.together():
                found = [line.compute(logged) for (line, _), logged in zip(work, entries, strict=True)]
        except SpoolFullError as e:
            log.warning("%s", e)
            self._outbox.reload()
            for line, _ in work:
                line.begin_again()
            return [None] * len(work)
        self._outbox.wake()
        return found
