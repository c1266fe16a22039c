"""The spool's SQLite file: opening, transactions, counters. `journal.py` and `outbox.py` keep their tables in it.

One connection per process that writes, behind a lock, and one that only reads what is committed; WAL, so that other
processes may look too. A transaction is durable (FULL: on the
disk before it returns) or quick (NORMAL: a power cut may take the newest ones back, in order, never a part of one).
"""

from __future__ import annotations

import fcntl
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import IO, Any, Final

from sensor_gateway.sqlite_faults import is_of_the_file, remedy

SCHEMA_VERSION: Final = 1

_FREE: Final = "free space on this disk"

Params = tuple[Any, ...] | dict[str, Any]


class SpoolError(Exception):
    """The spool cannot be used; the text names the file and the remedy."""


class SpoolTakenError(SpoolError):
    """Another process has it."""


class SpoolFullError(SpoolError):
    """Nothing can be written or read, most often because the disk is full; or the file is damaged. What was written stays as it is."""


class Spool:
    """The open spool of one gateway. ``id`` is random per file: sequence numbers of a new file must not be taken for
    those of an old one.
    """

    def __init__(self, path: str | Path) -> None:
        """Open or create; raises `SpoolError` where the file is none of ours or another process has it."""
        self.path = Path(path)
        self._lock = threading.RLock()
        self._reading = threading.Lock()
        self._synchronous = ""
        self._together = False
        self._torn = False  # a part of what is together has failed
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._guard = take_guard(self.path)
            self._db = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None, timeout=10)
            self._reader = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None, timeout=10)
        except (OSError, sqlite3.Error) as e:
            raise SpoolError(f"{self.path}: cannot be opened ({e}); check the folder and its permissions") from e
        try:
            self.id = self._prepare()
        except sqlite3.Error as e:
            self.close()
            raise SpoolError(f"{self.path}: cannot be used as a spool ({e}); {remedy(e)}") from e
        except SpoolError:
            self.close()
            raise

    def _prepare(self) -> str:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise SpoolError(f"{self.path}: written by a newer Tiltline (schema {version}); update this installation")
        self._db.execute("PRAGMA journal_mode = WAL")
        schema = resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")
        self._db.executescript(f"BEGIN IMMEDIATE; {schema} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        if "done_seq" not in {row[1] for row in self._db.execute("PRAGMA table_info(run)")}:
            self._db.execute("ALTER TABLE run ADD COLUMN done_seq INTEGER")  # a spool of an earlier release
        with self.transaction(durable=True) as db:  # snapshots that an earlier release wrote into their runs' rows
            db.execute(
                "INSERT OR REPLACE INTO snapshot SELECT sensor, run, snapshot FROM run WHERE snapshot IS NOT NULL"
            )
            db.execute("UPDATE run SET snapshot = NULL WHERE snapshot IS NOT NULL")
        self._db.execute("INSERT OR IGNORE INTO meta VALUES ('spool', ?)", (secrets.token_hex(8),))
        return str(self._db.execute("SELECT value FROM meta WHERE key = 'spool'").fetchone()[0])

    def close(self) -> None:
        with self._lock, self._reading:
            self._reader.close()
            self._db.close()
            self._guard.close()

    @contextmanager
    def transaction(self, durable: bool) -> Iterator[sqlite3.Connection]:
        """All or nothing. Raises `SpoolFullError` (rolled back) when the disk takes no more."""
        with self._lock:
            if self._together:
                if self._torn:  # SQLite may have rolled back by itself: nothing more may be written on its own
                    raise self._undone()
                try:
                    yield self._db
                except BaseException as e:
                    self._torn = True
                    if is_of_the_file(e):
                        raise self._full(e) from e
                    raise
                return
            mode = "FULL" if durable else "NORMAL"
            if mode != self._synchronous:
                self._db.execute(f"PRAGMA synchronous = {mode}")
                self._synchronous = mode
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as e:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if is_of_the_file(e):
                    raise self._full(e) from e
                raise

    @contextmanager
    def together(self) -> Iterator[None]:
        """All transactions of this thread within are one, durable. Where one of them fails none remains, and
        `SpoolFullError` is raised even where the failure was taken care of inside: who keeps numbers must read them again.
        """
        with self._lock:
            self._torn = False
            with self.transaction(durable=True):
                self._together = True
                try:
                    yield
                finally:
                    self._together = False
                if self._torn:
                    raise self._undone()

    @property
    def is_together(self) -> bool:
        """Whether what this thread writes now is a part of more, and not yet on the disk; to be asked within a transaction."""
        return self._together

    def _undone(self) -> SpoolFullError:
        return SpoolFullError(f"{self.path}: a part of what belongs together failed, and all of it is undone")

    def _full(self, error: BaseException) -> SpoolFullError:
        return SpoolFullError(
            f"{self.path}: cannot be written ({error}); {remedy(error, _FREE)}; receiving pauses until then"
        )

    def query(self, sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """Rows of a reading statement; raises `SpoolFullError` where a full or failing disk lets nothing be read."""
        with self._lock:
            return self._rows(self._db, sql, params)

    def committed(self, sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """As `query`, of what is on the disk: it does not wait for a transaction that another thread has open."""
        with self._reading:
            return self._rows(self._reader, sql, params)

    def _rows(self, db: sqlite3.Connection, sql: str, params: Params) -> list[tuple[Any, ...]]:
        try:
            return db.execute(sql, params).fetchall()
        except sqlite3.DatabaseError as e:
            if not is_of_the_file(e):
                raise
            raise SpoolFullError(f"{self.path}: cannot be read ({e}); {remedy(e, _FREE)}") from e

    def counters(self) -> dict[str, int]:
        """Every counter ever raised, by name; they survive restarts."""
        return dict(self.committed("SELECT name, value FROM counter ORDER BY name"))


def count(db: sqlite3.Connection, name: str, by: int) -> None:
    """Raise a counter within the caller's transaction."""
    count_each(db, [name], by)


def count_each(db: sqlite3.Connection, names: Iterable[str], by: int) -> None:
    """Raise several counters by the same number within the caller's transaction."""
    if by:
        db.executemany(
            "INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            [(name, by) for name in names],
        )


def take_guard(path: Path, command: str = "tiltline run") -> IO[str]:
    """Keep ``path`` for this process: two gateways on one spool would number its records twice. The lock, a file beside it,
    dies with its process. Raises `SpoolTakenError` naming the ``command`` that has it, or ``OSError``.
    """
    lock = path.with_name(path.name + ".lock")
    guard = lock.open("w", encoding="utf-8")
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        guard.close()
        raise SpoolTakenError(f"{lock}: another '{command}' uses this folder; stop it or set 'site.data_dir'") from None
    return guard


def is_taken(path: Path) -> bool:
    """Whether a process keeps ``path`` for itself (`take_guard`); False also where nobody can say."""
    try:
        with path.with_name(path.name + ".lock").open(encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
