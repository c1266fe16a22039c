"""A wearer taken out of files: NDJSON copies, alignment notes, derivations, name and consent.

Every file is written anew beside itself and put in its own place in one step, so a crash leaves the old or the new one. Lines and
rows of others keep their bytes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sensor_gateway.alignments.notes import ERASED, FORMAT
from sensor_gateway.alignments.notes import FILE as NOTES_FILE
from sensor_gateway.export.states import STATES
from sensor_gateway.privacy.consent import CONSENT_FILE
from sensor_gateway.privacy.sqlite_files import erase_store, mentions
from sensor_gateway.sinks.makers import DERIVED
from sensor_gateway.whole_files import write_whole

NAMES_FILE: Final = "names.json"


def filter_lines(path: Path, keep: Callable[[bytes], bytes | None]) -> int:
    """Write the file again with what ``keep`` gives for each line (None: leave it out); how many lines changed."""
    if not path.is_file():
        return 0
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [keep(line) for line in lines]
    changed = sum(new != old for new, old in zip(kept, lines, strict=True))
    if changed:
        write_whole(path, b"".join(line for line in kept if line is not None))
    return changed


def prune(value: Any, wearer: str) -> Any:
    """Plain JSON without what is the wearer's: list items and keys that name her, objects whose ``wearer`` she is."""
    if isinstance(value, dict):
        word = mentions(wearer)
        return {k: prune(v, wearer) for k, v in value.items() if not word.search(k.encode()) and not _hers(v, wearer)}
    if isinstance(value, list):
        return [prune(v, wearer) for v in value if not _hers(v, wearer)]
    return value


def _hers(value: Any, wearer: str) -> bool:
    return value == wearer or (isinstance(value, dict) and value.get("wearer") == wearer)


def erase_notes(folder: Path, wearer: str) -> int:
    """Offsets and corrections of a therapist; each keeps its line as an empty one, so that the others keep their versions."""

    def keep(line: bytes) -> bytes:
        row = json.loads(line) if line.endswith(b"\n") else {}
        if row.get("wearer") != wearer:
            return line
        gone = {"v": FORMAT, "kind": ERASED, "version": row["version"]}
        return json.dumps(gone, separators=(",", ":")).encode() + b"\n"

    return filter_lines(folder / NOTES_FILE, keep)


def erase_records(folder: Path, wearer: str) -> int:
    """Lines of the file sink's NDJSON copies."""
    word = mentions(wearer)

    def keep(line: bytes) -> bytes | None:
        if not word.search(line):
            return line
        try:
            return None if json.loads(line).get("wearer") == wearer else line
        except ValueError:
            return None  # a torn line that names her

    return sum(filter_lines(path, keep) for path in sorted(folder.glob("records-*.ndjson")))


def erase_derivations(folder: Path, wearer: str) -> int:
    """Stores derived again, what they say of themselves, and the notes that an earlier release wrote beside them; records taken out."""
    gone = 0
    for path in sorted((folder / DERIVED).rglob("*.db")):
        gone += sum(erase_store(path, wearer, prune).values())
    for path in sorted((folder / DERIVED).rglob("*.json")):
        prune_json(path, wearer)
    return gone


def erase_states(folder: Path, wearer: str) -> int:
    """States of the computation that exports keep; how many files."""
    hers = [path for path in (folder / STATES).glob("*") if path.name == wearer]  # a name that is no id leads nowhere
    states = sum(path.is_file() for of in hers for path in of.rglob("*"))
    for of in hers:
        shutil.rmtree(of)
    return states


def prune_json(path: Path, wearer: str) -> None:
    """The wearer out of a JSON file; one that does not name her is not touched."""
    text = path.read_bytes()
    if mentions(wearer).search(text):
        pruned = json.dumps(prune(json.loads(text), wearer), indent=2, ensure_ascii=False) + "\n"
        write_whole(path, pruned.encode())


def erase_person(folder: Path, wearer: str) -> dict[str, int]:
    """The wearer's name and consent; the receipt is what remains of both."""

    def keep(line: bytes) -> bytes | None:
        return None if json.loads(line).get("wearer") == wearer else line

    done = {"consent_entries": filter_lines(folder / CONSENT_FILE, keep), "names": 0}
    path = folder / NAMES_FILE
    if path.is_file():
        names = json.loads(path.read_text(encoding="utf-8"))
        if names.pop(wearer, None) is not None:
            write_whole(path, (json.dumps(names, indent=2, ensure_ascii=False) + "\n").encode(), 0o600)
            done["names"] = 1
    return done
