"""Where an erasure works: configuration files of gateways and bridges with their data folders, and the locks of both.

A gateway and a bridge on one machine may share a folder, and even a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sensor_gateway.config import Settings, load_settings
from sensor_gateway.spool.database import SpoolError, take_guard
from sensor_gateway.status.status import BRIDGE_FILE, SPOOL_FILE, STORE_FILE
from sensor_gateway.wire import topics

PENDING: Final = "erase-pending.json"


class EraseError(Exception):
    """An erasure that cannot begin; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """A configuration and what lies in its data folder. ``bridges``: a bridge found there goes by this file."""

    config: Path
    settings: Settings
    bridges: bool

    @property
    def name(self) -> str:
        return f"{self.settings.site.id}/{self.settings.site.gateway}"

    @property
    def base(self) -> Path:
        return self.config.parent

    @property
    def folder(self) -> Path:
        return folder_of(self.config, self.settings)

    @property
    def is_gateway(self) -> bool:
        return (self.folder / SPOOL_FILE).is_file() or (self.folder / STORE_FILE).is_file()

    @property
    def is_bridge(self) -> bool:
        return self.bridges and (self.folder / BRIDGE_FILE).is_file()


def folder_of(config: Path, settings: Settings) -> Path:
    """The data folder of a configuration file."""
    return config.parent / settings.site.data_dir


def places(configs: Sequence[Path]) -> list[Place]:
    """Read the configurations; raises `ConfigError`, or `EraseError` where one has no data.

    Of the files that share a folder the bridge's is the one that names the database's token; where that does not tell, the
    last one.
    """
    read = {path: load_settings(path) for path in configs}
    bridges: dict[Path, Path] = {}
    for path, settings in sorted(read.items(), key=lambda one: bool(one[1].influx.token_file)):
        bridges[folder_of(path, settings).resolve()] = path
    found = [Place(path, s, path in bridges.values()) for path, s in read.items()]
    for place in found:
        if not (place.is_gateway or (place.folder / BRIDGE_FILE).is_file() or (place.folder / PENDING).is_file()):
            raise EraseError(f"{place.folder}: holds neither a gateway's nor a bridge's files; check 'site.data_dir'")
    return found


def check(found: Sequence[Place], wearer: str) -> None:
    """Refuse what would record her again at once, and what is no pseudonym; raises `EraseError`."""
    if not topics.is_id(wearer):
        raise EraseError(f"{wearer!r} is no wearer's id; use 1-32 small letters, digits and '-'")
    for place in found:
        bound = [s.id for s in place.settings.sensors if s.wearer == wearer]
        if bound:
            how = "; ".join(f"tiltline bind --unbind {s} --config {place.config}" for s in bound)
            raise EraseError(f"{place.config} still binds {', '.join(bound)} to {wearer}; free it first: {how}")


@contextmanager
def locked(found: Sequence[Place]) -> Iterator[None]:
    """Hold the locks of all processes of these places; raises `EraseError` where one runs."""
    with ExitStack() as stack:
        for folder in dict.fromkeys(place.folder.resolve() for place in found):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(take_guard(folder / SPOOL_FILE))
                # Seen here to be free; from `drain` on the erasure's own bridge takes this one.
                take_guard(folder / BRIDGE_FILE, "tiltline bridge").close()
            except SpoolError as e:
                raise EraseError(f"{e} (an erasure needs gateway and bridge stopped)") from None
        yield
