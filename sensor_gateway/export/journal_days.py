"""Tables of the journal in an export that grows: ``samples/wearer=w-001/day=2026-03-01/clip-1.parquet``, a file a sensor and UTC day.

Each file holds the word under which it was made: the sensor's settings, and the last journal entry that arrived up to the end of the
day after. So a day is written again until a whole one has passed behind it, and never because the journal's beginning has gone:
of the day on which what is left begins, the file keeps its rows from before. What comes later still is seen to as well: a bout
that goes on for days, and raw samples that a sensor kept for days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from processing.dictionary import IDENTITY, TABLES
from sensor_gateway.config import Sensor
from sensor_gateway.export.csv_parquet import SOURCE_WORD, TableWriter, open_table, source_word
from sensor_gateway.export.deidentify import Veil
from sensor_gateway.export.journal import DAY_NS, Gone, JournalTables, day_text, placed
from sensor_gateway.export.manifest import output_of
from sensor_gateway.export.selection import (
    COMPUTED_TABLES,
    JOURNAL_TABLES,
    RAW_TABLE,
    ExportError,
    Progress,
    Selection,
    part_of,
)
from sensor_gateway.export.tables import schema_of, whole
from sensor_gateway.garbage import give_back
from sensor_gateway.whole_files import FileSet

_IN_PART: Final = " in part"
"""End of the word of a day of which rows are missing: the journal no longer had them."""
_UPTO: Final = b"tiltline_upto"
"""Key in a file's own metadata for the newest journal entry when it was written."""
Part = tuple[str, int]
"""Table and UTC day (since 1970)."""


class JournalDays:
    """One sensor's files. `update` brings them up to date; ``written`` and ``as_before`` count them."""

    def __init__(self, journal: JournalTables, sensor: Sensor, selection: Selection, folder: Path, veil: Veil) -> None:
        self._journal, self._sensor, self._veil, self._folder = journal, sensor, veil, folder
        self._tables = [t for t in selection.tables if t in JOURNAL_TABLES]
        self._span = selection.from_ns, selection.to_ns
        self._entries = journal.entries_by_day(sensor)
        self._settings = journal.settings(sensor)
        self._cut_seq, self._cut_day = journal.cut_at(sensor) or (0, 0)
        self.written = self.as_before = 0

    def update(self, outputs: dict[str, dict[str, Any]], progress: Progress | None) -> None:
        """Write what has changed; ``outputs`` are the manifest's, by name."""
        parts = [(t, day) for t in self._tables for day in self._entries if self._wanted(day)]
        stale = {part for part in parts if self._is_stale(part)}
        groups = [g for g in ((RAW_TABLE,), COMPUTED_TABLES) if any(t in g for t, _ in stale)]
        for i, group in enumerate(groups):
            mine = {part for part in stale if part[0] in group}
            self._derive(mine, outputs, part_of(progress, i / len(groups), 1 / len(groups)))
            pa.default_memory_pool().release_unused()
            give_back()
        for part in parts:
            name = self._name(part)
            path = self._folder / name
            if part not in stale:
                self.as_before += 1
                if outputs.get(name, {}).get("bytes") != path.stat().st_size:
                    outputs[name] = output_of(path, pq.read_metadata(path).num_rows)

    def _derive(self, stale: set[Part], outputs: dict[str, dict[str, Any]], progress: Progress | None) -> None:
        """One pass over the journal, and another one where days turn out to have got samples since."""
        while stale:
            late: dict[Part, int] = {}
            tables = sorted({table for table, _ in stale})
            span = self._begin_ns(stale), self._span[1]
            with _Writing(self._folder) as writing:
                for table, piece in self._journal.pieces(self._sensor, tables, span, progress):
                    # The wearer is the folder.
                    rows = placed(table, piece, self._sensor, self._span, self._veil, IDENTITY[1:])
                    for shown, cut in _by_day(rows, TABLES[table][0].name) if rows is not None else ():
                        part = table, shown - self._shift
                        if part in stale or self._is_unforeseen(part):
                            writing.take(self._file(part), cut)
                        elif table == "raw" and part[1] != self._cut_day:
                            late[part] = late.get(part, 0) + cut.num_rows
                for part in sorted(stale):
                    writing.take(self._file(part), None)  # a day without a row says so
                writing.finish(lambda part: self._file(part, self._newest))
            for name, count in writing.done.items():
                outputs[name] = output_of(self._folder / name, count)
            self.written += len(writing.done)
            stale = {part for part, n in late.items() if _rows_of(self._folder / self._name(part)) not in (None, n)}

    def _begin_ns(self, stale: set[Part]) -> int:
        """Before which no row is wanted: the first of these days, and those before it on which nothing arrived (`_is_unforeseen`)."""
        first = min(day for _, day in stale)
        return (max((day for day in self._entries if day < first), default=-1) + 1) * DAY_NS

    def _is_unforeseen(self, part: Part) -> bool:
        """A day on which nothing arrived, of samples that came after it."""
        return part[1] not in self._entries and self._wanted(part[1]) and self._is_stale(part)

    def gone(self) -> Gone | None:
        """As `JournalTables.gone`, without the days that were written whole when the journal still had them."""
        found = self._journal.gone(self._sensor, self._span)
        days = () if found is None else tuple(day for day in found.days if not self._is_whole(day))
        return replace(found, days=days) if found is not None and (days or not found.days) else None

    def _is_whole(self, day: int) -> bool:
        return all(self._is_whole_file(self._folder / self._name((table, day))) for table in self._tables)

    @staticmethod
    def _is_whole_file(path: Path) -> bool:
        word = source_word(path)
        return word is not None and not word.endswith(_IN_PART)

    @property
    def _shift(self) -> int:
        return self._veil.shift_ns(self._sensor.wearer) // DAY_NS

    def _wanted(self, day: int) -> bool:
        """Within the span asked for, and not before what is left of the journal."""
        return self._span[0] <= day * DAY_NS < self._span[1] and day >= self._cut_day

    def _is_stale(self, part: Part) -> bool:
        found = (source_word(self._folder / self._name(part)) or "").removesuffix(_IN_PART)
        return found not in (self._word(part), self._word(part, self._newest))

    @property
    def _newest(self) -> int:
        return max(self._entries.values(), default=0)

    def _word(self, part: Part, open_at: int = 0) -> str:
        """``open_at``: the newest entry, of a day with a bout that was not over then."""
        seen = max((seq for day, seq in self._entries.items() if day <= part[1] + 1), default=0)
        return self._veil.word(f"{self._settings} {seen} {open_at}")

    def _file(self, part: Part, open_at: int = 0) -> _File:
        path = self._folder / self._name(part)
        word, begins = self._word(part, open_at), part[1] == self._cut_day
        if begins and not (self._is_whole_file(path) and _upto(path) >= self._cut_seq - 1):
            word += _IN_PART
        return _File(part, path, {SOURCE_WORD: word.encode(), _UPTO: str(self._newest).encode()}, begins)

    def _name(self, part: Part) -> str:
        wearer, sensor = self._veil.name("wearer", self._sensor.wearer), self._veil.name("sensor", self._sensor.id)
        return f"{part[0]}/wearer={wearer}/day={day_text(part[1] + self._shift)}/{sensor}.parquet"


@dataclass(frozen=True, slots=True)
class _File:
    """A file to be written. ``keeps_earlier``: rows from before the first new one stay."""

    part: Part
    path: Path
    metadata: dict[bytes, bytes]
    keeps_earlier: bool

    def rows(self, new: Any) -> Iterator[Any]:
        """Rows as they are to be written: earlier ones of the file that is there, and ``new`` (None: none)."""
        time = TABLES[self.part[0]][0].name
        if self.keeps_earlier and source_word(self.path) is not None:
            with pq.ParquetFile(self.path) as old:
                for i in range(old.num_row_groups):
                    group = old.read_row_group(i)
                    early = group if new is None else group.filter(pc.less(group[time], new[time][0]))
                    yield early.replace_schema_metadata(self.metadata)
        if new is not None:
            yield new.replace_schema_metadata(self.metadata)


class _Writing:
    """Files being written. Rows come in the order of days (a change of posture may show on the next), so few are open at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[Part, tuple[_File, ExitStack, TableWriter]] = {}
        self._bouts: dict[Part, tuple[_File, list[Any]]] = {}
        self._closed: set[Part] = set()
        self.done: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def take(self, file: _File, rows: Any | None) -> None:
        """Rows of a day; None: no more, and the file is there without any."""
        part = file.part
        if part[0] == "bouts":
            held = self._bouts.setdefault(part, (file, []))[1]
            held += [] if rows is None else [rows]
            return
        for other in [p for p in self._open if p[0] == part[0] and p[1] < part[1] - 1]:
            self._close(other)
        if part in self._closed:
            if rows is not None:
                raise ExportError(f"{file.path}: its rows do not come in order of time; leave --by-day out")
        elif part not in self._open:
            self._begin(file, rows)
        elif rows is not None:
            self._open[part][2].write(rows.replace_schema_metadata(file.metadata))

    def finish(self, still_open: Callable[[Part], _File]) -> None:
        """Close all. The last bout is not over: its day's file is ``still_open``."""
        last = max((part for part, (_, held) in self._bouts.items() if held), default=None)
        for part, (file, held) in sorted(self._bouts.items()):
            self._begin(still_open(part) if part == last else file, pa.concat_tables(held) if held else None)
        for part in list(self._open):
            self._close(part)

    def _begin(self, file: _File, rows: Any | None) -> None:
        schema = schema_of((*IDENTITY[1:], *TABLES[file.part[0]])).with_metadata(file.metadata)
        with ExitStack() as stack:
            files = stack.enter_context(FileSet(file.path.parent, alone=True))
            writer = open_table(files.path(file.path.name), schema, "parquet")
            self._open[file.part] = file, stack.pop_all(), writer
        for piece in file.rows(rows):
            writer.write(piece)

    def _close(self, part: Part) -> None:
        file, files, writer = self._open[part]
        writer.close()
        files.close()
        del self._open[part]
        self._closed.add(part)
        self.done[str(file.path.relative_to(self._folder))] = writer.rows

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, files, _ in self._open.values():  # what an error has left; its writers may write no more
            files.__exit__(kind, error, trace)


def _upto(path: Path) -> int:
    return int((pq.read_schema(path).metadata or {}).get(_UPTO, b"0"))


def _rows_of(path: Path) -> int | None:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None


def _by_day(rows: Any, time: str) -> Iterator[tuple[int, Any]]:
    """Rows cut at midnight UTC, with their day."""
    days = whole(rows.column(time).chunk(0)) // DAY_NS
    edges = np.flatnonzero(np.diff(days, prepend=-1, append=-1)).tolist()
    for a, b in pairwise(edges):
        yield int(days[a]), rows.slice(a, b - a)
