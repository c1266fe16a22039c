"""`tiltline report`: a wearer's day or week as one file to read, print or bring along."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from processing.types import NS_PER_S, Event
from sensor_gateway.cli.times import local_timezone
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import ConfigError, check_timezone
from sensor_gateway.export.registry import enter
from sensor_gateway.report.figures import DayFigures, day_figures, week_figures
from sensor_gateway.report.page import day_page, week_page
from sensor_gateway.report.pdf import PdfError, print_pdf
from sensor_gateway.sinks.store import Store, StoreError

NAME: Final = "report"
HELP: Final = "a wearer's day or week as one self-contained HTML file, or PDF"
STORE: Final = Path("tiltline-data/store.db")

_TEXT: Final = """\
Writes one file with everything in it: it opens with the network off and holds no script. The wearer appears by pseudonym;
--name puts another word on top of this one file and is kept nowhere.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = _TEXT
    parser.add_argument("kind", choices=("day", "week"), help="one day, or Monday to Sunday")
    parser.add_argument("wearer", metavar="WEARER", help="pseudonym of the wearer")
    parser.add_argument("--day", metavar="DATE", type=_day, help="the day, or a day of the week (default: today)")
    parser.add_argument(
        "--store", metavar="DB", type=Path, default=STORE, help="the gateway's store (default: %(default)s)"
    )
    parser.add_argument("--timezone", metavar="ZONE", help="local time of the report (default: this machine's)")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="where to write (default: report-KIND-WEARER-DATE.html); *.pdf: a PDF"
    )
    parser.add_argument(
        "--name", metavar="TEXT", help="what to call the wearer on this one file instead of the pseudonym"
    )
    parser.add_argument("--pdf", action="store_true", help="print it as PDF with Chromium")
    parser.add_argument("--json", action="store_true", help="print the report's numbers instead of writing a file")


def run(args: argparse.Namespace) -> int:
    """Write the report; 1 with a sentence where that is not possible."""
    pdf = args.pdf or (args.out is not None and args.out.suffix.lower() == ".pdf")
    if args.pdf and args.out is not None and args.out.suffix.lower() in (".html", ".htm"):
        print(f"tiltline report: --pdf writes a PDF, and {args.out} would not open; name it *.pdf", file=sys.stderr)
        return 1
    try:
        zone_name = args.timezone or local_timezone()
        check_timezone(zone_name, "--timezone")
        zone, now_ns = ZoneInfo(zone_name), SystemClock().utc_ns()
        day = args.day or datetime.fromtimestamp(now_ns // NS_PER_S, zone).date()
        store = Store.open(args.store, readonly=True)
        try:
            known = store.wearers()
            if args.wearer not in known:
                there = ", ".join(known) or "none yet"
                print(f"tiltline report: {args.store} knows no wearer {args.wearer!r}; known: {there}", file=sys.stderr)
                return 1
            if args.kind == "day":
                figures = day_figures(store, args.wearer, day, zone)
                html, numbers = day_page(figures, zone, now_ns, args.name), as_json(figures)
            else:
                week = week_figures(store, args.wearer, day, zone)
                html = week_page(week, zone, now_ns, args.name)
                numbers = {"wearer": week.wearer, "days": [as_json(d) for d in week.days]}
        finally:
            store.close()
        if args.json:
            print(json.dumps(numbers, ensure_ascii=False))
            return 0
        out = args.out or Path(f"report-{args.kind}-{args.wearer}-{day}.{'pdf' if pdf else 'html'}")
        enter(args.store.parent, out, [args.wearer])
        if pdf:
            print_pdf(html, out)
        else:
            out.write_text(html, encoding="utf-8", newline="\n")
    except (ConfigError, StoreError, PdfError) as e:
        print(f"tiltline report: {e}", file=sys.stderr)
        return 1
    except OSError as e:
        print(
            f"tiltline report: {e.filename or args.out}: cannot be written ({e.strerror or e}); choose another --out",
            file=sys.stderr,
        )
        return 1
    print(f"{out}  (one file; opens without a network)")
    return 0


def as_json(day: DayFigures) -> dict[str, Any]:
    """The numbers of a day as the report shows them."""
    return {
        "wearer": day.wearer,
        "day": day.day.isoformat(),
        "worn_s": day.worn_s,
        "posture_s": dict(day.posture_s),
        "minutes": len(day.epochs),
        "gaps": [{"from_utc_ns": a, "to_utc_ns": b} for a, b in day.gaps],
        "upright_median_deg": day.upright_median_deg,
        "tilt": [dataclasses.asdict(t) for t in day.tilt],
        "own_range": None if day.own is None else dataclasses.asdict(day.own),
        "tilt_uncertainty_deg": day.uncertainty_deg,
        "quality": day.quality,
        "flags": [f.flag.event_id for f in day.flags],
        "prompts": day.prompts,
        "exercises": [_entry(e) for e in day.exercises],
        "pain": [_entry(e) for e in day.pain],
        "notes": [_entry(e) for e in day.notes],
        "responses": [_entry(f.response) for f in day.flags if f.response is not None],
    }


def _entry(event: Event) -> Mapping[str, Any]:
    kept = ("score", "note", "exercise", "side", "answer", "group", "delta_deg", "se_deg", "outcome")
    found = {k: event.data[k] for k in kept if k in event.data}
    return {"event_id": event.event_id, "t_utc_ns": event.t_utc_ns, **found}


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; write e.g. 2026-03-01") from None
