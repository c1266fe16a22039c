"""Tables from disk: Parquet and delimited text to named columns, or one clear sentence why not.

The first step of `recording.read_recording` and of `tiltline import`. The kind of file is read from its content, not from
its name, so a renamed file works and a cut one is called cut.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from processing.types import F64, I64

_TEXT_SUFFIXES: Final = {".csv", ".tsv", ".txt"}
_MAGIC: Final = b"PAR1"
_HEAD_BYTES: Final = 65536
_PREAMBLE_LINES: Final = 60
"""Makers write names, firmware and settings before the table; so far down the line with the column names is looked for."""


class RecordingError(ValueError):
    """A recording that cannot be used; the text names the file, what is wrong and the remedy."""


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a file before its samples are read: column names, and how text is laid out (None: Parquet).

    ``preamble``: what stands before the table, e.g. {"DeviceTag": "7"}.
    """

    path: Path
    columns: tuple[str, ...]
    delimiter: str | None
    skip_lines: int
    preamble: Mapping[str, str] = field(default_factory=dict)


def read_header(path: Path) -> Header:
    """Column names of a Parquet or text file; raises `RecordingError` where it is neither, empty, or cut off."""
    try:
        with path.open("rb") as f:
            head = f.read(_HEAD_BYTES)
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise RecordingError(f"{path}: is a folder; name the recordings in it, e.g. {path / '*.parquet'}") from None
    except OSError as e:
        raise RecordingError(f"{path}: cannot be read ({e.strerror}); check the path and its permissions") from None
    if not head:
        raise RecordingError(f"{path}: the file is empty (0 bytes); record or copy it again")
    if head.startswith(_MAGIC):
        return Header(path, _parquet_columns(path), None, 0)
    if path.suffix.lower() in {".parquet", ".pq"}:
        raise RecordingError(f"{path}: is not a Parquet file inside (its first bytes are wrong); export it again")
    if path.suffix.lower() not in _TEXT_SUFFIXES or b"\0" in head:
        raise RecordingError(f"{path}: is neither Parquet nor CSV; save it as .parquet or .csv (unpacked)")
    return _text_header(path, head)


def _parquet_columns(path: Path) -> tuple[str, ...]:
    try:
        return tuple(pq.read_schema(path).names)
    except (pa.ArrowInvalid, OSError):
        raise RecordingError(f"{path}: the Parquet file is cut off or damaged; copy or export it again") from None


def _text_header(path: Path, head: bytes) -> Header:
    lines = head.decode("utf-8-sig", errors="replace").splitlines()
    named = [i for i, line in enumerate(lines[:_PREAMBLE_LINES]) if line.strip() and not _is_remark(line)]
    if not named:
        raise RecordingError(
            f"{path}: holds no header line; the first line must name the columns, e.g. t_s,ax,ay,az,..."
        )
    # The first of the widest lines of words: what stands before a table is narrower, and its rows are numbers.
    widths = {(i, d): _words(lines[i], d) for i in named for d in ",;\t"}
    at, delimiter = max(widths, key=lambda k: (widths[k], -k[0]))
    if not widths[at, delimiter]:
        at = named[0]
        delimiter = max(",;\t", key=lines[at].count)
    names = next(csv.reader([lines[at]], delimiter=delimiter))
    return Header(path, tuple(name.strip() for name in names), delimiter, at, _preamble(lines[:at]))


def _is_remark(line: str) -> bool:
    """A comment, or the line by which a spreadsheet is told the delimiter."""
    return line.lstrip().startswith(("#", "//")) or line.lower().startswith("sep=")


def _words(line: str, delimiter: str) -> int:
    """Cells of a line that are words; 0 where numbers are among them, as in a row of samples."""
    cells = [c.strip().strip('"') for c in line.split(delimiter)]
    filled = [c for c in cells if c]
    numbers = sum(_is_number(c) for c in filled)
    return 0 if numbers * 5 > len(filled) or len(filled) < 2 else len(filled)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _preamble(lines: Collection[str]) -> dict[str, str]:
    """Lines such as "Key: value", "Key:,value" and "// Key: value"."""
    found = {}
    for line in lines:
        key, colon, value = line.strip().lstrip("#/ ").partition(":")
        if colon and key:
            found[key.strip()] = value.strip(" ,;\t")
    return found


def read_columns(
    header: Header, wanted: Collection[str], text: Collection[str] = ()
) -> tuple[dict[str, Any], list[str]]:
    """Read the ``wanted`` columns (all must be in the header) as Arrow columns, and the warnings on the way.

    Columns of text files are numbers unless named in ``text``, which stay as they are. Raises `RecordingError` for damaged
    Parquet, broken lines and text where numbers must stand.
    """
    twice = sorted({c for c in wanted if header.columns.count(c) > 1})
    if twice:
        raise RecordingError(f"{header.path}: column {', '.join(twice)} stands more than once; keep one of each")
    if header.delimiter is None:
        try:
            table = pq.read_table(header.path, columns=list(wanted), partitioning=None)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError):
            raise RecordingError(
                f"{header.path}: the Parquet file is cut off or damaged; copy or export it again"
            ) from None
        return {c: table[c] for c in wanted}, []
    return _read_text(header, wanted, text)


def _read_text(header: Header, wanted: Collection[str], text: Collection[str]) -> tuple[dict[str, Any], list[str]]:
    broken: list[tuple[int | None, str]] = []

    def on_broken(row: Any) -> str:
        broken.append((row.number, row.text))
        return "skip"

    try:
        # One thread: only then do broken rows and conversion errors know their line.
        table = pa_csv.read_csv(
            header.path,
            read_options=pa_csv.ReadOptions(
                column_names=list(header.columns), skip_rows=header.skip_lines + 1, use_threads=False
            ),
            parse_options=pa_csv.ParseOptions(delimiter=header.delimiter, invalid_row_handler=on_broken),
            convert_options=pa_csv.ConvertOptions(
                column_types={c: _type_of(c, text) for c in wanted},
                include_columns=list(wanted),
                null_values=["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "-nan"],
                decimal_point="," if header.delimiter == ";" and _decimal_comma(header) else ".",
            ),
        )
    except pa.ArrowInvalid as e:
        if "Empty CSV" in str(e):
            raise RecordingError(f"{header.path}: 0 rows; the file has a header and no samples") from None
        what = str(e).split("CSV conversion error to")[-1].split(": ", 1)[-1]
        column = next((c for i, c in enumerate(header.columns) if f"column #{i}:" in str(e)), None)
        where = f"column {column}" if column else "a line"
        raise RecordingError(
            f"{header.path}: {where} holds something that is not a number ({what}); leave missing values empty"
        ) from None
    return {c: table[c] for c in wanted}, _broken_lines(header, broken)


def _type_of(column: str, text: Collection[str]) -> Any:
    return pa.string() if column in text else pa.int64() if column.endswith("_ns") else pa.float64()


def _broken_lines(header: Header, broken: list[tuple[int | None, str]]) -> list[str]:
    if not broken:
        return []
    with header.path.open("rb") as f:
        f.seek(max(0, header.path.stat().st_size - _HEAD_BYTES))
        tail = f.read()
    # Only the very last line may be short: that is what a pulled plug leaves. Anything else is a damaged file.
    if len(broken) == 1 and not tail.endswith(b"\n") and tail.splitlines()[-1].decode(errors="replace") == broken[0][1]:
        return [f"{header.path}: the file ends in the middle of a line; that line is left out, the rest is used"]
    number, text = broken[0]
    raise RecordingError(
        f"{header.path}: line {number} has {text.count(str(header.delimiter)) + 1} values where the header names "
        f"{len(header.columns)} columns ({len(broken)} such lines); repair or export the file again"
    )


def _decimal_comma(header: Header) -> bool:
    with header.path.open(encoding="utf-8-sig", errors="replace") as f:
        lines = [line for _, line in zip(range(header.skip_lines + 2), f, strict=False)]
    return len(lines) > header.skip_lines + 1 and "," in lines[-1]


def as_float(path: Path, name: str, column: Any) -> F64:
    """An Arrow column as float64 (n,), null as NaN; raises `RecordingError` where it does not hold numbers."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            column = pc.cast(column, pa.float64())
        except pa.ArrowInvalid as e:
            raise RecordingError(
                f"{path}: column {name} holds something that is not a number ({str(e).split(': ')[-1]}); "
                "leave missing values empty"
            ) from None
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise RecordingError(f"{path}: column {name} holds {kind}, not numbers; export it as float64")
    # Half floats have no direct cast to double in every version of Arrow; NumPy does it.
    values = column.to_numpy() if pa.types.is_float16(kind) else pc.cast(column, pa.float64(), safe=False).to_numpy()
    return np.ascontiguousarray(values, dtype=np.float64)


def as_utc_ns(path: Path, name: str, column: Any) -> tuple[I64, F64]:
    """A UTC column as int64 nanoseconds (n,) and a float64 mark (n,) that is NaN where the time is missing.

    Integers are nanoseconds; Arrow timestamps keep their own unit. Raises `RecordingError` for other types.
    """
    if pa.types.is_timestamp(column.type):
        column = pc.cast(pc.cast(column, pa.timestamp("ns", tz=column.type.tz)), pa.int64())
    if not pa.types.is_integer(column.type):
        values = as_float(path, name, column)
        bad = ~np.isfinite(values) | (np.abs(values) > 9e18)
        return np.where(bad, 0.0, np.rint(values)).astype(np.int64), np.where(bad, np.nan, 0.0)
    mark = np.where(pc.is_null(column).to_numpy(), np.nan, 0.0)
    filled = pc.cast(pc.fill_null(column, 0), pa.int64())
    return np.ascontiguousarray(filled.to_numpy(), dtype=np.int64), mark
