"""Proof by search: where a wearer's pseudonym still stands, in files byte by byte, in SQLite cell by cell and page by page.

Compressed content is opened first (Parquet; a journal's blocks carry no pseudonym and go by their period). The search knows
nothing of how things were erased, so it also finds what the erasure forgot.
"""

from __future__ import annotations

import gzip
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from sensor_gateway.privacy.sqlite_files import mentions

_SQLITE: Final = b"SQLite format 3\0"
_CHUNK: Final = 1 << 22


def search_files(paths: Iterable[Path], wearer: str) -> tuple[list[str], int]:
    """A sentence for each file that still names the wearer, and how many files were searched."""
    found: list[str] = []
    searched = 0
    for path in files_of(paths):
        searched += 1
        found += _search(path, wearer)
    return found, searched


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """Every file below, each once; logs of SQLite (-wal, -shm) are files as any other."""
    seen: set[Path] = set()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _search(path: Path, wearer: str) -> list[str]:
    try:
        return _residues(path, wearer)
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as e:
        return [f"{path}: cannot be searched ({e}); look into it, or delete it"]


def _residues(path: Path, wearer: str) -> list[str]:
    word = mentions(wearer)
    if word.search(path.name.encode()):
        return [f"{path}: the file's name"]
    with path.open("rb") as file:
        head = file.read(16)
    if head == _SQLITE:
        return search_sqlite(path, wearer)
    if path.suffix == ".parquet":
        return [f"{path}: column {name}" for name in _parquet(path, word)]
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return [f"{path}: {name}" for name in archive.namelist() if word.search(archive.read(name))]
    if head[:2] == b"\x1f\x8b":
        return [f"{path}: content"] if word.search(gzip.decompress(path.read_bytes())) else []
    return [f"{path}: content"] if _bytes(path, word) else []


def _bytes(path: Path, word: re.Pattern[bytes]) -> bool:
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if word.search(tail + chunk):
                return True
            tail = chunk[-64:]  # an id has at most 32 characters
    return False


def _parquet(path: Path, word: re.Pattern[bytes]) -> Iterator[str]:
    source = pq.ParquetFile(path)
    text = [f.name for f in source.schema_arrow if f.type == pa.string()]
    for name in text:
        for i in range(source.num_row_groups):
            values = source.read_row_group(i, [name]).column(0).unique().to_pylist()
            if any(v is not None and word.search(v.encode()) for v in values):
                yield name
                break


def search_sqlite(path: Path, wearer: str) -> list[str]:
    """Cells that name the wearer; free pages, in which deleted rows could lie; and the file's raw bytes, where another
    wearer's longer id cannot be mistaken for this one.
    """
    word = mentions(wearer)
    found: list[str] = []
    ids: set[bytes] = set()
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        tables = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = [r[1] for r in db.execute(f'PRAGMA table_info("{table}")')]
            hits = _cells(db, table, columns, word, ids)
            found += [f"{path}: table {table}, column {columns[i]}, {n} rows" for i, n in sorted(hits.items())]
        free = db.execute("PRAGMA freelist_count").fetchone()[0]
        if free:
            found.append(f"{path}: {free} free pages that could hold deleted rows")
    except sqlite3.Error as e:
        found.append(f"{path}: cannot be searched ({e})")
    finally:
        db.close()
    # Cells stand side by side without a mark between them, so raw bytes are searched without word bounds.
    raw = wearer.encode()
    if not any(raw in other and other != raw for other in ids) and _bytes(path, re.compile(re.escape(raw))):
        found.append(f"{path}: raw bytes")
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size and _bytes(wal, re.compile(re.escape(raw))):
        found.append(f"{wal}: raw bytes")
    return found


def _cells(
    db: sqlite3.Connection, table: str, columns: list[str], word: re.Pattern[bytes], ids: set[bytes]
) -> dict[int, int]:
    """Rows that name the wearer, by column; ``ids`` gathers every word that could be mistaken for her in raw bytes."""
    needle = word.pattern.split(rb")", 1)[1].rsplit(rb"(?!", 1)[0]
    longer = re.compile(rb"[a-z0-9-]*" + needle + rb"[a-z0-9-]*")
    hits: dict[int, int] = {}
    for row in db.execute(f'SELECT * FROM "{table}"'):
        for i, cell in enumerate(row[: len(columns)]):
            data = _as_bytes(cell)
            if data is None:
                continue
            words = longer.findall(data)
            ids.update(words)
            if words and word.search(data):
                hits[i] = hits.get(i, 0) + 1
    return hits


def _as_bytes(cell: Any) -> bytes | None:
    if isinstance(cell, str):
        return cell.encode()
    return cell if isinstance(cell, bytes) else None
