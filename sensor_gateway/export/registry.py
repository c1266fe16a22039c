"""Which exports were made from a data folder, and of whom: `exports.ndjson` there, so that an erasure can find them.

One line for each export with its path and wearers. A copy somebody made elsewhere is not known here; `docs/privacy.md` says so.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

FILE: Final = "exports.ndjson"


@dataclass(frozen=True, slots=True)
class Known:
    """An export: a folder with a manifest, or one file (`portability`, `report`), and whose data it holds."""

    path: str
    wearers: tuple[str, ...]
    at_utc_ns: int


def register(folder: Path, path: Path, wearers: Sequence[str]) -> None:
    """Enter an export made from the data ``folder``; a repeated one once. Raises ``OSError``."""
    new = Known(str(path.resolve()), tuple(sorted(wearers)), time.time_ns())
    with (folder / FILE).open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        old = [k for k in _parse(file.read()) if k.path == new.path]
        # What was written there earlier may still lie there under other names: both entries stay.
        if not any(k.wearers == new.wearers for k in old):
            file.write(json.dumps(asdict(new)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def enter(folder: Path, path: Path, wearers: Sequence[str]) -> None:
    """`register` before an export is written; where the folder cannot be written the export is made all the same, with a word."""
    try:
        register(folder, path, wearers)
    except OSError as e:
        print(f"{path}: cannot be entered in {folder / FILE} ({e}); an erasure will not find it", file=sys.stderr)


def known(folder: Path) -> list[Known]:
    """Every export ever entered, in order."""
    try:
        return _parse((folder / FILE).read_bytes())
    except FileNotFoundError:
        return []


def _parse(text: bytes) -> list[Known]:
    rows = (
        json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()
    )  # a torn last line was never entered
    return [Known(row["path"], tuple(row["wearers"]), row["at_utc_ns"]) for row in rows]
