"""A wearer's alignments as they were believed and as they were corrected: from the store's events and the notes beside it.

Nothing here is stored: events and notes only grow, and the history follows from them. It answers which alignment, with which
doubt, was in force when (`AlignmentHistory.in_force`), as known today or on an earlier day.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from processing.alignment.history import AlignmentHistory, aged_uncertainty_deg
from processing.alignment.mounts import restored
from processing.alignment.static import Alignment
from processing.types import Event
from sensor_gateway.alignments.absolute_tilt import NeutralTimes
from sensor_gateway.alignments.notes import Correction, Note, offset_at, offsets_of, plain
from sensor_gateway.sinks.records import Records

KINDS: Final = ("alignment", "mount")
_FACTS: Final = ("step", "heading_uncertainty_deg", "sign_confidence", "walking_s", "range_deg")


@dataclass(frozen=True, slots=True)
class Told:
    """An alignment or mount event: when, on which sensor, what it says."""

    t_utc_ns: int
    event_id: str
    type: str
    sensor: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WearerHistory:
    """Everything known of one wearer's alignments."""

    wearer: str
    told: tuple[Told, ...]
    notes: tuple[Note, ...]

    @property
    def sensors(self) -> list[str]:
        return sorted({t.sensor for t in self.told})

    def of_sensor(self, sensor: str) -> AlignmentHistory:
        """What came into force and what corrects it, in the order in which it became known."""
        entries = [(t.t_utc_ns, alignment_of(t), _why(t)) for t in self.told if t.sensor == sensor and in_force(t)]
        entries += [
            (n.entered_utc_ns, n.alignment, f"corrects {n.of}" + (f": {n.note}" if n.note else ""))
            for n in self.notes
            if isinstance(n, Correction) and n.sensor == sensor
        ]
        history = AlignmentHistory()
        for entered_ns, alignment, note in sorted(entries, key=lambda e: e[0]):
            history = history.with_entry(alignment, entered_ns, note)
        return history

    def neutral_times(self, sensor: str) -> NeutralTimes:
        """When tilt of a sensor, as stored, was relative to a neutral pose."""
        return NeutralTimes(
            Event(t.t_utc_ns, t.event_id, t.type, None, t.data) for t in self.told if t.sensor == sensor
        )


def read_history(store: Records, wearer: str, notes: Sequence[Note]) -> WearerHistory:
    """From the events of ``wearer`` in a store and the notes of its folder."""
    told: list[Told] = []
    for page in store.columns("event", wearer):
        columns = (page[k] for k in ("t_utc_ns", "event_id", "type", "sensor", "data"))
        told += [Told(t, i, kind, s, json.loads(d)) for t, i, kind, s, d in zip(*columns, strict=True) if kind in KINDS]
    return WearerHistory(wearer, tuple(told), tuple(n for n in notes if n.wearer == wearer))


def in_force(t: Told) -> bool:
    """Whether the event puts an alignment in force: others tell why one was refused."""
    return t.type == "alignment" and t.data.get("outcome") == "in force"


def alignment_of(t: Told) -> Alignment:
    """The alignment of an event that puts one in force; that at a recording's start holds from its first sample."""
    d = t.data
    return restored(d["alignment_id"], d["mount_id"], d["method"], d["r_ps"], d["uncertainty_deg"], t.t_utc_ns)


def as_rows(h: WearerHistory, now_utc_ns: int) -> list[dict[str, Any]]:
    """The history for a machine, in the order of time: alignments with their span and doubt, mounts, refusals, notes."""
    rows: list[dict[str, Any]] = []
    for sensor in h.sensors:
        history = h.of_sensor(sensor)
        last_ns = max(now_utc_ns, *(e.alignment.t_utc_ns + 1 for e in history.entries)) if history.entries else 0
        spans = {e.version: (a, b) for a, b, e in history.spans(0, last_ns)}
        facts = {t.data["alignment_id"]: t for t in h.told if t.sensor == sensor and in_force(t)}
        for e in history.entries:
            a, span = e.alignment, spans.get(e.version)
            told = facts.get(a.id)
            rows.append(
                {
                    "kind": "alignment", "t_utc_ns": a.t_utc_ns, "sensor": sensor, "version": e.version, "id": a.id,
                    "mount_id": a.mount_id, "method": a.method, "has_neutral": a.has_neutral, "r_ps": a.r_ps,
                    "uncertainty_deg": a.uncertainty_deg,
                    "uncertainty_at_end_deg": aged_uncertainty_deg(a, span[1] if span else a.t_utc_ns),
                    "until_utc_ns": span[1] if span and span[1] < last_ns else None,
                    "superseded": span is None, "entered_utc_ns": e.entered_utc_ns, "why": e.note,
                    **({k: told.data[k] for k in _FACTS if k in told.data} if told else {}),
                }
            )  # fmt: skip
    for t in h.told:
        if not in_force(t):
            kind = "refused" if t.data.get("outcome") == "refused" or t.data.get("kind") == "refused" else t.type
            rows.append({**t.data, "kind": kind, "t_utc_ns": t.t_utc_ns, "sensor": t.sensor, "id": t.event_id})
    for n in offsets_of(list(h.notes), h.wearer):
        in_use = offset_at(list(h.notes), h.wearer, n.offset.t_utc_ns)
        rows.append({**plain(n), "sigma_deg": n.offset.sigma_deg, "superseded": in_use != n})
    return sorted(rows, key=lambda r: (r["t_utc_ns"], r.get("version", 0)))


def _why(t: Told) -> str:
    step = t.data.get("step")
    return f"guided set-up: {step}" if step else {"suspended": "the clip was moved", "realigned": "found again by walking"}.get(t.data["method"], "start")  # fmt: skip
