"""`tiltline bench`: measure the speed of the numeric core on this machine."""

from __future__ import annotations

import argparse
import json
from typing import Final

from sensor_gateway.bench import bench, growth
from sensor_gateway.cli.progress import Progress
from sensor_gateway.garbage import collect_rarely, keep_freed_memory

NAME: Final = "bench"
HELP: Final = "measure the speed of the numeric core"

_TEXT: Final = """\
Runs a simulated day through the same core as the live gateway and `tiltline process`, and says what it cost: CPU seconds
without making the signal, peak memory, and the ratio to the plain orientation filter on the same samples.

--growth runs 1, 2, 4 and 8 days instead (some minutes): CPU a day and memory must stay as they are.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = _TEXT
    parser.add_argument("--hours", type=_hours, default=24.0, help="length of the day (default: %(default)g)")
    parser.add_argument(
        "--rate", type=float, choices=(50.0, 100.0, 200.0), default=100.0, help="Hz (default: %(default)g)"
    )
    parser.add_argument("--mode", choices=("online", "settled", "retro"), default="online", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="which simulated day (default: %(default)s)")
    parser.add_argument("--growth", action="store_true", help="1, 2, 4 and 8 days, causal, instead of one of --hours")
    parser.add_argument("--json", action="store_true", help="print the figures for a machine")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    collect_rarely()
    keep_freed_memory()
    if args.growth:
        return _growth(args)
    with Progress("bench") as progress:
        result = bench(args.hours, args.rate, args.mode, args.seed, progress)
    if args.json:
        print(json.dumps(result, ensure_ascii=False))
        return 0
    machine = result["machine"]
    print(
        f"{result['hours']:g} h at {result['rate_hz']:g} Hz, {result['mode']}: {result['samples']} samples, "
        f"{result['records']} records\n"
        f"  core        {result['core_cpu_s']:8.2f} CPU s   {result['core_us_per_sample']:.3f} us a sample\n"
        f"  plain VQF   {result['plain_vqf_cpu_s']:8.2f} CPU s   the core takes {result['ratio_to_plain_vqf']:.1f} times as long\n"
        f"  peak memory {result['peak_above_start_mb']:8.1f} MB above the start, {result['peak_mb']:.1f} MB in all\n"
        f"  (making the signal took {result['signal_cpu_s']:.1f} CPU s more, left out above)\n"
        f"  {machine['cpu']}, {machine['cores']} cores, load {machine['load_1min']}, {machine['system']}"
    )
    return 0


def _growth(args: argparse.Namespace) -> int:
    with Progress("bench") as progress:
        result = growth(rate_hz=args.rate, seed=args.seed, progress=progress)
    if args.json:
        print(json.dumps(result, ensure_ascii=False))
        return 0
    print(
        f"growth at {result['rate_hz']:g} Hz, online; CPU seconds a day, beside plain VQF, peak of the process so far"
    )
    for row in result["growth"]:
        print(
            f"  {row['days']:4g} days {row['core_cpu_s_per_day']:8.2f} CPU s a day   "
            f"{row['ratio_to_plain_vqf']:.2f} times plain VQF   {row['peak_mb']:.1f} MB"
        )
    return 0


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not 0.0 < hours <= 168.0:
        raise argparse.ArgumentTypeError(f"{text!r} must be above 0 and at most 168")
    return hours
