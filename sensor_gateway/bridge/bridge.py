"""MQTT to InfluxDB without loss: into the queue, then tell the broker; into the database, then tell the gateway.

Two threads: one drives the MQTT connection (a durable session, so that the broker keeps what arrives while the bridge is
away), one writes to the database. The retained `durable` message is what lets a gateway forget. What gateways say of
themselves (`status`) goes to the database too, best effort: the next one comes in half a minute.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Final

from sensor_gateway.bridge.intake import sort_out
from sensor_gateway.bridge.queue import Bad, BridgeQueue, QueueError
from sensor_gateway.bridge.share import Part, Share
from sensor_gateway.bridge.states import GatewayStates, own_line
from sensor_gateway.clock import Clock, SystemClock
from sensor_gateway.config import ConfigError, Settings
from sensor_gateway.mqtt_link import Incoming, Link, LinkError, LinkSettings
from sensor_gateway.secrets import INFLUX_VARIABLE, read_secret
from sensor_gateway.sinks.base import Backoff, Complaints
from sensor_gateway.sinks.influx import InfluxDownError, InfluxWriter
from sensor_gateway.spool.database import SpoolError, take_guard
from sensor_gateway.status.refusals import Refusals, by_door, shown
from sensor_gateway.status.report import ClockWatch, Report, Reporter, vitals
from sensor_gateway.status.status import BRIDGE_FILE, StatusError, bridge_books
from sensor_gateway.wire import topics
from sensor_gateway.wire.line import Queued
from sensor_gateway.wire.messages import encode_durable

log = logging.getLogger(__name__)

SESSION_S: Final = 7 * 86_400
POLL_S: Final = 0.1
GATHER_S: Final = 0.05
FEW: Final = 20
"""After fewer messages than these at once the next ones are let gather: each commit and each write costs the same for many."""
STATUS_S: Final = 30.0
DATABASE_FILE: Final = BRIDGE_FILE
QUEUE_MAX: Final = 1_000_000
"""Rows beyond which nothing more is taken from the broker. Gateways keep a window of 500, so only a strange one gets here."""


def session_of(settings: Settings, base: Path) -> LinkSettings:
    """How the only bridge connects: the broker keeps for it what comes while it is away."""
    name = f"tiltline-bridge-{settings.site.gateway}"
    return LinkSettings(settings.mqtt, base, name, (topics.ALL_RECORDS, topics.ALL_STATUS), session_s=SESSION_S)


class Bridge:
    """The bridge of one broker and one bucket."""

    def __init__(self, settings: Settings, base: Path, clock: Clock | None = None, shared: bool = False) -> None:
        """Open the queue; raises `ConfigError`, `QueueError` or ``OSError``, before anything is connected.

        ``shared``: this is one of several bridges on the broker (`share.py`), known to the others by ``site.gateway``.
        """
        token = read_secret(settings.influx.token_file, INFLUX_VARIABLE, base, "influx.token_file")
        self._settings, self._clock = settings, clock or SystemClock()
        self._folder = base / settings.site.data_dir
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:  # two bridges would take the broker's session from each other, and an erasure must find none at work
            self._guard = take_guard(self._folder / DATABASE_FILE, "tiltline bridge")
        except SpoolError as e:
            raise QueueError(str(e)) from None
        self.queue = BridgeQueue(self._folder / DATABASE_FILE, self._clock, in_order=shared)
        self._share = Share(settings.site.gateway, self._clock) if shared else None
        self._writer = InfluxWriter(settings.influx, token)
        self._link_settings = session_of(settings, base)
        if shared:  # what one of several missed, another one gets
            self._link_settings = replace(self._link_settings, subscribe=(topics.ALL_STATUS,), session_s=0)
        self._arrived = threading.Event()
        self.trouble: str | None = "not connected yet"
        self.database_trouble: str | None = None
        self._refusals = Refusals("message")
        self._states = GatewayStates(self._clock, self._refusals)
        self._watch, self._began_ns = ClockWatch(self._clock), self._clock.utc_ns()
        self._reporter = Reporter(self._folder, "bridge", self.report, settings.metrics)

    def report(self) -> Report:
        """What the bridge says of itself now; also from other threads."""
        site = self._settings.site
        troubles = tuple(t for t in (self.trouble, self.database_trouble) if t is not None)
        now_ns, books = self._clock.utc_ns(), bridge_books(self._folder)
        signs, said = vitals(self._folder, self._watch), self._states.numbers()
        names = ("bridge", site.id, site.gateway, os.getpid(), self._began_ns, now_ns)
        return Report(*names, signs, books, troubles, gateways=said, refusals=by_door([self._refusals]))

    def run(self, stop: threading.Event) -> dict[str, int]:
        """Carry records until ``stop``; outages of either side are waited out. Gives the queue's counters at the end."""
        writer = threading.Thread(target=self._write_until, args=(stop,), name="influx", daemon=True)
        writer.start()
        self._reporter.start()
        backoff, complaints = Backoff(), Complaints()
        try:
            while not stop.is_set():
                try:
                    self._listen(stop, backoff)
                except (LinkError, ConfigError, QueueError) as e:
                    log.log(complaints.level(str(e)), "bridge: %s; trying again", e)
                    self.trouble = str(e)
                    stop.wait(backoff.next_s())
        finally:
            stop.set()
            self._arrived.set()
            writer.join(timeout=self._settings.influx.timeout_s + 5)
            self._reporter.close()
            self._writer.close()
            counters = self.queue.counters()
            self.queue.close()
            self._guard.close()
        return counters

    def _listen(self, stop: threading.Event, backoff: Backoff) -> None:
        link = Link.connect(self._link_settings)
        said: dict[tuple[str, str], tuple[str, int]] = {}
        try:
            if self._share is not None:
                self._share.carried.clear()  # with the old connection; the gateways' states tell whom to take up again
                link.subscribe((topics.DEALT_STATUS,))
            log.info("bridge: connected to the broker")
            self.trouble = None
            while not stop.is_set():
                if self.queue.depth > QUEUE_MAX:
                    raise QueueError(
                        f"{self.queue.depth} rows wait for the database; nothing more is taken until it writes"
                    )
                heard = link.poll(POLL_S)
                if heard.refused:
                    remedy = heard.refused[0].remedy("let the bridge's user write it")
                    raise LinkError(f"the broker refuses 'durable' ({heard.refused[0].reason}); {remedy}")
                if heard.messages:
                    self._take(heard.messages, link)
                    for message in heard.messages:
                        link.acknowledge(message)
                    self._arrived.set()
                    backoff.reset()
                    if len(heard.messages) < FEW:
                        stop.wait(GATHER_S)
                if self._share is not None:
                    for site, gateway in self._share.due():
                        self._carry(link, site, gateway)
                for word in self.queue.words():
                    if said.get((word.site, word.gateway)) != (word.spool, word.up_to):
                        said[word.site, word.gateway] = (word.spool, word.up_to)
                        topic = topics.durable(word.site, word.gateway)
                        link.publish(topic, encode_durable(word.spool, word.up_to), retain=True)
        finally:
            link.close()

    def _take(self, messages: list[Incoming], link: Link) -> None:
        """Records into the queue, durably; states of gateways into the memory."""
        states = [m for m in messages if m.topic.endswith("/status")]
        sorted_out = [sort_out(m) for m in messages if not m.topic.endswith("/status")]
        self.queue.receive(sorted_out)
        for bad in sorted_out:
            if isinstance(bad, Bad):
                self._refusals.note(bad.kind, shown(bad.topic), shown(bad.reason))
        for message in states:
            state = self._states.take(message)
            if state is None:
                continue
            if self._share is not None:
                match self._share.hear(state, message.shared):
                    case Part.CARRY:
                        self._carry(link, state.site, state.gateway)
                    case Part.RELEASE:
                        link.unsubscribe(topics.records_of(state.site, state.gateway))
                if (state.site, state.gateway) not in self._share.carried:
                    self._states.forget(state.site, state.gateway)
                    continue
            if state.status.spool is not None:
                self.queue.hello(state.site, state.gateway, state.status.spool, state.status.durable_up_to or 0)

    def _carry(self, link: Link, site: str, gateway: str) -> None:
        """Hear this gateway first, and only then say so: it sends everything again that is not confirmed."""
        if self._share is None or (said := self._share.carry(site, gateway)) is None:
            return
        spool, durable_up_to = said
        link.subscribe((topics.records_of(site, gateway),))
        up_to = self.queue.hello(site, gateway, spool, durable_up_to)
        link.publish(topics.durable(site, gateway), encode_durable(spool, up_to, self._share.name))
        log.info("bridge: carries %s/%s", site, gateway)

    def _write_until(self, stop: threading.Event) -> None:
        backoff, complaints = Backoff(first_s=0.2), Complaints()
        told_ns = 0
        while not stop.is_set():
            self._arrived.clear()
            rows: list[Queued] = []
            try:
                rows = self.queue.take(self._settings.influx.batch)
                if self._clock.mono_ns() - told_ns >= STATUS_S * 1e9:
                    told_ns = self._clock.mono_ns()
                    self._write_states()
                if not rows:
                    self._arrived.wait(1.0)
                    continue
                outcome = self._writer.write(rows)
                self.queue.settle(outcome.written, outcome.rejected)
            except (InfluxDownError, QueueError, StatusError, OSError) as e:
                asked_s = e.retry_after_s if isinstance(e, InfluxDownError) else 0.0
                pause_s = backoff.next_s(asked_s)
                loud = complaints.level(str(e))
                log.log(loud, "bridge: %s; %d points wait, next try in %.1f s", e, len(rows), pause_s)
                self.database_trouble = str(e)
                stop.wait(pause_s)
                continue
            if self.database_trouble is not None:
                log.info("bridge: the database takes points again")
            self.database_trouble = None
            backoff.reset()
            for _, reason in outcome.rejected:
                self._refusals.note("line", "the database", shown(reason))

    def _write_states(self) -> None:
        """Newest states of the gateways and of the bridge itself, as points of their own; a refusal costs nothing else."""
        lines = [*self._states.lines(), own_line(self.report())]
        outcome = self._writer.write([Queued(-i, text) for i, text in enumerate(lines, 1)])
        for _, reason in outcome.rejected:
            log.warning("bridge: a state was not stored: %s", reason)
