"""From a sensor's settings to its radio session: what the entry points in `sensors.py` are made of.

`BleSensor` makes the transport; the session itself, its states and the adapters are its neighbours here.
"""

from __future__ import annotations

import inspect
import typing
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, make_dataclass
from typing import Any, Final

from sensor_gateway.config import ConfigError, Sensor
from sensor_gateway.drivers.base import Driver, Fetches, StartsWithTime, TransportContext
from sensor_gateway.drivers.options import read_options
from sensor_gateway.radio.pool import RadioContext, Radios
from sensor_gateway.radio.session import Session, Who

OPTIONS: Final = ("adapter", "serial")
"""Options that every radio sensor has, besides those of its driver."""
_LAST: Final = 100  # payloads: some seconds, in which the sensor tells its time


@dataclass(frozen=True, slots=True)
class BleSensor:
    """What makes the transport of a radio sensor (entry point): a driver class, and the services that it connects to.

    The keywords of the class's constructor are the sensor's options, besides ``adapter`` (its address or e.g. hci1; empty:
    the first with a free place) and ``serial`` (see `Who`); ``rate_hz`` has a key of its own. The constructor says with
    ValueError what it cannot do, naming the key.
    """

    driver_class: Callable[..., Driver]
    service_uuids: tuple[str, ...]

    def __call__(self, sensor: Sensor, context: TransportContext) -> Session:
        """Raises `ConfigError` where the settings cannot be used."""
        options = read_options(sensor, self._options())
        if not (sensor.address or options.serial):
            raise ConfigError(
                f"sensor {sensor.id!r}: key 'address' is empty; set the sensor's Bluetooth address, or the option 'serial' "
                "where it advertises its serial number, so that nobody else's sensor is ever read"
            )
        keywords = {name: getattr(options, name) for name in self._keywords()}
        try:
            driver = self.driver_class(rate_hz=sensor.rate_hz, **keywords)
        except ValueError as e:
            raise ConfigError(f"sensor {sensor.id!r}: key {e}") from None
        # What an earlier run has heard tells what is missing; the last of it, whether the sensor's clock is set already.
        fetches = isinstance(driver, Fetches) and driver.capabilities.backfill
        asks = fetches or isinstance(driver, StartsWithTime)
        recent = context.journaled(driver.id) if asks and context.journaled is not None else ()
        heard = recent if fetches else deque(recent, maxlen=_LAST)
        radios = (context.radios if isinstance(context, RadioContext) else None) or Radios()
        radio, refused = radios.place(sensor.id, options.adapter)
        who = Who(sensor.address, options.serial, self.service_uuids, sensor.id)
        return Session(driver, who, radio, context.clock, limits=radios.session, refused=refused, heard=heard)

    def _keywords(self) -> dict[str, Any]:
        parameters = inspect.signature(self.driver_class).parameters
        return {name: p.default for name, p in parameters.items() if name != "rate_hz"}

    def _options(self) -> type[Any]:
        hints = typing.get_type_hints(self.driver_class.__init__)
        keywords = [(name, hints[name], field(default=default)) for name, default in self._keywords().items()]
        common = [(name, str, field(default="")) for name in OPTIONS]
        return make_dataclass("Options", [*common, *keywords], frozen=True)
