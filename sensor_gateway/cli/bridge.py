"""`tiltline bridge`: records from the MQTT broker into InfluxDB, until it is told to stop."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading
from pathlib import Path

from sensor_gateway.bridge import DATABASE_FILE, Bridge
from sensor_gateway.bridge_queue import BridgeQueue, QueueError
from sensor_gateway.config import ConfigError, load_settings


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="file with [site], [mqtt] and [influx]")
    parser.add_argument("--dead-letters", action="store_true", help="list what was set aside and why, then end")
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
        if args.dead_letters:
            return _list(args.config.parent / settings.site.data_dir / DATABASE_FILE)
        bridge = Bridge(settings, args.config.parent)
    except (ConfigError, QueueError) as e:
        print(f"tiltline bridge: {e}", file=sys.stderr)
        return 1
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    counters = bridge.run(stop)
    if args.json:
        print(json.dumps(counters))
    return 0


def _list(path: Path) -> int:
    if not path.is_file():
        raise QueueError(f"{path}: no queue there yet; start 'tiltline bridge' or check 'site.data_dir'")
    queue = BridgeQueue(path)
    for reason, topic, body in queue.dead_letters():
        print(f"{reason}\t{topic}\t{body.decode(errors='replace')}")
    queue.close()
    return 0
