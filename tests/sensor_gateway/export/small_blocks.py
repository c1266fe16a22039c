"""A journal in blocks of a few seconds, for tests that take a part of it away."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sensor_gateway.spool import block


def in_small_blocks(spool: Path, entries: int = 20) -> None:
    """As a gateway of the real time writes its journal, which takes minutes for what a file gives at once."""
    with closing(sqlite3.connect(spool)) as db, db:
        rows = db.execute("SELECT sensor, first_seq, block FROM journal ORDER BY sensor, first_seq").fetchall()
        db.execute("DELETE FROM journal")
        for sensor, first, body in rows:
            held = block.decode(body, first)
            for i in range(0, len(held), entries):
                part = held[i : i + entries]
                packed = block.encode([(e.source, e.received) for e in part])
                last = part[-1]
                db.execute(
                    "INSERT INTO journal (sensor, first_seq, last_seq, small, last_rx_utc_ns, size, block) VALUES (?, ?, ?, 0, ?, ?, ?)",
                    (sensor, part[0].seq, last.seq, last.received.rx_utc_ns, len(packed), packed),
                )
