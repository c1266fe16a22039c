"""Events that come from no rule: gaps, alignments, wear, the clock. They wait for the second they belong to.

So that the order of records does not depend on chunking, an event found among the samples leaves with its second.
"""

from __future__ import annotations

import hashlib
from bisect import insort
from collections.abc import Mapping, Sequence
from typing import Any, Final

from processing.alignment.static import Alignment
from processing.gaps import Gap
from processing.types import NS_PER_S, Event, Json

REPORTED_GAP_S: Final = 1.0
"""Shorter holes are counted; from here on they are told."""


class Notices:
    """Collects events of one sensor and gives them out in the order they were found."""

    def __init__(self, sensor: str, study_hash: str) -> None:
        self._identity = f"{sensor}|{study_hash}"
        self._pending: list[Event] = []
        self._worn = True

    def add(self, t_utc_ns: int, kind: str, data: Mapping[str, Json]) -> None:
        """Note an event; its id follows from sensor, study, kind and time.

        A second one of its kind at the same instant is dated a nanosecond later: stores tell events apart by time and kind.
        """
        taken = {e.t_utc_ns for e in self._pending if e.type == kind}
        while t_utc_ns in taken:
            t_utc_ns += 1
        # In the order of time: what finds events looks at chunks of different sizes.
        insort(self._pending, self.event(t_utc_ns, kind, data), key=lambda e: (e.t_utc_ns, e.event_id))

    def event(self, t_utc_ns: int, kind: str, data: Mapping[str, Json]) -> Event:
        """An event that waits for no second of data: it tells that there are none."""
        text = f"{self._identity}|{kind}|{t_utc_ns}"
        return Event(t_utc_ns, hashlib.sha256(text.encode()).hexdigest()[:16], kind, None, data)

    def gaps(self, gaps: Sequence[Gap]) -> None:
        """Note holes worth telling."""
        for gap in gaps:
            if gap.to_ns - gap.from_ns >= REPORTED_GAP_S * NS_PER_S:
                data: dict[str, Json] = {
                    "from_utc_ns": gap.from_ns,
                    "to_utc_ns": gap.to_ns,
                    "missing_samples": gap.missing,
                    "action": "filter levelled anew; nothing was filled in",
                }
                self.add(gap.to_ns, "gap", data)

    def alignment(self, t_utc_ns: int, a: Alignment, facts: Mapping[str, Json] | None = None) -> None:
        """Note the alignment in force from here; ``facts`` say how it was found."""
        data: dict[str, Json] = {
            "outcome": "in force",
            "alignment_id": a.id,
            "mount_id": a.mount_id,
            "method": a.method,
            "r_ps": [list(row) for row in a.r_ps],
            "uncertainty_deg": a.uncertainty_deg,
            **(facts or {}),
        }
        self.add(t_utc_ns, "alignment", data)

    def wear(self, t_utc_ns: int, *, worn: bool) -> None:
        """Note a change of wear."""
        if worn != self._worn:
            self._worn = worn
            self.add(t_utc_ns, "wear_on" if worn else "wear_off", {})

    def concern(self, end_ns: int, *, worn: bool) -> bool:
        """Whether there is anything to tell before ``end_ns``, a change of wear included."""
        return worn != self._worn or (bool(self._pending) and self._pending[0].t_utc_ns < end_ns)

    def until(self, end_ns: int | None) -> list[Event]:
        """Events before ``end_ns`` (None: all), in the order of time."""
        n = 0
        while n < len(self._pending) and (end_ns is None or self._pending[n].t_utc_ns < end_ns):
            n += 1
        out, self._pending = self._pending[:n], self._pending[n:]
        return out

    def snapshot(self) -> dict[str, Any]:
        pending = [[e.t_utc_ns, e.event_id, e.type, e.rule, dict(e.data)] for e in self._pending]
        return {"pending": pending, "worn": self._worn}

    def restore(self, state: dict[str, Any]) -> None:
        self._pending = [Event(*e) for e in state["pending"]]
        self._worn = state["worn"]
