"""The drivers that are installed: entry points of the group `tiltline.drivers`, ours and others' alike."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Final

from sensor_gateway.config import ConfigError, Sensor
from sensor_gateway.drivers.base import TransportFactory

_GROUP: Final = "tiltline.drivers"


def installed() -> dict[str, EntryPoint]:
    """Each driver's entry point by its name, in the order of the names; nothing is loaded yet."""
    return {point.name: point for point in sorted(entry_points(group=_GROUP), key=lambda point: point.name)}


def transport_factory(sensor: Sensor) -> TransportFactory:
    """What makes the transport of ``sensor.driver``; raises `ConfigError` listing the drivers there are."""
    found = installed()
    if sensor.driver not in found:
        known = ", ".join(found) or "none; install the package with pip"
        raise ConfigError(f"key 'driver' of sensor {sensor.id!r} is {sensor.driver!r}; drivers here: {known}")
    factory: TransportFactory = found[sensor.driver].load()
    return factory
