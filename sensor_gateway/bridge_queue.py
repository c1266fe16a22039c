"""The bridge's own durable queue: committed before the broker is told, emptied after the database has it.

Counters always balance: received = written + rejected + queued; nothing is ever dropped here, since a gateway sends only a
window ahead of the bridge's word. Repeats are recognised by (site, gateway, spool, sequence number) and counted apart.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sensor_gateway.wire.messages import Message

DEAD_LETTERS_MAX: Final = 100_000
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS gateway (
    id INTEGER PRIMARY KEY,
    site TEXT NOT NULL,
    gateway TEXT NOT NULL,
    spool TEXT NOT NULL,
    up_to INTEGER NOT NULL,      -- everything of this spool up to here is in the database (or set aside)
    heard INTEGER NOT NULL,      -- order in which spools were last heard of: the newest one is the gateway's present one
    UNIQUE (site, gateway, spool)
);
CREATE TABLE IF NOT EXISTS queue (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    after INTEGER NOT NULL,
    line TEXT NOT NULL,
    UNIQUE (source, seq)
);
-- Settled rows that `up_to` has not reached yet, because one before them is still on its way.
CREATE TABLE IF NOT EXISTS settled (
    source INTEGER NOT NULL, seq INTEGER NOT NULL, after INTEGER NOT NULL, PRIMARY KEY (source, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letter (
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, reason TEXT NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO counter VALUES ('received', 0), ('written', 0), ('rejected', 0), ('duplicates', 0);
"""


class QueueError(Exception):
    """The queue cannot be used; the text names the file and the remedy."""


@dataclass(frozen=True, slots=True)
class Good:
    """A checked message and its line of line protocol."""

    message: Message
    line: str


@dataclass(frozen=True, slots=True)
class Bad:
    """A message that cannot be written; ``message`` is its envelope where that much could be read."""

    topic: str
    payload: bytes
    reason: str
    message: Message | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """A line that waits for the database."""

    id: int
    line: str


@dataclass(frozen=True, slots=True)
class Word:
    """What a gateway may be told: everything of ``spool`` up to ``up_to`` is safe."""

    site: str
    gateway: str
    spool: str
    up_to: int


class BridgeQueue:
    """The queue in one SQLite file; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Open or create; raises `QueueError`."""
        self.path = path
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        except (OSError, sqlite3.Error) as e:
            raise QueueError(f"{path}: cannot be used as the bridge's queue ({e}); check 'site.data_dir'") from e

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as e:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(e, sqlite3.Error):
                    raise QueueError(f"{self.path}: cannot be written ({e}); free space on this disk") from e
                raise

    def receive(self, arrivals: Sequence[Good | Bad]) -> None:
        """Commit what arrived, durably; only then may the broker be told. Raises `QueueError`, and nothing is kept."""
        with self._transaction() as db:
            for arrival in arrivals:
                source = None if arrival.message is None else _source(db, arrival.message)
                fresh = source is None or arrival.message is None or _is_new(db, *source, arrival.message)
                if isinstance(arrival, Bad):
                    fresh = _bury(db, arrival.reason, arrival.topic, arrival.payload) and fresh
                _count(db, "received" if fresh else "duplicates", 1)
                if not fresh:
                    continue
                if isinstance(arrival, Good) and source is not None:
                    m = arrival.message
                    row = (source[0], m.seq, m.after, arrival.line)
                    db.execute("INSERT INTO queue (source, seq, after, line) VALUES (?, ?, ?, ?)", row)
                else:
                    _count(db, "rejected", 1)
                    if source is not None and arrival.message is not None:
                        row_ = (source[0], arrival.message.seq, arrival.message.after)
                        db.execute("INSERT INTO settled VALUES (?, ?, ?)", row_)
            for source_id in [row[0] for row in db.execute("SELECT DISTINCT source FROM settled").fetchall()]:
                _advance(db, source_id)

    def take(self, limit: int) -> list[Queued]:
        """The oldest waiting lines; they stay in the queue until `settle`."""
        with self._lock:
            rows = self._db.execute("SELECT id, line FROM queue ORDER BY id LIMIT ?", (limit,)).fetchall()
        return [Queued(*row) for row in rows]

    def settle(self, written: Sequence[int], rejected: Sequence[tuple[int, str]]) -> None:
        """The database has the ``written`` lines; the ``rejected`` ones (with reasons) become dead letters."""
        with self._transaction() as db:
            sources = set()
            for row_id, reason in rejected:
                line = db.execute("SELECT line FROM queue WHERE id = ?", (row_id,)).fetchone()[0]
                _bury(db, reason, "", line.encode())
            for row_id in [*written, *(row_id for row_id, _ in rejected)]:
                row = db.execute("DELETE FROM queue WHERE id = ? RETURNING source, seq, after", (row_id,)).fetchone()
                db.execute("INSERT OR REPLACE INTO settled VALUES (?, ?, ?)", row)
                sources.add(row[0])
            _count(db, "written", len(written))
            _count(db, "rejected", len(rejected))
            for source_id in sources:
                _advance(db, source_id)

    def words(self) -> list[Word]:
        """What each gateway may be told about its present spool."""
        with self._lock:
            rows = self._db.execute(
                "SELECT site, gateway, spool, up_to FROM gateway g WHERE heard = "
                "(SELECT max(heard) FROM gateway WHERE site = g.site AND gateway = g.gateway)"
            ).fetchall()
        return [Word(*row) for row in rows]

    def counters(self) -> dict[str, int]:
        """received, written, rejected, duplicates, queued, dead_letters."""
        with self._lock:
            counters = dict(self._db.execute("SELECT name, value FROM counter").fetchall())
            counters["queued"] = self._db.execute("SELECT count(*) FROM queue").fetchone()[0]
            counters["dead_letters"] = self._db.execute("SELECT count(*) FROM dead_letter").fetchone()[0]
        return counters

    def dead_letters(self) -> list[tuple[str, str, bytes]]:
        """Reason, topic and body of what was set aside, oldest first."""
        with self._lock:
            return self._db.execute("SELECT reason, topic, body FROM dead_letter ORDER BY id").fetchall()


def _source(db: sqlite3.Connection, m: Message) -> tuple[int, int]:
    """Row id and ``up_to`` of the message's spool; what lies below its floor is safe already."""
    heard = db.execute("SELECT coalesce(max(heard), 0) + 1 FROM gateway").fetchone()[0]
    row = db.execute(
        "INSERT INTO gateway (site, gateway, spool, up_to, heard) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET up_to = max(up_to, excluded.up_to), heard = excluded.heard RETURNING id, up_to",
        (m.site, m.gateway, m.spool, m.floor - 1, heard),
    ).fetchone()
    return row[0], row[1]


def _is_new(db: sqlite3.Connection, source: int, up_to: int, m: Message) -> bool:
    if m.seq <= up_to:
        return False
    known = False
    # A repeat may close a hole: its sender has dropped what once stood before it.
    for table in ("queue", "settled"):
        sql = f"UPDATE {table} SET after = min(after, ?) WHERE source = ? AND seq = ?"
        known |= db.execute(sql, (m.after, source, m.seq)).rowcount > 0
    return not known


def _advance(db: sqlite3.Connection, source: int) -> None:
    up_to = db.execute("SELECT up_to FROM gateway WHERE id = ?", (source,)).fetchone()[0]
    for seq, after in db.execute("SELECT seq, after FROM settled WHERE source = ? ORDER BY seq", (source,)):
        if after > up_to:
            break
        up_to = max(up_to, seq)
    db.execute("UPDATE gateway SET up_to = ? WHERE id = ?", (up_to, source))
    db.execute("DELETE FROM settled WHERE source = ? AND seq <= ?", (source, up_to))


def _bury(db: sqlite3.Connection, reason: str, topic: str, body: bytes) -> bool:
    """Set aside; False where the same bytes lie there already."""
    digest = hashlib.sha256(topic.encode() + b"\n" + body).hexdigest()
    sql = "INSERT OR IGNORE INTO dead_letter (digest, reason, topic, body) VALUES (?, ?, ?, ?)"
    new = db.execute(sql, (digest, reason[:500], topic, body)).rowcount > 0
    if new:
        db.execute("DELETE FROM dead_letter WHERE id <= (SELECT max(id) FROM dead_letter) - ?", (DEAD_LETTERS_MAX,))
    return new


def _count(db: sqlite3.Connection, name: str, by: int) -> None:
    db.execute("UPDATE counter SET value = value + ? WHERE name = ?", (by, name))
