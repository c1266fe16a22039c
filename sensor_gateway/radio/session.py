"""One radio sensor's life: search, connect, start, watch, and begin again for as long as the gateway runs.

A `base.Transport`; `states` says in which order what may happen. A connection counts as streaming once samples have come,
not before: a stack can report a link that carries nothing, and a sensor that acknowledges commands or tells its battery may
still not measure. A second copy of the driver listens for that here, since the runner's may be behind. When samples stay
away the start sequence is written once more, then the link is given up. What is tried after a failure, and when somebody is
called, says `escalation`. Only the configured sensor is ever started: by its address, or by the serial number that it
advertises, and where the device has a readable serial number and one is configured, that must agree too.
Longer than other modules: it is one state machine, and its steps share the connection.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from processing.types import NS_PER_S, ImuBatch
from sensor_gateway.clock import Clock
from sensor_gateway.config import SessionLimits
from sensor_gateway.drivers.base import (
    Advert,
    Driver,
    Fetches,
    Late,
    Polled,
    Received,
    Rejected,
    Sink,
    StartsWithTime,
    Telemetry,
)
from sensor_gateway.radio.adapter import Radio
from sensor_gateway.radio.escalation import SensorLadder, pause_s
from sensor_gateway.radio.link import FIRMWARE_UUID, SERIAL_UUID, Found, Link, LinkError
from sensor_gateway.radio.states import Failure, LinkState, LinkStats, follow

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Who:
    """Which device is meant: its Bluetooth address, or the serial number in its advertised name; both where both are set.

    ``service_uuids`` help to find a connection left over from a killed process. ``name`` is for the log.
    """

    address: str = ""
    serial: str = ""
    service_uuids: tuple[str, ...] = ()
    name: str = "sensor"

    def is_it(self, advert: Advert, driver: Driver) -> bool:
        """Whether the advertisement is this device's."""
        if self.address:
            return advert.address.upper() == self.address.upper()
        words = (advert.name or "").upper().replace("_", " ").split()
        return self.serial.upper() in words and driver.match(advert) > 0


class Session:
    """The transport of one sensor. ``refused``: why it gets no place on its adapter; nothing is tried then.

    ``heard``: what an earlier run journaled last; only the session's own copy of the driver hears it, to know what is missing or set.
    """

    def __init__(
        self,
        driver: Driver,
        who: Who | str,
        radio: Radio,
        clock: Clock,
        service_uuids: tuple[str, ...] = (),
        limits: SessionLimits | None = None,
        jitter: Callable[[], float] = random.random,
        refused: str = "",
        heard: Iterable[Received] = (),
    ) -> None:
        self.driver = driver
        self.who = Who(who, service_uuids=service_uuids) if isinstance(who, str) else who
        self.stats = LinkStats(adapter=radio.adapter)
        self._ear = copy.deepcopy(driver)
        for r in heard:
            self._ear.feed(r.uuid, r.payload, r.rx_mono_ns, r.rx_utc_ns)
        self._radio, self._clock = radio, clock
        self._limits = limits or SessionLimits()
        self._jitter, self._refused = jitter, refused
        self._ladder = SensorLadder(self._limits)
        self._stall_ns = round(max(self._limits.stall_s, 20 / driver.capabilities.rate_hz) * NS_PER_S)
        # Payloads and link states in their order: a state overtaking payloads would cut a message in the journal.
        self._waiting: deque[Received | str] = deque()
        self._payloads_waiting = 0
        self._arrived = asyncio.Event()
        self._on_link: Callable[[str], None] = lambda _: None
        self._address = self.who.address.upper()
        self._data_since_ns: int | None = None
        self._last_data_ns = 0
        self._refusal = ""  # why the last payload gave nothing, since samples came or the connection was made

    def telemetry(self) -> Telemetry:
        """What the link knows now; see `HasTelemetry`."""
        return Telemetry(self.stats.rssi_dbm, self.stats.firmware, self.stats.alarm)

    async def run(self, sink: Sink, on_link: Callable[[str], None]) -> None:
        """Deliver until cancelled; see `Transport`. The connection is closed and what has arrived is delivered first."""
        self._on_link = on_link
        pump = asyncio.create_task(self._pump(sink), name="ble-pump")
        life = asyncio.create_task(self._live(), name="ble-session")
        try:
            # The pump ends only by an error of the sink, the life never: either one's end is the session's.
            done, _ = await asyncio.wait({pump, life}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
            await self._deliver(sink)

    async def _pump(self, sink: Sink) -> None:
        """Hand over what has arrived; here the runner's back-pressure ends: a radio cannot be held."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await self._deliver(sink)

    async def _deliver(self, sink: Sink) -> None:
        while self._waiting:
            received: list[Received] = []
            while self._waiting and not isinstance(item := self._waiting[0], str):
                received.append(item)
                self._waiting.popleft()
            self._payloads_waiting -= len(received)
            if received:
                await sink(received)
            elif isinstance(state := self._waiting.popleft(), str):
                self._on_link(state)

    def _drop_oldest(self) -> None:
        """The runner is hopelessly behind: the oldest payload goes, states stay."""
        for i, item in enumerate(self._waiting):
            if not isinstance(item, str):
                del self._waiting[i]
                self._payloads_waiting -= 1
                self.stats = replace(self.stats, dropped=self.stats.dropped + 1)
                return

    async def _live(self) -> None:
        if self._refused:
            await self._stay_refused()
        failures = 0
        await self._free()
        while True:
            self._data_since_ns = None
            try:
                await self._connection()
            except LinkError as e:
                kind, reason = e.kind, str(e)
            except Exception as e:  # a fault of one radio stack must not end a wearer's day
                log.exception("%s: unexpected error in the session", self.who.name)
                kind, reason = "connect", f"unexpected error: {e!r}"
            failures = 0 if self._streamed_s() >= self._limits.good_s else failures + 1
            forget = self._failed(kind, reason)
            if forget and self._address:
                bond_too = self._ladder.bond_too and self.driver.capabilities.needs_bond
                await self._radio.forget(self._address, bond_too)
            pause = pause_s(failures, kind, self._limits, self._jitter())
            # Nobody is disturbed by scanning on where the adapter carries no link.
            await self._pause(self._limits.pause_s if kind == "missing" and not self._radio.links_up else pause, kind)

    async def _stay_refused(self) -> None:
        log.error("%s: refused: %s", self.who.name, self._refused)
        self.stats = replace(self.stats, last_error=self._refused, alarm=self._refused)
        self._enter("refused")
        await asyncio.Event().wait()

    def _failed(self, kind: Failure, reason: str) -> bool:
        """Count and tell a failure; True where the operating system should forget the device."""
        now_s = self._clock.mono_ns() / NS_PER_S
        forget = self._ladder.failed(kind, now_s)
        alarm = self._ladder.alarm(kind, reason, now_s, self._radio.ladder.hopeless)
        if alarm and not self.stats.alarm:
            log.error("%s: ALARM: %s", self.who.name, alarm)
        again = reason == self.stats.last_error and self._data_since_ns is None
        log.log(
            logging.DEBUG if again else logging.WARNING, "%s: %s", self.who.name, reason
        )  # not every second the same
        self.stats = replace(
            self.stats, failures=self.stats.failures + 1, last_failure=kind, last_error=reason, alarm=alarm
        )
        self._enter("no_adapter" if kind == "adapter" else "lost")
        return forget

    async def _pause(self, seconds: float, kind: Failure) -> None:
        """Wait; after a search in vain, only until somebody else's scan hears the sensor."""
        if kind != "missing":
            await self._clock.sleep(seconds)
            return
        heard = asyncio.Event()

        def on_found(found: Found) -> None:
            if self.who.is_it(found.advert, self._ear):
                heard.set()

        with self._radio.scanner.listen(on_found):
            sleep = asyncio.ensure_future(self._clock.sleep(seconds))
            hear = asyncio.ensure_future(heard.wait())
            try:
                await asyncio.wait({sleep, hear}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleep.cancel()
                hear.cancel()
                await asyncio.gather(sleep, hear, return_exceptions=True)

    def _streamed_s(self) -> float:
        return 0.0 if self._data_since_ns is None else (self._last_data_ns - self._data_since_ns) / NS_PER_S

    async def _free(self) -> None:
        if self._address:
            await self._radio.free(self._address, self.who.service_uuids)

    async def _connection(self) -> None:
        """One connection from search to its end; always raises `LinkError`, saying why it ended."""
        self._enter("searching")
        found = await self._radio.find(lambda advert: self.who.is_it(advert, self._ear), self._limits.search_s)
        if found is None:
            await self._free()
            raise LinkError("the sensor was not found; is it charged, near, and not connected elsewhere?", "missing")
        self._address = found.advert.address.upper()
        self.stats = replace(self.stats, rssi_dbm=found.advert.rssi_dbm)
        self._enter("connecting")
        async with self._radio.connect(found, self.driver.capabilities.needs_bond) as link:
            self._enter("starting")
            self.stats = replace(self.stats, connections=self.stats.connections + 1)
            self._ear.reset()
            self._refusal = ""
            await self._identify(link)
            await link.subscribe(self.driver.notify_uuids(), self._on_payload)
            await self._start(link)
            self.stats = replace(self.stats, bonds=self.stats.bonds + link.bonds)
            try:
                await self._watch(link)
            except asyncio.CancelledError:
                await self._stop(link)
                raise

    async def _identify(self, link: Link) -> None:
        """Read the firmware's version, and refuse a device with another serial number than the configured one."""
        self.stats = replace(self.stats, firmware=await link.read_text(FIRMWARE_UUID) or self.stats.firmware)
        if not self.who.serial:
            return
        serial = await link.read_text(SERIAL_UUID)
        if serial is not None and serial.upper() != self.who.serial.upper():
            raise LinkError(
                f"the device found has serial number {serial}, not {self.who.serial}: it is not read", "stranger"
            )

    async def _start(self, link: Link) -> None:
        ear = self._ear
        await link.write(ear.start_at(self._clock.utc_ns()) if isinstance(ear, StartsWithTime) else ear.start())

    async def _stop(self, link: Link) -> None:
        """The gateway goes down: a sensor that streams on for nobody empties its battery."""
        try:
            async with asyncio.timeout(self._limits.stop_s):
                await link.write(self.driver.stop())
        except (LinkError, TimeoutError) as e:
            log.info("%s: not stopped: %s", self.who.name, e)

    async def _watch(self, link: Link) -> None:
        """Look after the data until it stops for good."""
        first_data_ns = round(self._limits.first_data_s * NS_PER_S)
        waits_since_ns = polled_ns = self._clock.mono_ns()
        restarted = False
        while True:
            try:
                async with asyncio.timeout(self._limits.check_s):
                    await link.disconnected.wait()
                raise LinkError("the sensor or the radio ended the connection", "ended")
            except TimeoutError:
                pass
            now_ns = self._clock.mono_ns()
            if self.stats.state == "streaming":
                if now_ns - self._last_data_ns < self._stall_ns:
                    restarted = False
                    if isinstance(self._ear, Fetches):
                        await link.write(self._ear.fetch(now_ns))
                    if isinstance(self._ear, Polled) and now_ns - polled_ns >= self._ear.poll_s * NS_PER_S:
                        polled_ns = now_ns
                        await link.write(self._ear.poll())
                    continue
                self._enter("stalled")
            elif now_ns - waits_since_ns < (first_data_ns if self._data_since_ns is None else self._stall_ns):
                continue
            if restarted and self._refusal:
                raise LinkError(
                    f"the sensor is connected but gives no samples; refused last: {self._refusal}", "unread"
                )
            if restarted:
                raise LinkError("the sensor is connected but sends nothing", "silent")
            restarted = True
            waits_since_ns = now_ns
            self.stats = replace(self.stats, restarts=self.stats.restarts + 1)
            await self._start(link)

    def _on_payload(self, uuid: str, payload: bytes) -> None:
        """Stamp and keep a notification; called by the radio stack between two steps of the event loop."""
        now_ns, utc_ns = self._clock.mono_ns(), self._clock.utc_ns()
        items = self._ear.feed(uuid, payload, now_ns, utc_ns)
        samples = sum(len(item.t_dev_ticks) for item in items if isinstance(item, ImuBatch))
        refused = [item.reason for item in items if isinstance(item, Rejected)]
        self._refusal = "" if samples else refused[-1] if refused else self._refusal
        stats = self.stats
        self.stats = replace(
            stats,
            payloads=stats.payloads + 1,
            payload_bytes=stats.payload_bytes + len(payload),
            samples=stats.samples + samples,
            late=stats.late + any(isinstance(item, Late) for item in items),
        )
        if samples:
            self._has_samples(now_ns)
        if self._payloads_waiting >= self._limits.backlog:
            self._drop_oldest()
        self._waiting.append(Received(uuid, payload, now_ns, utc_ns))
        self._payloads_waiting += 1
        self._arrived.set()

    def _has_samples(self, now_ns: int) -> None:
        self._last_data_ns = now_ns
        if self._data_since_ns is None:
            self._data_since_ns = now_ns
            self._ladder.healed()
        if self.stats.state != "streaming":
            if self.stats.alarm:
                log.warning("%s: data again, the alarm is over", self.who.name)
            self.stats = replace(self.stats, alarm="")
            self._enter("streaming")

    def _enter(self, state: LinkState) -> None:
        self.stats = replace(self.stats, state=follow(self.stats.state, state))
        self._waiting.append(state)
        self._arrived.set()
