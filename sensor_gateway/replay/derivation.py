"""Derivations beside the original: named stores under ``derived/`` of the data folder, each saying in itself what it is.

`tiltline replay` and `tiltline alignment correct` make them. A store is signed when it is complete, with its name, the gateway whose
journal it follows from, study, alignments, mode and versions; `--list`, the diff report and an export's manifest read that.
An erasure takes the wearer out of them as out of the gateway's store, retention holds for them too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from processing.alignment.static import Alignment
from processing.rules.study import Study, study_hash
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Sensor, Settings
from sensor_gateway.replay.rederive import ReplayError
from sensor_gateway.sinks.makers import COMPUTING, DERIVED, Maker, installed
from sensor_gateway.sinks.store import Store, StoreError

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LOGS: Final = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Listed:
    """A store under ``derived/`` and who signed it; None: it was not finished, or an earlier release made it."""

    name: str
    path: Path
    maker: Maker | None


def derived_path(folder: Path, name: str) -> Path:
    """Where a derivation's store lies."""
    return folder / DERIVED / f"{name}.db"


def check_name(name: str, settings: Settings) -> str:
    """The name, if a file may have it; raises `ReplayError`."""
    if not _NAME.fullmatch(name):
        raise ReplayError(
            f"--name {name!r}: use 1 to 64 letters, digits, '.', '_' and '-', beginning with one of the first two"
        )
    for wearer in {s.wearer for s in settings.sensors}:
        if wearer in name:
            raise ReplayError(
                f"--name {name!r}: names {wearer}, which an erasure could not take out; choose another name"
            )
    return name


def name_of(study: Path | None, alignment: Path | None, mode: str) -> str:
    """A name made of what changed, as `check_name` wants it."""
    parts = [path.stem for path in (study, alignment) if path is not None] + ([mode] if mode != "live" else [])
    return _UNFIT.sub("-", "-".join(parts)).strip("-._")[:64] or "again"


@contextmanager
def new_store(path: Path) -> Iterator[Store]:
    """A store that did not exist; gone again where what is done with it fails. Raises `ReplayError`."""
    if path.exists():
        raise ReplayError(f"{path}: exists; give --name another name, or delete it")
    try:
        with closing(Store.open(path)) as store:
            yield store
    except BaseException:
        for suffix in _LOGS:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        raise


def facts(
    name: str,
    settings: Settings,
    study: Study,
    mode: str,
    options: Mapping[str, Any],
    study_changes: Sequence[tuple[str, Any, Any]] = (),
    alignments: Sequence[Mapping[str, Any]] = (),
    sensors: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """What a derivation says of itself, JSON plain. ``options``: of the command, without folders; ``alignments``: as `alignment_fact`
    tells them; ``sensors``: counts of each, with its wearer.
    """
    return {
        "name": name, "site": settings.site.id, "gateway": settings.site.gateway, "mode": mode, "options": dict(options),
        "study": {"hash": study_hash(study), "version": study.version},
        "study_changes": [{"key": key, "from": was, "to": now} for key, was, now in study_changes],
        "alignments": list(alignments), "sensors": list(sensors),
    }  # fmt: skip


def alignment_fact(sensor: Sensor, since_utc_ns: int, used: Alignment, how: Mapping[str, Any]) -> dict[str, Any]:
    """An alignment that was put in force; ``how``: what a person wrote."""
    return {
        "wearer": sensor.wearer, "sensor": sensor.id, "since_utc_ns": since_utc_ns, "alignment_id": used.id, "method": used.method,
        "mount_id": used.mount_id, "r_ps": [list(row) for row in used.r_ps], "uncertainty_deg": used.uncertainty_deg, "how": dict(how),
    }  # fmt: skip


def sign(store: Store, derivation: Mapping[str, Any]) -> Maker:
    """Note in a complete store what it is."""
    store.sign(SystemClock().utc_ns(), installed(*COMPUTING), derivation)
    return store.makers()[-1]


def listed(folder: Path) -> list[Listed]:
    """The derivations of a data folder by name."""
    found: list[Listed] = []
    for path in sorted((folder / DERIVED).glob("*.db")):
        try:
            with closing(Store.open(path, readonly=True)) as store:
                makers = store.makers()
        except StoreError:
            makers = []
        found.append(Listed(path.stem, path, makers[-1] if makers else None))
    return found
