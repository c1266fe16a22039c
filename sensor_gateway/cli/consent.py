"""`tiltline consent`: enter, withdraw and show what a wearer has agreed to; a running gateway heeds it within seconds."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from sensor_gateway.clock import SystemClock
from sensor_gateway.config import ConfigError, load_settings
from sensor_gateway.privacy.consent import SCOPES, Consent, ConsentError, enter, entries, objection
from sensor_gateway.wire.topics import is_id


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("wearer", metavar="WEARER", help="pseudonym, e.g. w-001")
    parser.add_argument("action", choices=("grant", "withdraw", "show"), help="what to do")
    parser.add_argument("--scope", choices=SCOPES, default="recording", help="default: recording")
    parser.add_argument(
        "--text", default="", metavar="VERSION", help="version of the text that was agreed to, e.g. 2026-03"
    )
    parser.add_argument("--config", type=Path, required=True, help="the gateway's file")
    parser.add_argument("--json", action="store_true", help="print for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where it cannot be entered or read."""
    try:
        settings = load_settings(args.config)
        folder = args.config.parent / settings.site.data_dir
        if not is_id(args.wearer):
            raise ConsentError(f"{args.wearer!r} is no wearer's id; use 1-32 small letters, digits and '-'")
        if args.action != "show":
            state = "granted" if args.action == "grant" else "withdrawn"
            enter(folder, Consent(args.wearer, args.scope, state, SystemClock().utc_ns(), args.text))
        found = entries(folder, args.wearer)
        required = settings.privacy.require_consent
        closed = {s: objection(folder, args.wearer, s, required and s == "recording") for s in SCOPES}
    except (ConfigError, ConsentError, OSError) as e:
        print(f"tiltline consent: {e}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps({"entries": [asdict(one) for one in found], "closed": closed}))
        return 0
    for one in found:
        at = datetime.fromtimestamp(one.at_utc_ns / 1e9, UTC).isoformat(timespec="seconds")
        print(f"{at}  {one.scope:<9}  {one.state}" + (f"  ({one.version})" if one.version else ""))
    for scope, why in closed.items():
        print(f"{scope}: {why or 'open'}")
    return 0
