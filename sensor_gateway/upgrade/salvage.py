"""What can still be read of a damaged spool, in a new one: journal blocks, whose they are, and records not delivered yet.

Reads the pages (`pages.py`), so a missing header or a lost inner page costs only what lay on it. A block is taken where it decodes
and has as many entries as its row says; which stretches are missing follows from the numbers of the entries. The damaged file is
never written: it moves beside, and the new spool takes its place. Pipelines begin new runs on it, since ordinals that a lost stretch
had given out would not come again.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from sensor_gateway.sinks.store import Store, StoreError
from sensor_gateway.spool import block
from sensor_gateway.spool.block import BlockError, Logged
from sensor_gateway.spool.database import Spool, SpoolError, count, take_guard
from sensor_gateway.spool.journal import DROPPED, absent
from sensor_gateway.sqlite_faults import remedy
from sensor_gateway.status.status import SPOOL_FILE, STORE_FILE
from sensor_gateway.upgrade.pages import BEYOND, Cell, Pages, TornError
from sensor_gateway.upgrade.stretches import Kept, Lost, consecutive, joined, missing, uncovered
from sensor_gateway.whole_files import sync
from sensor_gateway.wire.messages import MessageError, decode_record

_BESIDE: Final = ("", "-wal", "-shm")
_JOURNAL: Final = (None, str, int, int, int, int, int, bytes)
"""Types of the tables' columns; None: the row's number."""
_RUN: Final = (str, int, str, str, int, int, int, int, bytes, int)
_RUN_BEFORE: Final = 9  # columns of a row that an earlier release wrote
_OUTBOX: Final = (None, str, str, str, int, bytes)
_NOBODY: Final = "-"
"""Wearer of a run whose entries were erased (`privacy/sqlite_files.py`): they are not lost."""
_KINDS: Final = ("metric", "epoch", "event", "device")
_INSERT: Final = (
    "INSERT INTO journal (sensor, first_seq, last_seq, small, last_rx_utc_ns, size, block) VALUES (?, ?, ?, 0, ?, ?, ?)"
)
_RUN_COLUMNS: Final = (
    "sensor, run, wearer, setup_hash, warm_seq, start_seq, next_ordinal, snapshot_seq, snapshot, done_seq"
)
_AT_ONCE: Final = 200  # blocks a transaction


class SalvageError(Exception):
    """Nothing was salvaged, and nothing changed; the text says why and what to do."""


@dataclass(slots=True)
class Salvaged:
    """Entries by sensor, and records that were not delivered yet; ``aside`` is where the damaged file lies now, None where it is in
    its place still. ``unknown``: sensors whose journal is there while whose it was is not. ``sound``: there was nothing to mend.
    """

    entries: dict[str, int] = field(default_factory=dict)
    records: int = 0
    lost: list[Lost] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    sound: bool = False
    aside: Path | None = None


@dataclass(slots=True)
class _Found:
    """Rows of the damaged file by table: journal rows still unread, runs by sensor and number, outbox rows by number."""

    blocks: list[tuple[list[Any], Cell]] = field(default_factory=list)
    runs: dict[tuple[str, int], list[Any]] = field(default_factory=dict)
    outbox: dict[int, list[Any]] = field(default_factory=dict)


def salvage(
    folder: Path,
    wearers: Mapping[str, str],
    *,
    dry_run: bool = False,
    progress: Callable[[float], None] = lambda _: None,
) -> Salvaged:
    """Put a spool of what can be read in the place of the one in ``folder``. ``wearers``: sensor to wearer as configured, heeded
    only where the file no longer says whose a journal is and the store knows her alone. Raises `SalvageError`.
    """
    damaged, making = folder / SPOOL_FILE, folder / f".{SPOOL_FILE}.salvaging"
    if not damaged.is_file():
        raise SalvageError(f"{damaged}: there is none; check 'site.data_dir'")
    shutil.rmtree(making, ignore_errors=True)
    try:
        guard = take_guard(damaged)
        try:
            spool = Spool(making / SPOOL_FILE)
            try:
                with Pages(damaged) as pages:
                    done = _copy(pages, spool, dry_run, _store_knows(folder, wearers), progress)
            finally:
                spool.close()
            done.sound = all(lost.perhaps for lost in done.lost) and _is_sound(damaged, done.entries)
            if not dry_run and not done.sound:
                done.aside = _exchange(damaged, making / SPOOL_FILE)
        finally:
            guard.close()
    except (SpoolError, ValueError) as e:
        raise SalvageError(f"{damaged}: {e}") from e
    except sqlite3.Error as e:
        raise SalvageError(f"{making}: cannot be written ({e}); {remedy(e)}") from e
    except OSError as e:
        raise SalvageError(
            f"{folder}: {e}; free as much space as {SPOOL_FILE} takes, and let this user write there"
        ) from e
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return done


def _copy(
    pages: Pages, spool: Spool, dry_run: bool, known: Mapping[str, str], progress: Callable[[float], None]
) -> Salvaged:
    found = _scan(pages, lambda share: progress(share / 2))
    kept = _blocks(pages, spool, dry_run, found, lambda share: progress(0.5 + share / 2))
    done = Salvaged({s: sum(k.last - k.first + 1 for k in kept[s]) for s in sorted(kept)}, len(found.outbox))
    for sensor in sorted(kept.keys() - {s for s, _ in found.runs}):
        if sensor in known:
            first, last = kept[sensor][0].first, kept[sensor][-1].last
            found.runs[sensor, 1] = [sensor, 1, known[sensor], "", first, last + 1, None, None, None, last]
        else:
            done.unknown.append(sensor)
    for sensor in sorted(kept.keys() | {s for s, _ in found.runs} | {head[1] for head, _ in found.blocks}):
        runs = [run for _, run in sorted(found.runs.items()) if run[0] == sensor]
        named = [n for head, _ in found.blocks if head[1] == sensor for n in head[2:4]]
        done.lost += [lost for lost in missing(sensor, kept.get(sensor, []), runs, named) if lost.wearer != _NOBODY]
    with spool.transaction(durable=True) as db:
        # No hash fits an empty one: the next start begins a new run where this one ended.
        begun = [[*run[:3], "", *run[4:6], None, None, None, run[9]] for run in found.runs.values()]
        db.executemany(f"INSERT INTO run ({_RUN_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", begun)
        rows = [(seq, *row[1:]) for seq, row in sorted(found.outbox.items())]
        db.executemany("INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?)", rows)
        count(db, DROPPED, absent(db))
    return done


def _scan(pages: Pages, progress: Callable[[float], None]) -> _Found:
    found = _Found()
    for cell in pages.cells(progress):
        try:
            head = cell.values()
            if _fits(head, _JOURNAL) and 0 < head[2] <= head[3]:
                found.blocks.append((head, cell))
            elif _fits(head, _RUN[: len(head)], nullable=range(6, 10)) and len(head) >= _RUN_BEFORE:
                run = [*_whole(pages, cell), None][: len(_RUN)]
                key = (run[0], run[1])
                if key not in found.runs or (run[9] or 0) >= (found.runs[key][9] or 0):
                    found.runs[key] = run
            elif _fits(head, _OUTBOX) and head[3] in _KINDS:
                row = _whole(pages, cell)
                decode_record(row[3], row[5])
                found.outbox.setdefault(cell.rowid, row)
        except (TornError, MessageError):
            continue
    return found


def _whole(pages: Pages, cell: Cell) -> list[Any]:
    """All columns of a row; raises `TornError`."""
    values = pages.payload(cell)
    if BEYOND in values:
        raise TornError("ends too soon")
    return values


def _fits(values: list[Any], types: tuple[type | None, ...], nullable: Iterable[int] = ()) -> bool:
    """Whether a row has these columns; a value beyond its page may be any."""
    return len(values) == len(types) and all(
        v is BEYOND or (v is None and (t is None or i in nullable)) or (t is not None and type(v) is t)
        for i, (v, t) in enumerate(zip(values, types, strict=True))
    )


def _blocks(
    pages: Pages, spool: Spool, dry_run: bool, found: _Found, progress: Callable[[float], None]
) -> dict[str, list[Kept]]:
    """Write what can be read of the journal; by sensor what of it is there now, in order.

    The newest row of an entry counts: one that was compacted or dropped may still lie on a page that was given up.
    """
    kept: dict[str, list[Kept]] = {}
    covered: dict[str, list[tuple[int, int]]] = {}
    loose: dict[str, list[Logged]] = {}
    rows: list[tuple[Any, ...]] = []
    write = _forget if dry_run else partial(_write, spool)
    for i, (head, cell) in enumerate(sorted(found.blocks, key=lambda b: -b[1].rowid)):
        progress(i / len(found.blocks))
        _, sensor, first, last, small, utc_ns = head[:6]
        new = uncovered(first, last, covered.get(sensor, []))
        body = _readable(pages, cell, first, last) if new else None
        if body is None:
            continue
        entries = block.decode(body, first)
        covered[sensor] = joined([*covered.get(sensor, []), *new])
        for a, b in new:
            part = entries[a - first : b + 1 - first]
            kept.setdefault(sensor, []).append(Kept(a, b, part[0].received.rx_utc_ns, part[-1].received.rx_utc_ns))
            if small or (a, b) != (first, last):
                loose.setdefault(sensor, []).extend(part)
            else:
                rows.append((sensor, first, last, utc_ns, len(body), body))
        if len(rows) >= _AT_ONCE:
            write(rows)
    for sensor, entries in loose.items():
        for part in consecutive(sorted(entries)):
            body = block.encode([(e.source, e.received) for e in part])
            rows.append((sensor, part[0].seq, part[-1].seq, part[-1].received.rx_utc_ns, len(body), body))
    write(rows)
    return {sensor: sorted(spans, key=lambda k: k.first) for sensor, spans in kept.items()}


def _write(spool: Spool, rows: list[tuple[Any, ...]]) -> None:
    with spool.transaction(durable=False) as db:
        db.executemany(_INSERT, rows)
    rows.clear()


def _forget(rows: list[tuple[Any, ...]]) -> None:
    rows.clear()


def _readable(pages: Pages, cell: Cell, first: int, last: int) -> bytes | None:
    """A journal row's block where it holds the entries that the row names."""
    try:
        body = _whole(pages, cell)[7]
        return body if isinstance(body, bytes) and len(block.decode(body, first)) == last - first + 1 else None
    except (TornError, BlockError, MemoryError):
        return None


def _store_knows(folder: Path, wearers: Mapping[str, str]) -> dict[str, str]:
    """The configured sensors that the store has seen on their configured wearer and on nobody else."""
    try:
        store = Store.open(folder / STORE_FILE, readonly=True)
    except StoreError:
        return {}
    try:
        seen = {s: [w for w in store.wearers() if any(store.counts(w, s).values())] for s in wearers}
    finally:
        store.close()
    return {sensor: wearer for sensor, wearer in wearers.items() if seen[sensor] == [wearer]}


def _is_sound(path: Path, entries: Mapping[str, int]) -> bool:
    """Whether SQLite finds no fault, and as many entries: it leaves out what follows damage in the write-ahead log, and is content."""
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            said = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
            journal = "SELECT sensor, sum(last_seq - first_seq + 1) FROM journal GROUP BY sensor"
            return bool(said == "ok" and dict(db.execute(journal)) == entries)
        finally:
            db.close()
    except sqlite3.Error:
        return False


def _exchange(damaged: Path, fresh: Path) -> Path:
    """Move the damaged file with its log beside, then the new one into its place; where the old ones lie.

    Within the data folder, which may be a volume of its own, and where an erasure's search finds it.
    """
    sync(fresh)
    aside = damaged.parent / f"damaged-{time.time_ns()}"
    aside.mkdir(mode=0o700)
    # The log first: SQLite would take it for the new file's.
    for end in reversed(_BESIDE):
        old = damaged.with_name(damaged.name + end)
        if old.is_file():
            old.rename(aside / old.name)
    sync(aside)
    fresh.rename(damaged)
    sync(damaged.parent)
    return aside
