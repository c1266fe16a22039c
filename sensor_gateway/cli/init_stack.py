"""`tiltline init-stack`: everything private a site's stack needs, in one closed folder."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from sensor_gateway.stack.further import add_gateway
from sensor_gateway.stack.site import SitePlan, init_stack
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
    parser.add_argument(
        "--add",
        action="store_true",
        help="add --gateway to the stack that is there, and --site with it where that is new",
    )
    parser.add_argument(
        "--influx-users",
        action="store_true",
        help="for InfluxDB 1: users of one database each, instead of InfluxDB 2's tokens",
    )
    parser.add_argument("--json", action="store_true", help="print the names of the files for a machine")


def run(args: argparse.Namespace) -> int:
    """Prints names of files, never what is in them."""
    default = SitePlan()
    names = tuple(dict.fromkeys((*default.names, *(args.name or ()))))
    plan = SitePlan(args.site, args.gateway, tuple(args.wearer or default.wearers), names, args.influx_users)
    for what, value in (("site", plan.site), ("gateway", plan.gateway), *(("wearer", w) for w in plan.wearers)):
        if not topics.is_id(value):
            print(
                f"tiltline init-stack: --{what} is {value!r}; use 1-32 small letters, digits and '-'", file=sys.stderr
            )
            return 1
    if args.add and args.rotate:
        print("tiltline init-stack: --add and --rotate are two things; run it once for each", file=sys.stderr)
        return 1
    try:
        out = add_gateway(args.folder, plan) if args.add else init_stack(args.folder, plan, rotate=args.rotate)
    except OSError as e:
        print(
            f"tiltline init-stack: {e.filename}: cannot be used ({e.strerror}); name a folder of this user's",
            file=sys.stderr,
        )
        return 1
    except (ValueError, TypeError) as e:
        print(f"tiltline init-stack: {e}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(asdict(out)))
        return 0
    print(f"made: {', '.join(out.made) or 'nothing'}")
    if out.kept:
        print(f"kept: {', '.join(out.kept)}")
    if not (args.folder.resolve().parent / "docker-compose.yml").exists():
        print(
            "docker-compose.yml comes with the repository, not with pip: put this folder beside it. Dashboards for a Grafana of "
            "your own: python -m dashboards --out FOLDER"
        )
    if args.add:
        print("Next: docs/operations.md, 'A further gateway' and 'A further site'.")
        return 0
    print(
        "Keep certs/ca.key away from this machine once all is made. Next: docs/operations.md, 'The database and its tokens'."
    )
    if args.rotate:
        print(
            "Restart the stack, and give therapist and wearer their new tokens; database and Grafana keep their passwords."
        )
    return 0
