"""`tiltline deadletter`: what the bridge could not write, why, and how to send it again once the cause is mended.

Works beside a running bridge: both sides use the queue's own transactions.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sensor_gateway.bridge.bridge import DATABASE_FILE
from sensor_gateway.bridge.intake import sort_out
from sensor_gateway.bridge.letters import Letter
from sensor_gateway.bridge.queue import BridgeQueue, Good, QueueError
from sensor_gateway.config import ConfigError, load_settings
from sensor_gateway.mqtt_link import Incoming

_SHOWN: Final = 160
_NOT_THERE: Final = "there is no letter of this number; `tiltline deadletter list` shows those there are"


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, title="actions")
    listing = actions.add_parser("list", help="number, time, reason and the beginning of each letter")
    listing.add_argument(
        "--limit", type=int, default=100, help="at most this many, oldest first (default: 100; 0: all)"
    )
    showing = actions.add_parser("show", help="one letter with everything that is known of it")
    showing.add_argument("id", type=int, metavar="NUMBER", help="its number in the list")
    again = actions.add_parser(
        "requeue", help="send letters to the database again; those still wrong stay, with the reason"
    )
    again.add_argument("id", type=int, nargs="*", metavar="NUMBER", help="their numbers in the list")
    again.add_argument("--all", action="store_true", help="every letter")
    again.add_argument("--reason", default="", help="every letter whose reason contains this text")
    for action in (listing, showing, again):
        action.add_argument("--config", type=Path, required=True, help="the bridge's file")
        action.add_argument("--json", action="store_true", help="print for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where there is no queue or no such letter, or a letter could not be sent again."""
    try:
        settings = load_settings(args.config)
        path = args.config.parent / settings.site.data_dir / DATABASE_FILE
        if not path.is_file():
            raise QueueError(f"{path}: no queue there yet; start 'tiltline bridge' or check 'site.data_dir'")
        queue = BridgeQueue(path)
    except (ConfigError, QueueError) as e:
        print(f"tiltline deadletter: {e}", file=sys.stderr)
        return 1
    try:
        if args.action == "list":
            return _list(queue, args)
        return _show(queue, args) if args.action == "show" else _requeue(queue, args)
    except QueueError as e:
        print(f"tiltline deadletter: {e}", file=sys.stderr)
        return 1
    finally:
        queue.close()


def _plain(letter: Letter, body: bool) -> dict[str, Any]:
    at = datetime.fromtimestamp(letter.at_utc_ns / 1e9, UTC).isoformat(timespec="seconds") if letter.at_utc_ns else None
    plain: dict[str, Any] = {"id": letter.id, "at": at, "kind": letter.kind, "reason": letter.reason}
    plain |= {"topic": letter.topic, "bytes": len(letter.body)}
    if body:
        plain["body"] = letter.body.decode(errors="replace")
    return plain


def _list(queue: BridgeQueue, args: argparse.Namespace) -> int:
    letters = queue.letters(limit=args.limit or -1)
    held = queue.counters()["dead_letters"]
    if args.json:
        print(json.dumps({"held": held, "letters": [_plain(letter, body=False) for letter in letters]}))
        return 0
    for letter in letters:
        plain = _plain(letter, body=False)
        print(f"{letter.id:>6}  {plain['at'] or '(time not known)':<25}  {letter.reason[:_SHOWN]}")
        print(f"        {letter.topic or 'line of line protocol'}, {len(letter.body)} bytes")
    print(f"{held} dead letters" + (f", {len(letters)} shown" if len(letters) < held else ""))
    return 0


def _show(queue: BridgeQueue, args: argparse.Namespace) -> int:
    found = queue.letters(args.id)
    if not found:
        print(f"tiltline deadletter: {args.id}: {_NOT_THERE}", file=sys.stderr)
        return 1
    plain = _plain(found[0], body=True)
    if args.json:
        print(json.dumps(plain))
    else:
        for key, value in plain.items():
            # The content came from outside: no control character of it may reach the terminal.
            print(f"{key:>7}: {value if isinstance(value, int) else _printable(str(value))}")
    return 0


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _requeue(queue: BridgeQueue, args: argparse.Namespace) -> int:
    if not (args.id or args.all or args.reason):
        print("tiltline deadletter: say which: numbers, --reason TEXT or --all", file=sys.stderr)
        return 2
    letters = [
        one for one in queue.letters() if args.all or one.id in args.id or (args.reason and args.reason in one.reason)
    ]
    missing = sorted(set(args.id) - {letter.id for letter in letters})
    sent, kept = [], [{"id": number, "reason": _NOT_THERE} for number in missing]
    for letter in letters:
        line, reason = _line_of(letter)
        if line is not None and queue.requeue(letter.id, line):
            sent.append(letter.id)
        else:
            kept.append({"id": letter.id, "reason": reason})
    if args.json:
        print(json.dumps({"requeued": sent, "kept": kept}))
    else:
        for one in kept:
            print(f"{one['id']:>6}  stays: {one['reason']}")
        print(f"{len(sent)} on their way to the database again, {len(kept)} not")
    return int(bool(kept))


def _line_of(letter: Letter) -> tuple[str | None, str]:
    """The line to write and "", or None and why the letter still cannot be written."""
    if not letter.topic:
        return letter.body.decode(), ""
    checked = sort_out(Incoming(letter.topic, letter.body, 0, 1))
    return (checked.line, "") if isinstance(checked, Good) else (None, checked.reason)
