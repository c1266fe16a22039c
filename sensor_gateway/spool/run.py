"""Runs: one configuration of one sensor's pipeline each, how far it has come, and where the next one begins.

The outbox writes them in its own transactions (`outbox.py`); the table is in `schema.sql`, the reasons in
`docs/adr/0003-ordinals.md`.
"""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import dataclass
from typing import Final

from sensor_gateway.spool.database import Spool

log = logging.getLogger(__name__)

_DONE: Final = "done_seq = max(coalesce(done_seq, :done), coalesce(:done, done_seq))"
"""Never back: what a restart computes again is stored already."""


@dataclass(frozen=True, slots=True)
class Run:
    """One configuration of one sensor's pipeline, and how far it has come. See `schema.sql`.

    ``warm_seq`` is the first journal entry of this wearer with this sensor: what came before is another person's.
    """

    sensor: str
    run: int
    wearer: str
    warm_seq: int
    start_seq: int
    next_ordinal: int | None
    snapshot_seq: int | None
    snapshot: bytes | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A pipeline's state after journal entry ``seq``."""

    seq: int
    blob: bytes


def current(spool: Spool, sensor: str, wearer: str, setup_hash: str, journal_seq: int, fresh: bool) -> Run:
    """The newest run of the sensor where wearer and the configuration's hash are unchanged, otherwise a new one.

    A new run gives out records from the journal entry on that the old one had not come to; ``journal_seq`` is the
    journal's newest. ``fresh`` asks for a new one in any case, because the old one's snapshot cannot be read.
    """
    columns = "run, wearer, warm_seq, start_seq, next_ordinal, snapshot_seq, body, setup_hash, done_seq"
    both = "run LEFT JOIN snapshot USING (sensor, run)"
    found = spool.query(f"SELECT {columns} FROM {both} WHERE sensor = ? ORDER BY run DESC LIMIT 1", (sensor,))
    newest = Run(sensor, *found[0][:7]) if found else None
    known_hash, done_seq = found[0][7:] if found else ("", None)
    if newest and not fresh and (newest.wearer, known_hash) == (wearer, setup_hash):
        return newest
    # A run of an earlier release did not note how far it came: then the journal's end, so that nothing comes twice.
    done_seq = journal_seq if done_seq is None else min(done_seq, journal_seq)
    left, warm_seq = journal_seq - done_seq, newest.warm_seq if newest else journal_seq + 1
    if newest and newest.wearer != wearer:
        done_seq, warm_seq = journal_seq, journal_seq + 1
    if left and done_seq == journal_seq:
        log.warning("%s: %d entries of its last wearer were never computed; they stay in the raw journal", sensor, left)
    elif left:
        log.info("%s: a new run computes %d journal entries that the last one had not come to", sensor, left)
    run = Run(sensor, newest.run + 1 if newest else 1, wearer, warm_seq, done_seq + 1, None, None, None)
    with spool.transaction(durable=True) as db:
        db.execute("DELETE FROM snapshot WHERE sensor = ?", (sensor,))
        db.execute(
            "INSERT INTO run (sensor, run, wearer, setup_hash, warm_seq, start_seq, done_seq) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (sensor, run.run, wearer, setup_hash, run.warm_seq, run.start_seq, done_seq),
        )
    return run


def save(db: sqlite3.Connection, run: Run, snapshot: Snapshot) -> None:
    """Keep the pipeline's state; every record up to it must be stored."""
    db.execute(
        f"UPDATE run SET snapshot_seq = :done, {_DONE} WHERE sensor = :sensor AND run = :run",
        {"done": snapshot.seq, "sensor": run.sensor, "run": run.run},
    )
    put = "INSERT INTO snapshot VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body"
    db.execute(put, (run.sensor, run.run, snapshot.blob))


def note_stored(db: sqlite3.Connection, run: Run, next_ordinal: int, done_seq: int | None) -> None:
    """The run's records up to this ordinal, and up to this journal entry where it is known, are stored."""
    db.execute(
        f"UPDATE run SET next_ordinal = :next, {_DONE} WHERE sensor = :sensor AND run = :run",
        {"next": next_ordinal, "done": done_seq, "sensor": run.sensor, "run": run.run},
    )
