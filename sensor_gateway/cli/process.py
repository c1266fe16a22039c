"""`tiltline process`: recordings to samples, metrics, epochs and events."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

from processing.alignment.offset import METHOD_DEG, PelvicOffset
from processing.alignment.static import AlignmentError
from sensor_gateway.cli.progress import Progress
from sensor_gateway.cli.times import utc_ns
from sensor_gateway.config import ConfigError
from sensor_gateway.garbage import for_long_computing
from sensor_gateway.process import Processed, ProcessOptions, process_file
from sensor_gateway.recording.alignment import AUTO, Neutral, check_mount, neutral_span_s
from sensor_gateway.recording.recording import RecordingError
from sensor_gateway.study_file import load_study

NAME: Final = "process"
HELP: Final = "turn recordings into samples, metrics, epochs and events"

_TEXT: Final = """\
Input: Parquet or CSV with the columns t_s [s] or t_utc_ns [ns], ax ay az [m/s²] (+g along the axis that points up at rest)
and gx gy gz [rad/s], in one right-handed set of sensor axes. Other names or units: see `tiltline import`.

Output in DIR (one folder per recording where several are given): samples.parquet, metrics.parquet (1 s), epochs.parquet
(1 min), steps.parquet, transfers.parquet, bouts.parquet, events.ndjson, manifest.json. Missing is null. The columns are
explained in docs/data_dictionary.md.

Nobody wrote down how the clip sat or when the person stood still: --mount auto --neutral auto. Both need some walking; what
cannot be found is left out with a warning, and manifest.json says what was found, where, and how sure that is.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = _TEXT
    parser.add_argument("recordings", metavar="RECORDING", type=Path, nargs="+", help="Parquet or CSV file")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="folder for the results (made if absent)"
    )
    parser.add_argument(
        "--start",
        metavar="ISO8601",
        type=utc_ns,
        help="UTC of t_s = 0; without an offset it is taken as UTC (default: 1970-01-01T00:00:00Z)",
    )
    parser.add_argument(
        "--neutral",
        metavar="T0:T1",
        type=neutral_of,
        help="seconds of quiet standing used as neutral, e.g. 2:8; auto finds quiet standing in the recording",
    )
    parser.add_argument(
        "--mount",
        metavar="AXES",
        help="signed sensor axes, e.g. up=+x,anterior=-z (default: gravity of the neutral is up, and -z is anterior); auto"
        " finds them by walking, whichever way the clip sat; bows@12:24 by bows from second 12 to 24 (the first second quiet), tilts@12:24"
        " by pelvic tilts",
    )
    parser.add_argument(
        "--offset",
        metavar="DEGREES",
        type=float,
        help="ASIS-PSIS angle in the neutral pose, + = ASIS lower: writes absolute.parquet as well; no rule uses it",
    )
    parser.add_argument("--offset-method", choices=tuple(METHOD_DEG), help="how it was measured; says how sure it is")
    parser.add_argument("--offset-rater", metavar="ID", help="who measured it: a pseudonym, e.g. th-03")
    parser.add_argument(
        "--mode",
        choices=("online", "settled", "retro"),
        default="online",
        help="online: causal (default); settled: waits 10 s for what follows; retro: the best estimate, looks ahead freely",
    )
    parser.add_argument("--study", metavar="FILE", type=Path, help="study file with rules and programme (TOML)")
    parser.add_argument("--wearer", metavar="ID", default="w-001", help="pseudonym (default: %(default)s)")
    parser.add_argument("--sensor", metavar="ID", default="clip-1", help="sensor id (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print a summary a machine can read")


def run(args: argparse.Namespace) -> int:
    """Process all recordings; 1 if any could not be used (the others are still processed)."""
    names = Counter(p.stem for p in args.recordings)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        _say(f"two recordings are called {twice[0]}; process them into different --out folders")
        return 2
    try:
        study = load_study(args.study)
        if args.mount is not None:
            check_mount(args.mount)
        offset = _offset(args)
    except (ConfigError, AlignmentError) as e:
        _say(str(e))
        return 2
    for_long_computing()
    options = ProcessOptions(args.start, args.neutral, args.mount, args.mode, study, args.wearer, args.sensor, offset)
    done: list[Processed] = []
    failed: list[str] = []
    for i, path in enumerate(args.recordings):
        folder = args.out / path.stem if len(args.recordings) > 1 else args.out
        label = f"{path.name} ({i + 1} of {len(args.recordings)})" if len(args.recordings) > 1 else path.name
        try:
            with Progress(label) as progress:
                processed = process_file(path, folder, options, progress)
        except RecordingError as e:
            failed.append(str(e))
            _say(str(e))
            continue
        except OSError as e:
            failed.append(f"{folder}: cannot be written ({e.strerror or e}); choose another --out or free some space")
            _say(failed[-1])
            continue
        for warning in processed.warnings:
            _say(f"warning: {warning}")
        done.append(processed)
        if not args.json:
            print(_line(processed))
    if args.json:
        summaries = [{**p.summary, "out": str(p.folder), "warnings": list(p.warnings)} for p in done]
        print(json.dumps({"recordings": summaries, "errors": failed}, ensure_ascii=False, allow_nan=False))
    elif len(args.recordings) > 1:
        print(f"{len(done)} of {len(args.recordings)} recordings processed into {args.out}")
    return 1 if failed else 0


def _offset(args: argparse.Namespace) -> PelvicOffset | None:
    """The therapist's offset; raises `AlignmentError` where only part of it is given or it cannot be right."""
    if args.offset is None:
        return None
    if args.offset_method is None or args.offset_rater is None:
        raise AlignmentError(
            "--offset also needs --offset-method and --offset-rater: an angle nobody stands for has no doubt"
        )
    try:
        return PelvicOffset(args.offset, args.offset_method, args.offset_rater, args.start or 0)
    except ValueError as e:
        raise AlignmentError(str(e)) from None


def neutral_of(text: str) -> Neutral:
    """Read "auto" or T0:T1, with errors as the command line wants them."""
    if text == AUTO:
        return "auto"
    try:
        return neutral_span_s(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from None


def _line(p: Processed) -> str:
    s: dict[str, Any] = p.summary
    tilt = "no valid tilt" if s["tilt_median_deg"] is None else f"median anterior tilt {s['tilt_median_deg']:+.1f} deg"
    postures = ", ".join(f"{name} {seconds} s" for name, seconds in s["seconds_per_posture"].items())
    flags = s["events"].get("flag", 0)
    return (
        f"{s['recording']}: {s['duration_s']:.1f} s at {s['rate_hz']:g} Hz, {s['valid_samples']} of {s['samples']} samples "
        f"valid, {tilt}; {postures or 'no full second'}; {flags} flag{'s' * (flags != 1)} -> {p.folder}"
    )


def _say(text: str) -> None:
    print(f"tiltline process: {text}", file=sys.stderr)
