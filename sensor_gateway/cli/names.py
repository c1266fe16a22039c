"""`tiltline names`: which person a pseudonym stands for; kept in one file that only its owner may read, shown only here."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sensor_gateway.config import ConfigError, load_settings
from sensor_gateway.privacy.names import NamesError, put, read


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("wearer", metavar="WEARER", nargs="?", help="pseudonym; without one all are shown")
    parser.add_argument("name", metavar="NAME", nargs="?", help="enter this name")
    parser.add_argument("--remove", action="store_true", help="take the wearer's name out")
    parser.add_argument("--config", type=Path, required=True, help="the gateway's file")
    parser.add_argument("--json", action="store_true", help="print for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where the file cannot be used or is open to others."""
    try:
        settings = load_settings(args.config)
        folder = args.config.parent / settings.site.data_dir
        if args.remove and not args.wearer:
            raise NamesError("say whose name: tiltline names WEARER --remove")
        if args.wearer and (args.name is not None or args.remove):
            put(folder, args.wearer, None if args.remove else args.name)
        names = read(folder)
    except (ConfigError, NamesError, OSError) as e:
        print(f"tiltline names: {e}", file=sys.stderr)
        return 1
    shown = {w: n for w, n in names.items() if args.wearer in (None, w)}
    if args.json:
        print(json.dumps(shown, ensure_ascii=False))
    else:
        print("\n".join(f"{wearer:<16} {name}" for wearer, name in shown.items()) or "no name is kept")
    return 0
