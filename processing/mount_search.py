"""Before looking back over a recording: where did the clip slip or go on again, and how did it sit from there on?

Online a finding takes effect at the next full minute after the walk that proved it. Looking back it holds from where the new mount
began: from the moment the clip went on again, or from the first walk that was tilted. Between the last walk that vouched for the
old mount and that one nobody knows when it slipped: there the old alignment stays, with wide doubt and posture rules paused.

The search is a causal pass of its own with `SlipStage`; `batch.process_recording` takes what it finds. A pose the wearer took in
between (`chosen`) starts it afresh, as online.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from processing.alignment.mounts import SlipNote
from processing.alignment.slip import SlipStage
from processing.alignment.static import Alignment, record
from processing.context.stage import ContextStage
from processing.features.align import AlignStage
from processing.features.seconds import SecondStage
from processing.intake import Intake
from processing.orientation.causal import CausalOrientation
from processing.types import NS_PER_S, SecondBlock, TimedBatch
from processing.wearing import holding


@dataclass(frozen=True, slots=True)
class MountChange:
    """From ``t_utc_ns``, a full second, on ``note.alignment`` holds; where it is None nothing changes and the note only tells."""

    t_utc_ns: int
    note: SlipNote


def find_mounts(
    chunks: Iterable[TimedBatch], rate_hz: float, alignment: Alignment, chosen: Sequence[tuple[int, Alignment]] = ()
) -> list[MountChange]:
    """Changes in a recording (strictly increasing times) that starts with ``alignment``, in order of time.

    ``chosen``: from which UTC instant [ns] on a person put another one in force, in order of time.
    """
    intake = Intake(rate_hz)
    orientation = CausalOrientation(intake.orientation)
    aligner, seconds = AlignStage(alignment), SecondStage(intake.rate_hz)
    context, slip = ContextStage(rate_hz=intake.rate_hz, neutral_known=alignment.has_neutral), SlipStage()
    notes: list[SlipNote] = []
    waiting = list(chosen)

    def take(block: SecondBlock | None) -> None:
        if block is not None:
            # The clip's own axes are compared, so an alignment may stay whatever is found.
            notes.extend(slip.update(block, context.update(block), aligner.alignment))

    for filled in intake.through(long_chunks(chunks)):
        for part in orientation.update(filled):
            for piece, new, complete in holding(part, waiting):
                if complete:
                    take(seconds.update(None, last=True))
                if new is not None:
                    aligner.alignment = new
                    if new.has_neutral and new.method == "static":
                        context.neutral_taken()
                take(seconds.update(aligner.update(piece.filled, piece.q_es, seconds.held)[0]))
    take(seconds.update(None, last=True))
    return backdated(notes, alignment, [from_ns for from_ns, _ in chosen])


def long_chunks(chunks: Iterable[TimedBatch], samples: int = 30_000) -> Iterator[TimedBatch]:
    """The same samples in pieces of at least ``samples``: how they are grouped changes no finding, only the time it takes."""
    held: list[TimedBatch] = []
    count = 0
    for chunk in chunks:
        held.append(chunk)
        count += len(chunk)
        if count >= samples:
            yield joined(held)
            held, count = [], 0
    if held:
        yield joined(held)


def joined(parts: Sequence[TimedBatch]) -> TimedBatch:
    """One batch of consecutive ones."""
    if len(parts) == 1:
        return parts[0]
    return TimedBatch(
        np.concatenate([p.t_utc_ns for p in parts]),
        np.concatenate([p.acc_mps2 for p in parts]),
        np.concatenate([p.gyr_rps for p in parts]),
    )


def backdated(notes: Sequence[SlipNote], start: Alignment, chosen_ns: Sequence[int] = ()) -> list[MountChange]:
    """Each finding at the time from which it holds, none before the one it follows or the pose (``chosen_ns``) it concerns."""
    out: list[MountChange] = []
    earliest_ns = _full_second(start.t_utc_ns)
    put_on_ns: int | None = None
    poses = [_full_second(t) for t in chosen_ns]
    for note in notes:
        while poses and poses[0] < note.found_utc_ns:
            earliest_ns, put_on_ns = max(earliest_ns, poses.pop(0)), None
        at_ns = note.found_utc_ns
        if note.kind == "new_mount":
            at_ns = max(note.since_utc_ns, earliest_ns)
            put_on_ns = None if note.reason == "slip" else at_ns
        elif note.kind == "realigned":
            at_ns = max(note.since_utc_ns if put_on_ns is None else put_on_ns, earliest_ns)
        a = note.alignment
        if a is not None:
            if out and out[-1].note.kind == "new_mount" and out[-1].t_utc_ns == at_ns:
                # Known from its first moment on: nothing is in doubt in between; the event still tells of the new mount.
                out[-1] = replace(out[-1], note=replace(out[-1].note, alignment=None))
            a = record(a.method, a.r_ps, a.uncertainty_deg, mount_id=a.mount_id, t_utc_ns=at_ns)
            earliest_ns = at_ns
        out.append(MountChange(at_ns, replace(note, from_utc_ns=at_ns, alignment=a)))
    return out


def _full_second(t_utc_ns: int) -> int:
    return -(-t_utc_ns // NS_PER_S) * NS_PER_S
