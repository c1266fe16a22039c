"""Files that appear whole or not at all: Parquet, CSV, NDJSON and plain text, written beside and renamed at the end.

A writer takes tables of any size and cuts them into row groups of its own, so that the same rows give the same bytes
however they arrived.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

ROW_GROUP: Final = 262_144
"""Rows held in memory before they are written (about 15 MB of samples)."""
SOURCE_WORD: Final = b"tiltline_source"
"""Key in a Parquet file's own metadata for what its source said of its rows when it was written."""


class TableWriter(Protocol):
    """What `open_table` gives: takes tables of one schema, counts rows."""

    rows: int

    def write(self, table: Any) -> None: ...
    def close(self) -> None: ...


class FileSet:
    """Files of one folder, and of folders below it, that become visible together, in the order they were opened, when the block
    ends well.

    On an error, or without `__exit__`, nothing that was there before is touched; what a killed process leaves are files
    named ``.NAME.partial``. The next run overwrites them, and removes those of other names where it is ``alone`` in the folder.
    """

    def __init__(self, folder: Path, alone: bool = False) -> None:
        self.folder, self._alone = folder, alone
        self._partial: dict[Path, Path] = {}
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for partial in self._partial.values():
                _sync(partial)
            for final, partial in self._partial.items():
                partial.replace(final)
            for left in self.folder.glob(".*.partial") if self._alone else ():
                left.unlink()
            for folder in {self.folder, *self._made, *(final.parent for final in self._partial)}:
                _sync(folder)
        else:
            for partial in self._partial.values():
                partial.unlink(missing_ok=True)
            for folder in reversed(self._made):
                with contextlib.suppress(OSError):  # somebody else has put something there
                    folder.rmdir()

    def path(self, name: str) -> Path:
        """Where to write the file that will be called ``name``; folders in the name are made."""
        final = self.folder / name
        partial = half_written(final)
        if not partial.parent.is_dir():
            missing = [folder for folder in (partial.parent, *partial.parent.parents) if not folder.is_dir()]
            self._made += reversed(missing)
            partial.parent.mkdir(parents=True)
        self._partial[final] = partial
        return partial

    def written(self) -> Iterator[tuple[str, Path]]:
        """Final names below the folder and where their bytes are now."""
        return ((final.relative_to(self.folder).as_posix(), partial) for final, partial in self._partial.items())

    def write_text(self, name: str, text: str) -> None:
        """A small text file."""
        self.path(name).write_text(text, encoding="utf-8", newline="\n")


def half_written(path: Path) -> Path:
    """Where a file is until it is whole; after a kill it is still there."""
    return path.with_name(f".{path.name}.partial")


def open_table(path: Path, schema: Any, form: str) -> TableWriter:
    """A writer of ``form`` "parquet" or "csv"."""
    return _Regrouped(path, schema, form)


class _Regrouped:
    def __init__(self, path: Path, schema: Any, form: str) -> None:
        self.rows = 0
        self._held: list[Any] = []
        self._held_rows = 0
        if form == "csv":
            self._out = pa_csv.CSVWriter(path, schema, write_options=pa_csv.WriteOptions(quoting_style="needed"))
        else:
            text = [f.name for f in schema if f.type == pa.string()]
            # Dictionaries pay for words only; on measured numbers they cost time and space.
            self._out = pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=text)

    def write(self, table: Any) -> None:
        self._held.append(table)
        self._held_rows += table.num_rows
        self.rows += table.num_rows
        while self._held_rows >= ROW_GROUP:
            self._out.write_table(self._take())

    def close(self) -> None:
        if self._held_rows:
            self._out.write_table(self._take())
        self._out.close()

    def _take(self) -> Any:
        """The next row group. What was held of it is let go before it is encoded: that would double the memory."""
        held = pa.concat_tables(self._held)
        rest = held.slice(ROW_GROUP)
        self._held, self._held_rows = [rest], rest.num_rows
        # One chunk a column: the encoder's pages then do not depend on how the rows arrived.
        return held.slice(0, ROW_GROUP).combine_chunks()


def source_word(path: Path) -> str | None:
    """What a Parquet file says under `SOURCE_WORD`; None: there is no whole file."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
    return metadata.get(SOURCE_WORD, b"").decode() or None


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
