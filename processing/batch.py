"""A whole recording at once: the causal or settled chain in blocks, or the best non-causal estimate.

The causal mode is `Core.update` in a loop and therefore bit-identical to the live gateway.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from processing.alignment.static import Alignment
from processing.context.retro import RetroContext
from processing.context.transfers import Transfer
from processing.core import Core, CoreOutput, CoreSetup
from processing.features.align import AlignStage
from processing.features.gait import Step
from processing.features.gait_retro import RetroGait
from processing.features.seconds import SecondStage
from processing.features.shaking import shaken_seconds
from processing.features.tilt import SecondTilt
from processing.gaps import Filled
from processing.intake import Intake
from processing.mount_search import MountChange, joined
from processing.orientation.causal import CausalOrientation, Oriented
from processing.orientation.retro import RetroOrientation
from processing.rules.study import Study
from processing.steps import on_feet, seconds_down
from processing.types import I64, NS_PER_S, POSTURE_CODE, Bool, Record, Samples, SecondBlock, TimedBatch
from processing.wearing import EVENT_OF, holding

Mode = Literal["online", "settled", "retro"]
BLOCK_S = 600
"""Long enough that the cost of a call hardly counts; of longer ones nothing more comes but memory."""
_RETRO_STEP_S = 60
SURELY_STANDING = 0.8
"""Confidence from which a second may serve as a neutral pose."""


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """All records in their final order, steps, changes of posture, and counts of samples and of what became of them."""

    records: list[Record]
    steps: list[Step]
    transfers: list[Transfer]
    counters: dict[str, int]


def blocks(timed: TimedBatch, seconds: int = BLOCK_S) -> Iterator[TimedBatch]:
    """Cut a recording at multiples of ``seconds`` UTC."""
    t, length_ns = timed.t_utc_ns, seconds * NS_PER_S
    lo = 0
    while lo < len(t):
        hi = int(np.searchsorted(t, (int(t[lo]) // length_ns + 1) * length_ns))
        yield TimedBatch(t[lo:hi], timed.acc_mps2[lo:hi], timed.gyr_rps[lo:hi])
        lo = hi


def whole_blocks(chunks: Iterable[TimedBatch], seconds: int) -> Iterator[TimedBatch]:
    """As `blocks`, of a recording in chunks: a block that goes over from one to the next comes in one piece."""
    held: list[TimedBatch] = []
    number = 0
    for chunk in chunks:
        for piece in blocks(chunk, seconds):
            before, number = number, int(piece.t_utc_ns[0]) // (seconds * NS_PER_S)
            if held and number != before:
                yield joined(held)
                held = []
            held.append(piece)
    if held:
        yield joined(held)


def process_recording(
    chunks: Iterable[TimedBatch],
    setup: CoreSetup,
    study: Study,
    mode: Mode = "online",
    on_samples: Callable[[Samples], None] | None = None,
    progress: Callable[[int], None] | None = None,
    alignments: Sequence[tuple[int, Alignment]] = (),
    mounts: Sequence[MountChange] = (),
) -> ProcessResult:
    """Run ``chunks`` (strictly increasing times) to all records.

    ``alignments``: from which UTC instant [ns] on another one than the set-up's holds, in order of time; retro only, since
    the other modes find out by themselves. ``mounts``: what `mount_search.find_mounts` found in the same recording, likewise.

    ``on_samples`` gets each piece of per-sample results as it becomes final; ``progress`` the samples taken so far.
    """
    core = Core(
        replace(setup, estimate="settled" if mode == "settled" else "online"),
        study,
        every_sample=on_samples is not None,
    )
    give = on_samples or _ignore
    taken = 0
    all_out = CoreOutput([], None)
    for found in mounts:
        core.notices.add(found.t_utc_ns, EVENT_OF[found.note.kind], found.note.data())
    known = [(m.t_utc_ns, m.note.alignment) for m in mounts if m.note.alignment is not None]
    retro = _RetroRun(core, give, sorted([*alignments, *known], key=_when)) if mode == "retro" else None
    held: TimedBatch | None = None  # the newest chunk: it may be the last one
    # Looking back, what is known of the accelerometer when a block is solved depends on the step in which samples come.
    for chunk in chunks if retro is None else whole_blocks(chunks, _RETRO_STEP_S):
        taken += len(chunk)
        if retro is not None:
            retro.take(core.intake.update(chunk))
        else:
            if held is not None:
                _keep(core.update(held), all_out, give)
            held = chunk
        if progress is not None:
            progress(taken)
    _keep(core.finish(held) if retro is None else retro.finish(), all_out, give)
    c = core.intake.counters
    counters = {"samples": taken, "missing": c.missing, "bridged": c.bridged, "not_finite": c.not_finite}
    return ProcessResult(all_out.records, all_out.steps, all_out.transfers, counters)


def standing_in(chunks: Iterable[TimedBatch], rate_hz: float, alignment: Alignment, second: I64) -> Bool:
    """Which of the UTC seconds ``second`` (m,) surely hold standing, judged over the whole recording without a neutral pose."""
    intake = Intake(rate_hz)
    orientation, context = CausalOrientation(intake.orientation), RetroContext(rate_hz=intake.rate_hz)
    aligner, seconds = AlignStage(alignment), SecondStage(intake.rate_hz)
    at: list[I64] = [np.empty(0, np.int64)]
    for filled in intake.through(chunks):
        for part in orientation.update(filled):
            block = seconds.update(aligner.update(part.filled, part.q_es, seconds.held)[0])
            if block is not None:
                context.add(block)
                at.append(block.second)
    block = seconds.update(None, last=True)
    if block is not None:
        context.add(block)
        at.append(block.second)
    judged = context.finish()
    stands = [(c.posture == POSTURE_CODE["standing"]) & (c.confidence > SURELY_STANDING) for c in judged]
    found = [s[k] for s, k in zip(at[1:], stands, strict=True)]
    out: Bool = np.isin(second, np.concatenate([at[0], *found]))
    return out


def _when(change: tuple[int, Alignment]) -> int:
    return change[0]


def _ignore(_: Samples) -> None:
    return


def _keep(out: CoreOutput, all_out: CoreOutput, give: Callable[[Samples], None]) -> None:
    all_out.records.extend(out.records)
    all_out.steps.extend(out.steps)
    all_out.transfers.extend(out.transfers)
    if out.samples is not None:
        give(out.samples)


@dataclass(frozen=True, slots=True)
class _Held:
    """What is left of a block until its context is known: counts, ``angles`` (2, n) [deg] of tilt and obliquity."""

    light: SecondBlock
    angles: NDArray[np.float32]
    shaken: Bool
    tilt: SecondTilt
    alignment: Alignment


class _RetroRun:
    """Oriented blocks wait, reduced to their angles, until context is known over the whole recording.

    The alignment at the start holds until the next of ``alignments`` does.
    """

    def __init__(
        self, core: Core, give: Callable[[Samples], None], alignments: Sequence[tuple[int, Alignment]] = ()
    ) -> None:
        self.core, self.give = core, give
        self.alignments = list(alignments)
        self.orientation = RetroOrientation(core.intake.orientation)
        core.align.calibrator = self.orientation.calibrator
        known = any(a.has_neutral for a in (core.setup.alignment, *(a for _, a in alignments)))
        self.context = RetroContext(rate_hz=core.intake.rate_hz, neutral_known=known)
        self.gait = RetroGait()
        self.held: list[_Held] = []

    def take(self, filled: Filled) -> None:
        self._take_oriented(self.orientation.update(filled))

    def _take_oriented(self, parts: list[Oriented]) -> None:
        for part in parts:
            for piece, new, complete in holding(part, self.alignments):
                if complete:
                    self._hold(self.core.seconds.update(None, last=True))
                if new is not None:
                    self.core.align.alignment = new
                    self.core.notices.alignment(new.t_utc_ns, new)
                self._take_piece(piece)

    def _take_piece(self, part: Oriented) -> None:
        block, samples = self.core.take_oriented(part)
        self.give(samples)
        self._hold(block)

    def _hold(self, block: SecondBlock | None) -> None:
        if block is None:
            return
        self.context.add(block)
        self.gait.add(block)
        none = np.empty((0, 3))
        light = replace(
            block,
            t_utc_ns=np.empty(0, np.int64),
            acc_p_mps2=none,
            gyr_p_rps=none,
            up_p=none,
            acc_up_mps2=none[:, 0],
            anterior_tilt_deg=none[:, 0],
            obliquity_deg=none[:, 0],
        )
        # Four bytes tell angles to 0.00001 deg, and a day's angles are most of what is held.
        angles = np.stack([block.anterior_tilt_deg, block.obliquity_deg]).astype(np.float32)
        tilt = self.core.tilt_of(block)
        shaken = shaken_seconds(block, tilt.acc_spread_mps2)
        self.held.append(_Held(light, angles, shaken, tilt, self.core.align.alignment))

    def finish(self) -> CoreOutput:
        self.take(self.core.intake.update(None, last=True))
        self._take_oriented(self.orientation.finish())
        self._hold(self.core.seconds.update(None, last=True))
        records: list[Record] = []
        down: set[int] = set()
        judged = self.context.finish()
        transfer_seconds = sorted(t.t_utc_ns // NS_PER_S for t in self.context.transfers)
        for held, context in zip(self.held, judged, strict=True):
            self.core.align.alignment = held.alignment
            n = bisect_right(transfer_seconds, int(held.light.second[-1]))
            tilt_deg, obliquity_deg = held.angles.astype(np.float64)
            block = replace(held.light, anterior_tilt_deg=tilt_deg, obliquity_deg=obliquity_deg)
            self.core.judge(block, held.tilt, context, records, transfer_seconds[:n], held.shaken)
            transfer_seconds = transfer_seconds[n:]
            down |= seconds_down(block.second, context.posture)
        self.core.close(records)
        return CoreOutput(records, None, None, on_feet(self.gait.finish(), down), list(self.context.transfers))
