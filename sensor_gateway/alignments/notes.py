"""What a person said about alignments: offsets measured by a therapist, and corrections of the past. A file that only grows.

`alignment-notes.ndjson` in the gateway's data folder, one note a line, each with its version (1, 2, 3 … in the order of entry), when
it was entered and for whom. It stands beside the journal, not in it: an offset changes what is shown, never what is computed
(no rule uses it), and a correction leads to a derivation of its own (`replay/correct_alignment.py`), so replaying the journal gives what
was stored before and after. Command line and page write it through `append`, the gateway running or not.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from processing.alignment.mounts import restored
from processing.alignment.offset import PelvicOffset
from processing.alignment.static import Alignment

FILE: Final = "alignment-notes.ndjson"
FORMAT: Final = 1
ERASED: Final = "erased"
"""Kind of a line whose wearer was erased."""
_PSEUDONYM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


class NotesError(ValueError):
    """Notes that cannot be read or entered; the text names the file or the value, and the remedy."""


@dataclass(frozen=True, slots=True)
class Offset:
    """A therapist's ASIS-PSIS angle, in use from its date (`PelvicOffset.t_utc_ns`) on."""

    version: int
    entered_utc_ns: int
    wearer: str
    offset: PelvicOffset
    note: str = ""


@dataclass(frozen=True, slots=True)
class Correction:
    """``alignment`` should have been in force instead of ``of``, from the same instant; ``how`` says where it comes from."""

    version: int
    entered_utc_ns: int
    wearer: str
    sensor: str
    of: str
    alignment: Alignment
    how: Mapping[str, Any]
    note: str = ""


Note: TypeAlias = Offset | Correction
N = TypeVar("N", Offset, Correction)


def read_notes(folder: Path) -> list[Note]:
    """All notes of a data folder in the order of entry; none where there is no file. Raises `NotesError`."""
    path = folder / FILE
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return []
    return _parse(path, text[: text.rfind(b"\n") + 1])  # a last line without its end was never acknowledged


def append(folder: Path, make: Callable[[int], N]) -> N:
    """Enter the note that ``make`` gives for its version; durable when this returns. Raises `NotesError` or ``OSError``.

    Several processes may enter notes at a time.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / FILE
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        whole = text.rfind(b"\n") + 1
        notes = _parse(path, text[:whole])
        version = text.count(b"\n", 0, whole) + 1
        note = make(version)
        if notes and note.entered_utc_ns < notes[-1].entered_utc_ns:
            raise NotesError(
                f"{path}: version {notes[-1].version} was entered later than now; check the clock of this machine"
            )
        file.truncate(whole)
        file.write(_line(note))
        file.flush()
        os.fsync(file.fileno())
    return note


def offset_note(version: int, entered_utc_ns: int, wearer: str, offset: PelvicOffset, note: str = "") -> Offset:
    """A checked offset note; raises `NotesError` where the rater is no pseudonym."""
    if not _PSEUDONYM.fullmatch(offset.rater):
        raise NotesError(
            f"rater {offset.rater!r} is no pseudonym; use 1-32 letters, digits, '-' and '_', e.g. th-03 (not a name)"
        )
    return Offset(version, entered_utc_ns, wearer, offset, note)


def offsets_of(notes: Sequence[Note], wearer: str) -> list[Offset]:
    """A wearer's offsets in the order of entry."""
    return [n for n in notes if isinstance(n, Offset) and n.wearer == wearer]


def offset_at(notes: Sequence[Note], wearer: str, t_utc_ns: int, as_of_utc_ns: int | None = None) -> Offset | None:
    """The offset in use at ``t_utc_ns``, as known at ``as_of_utc_ns`` (None: now): the latest date, of one date the last entry."""
    known = [
        n
        for n in offsets_of(notes, wearer)
        if n.offset.t_utc_ns <= t_utc_ns and (as_of_utc_ns is None or n.entered_utc_ns <= as_of_utc_ns)
    ]
    return max(known, key=lambda n: (n.offset.t_utc_ns, n.version), default=None)


def corrections_of(notes: list[Note], sensor: str) -> dict[int, Alignment]:
    """What is to be in force from which instant instead of what was; a later correction of an instant replaces an earlier one."""
    return {n.alignment.t_utc_ns: n.alignment for n in notes if isinstance(n, Correction) and n.sensor == sensor}


def plain(note: Note) -> dict[str, Any]:
    """A note as JSON."""
    head: dict[str, Any] = {"v": FORMAT, "kind": "offset" if isinstance(note, Offset) else "correction"}
    head |= {"version": note.version, "entered_utc_ns": note.entered_utc_ns, "wearer": note.wearer, "note": note.note}
    if isinstance(note, Offset):
        return head | asdict(note.offset)
    return head | {
        "sensor": note.sensor, "of": note.of, "alignment": list(astuple(note.alignment)), "how": dict(note.how),
    }  # fmt: skip


def _line(note: Note) -> bytes:
    return json.dumps(plain(note), separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _parse(path: Path, text: bytes) -> list[Note]:
    notes: list[Note] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            row = json.loads(line)
            if row["kind"] == ERASED:  # keeps its line, so that the versions of the others stay what they were
                continue
            note = _note(row)
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise NotesError(f"{path}: line {number} cannot be read ({e}); restore the file from a backup") from None
        if note.version != number:
            raise NotesError(f"{path}: line {number} holds version {note.version}; restore the file from a backup")
        notes.append(note)
    return notes


def _note(row: Mapping[str, Any]) -> Note:
    if row["v"] != FORMAT:
        raise ValueError(f"format {row['v']}, this version reads {FORMAT}")
    version, entered, wearer, note = row["version"], row["entered_utc_ns"], row["wearer"], row["note"]
    if row["kind"] == "offset":
        offset = PelvicOffset(*(row[k] for k in ("angle_deg", "method", "rater", "t_utc_ns", "uncertainty_deg")))
        return Offset(version, entered, wearer, offset, note)
    return Correction(version, entered, wearer, row["sensor"], row["of"], restored(*row["alignment"]), row["how"], note)
