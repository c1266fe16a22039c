"""What an export is asked for: wearers, span, tables, form; and what its manifest says of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from sensor_gateway.export.deidentify import Veil
from sensor_gateway.export.manifest import BY_DAY, manifest_of
from sensor_gateway.sinks.records import FAR_NS, Records

Form = Literal["csv", "parquet"]
Progress = Callable[[float], None]
"""Gets the share done, 0 to 1."""
KIND_OF_TABLE: Final = {"metrics": "metric", "epochs": "epoch", "events": "event", "devices": "device"}
SOURCE_KIND: Final = {**KIND_OF_TABLE, "answers": "event"}
"""Tables out of records, and of which kind."""
RAW_TABLE: Final = "raw"
COMPUTED_TABLES: Final = ("samples", "steps", "transfers", "bouts")
JOURNAL_TABLES: Final = (RAW_TABLE, *COMPUTED_TABLES)
"""Tables that only the journal has: what was received, and what is computed from it again."""


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


def refuse_by_day(folder: Path) -> None:
    """Raises `ExportError` where the folder's manifest is that of an export that grows: it would be overwritten."""
    try:
        kind = manifest_of(folder).get("kind")
    except ValueError:  # whatever it is, it tells of no such export
        return
    if kind == BY_DAY:
        raise ExportError(f"{folder}: holds an export by day; go on with --by-day, or choose another --out")


def chosen_wearers(store: Records, selection: Selection) -> Sequence[str]:
    """The selection's wearers, sorted; raises `ExportError` where the store has not all of them."""
    known = store.wearers()
    if not known:
        raise ExportError(f"{store.path}: holds no records yet; let the gateway run first")
    unknown = [w for w in selection.wearers if w not in known]
    if unknown:
        raise ExportError(f"{store.path}: has no wearer {', '.join(unknown)}; it knows {', '.join(known)}")
    return sorted(set(selection.wearers)) or known


def told(selection: Selection, wearers: Collection[str], veil: Veil) -> dict[str, Any]:
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


def part_of(progress: Progress | None, begin: float, share: float) -> Progress | None:
    """Progress of a part of the work: the ``share`` of it that follows ``begin``."""
    return None if progress is None else lambda done: progress(begin + share * done)
