"""A gateway's or bridge's data copied while it runs, and put back: every SQLite file through SQLite's own online backup.

The spool is copied before the store. Every record of the store's copy that the spool still expects to deliver is delivered
again after a restore and replaces itself, so the pair is consistent whenever the copies were made. `manifest.json` holds
a hash of each file; a restore checks them, the databases' integrity and their schema before it touches anything.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sensor_gateway.bridge.queue import SCHEMA_VERSION as QUEUE_SCHEMA
from sensor_gateway.config import Settings
from sensor_gateway.export.manifest import MANIFEST, versions
from sensor_gateway.sinks.store import SCHEMA_VERSION as STORE_SCHEMA
from sensor_gateway.spool.database import SCHEMA_VERSION as SPOOL_SCHEMA
from sensor_gateway.spool.database import SpoolError, take_guard
from sensor_gateway.sqlite_faults import DAMAGED, remedy
from sensor_gateway.status.status import BRIDGE_FILE, SPOOL_FILE, STORE_FILE
from sensor_gateway.upgrade.migrations import MigrationError, look, migrate
from sensor_gateway.whole_files import sha256_of, sync

FORMAT: Final = 1
SCHEMAS: Final = {SPOOL_FILE: SPOOL_SCHEMA, STORE_FILE: STORE_SCHEMA, BRIDGE_FILE: QUEUE_SCHEMA}
BESIDE: Final = ("alignment-notes.ndjson", "consent.ndjson", "exports.ndjson", "names.json")
_PAGES: Final = 2000  # 8 MB at a time; between two steps the gateway writes
_CONFIG: Final = "config"


class BackupError(Exception):
    """A backup that cannot be made or put back; the text says why and what to do. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Made:
    """A finished backup."""

    folder: Path
    manifest: dict[str, Any]


def backup(config: Path, settings: Settings, target: Path, progress: Callable[[float], None] = lambda _: None) -> Made:
    """Copy into ``target``, which must be absent or empty; it appears under its name when it is complete and on the disk."""
    source = config.parent / settings.site.data_dir
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupError(f"{target}: is not empty; name a new folder for each backup")
    names = [name for name in SCHEMAS if (source / name).is_file()]
    if not names:
        raise BackupError(f"{source}: holds nothing to back up; check 'site.data_dir'")
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    began = datetime.now(UTC)
    try:
        for i, name in enumerate(names):
            copy_database(source / name, partial / name, lambda share, at=i: progress((at + share) / len(names)))  # type: ignore[misc]  # at is bound early on purpose
            _whole(source / name, partial / name)
        for name in BESIDE:
            if (source / name).is_file():
                _copy(source / name, partial / name)
        (partial / _CONFIG).mkdir()
        study = [config.parent / settings.study] if settings.study else []
        for path in (config, *study):
            _copy(path, partial / _CONFIG / path.name)
        manifest = _manifest(partial, config, began)
        _write(partial / MANIFEST, json.dumps(manifest, indent=2).encode() + b"\n")
        sync(partial)
        if target.exists():
            target.rmdir()
        partial.rename(target)
        sync(target.absolute().parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return Made(target, manifest)


def copy_database(source: Path, target: Path, progress: Callable[[float], None] = lambda _: None) -> None:
    """SQLite's online backup of one file: one consistent moment, whoever writes meanwhile. Raises `BackupError`."""

    def tell(_: int, remaining: int, total: int) -> None:
        progress(1 - remaining / max(total, 1))

    try:
        old = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
        new = sqlite3.connect(target)
        try:
            # One read transaction keeps the moment: without it every commit of the gateway would start the copy anew.
            old.execute("BEGIN")
            old.execute("SELECT count(*) FROM sqlite_master").fetchone()
            old.backup(new, pages=_PAGES, progress=tell, sleep=0.005)
            new.execute("PRAGMA journal_mode = DELETE")
        finally:
            new.close()
            old.close()
    except sqlite3.Error as e:
        raise BackupError(
            f"{source}: cannot be copied ({e}); {remedy(e, f'free space at {target.parent} and try again')}"
        ) from e
    target.chmod(0o600)
    sync(target)


def _whole(source: Path, copied: Path) -> None:
    """SQLite copies damaged pages as they are; a backup of them is none."""
    try:
        db = sqlite3.connect(f"{copied.absolute().as_uri()}?mode=ro", uri=True)
        try:
            said = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
        finally:
            db.close()
    except sqlite3.Error as e:
        said = str(e)
    if said != "ok":
        raise BackupError(f"{source}: cannot be copied whole ({' '.join(said.split())}); {DAMAGED}")


def _copy(source: Path, target: Path) -> None:
    _write(target, source.read_bytes())
    target.chmod(source.stat().st_mode & 0o777)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _manifest(folder: Path, config: Path, began: datetime) -> dict[str, Any]:
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        files[name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        if name in SCHEMAS:
            schema, rows = look(path)
            files[name] |= {"schema": schema, "rows": rows}
    times = {"began": began.isoformat(timespec="seconds"), "ended": datetime.now(UTC).isoformat(timespec="seconds")}
    return {"format": FORMAT, "kind": "backup", **times, "config": config.name, "versions": versions(), "files": files}


def verify(folder: Path) -> dict[str, Any]:
    """The manifest of a backup whose every file is as it was written, sound, and of no newer release; else `BackupError`."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise BackupError(f"{folder}: is no complete backup ({e}); choose another") from None
    if manifest.get("kind") != "backup" or manifest.get("format", 0) > FORMAT:
        raise BackupError(f"{folder}: is no backup this Tiltline knows; update this installation")
    for name, facts in manifest["files"].items():
        path = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise BackupError(f"{folder}: its manifest names {name!r}; choose another backup")
        if not path.is_file() or sha256_of(path) != facts["sha256"]:
            raise BackupError(f"{path}: is missing or not as it was written; choose another backup")
        if name in SCHEMAS:
            _sound(path, SCHEMAS[name])
    return manifest


def _sound(path: Path, newest: int) -> None:
    try:
        version, _ = look(path)
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            said = db.execute("PRAGMA integrity_check").fetchone()[0]
        finally:
            db.close()
    except (sqlite3.Error, MigrationError) as e:
        raise BackupError(f"{path}: cannot be read ({e}); choose another backup") from e
    if said != "ok":
        raise BackupError(f"{path}: is damaged ({said}); choose another backup")
    if version > newest:
        raise BackupError(f"{path}: written by a newer Tiltline (schema {version}); update this installation first")


def restore(folder: Path, target: Path, config: Path | None = None) -> dict[str, Any]:
    """Put a verified backup into the data folder ``target`` and bring it to this release's schema.

    What lies there is not overwritten: it is moved beside, to ``NAME.before-restore-TIME``. The new folder takes its place in
    one step. ``config``: the settings in use; where they lie in the data folder itself they stay there. Raises `BackupError`, `MigrationError` or ``OSError``, and the old data are in place.
    """
    manifest = verify(folder)
    aside: Path | None = None
    partial = target.with_name(f".{target.name}.restoring")
    shutil.rmtree(partial, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    guards = []
    try:
        if target.is_dir():
            for name, command in ((SPOOL_FILE, "tiltline run"), (BRIDGE_FILE, "tiltline bridge")):
                guards.append(take_guard(target / name, command))
        partial.mkdir(mode=0o700)
        for name in manifest["files"]:
            if not name.startswith(f"{_CONFIG}/"):
                _copy(folder / name, partial / name)
        migrate(partial)
        _number_anew(partial / SPOOL_FILE)
        sync(partial)
        if config is not None and config.resolve().is_relative_to(target.resolve()):
            kept = partial / config.resolve().relative_to(target.resolve())
            kept.parent.mkdir(parents=True, exist_ok=True)
            _copy(config, kept)
        if target.is_dir():
            aside = target.with_name(f"{target.name}.before-restore-{time.time_ns()}")
            target.rename(aside)
        partial.rename(target)
        sync(target.absolute().parent)
    except SpoolError as e:
        raise BackupError(str(e)) from None
    finally:
        for guard in guards:
            guard.close()
        shutil.rmtree(partial, ignore_errors=True)
    return manifest | {"before": None if aside is None else str(aside)}


def _number_anew(spool: Path) -> None:
    """A restored spool goes back in its numbers: under its old id the bridge would take new records for known ones."""
    if spool.is_file():
        db = sqlite3.connect(spool, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("UPDATE meta SET value = ? WHERE key = 'spool'", (secrets.token_hex(8),))
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            db.close()
