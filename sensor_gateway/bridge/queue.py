"""The bridge's own durable queue: committed before the broker is told, emptied after the database has it.

Counters always balance: received = written + rejected + dropped + queued. A record is never dropped here, since a gateway
sends only a window ahead of the bridge's word; only dead letters are, beyond their bound (`bridge/letters.py`). Repeats are
recognised by (site, gateway, spool, sequence number) and counted apart.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sensor_gateway.bridge import letters as bridge_letters
from sensor_gateway.bridge import sources
from sensor_gateway.bridge.letters import BYTES_MAX, LETTERS_MAX, Letter
from sensor_gateway.clock import Clock, SystemClock
from sensor_gateway.sqlite_faults import remedy
from sensor_gateway.wire.line import Queued
from sensor_gateway.wire.messages import Message

SCHEMA_VERSION: Final = 1
_FREE: Final = "free space on this disk"
_PLACE: Final = "check 'site.data_dir'"
AGAIN: Final = 0
"""Source of lines that a person has sent again; no gateway waits for word on them."""
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
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO counter VALUES
    ('received', 0), ('written', 0), ('rejected', 0), ('dropped', 0), ('duplicates', 0), ('requeued', 0), ('early', 0);
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
    """A message that cannot be written; ``message`` is its envelope where that much could be read, ``kind`` what is wrong:
    its topic, its form, its speaker (who is another than the topic says) or its record.
    """

    topic: str
    payload: bytes
    reason: str
    message: Message | None = None
    kind: str = "form"


@dataclass(frozen=True, slots=True)
class Word:
    """What a gateway may be told: everything of ``spool`` up to ``up_to`` is safe."""

    site: str
    gateway: str
    spool: str
    up_to: int


class BridgeQueue:
    """The queue in one SQLite file; safe to use from several threads."""

    def __init__(
        self, path: Path, clock: Clock | None = None, letters_max: int = LETTERS_MAX, in_order: bool = False
    ) -> None:
        """Open or create; raises `QueueError`. ``in_order``: a row whose predecessor has not come yet is left out, since
        its gateway will send both again; so what reaches the database is never ahead of a hole.
        """
        self.path, self._in_order = path, in_order
        self._clock = clock or SystemClock()
        self._letters_max = letters_max
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        except (OSError, sqlite3.Error) as e:
            raise QueueError(f"{path}: cannot be used as the bridge's queue ({e}); {remedy(e, _PLACE)}") from e
        try:
            self._prepare()
        except sqlite3.Error as e:
            self._db.close()
            raise QueueError(f"{path}: cannot be used as the bridge's queue ({e}); {remedy(e, _PLACE)}") from e
        except QueueError:
            self._db.close()
            raise

    def _prepare(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise QueueError(f"{self.path}: written by a newer Tiltline (schema {version}); update this installation")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {bridge_letters.SCHEMA} COMMIT;")
        bridge_letters.prepare(self._db)
        self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @property
    def depth(self) -> int:
        """Rows that wait for the database."""
        with self._lock:
            return int(self._rows("SELECT count(*) FROM queue")[0][0])

    def _rows(self, sql: str, params: tuple[int, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(sql, params).fetchall()
        except sqlite3.DatabaseError as e:
            raise QueueError(f"{self.path}: cannot be read ({e}); {remedy(e, _FREE)}") from e

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
                    raise QueueError(f"{self.path}: cannot be written ({e}); {remedy(e, _FREE)}") from e
                raise

    def receive(self, arrivals: Sequence[Good | Bad]) -> None:
        """Commit what arrived, durably; only then may the broker be told. Raises `QueueError`, and nothing is kept."""
        tally: Counter[str] = Counter()
        now_ns = self._clock.utc_ns()
        with self._transaction() as db:
            known: dict[tuple[str, str, str, int], tuple[int, int]] = {}
            reached: dict[int, int] = {}  # source to the last row that came, with all before it
            for arrival in arrivals:
                m = arrival.message
                source = None
                if m is not None:
                    key = (m.site, m.gateway, m.spool, m.floor)
                    source = known.get(key) or known.setdefault(key, sources.source(db, m))
                if self._in_order and source is not None and m is not None:
                    reach = max(reached.get(source[0]) or sources.reach(db, source[0]), source[1])
                    if m.after > reach:
                        tally["early"] += 1
                        continue
                    reached[source[0]] = max(reach, m.seq)
                fresh = source is None or m is None or sources.is_new(db, *source, m)
                if isinstance(arrival, Bad):
                    fresh = bridge_letters.bury(db, arrival.reason, arrival.topic, arrival.payload, now_ns) and fresh
                tally["received" if fresh else "duplicates"] += 1
                if not fresh:
                    continue
                if isinstance(arrival, Good) and source is not None and m is not None:
                    row = (source[0], m.seq, m.after, arrival.line)
                    db.execute("INSERT INTO queue (source, seq, after, line) VALUES (?, ?, ?, ?)", row)
                else:
                    tally["rejected"] += 1
                    if source is not None and m is not None:
                        db.execute("INSERT INTO settled VALUES (?, ?, ?)", (source[0], m.seq, m.after))
            for name, n in tally.items():
                _count(db, name, n)
            for source_id in [row[0] for row in db.execute("SELECT DISTINCT source FROM settled").fetchall()]:
                sources.advance(db, source_id)
            if tally["rejected"]:
                bridge_letters.bound(db, self._letters_max, BYTES_MAX)

    def hello(self, site: str, gateway: str, spool: str, durable_up_to: int) -> int:
        """A gateway has said which spool it sends from and up to where it knows it delivered: it may be told a word now,
        so that it need not wait long for the first one. Gives up to where all is safe. Raises `QueueError`.
        """
        with self._transaction() as db:
            return sources.source_of(db, site, gateway, spool, durable_up_to)[1]

    def take(self, limit: int) -> list[Queued]:
        """The oldest waiting lines; they stay in the queue until `settle`."""
        with self._lock:
            rows = self._rows("SELECT id, line FROM queue ORDER BY id LIMIT ?", (limit,))
        return [Queued(*row) for row in rows]

    def settle(self, written: Sequence[int], rejected: Sequence[tuple[int, str]]) -> None:
        """The database has the ``written`` lines; the ``rejected`` ones (with reasons) become dead letters."""
        with self._transaction() as db:
            for row_id, reason in rejected:
                line = db.execute("SELECT line FROM queue WHERE id = ?", (row_id,)).fetchone()[0]
                bridge_letters.bury(db, reason, "", line.encode(), self._clock.utc_ns())
            done = [(row_id,) for row_id in (*written, *(row_id for row_id, _ in rejected))]
            db.execute("CREATE TEMP TABLE IF NOT EXISTS done (id INTEGER PRIMARY KEY)")
            db.executemany("INSERT INTO done VALUES (?)", done)
            settled = f"SELECT source, seq, after FROM queue WHERE id IN (SELECT id FROM done) AND source != {AGAIN}"
            moved = {row[0] for row in db.execute(settled).fetchall()}
            db.execute(f"INSERT OR REPLACE INTO settled {settled}")
            db.execute("DELETE FROM queue WHERE id IN (SELECT id FROM done)")
            db.execute("DELETE FROM done")
            _count(db, "written", len(written))
            _count(db, "rejected", len(rejected))
            for source_id in moved:
                sources.advance(db, source_id)
            if rejected:
                bridge_letters.bound(db, self._letters_max, BYTES_MAX)

    def requeue(self, letter_id: int, line: str) -> bool:
        """Send a dead letter's line to the database again; False where there is no such letter. Raises `QueueError`."""
        with self._transaction() as db:
            if not bridge_letters.take_out(db, letter_id):
                return False
            seq = db.execute("SELECT coalesce(max(seq), 0) + 1 FROM queue WHERE source = ?", (AGAIN,)).fetchone()[0]
            db.execute("INSERT INTO queue (source, seq, after, line) VALUES (?, ?, ?, ?)", (AGAIN, seq, seq - 1, line))
        return True

    def words(self) -> list[Word]:
        """What each gateway may be told about its present spool."""
        with self._lock:
            rows = self._rows(
                "SELECT site, gateway, spool, up_to FROM gateway g WHERE heard = "
                "(SELECT max(heard) FROM gateway WHERE site = g.site AND gateway = g.gateway)"
            )
        return [Word(*row) for row in rows]

    def counters(self) -> dict[str, int]:
        """received, written, rejected, dropped, queued; duplicates, early, requeued, dead_letters, dead_letter_bytes."""
        with self._lock:
            counters = dict(self._rows("SELECT name, value FROM counter"))
            counters["queued"] = self._rows("SELECT count(*) FROM queue")[0][0]
            counters["dead_letters"] = self._rows("SELECT count(*) FROM dead_letter")[0][0]
        return counters

    def letters(self, letter_id: int | None = None, limit: int = -1) -> list[Letter]:
        """Dead letters, oldest first; only the one with this id, where given."""
        with self._lock:
            return bridge_letters.read(self._db, letter_id, limit)


def _count(db: sqlite3.Connection, name: str, by: int) -> None:
    db.execute("UPDATE counter SET value = value + ? WHERE name = ?", (by, name))
