"""A wearer's rows taken out of the gateway's and the bridge's SQLite files, free pages and write-ahead log included.

Each function takes one file whose process is stopped. Rows go in one transaction, with the books kept in balance; `scrub`
then rewrites the file, so that no deleted byte is left in it. Repeating a function finds nothing more to do.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import msgspec

from processing.dictionary import KINDS
from sensor_gateway.bridge.queue import BridgeQueue
from sensor_gateway.spool import block
from sensor_gateway.spool.block import Logged
from sensor_gateway.spool.books import delete
from sensor_gateway.spool.database import count
from sensor_gateway.spool.journal import BLOCK_ENTRIES, CONTROL, DROPPED, Rows, absent

NOBODY: Final = "-"
"""Stands for an erased wearer in the spool's table of runs, whose order says which entries are whose. No id looks like it."""


class ScrubError(Exception):
    """A file cannot be cleared; the text names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Period:
    """Journal entries ``first`` to ``last`` (included) of a sensor belong to ``wearer``."""

    sensor: str
    wearer: str
    first: int
    last: int


def mentions(wearer: str) -> re.Pattern[bytes]:
    """Finds the pseudonym as a word of its own: w-001 is not found in w-0011 or in raw-w-001."""
    return re.compile(rb"(?<![a-z0-9-])" + re.escape(wearer.encode()) + rb"(?![a-z0-9-])")


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The file for clearing: deleted content is overwritten, every commit is on the disk."""
    try:
        db = sqlite3.connect(path, isolation_level=None, timeout=10)
        try:
            db.execute("PRAGMA secure_delete = ON")
            db.execute("PRAGMA synchronous = FULL")
            yield db
        finally:
            db.close()
    except sqlite3.Error as e:
        raise ScrubError(f"{path}: cannot be cleared ({e}); stop what uses it, free space, and start again") from e


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def scrub(path: Path) -> None:
    """Rewrite the file without free pages and empty its write-ahead log."""
    with opened(path) as db:
        db.execute("VACUUM")
        busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        raise ScrubError(f"{path}: another process reads it; close the page, exports and backups, and start again")


def periods(db: sqlite3.Connection | Rows, sensor: str) -> list[Period]:
    """Whose the entries of a sensor's journal are, in order."""
    rows = _rows(db, "SELECT wearer, warm_seq FROM run WHERE sensor = ? ORDER BY run", (sensor,))
    starts = [(wearer, next(group)[1]) for wearer, group in groupby(rows, key=lambda row: row[0])]
    ends = [start - 1 for _, start in starts[1:]] + [2**62]
    return [Period(sensor, wearer, first, last) for (wearer, first), last in zip(starts, ends, strict=True)]


def sensors_of(db: sqlite3.Connection | Rows, wearer: str) -> list[str]:
    """Sensors this wearer ever wore here."""
    return [row[0] for row in _rows(db, "SELECT DISTINCT sensor FROM run WHERE wearer = ? ORDER BY sensor", (wearer,))]


def _rows(db: sqlite3.Connection | Rows, sql: str, params: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    return db.execute(sql, params).fetchall() if isinstance(db, sqlite3.Connection) else db.query(sql, params)


def erase_spool(path: Path, wearer: str) -> dict[str, int]:
    """Journal entries, outbox rows, snapshots and records set aside; how many of each."""
    done = {"journal_entries": 0, "outbox_rows": 0, "set_aside": 0, "runs": 0}
    with opened(path) as db, transaction(db):
        before = absent(db)
        for sensor in sensors_of(db, wearer):
            spans = periods(db, sensor)
            # What is set aside carries no wearer: its time says whose it is, as long as the journal still shows the times.
            done["set_aside"] += _set_aside(db, sensor, spans, wearer)
            for span in spans:
                if span.wearer == wearer:
                    done["journal_entries"] += _cut(db, span)
        count(db, DROPPED, absent(db) - before)
        for kind in KINDS:
            done["outbox_rows"] += delete(db, kind, "kind = ? AND wearer = ?", (kind, wearer))
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'snapshot'").fetchone():  # else of an earlier release
            hers = "SELECT sensor, run FROM run WHERE wearer = ?"
            db.execute(f"DELETE FROM snapshot WHERE (sensor, run) IN ({hers})", (wearer,))
        done["runs"] = db.execute(
            "UPDATE run SET wearer = ?, setup_hash = '', next_ordinal = NULL, snapshot_seq = NULL, snapshot = NULL "
            "WHERE wearer = ?",
            (NOBODY, wearer),
        ).rowcount
    scrub(path)
    return done


def _cut(db: sqlite3.Connection, span: Period) -> int:
    """Take the period out; a block that also holds entries of others is written again with only theirs."""
    rows = db.execute(
        "SELECT id, first_seq, last_seq, small, last_rx_utc_ns, block FROM journal "
        "WHERE sensor = ? AND last_seq >= ? AND first_seq <= ?",
        (span.sensor, span.first, span.last),
    ).fetchall()
    gone = 0
    for row_id, first, last, small, rx_ns, body in rows:
        db.execute("DELETE FROM journal WHERE id = ?", (row_id,))
        if span.first <= first and last <= span.last:
            gone += last - first + 1
            continue
        entries = block.decode(body, first)
        before = [e for e in entries if e.seq < span.first]
        after = [e for e in entries if e.seq > span.last]
        gone += len(entries) - len(before) - len(after)
        for part in (before, after):
            _put_back(db, span.sensor, part, small, rx_ns)
    return gone


def _put_back(db: sqlite3.Connection, sensor: str, entries: Sequence[Logged], small: int, rx_ns: int) -> None:
    for i in range(0, len(entries), BLOCK_ENTRIES):
        part = entries[i : i + BLOCK_ENTRIES]
        body = block.encode([(e.source, e.received) for e in part])
        newest = next((e.received.rx_utc_ns for e in reversed(part) if e.source != CONTROL), rx_ns)
        db.execute(
            "INSERT INTO journal (sensor, first_seq, last_seq, small, last_rx_utc_ns, size, block) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (sensor, part[0].seq, part[-1].seq, small, newest, len(body), body),
        )


def _set_aside(db: sqlite3.Connection, sensor: str, spans: Sequence[Period], wearer: str) -> int:
    begins = [(span, _begin_ns(db, span)) for span in spans]
    known = [(begin, span.wearer) for span, begin in begins if begin is not None]
    doomed = []
    for row_id, body in db.execute("SELECT id, body FROM set_aside WHERE sensor = ?", (sensor,)).fetchall():
        at = _time_of(body)
        owner = None if at is None else max((k for k in known if k[0] <= at), default=None)
        # What nobody can be named for goes too: a doubtful record must not outlive its wearer.
        if owner is None or owner[1] == wearer:
            doomed.append((row_id,))
    db.executemany("DELETE FROM set_aside WHERE id = ?", doomed)
    return len(doomed)


def _begin_ns(db: sqlite3.Connection, span: Period) -> int | None:
    row = db.execute(
        "SELECT first_seq, block FROM journal WHERE sensor = ? AND last_seq >= ? AND first_seq <= ? "
        "ORDER BY first_seq LIMIT 1",
        (span.sensor, span.first, span.last),
    ).fetchone()
    if row is None:
        return None
    inside = [e for e in block.decode(row[1], row[0]) if span.first <= e.seq <= span.last]
    return inside[0].received.rx_utc_ns if inside else None


def _time_of(body: bytes) -> int | None:
    try:
        found: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
    at = found.get("t_utc_ns") if isinstance(found, dict) else None
    return at if isinstance(at, int) else None


def erase_store(path: Path, wearer: str, prune: Callable[[Any, str], Any] | None = None) -> dict[str, int]:
    """The wearer's records in a store; how many of each kind. ``prune`` takes her out of what a derivation says of itself."""
    with opened(path) as db, transaction(db):
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        done = {
            f"store_{kind}": db.execute(f"DELETE FROM {kind} WHERE wearer = ?", (wearer,)).rowcount
            for kind in KINDS
            if kind in tables
        }
        if prune is not None and "maker" in tables:
            for at, facts in db.execute(
                "SELECT since_utc_ns, derivation FROM maker WHERE derivation NOT NULL"
            ).fetchall():
                left = json.dumps(prune(json.loads(facts), wearer))
                db.execute("UPDATE maker SET derivation = ? WHERE since_utc_ns = ?", (left, at))
    scrub(path)
    return done


def erase_queue(path: Path, wearer: str) -> dict[str, int]:
    """Waiting lines and dead letters in the bridge's queue; they count as dropped there, so the books balance."""
    queue = BridgeQueue(path)
    lines = 0
    try:
        doomed = [(row.id, "erased") for row in queue.take(-1) if owner_of_line(row.line) == wearer]
        lines = len(doomed)
        for i in range(0, lines, 1000):
            queue.settle([], doomed[i : i + 1000])
    finally:
        queue.close()
    word = mentions(wearer)
    letters = 0
    with opened(path) as db, transaction(db):
        for row_id, topic, reason, body in db.execute("SELECT id, topic, reason, body FROM dead_letter").fetchall():
            if word.search(topic.encode()) or word.search(reason.encode()) or word.search(bytes(body)):
                db.execute("DELETE FROM dead_letter WHERE id = ?", (row_id,))
                for name, by in (("dead_letter_bytes", -len(body)), ("rejected", -1), ("dropped", 1)):
                    db.execute("UPDATE counter SET value = value + ? WHERE name = ?", (by, name))
                letters += 1
    scrub(path)
    return {"queue_lines": lines, "dead_letters": max(0, letters - lines)}


def owner_of_line(line: str) -> str | None:
    """The wearer tag of a line of line protocol."""
    head = re.match(r"(?:\\.|[^ \\])*", line)
    found = re.search(r",wearer=([a-z0-9-]+)(?:,|$)", head.group() if head else "")
    return found.group(1) if found else None
