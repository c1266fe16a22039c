"""One radio sensor's life: search, connect, start, watch, and begin again for as long as the gateway runs.

A `base.Transport` over `drivers.ble`. States, as `on_link` hears them:

    searching → connecting → starting → streaming ⇄ stalled
        ↑                                    │
        └──────── (pause) ◄── lost ◄─────────┘ any failure

A connection counts as streaming once samples have come, not before: a stack can report a link that carries nothing, and
a sensor that acknowledges commands or tells its battery may still not measure. A second copy of the driver listens for
that here, since the runner's may be behind. When samples stay away the start sequence is written once more, then the
link is given up. The pause after a failure doubles
up to a minute, with jitter so that many sensors do not return in step, and starts small again after half a minute of
data. Only the configured address is ever connected.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
import random
import typing
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, make_dataclass, replace
from typing import Any, Final, Literal

from processing.types import NS_PER_S, ImuBatch
from sensor_gateway.clock import Clock
from sensor_gateway.config import ConfigError, Sensor
from sensor_gateway.drivers.base import Advert, Driver, Polled, Received, Sink, StartsWithTime, TransportContext
from sensor_gateway.drivers.ble import Link, LinkError, Radio
from sensor_gateway.drivers.open_profile import SERVICE_UUID, OpenProfileDriver
from sensor_gateway.drivers.options import read_options

log = logging.getLogger(__name__)

LinkState = Literal["searching", "connecting", "starting", "streaming", "stalled", "lost"]


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Times in seconds; see the module."""

    search_s: float = 15.0
    first_data_s: float = 5.0
    stall_s: float = 2.0
    check_s: float = 0.25
    pause_s: float = 1.0
    pause_max_s: float = 60.0
    good_s: float = 30.0
    backlog: int = 36_000  # payloads that wait while the runner is behind: an hour; then the oldest go


@dataclass(frozen=True, slots=True)
class LinkStats:
    """What the session knows of its connection, for status and device records. Battery comes with the data."""

    state: LinkState = "searching"
    rssi_dbm: int | None = None  # of the last advertisement; a connected link tells none
    connections: int = 0
    failures: int = 0
    restarts: int = 0  # start sequences written again because data stayed away
    payloads: int = 0
    payload_bytes: int = 0
    dropped: int = 0
    last_error: str = ""


class Session:
    """The transport of one sensor. ``service_uuids`` help to find a connection left over from a killed process."""

    def __init__(
        self,
        driver: Driver,
        address: str,
        radio: Radio,
        clock: Clock,
        service_uuids: tuple[str, ...] = (),
        limits: SessionLimits | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.driver = driver
        self.stats = LinkStats()
        self._ear = copy.deepcopy(driver)
        self._address = address.upper()
        self._radio, self._clock = radio, clock
        self._service_uuids = service_uuids
        self._limits = limits or SessionLimits()
        self._jitter = jitter
        rate_hz = driver.capabilities.rate_hz
        self._stall_ns = round(max(self._limits.stall_s, 20 / rate_hz) * NS_PER_S)
        self._waiting: deque[Received] = deque(maxlen=self._limits.backlog)
        self._arrived = asyncio.Event()
        self._on_link: Callable[[str], None] = lambda _: None
        self._data_since_ns: int | None = None
        self._last_data_ns = 0

    @property
    def rssi_dbm(self) -> int | None:
        """Signal strength of the last advertisement; a connected link tells none."""
        return self.stats.rssi_dbm

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
            if self._waiting:
                await sink(self._take_waiting())

    async def _pump(self, sink: Sink) -> None:
        """Hand over what has arrived; here the runner's back-pressure ends: a radio cannot be held."""
        while True:
            await self._arrived.wait()
            await sink(self._take_waiting())

    def _take_waiting(self) -> list[Received]:
        received = list(self._waiting)
        self._waiting.clear()
        self._arrived.clear()
        return received

    async def _live(self) -> None:
        failures = 0
        await self._radio.free(self._address, self._service_uuids)
        while True:
            self._data_since_ns = None
            try:
                await self._connection()
            except LinkError as e:
                reason = str(e)
            except Exception as e:  # a fault of one radio stack must not end a wearer's day
                log.exception("unexpected error in the session")
                reason = f"unexpected error: {e!r}"
            good = self._streamed_s() >= self._limits.good_s
            failures = 0 if good else failures + 1
            self.stats = replace(self.stats, failures=self.stats.failures + 1, last_error=reason)
            log.warning("sensor link: %s", reason)
            self._enter("lost")
            pause_s = min(self._limits.pause_max_s, self._limits.pause_s * 2.0 ** max(0, min(failures, 16) - 1))
            await self._clock.sleep(pause_s * (0.5 + self._jitter()))

    def _streamed_s(self) -> float:
        return 0.0 if self._data_since_ns is None else (self._last_data_ns - self._data_since_ns) / NS_PER_S

    async def _connection(self) -> None:
        """One connection from search to its end; always raises `LinkError`, saying why it ended."""
        self._enter("searching")
        found = await self._radio.find(self._is_ours, self._limits.search_s)
        if found is None:
            await self._radio.free(self._address, self._service_uuids)
            raise LinkError("the sensor was not found; is it charged, near, and not connected elsewhere?")
        self.stats = replace(self.stats, rssi_dbm=found.advert.rssi_dbm)
        self._enter("connecting")
        async with self._radio.connect(found) as link:
            self._enter("starting")
            self.stats = replace(self.stats, connections=self.stats.connections + 1)
            self._ear.reset()
            await link.subscribe(self.driver.notify_uuids(), self._on_payload)
            await self._start(link)
            await self._watch(link)

    async def _start(self, link: Link) -> None:
        ear = self._ear
        await link.write(ear.start_at(self._clock.utc_ns()) if isinstance(ear, StartsWithTime) else ear.start())

    async def _watch(self, link: Link) -> None:
        """Look after the data until it stops for good."""
        first_data_ns = round(self._limits.first_data_s * NS_PER_S)
        waits_since_ns = polled_ns = self._clock.mono_ns()
        restarted = False
        while True:
            try:
                async with asyncio.timeout(self._limits.check_s):
                    await link.disconnected.wait()
                raise LinkError("the sensor or the radio ended the connection")
            except TimeoutError:
                pass
            now_ns = self._clock.mono_ns()
            if self.stats.state == "streaming":
                if now_ns - self._last_data_ns < self._stall_ns:
                    restarted = False
                    if isinstance(self._ear, Polled) and now_ns - polled_ns >= self._ear.poll_s * NS_PER_S:
                        polled_ns = now_ns
                        await link.write(self._ear.poll())
                    continue
                self._enter("stalled")
            elif now_ns - waits_since_ns < (first_data_ns if self._data_since_ns is None else self._stall_ns):
                continue
            if restarted:
                raise LinkError("the sensor is connected but sends nothing")
            restarted = True
            waits_since_ns = now_ns
            self.stats = replace(self.stats, restarts=self.stats.restarts + 1)
            await self._start(link)

    def _is_ours(self, advert: Advert) -> bool:
        return advert.address.upper() == self._address

    def _on_payload(self, uuid: str, payload: bytes) -> None:
        """Stamp and keep a notification; called by the radio stack between two steps of the event loop."""
        now_ns, utc_ns = self._clock.mono_ns(), self._clock.utc_ns()
        if any(isinstance(item, ImuBatch) for item in self._ear.feed(uuid, payload, now_ns, utc_ns)):
            self._last_data_ns = now_ns
            if self._data_since_ns is None:
                self._data_since_ns = now_ns
            if self.stats.state != "streaming":
                self._enter("streaming")
        stats = self.stats
        self.stats = replace(
            stats,
            payloads=stats.payloads + 1,
            payload_bytes=stats.payload_bytes + len(payload),
            dropped=stats.dropped + (len(self._waiting) == self._limits.backlog),
        )
        self._waiting.append(Received(uuid, payload, now_ns, utc_ns))
        self._arrived.set()

    def _enter(self, state: LinkState) -> None:
        self.stats = replace(self.stats, state=state)
        self._on_link(state)


_RADIOS: Final[dict[str, Radio]] = {}
"""Adapters in use: a piece of hardware exists once in a process, however many sensors it serves."""


@dataclass(frozen=True, slots=True)
class BleSensor:
    """What makes the transport of a radio sensor (entry point): a driver class, and the services that it connects to.

    The keywords of the class's constructor are the sensor's options, besides ``adapter`` (e.g. hci1; empty: the system's
    first); ``rate_hz`` has a key of its own. The constructor says with ValueError what it cannot do, naming the key.
    """

    driver_class: Callable[..., Driver]
    service_uuids: tuple[str, ...]

    def __call__(self, sensor: Sensor, context: TransportContext) -> Session:
        """Raises `ConfigError` where the settings cannot be used."""
        if not sensor.address:
            raise ConfigError(
                f"sensor {sensor.id!r}: key 'address' is empty; set the sensor's Bluetooth address, so that nobody else's "
                "sensor is ever read"
            )
        options = read_options(sensor, self._options())
        keywords = {name: getattr(options, name) for name in self._keywords()}
        try:
            driver = self.driver_class(rate_hz=sensor.rate_hz, **keywords)
        except ValueError as e:
            raise ConfigError(f"sensor {sensor.id!r}: key {e}") from None
        radio = _RADIOS.setdefault(options.adapter, Radio(options.adapter))
        return Session(driver, sensor.address, radio, context.clock, self.service_uuids)

    def _keywords(self) -> dict[str, Any]:
        parameters = inspect.signature(self.driver_class).parameters
        return {name: p.default for name, p in parameters.items() if name != "rate_hz"}

    def _options(self) -> type[Any]:
        hints = typing.get_type_hints(self.driver_class.__init__)
        keywords = [(name, hints[name], field(default=default)) for name, default in self._keywords().items()]
        return make_dataclass("Options", [("adapter", str, field(default="")), *keywords], frozen=True)


open_profile_sensor: Final = BleSensor(OpenProfileDriver, (SERVICE_UUID,))
