"""Which commands a gateway has heard: on disk before they are carried out, so that none is carried out twice.

A gateway that dies between the two has not carried the command out and will not; its sender gets no receipt and asks
anew. The same file is the record of who asked what, and what became of it (the newest `KEPT` of them).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from sensor_gateway.spool.database import SpoolError
from sensor_gateway.sqlite_faults import remedy

LEDGER_FILE: Final = "commands.db"
KEPT: Final = 10_000


class Ledger:
    """The file ``commands.db`` in the data folder; used by one thread."""

    def __init__(self, path: Path) -> None:
        """Open or create; raises `SpoolError` or ``OSError``."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS command (id TEXT PRIMARY KEY, issuer TEXT NOT NULL, wearer TEXT NOT NULL, "
                "asked TEXT NOT NULL, t_utc_ns INTEGER NOT NULL, expires_utc_ns INTEGER NOT NULL, outcome TEXT) STRICT"
            )
        except sqlite3.Error as e:
            raise SpoolError(f"{path}: cannot be used as the list of commands ({e}); {remedy(e)}") from e

    def enter(self, id_: str, issuer: str, wearer: str, asked: str, t_utc_ns: int, expires_utc_ns: int) -> bool:
        """Write it down; False where the id stands there already."""
        taken = self._db.execute(
            "INSERT OR IGNORE INTO command VALUES (?, ?, ?, ?, ?, ?, NULL)",
            (id_, issuer, wearer, asked, t_utc_ns, expires_utc_ns),
        ).rowcount
        # Only those that can no longer be played again are forgotten.
        self._db.execute(
            "DELETE FROM command WHERE expires_utc_ns < ? AND rowid <= (SELECT max(rowid) FROM command) - ?",
            (t_utc_ns - 86_400 * 10**9, KEPT),
        )
        return bool(taken)

    def settle(self, id_: str, outcome: str) -> None:
        """What became of it."""
        self._db.execute("UPDATE command SET outcome = ? WHERE id = ?", (outcome, id_))

    def newest(self, limit: int = 100) -> list[tuple[str, str, str, str, str | None]]:
        """Id, issuer, wearer, what was asked and its outcome, newest first."""
        rows = "SELECT id, issuer, wearer, asked, outcome FROM command ORDER BY rowid DESC LIMIT ?"
        return self._db.execute(rows, (limit,)).fetchall()

    def close(self) -> None:
        self._db.close()
