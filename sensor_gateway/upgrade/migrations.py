"""SQLite files of an earlier release brought to this release's schema, step by step forwards, each step in one transaction.

`user_version` says which schema a file has. A file of a newer release is refused before anything is written. What is
additive (a new column that may be null) needs no step here: the store and the dead letters add such columns themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sensor_gateway.bridge.queue import BridgeQueue, QueueError
from sensor_gateway.sinks.store import Store, StoreError
from sensor_gateway.spool.database import Spool, SpoolError
from sensor_gateway.status.status import BRIDGE_FILE, SPOOL_FILE, STORE_FILE


class MigrationError(Exception):
    """A file that cannot be brought to this release; the text names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """A file, the schema it had and has now, and its rows by table, which no step may lose."""

    file: str
    before: int
    after: int
    rows: Mapping[str, int]


def _open_spool(path: Path) -> None:
    Spool(path).close()


def _open_store(path: Path) -> None:
    Store.open(path).close()


def _open_queue(path: Path) -> None:
    BridgeQueue(path).close()


# Opening brings a file up to date: what is tested here is what every start does.
OPENERS: Final[dict[str, Callable[[Path], None]]] = {
    SPOOL_FILE: _open_spool,
    STORE_FILE: _open_store,
    BRIDGE_FILE: _open_queue,
}


def migrate(folder: Path) -> list[Migrated]:
    """Bring every file of a data folder up to date; raises `MigrationError`, and then that file is as it was."""
    done = []
    for name, opener in OPENERS.items():
        path = folder / name
        if path.is_file():
            before, rows = look(path)
            try:
                opener(path)
            except (SpoolError, StoreError, QueueError) as e:
                raise MigrationError(str(e)) from e
            after, now = look(path)
            lost = {table: n - now.get(table, 0) for table, n in rows.items() if now.get(table, 0) < n}
            if lost:
                raise MigrationError(f"{path}: rows are missing after the update ({lost}); restore the backup")
            done.append(Migrated(name, before, after, now))
    return done


def look(path: Path) -> tuple[int, dict[str, int]]:
    """Schema version and rows by table of a file; raises `MigrationError` where it is damaged or no SQLite file."""
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
            rows = {
                table: int(db.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])
                for (table,) in db.execute(tables).fetchall()
            }
        finally:
            db.close()
    except sqlite3.Error as e:
        raise MigrationError(f"{path}: cannot be read ({e}); restore it from a backup") from e
    return version, rows
