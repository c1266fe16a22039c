"""The store's records, and what only the journal has, as CSV or Parquet, with manifest and data dictionary beside; memory stays bounded.

Same records and selection give the same bytes. Only pseudonyms leave: store and journal know nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from processing.dictionary import ABSOLUTE, IDENTITY, TABLES, Field
from sensor_gateway.alignments.absolute_tilt import absolute_columns, offsets_by_time
from sensor_gateway.alignments.history import read_history
from sensor_gateway.alignments.notes import Note, offsets_of, plain
from sensor_gateway.export.answers import answers
from sensor_gateway.export.beside import Beside
from sensor_gateway.export.csv_parquet import open_table
from sensor_gateway.export.deidentify import AS_IT_IS, Veil
from sensor_gateway.export.dictionary_doc import dictionary_json, dictionary_markdown
from sensor_gateway.export.manifest import write_manifest
from sensor_gateway.export.selection import (
    COMPUTED_TABLES,
    JOURNAL_TABLES,
    SOURCE_KIND,
    Progress,
    Selection,
    chosen_wearers,
    part_of,
    refuse_by_day,
    told,
)
from sensor_gateway.export.tables import coded, column_table, numbers, repeated, schema_of, whole
from sensor_gateway.garbage import give_back
from sensor_gateway.sinks.makers import derived_as
from sensor_gateway.sinks.records import PAGE, Records
from sensor_gateway.sinks.store import Store
from sensor_gateway.sinks.store_arrow import MANY, arrow_columns
from sensor_gateway.whole_files import FileSet

if TYPE_CHECKING:  # computing takes longer to load than most exports of records
    from sensor_gateway.export.journal import JournalTables

_AHEAD: Final = 2
"""Pieces of ten minutes that may wait for being written."""
RECORDS_SHARE: Final = 0.1
"""Of the time, where the journal is read as well: each of its seconds is a hundred samples."""


def export_store(
    store: Records | None,
    selection: Selection,
    folder: Path,
    progress: Progress | None = None,
    notes: Sequence[Note] = (),
    veil: Veil = AS_IT_IS,
    journal: JournalTables | None = None,
) -> dict[str, Any]:
    """Write the selection into ``folder`` and return the manifest; ``progress`` gets the share done.

    Tables of records come from ``store``, the others from ``journal``; one that gives none may be left out. Where ``notes`` hold a
    therapist's offset for a wearer, a table ``absolute`` stands beside ``metrics``. ``veil`` moves days and renames ids of
    everything that is written (`deidentify.py`).

    Raises `ExportError` for a wearer the store does not know, or a folder that holds an export by day; then nothing in
    ``folder`` has changed.
    """
    refuse_by_day(folder)
    from_store = tuple(t for t in selection.tables if t in SOURCE_KIND)
    # In the order of the names that are written: that of the old ones would say something about them.
    chosen = chosen_wearers(store, selection) if store is not None and from_store else ()
    wearers = sorted(chosen, key=lambda w: veil.name("wearer", w))
    everybody = {*wearers, *(journal.wearers if journal is not None else ())}
    measured = [w for w in wearers if offsets_of(list(notes), w)] if "metrics" in from_store else []
    tables = (*selection.tables, "absolute") if measured else selection.tables
    with FileSet(folder, alone=True) as files:
        rows: dict[str, int] = {}
        content: dict[str, Any] = {"kind": "export", "selection": told(selection, everybody, veil)}
        if not veil.is_none:
            content["deidentified"] = veil.facts()
        if isinstance(store, Store):
            content |= derived_as(store.makers(), wearers, hidden=not veil.is_none)
        if store is not None:
            share = RECORDS_SHARE if journal is not None else 1.0
            rows |= _write_records(files, store, selection, wearers, part_of(progress, 0.0, share), veil)
            if measured:
                name = f"absolute.{selection.form}"
                rows[name] = _write_absolute(store, selection, measured, notes, files.path(name), veil)
                content["offsets"] = [
                    {**(plain(n) if veil.is_none else veil.data(w, plain(n))), "sigma_deg": n.offset.sigma_deg}
                    for w in measured
                    for n in offsets_of(list(notes), w)
                ]
        if journal is not None:
            share = RECORDS_SHARE if from_store else 0.0
            rows |= _write_journal(files, journal, selection, part_of(progress, share, 1.0 - share), veil)
            span = (selection.from_ns, selection.to_ns)
            content["journal"] = [journal.told(s, journal.gone(s, span), veil) for s in journal.sensors]
        files.write_text("dictionary.json", dictionary_json(tables, IDENTITY))
        files.write_text("dictionary.md", dictionary_markdown(tables, IDENTITY))
        return write_manifest(files, content, rows)


def _write_records(
    files: FileSet,
    store: Records,
    selection: Selection,
    wearers: Sequence[str],
    progress: Progress | None,
    veil: Veil,
) -> dict[str, int]:
    """The selection's tables of records; the rows of each file."""
    span = (selection.from_ns, selection.to_ns)
    tables = [t for t in selection.tables if t in SOURCE_KIND]
    rows: dict[str, int] = {}
    done = total = 0
    for table in tables:
        fields = (*IDENTITY, *TABLES[table])
        name = f"{table}.{selection.form}"
        writer = open_table(files.path(name), schema_of(fields), selection.form)
        for wearer in wearers:
            for page in veiled_pages(store, table, wearer, span, veil):
                writer.write(_table(wearer, page, fields, veil))
                done += len(page["sensor"])
                if progress is not None:
                    # Counted while processes that read very many rows are already at work.
                    total = total or sum(store.count(SOURCE_KIND[t], w, *span) for t in tables for w in wearers)
                    progress(done / max(done, total))  # a running gateway adds rows meanwhile
        writer.close()
        rows[name] = writer.rows
    return rows


def _write_journal(
    files: FileSet, journal: JournalTables, selection: Selection, progress: Progress | None, veil: Veil
) -> dict[str, int]:
    """The selection's tables of the journal, sensor after sensor; the rows of each file."""
    from sensor_gateway.export.journal import placed

    span = (selection.from_ns, selection.to_ns)
    tables = [t for t in selection.tables if t in JOURNAL_TABLES]
    sensors = sorted(journal.sensors, key=lambda s: (veil.name("wearer", s.wearer), veil.name("sensor", s.id)))
    done: dict[str, int] = {}
    groups = [
        g for g in ([t for t in tables if t not in COMPUTED_TABLES], [t for t in tables if t in COMPUTED_TABLES]) if g
    ]
    for i, group in enumerate(groups):
        writers = {
            t: open_table(files.path(f"{t}.{selection.form}"), schema_of((*IDENTITY, *TABLES[t])), selection.form)
            for t in group
        }
        each = 1 / len(groups) / len(sensors)
        with Beside(_AHEAD) as beside:
            for n, sensor in enumerate(sensors):
                tell = part_of(progress, i / len(groups) + n * each, each)
                for table, piece in journal.pieces(sensor, group, span, tell):
                    rows = placed(table, piece, sensor, span, veil)
                    if rows is not None:
                        beside.do(writers[table].write, rows)
        for table, writer in writers.items():
            writer.close()
            done[f"{table}.{selection.form}"] = writer.rows
        pa.default_memory_pool().release_unused()
        give_back()
    return done


def veiled_pages(
    records: Records, table: str, wearer: str, span: tuple[int, int], veil: Veil
) -> Iterator[Mapping[str, Any]]:
    """Columns of a wearer's rows of ``table`` under the veil's names and days."""
    if table == "answers":
        yield from answers(records, wearer, span, veil)
    else:
        yield from (veil.columns(wearer, page) for page in pages(records, SOURCE_KIND[table], wearer, span))


def pages(records: Records, kind: str, wearer: str, span: tuple[int, int]) -> Iterator[Mapping[str, Sequence[Any]]]:
    """Columns of a wearer's records, by the faster way (as Arrow arrays) where a store has very many."""
    if isinstance(records, Store) and records.count(kind, wearer, *span, most=MANY) == MANY:
        return arrow_columns(records.path, kind, wearer, *span)
    return records.columns(kind, wearer, *span, page=PAGE)


def _table(wearer: str, page: Mapping[str, Sequence[Any]], fields: Sequence[Field], veil: Veil) -> Any:
    """A veiled page as a table with its wearer in front."""
    whose = repeated(veil.name("wearer", wearer), len(page["sensor"]))
    return column_table({"wearer": whose, **page}, fields)


def _write_absolute(
    store: Records, selection: Selection, wearers: Sequence[str], notes: Sequence[Note], path: Path, veil: Veil
) -> int:
    """Seconds with their absolute tilt of wearers for whom a therapist entered an offset, in the order of metrics; the rows written."""
    fields = (*IDENTITY, *ABSOLUTE)
    writer = open_table(path, schema_of(fields), selection.form)
    for wearer in wearers:
        offsets = offsets_by_time(notes, wearer)
        history = read_history(store, wearer, ())
        times = {s: history.neutral_times(s) for s in history.sensors}
        span = (selection.from_ns, selection.to_ns)
        for page in pages(store, "metric", wearer, span):
            t = whole(page["t_utc_ns"])
            neutral = np.zeros(len(t), bool)
            sensors, which = coded(page["sensor"])
            for i, sensor in enumerate(sensors):
                if sensor in times:
                    neutral |= (which == i) & times[sensor].holds(t)
            tilt, doubt = (numbers(page[name]) for name in ("anterior_tilt_deg", "tilt_uncertainty_deg"))
            columns = absolute_columns(t, tilt, doubt, offsets, neutral)
            shown = veil.columns(wearer, {"sensor": page["sensor"], **columns})
            writer.write(_table(wearer, shown, fields, veil))
    writer.close()
    return writer.rows
