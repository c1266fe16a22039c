"""Entries between batches through the whole pipeline: a snapshot and restore after each gives the same records."""

from __future__ import annotations

from processing.coaching.controls import (
    AnswerRedFlags,
    ClearRedFlags,
    DecideProposal,
    LogExercise,
    LogNote,
    LogPain,
    SetMode,
    SetProgramme,
    Verdict,
)
from processing.pipeline import Answer
from processing.rules.study import Assignment
from processing.types import Event
from tests.processing.test_streaming import NEUTRAL, SYNTHETIC, batches, digest, pipeline

RATE_HZ = 50.0
ENTRIES = (
    LogPain(8, "x"),
    AnswerRedFlags({"fall": True}),
    ClearRedFlags("pt-1"),
    LogNote("y"),
    SetMode("tracking", 30),
    SetProgramme((Assignment("single_leg_bridge", "left", 1, 6, 3),), "pt-1"),
    LogExercise("hip_hinge", "both"),
    Answer("p1", "done", "s-1", "hip_hinge", "both", 1, 8),
    Answer("p1", "done", "another"),
    DecideProposal("e1", True, "pt-1"),
    Verdict("f1", "useful", "pt-1"),
)


def run(*, restarts: bool) -> tuple[str, list[Event]]:
    pieces = batches(SYNTHETIC, [2000 * (i + 1) for i in range(len(ENTRIES) - 1)])
    assert len(pieces) == len(ENTRIES)
    p, records = pipeline(RATE_HZ, NEUTRAL), []
    for piece, entry in zip(pieces, ENTRIES, strict=True):
        for out in (p.update([piece]), p.control(entry, piece.rx_utc_ns)):
            assert out.first_ordinal == len(records)
            records += out.records
        if restarts:
            blob = p.snapshot()
            p = pipeline(RATE_HZ, NEUTRAL)
            p.restore(blob)
    records += p.finish().records
    return digest(records, []), [r for r in records if isinstance(r, Event)]


def test_restarts_between_entries_change_no_byte() -> None:
    whole, events = run(restarts=False)
    assert run(restarts=True)[0] == whole
    kinds = [e.type for e in events]
    for kind in ("pain", "note", "exercise", "mode", "programme", "verdict", "answer", "red_flag"):
        assert kind in kinds, kind
    assert kinds.count("answer") == 1, "an answer to another sensor's prompt is told there"
    assert kinds.count("exercise") == 2
    assert kinds.count("red_flag") == 3
