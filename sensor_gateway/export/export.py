"""The store's records as CSV or Parquet, with manifest and data dictionary beside; memory stays bounded.

Same records and selection give the same bytes. Only pseudonyms leave: the store knows nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from processing.dictionary import ABSOLUTE, KINDS, Field
from sensor_gateway.alignments.absolute_tilt import absolute_columns, offsets_by_time
from sensor_gateway.alignments.history import read_history
from sensor_gateway.alignments.notes import Note, offsets_of, plain
from sensor_gateway.export.csv_parquet import FileSet, open_table
from sensor_gateway.export.deidentify import AS_IT_IS, Veil
from sensor_gateway.export.dictionary_doc import dictionary_json, dictionary_markdown
from sensor_gateway.export.manifest import BY_DAY, manifest_of, write_manifest
from sensor_gateway.export.tables import IDENTITY, coded, column_table, numbers, repeated, schema_of, whole
from sensor_gateway.sinks.records import FAR_NS, PAGE, Records
from sensor_gateway.sinks.store import Store
from sensor_gateway.sinks.store_arrow import MANY, arrow_columns

Form = Literal["csv", "parquet"]
KIND_OF_TABLE: Final = {"metrics": "metric", "epochs": "epoch", "events": "event", "devices": "device"}


class ExportError(ValueError):
    """A selection that cannot be exported; the text says what the store has instead."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What to export: wearers (none named: all), UTC interval [from, to), tables, form."""

    wearers: tuple[str, ...] = ()
    from_ns: int = 0
    to_ns: int = FAR_NS
    tables: tuple[str, ...] = ("metrics", "epochs", "events")
    form: Form = "parquet"


def export_store(
    store: Records,
    selection: Selection,
    folder: Path,
    progress: Callable[[float], None] | None = None,
    notes: Sequence[Note] = (),
    veil: Veil = AS_IT_IS,
) -> dict[str, Any]:
    """Write the selection into ``folder`` and return the manifest; ``progress`` gets the share done.

    Where ``notes`` hold a therapist's offset for a wearer, a table ``absolute`` stands beside ``metrics``. ``veil``
    moves days and renames ids of everything that is written (`deidentify.py`).

    Raises `ExportError` for a wearer the store does not know, or a folder that holds an export by day; then nothing in
    ``folder`` has changed.
    """
    refuse_by_day(folder)
    # In the order of the names that are written: that of the old ones would say something about them.
    wearers = sorted(chosen_wearers(store, selection), key=lambda w: veil.name("wearer", w))
    notes = list(notes)
    span = (selection.from_ns, selection.to_ns)
    counts = {(t, w): store.count(KIND_OF_TABLE[t], w, *span) for t in selection.tables for w in wearers}
    total = sum(counts.values())
    rows: dict[str, int] = {}
    done = 0
    with FileSet(folder, alone=True) as files:
        for table in selection.tables:
            kind = KIND_OF_TABLE[table]
            fields = (*IDENTITY, *KINDS[kind])
            name = f"{table}.{selection.form}"
            writer = open_table(files.path(name), schema_of(fields), selection.form)
            for wearer in wearers:
                for page in pages(store, kind, wearer, span, counts[table, wearer]):
                    writer.write(_table(wearer, page, fields, veil))
                    done += len(page["sensor"])
                    if progress is not None:
                        progress(done / max(done, total))  # a running gateway adds rows meanwhile
            writer.close()
            rows[name] = writer.rows
        content: dict[str, Any] = {"kind": "export", "selection": told(selection, wearers, veil)}
        if not veil.is_none:
            content["deidentified"] = veil.facts()
        tables = selection.tables
        measured = [w for w in wearers if offsets_of(notes, w)]
        if measured and "metrics" in tables:
            tables = (*tables, "absolute")
            name = f"absolute.{selection.form}"
            known = {w: counts["metrics", w] for w in measured}
            rows[name] = _write_absolute(store, selection, known, notes, files.path(name), veil)
            content["offsets"] = [
                {**(plain(n) if veil.is_none else veil.data(w, plain(n))), "sigma_deg": n.offset.sigma_deg}
                for w in measured
                for n in offsets_of(notes, w)
            ]
        files.write_text("dictionary.json", dictionary_json(tables, IDENTITY))
        files.write_text("dictionary.md", dictionary_markdown(tables, IDENTITY))
        return write_manifest(files, content, rows)


def refuse_by_day(folder: Path) -> None:
    """Raises `ExportError` where the folder's manifest is that of an export that grows: it would be overwritten."""
    try:
        kind = manifest_of(folder).get("kind")
    except ValueError:  # whatever it is, it tells of no such export
        return
    if kind == BY_DAY:
        raise ExportError(f"{folder}: holds an export by day; go on with --by-day, or choose another --out")


def pages(
    records: Records, kind: str, wearer: str, span: tuple[int, int], count: int
) -> Iterator[Mapping[str, Sequence[Any]]]:
    """Columns of a wearer's ``count`` records, by the faster way (as Arrow arrays) where a store has very many."""
    if count >= MANY and isinstance(records, Store):
        return arrow_columns(records.path, kind, wearer, *span)
    return records.columns(kind, wearer, *span, page=PAGE)


def _table(wearer: str, page: Mapping[str, Sequence[Any]], fields: Sequence[Field], veil: Veil) -> Any:
    """A page as a table with its wearer in front, under the veil's names and days."""
    whose = repeated(veil.name("wearer", wearer), len(page["sensor"]))
    return column_table({"wearer": whose, **veil.columns(wearer, page)}, fields)


def _write_absolute(
    store: Records, selection: Selection, counts: Mapping[str, int], notes: Sequence[Note], path: Path, veil: Veil
) -> int:
    """Seconds with their absolute tilt of wearers (with how many records) for whom a therapist entered an offset, in the order of
    metrics; the rows written.
    """
    fields = (*IDENTITY, *ABSOLUTE)
    writer = open_table(path, schema_of(fields), selection.form)
    for wearer in counts:
        offsets = offsets_by_time(notes, wearer)
        history = read_history(store, wearer, ())
        times = {s: history.neutral_times(s) for s in history.sensors}
        span = (selection.from_ns, selection.to_ns)
        for page in pages(store, "metric", wearer, span, counts[wearer]):
            t = whole(page["t_utc_ns"])
            neutral = np.zeros(len(t), bool)
            sensors, which = coded(page["sensor"])
            for i, sensor in enumerate(sensors):
                if sensor in times:
                    neutral |= (which == i) & times[sensor].holds(t)
            tilt, doubt = (numbers(page[name]) for name in ("anterior_tilt_deg", "tilt_uncertainty_deg"))
            columns = absolute_columns(t, tilt, doubt, offsets, neutral)
            writer.write(_table(wearer, {"sensor": page["sensor"], **columns}, fields, veil))
    writer.close()
    return writer.rows


def chosen_wearers(store: Records, selection: Selection) -> Sequence[str]:
    """The selection's wearers, sorted; raises `ExportError` where the store has not all of them."""
    known = store.wearers()
    if not known:
        raise ExportError(f"{store.path}: holds no records yet; let the gateway run first")
    unknown = [w for w in selection.wearers if w not in known]
    if unknown:
        raise ExportError(f"{store.path}: has no wearer {', '.join(unknown)}; it knows {', '.join(known)}")
    return sorted(set(selection.wearers)) or known


def told(selection: Selection, wearers: Sequence[str], veil: Veil) -> dict[str, Any]:
    """What a manifest says of a selection."""
    # The ends of the span beside the moved times would tell the shift.
    shown = veil.shift is None
    return {
        "wearers": sorted(veil.name("wearer", w) for w in wearers),
        "from_utc_ns": selection.from_ns or None if shown else None,
        "to_utc_ns": selection.to_ns if shown and selection.to_ns != FAR_NS else None,
        "tables": list(selection.tables),
        "form": selection.form,
    }
