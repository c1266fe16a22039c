"""Tables of the journal in an export that grows: ``samples/wearer=w-001/day=2026-03-01/clip-1.parquet``, a file a sensor and UTC day.

Each file holds the word under which it was made: the sensor's settings, and the last journal entry that arrived up to the end of the
day after. So a day is written again until a whole one has passed behind it, and never because the journal's beginning has gone.
What comes later still is seen to: a bout that goes on for days, and raw samples that a sensor kept for days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from processing.dictionary import TABLES
from sensor_gateway.config import Sensor
from sensor_gateway.export.csv_parquet import SOURCE_WORD, FileSet, TableWriter, open_table, source_word
from sensor_gateway.export.deidentify import Veil
from sensor_gateway.export.journal import DAY_NS, DERIVED, JOURNAL_TABLES, JournalTables, day_text, placed
from sensor_gateway.export.manifest import output_of
from sensor_gateway.export.selection import ExportError, Progress, Selection, part_of
from sensor_gateway.export.tables import IDENTITY, schema_of, whole

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
        self._cut_day = journal.cut_day(sensor)
        self.written = self.as_before = 0

    def update(self, outputs: dict[str, dict[str, Any]], progress: Progress | None) -> None:
        """Write what has changed; ``outputs`` are the manifest's, by name."""
        parts = [(t, day) for t in self._tables for day in self._entries if self._wanted(day)]
        stale = {part for part in parts if self._is_stale(part)}
        groups = [g for g in (("raw",), DERIVED) if any(t in g for t, _ in stale)]
        for i, group in enumerate(groups):
            mine = {part for part in stale if part[0] in group}
            self._derive(mine, outputs, part_of(progress, i / len(groups), 1 / len(groups)))
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
            with _Writing(self._folder) as writing:
                for table, piece in self._journal.pieces(self._sensor, tables, self._span[1], progress):
                    # The wearer is the folder.
                    rows = placed(table, piece, self._sensor, self._span, self._veil, IDENTITY[1:])
                    for shown, cut in _by_day(rows, TABLES[table][0].name) if rows is not None else ():
                        part = table, shown - self._shift
                        if part in stale or self._is_unforeseen(part):
                            writing.take(part, self._name(part), cut, self._word(part))
                        elif table == "raw" and part[1] != self._cut_day:
                            late[part] = late.get(part, 0) + cut.num_rows
                for part in sorted(stale):
                    writing.take(part, self._name(part), None, self._word(part))  # a day without a row says so
                writing.finish(lambda part: self._word(part, self._newest))
            for name, count in writing.done.items():
                outputs[name] = output_of(self._folder / name, count)
            self.written += len(writing.done)
            stale = {part for part, n in late.items() if _rows_of(self._folder / self._name(part)) not in (None, n)}

    def _is_unforeseen(self, part: Part) -> bool:
        """A day on which nothing arrived, of samples that came after it."""
        return part[1] not in self._entries and self._wanted(part[1]) and self._is_stale(part)

    @property
    def _shift(self) -> int:
        return self._veil.shift_ns(self._sensor.wearer) // DAY_NS

    def _wanted(self, day: int) -> bool:
        """Within the span asked for, and not before what is left of the journal."""
        return self._span[0] <= day * DAY_NS < self._span[1] and day >= (self._cut_day or 0)

    def _is_stale(self, part: Part) -> bool:
        found = source_word(self._folder / self._name(part))
        if found is not None and part[1] == self._cut_day:
            return False  # written when the journal still had all of it
        return found not in (self._word(part), self._word(part, self._newest))

    @property
    def _newest(self) -> int:
        return max(self._entries.values(), default=0)

    def _word(self, part: Part, open_at: int = 0) -> str:
        """``open_at``: the newest entry, of a day with a bout that was not over then."""
        seen = max((seq for day, seq in self._entries.items() if day <= part[1] + 1), default=0)
        return self._veil.word(f"{self._settings} {seen} {open_at}")

    def _name(self, part: Part) -> str:
        wearer, sensor = self._veil.name("wearer", self._sensor.wearer), self._veil.name("sensor", self._sensor.id)
        return f"{part[0]}/wearer={wearer}/day={day_text(part[1] + self._shift)}/{sensor}.parquet"


class _Writing:
    """Files being written. Rows come in the order of days (a change of posture may show on the next), so few are open at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[Part, tuple[FileSet, TableWriter, str]] = {}
        self._bouts: dict[Part, tuple[str, str, list[Any]]] = {}
        self.done: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def take(self, part: Part, name: str, rows: Any | None, word: str) -> None:
        """Rows of a day; None: none, the file is there all the same."""
        if part[0] == "bouts":
            held = self._bouts.setdefault(part, (name, word, []))[2]
            held += [] if rows is None else [rows]
            return
        for other in [p for p in self._open if p[0] == part[0] and p[1] < part[1] - 1]:
            self._close(other)
        if part not in self._open and name not in self.done:
            self._begin(part, name, word)
        if rows is None:
            return
        if part not in self._open:
            raise ExportError(f"{name}: its rows do not come in order of time; leave --by-day out")
        self._write(part, rows, word)

    def finish(self, open_word: Callable[[Part], str]) -> None:
        """Close all. The last bout is not over: its day bears ``open_word``."""
        last = max((part for part, held in self._bouts.items() if held[2]), default=None)
        for part, (name, word, rows) in sorted(self._bouts.items()):
            shown = open_word(part) if part == last else word
            self._begin(part, name, shown)
            for table in rows:
                self._write(part, table, shown)
        for part in list(self._open):
            self._close(part)

    def _begin(self, part: Part, name: str, word: str) -> None:
        path = self._folder / name
        files = FileSet(path.parent, alone=True)
        files.__enter__()
        schema = schema_of((*IDENTITY[1:], *TABLES[part[0]])).with_metadata(_metadata(word))
        self._open[part] = files, open_table(files.path(path.name), schema, "parquet"), name

    def _write(self, part: Part, rows: Any, word: str) -> None:
        self._open[part][1].write(rows.replace_schema_metadata(_metadata(word)))

    def _close(self, part: Part) -> None:
        files, writer, name = self._open.pop(part)
        writer.close()
        files.__exit__(None, None, None)
        self.done[name] = writer.rows

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for files, writer, _ in self._open.values():  # what an error has left
            writer.close()
            files.__exit__(kind, error, trace)


def _metadata(word: str) -> dict[bytes, bytes]:
    return {SOURCE_WORD: word.encode()}


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
