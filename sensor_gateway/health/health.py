"""Checks of this machine and a configuration for `tiltline doctor`: each says what it saw and how to mend it.

Secrets are read to be used and never shown.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from processing.rules.study import Study
from processing.types import NS_PER_S
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Settings
from sensor_gateway.health.bluetooth import bluetooth_findings
from sensor_gateway.health.data_folder import folder_findings
from sensor_gateway.health.finding import Finding
from sensor_gateway.health.page import page_finding
from sensor_gateway.health.servers import is_bridge, server_findings
from sensor_gateway.health.time_sync import kernel_says_synchronised, time_finding
from sensor_gateway.spool.database import is_taken
from sensor_gateway.status.status import SPOOL_FILE
from sensor_gateway.study_file import study_of


def examine(settings: Settings, base: Path) -> Iterator[Finding]:
    """All checks that apply to ``settings``; relative paths start at ``base``. Raises `ConfigError` for a study that cannot be used."""
    yield from _time_zone(settings, study_of(settings, base))
    yield _versions()
    folder = base / settings.site.data_dir
    yield from folder_findings(folder)
    yield time_finding(SystemClock().utc_ns() / NS_PER_S, kernel_says_synchronised())
    if settings.web.enabled and not is_bridge(settings):
        yield page_finding(settings.web, base, is_taken(folder / SPOOL_FILE))
    if any(s.driver not in ("synthetic", "replay") for s in settings.sensors):
        yield from bluetooth_findings(settings)
    if not settings.sensors:
        taken = "; this is taken for a bridge's file" if is_bridge(settings) else ""
        remedy = "a gateway needs a [[sensors]] table; see config/gateway.example.toml"
        yield Finding("sensors", "note", f"no sensor configured{taken}", remedy)
    for sensor in settings.sensors:
        if sensor.driver not in ("synthetic", "replay") and sensor.address in ("", "00:00:00:00:00:00"):
            yield Finding(
                f"sensor {sensor.id}",
                "problem",
                "no address",
                f"tiltline scan, then: tiltline bind ADDRESS {sensor.wearer}",
            )
    yield from server_findings(settings, base)


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
