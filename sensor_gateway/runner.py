"""Keeps one `SensorLine` supplied in the gateway's event loop: payloads and controls in, one commit about every 100 ms, or
each second where the gateway has many sensors and nobody looks at this one.

It is the sink of the sensor's transport, holds it back when the line is behind, takes the wearer's commands, and publishes
the live frames.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Final

import numpy as np

from processing.alignment.capture import Guidance
from processing.pipeline import Control, DeviceStatus
from processing.types import NS_PER_S, Samples
from sensor_gateway import controls
from sensor_gateway.clock import Clock
from sensor_gateway.drivers.base import HasTelemetry, Received, Telemetry, Transport
from sensor_gateway.group import Group
from sensor_gateway.line import GROUP_ENTRIES, SensorLine
from sensor_gateway.live import LiveFrame, LiveHub
from sensor_gateway.spool.block import Source
from sensor_gateway.spool.database import SpoolFullError
from sensor_gateway.spool.journal import CONTROL

log = logging.getLogger(__name__)

COMMIT_S: Final = 0.1
FEW_SENSORS: Final = 8
"""Above these a gateway commits sensors that nobody looks at once a second: a tenth of the wake-ups, half of the arithmetic."""
TURN_NS: Final = 150_000_000
"""When in a second: mostly the last payload of the second before has come, so its record leaves now and not a second later."""
LATE_TURN_NS: Final = 400_000_000
"""When once more where it had not; whose payloads come even later waits for the next second."""
PENDING_ENTRIES: Final = 2 * GROUP_ENTRIES
FULL_PAUSE_S: Final = 5.0
LIVE_HZ: Final = 20.0
LIVE_AGE_NS: Final = 5 * NS_PER_S


class EndedError(Exception):
    """A command came after the sensor's source had ended."""


class Runner:
    """One sensor in the gateway. All methods are called in the event loop; the line works in ``executor``."""

    def __init__(
        self, line: SensorLine, hub: LiveHub, clock: Clock, executor: Executor, group: Group | None = None
    ) -> None:
        """``group``: the others, where there are more than `FEW_SENSORS`."""
        self.line = line
        self._group, self._hurry = group, asyncio.Event()
        self.link: str | None = None
        self.stopped_by: str | None = None
        self.withheld: str | None = None  # why payloads are refused: the wearer has not consented (`privacy/watch.py`)
        self.guidance: Guidance | None = None
        self._teller: HasTelemetry | None = None
        self._told = Telemetry()
        self._hub, self._clock, self._executor = hub, clock, executor
        self._setup = line.recipe.setup
        self._source = Source(line.recipe.driver.id, line.recipe.driver.version)
        self._pending: list[tuple[Source, Received]] = []
        self._waiters: list[tuple[int, bool, asyncio.Future[None]]] = []
        """From which count taken on, and whether only where nothing before is left to compute."""
        self._taken = 0
        self._ending = self._leaving = False
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def put(self, received: list[Received]) -> None:
        """Take payloads, unless they are withheld; returns when there is room for more."""
        if self.withheld is not None:
            return
        source = self._source
        self._append([(source, r) for r in received])
        if len(self._pending) >= PENDING_ENTRIES:
            self._room.clear()
        if not self._room.is_set():
            await self._room.wait()

    def on_link(self, state: str) -> None:
        """Journal each new state of the connection, and what it newly knows of its sensor."""
        told = self._teller.telemetry() if self._teller is not None else Telemetry()
        if state == self.link and told == self._told:
            return
        alarm = told.alarm if told.alarm != self._told.alarm else None
        self.link, self._told = state, told
        status = DeviceStatus(link=state, rssi_dbm=told.rssi_dbm, firmware=told.firmware, alarm=alarm)
        self._append([self._control(status)])

    def note(self, control: Control, t_utc_ns: int) -> None:
        """Journal a control without waiting, in the order of the calls; also before `run`."""
        self._append([self._control(control, t_utc_ns)])

    async def command(self, control: Control, t_utc_ns: int | None = None) -> None:
        """Journal a control at ``t_utc_ns`` (None: now); returns once it is in the journal.

        Raises `EndedError` where the sensor's source has ended.
        """
        if self._ending:
            raise EndedError(self._setup.sensor)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._append([self._control(control, t_utc_ns)])
        self._waiters.append((self._taken + len(self._pending), False, done))
        self._hurry.set()
        await done

    async def caught_up(self) -> None:
        """Return once all that was taken so far is computed and its records are in the outbox."""
        if self._pending or self.line.behind:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((self._taken + len(self._pending), True, done))
            self._hurry.set()
            await done

    def _control(self, control: Control, t_utc_ns: int | None = None) -> tuple[Source, Received]:
        utc_ns = self._clock.utc_ns() if t_utc_ns is None else t_utc_ns
        return CONTROL, controls.encode(control, self._clock.mono_ns(), utc_ns)

    def _append(self, items: Sequence[tuple[Source, Received]]) -> None:
        self._pending.extend(items)
        self._more.set()

    async def run(self, transport: Transport) -> None:
        """Deliver from the transport until it ends or this is cancelled; what was received is journaled before returning, and
        computed but where this is cancelled while the journal is ahead (`SensorLine.behind`): then the next start goes on.
        """
        self._teller = transport if isinstance(transport, HasTelemetry) else None
        work = asyncio.create_task(self._work(), name=f"line-{self._setup.sensor}")
        source = asyncio.create_task(transport.run(self.put, self.on_link), name=f"transport-{self._setup.sensor}")
        try:
            await asyncio.wait({work, source}, return_when=asyncio.FIRST_COMPLETED)
            self._end()
            await asyncio.wait({work})
        except asyncio.CancelledError:
            self._leaving = True
            raise
        finally:
            source.cancel()
            ended = (await asyncio.gather(source, return_exceptions=True))[0]
            self._end()
            await work
            await self._in_thread_close()
            for _, _, waiter in self._waiters:
                waiter.set_exception(EndedError(self._setup.sensor))
        if isinstance(ended, Exception):
            raise ended

    def _end(self) -> None:
        self._ending = True
        self._more.set()
        self._hurry.set()

    async def _in_thread_close(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self.line.close)
        except SpoolFullError as e:
            log.warning("%s: %s", self._setup.sensor, e)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending or not self._ending or (self.line.behind and not self._leaving):
            if not self.line.behind:
                await self._more.wait()
            began_ns, taken_ns = self._clock.mono_ns(), self._clock.utc_ns()
            items = self._pending[:GROUP_ENTRIES]
            try:
                if self._group is None:
                    samples = await loop.run_in_executor(self._executor, self.line.ingest, items)
                else:
                    samples = await self._group.ingest(self.line, items)
            except SpoolFullError as e:
                if self.stopped_by is None:
                    log.critical("%s: %s", self._setup.sensor, e)
                self.stopped_by = str(e)
                if self._ending:
                    return
                await asyncio.sleep(FULL_PAUSE_S)
                continue
            if self.stopped_by is not None:
                log.warning("%s: receiving goes on", self._setup.sensor)
                self.stopped_by = None
            del self._pending[: len(items)]
            self._settle(len(items))
            self.guidance = self.line.guidance()
            if samples is not None:
                self._publish(samples)
            if len(self._pending) < GROUP_ENTRIES:
                self._room.set()
                if self.line.behind:
                    continue
                newest_ns = 0 if samples is None or not len(samples.t_utc_ns) else int(samples.t_utc_ns[-1])
                await self._pause((self._clock.mono_ns() - began_ns) / NS_PER_S, next_turn_ns(taken_ns, newest_ns))

    async def _pause(self, spent_s: float, turn_ns: int) -> None:
        """Until the next commit. Somebody who waits for an answer, looks at the page or sets up the clip is not kept waiting."""
        if self._group is None or self._waiters or self.guidance is not None or self._hub.watches(self._setup.wearer):
            await asyncio.sleep(max(0.0, COMMIT_S - spent_s))
            return
        self._hurry.clear()
        left_s = min(max(0, turn_ns - self._clock.utc_ns()), NS_PER_S) / NS_PER_S  # the clock may be set meanwhile
        turn = asyncio.get_running_loop().call_later(left_s, self._hurry.set)
        try:
            await self._hurry.wait()
        finally:
            turn.cancel()

    def _settle(self, done: int) -> None:
        self._taken += done
        left = []
        for due, computed, waiter in self._waiters:
            if due > self._taken or (computed and self.line.behind):
                left.append((due, computed, waiter))
            elif not waiter.done():
                waiter.set_result(None)
        self._waiters = left
        if not self._pending and not self._ending:
            self._more.clear()

    def _publish(self, samples: Samples) -> None:
        """At most `LIVE_HZ` frames a second of what has just happened (the newest alone where nobody looks); a simulated past
        is no news.
        """
        t = samples.t_utc_ns
        if not len(t) or self._clock.utc_ns() - int(t[-1]) > LIVE_AGE_NS:
            return
        step = max(1, round(self._setup.rate_hz / LIVE_HZ))
        shown = int(LIVE_HZ) if self._hub.watches(self._setup.wearer) else 0
        first = max((len(t) - 1) % step, len(t) - 1 - step * shown)
        for i in range(first, len(t), step):
            tilt, obliquity = float(samples.anterior_tilt_deg[i]), float(samples.obliquity_deg[i])
            self._hub.publish(
                LiveFrame(
                    int(t[i]),
                    None if np.isnan(tilt) else tilt,
                    None if np.isnan(obliquity) else obliquity,
                    bool(samples.valid[i]),
                    self.line.posture,
                    self._setup.wearer,
                    self._setup.sensor,
                )
            )


def next_turn_ns(taken_ns: int, newest_ns: int) -> int:
    """When one of many sensors has its next turn, after one with what was there at ``taken_ns``, its newest sample of ``newest_ns``."""
    second_ns = taken_ns - taken_ns % NS_PER_S
    turns = [TURN_NS, NS_PER_S + TURN_NS] if newest_ns >= second_ns else [TURN_NS, LATE_TURN_NS, NS_PER_S + TURN_NS]
    return next(second_ns + turn for turn in turns if taken_ns < second_ns + turn)
