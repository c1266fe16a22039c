"""MQTT to InfluxDB without loss: into the queue, then tell the broker; into the database, then tell the gateway.

Two threads: one drives the MQTT connection (a durable session, so that the broker keeps what arrives while the bridge is
away), one writes to the database. The retained `durable` message is what lets a gateway forget.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Final

from sensor_gateway.bridge_intake import sort_out
from sensor_gateway.bridge_queue import BridgeQueue, QueueError
from sensor_gateway.config import ConfigError, Settings
from sensor_gateway.mqtt_link import Link, LinkError, LinkSettings
from sensor_gateway.secrets import INFLUX_VARIABLE, read_secret
from sensor_gateway.sinks.base import Backoff
from sensor_gateway.sinks.influx import InfluxDownError, InfluxWriter
from sensor_gateway.wire import topics
from sensor_gateway.wire.messages import encode_durable

log = logging.getLogger(__name__)

SESSION_S: Final = 7 * 86_400
POLL_S: Final = 0.1
REPORT_S: Final = 60.0
DATABASE_FILE: Final = "bridge.db"


class Bridge:
    """The bridge of one broker and one bucket."""

    def __init__(self, settings: Settings, base: Path) -> None:
        """Open the queue; raises `ConfigError` or `QueueError`, before anything is connected."""
        token = read_secret(settings.influx.token_file, INFLUX_VARIABLE, base, "influx.token_file")
        self._settings = settings
        self.queue = BridgeQueue(base / settings.site.data_dir / DATABASE_FILE)
        self._writer = InfluxWriter(settings.influx, token)
        self._link_settings = LinkSettings(
            settings.mqtt, base, f"tiltline-bridge-{settings.site.gateway}", (topics.ALL_RECORDS,), session_s=SESSION_S
        )
        self._arrived = threading.Event()
        self.trouble: str | None = "not connected yet"

    def run(self, stop: threading.Event) -> dict[str, int]:
        """Carry records until ``stop``; outages of either side are waited out. Gives the queue's counters at the end."""
        writer = threading.Thread(target=self._write_until, args=(stop,), name="influx", daemon=True)
        writer.start()
        backoff = Backoff()
        try:
            while not stop.is_set():
                try:
                    self._listen(stop, backoff)
                except (LinkError, ConfigError, QueueError) as e:
                    if str(e) != self.trouble:
                        log.warning("bridge: %s; trying again", e)
                    self.trouble = str(e)
                    stop.wait(backoff.next_s())
        finally:
            stop.set()
            self._arrived.set()
            writer.join(timeout=self._settings.influx.timeout_s + 5)
            self._writer.close()
            counters = self.queue.counters()
            self.queue.close()
        return counters

    def _listen(self, stop: threading.Event, backoff: Backoff) -> None:
        link = Link.connect(self._link_settings)
        said: dict[tuple[str, str], tuple[str, int]] = {}
        try:
            log.info("bridge: connected to the broker")
            self.trouble = None
            while not stop.is_set():
                heard = link.poll(POLL_S)
                if heard.refused:
                    raise LinkError(
                        f"the broker refuses 'durable' ({heard.refused[0].reason}); let the bridge's user write it"
                    )
                if heard.messages:
                    self.queue.receive([sort_out(m) for m in heard.messages])
                    for message in heard.messages:
                        link.acknowledge(message)
                    self._arrived.set()
                    backoff.reset()
                for word in self.queue.words():
                    if said.get((word.site, word.gateway)) != (word.spool, word.up_to):
                        said[word.site, word.gateway] = (word.spool, word.up_to)
                        topic = topics.durable(word.site, word.gateway)
                        link.publish(topic, encode_durable(word.spool, word.up_to), retain=True)
        finally:
            link.close()

    def _write_until(self, stop: threading.Event) -> None:
        backoff = Backoff(first_s=0.2)
        trouble = ""
        while not stop.is_set():
            self._arrived.clear()
            rows = self.queue.take(self._settings.influx.batch)
            if not rows:
                self._arrived.wait(1.0)
                continue
            try:
                outcome = self._writer.write(rows)
                self.queue.settle(outcome.written, outcome.rejected)
            except (InfluxDownError, QueueError) as e:
                asked_s = e.retry_after_s if isinstance(e, InfluxDownError) else 0.0
                pause_s = backoff.next_s(asked_s)
                if str(e) != trouble:
                    log.warning("bridge: %s; %d points wait, next try in %.1f s", e, len(rows), pause_s)
                trouble = str(e)
                stop.wait(pause_s)
                continue
            if trouble:
                log.info("bridge: the database takes points again")
            trouble = ""
            backoff.reset()
            for _, reason in outcome.rejected:
                log.warning("bridge: a point was set aside: %s", reason)
