"""A sensor bound to a wearer: the gateway file changed in place, its comments and order kept. Behind `tiltline bind`.

The new text is checked as `tiltline run` would check it, before it takes the file's place in one step.
"""

from __future__ import annotations

import difflib
import re
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Table

from processing.alignment.static import AlignmentError, parse_mount
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import ConfigError, Sensor, Settings, load_settings
from sensor_gateway.drivers.base import TransportContext
from sensor_gateway.drivers.registry import transport_factory
from sensor_gateway.radio.ble_sensor import OPTIONS
from sensor_gateway.sensors.discovery import is_placeholder
from sensor_gateway.whole_files import write_whole

_PREFIX: Final = "clip-"
_NO_RADIO: Final = ("synthetic", "replay")


@dataclass(frozen=True, slots=True)
class Change:
    """A new text for a gateway file, not yet written; ``sensor`` is its id."""

    path: Path
    before: str
    after: str
    sensor: str

    @property
    def diff(self) -> str:
        """What changes, as `diff -u` would show it."""
        lines = difflib.unified_diff(
            self.before.splitlines(keepends=True), self.after.splitlines(keepends=True), str(self.path), "new"
        )
        return "".join(line if line.endswith("\n") else line + "\n" for line in lines)

    def write(self) -> None:
        """Put the new text in the file's place: whole or not at all, with the old file's permissions."""
        write_whole(self.path, self.after.encode())


@dataclass(frozen=True, slots=True)
class Wish:
    """Which sensor is to be whose. None leaves what the file says, or takes the driver's own value."""

    address: str
    wearer: str
    driver: str
    sensor: str | None = None
    rate_hz: float | None = None
    mount: str | None = None
    also: bool = False
    options: Mapping[str, str | float | bool] = field(default_factory=dict)


def option(text: str) -> tuple[str, str | float | bool]:
    """KEY=VALUE as a person writes it: a number, true or false as such, all else as text. Raises ValueError."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise ValueError(f"{text!r} is no option; write KEY=VALUE, e.g. chip=bmi160")
    if key in OPTIONS:  # addresses and serial numbers, which may look like numbers
        return key, value
    try:
        told = tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        return key, value
    return key, told if isinstance(told, bool | int | float) else value


def bind(path: Path, wish: Wish) -> Change:
    """The change that binds; raises `ConfigError` where the address, the wearer or the id is taken, or a value is wrong."""
    before, document, settings = _read(path)
    address = wish.address.upper()
    for sensor in settings.sensors:
        if sensor.address.upper() == address:
            raise ConfigError(
                f"{address} is bound to {sensor.wearer} already, as {sensor.id}; "
                f"free it first: tiltline bind --unbind {sensor.id}"
            )
    blocks = _blocks(path, document)
    waiting = next((b for b in blocks if _waits_for(b, wish)), None)
    worn = [s for s in settings.sensors if s.wearer == wish.wearer and not _is_waiting(s)]
    if worn and not wish.also:
        ids = ", ".join(s.id for s in worn)
        raise ConfigError(
            f"{wish.wearer} wears {ids} already; unbind that first, or add --also where two sensors are meant"
        )
    table = tomlkit.table() if waiting is None else waiting
    taken = {s.id for s in settings.sensors}
    if waiting is None:
        table["id"] = wish.sensor or _free_id(taken)
    elif wish.sensor and wish.sensor != table["id"]:
        table["id"] = wish.sensor
    values: dict[str, str | float] = {"wearer": wish.wearer, "driver": wish.driver, "address": address}
    values |= {k: v for k, v in (("rate_hz", wish.rate_hz), ("mount", wish.mount)) if v is not None}
    for key, value in values.items():
        if table.get(key) != value:
            table[key] = value
    if wish.options:
        options = table.get("options", tomlkit.inline_table())
        options.update(wish.options)
        table["options"] = options
    if waiting is None:
        table.add(tomlkit.nl())  # what follows in the file is a table of its own
        blocks.append(table)
        if "sensors" not in document:
            document.add(tomlkit.nl())
            document["sensors"] = blocks
    return _checked(path, before, tomlkit.dumps(document), str(table["id"]))


def unbind(path: Path, which: str) -> Change:
    """The change that takes the block of a sensor (by id or address) out; raises `ConfigError` where there is none."""
    before, document, settings = _read(path)
    found = [
        i for i, s in enumerate(settings.sensors) if which in (s.id, s.address) or which.upper() == s.address.upper()
    ]
    if not found:
        known = ", ".join(f"{s.id} ({s.address or 'no address'})" for s in settings.sensors) or "none"
        raise ConfigError(f"{path}: no sensor {which!r} is bound; bound here: {known}")
    blocks = _blocks(path, document)
    sensor = settings.sensors[found[0]]
    del blocks[found[0]]
    if not len(blocks):
        del document["sensors"]
    return _checked(path, before, tomlkit.dumps(document), sensor.id)


def _read(path: Path) -> tuple[str, tomlkit.TOMLDocument, Settings]:
    settings = load_settings(path)
    with path.open(encoding="utf-8", newline="") as f:
        text = f.read()
    try:
        return text, tomlkit.parse(text), settings
    except TOMLKitError as e:
        raise ConfigError(f"{path}: not valid TOML: {e}") from None


def _blocks(path: Path, document: tomlkit.TOMLDocument) -> AoT:
    blocks = document.get("sensors")
    if blocks is None:
        return tomlkit.aot()
    if not isinstance(blocks, AoT):
        raise ConfigError(f"{path}: key 'sensors' is written in one line; write each sensor as a [[sensors]] block")
    return blocks


def _is_waiting(sensor: Sensor) -> bool:
    return sensor.driver not in _NO_RADIO and is_placeholder(sensor.address)


def _waits_for(block: Table, wish: Wish) -> bool:
    """A block that names the wearer and has no address yet, as in the example file."""
    plain: dict[str, Any] = block.unwrap()
    waits = plain.get("driver", "open") not in _NO_RADIO and is_placeholder(plain.get("address", ""))
    return waits and plain.get("wearer") == wish.wearer and wish.sensor in (None, plain.get("id"))


def _free_id(taken: set[str]) -> str:
    numbers = [int(m.group(1)) for i in taken if (m := re.fullmatch(rf"{_PREFIX}(\d+)", i))]
    return f"{_PREFIX}{max(numbers, default=0) + 1}"


def _checked(path: Path, before: str, after: str, sensor_id: str) -> Change:
    """Refuse what `tiltline run` would refuse, in its words."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / path.name
        trial.write_text(after, encoding="utf-8")
        try:
            settings = load_settings(trial)
        except ConfigError as e:
            raise ConfigError(str(e).replace(str(trial), str(path))) from None
    for sensor in settings.sensors:
        if sensor.id == sensor_id and sensor.driver not in _NO_RADIO:
            transport_factory(sensor)(sensor, TransportContext(SystemClock()))
            try:
                parse_mount(sensor.mount)
            except AlignmentError as e:
                raise ConfigError(f"key 'mount' of sensor {sensor.id!r}: {e}") from None
    return Change(path, before, after, sensor_id)
