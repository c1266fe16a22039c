"""The gateway of one site: sensors, spool, sinks and the page, put together from the settings and taken down in order.

Order of going down: transports stop, what was received is computed and stored, the sinks get a moment to catch up, then
everything closes. Whatever is not delivered by then waits in the outbox. Longer than other modules: one order, in one place.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from processing.alignment.capture import Guidance
from processing.alignment.static import AlignmentError
from processing.features.movement import load_filters
from processing.pipeline import Control
from processing.rules.study import Study
from processing.types import NS_PER_S
from sensor_gateway import derive
from sensor_gateway.clock import Clock
from sensor_gateway.commands.command import CommandError
from sensor_gateway.config import ConfigError, Sensor, Settings
from sensor_gateway.drivers.base import Received, Transport, worn_as
from sensor_gateway.drivers.registry import transport_factory
from sensor_gateway.entries import addressed, resume, told_by
from sensor_gateway.group import Group
from sensor_gateway.line import CATCH_UP_ENTRIES, SensorLine
from sensor_gateway.live import LiveHub
from sensor_gateway.radio.pool import RadioContext, Radios
from sensor_gateway.runner import FEW_SENSORS, EndedError, Runner
from sensor_gateway.sinks.base import Sink
from sensor_gateway.sinks.configured import configured_sinks
from sensor_gateway.sinks.store import Store, StoreError
from sensor_gateway.spool.database import Spool
from sensor_gateway.spool.journal import Journal, first_entry
from sensor_gateway.spool.outbox import Outbox, SinkView
from sensor_gateway.status.refusals import Refusals, by_door
from sensor_gateway.status.report import ClockWatch, Report, Reporter, numbers, vitals
from sensor_gateway.status.status import SPOOL_FILE, STORE_FILE, StatusError, gateway_books
from sensor_gateway.web.tokens import load_tokens

if TYPE_CHECKING:
    from sensor_gateway.commands.receiver import Receiver

log = logging.getLogger(__name__)

FLUSH_S: Final = 5.0
COMMAND_S: Final = 10.0
RECENT_ENTRIES: Final = 36_000  # an hour of ten notifications a second
_BEHIND: Final = (
    "{}: {} journal entries are still to be computed, as after an update or a new study; its live values follow"
)


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a command line wants to hear: progress of catching up per sensor (0..1), and the page's address."""

    on_progress: Callable[[str, float], None] | None = None
    on_page: Callable[[str], None] | None = None


class Gateway:
    """One `tiltline run`. Everything that can be wrong with the settings is said by the constructor."""

    def __init__(
        self,
        settings: Settings,
        study: Study,
        base: Path,
        clock: Clock,
        hooks: Hooks | None = None,
        radios: Radios | None = None,
    ) -> None:
        """Open the spool and make the transports; raises `ConfigError` or `SpoolError`.

        ``radios``: the Bluetooth adapters, where not the ones that the settings name (a simulated stack).
        """
        if not settings.sensors:
            raise ConfigError("no sensor is configured; add a [[sensors]] block (see config/gateway.example.toml)")
        self.settings, self.study, self.clock = settings, study, clock
        self._hooks = hooks or Hooks()
        self.radios = radios or Radios(settings.radio)
        self._base, self._tokens = base, load_tokens(settings.web, base)
        folder = base / settings.site.data_dir
        self.store_path = folder / STORE_FILE
        self.hub = LiveHub()
        self.final: dict[str, int] = {}  # counters when everything had been taken down
        self.doors = [Refusals("page")]
        self.receiver: Receiver | None = None
        if settings.mqtt.enabled and settings.commands.issuers:
            from sensor_gateway.commands.receiver import Receiver

            self.receiver = Receiver(settings, base, clock, self._carry_out)
            self.doors.append(self.receiver.refusals)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watch, self._began_ns = ClockWatch(clock), clock.utc_ns()
        self.sinks = configured_sinks(settings, base, self.store_path, clock, self._vital_numbers)
        self.spool = Spool(folder / SPOOL_FILE)
        try:
            self.journal = Journal(self.spool, settings.limits.journal_max_mb * 1_000_000)
            self.outbox = Outbox(
                self.spool,
                [s.name for s in self.sinks],
                settings.limits.outbox_max_rows,
                settings.limits.outbox_max_days,
            )
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="compute")
            many = len(settings.sensors) > FEW_SENSORS
            self._group = Group(self.spool, self.journal, self.outbox, self._executor) if many else None
            self._lines = [self._line(sensor) for sensor in settings.sensors]
        except BaseException:
            self.spool.close()
            raise
        self.runners = {sensor_id: runner for sensor_id, runner, _ in self._lines}
        self.transports = {sensor_id: transport for sensor_id, _, transport in self._lines}
        self._resume()

    def _line(self, sensor: Sensor) -> tuple[str, Runner, Transport]:
        hook = self._hooks.on_progress
        transport = transport_factory(sensor)(
            sensor,
            RadioContext(
                self.clock,
                self.journal.last_rx_utc_ns(sensor.id),
                None if hook is None else lambda share: hook(sensor.id, share),
                lambda driver: self._journaled(sensor, driver),
                self.radios,
            ),
        )
        try:
            recipe = derive.recipe(sensor, self.study, transport.driver, worn_as(transport))
        except AlignmentError as e:
            raise ConfigError(f"key 'mount' of sensor {sensor.id!r}: {e}") from None
        line = SensorLine(recipe, self.journal, self.outbox, self.clock)
        return sensor.id, Runner(line, self.hub, self.clock, self._executor, self._group), transport

    def _journaled(self, sensor: Sensor, driver: str) -> Iterator[Received]:
        """The last hour or so of this wearer's payloads that ``driver`` read."""
        known = first_entry(self.spool, sensor.id, sensor.wearer)
        if known is not None:
            for entries in self.journal.read(sensor.id, max(known, self.journal.last_seq(sensor.id) - RECENT_ENTRIES)):
                yield from (e.received for e in entries if e.source.driver == driver)

    async def command(self, wearer: str, control: Control, t_utc_ns: int | None = None) -> None:
        """Journal a wearer's command for each of her sensors; raises `CommandError` in her words."""
        runners = [self.runners[s.id] for s in self.settings.sensors if s.wearer == wearer]
        if not runners:
            raise CommandError("This gateway has no sensor of yours.")
        if any(runner.stopped_by is not None for runner in runners):
            raise CommandError("The gateway's disk is full; nothing can be stored at the moment.")
        control = await asyncio.to_thread(self._addressed, control)
        at_ns = self.clock.utc_ns() if t_utc_ns is None else t_utc_ns  # one instant, so that ids agree between sensors
        told = False
        for runner in runners:
            try:
                await runner.command(told_by(control, first=not told), at_ns)
                told = True
            except EndedError:
                continue  # another of her sensors may still take it
        if not told:
            raise CommandError("Your sensor's recording has ended; nothing more is taken.")

    def _carry_out(self, wearer: str, control: Control) -> None:
        """`command` for the thread that hears commands over MQTT."""
        if self._loop is None:
            raise CommandError("The gateway is only starting; send it again.")
        asked = asyncio.run_coroutine_threadsafe(self.command(wearer, control), self._loop)
        try:
            asked.result(COMMAND_S)
        except (TimeoutError, CancelledError):
            raise CommandError("The gateway is too busy, or stops, and did not confirm it.") from None

    def _addressed(self, control: Control) -> Control:
        with self._stored() as store:
            return addressed(control, store)

    @contextlib.contextmanager
    def _stored(self) -> Iterator[Store | None]:
        """The store to read from, None before its first record."""
        try:
            store = Store.open(self.store_path, readonly=True)
        except StoreError:
            yield None
            return
        try:
            yield store
        finally:
            store.close()

    def _resume(self) -> None:
        """Tell a sensor that is new to its wearer what holds for her already."""
        new = [s for s in self.settings.sensors if first_entry(self.spool, s.id, s.wearer) is None]
        with self._stored() as store:
            for sensor in new if store is not None else ():
                now_ns = self.clock.utc_ns()
                today = datetime.fromtimestamp(now_ns / NS_PER_S, ZoneInfo(self.study.timezone)).date()
                held = None if store is None else resume(store, sensor.wearer, today)
                if held is not None:
                    self.runners[sensor.id].note(held, now_ns)

    def guidance(self, wearer: str) -> Guidance | None:
        """How the wearer's running step of the guided set-up goes, None where none runs; the worst of her sensors."""
        running = [g for s in self.settings.sensors if s.wearer == wearer and (g := self.runners[s.id].guidance)]
        return min(running, key=lambda g: g.good, default=None)

    async def run(self, stop: asyncio.Event, until_done: bool = False) -> int:
        """Run until ``stop`` is set, or (``until_done``) all recordings have ended and every sink has everything.

        Gives the exit status: 1 where every sensor failed. Raises ``OSError`` where the page's address is taken.
        """
        stop_sinks = threading.Event()
        reporter = Reporter(self.store_path.parent, "gateway", self.report, self.settings.metrics)
        reporter.start()
        threads = [self._start(sink, stop_sinks) for sink in self.sinks]
        # While the radio waits for sensors; the first data would wait for it otherwise.
        threading.Thread(target=load_filters, name="filters", daemon=True).start()
        self._loop = asyncio.get_running_loop()
        if self.receiver is not None:
            threads.append(threading.Thread(target=self.receiver.run, args=(stop_sinks,), name="commands", daemon=True))
            threads[-1].start()
        page = asyncio.create_task(self._serve_page(), name="page")
        sensors = asyncio.create_task(self._run_sensors(), name="sensors")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        ends: set[asyncio.Task[object]] = {stopping, page, sensors} if until_done else {stopping, page}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if page.done():
                page.result()
            if sensors.done() and not stop.is_set():
                await self.delivered(stop)
        finally:
            sensors.cancel()
            failed = (await asyncio.gather(sensors, return_exceptions=True))[0]
            await self.delivered(stop, ("store", "file"), FLUSH_S)
            page.cancel()
            stopping.cancel()
            await asyncio.gather(page, stopping, return_exceptions=True)
            stop_sinks.set()
            self.outbox.wake()
            await asyncio.to_thread(reporter.close)
            for thread in threads:
                await asyncio.to_thread(thread.join, FLUSH_S)
            self._executor.shutdown()
            self.final = self.outbox.counters() | {f"queued_{s.name}": self.outbox.queued(s.name) for s in self.sinks}
            self.spool.close()
        return int(failed is True)

    def report(self) -> Report:
        """What the gateway says of itself now; also from other threads."""
        site, folder = self.settings.site, self.store_path.parent
        troubles = [t for sink in self.sinks if isinstance(t := getattr(sink, "trouble", None), str)]
        troubles += [t for t in (self.receiver and self.receiver.trouble,) if t]
        troubles += [t for r in self.runners.values() for t in (r.stopped_by, r.withheld, r.line.broken) if t]
        troubles += [_BEHIND.format(s, n) for s, r in self.runners.items() if (n := r.line.behind) > CATCH_UP_ENTRIES]
        links = {sensor: r.link for sensor, r in self.runners.items() if r.link is not None}
        now_ns, signs, books = self.clock.utc_ns(), vitals(folder, self._watch), gateway_books(folder)
        names = ("gateway", site.id, site.gateway, os.getpid(), self._began_ns, now_ns)
        return Report(*names, signs, books, tuple(troubles), links, refusals=by_door(self.doors))

    def _vital_numbers(self) -> dict[str, float]:
        """For the status over MQTT; nothing where a full disk keeps even the books from being read."""
        try:
            signs = vitals(self.store_path.parent, self._watch)
            lag_s = next((h.lag_s for h in gateway_books(self.store_path.parent).hops if h.name == "mqtt"), 0.0)
        except (OSError, StatusError) as e:
            log.warning("status: %s", e)
            return {}
        return numbers(signs, lag_s, by_door(self.doors))

    def _start(self, sink: Sink, stop: threading.Event) -> threading.Thread:
        thread = threading.Thread(
            target=sink.run, args=(SinkView(self.outbox, sink.name), stop), name=f"sink-{sink.name}", daemon=True
        )
        thread.start()
        return thread

    async def _run_sensors(self) -> bool:
        """Run every sensor to its end; True where each of them failed."""
        tasks = [asyncio.create_task(self._run_sensor(*line), name=f"sensor-{line[0]}") for line in self._lines]
        try:
            await asyncio.wait(tasks)
            return all(task.result() for task in tasks)
        finally:
            # Once each: gather, cancelled, ends with the first of them, and another cancelling would cut off hanging up.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_sensor(self, sensor: str, runner: Runner, transport: Transport) -> bool:
        """One sensor's error stops this sensor only; True where there was one."""
        try:
            await runner.run(transport)
        except Exception:
            log.exception("sensor %s: stopped by an error in its transport; the other sensors go on", sensor)
            return True
        log.info("sensor %s: its source has ended", sensor)
        return False

    async def _serve_page(self) -> None:
        web = self.settings.web
        if not web.enabled:
            await asyncio.Event().wait()
        await asyncio.to_thread(importlib.import_module, "sensor_gateway.web.app")  # long; no sensor waits for it
        from sensor_gateway.web.app import Access, create_app, serve

        access = Access(self._tokens, self.doors[0])
        app = create_app(
            self.store_path, self.hub, self.settings, self.clock, self.command, self.study, self.guidance, access
        )
        tls = (self._base / web.certificate, self._base / web.key) if web.certificate else None
        await serve(app, web.host, web.port, self._hooks.on_page, tls)

    async def delivered(self, stop: asyncio.Event, names: Sequence[str] = (), most_s: float | None = None) -> None:
        """Wait until the sinks (``names``, default all) have everything; at most ``most_s``, or until ``stop``."""
        waited_s = 0.0
        while any(self.outbox.queued(s.name) for s in self.sinks if not names or s.name in names):
            if (most_s is None and stop.is_set()) or (most_s is not None and waited_s >= most_s):
                return
            await asyncio.sleep(0.1)
            waited_s += 0.1
