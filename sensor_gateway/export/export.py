"""The store's records as CSV or Parquet, with manifest and data dictionary beside; memory stays bounded.

Same records and selection give the same bytes. Only pseudonyms leave: the store knows nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from processing.dictionary import KINDS
from sensor_gateway.export.csv_parquet import FileSet, open_table
from sensor_gateway.export.dictionary_doc import dictionary_json, dictionary_markdown
from sensor_gateway.export.manifest import write_manifest
from sensor_gateway.export.tables import IDENTITY, column_table, schema_of
from sensor_gateway.sinks.store import Store

Form = Literal["csv", "parquet"]
KIND_OF_TABLE: Final = {"metrics": "metric", "epochs": "epoch", "events": "event", "devices": "device"}
_FAR_NS: Final = 2**63 - 1
_PAGE: Final = 50_000


class ExportError(ValueError):
    """A selection that cannot be exported; the text says what the store has instead."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What to export: wearers (none named: all), UTC interval [from, to), tables, form."""

    wearers: tuple[str, ...] = ()
    from_ns: int = 0
    to_ns: int = _FAR_NS
    tables: tuple[str, ...] = ("metrics", "epochs", "events")
    form: Form = "parquet"


def export_store(
    store: Store, selection: Selection, folder: Path, progress: Callable[[float], None] | None = None
) -> dict[str, Any]:
    """Write the selection into ``folder`` and return the manifest; ``progress`` gets the share done.

    Raises `ExportError` for a wearer the store does not know; then nothing in ``folder`` has changed.
    """
    wearers = _wearers(store, selection)
    span = (selection.from_ns, selection.to_ns)
    total = sum(store.count(KIND_OF_TABLE[t], w, *span) for t in selection.tables for w in wearers)
    rows: dict[str, int] = {}
    done = 0
    with FileSet(folder) as files:
        for table in selection.tables:
            kind = KIND_OF_TABLE[table]
            fields = (*IDENTITY, *KINDS[kind])
            name = f"{table}.{selection.form}"
            writer = open_table(files.path(name), schema_of(fields), selection.form)
            for wearer in wearers:
                for page in store.columns(kind, wearer, *span, page=_PAGE):
                    count = len(page["sensor"])
                    writer.write(column_table({"wearer": [wearer] * count, **page}, fields))
                    done += count
                    if progress is not None:
                        progress(done / max(done, total))  # a running gateway adds rows meanwhile
            writer.close()
            rows[name] = writer.rows
        files.write_text("dictionary.json", dictionary_json(selection.tables, IDENTITY))
        files.write_text("dictionary.md", dictionary_markdown(selection.tables, IDENTITY))
        return write_manifest(files, {"kind": "export", "selection": _plain(selection, wearers)}, rows)


def _wearers(store: Store, selection: Selection) -> Sequence[str]:
    known = store.wearers()
    if not known:
        raise ExportError(f"{store.path}: holds no records yet; let the gateway run first")
    unknown = [w for w in selection.wearers if w not in known]
    if unknown:
        raise ExportError(f"{store.path}: has no wearer {', '.join(unknown)}; it knows {', '.join(known)}")
    return sorted(set(selection.wearers)) or known


def _plain(selection: Selection, wearers: Sequence[str]) -> dict[str, Any]:
    return {
        "wearers": list(wearers),
        "from_utc_ns": selection.from_ns or None,
        "to_utc_ns": None if selection.to_ns == _FAR_NS else selection.to_ns,
        "tables": list(selection.tables),
        "form": selection.form,
    }
