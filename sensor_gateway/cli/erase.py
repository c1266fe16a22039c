"""`tiltline erase`: everything held on one wearer, out of every store, file, queue and message; with a receipt."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from sensor_gateway.bridge.queue import QueueError
from sensor_gateway.config import ConfigError
from sensor_gateway.mqtt_link import LinkError
from sensor_gateway.privacy.erase import Receipt, erase, prove
from sensor_gateway.privacy.place import EraseError, places
from sensor_gateway.privacy.remote import RemoteError
from sensor_gateway.privacy.sqlite_files import ScrubError

_TEXT: Final = """\
Erases one wearer: raw journal, outbox, snapshots, store, derivations, notes, NDJSON copies, exports made here, name and consent;
with a broker also retained messages and what it keeps for the bridge; with the bridge's file its queue, dead letters and
InfluxDB. Name the files of all gateways and bridges that held her: one receipt covers them. They must be stopped, the broker and the database running, and no sensor bound to the wearer any more.
Others' data stay byte for byte. A receipt with counts and a salted hash of the pseudonym lies in receipts/ of the data folder.

It cannot be undone. It does not reach backups and copies made elsewhere: see docs/privacy.md.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = _TEXT
    parser.add_argument("wearer", metavar="WEARER", help="the wearer's pseudonym, e.g. w-001")
    parser.add_argument(
        "--config",
        type=Path,
        action="extend",
        nargs="+",
        required=True,
        metavar="FILE",
        help="gateways' and bridges' files, all of them",
    )
    parser.add_argument(
        "--influx-token-file",
        type=Path,
        metavar="FILE",
        help="token that may read and delete (default: the bridge's own)",
    )
    parser.add_argument("--search", action="store_true", help="only search; status 1 where the wearer is found")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print the receipt for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where it cannot be done or finished, or something is still found."""
    try:
        token = args.influx_token_file.read_text(encoding="utf-8").strip() if args.influx_token_file else None
        found = places(args.config)
        if args.search:
            return _search(args, prove(found, args.wearer, token))
        if not args.yes and not _confirmed(args.wearer):
            print("tiltline erase: nothing was changed", file=sys.stderr)
            return 1
        receipt = erase(found, args.wearer, token, lambda step: print(f"erase: {step}", file=sys.stderr))
    except (ConfigError, EraseError) as e:
        print(f"tiltline erase: {e}", file=sys.stderr)
        return 1
    except (ScrubError, RemoteError, LinkError, QueueError, OSError) as e:
        print(f"tiltline erase: {e}\nnot finished: run the same command again to go on", file=sys.stderr)
        return 1
    _show(receipt, args.json)
    return 0 if receipt.complete else 1


def _confirmed(wearer: str) -> bool:
    print(f"This erases everything held on {wearer} and cannot be undone.", file=sys.stderr)
    try:
        print("Type the wearer's id to go on: ", end="", file=sys.stderr, flush=True)
        return input().strip() == wearer
    except EOFError:
        print("no answer; use --yes where nobody can be asked", file=sys.stderr)
        return False


def _search(args: argparse.Namespace, result: tuple[list[str], dict[str, int]]) -> int:
    residues, searched = result
    if args.json:
        print(json.dumps({"found": residues, "searched": searched}))
    else:
        for one in residues:
            print(one)
        print(f"{len(residues)} places; searched " + ", ".join(f"{n} {what}" for what, n in searched.items()))
    return int(bool(residues))


def _show(receipt: Receipt, as_json: bool) -> None:
    content = receipt.content
    if as_json:
        print(json.dumps(content | {"receipt": str(receipt.path)}))
        return
    print(", ".join(f"{name} {n}" for name, n in content["counts"].items() if n) or "nothing was held")
    for one in content["residues"]:
        print(f"still found: {one}")
    searched = ", ".join(f"{n} {what}" for what, n in content["searched"].items())
    end = "nothing found" if receipt.complete else "remove these by hand, then run the same command again"
    print(f"searched {searched}: {end}\nreceipt: {receipt.path}")
    if content["bridges_not_given"]:
        others = ", ".join(content["bridges_not_given"])
        print(f"bridges that wrote to the same database and were not looked at: {others}; give their files too")
