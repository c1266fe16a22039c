"""A simulated wearer with any clip, through gaps, orientation, alignment, seconds and context, with `SlipStage` behind: the tests' core."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from processing.alignment.mounts import PendingAlignments, SlipNote
from processing.alignment.slip import SlipStage
from processing.alignment.static import Alignment, align, parse_mount
from processing.batch import blocks
from processing.context.stage import ContextStage
from processing.features.align import AlignStage
from processing.features.seconds import SecondStage
from processing.frames import up_in_sensor
from processing.gaps import Filled, GapParams, GapStage, cut
from processing.orientation.causal import CausalOrientation, OrientationParams
from processing.synthetic import Script, Wearer, bmi270, day_script, render, sample_times
from processing.types import F64, NS_PER_S, ContextBlock, SecondBlock, TimedBatch

T0_NS = 1_789_999_980 * NS_PER_S  # a full minute
MOUNT = "up=+x,anterior=-z"


def recording(
    hours: float, seed: int = 2, rate_hz: float = 50.0, turn: F64 | None = None, turn_from_s: float = 0.0
) -> tuple[Script, TimedBatch]:
    """What a cheap sensor on the simulated wearer reports; ``turn`` (3, 3) turns the clip from ``turn_from_s`` on."""
    script = day_script(T0_NS, hours * 3600.0, Wearer(seed=seed))
    model = bmi270(seed, MOUNT)
    parts: list[TimedBatch] = []
    total = int(hours * 3600.0 * rate_hz)
    for first in range(0, total, round(600 * rate_hz)):
        t = sample_times(T0_NS, min(round(600 * rate_hz), total - first), rate_hz, first)
        truth = render(script, t)
        acc, gyr = model.measure(t, first, truth.acc_p_mps2, truth.gyr_p_rps)
        if turn is not None:
            late = t - T0_NS >= turn_from_s * NS_PER_S
            acc[late], gyr[late] = acc[late] @ turn.T, gyr[late] @ turn.T
        keep = truth.linked
        parts.append(TimedBatch(t[keep], acc[keep], gyr[keep]))
    return script, joined(parts)


def joined(parts: list[TimedBatch]) -> TimedBatch:
    return TimedBatch(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("t_utc_ns", "acc_mps2", "gyr_rps")))


def oriented(batch: TimedBatch, rate_hz: float) -> tuple[Filled, F64]:
    """Filled samples and their causal up in sensor axes."""
    filled = GapStage(GapParams(rate_hz)).update(batch)
    (part,) = CausalOrientation(OrientationParams(rate_hz)).update(filled)
    return filled, up_in_sensor(part.q_es)


def neutral(batch: TimedBatch, rate_hz: float) -> Alignment:
    """The alignment from the quiet ten seconds a script begins with."""
    gravity = batch.acc_mps2[: round(10 * rate_hz)].mean(axis=0)
    return align(parse_mount(MOUNT), gravity, given=True, mount_id="mount-1", t_utc_ns=T0_NS)


@dataclass
class Run:
    """Everything a run gave: notes, blocks with context and the alignment they were judged with."""

    notes: list[SlipNote] = field(default_factory=list)
    blocks: list[tuple[SecondBlock, ContextBlock, Alignment]] = field(default_factory=list)

    @property
    def second(self) -> np.ndarray:
        return np.concatenate([b.second for b, _, _ in self.blocks])

    @property
    def posture(self) -> np.ndarray:
        return np.concatenate([c.posture for _, c, _ in self.blocks])

    @property
    def tilt_deg(self) -> F64:
        return np.concatenate(
            [np.add.reduceat(b.anterior_tilt_deg, b.start[:-1]) / np.diff(b.start) for b, _, _ in self.blocks]
        )


def run(batch: TimedBatch, rate_hz: float, alignment: Alignment, chunk_s: int = 60) -> Run:
    """The chain as the core runs it: findings take effect at their minute."""
    gaps, orientation = GapStage(GapParams(rate_hz)), CausalOrientation(OrientationParams(rate_hz))
    aligner, seconds = AlignStage(alignment), SecondStage(rate_hz)
    context, slip, pending = ContextStage(rate_hz=rate_hz, neutral_known=True), SlipStage(), PendingAlignments()
    out = Run()

    def take(block: SecondBlock | None) -> None:
        if block is None:
            return
        judged = context.update(block)
        notes = slip.update(block, judged, aligner.alignment)
        pending.add(notes)
        out.notes.extend(notes)
        out.blocks.append((block, judged, aligner.alignment))

    for chunk in blocks(batch, chunk_s):
        for part in orientation.update(gaps.update(chunk)):
            filled, q = part.filled, part.q_es
            while (at := pending.cut_at(filled.t_utc_ns)) is not None:
                if at:
                    take(seconds.update(aligner.update(cut(filled, 0, at), q[:at], seconds.held)[0]))
                aligner.alignment = pending.take()
                filled, q = cut(filled, at, len(filled.t_utc_ns)), q[at:]
            if len(q):
                take(seconds.update(aligner.update(filled, q, seconds.held)[0]))
    take(seconds.update(None, last=True))
    return out
