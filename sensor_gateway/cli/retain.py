"""`tiltline retain`: what is older than its limit goes now, or is only counted."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sensor_gateway.clock import SystemClock
from sensor_gateway.config import ConfigError, load_settings
from sensor_gateway.privacy.retention import retain
from sensor_gateway.privacy.sqlite_files import ScrubError
from sensor_gateway.study_file import retention_of


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        required=True,
        help="the gateway's file; [retention] in it or in its study holds the limits",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would go, delete nothing")
    parser.add_argument("--json", action="store_true", help="print for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where a file cannot be used."""
    try:
        settings = load_settings(args.config)
        folder = args.config.parent / settings.site.data_dir
        copies = args.config.parent / settings.file.directory if settings.file.directory else None
        kept = retain(folder, retention_of(settings, args.config.parent), SystemClock().utc_ns(), args.dry_run, copies)
    except (ConfigError, ScrubError, OSError) as e:
        print(f"tiltline retain: {e}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps({"dry_run": args.dry_run, "gone": dict(kept.gone)}))
    else:
        verb = "would go" if args.dry_run else "gone"
        print(
            ", ".join(f"{n} {kind}" for kind, n in kept.gone.items()) + f" {verb}" if kept.gone else "no limit is set"
        )
    return 0
