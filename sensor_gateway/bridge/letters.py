"""Dead letters of the bridge: what cannot be written, kept with its reason until a person has looked at it.

Tables and statements beside `bridge/queue.py`, in the same file and the same transactions. Bounded by number and by bytes;
what the bound costs is counted (`dropped`), so that the queue's books balance: received = written + rejected + dropped +
queued, where `rejected` is what lies here and was not sent again.
"""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass
from typing import Final

LETTERS_MAX: Final = 100_000
BYTES_MAX: Final = 256_000_000
REASON_CHARS: Final = 500
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS dead_letter (
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, reason TEXT NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL
);
INSERT OR IGNORE INTO counter VALUES ('dead_letter_bytes', (SELECT coalesce(sum(length(body)), 0) FROM dead_letter));
"""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message (``topic`` as it came) or, with an empty topic, a line the database refused; ``at_utc_ns`` 0: not known."""

    id: int
    reason: str
    topic: str
    body: bytes
    at_utc_ns: int = 0

    @property
    def kind(self) -> str:
        return "message" if self.topic else "line"


def prepare(db: sqlite3.Connection) -> None:
    """Make the table; a file of an earlier release gets the column it lacks."""
    columns = {row[1] for row in db.execute("PRAGMA table_info(dead_letter)")}
    if "at_utc_ns" not in columns:
        db.execute("ALTER TABLE dead_letter ADD COLUMN at_utc_ns INTEGER NOT NULL DEFAULT 0")


def bury(db: sqlite3.Connection, reason: str, topic: str, body: bytes, at_utc_ns: int) -> bool:
    """Set aside; False where the same bytes lie there already."""
    digest = hashlib.sha256(topic.encode() + b"\n" + body).hexdigest()
    sql = "INSERT OR IGNORE INTO dead_letter (digest, reason, topic, body, at_utc_ns) VALUES (?, ?, ?, ?, ?)"
    if db.execute(sql, (digest, reason[:REASON_CHARS], topic, body, at_utc_ns)).rowcount == 0:
        return False
    _add(db, "dead_letter_bytes", len(body))
    return True


def bound(db: sqlite3.Connection, letters_max: int, bytes_max: int) -> None:
    """Give up the oldest letters beyond the bounds, counted."""
    held = int(db.execute("SELECT count(*) FROM dead_letter").fetchone()[0])
    size = int(db.execute("SELECT value FROM counter WHERE name = 'dead_letter_bytes'").fetchone()[0])
    while held and (held > letters_max or size > bytes_max):
        sql = "DELETE FROM dead_letter WHERE id = (SELECT min(id) FROM dead_letter) RETURNING length(body)"
        freed = int(db.execute(sql).fetchone()[0])
        held, size = held - 1, size - freed
        _add(db, "dead_letter_bytes", -freed)
        _add(db, "rejected", -1)
        _add(db, "dropped", 1)


def read(db: sqlite3.Connection, letter_id: int | None = None, limit: int = -1) -> list[Letter]:
    """Letters oldest first, or the one with this id."""
    where = "" if letter_id is None else "WHERE id = ?"
    params: tuple[int, ...] = (limit,) if letter_id is None else (letter_id, limit)
    sql = f"SELECT id, reason, topic, body, at_utc_ns FROM dead_letter {where} ORDER BY id LIMIT ?"
    return [Letter(*row) for row in db.execute(sql, params).fetchall()]


def take_out(db: sqlite3.Connection, letter_id: int) -> bool:
    """Remove a letter that is on its way again; False where there is none of this id."""
    row = db.execute("DELETE FROM dead_letter WHERE id = ? RETURNING length(body)", (letter_id,)).fetchone()
    if row is None:
        return False
    _add(db, "dead_letter_bytes", -int(row[0]))
    _add(db, "rejected", -1)
    _add(db, "requeued", 1)
    return True


def _add(db: sqlite3.Connection, name: str, by: int) -> None:
    db.execute("UPDATE counter SET value = value + ? WHERE name = ?", (by, name))
