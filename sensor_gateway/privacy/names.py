"""Which person a pseudonym stands for: `names.json`, the one file with names, readable by its owner only (0600, checked).

It is shown on this machine and goes nowhere: no store, message, export, log or backup without its manifest names it.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from sensor_gateway.privacy.files import NAMES_FILE
from sensor_gateway.whole_files import write_whole
from sensor_gateway.wire.topics import is_id


class NamesError(ValueError):
    """Names that cannot be read or entered; the text names the file or value and the remedy."""


def read(folder: Path) -> dict[str, str]:
    """Pseudonym to name; raises `NamesError` where others could read the file too."""
    path = folder / NAMES_FILE
    try:
        status = path.stat()
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise NamesError(f"{path}: others on this machine may read it; chmod 600 {path}")
        if status.st_uid != os.geteuid():
            raise NamesError(f"{path}: belongs to another user; run this as its owner")
        names = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as e:
        if isinstance(e, NamesError):
            raise
        raise NamesError(f"{path}: cannot be read ({e}); restore it from a backup") from None
    if not isinstance(names, dict) or not all(isinstance(v, str) for v in names.values()):
        raise NamesError(f"{path}: is no list of names; restore it from a backup")
    return names


def put(folder: Path, wearer: str, name: str | None) -> None:
    """Enter a name, or (None) take it out. Raises `NamesError`."""
    if not is_id(wearer):
        raise NamesError(f"{wearer!r} is no wearer's id; use 1-32 small letters, digits and '-'")
    if name is not None and not (name.strip() and name.isprintable() and len(name) <= 200):
        raise NamesError("a name has 1 to 200 printable characters")
    names = read(folder)
    if name is None:
        names.pop(wearer, None)
    else:
        names[wearer] = name.strip()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = json.dumps(dict(sorted(names.items())), indent=2, ensure_ascii=False) + "\n"
    write_whole(folder / NAMES_FILE, text.encode(), 0o600)
