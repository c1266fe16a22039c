"""The books of every hop, read from the files of a running or stopped process: received = written + rejected + dropped + queued.

Everything here opens the files read-only and takes one snapshot of each, so the books balance while the process writes. The
processes themselves use it too (`status/report.py`), so what `tiltline status`, MQTT, the dashboard and Prometheus show
comes from this one place.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sensor_gateway.spool.books import DELIVERED, DROPPED, RECEIVED, SINK_DROPPED, WAITING
from sensor_gateway.spool.journal import DROPPED as JOURNAL_DROPPED
from sensor_gateway.sqlite_faults import remedy

SPOOL_FILE: Final = "spool.db"
STORE_FILE: Final = "store.db"
BRIDGE_FILE: Final = "bridge.db"
NS: Final = 1_000_000_000


class StatusError(Exception):
    """A file cannot be read; the text names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One stage on the way; ``lag_s`` is how far the oldest waiting record lies behind the newest one."""

    name: str
    received: int
    written: int
    rejected: int = 0
    dropped: int = 0
    queued: int = 0
    lag_s: float = 0.0

    @property
    def missing(self) -> int:
        """0 where the books balance."""
        return self.received - self.written - self.rejected - self.dropped - self.queued


@dataclass(frozen=True, slots=True)
class SensorSeen:
    """A sensor's newest payload [UTC ns] and last reported battery."""

    sensor: str
    last_rx_utc_ns: int
    battery_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Books:
    """What one process's files say. ``extra`` are counts that are no part of a balance (repeats, bytes, dead letters)."""

    hops: tuple[Hop, ...]
    sensors: tuple[SensorSeen, ...] = ()
    extra: dict[str, int] = field(default_factory=dict)


@contextmanager
def snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only view of a SQLite file at one moment; raises `StatusError`."""
    if not path.is_file():
        raise StatusError(f"{path}: not there yet; start the process or check 'site.data_dir'")
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5)
    try:
        db.execute("BEGIN")
        yield db
    except sqlite3.Error as e:
        raise StatusError(f"{path}: cannot be read ({e}); {remedy(e)}") from e
    finally:
        db.close()


def gateway_books(folder: Path, count_all: bool = False) -> Books:
    """Outbox and each sink of the gateway that keeps its files in ``folder``; raises `StatusError`.

    ``count_all`` counts the journal's entries too, and every waiting row however many they are: seconds, where there are months of
    either.
    """
    with snapshot(folder / SPOOL_FILE) as db:
        counters: dict[str, int] = dict(db.execute("SELECT name, value FROM counter").fetchall())
        tails = [
            (sensor, *_tail(db, sensor)) for (sensor,) in db.execute("SELECT DISTINCT sensor FROM journal").fetchall()
        ]
        computed = counters.get("records_added", 0)
        refused = counters.get("records_set_aside", 0)
        hops = [Hop("pipeline", computed + refused, computed, refused)]
        if count_all:
            held = int(db.execute("SELECT coalesce(sum(last_seq - first_seq + 1), 0) FROM journal").fetchone()[0])
            came, lost = sum(last for _, last, _ in tails), counters.get(JOURNAL_DROPPED, 0)
            hops.insert(0, Hop("journal", came, held, dropped=lost))
        hops += [
            _sink(db, sink, cursor, counters, count_all) for sink, cursor in db.execute("SELECT sink, seq FROM cursor")
        ]
        extra = {name: n for name, n in counters.items() if name.startswith(DROPPED)}
    battery = _battery(folder / STORE_FILE)
    sensors = tuple(SensorSeen(sensor, rx, battery.get(sensor)) for sensor, _, rx in sorted(tails))
    return Books(tuple(hops), sensors, extra)


def _tail(db: sqlite3.Connection, sensor: str) -> tuple[int, int]:
    newest = "SELECT last_seq, last_rx_utc_ns FROM journal WHERE sensor = ? ORDER BY first_seq DESC LIMIT 1"
    last, rx = db.execute(newest, (sensor,)).fetchone()
    return int(last), int(rx)


def _sink(db: sqlite3.Connection, sink: str, cursor: int, counters: dict[str, int], each: bool) -> Hop:
    queued = int(db.execute(WAITING, {"sink": sink, "each": each}).fetchone()[0])
    ends = "SELECT t_utc_ns FROM outbox WHERE seq > ? ORDER BY seq {} LIMIT 1"
    oldest, newest = (db.execute(ends.format(way), (cursor,)).fetchone() for way in ("ASC", "DESC"))
    lag_s = (newest[0] - oldest[0]) / NS if queued else 0.0
    received, delivered, dropped = (counters.get(sink + part, 0) for part in (RECEIVED, DELIVERED, SINK_DROPPED))
    return Hop(sink, received, delivered, 0, dropped, queued, max(0.0, lag_s))


def _battery(store: Path) -> dict[str, float]:
    """What the store last heard of each charge; nothing from one that cannot be read, whose sink says so (`sinks/base.py`)."""
    if not store.is_file():
        return {}
    with suppress(StatusError), snapshot(store) as db:
        # At a first start the file is there a moment before its tables.
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:
            return {}
        newest = (
            "SELECT sensor, battery_percent, max(t_utc_ns) FROM device WHERE battery_percent NOTNULL GROUP BY sensor"
        )
        return {sensor: float(percent) for sensor, percent, _ in db.execute(newest)}
    return {}


def bridge_books(folder: Path) -> Books:
    """The queue of the bridge that keeps its files in ``folder``; raises `StatusError`."""
    with snapshot(folder / BRIDGE_FILE) as db:
        c: dict[str, int] = dict(db.execute("SELECT name, value FROM counter").fetchall())
        queued = int(db.execute("SELECT count(*) FROM queue").fetchone()[0])
        letters = int(db.execute("SELECT count(*) FROM dead_letter").fetchone()[0])
        ends = "SELECT line FROM queue ORDER BY id {} LIMIT 1"
        oldest, newest = (db.execute(ends.format(way)).fetchone() for way in ("ASC", "DESC"))
        lag_s = (_time(newest[0]) - _time(oldest[0])) / NS if queued else 0.0
    hop = Hop("bridge", c["received"], c["written"], c["rejected"], c.get("dropped", 0), queued, max(0.0, lag_s))
    extra = {name: c.get(name, 0) for name in ("duplicates", "requeued", "dead_letter_bytes")} | {
        "dead_letters": letters
    }
    return Books((hop,), (), extra)


def _time(line: str) -> int:
    return int(line.rpartition(" ")[2])
