"""`tiltline explain`: a flag in words and as a picture, worked through again from its own record."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from sensor_gateway.config import ConfigError, check_timezone
from sensor_gateway.explain.chain import chain, influxql
from sensor_gateway.explain.chain import in_words as in_lines
from sensor_gateway.explain.explain import ExplainError, ProcessedEvents, as_json, find, in_words
from sensor_gateway.explain.svg import draw
from sensor_gateway.sinks.store import Store, StoreError

NAME: Final = "explain"
HELP: Final = "say what a flag saw, why it was raised and what it led to; work it through again"

_TEXT: Final = """\
Takes a flag from a gateway's store or a processed recording and says in plain words what happened, why, and what it led to: prompt or reason for
none, answer, and what was measured afterwards. The flag is worked through again from its own record by a second reading
of the rule; exit status 1 where the two disagree. The id of a prompt, suppression, answer or response works too.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = _TEXT
    parser.add_argument("flag_id", metavar="FLAG_ID", help="id of the flag: page, dashboards and exports show it")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--store", metavar="DB", type=Path, help="the gateway's store (SQLite file)")
    source.add_argument("--folder", metavar="DIR", type=Path, help="a folder that 'tiltline process' wrote")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="also draw the window into this file")
    parser.add_argument("--timezone", metavar="ZONE", default="UTC", help="for the times shown (default: %(default)s)")
    parser.add_argument(
        "--chain", action="store_true", help="only flag, prompt, answer, exercise, response and verdict"
    )
    parser.add_argument("--influxql", action="store_true", help="print the query that finds the same chain in InfluxDB")
    parser.add_argument("--json", action="store_true", help="print the whole chain for a machine")


def run(args: argparse.Namespace) -> int:
    """Explain; 1 with a sentence where there is nothing to explain, or where the second reading disagrees."""
    try:
        check_timezone(args.timezone, "--timezone")
        if args.folder is not None:
            story = find(ProcessedEvents(args.folder), args.flag_id)
        else:
            store = Store.open(args.store, readonly=True)
            try:
                story = find(store, args.flag_id)
            finally:
                store.close()
        zone = ZoneInfo(args.timezone)
        if args.svg is not None:
            args.svg.write_text(draw(story.flag, zone), encoding="utf-8", newline="\n")
    except (ConfigError, StoreError, ExplainError) as e:
        print(f"tiltline explain: {e}", file=sys.stderr)
        return 1
    except OSError as e:
        print(f"tiltline explain: {args.svg}: cannot be written ({e.strerror or e}); choose another", file=sys.stderr)
        return 1
    if args.influxql:
        print(influxql(story.flag.event_id))
    elif args.chain:
        linked = chain((story.flag, *story.chain))
        print(json.dumps(linked, ensure_ascii=False) if args.json else "\n".join(in_lines(linked)))
    elif args.json:
        print(json.dumps(as_json(story, zone), ensure_ascii=False))
    else:
        print("\n".join(in_words(story, zone)))
    if not story.agrees:
        print("tiltline explain: the record disagrees with its own inputs; please report it", file=sys.stderr)
        return 1
    return 0
