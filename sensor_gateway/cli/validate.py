"""`tiltline validate`: the whole validation on a folder of recordings whose truth is known."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Final, get_args

from processing.batch import Mode
from sensor_gateway.cli.progress import Progress
from sensor_gateway.validation.datasets import DataError, find
from sensor_gateway.validation.report import HTML_NAME, JSON_NAME, write_report
from sensor_gateway.validation.run import MODES, as_json, headline, validate

NAME: Final = "validate"
HELP: Final = "compare with recordings whose truth is known; write a report with figures"

_TEXT: Final = """\
DATA holds one sub-folder per set (broad, neura_pelvis, hapt, ipol_l5_gait, mobgap_lowback, or others of the same form) with
Parquet recordings that carry their truth: orientation or tilt from cameras, posture labels, foot contacts. Each goes through
the same path as `tiltline process`; errors, confusion, agreement and steps are scored by set, mode, activity and person, other
methods beside them in the same run (mobgap and scikit-digital-health where installed). Writes validation.html and
validation.json into DIR. The exit status says whether the validation ran, not whether every level was reached.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = _TEXT
    parser.add_argument("data", metavar="DATA", type=Path, help="folder of sets")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the report (made if absent)")
    parser.add_argument("--sets", metavar="A,B", type=_words, help="only these sets (default: all)")
    parser.add_argument(
        "--modes", metavar="A,B", type=_modes, default=MODES, help="of online,settled,retro (default: all)"
    )
    parser.add_argument("--jobs", metavar="N", type=_jobs, default=1, help="processes that share the work (default: 1)")
    parser.add_argument("--no-peers", action="store_true", help="leave out the other methods")
    parser.add_argument("--json", action="store_true", help="print levels and what was reached for a machine")


def run(args: argparse.Namespace) -> int:
    """Validate and write the report; 1 with a sentence where there is nothing to validate or nowhere to write."""
    try:
        find(args.data, args.sets)
        args.out.mkdir(parents=True, exist_ok=True)  # before the work, not after it
        with Progress("validate") as progress:
            result = validate(args.data, args.sets, args.modes, args.jobs, progress, with_peers=not args.no_peers)
        write_report(result, args.out, _command(args))
    except DataError as e:
        return _fail(str(e))
    except BrokenProcessPool:
        return _fail("a worker process was stopped, perhaps for want of memory; try again with --jobs 1")
    except OSError as e:
        return _fail(f"{args.out}: cannot be written ({e.strerror or e}); choose another --out or free some space")
    for warning in result.warnings:
        print(f"tiltline validate: warning: {warning}", file=sys.stderr)
    if args.json:
        content = as_json(result)
        short = {k: content[k] for k in ("versions", "sets", "bars", "agreement", "warnings", "timing")}
        print(json.dumps(short | {"out": str(args.out)}, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(headline(result)))
        print(
            f"{sum(result.recordings.values())} recordings in {result.wall_s:.0f} s -> {args.out / HTML_NAME}, {JSON_NAME}"
        )
    return 0


def _command(args: argparse.Namespace) -> str:
    """The command as it can be typed again, without the folders of this machine."""
    words = ["tiltline", "validate", args.data.name or "DATA", "--out", args.out.name or "DIR"]
    if args.sets:
        words += ["--sets", ",".join(args.sets)]
    if tuple(args.modes) != MODES:
        words += ["--modes", ",".join(args.modes)]
    words += ["--jobs", str(args.jobs), *(["--no-peers"] if args.no_peers else [])]
    return shlex.join(words)


def _words(text: str) -> list[str]:
    words = [w for w in text.split(",") if w]
    if not words:
        raise argparse.ArgumentTypeError("names no set; write e.g. broad,hapt")
    return words


def _modes(text: str) -> list[Mode]:
    known = get_args(Mode)
    modes = list(dict.fromkeys(_words(text)))
    for mode in modes:
        if mode not in known:
            raise argparse.ArgumentTypeError(f"{mode!r} is no mode; there are {', '.join(known)}")
    return [m for m in MODES if m in modes]


def _jobs(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number from 1 to 64")
    return int(text)


def _fail(text: str) -> int:
    print(f"tiltline validate: {text}", file=sys.stderr)
    return 1
