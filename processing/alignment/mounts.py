"""What `slip.py` has to say: a new mount, a re-alignment, a refusal; and when each takes effect.

Samples are aligned before context is known, so an alignment found from context cannot reach back. It takes effect at the
next full UTC minute for which every second that led to it was judged before: a time that does not depend on how samples were
grouped. `PendingAlignments` holds it until then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from processing.alignment.static import Alignment
from processing.types import I64, NS_PER_S, Json

Reason = Literal["slip", "taken_off", "gap", "handled", "walk", "unclear_walk"]
WORDS: Mapping[str, str] = {
    "slip": "The clip seems to have moved: walking looks tilted against earlier walks.",
    "taken_off": "The clip was taken off and put on again.",
    "gap": "The clip was away and came back at another angle.",
    "handled": "The clip was handled.",
    "walk": "A walk showed how the clip sits now; tilt is compared with the neutral pose again.",
    "unclear_walk": "The walk could not tell how the clip sits now.",
}


@dataclass(frozen=True, slots=True)
class SlipNote:
    """One finding. ``kind``: "new_mount" (posture rules pause), "realigned" (they may go on), "refused" (they stay paused).

    ``found_utc_ns`` end of the second that settled it; ``since_utc_ns`` up to where the old mount was still vouched for;
    ``from_utc_ns`` when ``alignment`` takes effect. ``up_deg``, ``heading_deg``: measured change, None where nothing was
    measured; ``remedy`` what the wearer can do, empty where nothing is needed.
    """

    kind: Literal["new_mount", "realigned", "refused"]
    reason: Reason
    found_utc_ns: int
    since_utc_ns: int
    from_utc_ns: int
    alignment: Alignment | None
    up_deg: float | None = None
    heading_deg: float | None = None
    remedy: str = ""

    def data(self) -> dict[str, Json]:
        """The event's data: everything needed to see why."""
        a = self.alignment
        return {
            "kind": self.kind,
            "reason": self.reason,
            "text": WORDS[self.reason],
            "remedy": self.remedy,
            "since_utc_ns": self.since_utc_ns,
            "found_utc_ns": self.found_utc_ns,
            "from_utc_ns": self.from_utc_ns,
            "up_deg": self.up_deg,
            "heading_deg": self.heading_deg,
            "mount_id": None if a is None else a.mount_id,
            "alignment_id": None if a is None else a.id,
            "uncertainty_deg": None if a is None else a.uncertainty_deg,
        }


def next_mount_id(mount_id: str, t_utc_ns: int) -> str:
    """A new mount's id: the same for the same history."""
    return f"mount-{hashlib.sha256(f'{mount_id}|{t_utc_ns}'.encode()).hexdigest()[:8]}"


def effective_utc_ns(found_second: int) -> int:
    """The first full minute by which ``found_second`` has been judged however samples were grouped."""
    return ((found_second + 1) // 60 + 1) * 60 * NS_PER_S


def holds_from_ns(notes: Sequence[SlipNote]) -> int | None:
    """From when on the first alignment among them holds."""
    return min((n.from_utc_ns for n in notes if n.alignment is not None), default=None)


class PendingAlignments:
    """Alignments waiting for their time. Ask `cut_at` for every piece of samples, cut there, then `take`."""

    def __init__(self) -> None:
        self._waiting: list[Alignment] = []

    @property
    def instants(self) -> list[int]:
        """When those that wait take effect, in order."""
        return [a.t_utc_ns for a in self._waiting]

    def due(self, t_utc_ns: int) -> bool:
        """Whether one takes effect by then."""
        return bool(self._waiting) and self._waiting[0].t_utc_ns <= t_utc_ns

    def add(self, notes: list[SlipNote]) -> None:
        """Queue what the notes put in force, in order."""
        self._waiting += [n.alignment for n in notes if n.alignment is not None]

    def clear(self) -> None:
        """A fresh neutral pose outranks whatever was waiting."""
        self._waiting = []

    def cut_at(self, t_utc_ns: I64) -> int | None:
        """Row from which the next alignment holds, if these times reach it."""
        if not self._waiting or not len(t_utc_ns) or t_utc_ns[-1] < self._waiting[0].t_utc_ns:
            return None
        return int(np.searchsorted(t_utc_ns, self._waiting[0].t_utc_ns))

    def take(self) -> Alignment:
        """The next alignment; it is in force from now on."""
        return self._waiting.pop(0)

    def snapshot(self) -> list[list[Any]]:
        return [[a.id, a.mount_id, a.method, a.r_ps, a.uncertainty_deg, a.t_utc_ns] for a in self._waiting]

    def restore(self, state: list[list[Any]]) -> None:
        self._waiting = [restored(*a) for a in state]


def restored(identity: str, mount_id: str, method: str, rows: Any, uncertainty_deg: float, t_utc_ns: int) -> Alignment:
    """An alignment from plain data (JSON turns tuples into lists)."""
    x, y, z = ((float(r[0]), float(r[1]), float(r[2])) for r in rows)
    return Alignment(identity, mount_id, method, (x, y, z), uncertainty_deg, t_utc_ns)
