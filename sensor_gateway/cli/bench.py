"""`tiltline bench`: what core, store, exports and journal cost on this machine, beside others on the same data in the same run."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, get_args

from processing.batch import Mode
from sensor_gateway.bench.machine import BenchError, machine
from sensor_gateway.bench.table import lines
from sensor_gateway.cli.progress import Progress
from sensor_gateway.export.manifest import versions
from sensor_gateway.garbage import for_long_computing
from sensor_gateway.recording.recording import RecordingError

ROWS: Final = {
    "core": "a simulated day through the numeric core, causal and looking back, beside plain VQF",
    "day": "the day from its journal into a store, into raw samples and into angles, beside plain VQF and pyarrow alone",
    "month": "30 days in a store: the page's view and an export to Parquet, beside SQLite and pyarrow alone",
    "journal": "size of the journal of real recordings; needs --reference (or TILTLINE_REFERENCE)",
    "peers": "the same recordings through mobgap's and scikit-digital-health's gait pipelines; `make bench-peers`",
    "growth": "1, 2, 4 and 8 days in a row through one core: CPU a day and memory must stay as they are; minutes",
}
USUAL: Final = ("core", "day", "month")
_REFERENCE: Final = "TILTLINE_REFERENCE"
_TEXT: Final = (
    "Rows:\n"
    + "\n".join(f"  {name:<8} {text}" for name, text in ROWS.items())
    + f"""

Without a row: {", ".join(USUAL)}, and journal where the recordings are named; about two minutes on a quiet machine. CPU seconds are those
of the whole process. Other work on the machine makes all slower; the ratios to what runs beside stay. --mode and --rate are
the core's alone, and with one of them only the core is measured.
"""
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = _TEXT
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--hours", type=_hours, help="length of the day (default: 24)")
    parser.add_argument("--rate", type=float, choices=(50.0, 100.0, 200.0), help="Hz (default: 100)")
    parser.add_argument("--mode", choices=get_args(Mode), help="default: online, then retro")
    parser.add_argument("--seed", type=int, default=1, help="which simulated day (default: %(default)s)")
    parser.add_argument(
        "--reference", type=Path, help="folder of folders of real recordings, for the rows journal and peers"
    )
    parser.add_argument("--json", action="store_true", help="print the figures for a machine")


def run(args: argparse.Namespace) -> int:
    """Measure and print; 1 with a sentence where a row cannot be measured here."""
    for_long_computing()
    unknown = set(args.rows) - set(ROWS)
    if unknown:
        print(f"tiltline bench: no row {min(unknown)!r}; there are {', '.join(ROWS)}", file=sys.stderr)
        return 2
    found: dict[str, Any] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="tiltline-bench-") as folder:
            for name in _chosen(args):
                with Progress(name) as progress:
                    found[name] = _measure(name, args, Path(folder), progress)
                if not args.json:
                    print("\n".join(lines(name, found[name])), flush=True)
    except (BenchError, RecordingError) as e:
        print(f"tiltline bench: {e}", file=sys.stderr)
        return 1
    here = machine()
    if args.json:
        print(json.dumps({**found, "machine": here, "versions": versions()}, ensure_ascii=False))
    else:
        print(f"{here['cpu']}, {here['cores']} cores, load {here['load_1min']}, {here['system']}")
    return 0


def _chosen(args: argparse.Namespace) -> list[str]:
    if args.rows:
        return list(dict.fromkeys(args.rows))
    if args.mode or args.rate:
        return ["core"]
    return [*USUAL, "journal"] if _reference(args) else list(USUAL)


def _reference(args: argparse.Namespace) -> Path | None:
    named = os.environ.get(_REFERENCE)
    return args.reference or (Path(named) if named else None)


def _measure(name: str, args: argparse.Namespace, folder: Path, progress: Callable[[float], None]) -> Any:
    # Loaded when it is asked for: each environment has the packages of some rows only.
    row = importlib.import_module(f"sensor_gateway.bench.{name}" if name != "growth" else "sensor_gateway.bench.core")
    hours, rate_hz = args.hours or 24.0, args.rate or 100.0
    if name == "core":
        modes: tuple[Mode, ...] = (args.mode,) if args.mode else ("online", "retro")
        return [row.bench(hours, rate_hz, mode, args.seed, progress) for mode in modes]
    if name == "growth":
        return row.growth(rate_hz=rate_hz, seed=args.seed, progress=progress)
    if name == "journal":
        reference = _reference(args)
        if reference is None:
            raise BenchError(
                f"the row journal needs real recordings; name their folder with --reference or {_REFERENCE}"
            )
        return row.bench(reference, progress)
    if name == "peers":
        return row.bench(args.hours or row.HOURS, args.seed, progress, _reference(args))
    return row.bench(folder, hours, args.seed, progress)


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not 0.0 < hours <= 168.0:
        raise argparse.ArgumentTypeError(f"{text!r} must be above 0 and at most 168")
    return hours
