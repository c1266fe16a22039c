"""The outbox: derived records on their way out, with the pipeline's ordinals and snapshots in the same transaction.

A record is stored once, whatever is replayed after a crash: the pipeline numbers its records, the outbox keeps the next
number it expects and skips those below (`docs/adr/0003-ordinals.md`). Each sink has a cursor; a row goes when every
sink's cursor has passed it. Rows are only handed out once they are on the disk, so no sequence number that anybody has
seen can come to mean something else after a power cut.

Every sink has its books, in the same transactions: received = delivered + dropped + queued.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from typing import Final

from processing.types import KIND_OF, Record
from sensor_gateway.spool.books import DELIVERED, EXPENDABLE, RECEIVED, SINK_DROPPED, WAITING, delete, drop
from sensor_gateway.spool.database import Spool, count, count_each
from sensor_gateway.spool.run import Run, Snapshot, current, note_stored, save
from sensor_gateway.wire.messages import MAX_BYTES, Entry, MessageError, check_record, decode_record, encode_record

SET_ASIDE: Final = "records_set_aside"
ADDED: Final = "records_added"
_DAY_NS: Final = 86_400 * 1_000_000_000
_DROP_SHARE: Final = 100  # drop a hundredth of the bound at a time: one pass of housekeeping, not one a record

_READ: Final = """
WITH mine AS (SELECT seq AS at FROM cursor WHERE sink = :sink)
SELECT seq, wearer, sensor, kind, t_utc_ns, body, (SELECT min(seq) FROM outbox WHERE seq > at),
    (SELECT max(seq) FROM outbox WHERE seq > at AND seq <= :after)
FROM mine CROSS JOIN outbox WHERE seq > max(:after, at) ORDER BY seq LIMIT :limit
"""


class Outbox:
    """Outbox of all sensors of one spool; safe to use from several threads."""

    def __init__(self, spool: Spool, sinks: Sequence[str], max_rows: int, max_days: int = 0) -> None:
        """``sinks`` are the names of all that deliver from now on: a new one starts at the oldest row still held, one that
        is gone holds back nothing any more. At most ``max_rows`` are held, and none older than ``max_days`` (0: any age)
        before the newest record of its sensor; events stay in any case.
        """
        self._spool, self._max_rows, self._max_age_ns = spool, max_rows, max_days * _DAY_NS
        self._sinks = tuple(sinks)
        self._books = [ADDED, *(sink + RECEIVED for sink in sinks)]  # counters that each new row raises
        self._expected: dict[tuple[str, int], int] = {}
        self._expired_on: dict[str, int] = {}  # sensor to the day of its data on which old rows were last looked for
        self.changed = threading.Condition()
        self.wakes = 0
        marks = ", ".join("?" * len(sinks))
        with spool.transaction(durable=True) as db:
            gone = db.execute(f"DELETE FROM cursor WHERE sink NOT IN ({marks}) RETURNING sink", tuple(sinks)).fetchall()
            for (sink,) in gone:
                names = [(sink + part,) for part in (RECEIVED, DELIVERED, SINK_DROPPED)]
                db.executemany("DELETE FROM counter WHERE name = ?", names)
            for sink in sinks:
                db.execute(
                    "INSERT OR IGNORE INTO cursor VALUES (?, coalesce((SELECT min(seq) FROM outbox), "
                    "(SELECT seq FROM sqlite_sequence WHERE name = 'outbox') + 1, 1) - 1)",
                    (sink,),
                )
                if not db.execute("SELECT 1 FROM counter WHERE name = ?", (sink + RECEIVED,)).fetchone():
                    # Books of a sink that is new here begin with the rows it finds.
                    found = db.execute(WAITING, {"sink": sink, "each": True}).fetchone()[0]
                    db.execute("INSERT INTO counter VALUES (?, ?)", (sink + RECEIVED, found))
            _forget_delivered(db)
        self._rows = 0
        self.reload()

    def reload(self) -> None:
        """Read the file again: at the start, and after stores that were undone. Runs must be asked for anew then."""
        self._expected.clear()
        self._expired_on.clear()
        self._rows = max((self.queued(sink) for sink in self._sinks), default=0)

    @property
    def spool_id(self) -> str:
        return self._spool.id

    def run(self, sensor: str, wearer: str, setup_hash: str, journal_seq: int, fresh: bool = False) -> Run:
        """The sensor's run for this configuration, the old one or a new one: see `run.current`."""
        return current(self._spool, sensor, wearer, setup_hash, journal_seq, fresh)

    def store(
        self,
        run: Run,
        first_ordinal: int,
        records: Sequence[Record],
        snapshot: Snapshot | None = None,
        done_seq: int | None = None,
    ) -> int:
        """Store the records whose ordinals are new, and the snapshot, in one durable transaction; how many were new.

        ``done_seq`` is the last journal entry that went into them: where the next run begins if this one ends here. Within
        `Spool.together` sinks are not told: nothing is there for them before all of it is; whoever began it calls `wake`.

        A record that breaks the dictionary is set aside with its reason, so that no sink can choke on it. Raises
        `SpoolFullError`, and then nothing was stored.
        """
        expected = self._expected.get((run.sensor, run.run), run.next_ordinal)
        if expected is not None and first_ordinal > expected:
            raise ValueError(f"{run.sensor}: ordinals {expected} to {first_ordinal - 1} never came")
        new = records[0 if expected is None else expected - first_ordinal :]
        if not new and snapshot is None:
            return 0
        rows, bad = [], []
        for record in new:
            body, kind = encode_record(record), KIND_OF[type(record)]
            reason = _objection(record, kind, body)
            if reason is None:
                rows.append((run.wearer, run.sensor, kind, record.t_utc_ns, body))
            else:
                bad.append((run.sensor, kind, reason, body))
        end = max(first_ordinal + len(records), expected or 0)
        with self._spool.transaction(durable=True) as db:
            db.executemany("INSERT INTO outbox (wearer, sensor, kind, t_utc_ns, body) VALUES (?, ?, ?, ?, ?)", rows)
            count_each(db, self._books, len(rows))
            if bad:
                db.executemany("INSERT INTO set_aside (sensor, kind, reason, body) VALUES (?, ?, ?, ?)", bad)
                count(db, SET_ASIDE, len(bad))
            note_stored(db, run, end, done_seq)
            if snapshot is not None:
                save(db, run, snapshot)
            held = self._rows + len(rows)
            if held > self._max_rows:
                held -= drop(db, held - self._max_rows + self._max_rows // _DROP_SHARE)
            if self._max_age_ns and rows:
                held -= self._expire(db, run.sensor, max(record.t_utc_ns for record in new))
            committed = not self._spool.is_together
        self._rows = held
        self._expected[run.sensor, run.run] = end
        if rows and committed:
            self.wake()
        return len(rows)

    def _expire(self, db: sqlite3.Connection, sensor: str, newest_ns: int) -> int:
        """Drop what is too old beside the sensor's newest record; looked at once per day of data."""
        day = newest_ns // _DAY_NS
        if self._expired_on.get(sensor) == day:
            return 0
        self._expired_on[sensor] = day
        where, oldest_ns = "kind = ? AND sensor = ? AND t_utc_ns < ?", newest_ns - self._max_age_ns
        return sum(delete(db, kind, where, (kind, sensor, oldest_ns)) for kind in EXPENDABLE)

    def save(self, run: Run, snapshot: Snapshot) -> None:
        """Store a snapshot alone; every record up to it must have been stored."""
        with self._spool.transaction(durable=True) as db:
            save(db, run, snapshot)

    def read(self, sink: str, after: int, limit: int) -> list[Entry]:
        """At most ``limit`` rows above ``after`` in order, with the links that sink's receiver needs."""
        rows = self._spool.committed(_READ, {"sink": sink, "after": after, "limit": limit})
        if not rows:
            return []
        lowest, before = rows[0][-2:]
        previous = lowest - 1 if before is None else before
        entries = []
        for row in rows:
            entries.append(Entry(row[0], previous, lowest, *row[1:-2]))
            previous = row[0]
        return entries

    def cursor(self, sink: str) -> int:
        """Up to which row this sink has confirmed."""
        return int(self._spool.committed("SELECT seq FROM cursor WHERE sink = ?", (sink,))[0][0])

    def confirm(self, sink: str, seq: int) -> None:
        """The sink has made everything up to ``seq`` durable; a lower number than before changes nothing."""
        with self._spool.transaction(durable=False) as db:
            passed = "SELECT count(*) FROM outbox WHERE seq <= ? AND seq > (SELECT seq FROM cursor WHERE sink = ?)"
            count(db, sink + DELIVERED, int(db.execute(passed, (seq, sink)).fetchone()[0]))
            db.execute("UPDATE cursor SET seq = max(seq, ?) WHERE sink = ?", (seq, sink))
            gone = _forget_delivered(db)
        self._rows -= gone

    def last_seq(self) -> int:
        """The highest sequence number ever given out."""
        found = self._spool.committed("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")
        return int(found[0][0]) if found else 0

    def queued(self, sink: str) -> int:
        """Rows this sink has not confirmed yet."""
        return int(self._spool.committed(WAITING, {"sink": sink, "each": False})[0][0])

    def counters(self) -> dict[str, int]:
        """Every counter of the spool by name; they survive restarts."""
        return self._spool.counters()

    def wake(self) -> None:
        """Wake the sinks that wait on `changed`; one that is about to wait does not."""
        with self.changed:
            self.wakes += 1
            self.changed.notify_all()


class SinkView:
    """One sink's side of the outbox (`sinks.base.Source`)."""

    def __init__(self, outbox: Outbox, sink: str) -> None:
        self._outbox, self._sink = outbox, sink
        self._wakes = 0  # before the last look

    @property
    def spool_id(self) -> str:
        return self._outbox.spool_id

    def read(self, after: int, limit: int) -> list[Entry]:
        self._wakes = self._outbox.wakes
        return self._outbox.read(self._sink, after, limit)

    def cursor(self) -> int:
        return self._outbox.cursor(self._sink)

    def confirm(self, seq: int) -> None:
        self._outbox.confirm(self._sink, seq)

    def last_seq(self) -> int:
        return self._outbox.last_seq()

    def queued(self) -> int:
        return self._outbox.queued(self._sink)

    def counters(self) -> dict[str, int]:
        return self._outbox.counters()

    def wait(self, timeout_s: float) -> None:
        with self._outbox.changed:
            self._outbox.changed.wait_for(lambda: self._outbox.wakes != self._wakes, timeout_s)


def _objection(record: Record, kind: str, body: bytes) -> str | None:
    """Why a record cannot be delivered, or None."""
    if len(body) > MAX_BYTES // 2:
        return f"{kind}: {len(body)} bytes; a record has at most {MAX_BYTES // 2}"
    try:
        check_record(record)
        decode_record(kind, body)
    except (MessageError, TypeError) as e:
        return str(e)
    return None


def _forget_delivered(db: sqlite3.Connection) -> int:
    return db.execute("DELETE FROM outbox WHERE seq <= (SELECT min(seq) FROM cursor)").rowcount
