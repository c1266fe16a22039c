"""`tiltline doctor`: what is wrong here, and how to mend it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from sensor_gateway.config import ConfigError, Settings, load_settings
from sensor_gateway.health.finding import Finding
from sensor_gateway.health.health import examine


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="gateway file to check (default: the embedded defaults)")
    parser.add_argument("--json", action="store_true", help="print the findings for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 if anything needs mending."""
    base = args.config.parent if args.config else Path()
    try:
        settings = load_settings(args.config) if args.config else Settings()
        findings = list(examine(settings, base))
    except ConfigError as e:
        findings = [Finding("configuration", "problem", str(e), "correct the file and run this again")]
    if args.json:
        json.dump([dataclasses.asdict(f) for f in findings], sys.stdout, indent=2)
        print()
    else:
        for f in findings:
            print(f"{f.state:8}{f.check:14}{f.seen}")
            if f.remedy:
                print(f"{'':22}-> {f.remedy}")
    return int(any(f.state == "problem" for f in findings))
