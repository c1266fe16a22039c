"""How far each gateway's spool has come at the bridge: statements on the tables `gateway` and `settled` of `bridge/queue.py`.

A source is one spool of one gateway. Everything up to its `up_to` is in the database or set aside; settled rows beyond it wait
for one before them.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from sensor_gateway.wire.messages import Message

SPOOLS_KEPT: Final = 20
"""Spools remembered per gateway: a replaced one may still have messages on their way, an old one has none."""


def source(db: sqlite3.Connection, m: Message) -> tuple[int, int]:
    """Row id and ``up_to`` of the message's spool; what lies below its floor is safe already."""
    return source_of(db, m.site, m.gateway, m.spool, m.floor - 1)


def source_of(db: sqlite3.Connection, site: str, gateway: str, spool: str, safe: int) -> tuple[int, int]:
    """The same by name, with ``safe`` as what is known to be durable; the newest one heard of is the gateway's present one."""
    heard = db.execute("SELECT coalesce(max(heard), 0) + 1 FROM gateway").fetchone()[0]
    row = db.execute(
        "INSERT INTO gateway (site, gateway, spool, up_to, heard) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET up_to = max(up_to, excluded.up_to), heard = excluded.heard RETURNING id, up_to",
        (site, gateway, spool, safe, heard),
    ).fetchone()
    mine = "SELECT id FROM gateway WHERE site = ? AND gateway = ? ORDER BY heard DESC LIMIT -1 OFFSET ?"
    old = db.execute(mine, (site, gateway, SPOOLS_KEPT)).fetchall()
    for (gone,) in old:
        busy = "SELECT 1 FROM queue WHERE source = ?1 UNION ALL SELECT 1 FROM settled WHERE source = ?1 LIMIT 1"
        if db.execute(busy, (gone,)).fetchone() is None:
            db.execute("DELETE FROM gateway WHERE id = ?", (gone,))
    return row[0], row[1]


def is_new(db: sqlite3.Connection, source: int, up_to: int, m: Message) -> bool:
    """Whether this row has not come before."""
    if m.seq <= up_to:
        return False
    known = False
    # A repeat may close a hole: its sender has dropped what once stood before it.
    for table in ("queue", "settled"):
        sql = f"UPDATE {table} SET after = min(after, ?) WHERE source = ? AND seq = ?"
        known |= db.execute(sql, (m.after, source, m.seq)).rowcount > 0
    return not known


def reach(db: sqlite3.Connection, source: int) -> int:
    """The newest row of this source that lies here."""
    newest = "SELECT max(seq) FROM {} WHERE source = ?1"
    sql = f"SELECT max(coalesce(({newest.format('queue')}), 0), coalesce(({newest.format('settled')}), 0))"
    return int(db.execute(sql, (source,)).fetchone()[0])


def advance(db: sqlite3.Connection, source: int) -> None:
    """Move ``up_to`` over the settled rows that now follow it without a hole."""
    up_to = db.execute("SELECT up_to FROM gateway WHERE id = ?", (source,)).fetchone()[0]
    for seq, after in db.execute("SELECT seq, after FROM settled WHERE source = ? ORDER BY seq", (source,)):
        if after > up_to:
            break
        up_to = max(up_to, seq)
    db.execute("UPDATE gateway SET up_to = ? WHERE id = ?", (up_to, source))
    db.execute("DELETE FROM settled WHERE source = ? AND seq <= ?", (source, up_to))
