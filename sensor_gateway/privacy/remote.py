"""A wearer taken out of the broker and the database, and looked for there.

Broker: retained messages under any of her topics, and what it keeps for the bridge's session (`drain`). Database: all points
with her tag (`sinks.influx_admin`).
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from sensor_gateway.bridge.bridge import Bridge, session_of
from sensor_gateway.config import Settings
from sensor_gateway.mqtt_link import Link, LinkError, LinkSettings
from sensor_gateway.privacy.sqlite_files import mentions
from sensor_gateway.sinks.influx_admin import Database, RemoteError
from sensor_gateway.wire import topics

QUIET_S: Final = 1.5
DRAIN_S: Final = 120.0


def retained(settings: Settings, base: Path, wearer: str) -> list[str]:
    """Topics with a retained message of the wearer, as far as this account may read; raises `LinkError`."""
    word = mentions(wearer)
    link = Link.connect(_link(settings, base, (f"{topics.ROOT}/#",)))
    found: list[str] = []
    try:
        until = time.monotonic() + QUIET_S
        while time.monotonic() < until:
            heard = link.poll(0.1).messages
            for message in heard:
                link.acknowledge(message)
                if message.retain and (word.search(message.topic.encode()) or word.search(message.payload)):
                    found.append(message.topic)
                    until = time.monotonic() + QUIET_S
    finally:
        link.close()
    return sorted(set(found))


def clear(settings: Settings, base: Path, found: list[str]) -> None:
    """Publish empty retained messages there; what this account may not write stays, and `retained` shows it."""
    link = Link.connect(_link(settings, base, ()))
    try:
        waiting = {link.publish(topic, b"", retain=True) for topic in found}
        until = time.monotonic() + 10
        while waiting and time.monotonic() < until:
            heard = link.poll(0.1)
            waiting -= {*heard.published, *(refused.mid for refused in heard.refused)}
    finally:
        link.close()


def _link(settings: Settings, base: Path, subscribe: tuple[str, ...]) -> LinkSettings:
    return LinkSettings(settings.mqtt, base, f"tiltline-erase-{secrets.token_hex(4)}", subscribe)


def drain(settings: Settings, base: Path) -> None:
    """Let the bridge take what the broker keeps for it, so that nothing of the wearer comes after the erasure.

    Raises `RemoteError` or `LinkError` where the broker does not answer, `QueueError` where a bridge runs.
    """
    if not _kept(session_of(settings, base)):  # as for one of several bridges, which never leaves a session behind
        return
    bridge = Bridge(settings, base)
    stop = threading.Event()
    worker = threading.Thread(target=bridge.run, args=(stop,), name="drain", daemon=True)
    worker.start()
    try:
        end = time.monotonic() + DRAIN_S
        seen, since = -1, time.monotonic()
        while bridge.trouble is not None or time.monotonic() - since < QUIET_S:
            if time.monotonic() > end:
                raise RemoteError(
                    f"the broker still has messages for the bridge or does not answer ({bridge.trouble or 'more arrive'}); "
                    "stop the gateways that send and start again"
                )
            counters = bridge.queue.counters()
            taken = counters["received"] + counters["duplicates"]
            if taken != seen or bridge.trouble is not None:
                seen, since = taken, time.monotonic()
            time.sleep(0.1)
    finally:
        stop.set()
        worker.join(30)


def _kept(session: LinkSettings) -> bool:
    """Whether the broker holds this session; one that was not there is none afterwards."""
    link = Link.connect(replace(session, subscribe=()))
    link.close()
    if not link.resumed:
        Link.connect(replace(session, subscribe=(), session_s=0)).close()
    return link.resumed


__all__ = ["Database", "LinkError", "RemoteError", "clear", "drain", "retained"]
