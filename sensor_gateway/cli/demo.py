"""`tiltline demo`: see the whole thing work, with nothing set up."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from sensor_gateway.cli.progress import Progress
from sensor_gateway.cli.times import local_timezone
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import ConfigError
from sensor_gateway.demo import Demo, DemoOptions, Findings, describe
from sensor_gateway.gateway import Hooks
from sensor_gateway.spool.database import SpoolError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seconds", type=float, default=0.0, help="live time before it ends by itself (0: until Ctrl-C)"
    )
    parser.add_argument("--hours", type=float, default=8.0, help="hours of the day that are lived first, at high speed")
    parser.add_argument("--port", type=int, default=8080, help="port of the page (default: %(default)s)")
    parser.add_argument(
        "--dir", type=Path, default=Path("demo-data"), help="folder for all data (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="another seed is another wearer")
    parser.add_argument("--json", action="store_true", help="print the summary for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 0 with a summary; 1 with a sentence where it cannot start."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    options = DemoOptions(args.dir, args.seconds, args.hours, args.port, args.seed, local_timezone())
    out = sys.stderr if args.json else sys.stdout
    try:
        findings = asyncio.run(_run(options, lambda line: print(line, file=out, flush=True)))
    except (ConfigError, SpoolError, OSError) as e:
        print(f"tiltline demo: {e}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(_plain(findings)))
    else:
        print("\n".join(["", "Summary", *describe(findings), _balance(findings)]))
        me, store = _me(), args.dir / "store.db"
        print(f"Data: {store}   Export: {args.dir / 'export'}")
        if findings.flags:
            print(
                f"A flag in words and as a picture: {me} explain {findings.flags[-1].event_id} --store {store} --svg flag.svg"
            )
        print(f"The page again: {me} web --store {store}")
    return 0


def _me() -> str:
    """How this command was called, so that its hints can be pasted."""
    called = Path(sys.argv[0])
    return os.path.relpath(called) if called.name == "tiltline" and called.exists() else "tiltline"


async def _run(options: DemoOptions, say: Callable[[str], None]) -> Findings:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    say(
        f"A simulated wearer's last {options.hours:g} hours go through the real chain (no sensor, broker or account needed):"
    )
    say("  frames of the open profile -> journal -> pipeline -> outbox -> store -> page and export")
    with Progress("Living the day") as bar:
        demo = Demo(options, SystemClock(), say, Hooks(lambda _, share: bar(share), lambda url: say(f"Page: {url}")))
        return await demo.run(stop)


def _balance(found: Findings) -> str:
    return "Counters: " + ", ".join(f"{name} {value}" for name, value in sorted(found.counters.items()))


def _plain(found: Findings) -> dict[str, object]:
    return {
        "metrics": found.metrics,
        "minutes": found.minutes,
        "posture_s": found.posture_s,
        "flags": [{"event_id": e.event_id, "t_utc_ns": e.t_utc_ns, "rule": e.rule, **e.data} for e in found.flags],
        "prompts": sum(e.type == "prompt" for e in found.led_to.values()),
        "suppressed": sum(e.type == "suppressed" for e in found.led_to.values()),
        "exported": found.exported,
        "counters": found.counters,
    }
