"""The `options` of a sensor's settings, read for the transports that have some: typed, named in errors, with times."""

from __future__ import annotations

from typing import TypeVar

from sensor_gateway.clock import utc_ns_of
from sensor_gateway.config import ConfigError, Sensor, strict_convert

T = TypeVar("T")


def read_options(sensor: Sensor, kind: type[T]) -> T:
    """``sensor.options`` as the dataclass ``kind``; raises `ConfigError` naming the sensor and the key."""
    return strict_convert(dict(sensor.options), kind, f"options of sensor {sensor.id!r}")


def time_option(sensor: Sensor, key: str, text: str) -> int | None:
    """An ISO 8601 option as UTC nanoseconds (without an offset it is UTC), None where it is empty."""
    if not text:
        return None
    try:
        return utc_ns_of(text)
    except ValueError:
        raise option_error(sensor, key, text, "write a time such as 2026-03-01T08:00:00Z") from None


def option_error(sensor: Sensor, key: str, value: object, remedy: str) -> ConfigError:
    """The error for an option that cannot be used."""
    return ConfigError(f"options of sensor {sensor.id!r}: key '{key}' is {value!r}; {remedy}")
