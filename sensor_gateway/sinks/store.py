"""The embedded store: one SQLite file (WAL) with every record, read by the wearer's page and the export.

The default sink of a gateway that has no broker. Tables `metric`, `epoch`, `event`, `device` carry the dictionary's
columns plus wearer and sensor; writing a record again replaces it with itself. One process writes, any number read. Table `maker`
says which versions wrote them. Longer than other modules: every question to the file stands here.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, TypeVar

from processing.dictionary import KINDS
from processing.types import KIND_OF, POSTURES, DeviceReport, Epoch, Event, Metric, Record
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.makers import Maker
from sensor_gateway.sinks.records import UPRIGHT, Cell, Minute
from sensor_gateway.sqlite_faults import is_of_the_file, remedy

R = TypeVar("R", Metric, Epoch, Event, DeviceReport)
Row = tuple[Any, ...]

SCHEMA_VERSION: Final = 1
_FAR_NS: Final = 2**63 - 1
_DAY_NS: Final = 86_400 * 10**9
_SQL_TYPE: Final = {"int64": "INTEGER", "float64": "REAL", "string": "TEXT", "json": "TEXT", "bool": "INTEGER"}
_PAGE: Final = 4096
_VALUES: Final = {kind: attrgetter(*(f.name for f in fields)) for kind, fields in KINDS.items()}
_JSON: Final = {kind: [i for i, f in enumerate(fields) if f.type == "json"] for kind, fields in KINDS.items()}
_SECONDS: Final = {p: f"{p}_s" for p in POSTURES}
_MOSTLY: Final = " ".join(f"WHEN {column} THEN '{p}'" for p, column in _SECONDS.items())
_WORN: Final = " + ".join(column for p, column in _SECONDS.items() if p != "not_worn")
_UPRIGHT: Final = " + ".join(_SECONDS[p] for p in UPRIGHT)
_MINUTE: Final = (
    f"CASE max({', '.join(_SECONDS.values())}) WHEN 0 THEN NULL {_MOSTLY} END, tilt_median_deg, {_WORN}, {_UPRIGHT}"
)
_KEY: Final = {kind: "event_id" if kind == "event" else "wearer, t_utc_ns, sensor" for kind in KINDS}


class StoreError(Exception):
    """The store cannot be opened or used; the text names the file and the remedy."""


class Store:
    """The embedded store of one gateway. Safe to share between threads; iterators read in pages and hold no lock between
    them, so a slow reader never blocks the writer. Times are UTC nanoseconds, intervals are [t0, t1).
    """

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        """Use `open`."""
        self._db, self.path = db, path
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: str | Path, readonly: bool = False) -> Store:
        """Open (and unless ``readonly`` create) the store; raises `StoreError` where it is absent or not a store."""
        path = Path(path)
        if readonly and not path.is_file():
            raise StoreError(f"{path}: no store there yet; start 'tiltline run' or check 'site.data_dir'")
        uri = f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rwc'}"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            db = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None, timeout=10)
        except (OSError, sqlite3.Error) as e:
            raise StoreError(f"{path}: cannot be opened ({e}); check the folder and its permissions") from e
        try:
            _prepare(db, path, readonly)
        except sqlite3.DatabaseError as e:
            db.close()
            raise StoreError(f"{path}: cannot be used as a store ({e}); {remedy(e)}") from e
        except StoreError:
            db.close()
            raise
        return cls(db, path)

    @classmethod
    def in_memory(cls) -> Store:
        """A store without a file, gone when closed: what one process makes for another one's store (`packed`, `take`)."""
        db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        path = Path(":memory:")
        _prepare(db, path, readonly=False)
        return cls(db, path)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def write(self, records: Iterable[Owned]) -> int:
        """Store the records in one transaction, durably; a known record is replaced. Gives how many were stored."""
        rows: dict[str, list[Row]] = {}
        for owned in records:
            kind = KIND_OF[type(owned.record)]
            rows.setdefault(kind, []).append((owned.wearer, owned.sensor, *_cells(owned.record, kind)))
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for kind, cells in rows.items():
                names = ", ".join(("wearer", "sensor", *(f.name for f in KINDS[kind])))
                marks = ", ".join("?" * (2 + len(KINDS[kind])))
                self._db.executemany(f"INSERT OR REPLACE INTO {kind} ({names}) VALUES ({marks})", cells)
        return sum(map(len, rows.values()))

    def packed(self) -> bytes:
        """All of it, for another store to `take`: an image of the database."""
        with self._lock:
            return self._db.serialize()

    def take(self, packed: bytes) -> None:
        """Store all records of a `packed` store in one transaction, durably; a known record is replaced.

        SQLite copies the rows itself, in a quarter of the time of `write`. Raises `StoreError` for what another version packed.
        """
        with self._lock:
            self._db.execute("ATTACH ':memory:' AS part")
            try:
                self._db.deserialize(packed, name="part")
                with self._db:
                    self._db.execute("BEGIN IMMEDIATE")
                    for kind, fields in KINDS.items():
                        names = ", ".join(("wearer", "sensor", *(f.name for f in fields)))
                        self._db.execute(
                            f"INSERT OR REPLACE INTO main.{kind} ({names}) SELECT {names} FROM part.{kind}"
                        )
            except sqlite3.DatabaseError as e:
                raise StoreError(
                    f"{self.path}: cannot take these records ({e}); let the same Tiltline make them"
                ) from e
            finally:
                self._db.execute("DETACH part")

    def sign(self, since_utc_ns: int, versions: Mapping[str, str], derivation: Mapping[str, Any] | None = None) -> None:
        """Note who writes from now on, unless the last one to sign was the same; the clock may have been set back.

        Records that were there before anybody signed are those of an earlier release, whose versions nobody noted.
        """
        known = self.makers()
        if not known and derivation is None and self.wearers():
            known = [Maker(0, {})]
            with self._lock, self._db:
                self._db.execute("INSERT INTO maker VALUES (0, '{}', NULL)")
        if known and (known[-1].versions, known[-1].derivation) == (versions, derivation):
            return
        since = max(since_utc_ns, known[-1].since_utc_ns + 1) if known else since_utc_ns
        facts = None if derivation is None else json.dumps(derivation)
        with self._lock, self._db:
            self._db.execute("INSERT INTO maker VALUES (?, ?, ?)", (since, json.dumps(versions), facts))

    def makers(self) -> list[Maker]:
        """Who wrote this store, in order; none where an earlier release did."""
        if not self._all("SELECT 1 FROM sqlite_master WHERE name = 'maker'"):
            return []
        rows = self._all("SELECT since_utc_ns, versions, derivation FROM maker ORDER BY since_utc_ns")
        return [Maker(since, json.loads(v), None if d is None else json.loads(d)) for since, v, d in rows]

    def wearers(self) -> list[str]:
        """Wearers with any record, sorted."""
        found: set[str] = set()
        for kind in KINDS:  # from one wearer to the next through the index: a month of seconds is not read
            at = ""
            while rows := self._all(f"SELECT wearer FROM {kind} WHERE wearer > ? ORDER BY wearer LIMIT 1", (at,)):
                at = rows[0][0]
                found.add(at)
        return sorted(found)

    def latest_metric(self, wearer: str) -> Metric | None:
        """The newest second of any of the wearer's sensors."""
        names = ", ".join(f.name for f in KINDS["metric"])
        rows = self._all(f"SELECT {names} FROM metric WHERE wearer = ? ORDER BY t_utc_ns DESC LIMIT 1", (wearer,))
        return Metric(*rows[0]) if rows else None

    def metrics(self, wearer: str, t0_ns: int = 0, t1_ns: int = _FAR_NS) -> Iterator[Metric]:
        """Seconds in time order."""
        return self._records("metric", wearer, t0_ns, t1_ns, lambda row: Metric(*row))

    def epochs(self, wearer: str, t0_ns: int = 0, t1_ns: int = _FAR_NS) -> Iterator[Epoch]:
        """Minutes in time order."""
        return self._records("epoch", wearer, t0_ns, t1_ns, lambda row: Epoch(*row))

    def minutes(self, wearer: str, t0_ns: int, t1_ns: int) -> list[Minute]:
        """What views of weeks need of the minutes, in time order: worked out by SQLite, in a tenth of the time of whole epochs."""
        return self._all(
            f"SELECT {_MINUTE} FROM epoch WHERE wearer = ? AND t_utc_ns >= ? AND t_utc_ns < ? ORDER BY t_utc_ns, sensor",
            (wearer, t0_ns, t1_ns),
        )

    def events(self, wearer: str, t0_ns: int = 0, t1_ns: int = _FAR_NS) -> Iterator[Event]:
        """Events in time order; ``data`` is plain JSON."""
        return self._records("event", wearer, t0_ns, t1_ns, _event)

    def devices(self, wearer: str, t0_ns: int = 0, t1_ns: int = _FAR_NS) -> Iterator[DeviceReport]:
        """Device reports in time order."""
        return self._records("device", wearer, t0_ns, t1_ns, lambda row: DeviceReport(*row))

    def event(self, event_id: str) -> Owned | None:
        """One event and whose it is."""
        names = ", ".join(f.name for f in KINDS["event"])
        found = self._all(f"SELECT wearer, sensor, {names} FROM event WHERE event_id = ?", (event_id,))
        return Owned(found[0][0], found[0][1], _event(found[0][2:])) if found else None

    def linked(self, flag_id: str) -> list[Owned]:
        """A flag and all that followed from it (prompt, suppression, answer, exercise, response, verdict) by its id, in order."""
        names = ", ".join(f.name for f in KINDS["event"])
        # The chain may span weeks (a late verdict), but never begins before its flag: the index on time bounds the search.
        found = self._all(
            f"SELECT wearer, sensor, {names} FROM event WHERE wearer = (SELECT wearer FROM event WHERE event_id = :id) "
            f"AND t_utc_ns >= (SELECT t_utc_ns FROM event WHERE event_id = :id) "
            f"AND (event_id = :id OR json_extract(data, '$.flag_event_id') = :id) ORDER BY t_utc_ns, event_id",
            {"id": flag_id},
        )
        return [Owned(row[0], row[1], _event(row[2:])) for row in found]

    def newest(self, wearer: str, types: tuple[str, ...], limit: int = 1, since_ns: int = 0) -> list[Event]:
        """The newest events of these types, newest first; none from before ``since_ns``."""
        names = ", ".join(f.name for f in KINDS["event"])
        marks = ", ".join("?" * len(types))
        rows = self._all(
            f"SELECT {names} FROM event WHERE wearer = ? AND t_utc_ns >= ? AND type IN ({marks}) "
            "ORDER BY t_utc_ns DESC, event_id LIMIT ?",
            (wearer, since_ns, *types, limit),
        )
        return [_event(row) for row in rows]

    def columns(
        self, kind: str, wearer: str, t0_ns: int = 0, t1_ns: int = _FAR_NS, page: int = 50_000
    ) -> Iterator[dict[str, list[Cell]]]:
        """The records as columns, at most ``page`` rows at a time: ``sensor`` and the dictionary's columns of ``kind``.
        Missing is None; an event's ``data`` stays JSON text with sorted keys.
        """
        names = ["sensor", *(f.name for f in KINDS[kind])]
        for rows in self._pages(kind, names, wearer, t0_ns, t1_ns, page):
            yield dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))

    def days(self, kind: str, wearer: str, t0_ns: int = 0, t1_ns: int = _FAR_NS) -> dict[int, str]:
        """UTC days (since 1970) that hold records, each with a word that changes when its records do."""
        value = next((f.name for f in KINDS[kind] if f.type == "float64"), "0")
        key = "max(event_id)" if kind == "event" else f"total({value})"
        rows = self._all(
            f"SELECT t_utc_ns / {_DAY_NS}, count(*), {key} FROM {kind} "
            "WHERE wearer = ? AND t_utc_ns >= ? AND t_utc_ns < ? GROUP BY 1 ORDER BY 1",
            (wearer, t0_ns, t1_ns),
        )
        return {int(day): f"{n} {sign}" for day, n, sign in rows}

    def count(self, kind: str, wearer: str, t0_ns: int = 0, t1_ns: int = _FAR_NS, most: int | None = None) -> int:
        """How many records `columns` would give; counted no further than ``most``."""
        them = f"FROM {kind} WHERE wearer = ? AND t_utc_ns >= ? AND t_utc_ns < ?"
        sql = f"SELECT count(*) {them}" if most is None else f"SELECT count(*) FROM (SELECT 1 {them} LIMIT {most:d})"
        return int(self._all(sql, (wearer, t0_ns, t1_ns))[0][0])

    def counts(self, wearer: str, sensor: str) -> dict[str, int]:
        """How many records of each kind are of this wearer's sensor."""
        sql = "SELECT count(*) FROM {} WHERE wearer = ? AND sensor = ?"
        return {kind: int(self._all(sql.format(kind), (wearer, sensor))[0][0]) for kind in KINDS}

    def _all(self, sql: str, params: Row | dict[str, Cell] = ()) -> list[Row]:
        with self._lock:
            try:
                return self._db.execute(sql, params).fetchall()
            except sqlite3.DatabaseError as e:
                if not is_of_the_file(e):
                    raise
                raise StoreError(f"{self.path}: cannot be read ({e}); {remedy(e)}") from e

    def _records(self, kind: str, wearer: str, t0_ns: int, t1_ns: int, build: Callable[[Row], R]) -> Iterator[R]:
        names = [*(f.name for f in KINDS[kind]), "sensor"]
        for rows in self._pages(kind, names, wearer, t0_ns, t1_ns, _PAGE):
            for row in rows:
                yield build(row[:-1])

    def _pages(
        self, kind: str, names: list[str], wearer: str, t0_ns: int, t1_ns: int, page: int
    ) -> Iterator[list[Row]]:
        """Pages by position in the key, so that records written meanwhile neither shift nor repeat a row. ``names`` has the key's."""
        tie = "event_id" if kind == "event" else "sensor"
        key = names.index("t_utc_ns"), names.index(tie)
        sql = (
            f"SELECT {', '.join(names)} FROM {kind} WHERE wearer = ? AND t_utc_ns < ? "
            f"AND (t_utc_ns, {tie}) > (?, ?) ORDER BY t_utc_ns, {tie} LIMIT ?"
        )
        at: tuple[Cell, Cell] = (t0_ns, "")
        while rows := self._all(sql, (wearer, t1_ns, *at, page)):
            at = (rows[-1][key[0]], rows[-1][key[1]])
            yield rows
            if len(rows) < page:
                return


def _event(row: Row) -> Event:
    t_utc_ns, event_id, type_, rule, data = row
    return Event(t_utc_ns, event_id, type_, rule, json.loads(data))


def _cells(record: Record, kind: str) -> Row:
    values: Row = _VALUES[kind](record)
    for i in _JSON[kind]:
        values = (*values[:i], json.dumps(values[i], sort_keys=True, separators=(",", ":")), *values[i + 1 :])
    return values


def _prepare(db: sqlite3.Connection, path: Path, readonly: bool) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StoreError(f"{path}: written by a newer Tiltline (schema {version}); update this installation")
    if readonly:
        db.execute("PRAGMA query_only = ON")
        if version == 0:
            raise StoreError(f"{path}: holds no Tiltline store; check the path")
        return
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    with db:
        db.execute("BEGIN IMMEDIATE")
        for kind, fields in KINDS.items():
            columns = {"wearer": "TEXT NOT NULL", "sensor": "TEXT NOT NULL"}
            columns |= {f.name: _SQL_TYPE[f.type] + ("" if f.null_means else " NOT NULL") for f in fields}
            body = ", ".join(f"{name} {kind_}" for name, kind_ in columns.items())
            db.execute(f"CREATE TABLE IF NOT EXISTS {kind} ({body}, PRIMARY KEY ({_KEY[kind]})) WITHOUT ROWID")
            known = {row[1] for row in db.execute(f"PRAGMA table_info({kind})")}
            for name in columns.keys() - known:  # the dictionary is additive only: an older file gains the column
                db.execute(f"ALTER TABLE {kind} ADD COLUMN {name} {columns[name].removesuffix(' NOT NULL')}")
        db.execute(
            "CREATE TABLE IF NOT EXISTS maker (since_utc_ns INTEGER PRIMARY KEY, versions TEXT NOT NULL, derivation TEXT)"
        )
        db.execute("CREATE INDEX IF NOT EXISTS event_time ON event (wearer, t_utc_ns, event_id)")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
