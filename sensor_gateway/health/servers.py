"""Broker and database, asked as gateway or bridge would ask them: part of `tiltline doctor`.

A server that answers is not yet one that lets us in. So this logs in with the configured user, subscribes to what that user reads,
and asks the database whether bucket and token will do; nothing is published and no point is written.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from processing.types import NS_PER_S
from sensor_gateway.bridge.bridge import session_of
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import ConfigError, Settings
from sensor_gateway.health.finding import RENEW_DAYS, Finding, problem
from sensor_gateway.mqtt_link import Link, LinkError, LinkSettings
from sensor_gateway.secrets import INFLUX_VARIABLE, read_secret
from sensor_gateway.sinks.influx import InfluxDownError, InfluxWriter
from sensor_gateway.wire import topics

_PATIENCE_S: Final = 5.0


def is_bridge(settings: Settings) -> bool:
    """Whether this is the file of a bridge and not of a gateway."""
    return settings.mqtt.enabled and not settings.sensors


def server_findings(settings: Settings, base: Path) -> Iterator[Finding]:
    """The broker, and of a bridge's file (one without sensors) the database."""
    if not settings.mqtt.enabled:
        return
    bridge = is_bridge(settings)
    reads = (topics.durable(settings.site.id, settings.site.gateway),)
    yield _broker(settings, base, session_of(settings, base).subscribe if bridge else reads)
    user, gateway = settings.mqtt.username, settings.site.gateway
    if not bridge and user and user != gateway:
        yield Finding(
            "broker",
            "note",
            f"'{user}' logs in for gateway '{gateway}', which the access list of 'tiltline init-stack' refuses",
            "make mqtt.username and site.gateway the same, or give that user the gateway's topics",
        )
    if bridge:
        yield _database(settings, base)


def _broker(settings: Settings, base: Path, reads: Sequence[str]) -> Finding:
    mqtt = settings.mqtt
    own = f"tiltline-doctor-{secrets.token_hex(6)}"  # under the gateway's own name the broker would hang up on the gateway
    try:
        link = Link.connect(LinkSettings(mqtt, base, own, reads))
        ends_s = link.certificate_ends_s()
        link.close()
    except (LinkError, ConfigError) as e:
        return problem("broker", str(e), "see the broker's log")
    seen = f"{mqtt.host}:{mqtt.port} lets '{mqtt.username}' in"
    if ends_s is None:
        return Finding("broker", "note", f"{seen}, without TLS", "set mqtt.tls = true outside a test")
    left = (ends_s - SystemClock().utc_ns() // NS_PER_S) // 86_400
    if left < RENEW_DAYS:
        remedy = "make a new one in time: 'Certificates end' in docs/operations.md"
        return Finding("broker", "note", f"{seen}, over TLS; its certificate ends in {left} days", remedy)
    return Finding("broker", "ok", f"{seen}, over TLS; its certificate holds for {left} days")


def _database(settings: Settings, base: Path) -> Finding:
    influx = replace(settings.influx, timeout_s=min(settings.influx.timeout_s, _PATIENCE_S))
    if not influx.url.startswith(("http://", "https://")):
        return Finding("database", "problem", f"influx.url is {influx.url!r}", "start it with http:// or https://")
    try:
        writer = InfluxWriter(influx, read_secret(influx.token_file, INFLUX_VARIABLE, base, "influx.token_file"))
        try:
            writer.check()
        finally:
            writer.close()
    except (InfluxDownError, ConfigError) as e:
        return problem("database", str(e), "see the database's log")
    return Finding("database", "ok", f"{influx.url} takes the token for '{influx.bucket}'")
