"""The sinks that a gateway's settings ask for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sensor_gateway.clock import Clock
from sensor_gateway.config import ConfigError, Settings
from sensor_gateway.sinks.base import Sink
from sensor_gateway.sinks.file import FileSink
from sensor_gateway.sinks.store_sink import StoreSink


def configured_sinks(
    settings: Settings, base: Path, store_path: Path, clock: Clock, numbers: Callable[[], dict[str, float]]
) -> list[Sink]:
    """The embedded store always; raises `ConfigError`. ``numbers`` are vital signs for the status over MQTT."""
    sinks: list[Sink] = [StoreSink(store_path)]
    if settings.file.enabled:
        if not settings.file.directory:
            raise ConfigError("key 'file.directory' is empty; name a folder or set file.enabled = false")
        sinks.append(FileSink(base / settings.file.directory, settings.site.id, settings.site.gateway))
    if settings.mqtt.enabled:
        from sensor_gateway.sinks.mqtt import MqttSink

        sinks.append(MqttSink(settings, base, clock, numbers))
    return sinks
