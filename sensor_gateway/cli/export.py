"""`tiltline export`: records of a store and raw samples of a journal, as CSV, Parquet or a Motion-BIDS data set.

Longer than other commands: the ways out share one set of options, and which of them go together is said here.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from processing.alignment.static import AlignmentError
from sensor_gateway.alignments.notes import NotesError, read_notes
from sensor_gateway.bids.write import write_bids
from sensor_gateway.cli.progress import Progress
from sensor_gateway.cli.times import utc_ns
from sensor_gateway.config import ConfigError, Settings, load_settings
from sensor_gateway.export.deidentify import KeyFileError, Shift, Veil, veil
from sensor_gateway.export.export import KIND_OF_TABLE, ExportError, Selection, export_store
from sensor_gateway.export.manifest import check_manifest, manifest_of
from sensor_gateway.export.partitioned import export_by_day
from sensor_gateway.export.raw import TABLE as RAW_TABLE
from sensor_gateway.export.raw import RawSource, export_raw
from sensor_gateway.export.registry import enter
from sensor_gateway.garbage import for_long_computing
from sensor_gateway.gateway import STORE_FILE
from sensor_gateway.privacy.consent import ConsentError, objection
from sensor_gateway.replay.rederive import ReplayError
from sensor_gateway.secrets import INFLUX_VARIABLE, read_secret
from sensor_gateway.sinks.influx_admin import Database, RemoteError
from sensor_gateway.sinks.influx_reader import InfluxRecords
from sensor_gateway.sinks.makers import DERIVED
from sensor_gateway.sinks.records import FAR_NS, PAGE, Records
from sensor_gateway.sinks.store import Store, StoreError
from sensor_gateway.spool.block import BlockError
from sensor_gateway.study_file import study_of

_REFUSALS: Final = (
    KeyFileError, ConfigError, StoreError, ExportError, NotesError, ReplayError, BlockError, AlignmentError, ConsentError, RemoteError
)  # fmt: skip
_USUAL: Final = ("metrics", "epochs", "events")
_TEXT: Final = """\
Writes one file per kind, dictionary.md and dictionary.json (every column explained) and manifest.json (what, from which
versions, with SHA-256). Times are UTC; missing is null (an empty cell in CSV). It may run beside the gateway.
Where a therapist's offset was entered (`tiltline alignment offset`), a table "absolute" with absolute tilt stands beside metrics.

Raw samples come from the gateway's journal (--config, --kind raw). --format bids writes a Motion-BIDS data set: tilt and events
of the store, and with --config the physical channels as well; sessions are UTC days.

--check tells whether a folder's files are still those of its manifest: of an export, or of `tiltline process`.

Examples: tiltline export --store tiltline-data/store.db --wearer w-001 --from 2026-03-01 --to 2026-03-08 --out week
          tiltline export --config gateway.toml --kind raw --out raw
          tiltline export --config gateway.toml --format bids --out dataset
          tiltline export --check week
          tiltline export --store tiltline-data/store.db --shift-days random --remap-ids --out to-share

--by-day keeps an export up to date: metrics/wearer=w-001/day=2026-03-01/metrics.parquet and so on. Run it again (nightly, say) and
only days that have changed are written; stopped half-way it goes on. pandas, polars, DuckDB and Spark read the folder as one table.

To share data: --shift-days moves all times by whole days, random by another number for each wearer (one to ten years back);
--remap-ids renames wearers, sensors and people. With either, ids that are hashes of a time are renamed and typed notes left
out. Neither the shifts nor the old ids are kept anywhere, unless --key names a file for them: keep it apart from the data.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = _TEXT
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--store", metavar="DB", type=Path, help="the gateway's store (SQLite file)")
    source.add_argument(
        "--config", metavar="FILE", type=Path, help="the gateway's file: its store, and its journal for raw"
    )
    source.add_argument(
        "--check", metavar="DIR", type=Path, help="write nothing: compare this folder with its manifest"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder for the files (made if absent)")
    parser.add_argument(
        "--wearer", metavar="W", action="append", default=[], help="pseudonym; repeatable (default: all)"
    )
    parser.add_argument("--from", dest="from_ns", metavar="ISO8601", type=utc_ns, default=0, help="first instant (UTC)")
    parser.add_argument("--to", dest="to_ns", metavar="ISO8601", type=utc_ns, help="first instant left out (UTC)")
    parser.add_argument(
        "--kind",
        metavar="LIST",
        type=_tables,
        help=f"comma-separated, of {', '.join(KIND_OF_TABLE)}; or raw alone (default: {','.join(_USUAL)})",
    )
    parser.add_argument("--format", choices=("csv", "parquet", "bids"), default="parquet", help="default: %(default)s")
    parser.add_argument(
        "--by-day",
        action="store_true",
        help="one Parquet file a table, wearer and UTC day; only changed days are written",
    )
    parser.add_argument(
        "--influx", action="store_true", help="read the InfluxDB of --config instead of the store; the same records"
    )
    parser.add_argument(
        "--shift-days", metavar="N|random", type=_shift, help="move all times by N days, or each wearer's at random"
    )
    parser.add_argument("--remap-ids", action="store_true", help="rename wearers, sensors and people")
    parser.add_argument(
        "--key",
        metavar="FILE",
        type=Path,
        help="keep what undoes it in this file (0600); one that exists is used again",
    )
    parser.add_argument("--json", action="store_true", help="print the manifest for a machine")


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
    if args.kind == (RAW_TABLE,) and args.config is None:
        print("tiltline export: raw samples are in the journal; name the gateway's file with --config", file=sys.stderr)
        return 2
    wrong = _unfit(args)
    if wrong:
        print(f"tiltline export: {wrong}", file=sys.stderr)
        return 2
    span = (args.from_ns, FAR_NS if args.to_ns is None else args.to_ns)
    if args.kind != (RAW_TABLE,):  # samples pass by and are gone: memory kept for the next would only add up
        for_long_computing()
    try:
        settings = load_settings(args.config) if args.config else None
        path = args.store if settings is None else args.config.parent / settings.site.data_dir / STORE_FILE
        if args.format == "bids":
            return _bids(args, settings, path, span)
        if settings is not None and args.kind == (RAW_TABLE,):
            return _raw(args, settings, span)
        if settings is not None and args.influx:
            token = read_secret(settings.influx.token_file, INFLUX_VARIABLE, args.config.parent, "influx.token_file")
            remote = InfluxRecords(Database(settings.influx, token), settings.site.id)
            return _records(args, remote, _folder(path), span)
        with closing(Store.open(path, readonly=True)) as store:
            return _records(args, store, _folder(path), span)
    except _REFUSALS as e:
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


def _records(args: argparse.Namespace, records: Records, folder: Path, span: tuple[int, int]) -> int:
    selection = Selection(tuple(args.wearer), *span, args.kind or _USUAL, args.format)
    _allowed(folder, args.out, selection.wearers or records.wearers())
    before = _files(args.out)
    with Progress("export") as progress:
        hidden = _veil(args, lambda: _ids(records))
        if args.by_day:
            manifest = export_by_day(records, selection, args.out, progress, hidden)
        else:
            manifest = export_store(records, selection, args.out, progress, read_notes(folder), hidden)
    return _told(args, manifest, before)


def _raw(args: argparse.Namespace, settings: Settings, span: tuple[int, int]) -> int:
    source, before = _source(args, settings), _files(args.out)
    try:
        _allowed(args.config.parent / settings.site.data_dir, args.out, source.wearers)
        with Progress("export") as progress:
            ids = {s.wearer: "wearer" for s in source.sensors} | {s.id: "sensor" for s in source.sensors}
            manifest = export_raw(source, args.out, span, args.format, progress, _veil(args, lambda: ids))
    finally:
        source.close()
    return _told(args, manifest, before)


def _bids(args: argparse.Namespace, settings: Settings | None, path: Path, span: tuple[int, int]) -> int:
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
        print(json.dumps({"out": str(args.out), "rows": rows}))
    else:
        print(f"{args.out}: " + ", ".join(f"{name} {count} rows" for name, count in rows.items()))
    return 0


def _allowed(folder: Path, out: Path, wearers: Sequence[str]) -> None:
    """Enter the export, for an erasure to find; raises `ExportError` where a wearer has withdrawn consent to it."""
    closed = [why for w in wearers if (why := objection(folder, w, "export"))]
    if closed:
        raise ExportError("; ".join(closed) + "; name the other wearers with --wearer")
    enter(folder, out, wearers)


def _source(args: argparse.Namespace, settings: Settings) -> RawSource:
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


def _unfit(args: argparse.Namespace) -> str:
    """Why these options do not go together; empty where they do."""
    asked = args.shift_days is not None or args.remap_ids
    if args.format == "bids" and args.kind:
        return "--format bids writes tilt, events and, with --config, raw samples; leave --kind out"
    if args.by_day and (args.format != "parquet" or args.kind == (RAW_TABLE,)):
        return "--by-day writes records as Parquet; leave --format and --kind raw out"
    if args.by_day and asked and args.key is None:
        return "--by-day with renamed ids or moved days needs --key, so that the next run does the same"
    if args.influx and (args.config is None or args.format == "bids" or args.kind == (RAW_TABLE,)):
        return "--influx reads records with the address and token of --config; raw samples and BIDS come from the gateway's files"
    if args.key is not None and not asked:
        return "--key belongs to --shift-days or --remap-ids; add one of them or leave it out"
    if args.key is not None and args.key.resolve().is_relative_to(args.out.resolve()):
        return "--key would lie among the data it opens; name a file outside --out"
    return ""


def _veil(args: argparse.Namespace, ids: Callable[[], dict[str, str]]) -> Veil:
    if args.shift_days is None and not args.remap_ids:
        return Veil()
    return veil(args.shift_days, args.remap_ids, ids(), args.key)


def _ids(store: Records) -> dict[str, str]:
    """Every wearer and sensor of the store, with its kind. Sensors tell of themselves, or have events at least."""
    wearers = store.wearers()
    pages = (page for w in wearers for kind in ("device", "event") for page in store.columns(kind, w, page=PAGE))
    sensors = {str(s): "sensor" for page in pages for s in set(page["sensor"])}
    return sensors | dict.fromkeys(wearers, "wearer")


def _shift(text: str) -> Shift:
    if text == "random":
        return "random"
    try:
        days = int(text)
    except ValueError:
        days = 0
    if not 0 < abs(days) <= 36_500:
        raise argparse.ArgumentTypeError(f"{text!r}: use a whole number of days but 0 (100 years at most), or random")
    return days


def _folder(store: Path) -> Path:
    """The data folder a store belongs to; a derivation lies one below it."""
    return store.parent.parent if store.parent.name == DERIVED else store.parent


def _tables(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if names == (RAW_TABLE,):
        return names
    unknown = [n for n in names if n not in KIND_OF_TABLE]
    if unknown or not names:
        raise argparse.ArgumentTypeError(
            f"{text!r}: name some of {', '.join(KIND_OF_TABLE)}, separated by commas, or raw alone. Answers are events; samples, "
            "steps, transfers and bouts come from raw by 'tiltline import' and 'tiltline process'"
        )
    return names
