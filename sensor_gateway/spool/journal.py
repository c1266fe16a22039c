"""The journal: every payload as it came, and every control that changes what is computed, in one order per sensor.

It is committed before anything is computed from it. Live commits are a payload or two; each minute they are
rewritten as one compact block (`block.py`), each sensor's in a second of its own. When the bound is reached the oldest blocks go, and a counter says so.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sensor_gateway.drivers.base import Received
from sensor_gateway.spool import block
from sensor_gateway.spool.block import Frames, Logged, Source
from sensor_gateway.spool.database import Spool, count

CONTROL: Final = Source("", 0)
"""Source of entries the gateway wrote itself; their payload is JSON (`runner.py`)."""

COMPACT_NS: Final = 60 * 1_000_000_000
COMPACT_LEAST_NS: Final = COMPACT_NS // 2  # before a sensor's first turn
COMPACT_ENTRIES: Final = 900  # at the latest: a minute and a half of 10 notifications a second
DIRECT_ENTRIES: Final = 600  # so many at once are a compact block from the start
BLOCK_ENTRIES: Final = 1200  # at most this many in a row, so that a reader finds its place through the index
DROPPED: Final = "journal_entries_dropped"


@dataclass(slots=True)
class _Tail:
    """What is known of a sensor's newest entries without asking the database."""

    next_seq: int = 1
    small: int = 0
    small_since_utc_ns: int = 0
    last_rx_utc_ns: int = 0  # of a payload; 0: none yet


class Rows(Protocol):
    """Something that answers queries: the open spool, or a reader beside it."""

    def query(self, sql: str, params: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]: ...


def first_entry(rows: Rows, sensor: str, wearer: str) -> int | None:
    """The first entry of this wearer with this sensor; what came before is another person's. None where she has none yet."""
    found = rows.query("SELECT wearer, warm_seq FROM run WHERE sensor = ? ORDER BY run DESC LIMIT 1", (sensor,))
    return int(found[0][1]) if found and found[0][0] == wearer else None


def absent(db: sqlite3.Connection) -> int:
    """Entries that were numbered up to each sensor's newest and are not there: for the books they are dropped ones."""
    newest = "SELECT sensor, max(last_seq) AS last, sum(last_seq - first_seq + 1) AS held FROM journal GROUP BY sensor"
    return int(db.execute(f"SELECT coalesce(sum(last - held), 0) FROM ({newest})").fetchone()[0])


class JournalReader:
    """Reads the journals of a spool."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def read(self, sensor: str, from_seq: int = 1) -> Iterator[list[Logged]]:
        """Entries from ``from_seq`` on, in order, a block at a time; what was dropped is missing at the front."""
        for first, at, body in self._blocks(sensor, from_seq):
            entries = block.decode(body, first)
            yield entries if first > at else entries[at + 1 - first :]

    def read_frames(self, sensor: str, from_seq: int = 1) -> Iterator[Frames]:
        """As `read`, in arrays: entries of one kind in a row, from one block."""
        for first, at, body in self._blocks(sensor, from_seq):
            for frames in block.decode_frames(body, first):
                new = frames.within(range(at + 1, frames.next_seq))
                if len(new):
                    yield new

    def _blocks(self, sensor: str, from_seq: int) -> Iterator[tuple[int, int, bytes]]:
        """Each block with its first entry, and the last one that has been had already."""
        at = from_seq - 1
        while rows := self._rows.query(
            "SELECT first_seq, last_seq, block FROM journal WHERE sensor = ? AND first_seq > ? AND last_seq > ? "
            "ORDER BY first_seq LIMIT 64",
            (sensor, at - BLOCK_ENTRIES, at),
        ):
            for first, last, body in rows:
                yield first, at, body
                at = last


class Journal(JournalReader):
    """Journals of all sensors of one spool."""

    def __init__(self, spool: Spool, max_bytes: int) -> None:
        super().__init__(spool)
        self._spool, self._max_bytes = spool, max_bytes
        self._tails: dict[str, _Tail] = {}
        self._recount = False
        self.size_bytes = 0
        self.reload()

    def reload(self) -> None:
        """Read from the file what is known of its end: at the start, and after appends that were undone."""
        spool, self._tails = self._spool, {}
        self.size_bytes = int(spool.query("SELECT coalesce(sum(size), 0) FROM journal")[0][0])
        for sensor, last, utc in spool.query(
            "SELECT sensor, max(last_seq), last_rx_utc_ns FROM journal GROUP BY sensor"
        ):
            sums = "coalesce(sum(last_seq - first_seq + 1), 0), coalesce(min(last_rx_utc_ns), 0)"
            small, since = spool.query(f"SELECT {sums} FROM journal WHERE sensor = ? AND small", (sensor,))[0]
            self._tails[sensor] = _Tail(last + 1, small, since, utc)

    def last_seq(self, sensor: str) -> int:
        """Sequence number of the newest entry; 0 where there is none."""
        return self._tails[sensor].next_seq - 1 if sensor in self._tails else 0

    def last_rx_utc_ns(self, sensor: str) -> int | None:
        """Arrival time of the newest payload (controls do not count); None where there is none."""
        return (self._tails[sensor].last_rx_utc_ns or None) if sensor in self._tails else None

    def shrunk(self) -> None:
        """Somebody else has deleted blocks (retention): the next `append` measures the journal again. From any thread."""
        self._recount = True

    def append(self, sensor: str, items: Sequence[tuple[Source, Received]], durable: bool) -> int:
        """Commit the items in this order; the sequence number of the first. Raises `SpoolFullError`, and then nothing has
        been written.
        """
        tail = self._tails.get(sensor) or _Tail()
        first = tail.next_seq
        if not items:
            return first
        if self._recount:
            self._recount = False
            self.size_bytes = int(self._spool.query("SELECT coalesce(sum(size), 0) FROM journal")[0][0])
        last_utc = tail.last_rx_utc_ns
        direct = tail.small == 0 and len(items) >= DIRECT_ENTRIES
        rows = []
        for i in range(0, len(items), BLOCK_ENTRIES):
            part = items[i : i + BLOCK_ENTRIES]
            body = block.encode(part)
            last_utc = _last_payload_utc_ns(part, last_utc)
            rows.append((sensor, first + i, first + i + len(part) - 1, not direct, last_utc, len(body), body))
        small = 0 if direct else tail.small + len(items)
        since = (tail.small_since_utc_ns if tail.small else 0) or last_utc
        turn = _turn(sensor, tail.last_rx_utc_ns) != _turn(sensor, last_utc) and last_utc - since >= COMPACT_LEAST_NS
        compact = small >= COMPACT_ENTRIES or (small > 1 and turn)
        grown = sum(row[5] for row in rows)
        with self._spool.transaction(durable) as db:
            db.executemany(
                "INSERT INTO journal (sensor, first_seq, last_seq, small, last_rx_utc_ns, size, block) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            if compact:
                grown += _compact(db, sensor, last_utc)
                small = 0
            if self.size_bytes + grown > self._max_bytes:
                grown -= _drop_oldest(db, self.size_bytes + grown - self._max_bytes)
        self.size_bytes += grown
        self._tails[sensor] = _Tail(first + len(items), small, since, last_utc)
        return first


def _turn(sensor: str, utc_ns: int) -> int:
    """Which of the sensor's minutes this is. Each begins its own at another moment, or hundreds would be rewritten in one second."""
    return (utc_ns + (zlib.crc32(sensor.encode()) * COMPACT_NS >> 32)) // COMPACT_NS


def _last_payload_utc_ns(items: Sequence[tuple[Source, Received]], before: int) -> int:
    return next((r.rx_utc_ns for source, r in reversed(items) if source != CONTROL), before)


def _compact(db: sqlite3.Connection, sensor: str, last_utc: int) -> int:
    """Rewrite the sensor's small rows as compact blocks, within the caller's transaction; bytes gained (negative)."""
    rows = db.execute(
        "SELECT id, first_seq, size, block FROM journal WHERE sensor = ? AND small ORDER BY first_seq", (sensor,)
    ).fetchall()
    entries = [entry for _, first, _, body in rows for entry in block.decode(body, first)]
    db.executemany("DELETE FROM journal WHERE id = ?", [(row[0],) for row in rows])
    size = -sum(int(row[2]) for row in rows)
    for i in range(0, len(entries), BLOCK_ENTRIES):
        part = entries[i : i + BLOCK_ENTRIES]
        body = block.encode([(e.source, e.received) for e in part])
        db.execute(
            "INSERT INTO journal (sensor, first_seq, last_seq, small, last_rx_utc_ns, size, block) "
            "VALUES (?, ?, ?, 0, ?, ?, ?)",
            (sensor, part[0].seq, part[-1].seq, last_utc, len(body), body),
        )
        size += len(body)
    return size


def _drop_oldest(db: sqlite3.Connection, excess: int) -> int:
    """Delete the blocks received longest ago until ``excess`` bytes are gone; never a sensor's newest entries."""
    freed = 0
    doomed: list[tuple[int, int]] = []
    oldest = db.execute(
        "SELECT id, last_seq - first_seq + 1, size FROM journal j WHERE NOT small "
        "AND last_seq < (SELECT max(last_seq) FROM journal WHERE sensor = j.sensor) ORDER BY last_rx_utc_ns, id"
    )
    for row_id, entries, size in oldest:
        if freed >= excess:
            break
        doomed.append((row_id, entries))
        freed += size
    db.executemany("DELETE FROM journal WHERE id = ?", [(row_id,) for row_id, _ in doomed])
    count(db, DROPPED, sum(entries for _, entries in doomed))
    return freed
