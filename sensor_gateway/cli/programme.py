"""`tiltline programme`: a therapist's view of a wearer's programme, and changes to it through the running gateway."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import tomlkit

from processing.coaching import library
from processing.coaching.programme import check_entries
from processing.rules.study import Assignment
from sensor_gateway.cli.page_client import PageClient, PageError
from sensor_gateway.config import ConfigError, read_toml, strict_convert

NAME: Final = "programme"
_TEXT: Final = """\
The programme of one wearer: which exercises, side and dose her prompts name. A change holds from her next local day; each
one is kept with its version and who made it. Steps up or down are only proposed; the therapist accepts or declines.
The gateway ('tiltline run') must be running: it writes every change into its journal first.

A file holds blocks such as
  [[programme]]
  exercise = "single_leg_bridge"
  side = "left"
  sets = 1
  reps = 6
  hold_s = 3
"""
ACTIONS: Final = ("show", "edit", "set", "history", "propose", "accept", "decline")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = _TEXT
    parser.add_argument("action", choices=ACTIONS, help="what to do; see the examples")
    parser.add_argument("wearer", metavar="WEARER", help="pseudonym of the wearer, e.g. w-001")
    parser.add_argument("proposal", metavar="PROPOSAL_ID", nargs="?", help="for accept and decline")
    parser.add_argument("--file", metavar="TOML", type=Path, help="the programme to set")
    parser.add_argument("--editor", metavar="WHO", default="", help="who decides, as a pseudonym, e.g. pt-1")
    parser.add_argument(
        "--page", metavar="URL", default="http://127.0.0.1:8080", help="the gateway's page (default: %(default)s)"
    )
    parser.add_argument(
        "--token-file", metavar="FILE", type=Path, help="file with the therapist's token, where the page asks for one"
    )
    parser.add_argument("--json", action="store_true", help="print plain data")


def run(args: argparse.Namespace) -> int:
    """Do it; 1 with a sentence where it cannot be done."""
    try:
        page = PageClient(args.page, args.wearer, args.token_file)
        print("\n".join(_done(args, page)))
    except (ConfigError, PageError, ValueError, OSError) as e:
        print(f"tiltline programme: {e}", file=sys.stderr)
        return 1
    return 0


def _done(args: argparse.Namespace, page: PageClient) -> list[str]:
    match args.action:
        case "show" | "propose":
            found = page.get("/api/programme")
            if args.json:
                return [json.dumps(found if args.action == "show" else found["proposals"], ensure_ascii=False)]
            return _shown(found) if args.action == "show" else _proposals(found["proposals"])
        case "history":
            found = page.get("/api/programme/history")
            return [json.dumps(found, ensure_ascii=False)] if args.json else _history(found)
        case "set" | "edit":
            _need(args.editor, "--editor WHO")
            entries = _from_file(args) if args.action == "set" else _edited(page.get("/api/programme"))
            sent = page.send("PUT", "/api/programme", {"entries": entries, "editor": args.editor})
            return (
                [json.dumps(sent)]
                if args.json
                else [f"Set: {len(entries)} exercises; they hold from the next local day."]
            )
        case _:
            _need(args.editor, "--editor WHO")
            _need(args.proposal, "the PROPOSAL_ID ('tiltline programme propose WEARER' shows it)")
            body = {"event_id": args.proposal, "accept": args.action == "accept", "editor": args.editor}
            sent = page.send("POST", "/api/proposal", body)
            return [json.dumps(sent)] if args.json else [f"{args.action.capitalize()}: noted."]


def _need(value: object, what: str) -> None:
    if not value:
        raise ValueError(f"say {what}")


def _from_file(args: argparse.Namespace) -> list[dict[str, Any]]:
    _need(args.file, "--file TOML")
    return parse(read_toml(args.file), str(args.file))


def parse(raw: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    """Checked entries of a programme file; raises `ConfigError` or ``ValueError`` naming key and remedy."""
    extra = sorted(raw.keys() - {"programme"})
    if extra or "programme" not in raw:
        raise ConfigError(f"{where}: {extra[0]!r} is no key here" if extra else f"{where}: has no [[programme]] block")
    entries = strict_convert(raw["programme"], tuple[Assignment, ...], where)
    check_entries(entries, where.replace("{", "{{").replace("}", "}}") + ": key 'programme[{}]")
    return [
        {"exercise": e.exercise, "side": e.side, "sets": e.sets, "reps": e.reps, "hold_s": e.hold_s} for e in entries
    ]


def as_toml(entries: Sequence[Mapping[str, Any]]) -> str:
    """A programme as the file a therapist edits, with the library's exercises in its head."""
    document = tomlkit.document()
    document.add(tomlkit.comment("One block per exercise, in the order in which prompts name them. Exercises:"))
    for one in library().values():
        document.add(tomlkit.comment(f"  {one.id}: {one.name}; sides {', '.join(one.sides)}; level {one.level}"))
    blocks = tomlkit.aot()
    for entry in entries:
        block = tomlkit.table()
        block.update(entry)
        blocks.append(block)
    document.add("programme", blocks)
    return tomlkit.dumps(document)


def _edited(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    entries = (found["pending"] or found)["entries"]
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not command:
        raise ValueError("set EDITOR to your editor, or use 'set' with --file")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "programme.toml"
        path.write_text(as_toml(entries), encoding="utf-8")
        if subprocess.run([*shlex.split(command), str(path)], check=False).returncode:
            raise ValueError("the editor ended with an error; nothing was set")
        return parse(read_toml(path), "programme.toml")


def _shown(found: Mapping[str, Any]) -> list[str]:
    lines = [f"Version {found['version']}, in force:", *_entries(found["entries"])]
    if found["pending"]:
        lines += [f"Version {found['pending']['version']}, from {found['pending']['effective']}:"]
        lines += _entries(found["pending"]["entries"])
    return lines + _proposals(found["proposals"])


def _entries(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        f"  {e['exercise']:<26} {e['side']:<6} {e['sets']} x {e['reps']}"
        + (f", hold {e['hold_s']} s" if e["hold_s"] else "")
        for e in entries
    ]
    return lines or ["  no exercise: nothing is prompted"]


def _proposals(proposals: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"Proposal {p['event_id']}: {p['text']}" for p in proposals] or ["No open proposal."]


def _history(found: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{e['event_id']}  {e['type']:<9} {e.get('editor') or 'rule':<10} {e['text']}" for e in found] or [
        "Nothing yet."
    ]
