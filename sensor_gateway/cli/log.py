"""`tiltline log`: pain, a note or an exercise done, entered from the command line through the running gateway."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from sensor_gateway.cli.page_client import PageClient, PageError

NAME: Final = "log"
_TEXT: Final = """\
Writes into a wearer's diary through the running gateway ('tiltline run'). Free text stays on the gateway.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = _TEXT
    parser.add_argument("wearer", metavar="WEARER", help="pseudonym of the wearer, e.g. w-001")
    parser.add_argument("kind", choices=("pain", "note", "exercise"), help="what is entered")
    parser.add_argument("what", metavar="WHAT", help="pain 0 to 10, the note's text, or the exercise's id")
    parser.add_argument("--note", metavar="TEXT", default="", help="a note beside the pain")
    parser.add_argument(
        "--side", choices=("left", "right", "both"), default="both", help="exercise: which side (default: both)"
    )
    parser.add_argument("--sets", metavar="N", type=int, default=1, help="exercise: how many sets (default: 1)")
    parser.add_argument("--reps", metavar="N", type=int, help="exercise: how often (default: the library's)")
    parser.add_argument("--prompt", metavar="EVENT_ID", help="the prompt that the exercise answers")
    parser.add_argument(
        "--page", metavar="URL", default="http://127.0.0.1:8080", help="the gateway's page (default: %(default)s)"
    )
    parser.add_argument(
        "--token-file", metavar="FILE", type=Path, help="file with a token, where the page asks for one"
    )
    parser.add_argument("--json", action="store_true", help="print plain data")


def run(args: argparse.Namespace) -> int:
    """Log it; 1 with a sentence where it was not taken."""
    try:
        answer = PageClient(args.page, args.wearer, args.token_file).send("POST", "/api/log", _body(args))
    except (PageError, ValueError) as e:
        print(f"tiltline log: {e}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(answer))
    else:
        print("Logged.")
        if answer["asks_health_questions"]:
            print("Prompts pause until the health questions on the page are answered.")
    return 0


def _body(args: argparse.Namespace) -> dict[str, Any]:
    if args.kind == "note":
        return {"kind": "note", "note": args.what}
    if args.kind == "pain":
        if not args.what.isdigit():
            raise ValueError(f"pain is {args.what!r}; use a whole number from 0 to 10")
        return {"kind": "pain", "score": int(args.what), "note": args.note}
    body = {"kind": "exercise", "exercise": args.what, "side": args.side, "sets": args.sets, "event_id": args.prompt}
    return body | ({} if args.reps is None else {"reps": args.reps})
