"""`tiltline export`: records of a store and what only the journal has, as CSV, Parquet or a Motion-BIDS data set.

Its arguments, and which of them go together: `export_arguments.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processing.alignment.static import AlignmentError
from sensor_gateway.alignments.notes import NotesError, read_notes
from sensor_gateway.cli.export_arguments import configure, kinds, unfit
from sensor_gateway.cli.progress import Progress
from sensor_gateway.config import ConfigError, Settings, load_settings
from sensor_gateway.export.deidentify import KeyFileError, Veil, veil
from sensor_gateway.export.export import export_store
from sensor_gateway.export.manifest import check_manifest, manifest_of
from sensor_gateway.export.registry import enter
from sensor_gateway.export.selection import JOURNAL_TABLES, RAW_TABLE, SOURCE_KIND, ExportError, Selection
from sensor_gateway.garbage import for_long_computing
from sensor_gateway.privacy.consent import ConsentError, objection
from sensor_gateway.secrets import INFLUX_VARIABLE, read_secret
from sensor_gateway.sinks.influx_admin import Database, RemoteError
from sensor_gateway.sinks.influx_reader import InfluxRecords
from sensor_gateway.sinks.makers import DERIVED
from sensor_gateway.sinks.records import FAR_NS, PAGE, Records
from sensor_gateway.sinks.store import Store, StoreError
from sensor_gateway.spool.block import BlockError
from sensor_gateway.status.status import STORE_FILE

__all__ = ["configure", "run"]

if TYPE_CHECKING:  # what computes is loaded where something is computed: it takes longer than most exports of records
    from sensor_gateway.export.journal import JournalTables
    from sensor_gateway.export.raw import RawSource


def _refusals() -> tuple[type[Exception], ...]:
    """What is told in one sentence."""
    from sensor_gateway.replay.rederive import ReplayError

    own = KeyFileError, ConfigError, StoreError, ExportError, NotesError
    return *own, ReplayError, BlockError, AlignmentError, ConsentError, RemoteError


def run(args: argparse.Namespace) -> int:
    """Export; 1 with a sentence where the store, the journal or the folder cannot be used, or --check finds a difference."""
    if args.check is not None:
        return _checked(args)
    if args.out is None:
        print("tiltline export: name the folder for the files with --out", file=sys.stderr)
        return 2
    if args.to_ns is not None and args.to_ns <= args.from_ns:
        print("tiltline export: --to must lie after --from", file=sys.stderr)
        return 2
    wrong = unfit(args)
    if wrong:
        print(f"tiltline export: {wrong}", file=sys.stderr)
        return 2
    span = (args.from_ns, FAR_NS if args.to_ns is None else args.to_ns)
    raw_alone = args.kind == (RAW_TABLE,) and not args.by_day
    if args.kind != (RAW_TABLE,):  # samples pass by and are gone: memory kept for the next would only add up
        for_long_computing()
    try:
        settings = load_settings(args.config) if args.config else None
        path = args.store if settings is None else args.config.parent / settings.site.data_dir / STORE_FILE
        if args.format == "bids":
            return _bids(args, settings, path, span)
        if settings is not None and raw_alone:
            return _raw(args, settings, span)
        with _records_of(args, settings, path) as records:
            return _tables(args, settings, records, _folder(path), span)
    except _refusals() as e:
        print(f"tiltline export: {e}", file=sys.stderr)
        return 1
    except OSError as e:
        where = args.key if args.key and e.filename == str(args.key) else args.out
        text = f"{where}: cannot be written ({e.strerror or e}); choose another place or free some space"
        print(f"tiltline export: {text}", file=sys.stderr)
        return 1


def _checked(args: argparse.Namespace) -> int:
    try:
        wrong = check_manifest(args.check)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        text = f"{args.check}: holds no manifest that can be read ({type(e).__name__}); name the folder of an export"
        print(f"tiltline export: {text}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps({"check": str(args.check), "missing_or_changed": wrong}))
    else:
        print(f"{args.check}: " + (f"missing or changed: {', '.join(wrong)}" if wrong else "as the manifest says"))
    return 1 if wrong else 0


@contextmanager
def _records_of(args: argparse.Namespace, settings: Settings | None, path: Path) -> Iterator[Records | None]:
    """The store or the database; None where no kind asked for needs it and there is none."""
    if settings is not None and args.influx:
        token = read_secret(settings.influx.token_file, INFLUX_VARIABLE, args.config.parent, "influx.token_file")
        yield InfluxRecords(Database(settings.influx, token), settings.site.id)
    elif not path.is_file() and not set(kinds(args)) & set(SOURCE_KIND):
        yield None
    else:
        with closing(Store.open(path, readonly=True)) as store:
            yield store


def _tables(
    args: argparse.Namespace, settings: Settings | None, records: Records | None, folder: Path, span: tuple[int, int]
) -> int:
    selection = Selection(tuple(args.wearer), *span, kinds(args), args.format)
    with ExitStack() as stack:
        journal = None
        if settings is not None and set(selection.tables) & set(JOURNAL_TABLES):
            from sensor_gateway.export.journal import JournalTables

            journal = JournalTables(stack.enter_context(closing(_source(args, settings))), records)
            if not args.by_day:  # its files may have what the journal has no more
                journal.refuse_gone(span)
        of_store = records.wearers() if records is not None and set(selection.tables) & set(SOURCE_KIND) else ()
        bound = set(journal.wearers) if journal is not None else set()
        everybody = {*of_store, *bound}
        _allowed(folder, args.out, selection.wearers or sorted(everybody))
        unbound = set(of_store) - bound if journal is not None and not selection.wearers else ()
        if unbound:
            text = f"no sensor of {', '.join(sorted(unbound))} is configured here; nothing of theirs comes from the journal"
            print(f"tiltline export: warning: {text}", file=sys.stderr)
        before = _files(args.out)
        with Progress("export") as progress:
            hidden = _veil(args, lambda: _ids(records, journal))
            if args.by_day:
                from sensor_gateway.export.partitioned import export_by_day

                manifest = export_by_day(records, selection, args.out, progress, hidden, journal)
            else:
                notes = read_notes(folder)
                manifest = export_store(records, selection, args.out, progress, notes, hidden, journal)
    return _told(args, manifest, before)


def _raw(args: argparse.Namespace, settings: Settings, span: tuple[int, int]) -> int:
    from sensor_gateway.export.journal import JournalTables
    from sensor_gateway.export.raw import export_raw

    source, before = _source(args, settings), _files(args.out)
    try:
        _allowed(args.config.parent / settings.site.data_dir, args.out, source.wearers)
        with Progress("export") as progress:
            hidden = _veil(args, lambda: _ids(None, JournalTables(source, None)))
            manifest = export_raw(source, args.out, span, args.format, progress, hidden)
    finally:
        source.close()
    return _told(args, manifest, before)


def _bids(args: argparse.Namespace, settings: Settings | None, path: Path, span: tuple[int, int]) -> int:
    from sensor_gateway.bids.write import write_bids

    store = Store.open(path, readonly=True)
    source = None if settings is None else _source(args, settings)
    try:
        wearers = source.wearers if source else sorted(set(args.wearer)) or store.wearers()
        _allowed(_folder(path), args.out, wearers)
        with Progress("export") as progress:
            streams = source.streams(progress) if source else ()
            rows = write_bids(args.out, wearers, streams, store, span, veil=_veil(args, lambda: _ids(store)))
    finally:
        store.close()
        if source is not None:
            source.close()
    if args.json:
        print(json.dumps({"out": str(args.out), "rows": rows, **manifest_of(args.out)}, ensure_ascii=False))
    else:
        print(f"{args.out}: " + ", ".join(f"{name} {count} rows" for name, count in rows.items()))
    return 0


def _allowed(folder: Path, out: Path, wearers: Sequence[str]) -> None:
    """Enter the export, for an erasure to find; raises `ExportError` where a wearer has withdrawn consent to it, or where a
    file stands in its place, which an erasure would take for ours.
    """
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out}: is a file; name a folder with --out")
    closed = [why for w in wearers if (why := objection(folder, w, "export"))]
    if closed:
        raise ExportError("; ".join(closed) + "; name the other wearers with --wearer")
    enter(folder, out, wearers)


def _source(args: argparse.Namespace, settings: Settings) -> RawSource:
    from sensor_gateway.export.raw import RawSource
    from sensor_gateway.study_file import study_of

    base = args.config.parent
    study = study_of(settings, base)
    return RawSource(settings, base, tuple(sorted(set(args.wearer))), study)


def _files(folder: Path) -> set[str]:
    """What the folder's manifest names until now."""
    try:
        return set(manifest_of(folder).get("outputs", ()))
    except ValueError:
        return set()


def _told(args: argparse.Namespace, manifest: Mapping[str, Any], before: set[str]) -> int:
    left = sorted(name for name in before - set(manifest["outputs"]) if (args.out / name).is_file())
    if left:
        text = f"{', '.join(left)} in {args.out} are of an earlier export, which this manifest does not name"
        print(f"tiltline export: warning: {text}; delete them, or choose another --out", file=sys.stderr)
    for gone in manifest.get("journal", ()):
        if gone["days_missing"] or gone["begins_utc_ns"] is not None:
            print(f"tiltline export: warning: {_missing(gone)}", file=sys.stderr)
    rows = {name: facts["rows"] for name, facts in manifest["outputs"].items() if facts["rows"] is not None}
    if not any(rows.values()):
        print("tiltline export: warning: no record lies in this span; the files hold a header only", file=sys.stderr)
    if args.json:
        print(json.dumps({"out": str(args.out), **manifest}, ensure_ascii=False))
    elif "files" in manifest:
        files = manifest["files"]
        print(
            f"{args.out}: {files['written']} files written, {files['as_before']} as before, {sum(rows.values())} rows"
        )
    else:
        print(f"{args.out}: " + ", ".join(f"{name} {count} rows" for name, count in rows.items()))
    return 0


def _missing(gone: Mapping[str, Any]) -> str:
    begins = gone["begins_utc_ns"]
    since = (
        "holds nothing"
        if begins is None
        else f"begins {datetime.fromtimestamp(begins // 10**9, UTC):%Y-%m-%d %H:%M} UTC"
    )
    days = ", ".join(gone["days_missing"]) or "days before"
    return (
        f"the journal of {gone['wearer']}'s {gone['sensor']} {since}; what comes from it is missing of {days}, whole or in part "
        "(retention); an earlier export may have it"
    )


def _veil(args: argparse.Namespace, ids: Callable[[], dict[str, str]]) -> Veil:
    if args.shift_days is None and not args.remap_ids:
        return Veil()
    return veil(args.shift_days, args.remap_ids, ids(), args.key)


def _ids(records: Records | None, journal: JournalTables | None = None) -> dict[str, str]:
    """Every wearer and sensor of the source, with its kind. Sensors tell of themselves, or have events at least."""
    found: dict[str, str] = {}
    for sensor in journal.sensors if journal is not None else ():
        found |= {sensor.wearer: "wearer", sensor.id: "sensor"}
    if records is not None:
        wearers = records.wearers()
        pages = (page for w in wearers for kind in ("device", "event") for page in records.columns(kind, w, page=PAGE))
        found |= {str(s): "sensor" for page in pages for s in set(page["sensor"])} | dict.fromkeys(wearers, "wearer")
    return found


def _folder(store: Path) -> Path:
    """The data folder a store belongs to; a derivation lies one below it."""
    return store.parent.parent if store.parent.name == DERIVED else store.parent
