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
