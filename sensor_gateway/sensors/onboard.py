"""Recordings on a sensor's own memory, taken into its gateway's journal: what `tiltline recordings` does, without its words.

The gateway's own parts keep the journal (`gateway.Gateway`, its runner and line), so that what is fetched is journaled, computed
and replayed as what is streamed. What is held already is read from the journal itself: nothing else could be wrong about it.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from processing.types import NS_PER_S
from sensor_gateway.clock import Clock
from sensor_gateway.config import ConfigError, Sensor, Settings
from sensor_gateway.drivers import dot_message
from sensor_gateway.drivers import dot_recording as dot
from sensor_gateway.drivers.base import Received
from sensor_gateway.drivers.dot_book import Book, Held, datable
from sensor_gateway.drivers.movella_dot import MovellaDotDriver
from sensor_gateway.gateway import Gateway
from sensor_gateway.radio.adapter import Radio
from sensor_gateway.radio.recorder import Delivery, Patience, Recorded, Recorder, RecorderError
from sensor_gateway.radio.session import Session
from sensor_gateway.runner import Runner
from sensor_gateway.spool.journal import first_entry
from sensor_gateway.study_file import study_of

LOW_PERCENT: Final = 10
_LOOK_S: Final = 0.2
_STEPPED_NS: Final = 3600 * NS_PER_S  # the machine's clock may have been set back since a recording was begun


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done, in this order. ``fetch``: "all", or a recording's number. ``length_s``: of the recording to start."""

    stop: bool = False
    fetch: str = ""
    erase: bool = False
    start: bool = False
    length_s: int = dot.NO_TIMER
    force: bool = False
    assign: bool = False
    find_s: float = 15.0


@dataclasses.dataclass(frozen=True, slots=True)
class Tools:
    """With what it is done: clock, adapter, how long answers are awaited, and who hears the share of a long work (what, share)."""

    clock: Clock
    radio: Radio
    patience: Patience
    progress: Callable[[str, float], None]


class Desk:
    """One visit of one sensor. ``report`` grows as things are found and done. `work` raises `RecorderError`, `ConfigError`,
    `LinkError`, and `SpoolError` where a running gateway has the journal; what was done before stays done.
    """

    def __init__(self, settings: Settings, base: Path, sensor: Sensor, wish: Wish, tools: Tools) -> None:
        self.settings, self.base, self.sensor, self.wish, self.tools = settings, base, sensor, wish, tools
        self.report: dict[str, Any] = {"sensor": sensor.id, "wearer": sensor.wearer}

    async def work(self) -> None:
        """Open the journal, find the sensor, and do what is asked for."""
        sensor, tools = self.sensor, self.tools
        alone = dataclasses.replace(self.settings, sensors=(sensor,))
        self.gateway = Gateway(alone, study_of(self.settings, self.base), self.base, tools.clock)
        self._runner, self._compute = self.gateway.runners[sensor.id], ThreadPoolExecutor(1)
        try:
            session = self.gateway.transports[sensor.id]
            driver = session.driver
            if not isinstance(session, Session) or not isinstance(driver, MovellaDotDriver):
                raise ConfigError(
                    f"{sensor.id} is a {sensor.driver}; recordings are handled of a Movella DOT (dot). Sensors with "
                    "'record = true', and those of the open profile, are read by the running gateway"
                )
            found = await tools.radio.find(lambda advert: session.who.is_it(advert, driver), self.wish.find_s)
            if found is None:
                raise RecorderError(
                    f"{sensor.id} was not found; is it charged, awake (press its button) and near, and not connected to a "
                    "phone or another gateway?"
                )
            async with tools.radio.connect(found) as link:
                self.driver, self.recorder = driver, Recorder(link, tools.clock, tools.patience)
                await self.recorder.begin()
                await self._serve()
        finally:
            self._compute.shutdown()
            self.gateway.spool.close()

    async def _serve(self) -> None:
        wish, recorder, report = self.wish, self.recorder, self.report
        report["battery_percent"] = await recorder.battery_percent()
        state = await recorder.settled()
        if wish.stop:
            report["stopped"] = state == dot.ON_RECORDING
            if state == dot.ON_RECORDING:
                await recorder.stop()
                state = dot.IDLE
        if state == dot.ON_RECORDING:
            since = self._tell_running("recording", await recorder.running())
            if wish.fetch or wish.erase or wish.start:
                raise RecorderError(f"{self.sensor.id} has been recording since {since}; add --stop")
            return
        await self._look()
        if wish.fetch:
            await self._fetch()
        if wish.erase:
            await self._erase()
        if wish.start:
            await self._start()

    def _tell_running(self, key: str, running: tuple[int, int | None, int | None]) -> str:
        since, timer, left = running
        self.report[key] = {"start_utc": _iso(since), "timer_s": timer, "left_s": left}
        return _iso(since)

    async def _look(self) -> None:
        """The sensor's directory, and what the journal holds of it."""
        self.directory, self.found = await self.recorder.directory()
        self._tell()

    def _tell(self) -> None:
        self.book = self._held()
        rate = self.sensor.rate_hz
        of = self.directory
        self.report["memory"] = {"known": of.known, "size_bytes": of.size_bytes, "used_bytes": of.used_bytes}
        self.report["recordings"] = [_described(r, self._of(r), rate) for r in self.found]

    def _of(self, r: Recorded) -> Held:
        return self.book.held.get(r.head.start_utc_s) or Held()

    def _held(self) -> Book:
        """What this wearer's part of the journal holds of the recordings that are on the sensor."""
        book, sensor, journal = Book(), self.sensor, self.gateway.spool
        own = first_entry(journal, sensor.id, sensor.wearer)
        now_ns = self.tools.clock.utc_ns()
        starts = [r.head.start_utc_s for r in self.found if datable(r.head.start_utc_s, now_ns)]
        since_ns = min(starts, default=0) * NS_PER_S - _STEPPED_NS
        query = "SELECT min(first_seq) FROM journal WHERE sensor = ? AND last_rx_utc_ns >= ?"
        later = journal.query(query, (sensor.id, since_ns))[0][0]
        if own is None or later is None or not starts:
            return book
        for entries in self.gateway.journal.read(sensor.id, max(own, int(later))):
            for entry in entries:
                if entry.received.uuid == dot.MESSAGE_UUID:
                    book.told(dot_message.decode(entry.received.payload))
        return book

    async def _fetch(self) -> None:
        wanted = [r for r in self.found if self.wish.fetch in ("all", str(r.number))]
        if not wanted and self.wish.fetch != "all":
            numbers = ", ".join(str(r.number) for r in self.found) or "none"
            raise RecorderError(f"the sensor has no recording {self.wish.fetch}; it has: {numbers}")
        open_ = [r for r in wanted if not self._of(r).complete]
        objections = {r.number: why for r in open_ if (why := self._objection(r))}
        good = [r for r in open_ if r.number not in objections]
        try:
            await self._journal(self._groups(good))
        finally:
            self._tell()
        self.report["fetched"] = [r.number for r in good]
        if objections:
            raise RecorderError("; ".join(objections.values()))

    def _objection(self, r: Recorded) -> str:
        """Why a recording is not fetched; empty where it can be."""
        if not datable(r.head.start_utc_s, self.tools.clock.utc_ns()):
            return (
                f"recording {r.number} begins {_iso(r.head.start_utc_s)}: the sensor was told no true time, so its samples "
                "cannot be dated; export it with the maker's app and use tiltline import"
            )
        if not (self.wish.assign or self._of(r).ours):
            return (
                f"recording {r.number} was not begun by this gateway for {self.sensor.wearer} and may be another person's; "
                "if it is hers, add --assign"
            )
        return ""

    async def _journal(self, groups: AsyncIterator[list[Received]]) -> None:
        """Have the groups journaled and computed as a running gateway would; all is on the disk when this returns."""
        runner = self._runner
        self._runner = Runner(runner.line, self.gateway.hub, self.tools.clock, self._compute)
        work = asyncio.create_task(runner.run(Delivery(self.driver, groups)))
        try:
            while (
                not work.done() and runner.stopped_by is None
            ):  # a gateway waits for room on its disk, a command does not
                await asyncio.wait({work}, timeout=_LOOK_S)
        finally:
            work.cancel()
            (ended,) = await asyncio.gather(work, return_exceptions=True)
        if runner.stopped_by is not None:
            raise RecorderError(f"{runner.stopped_by}; what was journaled before is kept")
        if isinstance(ended, BaseException):
            raise ended

    async def _groups(self, wanted: Sequence[Recorded]) -> AsyncIterator[list[Received]]:
        """All that is to be journaled of the wanted recordings, one after the other."""
        sizes = [max(1, _estimate(r, self.sensor.rate_hz)) for r in wanted]
        for i, r in enumerate(wanted):

            def progress(packets: int, i: int = i) -> None:
                self.tools.progress("fetching", (sum(sizes[:i]) + min(packets, sizes[i])) / sum(sizes))

            async for group in self.recorder.fetch(r, self._of(r).next, progress):
                yield group

    async def _erase(self) -> None:
        missing = [r for r in self.found if not self._of(r).complete]
        readable = self.directory.known and len(self.found) == len(self.directory.sizes)
        if not self.wish.force and (missing or not readable):
            numbers = ", ".join(str(r.number) for r in missing) or "what cannot be read"
            raise RecorderError(f"nothing erased: not yet fetched whole: {numbers}; add --fetch, or --force to lose it")
        await self.recorder.erase(lambda share: self.tools.progress("erasing", share))
        self.report["erased"] = True
        await self._look()

    async def _start(self) -> None:
        now_ns = self.tools.clock.utc_ns()
        if not datable(now_ns // NS_PER_S, now_ns):
            raise RecorderError(
                f"this machine's clock says {_iso(now_ns // NS_PER_S)}; set it, for it dates the recording"
            )
        if self.directory.is_full:
            raise RecorderError("the sensor's memory is full; fetch what is on it, then --erase")
        if self.report["battery_percent"] < LOW_PERCENT and not self.wish.force:
            raise RecorderError(f"the battery is at {self.report['battery_percent']} %; charge it first, or --force")
        told = await self.recorder.start(self.driver, self.wish.length_s)
        await self._journal(_alone([told]))
        self._tell_running("started", await self.recorder.running())


async def _alone(group: list[Received]) -> AsyncIterator[list[Received]]:
    yield group


def _described(r: Recorded, held: Held, rate_hz: float) -> dict[str, Any]:
    return {
        "number": r.number,
        "start_utc": _iso(r.head.start_utc_s),
        "timer_s": r.head.timer_s,
        "length_s": round(held.span_us / 1e6, 3) if held.complete else None,
        "about_s": round(_estimate(r, rate_hz) / rate_hz),
        "size_bytes": r.size_bytes,
        "begun_here": bool(held.ours),
        "packets_held": held.next,
        "damaged": held.damaged,
        "fetched": bool(held.complete),
    }


def _estimate(r: Recorded, rate_hz: float) -> int:
    """Samples of a recording by the memory that it takes, and by its timer; rough."""
    by_size = r.size_bytes / dot.BYTES_PER_SAMPLE
    return round(by_size if r.head.timer_s is None else min(by_size, r.head.timer_s * rate_hz))


def _iso(utc_s: int) -> str:
    return datetime.fromtimestamp(utc_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
