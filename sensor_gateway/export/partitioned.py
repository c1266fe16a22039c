"""An export that grows: one Parquet file a table, wearer and UTC day, and only days that have changed are written again.

Layout ``metrics/wearer=w-001/day=2026-03-01/metrics.parquet``, which pandas, polars, DuckDB and Spark read as one table. Each file
holds, in its own metadata, the word by which its source had described that day (`Store.days`), so no other state is needed: a
killed run goes on where it stopped, a repeated one writes nothing. Days that have left the source since stay, as an archive does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow.parquet as pq

from processing.dictionary import IDENTITY, TABLES
from sensor_gateway.export.csv_parquet import SOURCE_WORD, open_table, source_word
from sensor_gateway.export.deidentify import AS_IT_IS, Veil
from sensor_gateway.export.dictionary_doc import dictionary_json, dictionary_markdown
from sensor_gateway.export.export import RECORDS_SHARE, pages, veiled_pages
from sensor_gateway.export.journal import DAY_NS, JournalTables, day_text
from sensor_gateway.export.journal_days import JournalDays
from sensor_gateway.export.manifest import BY_DAY, MANIFEST, manifest_of, output_of, write_manifest
from sensor_gateway.export.selection import SOURCE_KIND, ExportError, Progress, Selection, chosen_wearers, part_of
from sensor_gateway.export.tables import column_table, schema_of, whole
from sensor_gateway.sinks.makers import derived_as
from sensor_gateway.sinks.records import FAR_NS, Records
from sensor_gateway.sinks.store import Store
from sensor_gateway.sinks.store_arrow import MANY
from sensor_gateway.whole_files import FileSet

_Page: TypeAlias = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class _Part:
    """One file: which day of which table and wearer, under which name, as its source describes it."""

    table: str
    wearer: str
    day: int
    name: str
    word: str


def export_by_day(
    records: Records | None,
    selection: Selection,
    folder: Path,
    progress: Progress | None = None,
    veil: Veil = AS_IT_IS,
    journal: JournalTables | None = None,
) -> dict[str, Any]:
    """Bring ``folder`` up to date with the selection and return the manifest, with what was written and what stood already.

    ``records`` and ``journal`` as for `export_store`. Raises `ExportError` for an unknown wearer, a span of parts of days, or a
    folder that holds another export.
    """
    if selection.from_ns % DAY_NS or (selection.to_ns != FAR_NS and selection.to_ns % DAY_NS):
        raise ExportError("an export by day takes whole UTC days; give --from and --to as dates")
    content = _content(records, selection, veil, journal)
    before = _manifest_of(folder, content)
    outputs: dict[str, dict[str, Any]] = dict(before.get("outputs", {}))
    from_store = [] if records is None else list(_parts(records, selection, veil))
    if not outputs:  # whatever happens from here on, the folder says what it is and that it is not whole
        _write(folder, selection, {**content, "complete": False}, {})
    counts = {"written": 0, "as_before": 0}
    share = 1.0 if journal is None else RECORDS_SHARE if from_store else 0.0
    if records is not None:
        _update(records, from_store, folder, outputs, counts, part_of(progress, 0.0, share), veil)
    if journal is not None:
        content["journal"] = []
        each = (1.0 - share) / len(journal.sensors)
        for i, sensor in enumerate(journal.sensors):
            days = JournalDays(journal, sensor, selection, folder, veil)
            days.update(outputs, part_of(progress, share + i * each, each))
            counts["written"] += days.written
            counts["as_before"] += days.as_before
            content["journal"].append(journal.told(sensor, days.gone(), veil))
    return _write(folder, selection, {**content, "complete": True, "files": counts}, outputs)


def _update(
    records: Records,
    parts: Sequence[_Part],
    folder: Path,
    outputs: dict[str, dict[str, Any]],
    counts: dict[str, int],
    progress: Progress | None,
    veil: Veil,
) -> None:
    """The files of the tables of records."""
    stale = [source_word(folder / part.name) != part.word for part in parts]
    done = 0
    for (anew, _, _), group in groupby(zip(stale, parts, strict=True), lambda p: (p[0], p[1].table, p[1].wearer)):
        run = [part for _, part in group]
        for part in _written(records, run, folder, veil) if anew else run:
            path = folder / part.name
            if anew or outputs.get(part.name, {}).get("bytes") != path.stat().st_size:
                outputs[part.name] = output_of(path, pq.read_metadata(path).num_rows)
            done += 1
            if progress is not None:
                progress(done / len(parts))
    counts["written"] += sum(stale)
    counts["as_before"] += len(parts) - sum(stale)


def _content(
    records: Records | None, selection: Selection, veil: Veil, journal: JournalTables | None
) -> dict[str, Any]:
    """What makes two exports the same one: where from, and which names and times its files bear."""
    source = records.path if records is not None else "" if journal is None else journal.path
    content: dict[str, Any] = {"kind": BY_DAY, "source": str(source), "tables": list(selection.tables)}
    if isinstance(records, Store):
        content |= derived_as(records.makers(), chosen_wearers(records, selection), hidden=not veil.is_none)
    return content if veil.is_none else {**content, "deidentified": veil.facts(), "key": veil.mark()}


def _manifest_of(folder: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = manifest_of(folder)
    except ValueError:
        raise ExportError(f"{folder / MANIFEST}: cannot be read; choose an empty folder with --out") from None
    for key in () if not found else ("kind", "source", "tables", "key"):
        if found.get(key) != content.get(key):
            raise ExportError(
                f"{folder}: holds another export ('{key}' is {found.get(key)!r}, not {content.get(key)!r}); choose another --out"
            )
    return found


def _parts(records: Records, selection: Selection, veil: Veil) -> Iterator[_Part]:
    for table in (t for t in selection.tables if t in SOURCE_KIND):
        for wearer in chosen_wearers(records, selection):
            shift = veil.shift_ns(wearer) // DAY_NS
            for day, word in records.days(SOURCE_KIND[table], wearer, selection.from_ns, selection.to_ns).items():
                name = f"{table}/wearer={veil.name('wearer', wearer)}/day={day_text(day + shift)}/{table}.parquet"
                yield _Part(table, wearer, day, name, word)


def _written(records: Records, run: Sequence[_Part], folder: Path, veil: Veil) -> Iterator[_Part]:
    """Write the files of some days in a row of one table and wearer; each one's part when its file is there."""
    table = run[0].table
    fields = (*IDENTITY[1:], *TABLES[table])  # the wearer is the folder
    for part, found in _by_day(records, run, veil):
        schema = schema_of(fields).with_metadata({SOURCE_WORD: part.word.encode()})
        path = folder / part.name
        with FileSet(path.parent, alone=True) as files:
            writer = open_table(files.path(path.name), schema, "parquet")
            for page in found:
                rows = column_table(page, fields)
                writer.write(rows.replace_schema_metadata(schema.metadata))
            writer.close()
        yield part


def _by_day(records: Records, run: Sequence[_Part], veil: Veil) -> Iterator[tuple[_Part, Iterator[_Page]]]:
    """Each part of the run with its day's veiled pages, which must be used up before the next. Very many rows are read together: what
    the store gained meanwhile of days between is for the next time.
    """
    table, wearer = run[0].table, run[0].wearer
    kind = SOURCE_KIND[table]
    span = run[0].day * DAY_NS, (run[-1].day + 1) * DAY_NS
    missing = {part.day: part for part in run}
    if table != "answers" and records.count(kind, wearer, *span) >= MANY:
        for day, cut in groupby(_cut(pages(records, kind, wearer, span)), itemgetter(0)):
            if day in missing:
                yield missing.pop(day), (veil.columns(wearer, page) for _, page in cut)
    for day, part in missing.items():
        yield part, veiled_pages(records, table, wearer, (day * DAY_NS, (day + 1) * DAY_NS), veil)


def _cut(found: Iterable[_Page]) -> Iterator[tuple[int, _Page]]:
    """Pages cut at midnight UTC, with their day."""
    for page in found:
        days = whole(page["t_utc_ns"]) // DAY_NS
        edges = np.flatnonzero(np.diff(days, prepend=-1, append=-1)).tolist()
        for a, b in pairwise(edges):
            yield int(days[a]), {name: cells[a:b] for name, cells in page.items()}


def _write(folder: Path, selection: Selection, content: dict[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    with FileSet(folder, alone=True) as files:
        files.write_text("dictionary.json", dictionary_json(selection.tables, IDENTITY))
        files.write_text("dictionary.md", dictionary_markdown(selection.tables, IDENTITY))
        return write_manifest(files, content, {}, dict(sorted(outputs.items())))
