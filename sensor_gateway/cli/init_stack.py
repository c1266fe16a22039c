"""`tiltline init-stack`: everything private a site's stack needs, in one closed folder."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from sensor_gateway.stack.site import SitePlan, init_stack, names_of
from sensor_gateway.wire import topics


def configure(parser: argparse.ArgumentParser) -> None:
    plan = SitePlan()
    parser.add_argument("folder", type=Path, help="the private folder; docker-compose.yml expects ./stack")
    parser.add_argument("--site", default=plan.site, help="the site's pseudonym (default: %(default)s)")
    parser.add_argument("--gateway", default=plan.gateway, help="the gateway's name (default: %(default)s)")
    parser.add_argument("--wearer", action="append", help="a wearer's pseudonym; again for more (default: w-001)")
    parser.add_argument(
        "--name", action="append", help="a host name or address under which gateways reach the broker; again for more"
    )
    parser.add_argument("--rotate", action="store_true", help="new passwords, tokens, keys and server certificate")
    parser.add_argument("--json", action="store_true", help="print the names of the files for a machine")


def run(args: argparse.Namespace) -> int:
    """Prints names of files, never what is in them."""
    plan = SitePlan(args.site, args.gateway, tuple(args.wearer or SitePlan().wearers), SitePlan().names)
    for what, value in (("site", plan.site), ("gateway", plan.gateway), *(("wearer", w) for w in plan.wearers)):
        if not topics.is_id(value):
            print(
                f"tiltline init-stack: --{what} is {value!r}; use 1-32 small letters, digits and '-'", file=sys.stderr
            )
            return 1
    plan = SitePlan(plan.site, plan.gateway, plan.wearers, tuple(dict.fromkeys((*plan.names, *(args.name or ())))))
    try:
        out = init_stack(args.folder, plan, rotate=args.rotate)
    except (OSError, ValueError, TypeError) as e:
        print(f"tiltline init-stack: {e}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(asdict(out)))
        return 0
    print(f"made: {names_of(out.made)}")
    if out.kept:
        print(f"kept: {names_of(out.kept)}")
    print(
        "Keep certs/ca.key away from this machine once all is made. Next: docs/operations.md, 'The database and its tokens'."
    )
    if args.rotate:
        print(
            "Restart the stack, and give therapist and wearer their new tokens; database and Grafana keep their passwords."
        )
    return 0
