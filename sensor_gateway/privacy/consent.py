"""What a wearer has agreed to, dated: `consent.ndjson` in the data folder, a file that only grows until she is erased.

Scopes: ``recording`` (a withdrawal stops taking payloads in, within seconds in a running gateway) and ``export`` (a withdrawal
keeps her out of what `tiltline export` writes). The newest entry of a scope holds.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

CONSENT_FILE: Final = "consent.ndjson"
SCOPES: Final = ("recording", "export")
STATES: Final = ("granted", "withdrawn")


class ConsentError(ValueError):
    """A record of consent that cannot be read; the text names file and remedy."""


@dataclass(frozen=True, slots=True)
class Consent:
    """One entry; ``version`` names the text that was agreed to, as the site calls it."""

    wearer: str
    scope: str
    state: str
    at_utc_ns: int
    version: str = ""


def enter(folder: Path, consent: Consent) -> None:
    """Append an entry, durably. Raises ``OSError``."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / CONSENT_FILE).open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        file.truncate(text.rfind(b"\n") + 1)  # a torn line was never acknowledged
        file.write(json.dumps(asdict(consent)).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def entries(folder: Path, wearer: str | None = None) -> list[Consent]:
    """All entries in order, or one wearer's; raises `ConsentError`."""
    path = folder / CONSENT_FILE
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return []
    found = []
    for number, line in enumerate(text[: text.rfind(b"\n") + 1].splitlines(), 1):
        try:
            row: dict[str, Any] = json.loads(line)
            one = Consent(row["wearer"], row["scope"], row["state"], row["at_utc_ns"], row.get("version", ""))
        except (ValueError, KeyError, TypeError) as e:
            raise ConsentError(f"{path}: line {number} cannot be read ({e}); restore the file from a backup") from None
        found.append(one)
    return [one for one in found if wearer in (None, one.wearer)]


def objection(folder: Path, wearer: str, scope: str, required: bool = False) -> str | None:
    """Why the scope is closed for this wearer, or None. Without an entry it is open unless consent is ``required``."""
    newest = next((one for one in reversed(entries(folder, wearer)) if one.scope == scope), None)
    if newest is None:
        return f"{wearer}: no consent to {scope} was entered; tiltline consent {wearer} grant" if required else None
    return f"{wearer}: consent to {scope} was withdrawn" if newest.state == "withdrawn" else None
