"""The adapters of one gateway, made from its settings, and which sensor is served by which.

A sensor names its adapter (option ``adapter``), or gets the first one with a free place, in the order of the settings: so
who is refused does not depend on who happens to be near first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sensor_gateway.config import RadioSettings, SessionLimits
from sensor_gateway.drivers.base import TransportContext
from sensor_gateway.radio.adapter import MAX_LINKS, Radio
from sensor_gateway.radio.link import Backends


class Radios:
    """One per gateway and event loop; iterates over its adapters."""

    def __init__(self, settings: RadioSettings | None = None, backends: Backends | None = None) -> None:
        settings = settings or RadioSettings()
        self._timing, self._backends = settings.timing, backends
        self.session: SessionLimits = settings.session
        self._radios = {
            a.address.upper(): Radio(a.address.upper(), backends, settings.timing, a.max_links)
            for a in settings.adapters
        }

    def __iter__(self) -> Iterator[Radio]:
        return iter(self._radios.values())

    def place(self, sensor: str, adapter: str) -> tuple[Radio, str]:
        """The adapter that serves ``sensor``, and the sentence why it does not where its places are all taken."""
        if adapter:
            key = adapter.upper() if ":" in adapter else adapter
            radio = self._radios.get(key)
            if radio is None:
                radio = self._radios[key] = Radio(key, self._backends, self._timing, MAX_LINKS)
            return radio, radio.reserve(sensor)
        if not self._radios:
            self._radios[""] = Radio("", self._backends, self._timing, MAX_LINKS)
        radio = next((r for r in self if len(r.served) < r.max_links), next(iter(self)))
        return radio, radio.reserve(sensor)


@dataclass(frozen=True, slots=True)
class RadioContext(TransportContext):
    """What a gateway gives its transports: the adapters too, which the drivers know nothing of."""

    radios: Radios | None = None
