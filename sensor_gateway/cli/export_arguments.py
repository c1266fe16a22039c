"""What `tiltline export` is asked for: its arguments, which kinds there are, and which options go together."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from sensor_gateway.cli.times import utc_ns
from sensor_gateway.export.deidentify import Shift
from sensor_gateway.export.selection import JOURNAL_TABLES, SOURCE_KIND

_USUAL: Final = ("metrics", "epochs", "events")
_ALL: Final = ("raw", "samples", *SOURCE_KIND, "steps", "transfers", "bouts")
_EVERY: Final = ("all",)
_TEXT: Final = """\
Writes one file per kind, dictionary.md and dictionary.json (every column explained) and manifest.json (what, from which
versions, with SHA-256). Times are UTC; missing is null (an empty cell in CSV). It may run beside the gateway.
Where a therapist's offset was entered (`tiltline alignment offset`), a table "absolute" with absolute tilt stands beside metrics.

Kinds of the store: metrics (seconds), epochs (minutes), events, answers (what people entered, as columns), devices. Kinds of
the gateway's journal (--config): raw (what the sensor measured), samples (angles of each), steps, transfers (changes of posture),
bouts. The latter four are worked out again as the gateway did, from its beginning on: some nine seconds for each day at 100 Hz.
--kind all is all of them, or of a --store alone all that it has. Where retention has taken a journal's beginning, the days that
are missing are named, here and in the manifest.

--format bids writes a Motion-BIDS data set: tilt and events of the store, and with --config the physical channels as well;
sessions are UTC days.

--check tells whether a folder's files are still those of its manifest: of an export, or of `tiltline process`.

--by-day keeps an export up to date: metrics/wearer=w-001/day=2026-03-01/metrics.parquet and so on, a file a sensor for kinds of the
journal. Run it again (nightly, say) and only days that have changed are written; stopped half-way it goes on. pandas, polars, DuckDB
and Spark read the folder as one table.

To share data: --shift-days moves all times by whole days, random by another number for each wearer (one to ten years back);
--remap-ids renames wearers, sensors and people. With either, ids that are hashes of a time are renamed and typed notes left
out. Neither the shifts nor the old ids are kept anywhere, unless --key names a file for them: keep it apart from the data.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = _TEXT
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--store", metavar="DB", type=Path, help="the gateway's store (SQLite file)")
    source.add_argument("--config", metavar="FILE", type=Path, help="the gateway's file: its store and its journal")
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
        type=_named,
        help=f"comma-separated, of {', '.join(_ALL)}; or all (default: {','.join(_USUAL)})",
    )
    parser.add_argument("--format", choices=("csv", "parquet", "bids"), default="parquet", help="default: %(default)s")
    parser.add_argument(
        "--by-day",
        action="store_true",
        help="one Parquet file a table, wearer and UTC day; only changed days are written",
    )
    parser.add_argument(
        "--influx",
        action="store_true",
        help="read the InfluxDB of --config instead of the store; the same records (kinds of the journal come from the journal)",
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


def kinds(args: argparse.Namespace) -> tuple[str, ...]:
    """The tables asked for, in the order of the dictionary."""
    if args.kind == _EVERY:
        return _ALL if args.config is not None else tuple(SOURCE_KIND)
    return args.kind or _USUAL


def unfit(args: argparse.Namespace) -> str:
    """Why these options do not go together; empty where they do."""
    asked = args.shift_days is not None or args.remap_ids
    if args.format == "bids" and args.kind:
        return "--format bids writes tilt, events and, with --config, raw samples; leave --kind out"
    if args.config is None and set(kinds(args)) & set(JOURNAL_TABLES):
        return f"{', '.join(JOURNAL_TABLES)} come from the journal; name the gateway's file with --config"
    if args.by_day and args.format != "parquet":
        return "--by-day writes Parquet; leave --format out"
    if args.by_day and asked and args.key is None:
        return "--by-day with renamed ids or moved days needs --key, so that the next run does the same"
    if args.influx and (args.config is None or args.format == "bids"):
        return "--influx reads records with the address and token of --config; BIDS comes from the gateway's files"
    if args.key is not None and not asked:
        return "--key belongs to --shift-days or --remap-ids; add one of them or leave it out"
    if args.key is not None and args.key.resolve().is_relative_to(args.out.resolve()):
        return "--key would lie among the data it opens; name a file outside --out"
    return ""


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


def _named(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [n for n in names if n not in _ALL]
    if names != _EVERY and (unknown or not names):
        raise argparse.ArgumentTypeError(f"{text!r}: name some of {', '.join(_ALL)}, separated by commas, or all")
    return names
