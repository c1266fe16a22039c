"""`tiltline portability`: everything held on one wearer as one ZIP; the gateway may run."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sensor_gateway.alignments.notes import NotesError
from sensor_gateway.config import ConfigError, load_settings
from sensor_gateway.privacy.consent import ConsentError
from sensor_gateway.privacy.portability import PortabilityError, hand_over
from sensor_gateway.replay.rederive import ReplayError
from sensor_gateway.sinks.store import StoreError
from sensor_gateway.wire.topics import is_id


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("wearer", metavar="WEARER", help="pseudonym, e.g. w-001")
    parser.add_argument("--out", metavar="ZIP", type=Path, required=True, help="the file to write (mode 0600)")
    parser.add_argument("--config", type=Path, required=True, help="the gateway's file")
    parser.add_argument("--json", action="store_true", help="print the contents for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where nothing is held or the file cannot be written."""
    try:
        settings = load_settings(args.config)
        if not is_id(args.wearer):
            raise PortabilityError(f"{args.wearer!r} is no wearer's id; use 1-32 small letters, digits and '-'")
        content = hand_over(args.config.parent / settings.site.data_dir, args.wearer, args.out)
    except (ConfigError, PortabilityError, ConsentError, NotesError, ReplayError, StoreError) as e:
        print(f"tiltline portability: {e}", file=sys.stderr)
        return 1
    except OSError as e:
        print(f"tiltline portability: {args.out}: cannot be written ({e}); choose another --out", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(content, ensure_ascii=False))
    else:
        print(f"{args.out}: " + ", ".join(f"{name} {n} rows" for name, n in content["rows"].items()))
    return 0
