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
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sensor_gateway.cli.progress import Progress
from sensor_gateway.cli.times import local_timezone
from sensor_gateway.clock import SystemClock
from sensor_gateway.cohort import cohort
from sensor_gateway.cohort.cohort import CohortOptions
from sensor_gateway.config import ConfigError, Settings, Site, Web, check_timezone, load_settings
from sensor_gateway.demo import CONFIG, Demo, DemoOptions, Findings, describe, free_port
from sensor_gateway.garbage import for_long_computing
from sensor_gateway.gateway import Hooks
from sensor_gateway.secrets import INFLUX_VARIABLE, read_secret
from sensor_gateway.sinks.influx import InfluxDownError, InfluxWriter
from sensor_gateway.spool.database import SpoolError
from sensor_gateway.web.app import create_app, serve


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seconds", type=float, default=0.0, help="live time before it ends by itself (default: 0, until Ctrl-C)"
    )
    parser.add_argument(
        "--hours", type=float, default=8.0, help="hours of the day that are lived first, at high speed (default: 8)"
    )
    parser.add_argument("--port", type=int, default=8080, help="port of the page (default: %(default)s)")
    parser.add_argument(
        "--dir", type=Path, default=Path("demo-data"), help="folder for all data (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="another seed is another wearer (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the summary for a machine")
    many = parser.add_argument_group(
        "a cohort instead of one day", "weeks of synthetic wearers for the therapist's views"
    )
    many.add_argument("--cohort", type=int, metavar="N", help="that many wearers, by a fast path (see cohort.json)")
    many.add_argument("--days", type=int, default=30, help="days per wearer (default: %(default)s)")
    many.add_argument("--until", type=datetime.fromisoformat, help="local end, e.g. 2026-11-20T18:00 (default: now)")
    many.add_argument("--timezone", help="zone of the wearers' days (default: this machine's)")
    many.add_argument("--config", type=Path, help="file whose [influx] is filled as well (its token as for the bridge)")
    many.add_argument("--seed-only", action="store_true", help="fill the store and end; do not serve the page")


def run(args: argparse.Namespace) -> int:
    """Exit status 0 with a summary; 1 with a sentence where it cannot start."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    if args.cohort is not None:
        return _cohort(args)
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
        config = args.dir / CONFIG
        print(f"The page again: {me} web --store {store}")
        print(f"Is it the same, computed anew? {me} replay --config {config} --out again.db --check")
        print(f"What the sensor measured: {me} export --config {config} --kind raw --out raw")
    return 0


def _cohort(args: argparse.Namespace) -> int:
    out = sys.stderr if args.json else sys.stdout
    influx: InfluxWriter | None = None
    try:
        name = args.timezone or local_timezone()
        check_timezone(name, "--timezone")
        zone = ZoneInfo(name)
        until = (args.until or datetime.now(zone)).replace(tzinfo=zone)
        options = CohortOptions(args.dir, until, args.cohort, args.days, args.seed, name)
        if args.config is not None:
            settings = load_settings(args.config)
            token = read_secret(settings.influx.token_file, INFLUX_VARIABLE, args.config.parent, "influx.token_file")
            influx = InfluxWriter(settings.influx, token)
        for_long_computing()
        with Progress(f"Living {args.days} days of {args.cohort} wearers") as bar:
            seeded = cohort.seed(options, influx, bar)
        print("\n".join(cohort.describe(seeded)), file=out)
        print(f"Store: {options.store_path}   About it: {options.folder / cohort.MANIFEST}", file=out)
        if influx is not None:
            print(f"InfluxDB: {seeded.written} points; refused: {len(seeded.refused)}", file=out, flush=True)
        if args.json:
            print(json.dumps({"records": seeded.records, "points": seeded.written, "wearers": seeded.wearers}))
        if not args.seed_only:
            asyncio.run(_serve_cohort(args, options, cohort.CohortDesk(options, seeded, SystemClock(), influx)))
    except (ConfigError, InfluxDownError, OSError) as e:
        print(f"tiltline demo: {e}", file=sys.stderr)
        return 1
    finally:
        if influx is not None:
            influx.close()
    return 0


async def _serve_cohort(args: argparse.Namespace, options: CohortOptions, desk: cohort.CohortDesk) -> None:
    settings = Settings(site=Site(cohort.SITE, "gw-demo", options.timezone, "."), web=Web(port=free_port(args.port)))
    app = create_app(options.store_path, None, settings, SystemClock(), desk.on_command, options.study)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def ready(url: str) -> None:
        print(f"Review of the flags: {url}review.html   Page of a wearer: {url}", file=sys.stderr, flush=True)

    page = asyncio.create_task(serve(app, settings.web.host, settings.web.port, ready))
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait([page, waiting], timeout=args.seconds or None, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if page.done():
        page.result()
    page.cancel()
    await asyncio.gather(page, return_exceptions=True)


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
