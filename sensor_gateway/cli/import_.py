"""`tiltline import`: look into a foreign recording, guess its columns, units and axes, write a clean one."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from sensor_gateway.recording.files import RecordingError
from sensor_gateway.recording.guess import ACC_UNITS, GYR_UNITS, TIME_UNITS
from sensor_gateway.recording.importing import OURS, Imported, ImportOptions, import_recording, write_imported
from sensor_gateway.recording.pair import pairs

NAME: Final = "import"
HELP: Final = "look into a foreign recording, guess its units and axes, write a clean one"

_TEXT: Final = """\
Shows what each column of a CSV or Parquet file seems to be, in which unit and why, and which axis points up. With --out it
writes a clean recording for `tiltline process`: t_s or t_utc_ns, ax ay az [m/s²], gx gy gz [rad/s].

Known layouts: Movella DOT exports (the counter's wrap is continued), MetaMotion pairs, Xsens exports; any table with a header.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = _TEXT
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+", help="Parquet or CSV file")
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder for the clean recordings (made if absent)")
    parser.add_argument("--time", metavar="COLUMN", help="the time column")
    parser.add_argument("--time-unit", choices=tuple(TIME_UNITS), help="its unit")
    parser.add_argument("--rate", metavar="HZ", type=_positive, help="samples a second, where there is no time column")
    parser.add_argument("--acc", metavar="X,Y,Z", type=_three, help="acceleration columns; '-' in front turns the sign")
    parser.add_argument("--gyr", metavar="X,Y,Z", type=_three, help="angular rate columns; '-' in front turns the sign")
    parser.add_argument(
        "--map",
        metavar="OURS=COLUMN",
        type=_mapping,
        action="append",
        default=[],
        help="one column: t, ax, ay, az, gx, gy or gz; repeatable; '-' before COLUMN turns the sign",
    )
    acc = parser.add_mutually_exclusive_group()
    acc.add_argument("--acc-unit", choices=tuple(ACC_UNITS), help="unit of acceleration")
    acc.add_argument("--acc-scale", metavar="F", type=_positive, help="factor from the numbers to m/s²")
    gyr = parser.add_mutually_exclusive_group()
    gyr.add_argument("--gyr-unit", choices=tuple(GYR_UNITS), help="unit of angular rate")
    gyr.add_argument("--gyr-scale", metavar="F", type=_positive, help="factor from the numbers to rad/s")
    parser.add_argument("--sort", action="store_true", help="bring rows that are out of order into the order of time")
    parser.add_argument("--json", action="store_true", help="print the guesses for a machine")


def run(args: argparse.Namespace) -> int:
    """Show and convert all files; 1 if any could not be used."""
    options = ImportOptions(
        args.time,
        args.time_unit,
        args.rate,
        args.acc,
        args.gyr,
        args.acc_unit,
        args.gyr_unit,
        args.acc_scale,
        args.gyr_scale,
        args.sort,
        dict(args.map),
    )
    shown: list[dict[str, object]] = []
    failed: list[str] = []
    for path, gyr_path in _recordings(args.files, args):
        target = args.out / f"{path.stem}.parquet" if args.out else None
        try:
            if target is not None and any(_is_same(target, p) for p in (path, gyr_path)):
                raise RecordingError(f"{path}: --out would overwrite the file itself; choose another folder")
            imported = import_recording(path, options, gyr_path)
            if target is not None:
                write_imported(imported, target)
        except RecordingError as e:
            failed.append(str(e))
        except OSError as e:
            failed.append(f"{args.out}: cannot be written ({e.strerror or e}); choose another --out or free some space")
        else:
            for warning in imported.warnings:
                print(f"tiltline import: warning: {warning}", file=sys.stderr)
            guesses = [asdict(g) for g in imported.guesses]
            shown.append(
                {"file": str(path), "guesses": guesses, **imported.facts, "out": str(target) if target else None}
            )
            if not args.json:
                print(_table(path, imported, target))
    for text in failed:
        print(f"tiltline import: {text}", file=sys.stderr)
    if args.json:
        print(json.dumps({"files": shown, "errors": failed}, ensure_ascii=False))
    return 1 if failed else 0


def _table(path: Path, imported: Imported, target: Path | None) -> str:
    f = imported.facts
    rows = [("ours", "column", "unit", "how sure", "why")]
    rows += [(g.ours, g.theirs, g.unit, g.sure, g.why) for g in imported.guesses]
    widths = [max(len(r[i]) for r in rows) for i in range(4)]
    what = f"{f['layout']}: " if f["layout"] else ""
    joined = f", joined with {Path(f['joined_with']).name}" if f["joined_with"] else ""
    lines = [f"{path}: {what}{f['rows']} rows, {f['duration_s']:g} s, {f['rate_hz']:.6g} Hz{joined}"]
    lines += ["  " + "  ".join([*(r[i].ljust(widths[i]) for i in range(4)), r[4]]) for r in rows]
    lines.append(
        f"  at rest {f['up_axis']} points up ({f['up_share']:.0%} of gravity): if the wearer stood then, "
        f"use --mount up={f['up_axis']},anterior=AXIS with the axis that pointed forward"
    )
    lines.append(f"  written to {target}" if target else "  nothing written; add --out DIR when this is right")
    return "\n".join(lines)


def _recordings(files: list[Path], args: argparse.Namespace) -> list[tuple[Path, Path | None]]:
    """The recordings among the files; halves find each other unless columns are named by hand."""
    by_hand = args.map or args.acc or args.gyr
    return [(path, None) for path in files] if by_hand else pairs(files)


def _is_same(target: Path, path: Path | None) -> bool:
    return path is not None and target.exists() and path.exists() and target.samefile(path)


def _mapping(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if ours not in ("t", *OURS) or not equals or not theirs.strip("- "):
        raise argparse.ArgumentTypeError(f"{text!r}: write OURS=COLUMN with OURS one of t, {', '.join(OURS)}")
    return ours, theirs.strip()


def _three(text: str) -> tuple[str, str, str]:
    names = tuple(part.strip() for part in text.split(","))
    if len(names) != 3 or len({n.removeprefix("-") for n in names}) != 3:
        raise argparse.ArgumentTypeError(f"{text!r}: name three different columns for x, y and z, e.g. AccX,AccY,AccZ")
    return names[0], names[1], names[2]


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e12:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number above 0")
    return value
