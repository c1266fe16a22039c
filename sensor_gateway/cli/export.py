"""`tiltline export`: the records of a store as CSV or Parquet, with manifest and data dictionary."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from sensor_gateway.alignment_correct import DERIVED
from sensor_gateway.alignment_notes import NotesError, read_notes
from sensor_gateway.cli.progress import Progress
from sensor_gateway.cli.times import utc_ns
from sensor_gateway.export.export import KIND_OF_TABLE, ExportError, Selection, export_store
from sensor_gateway.sinks.store import Store, StoreError

NAME: Final = "export"
HELP: Final = "write metrics, epochs and events of a store as CSV or Parquet"

_TEXT: Final = """\
Writes one file per kind, dictionary.md and dictionary.json (every column explained) and manifest.json (what, from which
versions, with SHA-256). Times are UTC; missing is null (an empty cell in CSV). It may run beside the gateway.
Where a therapist's offset was entered (`tiltline alignment offset`), a table "absolute" with absolute tilt stands beside metrics.

Example: tiltline export --store tiltline-data/store.db --wearer w-001 --from 2026-03-01 --to 2026-03-08 --out week
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = _TEXT
    parser.add_argument("--store", metavar="DB", type=Path, required=True, help="the gateway's store (SQLite file)")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the files (made if absent)")
    parser.add_argument(
        "--wearer", metavar="W", action="append", default=[], help="pseudonym; repeatable (default: all)"
    )
    parser.add_argument("--from", dest="from_ns", metavar="ISO8601", type=utc_ns, default=0, help="first instant (UTC)")
    parser.add_argument("--to", dest="to_ns", metavar="ISO8601", type=utc_ns, help="first instant left out (UTC)")
    parser.add_argument(
        "--kind",
        metavar="LIST",
        type=_tables,
        default=("metrics", "epochs", "events"),
        help=f"comma-separated, of {', '.join(KIND_OF_TABLE)} (default: metrics,epochs,events)",
    )
    parser.add_argument("--format", choices=("csv", "parquet"), default="parquet", help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print the manifest for a machine")


def run(args: argparse.Namespace) -> int:
    """Export; 1 with a sentence where the store or the folder cannot be used."""
    selection = Selection(tuple(args.wearer), args.from_ns, tables=args.kind, form=args.format)
    if args.to_ns is not None:
        selection = Selection(selection.wearers, args.from_ns, args.to_ns, args.kind, args.format)
        if args.to_ns <= args.from_ns:
            print("tiltline export: --to must lie after --from", file=sys.stderr)
            return 2
    try:
        store = Store.open(args.store, readonly=True)
    except StoreError as e:
        print(f"tiltline export: {e}", file=sys.stderr)
        return 1
    try:
        with Progress("export") as progress:
            manifest = export_store(store, selection, args.out, progress, read_notes(_folder(args.store)))
    except (ExportError, NotesError) as e:
        print(f"tiltline export: {e}", file=sys.stderr)
        return 1
    except OSError as e:
        text = f"{args.out}: cannot be written ({e.strerror or e}); choose another --out or free some space"
        print(f"tiltline export: {text}", file=sys.stderr)
        return 1
    finally:
        store.close()
    rows = {name: facts["rows"] for name, facts in manifest["outputs"].items() if facts["rows"] is not None}
    if not any(rows.values()):
        print("tiltline export: warning: no record lies in this span; the files hold a header only", file=sys.stderr)
    if args.json:
        print(json.dumps({"out": str(args.out), **manifest}, ensure_ascii=False))
    else:
        print(f"{args.out}: " + ", ".join(f"{name} {count} rows" for name, count in rows.items()))
    return 0


def _folder(store: Path) -> Path:
    """The data folder a store belongs to; a derivation lies one below it."""
    return store.parent.parent if store.parent.name == DERIVED else store.parent


def _tables(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [n for n in names if n not in KIND_OF_TABLE]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{text!r}: name some of {', '.join(KIND_OF_TABLE)}, separated by commas")
    return names
