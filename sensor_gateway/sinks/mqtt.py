"""The sink that publishes records to the site's broker and believes only the bridge.

A PUBACK means that the broker has a message in memory; a broker that is killed forgets it. So the cursor moves when the
bridge says on the retained `durable` topic up to which number everything is on disk, and after every new connection, or
when that word stays out, publishing starts again behind the last confirmed row. Repeats are harmless (`wire/line.py`).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sensor_gateway.clock import Clock
from sensor_gateway.config import ConfigError, Settings
from sensor_gateway.mqtt_link import Heard, Link, LinkError, LinkSettings
from sensor_gateway.sinks.base import Backoff, Complaints, Source
from sensor_gateway.spool.database import SpoolFullError
from sensor_gateway.wire import topics
from sensor_gateway.wire.messages import (
    VERSION,
    MessageError,
    Status,
    decode_durable,
    encode_message,
    encode_status,
)
from sensor_gateway.wire.privacy import without_note

log = logging.getLogger(__name__)

WINDOW: Final = 500
"""Rows published ahead of the bridge's word: below Mosquitto's default queue of 1000 messages per client."""
POLL_S: Final = 0.05
STATUS_S: Final = 30.0
STALL_S: Final = 5.0
STALL_MAX_S: Final = 30.0
"""A window of 500 small messages twice a minute costs little; five minutes would be what a bridge that is back waits for."""
NS: Final = 1_000_000_000


class MqttSink:
    """Publishes to `tiltline/v1/{site}/{gateway}/{wearer}/{kind}` and keeps the gateway's retained status."""

    name = "mqtt"

    def __init__(
        self, settings: Settings, base: Path, clock: Clock, vitals: Callable[[], dict[str, float]] = dict
    ) -> None:
        """``vitals`` are numbers that go into the status beside the counters."""
        self.vitals = vitals
        self.send_notes = settings.privacy.send_notes
        self.site, self.gateway, self.clock = settings.site.id, settings.site.gateway, clock
        self.trouble: str | None = "not connected yet"
        self.resends = 0
        will = (topics.status(self.site, self.gateway), encode_status(Status(VERSION, online=False)))
        self._link_settings = LinkSettings(
            settings.mqtt,
            base,
            f"tiltline-{self.site}-{self.gateway}",
            (topics.durable(self.site, self.gateway),),
            will=will,
            inflight=settings.mqtt.inflight,
        )

    def run(self, source: Source, stop: threading.Event) -> None:
        backoff, complaints = Backoff(), Complaints()
        while not stop.is_set():
            try:
                self._serve(source, stop, backoff)
            except (LinkError, ConfigError, SpoolFullError) as e:
                pause_s = backoff.next_s()
                log.log(complaints.level(str(e)), "mqtt sink: %s; records wait in the outbox, trying again", e)
                self.trouble = str(e)
                stop.wait(pause_s)

    def _serve(self, source: Source, stop: threading.Event, backoff: Backoff) -> None:
        link = Link.connect(self._link_settings)
        try:
            log.info("mqtt sink: connected, %d records to deliver", source.queued())
            _Session(self, link, source, backoff).run(stop)
        finally:
            link.close()


class _Session:
    """One connection: what was sent on it, and what the bridge has confirmed meanwhile."""

    def __init__(self, sink: MqttSink, link: Link, source: Source, backoff: Backoff) -> None:
        self._sink, self._link, self._source, self._backoff = sink, link, source, backoff
        self._sent = source.cursor()
        self._open: deque[int] = deque()  # sent, and not yet confirmed by the bridge
        self._unacknowledged: dict[int, str] = {}  # message id to topic, for the broker's answer
        self._room = link.room
        self._progress_ns = self._status_ns = sink.clock.mono_ns()
        self._stall_s = STALL_S
        self._bridge: str | None = None  # which of several carries us; the first status asks for one

    def run(self, stop: threading.Event) -> None:
        """Until ``stop``; raises `LinkError` when the connection is gone or the broker refuses."""
        self._tell_status(online=True)
        while not stop.is_set():
            sent = self._send()
            heard = self._link.poll(0.0 if sent else POLL_S)
            self._hear(heard)
            now_ns = self._sink.clock.mono_ns()
            self._watch(now_ns)
            if now_ns - self._status_ns >= STATUS_S * NS:
                self._status_ns = now_ns
                self._tell_status(online=True)
        self._tell_status(online=False)
        self._hear(self._link.poll(POLL_S))

    def _send(self) -> int:
        room = min(WINDOW - len(self._open), self._room - len(self._unacknowledged))
        if room <= 0:
            return 0
        entries = self._source.read(self._sent, room)
        if entries and not self._open:
            self._progress_ns = self._sink.clock.mono_ns()
        for entry in entries:
            topic = topics.record(self._sink.site, self._sink.gateway, entry.wearer, entry.kind)
            sent = entry if self._sink.send_notes else without_note(entry)
            message = encode_message(sent, self._sink.site, self._sink.gateway, self._source.spool_id)
            self._unacknowledged[self._link.publish(topic, message)] = topic
            self._open.append(entry.seq)
            self._sent = entry.seq
        return len(entries)

    def _hear(self, heard: Heard) -> None:
        for mid in heard.published:
            self._unacknowledged.pop(mid, None)
            self._backoff.reset()
            if not self._unacknowledged:  # a broker may take one topic and refuse the next
                self._sink.trouble = None
        for refused in heard.refused:
            topic = self._unacknowledged.pop(refused.mid, topics.status(self._sink.site, self._sink.gateway))
            remedy = refused.remedy("give this gateway's user write access to it")
            raise LinkError(f"the broker refuses {topic} ({refused.reason}); {remedy}")
        for message in heard.messages:
            self._link.acknowledge(message)
            self._take_word(message.payload)

    def _take_word(self, payload: bytes) -> None:
        try:
            durable = decode_durable(payload)
        except MessageError as e:
            log.warning("mqtt sink: the bridge's word cannot be read (%s); is it of another version?", e)
            return
        if durable.spool != self._source.spool_id:
            return
        self._stall_s = STALL_S  # the bridge is there: what it still lacks need not wait long
        if durable.bridge is not None:
            log.info("mqtt sink: bridge %s carries this gateway now", durable.bridge)
            self._bridge = durable.bridge
            self._begin_anew()
            self._tell_status(online=True)
        if durable.up_to <= self._source.cursor():
            return
        if durable.up_to > self._source.last_seq():
            log.error("mqtt sink: the bridge confirms %d, but only %d exist", durable.up_to, self._source.last_seq())
            return
        self._sink.trouble = None
        self._source.confirm(durable.up_to)
        while self._open and self._open[0] <= durable.up_to:
            self._open.popleft()
        self._sent = max(self._sent, durable.up_to)
        self._progress_ns = self._sink.clock.mono_ns()

    def _watch(self, now_ns: int) -> None:
        """Send again what nobody confirmed: the broker or the bridge may have lost it."""
        if self._open and now_ns - self._progress_ns >= self._stall_s * NS:
            log.info("mqtt sink: no word on %d records for %.0f s, sending them again", len(self._open), self._stall_s)
            self._begin_anew()
            self._sink.resends += 1
            self._stall_s = min(2 * self._stall_s, STALL_MAX_S)
            self._bridge = None  # it may be gone: where there are several, another one is asked for
            self._tell_status(online=True)

    def _begin_anew(self) -> None:
        """Send again all that nobody has confirmed."""
        self._sent = self._source.cursor()
        self._open.clear()
        self._progress_ns = self._sink.clock.mono_ns()

    def _tell_status(self, online: bool) -> None:
        source = self._source
        status = Status(
            VERSION,
            online,
            self._sink.clock.utc_ns(),
            source.spool_id,
            source.queued(),
            source.cursor(),
            source.counters(),
            self._sink.vitals(),
            self._bridge if online else None,
        )
        self._link.publish(topics.status(self._sink.site, self._sink.gateway), encode_status(status), retain=True)
