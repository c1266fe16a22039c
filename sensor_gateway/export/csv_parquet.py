"""Tables as Parquet or CSV files, of any size in bounded memory.

A writer takes tables of any size and cuts them into row groups of its own, so that the same rows give the same bytes
however they arrived.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Protocol

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
