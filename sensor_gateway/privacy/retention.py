"""How long each kind is kept: what is older than its limit goes, daily in a running gateway or by `tiltline retain`.

Works beside the gateway in short transactions. Of the raw journal only compact blocks go that the present pipeline no longer
needs (its snapshot lies behind them), and never a sensor's newest block, which carries its sequence number on. Deleted bytes
are overwritten. Limits are counted from now, by the record's own time; 0 keeps a kind for ever.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from processing.dictionary import KINDS
from sensor_gateway.clock import Clock
from sensor_gateway.config import Retention
from sensor_gateway.export.states import STATES, drop_states
from sensor_gateway.privacy.sqlite_files import ScrubError, opened, transaction
from sensor_gateway.sinks.makers import DERIVED
from sensor_gateway.spool.database import count
from sensor_gateway.spool.journal import DROPPED
from sensor_gateway.status.status import SPOOL_FILE, STORE_FILE

log = logging.getLogger(__name__)

DAY_NS: Final = 86_400 * 10**9
EVERY_S: Final = 86_400.0
_ROWS: Final = 5000  # in one transaction: the gateway's own writes wait for it
_OLD_BLOCKS: Final = (
    "FROM journal WHERE NOT small AND last_rx_utc_ns < :before "
    "AND last_seq < (SELECT max(last_seq) FROM journal j WHERE j.sensor = journal.sensor) "
    "AND last_seq <= coalesce((SELECT CASE WHEN wearer = '-' THEN 1 << 62 ELSE coalesce(snapshot_seq, 0) END "
    "FROM run r WHERE r.sensor = journal.sensor ORDER BY run DESC LIMIT 1), 1 << 62)"
)


@dataclass(frozen=True, slots=True)
class Kept:
    """How much went (or would go) of each kind: journal entries and records."""

    gone: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.gone.values())


def limits(retention: Retention) -> dict[str, int]:
    """Days by kind of the store; 0: for ever."""
    return {
        "metric": retention.metrics_days,
        "epoch": retention.epochs_days,
        "event": retention.events_days,
        "device": retention.devices_days,
    }


def retain(folder: Path, retention: Retention, now_ns: int, dry_run: bool = False, copies: Path | None = None) -> Kept:
    """Enforce the limits on a data folder, derivations included, and the file sink's ``copies``, or (``dry_run``) say what would go.

    Raises `ScrubError` or ``OSError``.
    """
    gone: dict[str, int] = {}
    if retention.raw_days and (folder / SPOOL_FILE).is_file():
        before = now_ns - retention.raw_days * DAY_NS
        with opened(folder / SPOOL_FILE) as db:
            gone["raw"] = _raw(db, before, dry_run)
        if states := drop_states(folder, before, dry_run):
            gone[STATES] = states
    if (folder / STORE_FILE).is_file():
        gone |= _store(folder / STORE_FILE, retention, now_ns, dry_run)
    for path in sorted((folder / DERIVED).glob("*.db")):
        gone[DERIVED] = gone.get(DERIVED, 0) + sum(_store(path, retention, now_ns, dry_run).values())
    if retention.files_days and copies is not None:
        gone["files"] = _copies(copies, (now_ns - retention.files_days * DAY_NS) // DAY_NS, dry_run)
    return Kept(gone)


def _store(path: Path, retention: Retention, now_ns: int, dry_run: bool) -> dict[str, int]:
    with opened(path) as db:
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return {
            kind: _records(db, kind, now_ns - days * DAY_NS, dry_run)
            for kind, days in limits(retention).items()
            if days and kind in KINDS and kind in tables
        }


def _copies(folder: Path, before_day: int, dry_run: bool) -> int:
    last = f"records-{datetime.fromtimestamp(before_day * 86_400, UTC).date().isoformat()}.ndjson"
    old = [path for path in folder.glob("records-????-??-??.ndjson") if path.name < last]
    for path in [] if dry_run else old:
        path.unlink(missing_ok=True)
    return len(old)


def _raw(db: sqlite3.Connection, before_ns: int, dry_run: bool) -> int:
    entries = f"SELECT coalesce(sum(last_seq - first_seq + 1), 0) {_OLD_BLOCKS}"
    if dry_run:
        return int(db.execute(entries, {"before": before_ns}).fetchone()[0])
    with transaction(db):
        n = int(db.execute(entries, {"before": before_ns}).fetchone()[0])
        db.execute(f"DELETE FROM journal WHERE id IN (SELECT id {_OLD_BLOCKS})", {"before": before_ns})
        count(db, DROPPED, n)
    return n


def _records(db: sqlite3.Connection, kind: str, before_ns: int, dry_run: bool) -> int:
    if dry_run:
        return int(db.execute(f"SELECT count(*) FROM {kind} WHERE t_utc_ns < ?", (before_ns,)).fetchone()[0])
    key = "event_id" if kind == "event" else "wearer, t_utc_ns, sensor"
    total = 0
    while True:
        with transaction(db):
            old = f"SELECT {key} FROM {kind} WHERE t_utc_ns < ? LIMIT {_ROWS}"
            n = db.execute(f"DELETE FROM {kind} WHERE ({key}) IN ({old})", (before_ns,)).rowcount
        total += n
        if n < _ROWS:
            return total


class Keeper:
    """A thread beside a running gateway that enforces the limits at once and then daily."""

    def __init__(
        self,
        folder: Path,
        retention: Retention,
        clock: Clock,
        shrunk: Callable[[], None] = lambda: None,
        copies: Path | None = None,
    ) -> None:
        """``shrunk`` tells the journal that it has become smaller."""
        self._folder, self._retention, self._clock = folder, retention, clock
        self._shrunk, self._copies = shrunk, copies
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        """Does nothing where everything is kept for ever."""
        if any(astuple(self._retention)):
            self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                kept = retain(self._folder, self._retention, self._clock.utc_ns(), copies=self._copies)
                self._shrunk()
                if kept.total:
                    log.info("retention: %s", ", ".join(f"{n} {kind}" for kind, n in kept.gone.items() if n))
                pause_s = EVERY_S
            except (ScrubError, OSError) as e:
                log.warning("retention: %s; trying again in an hour", e)
                pause_s = 3600.0
            self._stop.wait(pause_s)
