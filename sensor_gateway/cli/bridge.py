"""`tiltline bridge`: records from the MQTT broker into InfluxDB, until it is told to stop."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading
from pathlib import Path

from sensor_gateway.bridge.bridge import Bridge
from sensor_gateway.bridge.queue import QueueError
from sensor_gateway.cli.stop_signals import stop_signals
from sensor_gateway.config import ConfigError, load_settings
from sensor_gateway.garbage import for_a_service


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="file with [site], [mqtt] and [influx]")
    parser.add_argument(
        "--shared",
        action="store_true",
        help="one of several bridges on this broker: each with a 'site.gateway' (its name) and 'site.data_dir' of its own",
    )
    parser.add_argument("--json", action="store_true", help="print the counters at the end for a machine")
    parser.add_argument("--verbose", action="store_true", help="say more on stderr")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where it cannot start."""
    logging.basicConfig(
        level=logging.INFO if args.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    try:
        settings = load_settings(args.config)
        bridge = Bridge(settings, args.config.parent, shared=args.shared)
    except (ConfigError, QueueError, OSError) as e:
        print(f"tiltline bridge: {e}", file=sys.stderr)
        return 1
    stop = threading.Event()
    for number in stop_signals():
        signal.signal(number, lambda *_: stop.set())
    for_a_service()
    counters = bridge.run(stop)
    if args.json:
        print(json.dumps(counters))
    return 0
