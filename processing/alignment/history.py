"""Which alignment was in force when, and which was believed to be: a history that only grows.

An entry says from when an alignment holds (its own ``t_utc_ns``) and when it was entered. A later entry for the same or an earlier
time corrects what was believed: asking `as_of` an earlier moment still gives the old answer, and replaying the journal with
today's history derives everything anew. Raw samples never change.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, Final

from processing.alignment.mounts import restored
from processing.alignment.static import Alignment
from processing.types import NS_PER_S

DRIFT_DEG_PER_SQRT_DAY: Final = 2.0
"""Belt, skin and habit drift like a random walk: after a day as much as one new neutral pose is worth. A cautious choice, not
measured; each new neutral pose ends it.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One alignment as it was entered. ``version`` counts from 1 in the order of entry; ``note`` says why, for a person."""

    version: int
    entered_utc_ns: int
    alignment: Alignment
    note: str = ""


@dataclass(frozen=True, slots=True)
class AlignmentHistory:
    """All entries of one sensor on one wearer, oldest first."""

    entries: tuple[Entry, ...] = ()

    def with_entry(self, alignment: Alignment, entered_utc_ns: int, note: str = "") -> AlignmentHistory:
        """The history with one more entry; raises ValueError where it is entered before the last one."""
        if self.entries and entered_utc_ns < self.entries[-1].entered_utc_ns:
            raise ValueError(
                f"alignment {alignment.id} is entered before version {self.entries[-1].version}; the history only grows, "
                "enter it with the present time"
            )
        entry = Entry(len(self.entries) + 1, entered_utc_ns, alignment, note)
        return AlignmentHistory((*self.entries, entry))

    def in_force(self, t_utc_ns: int, as_of_utc_ns: int | None = None) -> Entry | None:
        """The entry that holds at ``t_utc_ns``, as known at ``as_of_utc_ns`` (None: now); None before the first.

        Of those that hold from the latest start, the one entered last.
        """
        known = [e for e in self.entries if as_of_utc_ns is None or e.entered_utc_ns <= as_of_utc_ns]
        begun = [e for e in known if e.alignment.t_utc_ns <= t_utc_ns]
        return max(begun, key=lambda e: (e.alignment.t_utc_ns, e.version), default=None)

    def spans(self, from_utc_ns: int, to_utc_ns: int) -> list[tuple[int, int, Entry]]:
        """[from, to) cut where another entry comes into force; times before the first entry are left out."""
        cuts = {e.alignment.t_utc_ns for e in self.entries if from_utc_ns < e.alignment.t_utc_ns < to_utc_ns}
        edges = sorted({from_utc_ns, *cuts, to_utc_ns})
        found = [(a, b, self.in_force(a)) for a, b in zip(edges[:-1], edges[1:], strict=True)]
        return [(a, b, e) for a, b, e in found if e is not None]

    @property
    def hash(self) -> str:
        """16 hex digits that change with what is derived: part of what a replay's result depends on."""
        text = json.dumps([list(astuple(e.alignment)) for e in self.entries], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def plain(self) -> list[dict[str, Any]]:
        """For a file or a store."""
        return [
            {
                "version": e.version,
                "entered_utc_ns": e.entered_utc_ns,
                "note": e.note,
                "alignment": list(astuple(e.alignment)),
            }
            for e in self.entries
        ]

    @classmethod
    def from_plain(cls, rows: Sequence[dict[str, Any]]) -> AlignmentHistory:
        """The inverse of `plain`; raises ValueError where versions do not count up from 1."""
        history = cls()
        for i, row in enumerate(rows, start=1):
            if row["version"] != i:
                raise ValueError(
                    f"alignment history holds version {row['version']} where {i} belongs; restore the file"
                )
            history = history.with_entry(restored(*row["alignment"]), row["entered_utc_ns"], row["note"])
        return history


def aged_uncertainty_deg(alignment: Alignment, t_utc_ns: int) -> float:
    """The alignment's uncertainty at a later time: it widens until the next neutral pose. Nominal ones are wide already."""
    if not alignment.has_neutral:
        return alignment.uncertainty_deg
    days = max(0, t_utc_ns - alignment.t_utc_ns) / (86_400 * NS_PER_S)
    return math.hypot(alignment.uncertainty_deg, DRIFT_DEG_PER_SQRT_DAY * math.sqrt(days))
