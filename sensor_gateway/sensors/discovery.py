"""What is on the air, which driver would read it, and to whom it is bound: behind `tiltline scan` and `tiltline bind`.

Nothing is connected here. A driver is asked by its `match` alone, so a driver installed from elsewhere (an entry point of the
group `tiltline.drivers`) takes part by giving its factory a ``driver_class``, as `radio.ble_sensor.BleSensor` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from sensor_gateway.config import Sensor
from sensor_gateway.drivers.base import Advert, Driver
from sensor_gateway.drivers.registry import installed
from sensor_gateway.radio.adapter import Radio

ADDRESS: Final = re.compile(r"(?:[0-9A-F]{2}:){5}[0-9A-F]{2}|[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}")
"""A Bluetooth address, or what macOS gives instead; in capital letters."""
LIKELY: Final = 0.4
"""From here on a driver's confidence is worth showing: a name alone gives about a half."""
CERTAIN: Final = 0.65
_SEEN_MAX: Final = 2000


@runtime_checkable
class MakesDriver(Protocol):
    """A transport factory that says which driver it makes."""

    driver_class: Callable[..., Driver]


@dataclass(frozen=True, slots=True)
class Known:
    """A radio driver that is installed here. ``trouble`` says why it cannot be loaded, and then there is no ``driver``."""

    name: str
    driver: Driver | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """A driver and how sure it is (0..1) that the advertisement comes from its kind of sensor."""

    driver: str
    confidence: float


@dataclass(slots=True)
class Seen:
    """One device on the air. ``rssi_dbm`` is the median of what was heard, ``bound`` the sensor's id and wearer."""

    address: str
    name: str | None = None
    rssi_dbm: int | None = None
    adverts: int = 0
    services: set[str] = field(default_factory=set)
    manufacturer_ids: set[int] = field(default_factory=set)
    matches: tuple[Match, ...] = ()
    bound: tuple[str, str] | None = None


def known_drivers() -> list[Known]:
    """Every installed driver that can recognise an advertisement, by name; simulations and recordings are not among them."""
    found = []
    for name, point in installed().items():
        try:
            factory = point.load()
            if isinstance(factory, MakesDriver):
                found.append(Known(name, factory.driver_class()))
        except Exception as e:  # noqa: BLE001 - code from elsewhere: one broken driver must not hide the others
            found.append(Known(name, None, f"{type(e).__name__}: {e}"))
    return found


def matches(advert: Advert, drivers: Iterable[Known]) -> tuple[Match, ...]:
    """Who would read it, the surest first."""
    sure = [Match(k.name, float(k.driver.match(advert))) for k in drivers if k.driver is not None]
    return tuple(sorted((m for m in sure if m.confidence >= LIKELY), key=lambda m: (-m.confidence, m.driver)))


def bindings(sensors: Sequence[Sensor]) -> dict[str, tuple[str, str]]:
    """Address in capitals to the id and wearer of the sensor bound to it."""
    return {s.address.upper(): (s.id, s.wearer) for s in sensors if not is_placeholder(s.address)}


def is_placeholder(address: str) -> bool:
    """No address, or the zeros of the example file."""
    return not address.strip("0:- ")


async def listen(
    radio: Radio, seconds: float, drivers: Sequence[Known], bound: Mapping[str, tuple[str, str]]
) -> list[Seen]:
    """Everything that advertises within ``seconds``: readable sensors first, the strongest signal first.

    Raises `LinkError` where the radio cannot scan. Advertisement and scan response come apart, so what is heard of one address
    is gathered: names, services and makers add up.
    """
    gathered: dict[str, Seen] = {}
    signals: dict[str, list[int]] = {}
    data: dict[str, dict[int, bytes]] = {}

    def hear(advert: Advert) -> bool:
        address = advert.address.upper()
        if address not in gathered and len(gathered) >= _SEEN_MAX:
            return False
        seen = gathered.setdefault(address, Seen(address))
        seen.adverts += 1
        seen.name = advert.name or seen.name
        seen.services |= {u.lower() for u in advert.service_uuids}
        seen.manufacturer_ids |= set(advert.manufacturer_data)
        data.setdefault(address, {}).update(advert.manufacturer_data)
        if advert.rssi_dbm is not None and -127 <= advert.rssi_dbm <= 20:
            signals.setdefault(address, []).append(advert.rssi_dbm)
        return False

    await radio.find(hear, seconds)
    for address, seen in gathered.items():
        if heard := sorted(signals.get(address, [])):
            seen.rssi_dbm = heard[len(heard) // 2]
        whole = Advert(address, seen.name, tuple(sorted(seen.services)), data.get(address, {}), seen.rssi_dbm)
        seen.matches = matches(whole, drivers)
        seen.bound = bound.get(address)
    return sorted(gathered.values(), key=_order)


def _order(seen: Seen) -> tuple[bool, bool, float, str]:
    signal = -999.0 if seen.rssi_dbm is None else float(seen.rssi_dbm)
    return seen.bound is None, not seen.matches, -signal, seen.address
