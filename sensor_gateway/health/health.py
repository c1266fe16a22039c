"""Checks of this machine and a configuration for `tiltline doctor`: each says what it saw and how to mend it.

Secrets are read to be used and never shown.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from processing.rules.study import Study
from processing.types import NS_PER_S
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Settings
from sensor_gateway.health.bluetooth import bluetooth_findings
from sensor_gateway.health.finding import Finding
from sensor_gateway.health.time_sync import kernel_says_synchronised, time_finding
from sensor_gateway.study_file import study_of

MIN_FREE_MB = 2_000
"""About a month of one wearer's raw data."""


def examine(settings: Settings, base: Path) -> Iterator[Finding]:
    """All checks that apply to ``settings``; relative paths start at ``base``. Raises `ConfigError` for a study that cannot be used."""
    yield from _time_zone(settings, study_of(settings, base))
    yield _versions()
    yield _disk(base / settings.site.data_dir)
    yield time_finding(SystemClock().utc_ns() / NS_PER_S, kernel_says_synchronised())
    if settings.web.enabled:
        yield _port(settings.web.host, settings.web.port)
    if any(s.driver not in ("synthetic", "replay") for s in settings.sensors):
        yield from bluetooth_findings(settings)
    if not settings.sensors:
        yield Finding(
            "sensors", "note", "no sensor configured", "add a [[sensors]] table; see config/gateway.example.toml"
        )
    for sensor in settings.sensors:
        if sensor.driver not in ("synthetic", "replay") and sensor.address in ("", "00:00:00:00:00:00"):
            yield Finding(
                f"sensor {sensor.id}",
                "problem",
                "no address",
                f"tiltline scan, then: tiltline bind ADDRESS {sensor.wearer}",
            )
    if settings.mqtt.enabled:
        yield _broker(settings, base)
        yield _database(settings)


def _time_zone(settings: Settings, study: Study) -> list[Finding]:
    if study.timezone == settings.site.timezone:
        return []
    seen = f"quiet hours and days of the rules follow {study.timezone} (study), the page's days {settings.site.timezone} (site)"
    return [Finding("time zone", "note", seen, "make 'timezone' of the study file and site.timezone the same")]


def _versions() -> Finding:
    names = ("numpy", "scipy", "vqf", "bleak", "paho-mqtt", "influxdb-client")
    missing, found = [], []
    for name in names:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    seen = f"Python {platform.python_version()} on {platform.machine()}; " + ", ".join(found)
    if missing:
        return Finding(
            "packages", "problem", f"{seen}; missing {', '.join(missing)}", "pip install 'tiltline[gateway]'"
        )
    return Finding("packages", "ok", seen)


def _disk(folder: Path) -> Finding:
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    if not os.access(existing, os.W_OK):
        return Finding("data folder", "problem", f"{existing} cannot be written", "change site.data_dir or its owner")
    if free_mb < MIN_FREE_MB:
        return Finding(
            "data folder", "problem", f"{free_mb} MB free", f"free at least {MIN_FREE_MB} MB or move site.data_dir"
        )
    return Finding("data folder", "ok", f"{folder} ({free_mb // 1000} GB free)")


def _port(host: str, port: int) -> Finding:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((host, port))
        except OSError as e:
            return Finding("page", "problem", f"{host}:{port} is taken ({e.strerror})", "choose another web.port")
    if host not in ("127.0.0.1", "::1", "localhost"):
        return Finding(
            "page", "note", f"the page listens on {host}", "keep it on 127.0.0.1 or put a proxy with a log-in before it"
        )
    return Finding("page", "ok", f"http://{host}:{port} is free")


def _broker(settings: Settings, base: Path) -> Finding:
    m = settings.mqtt
    where = f"{m.host}:{m.port}"
    try:
        with socket.create_connection((m.host, m.port), timeout=5) as raw:
            if not m.tls:
                return Finding("broker", "note", f"{where} answers, without TLS", "set mqtt.tls = true outside a test")
            ca = str(base / m.ca_file) if m.ca_file else None
            with ssl.create_default_context(cafile=ca).wrap_socket(raw, server_hostname=m.host) as tls:
                return Finding("broker", "ok", f"{where} answers with {tls.version()}")
    except ssl.SSLCertVerificationError as e:
        return Finding("broker", "problem", f"{where}: {e.verify_message}", "point mqtt.ca_file at the broker's CA")
    except (OSError, ssl.SSLError) as e:
        return Finding("broker", "problem", f"{where}: {e}", "start the broker or correct mqtt.host and mqtt.port")


def _database(settings: Settings) -> Finding:
    url = settings.influx.url.rstrip("/") + "/health"
    if not url.startswith(("http://", "https://")):
        return Finding(
            "database", "problem", f"influx.url is {settings.influx.url!r}", "start it with http:// or https://"
        )
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - scheme checked above
            return Finding("database", "ok", f"{settings.influx.url} answers ({answer.status})")
    except (urllib.error.URLError, OSError) as e:
        return Finding(
            "database",
            "note",
            f"{settings.influx.url}: {e}",
            "only the bridge needs it; start InfluxDB or correct influx.url",
        )
