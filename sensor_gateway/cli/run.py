"""`tiltline run`: the gateway of a configuration, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from pathlib import Path

from sensor_gateway.cli.progress import Progress
from sensor_gateway.cli.stop_signals import stop_signals
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import ConfigError, load_settings
from sensor_gateway.garbage import for_a_service
from sensor_gateway.gateway import Gateway, Hooks
from sensor_gateway.privacy.retention import Keeper
from sensor_gateway.privacy.watch import ConsentWatch
from sensor_gateway.spool.database import SpoolError
from sensor_gateway.study_file import retention_of, study_of


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="gateway file, as config/gateway.example.toml")
    parser.add_argument(
        "--until-done", action="store_true", help="end when all recordings have ended and everything is delivered"
    )
    parser.add_argument("--json", action="store_true", help="print the counters at the end for a machine")
    parser.add_argument("--verbose", action="store_true", help="say more on stderr")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where it cannot start or every sensor failed."""
    logging.basicConfig(
        level=logging.INFO if args.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    try:
        return asyncio.run(_run(args))
    except (ConfigError, SpoolError, OSError) as e:
        print(f"tiltline run: {e}", file=sys.stderr)
        return 1


async def _run(args: argparse.Namespace) -> int:
    base = args.config.parent
    settings = load_settings(args.config)
    study = study_of(settings, base)
    bars = {sensor.id: Progress(f"{sensor.id}: catching up") for sensor in settings.sensors}
    hooks = Hooks(lambda sensor, share: bars[sensor](share), lambda url: print(f"page: {url}", file=sys.stderr))
    gateway = Gateway(settings, study, base, SystemClock(), hooks)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in stop_signals():
        loop.add_signal_handler(number, stop.set)
    folder = base / settings.site.data_dir
    watch = ConsentWatch(folder, settings.sensors, gateway.runners, settings.privacy.require_consent)
    copies = base / settings.file.directory if settings.file.directory else None
    keeper = Keeper(folder, retention_of(settings, base), gateway.clock, gateway.journal.shrunk, copies)
    watch.start()
    keeper.start()
    for_a_service()
    try:
        status = await gateway.run(stop, args.until_done)
    finally:
        watch.close()
        keeper.close()
    if args.json:
        print(json.dumps(gateway.final))
    return status
