"""The books of the outbox's sinks, and what its bounds cost: counted for each sink that had not taken the row yet."""

from __future__ import annotations

import sqlite3
from typing import Final

from sensor_gateway.spool.database import count

DROPPED: Final = "outbox_dropped_"  # followed by the kind
RECEIVED: Final = "_received"  # after the sink's name, as the two below
DELIVERED: Final = "_delivered"
SINK_DROPPED: Final = "_dropped"
EXPENDABLE: Final = ("device", "metric", "epoch")
"""What the bounds may cost, in this order; events are never dropped."""
COUNTED: Final = 50_000
"""Rows that are counted whenever somebody asks. Counting the millions of a long outage reads gigabytes, and a service asks every few
seconds; beyond this it believes its books, which `tiltline status` holds against a full count.
"""
_BOOKED: Final = f"""
SELECT coalesce(sum(CASE name WHEN sink || '{RECEIVED}' THEN value ELSE -value END), 0) FROM counter
WHERE name IN (sink || '{RECEIVED}', sink || '{DELIVERED}', sink || '{SINK_DROPPED}')
"""
WAITING: Final = f"""
SELECT CASE WHEN :each OR (SELECT coalesce(max(seq), 0) FROM outbox) - cursor.seq <= {COUNTED}
    THEN (SELECT count(*) FROM outbox WHERE outbox.seq > cursor.seq) ELSE ({_BOOKED}) END
FROM cursor WHERE sink = :sink
"""
"""How many rows ``sink`` has not confirmed yet; ``each``: counted, however many they are."""


def drop(db: sqlite3.Connection, excess: int) -> int:
    """Delete the oldest expendable rows, within the caller's transaction; how many went."""
    gone = 0
    for kind in EXPENDABLE:
        if gone < excess:
            oldest = "seq IN (SELECT seq FROM outbox WHERE kind = ? ORDER BY seq LIMIT ?)"
            gone += delete(db, kind, oldest, (kind, excess - gone))
    return gone


def delete(db: sqlite3.Connection, kind: str, where: str, params: tuple[str | int, ...]) -> int:
    """Delete rows of ``kind`` and enter them in the books; how many went."""
    for sink, seq in db.execute("SELECT sink, seq FROM cursor").fetchall():
        lost = db.execute(f"SELECT count(*) FROM outbox WHERE seq > ? AND {where}", (seq, *params)).fetchone()[0]
        count(db, sink + SINK_DROPPED, lost)
    n = db.execute(f"DELETE FROM outbox WHERE {where}", params).rowcount
    count(db, DROPPED + kind, n)
    return n
