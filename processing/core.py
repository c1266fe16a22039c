"""Timed samples to records: intake, orientation, alignment, angles, context, metrics, epochs, rules.

The order in which records leave is fixed by the second they belong to, never by how samples were chunked. `Core` knows no
sensor clock and no delivery; `pipeline.py` adds those. Longer than other modules: the order of all stages is told in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, Literal

import numpy as np

from processing.alignment.capture import SetupStep
from processing.alignment.static import Alignment
from processing.coaching import Coach
from processing.context.stage import ContextStage
from processing.context.transfers import Transfer
from processing.features.align import AlignStage
from processing.features.gait import Step
from processing.features.samples import every_sample, joined
from processing.features.seconds import AlignedBatch, SecondStage
from processing.features.shaking import shaken_seconds
from processing.features.tilt import SecondTilt, TiltParams, second_tilt
from processing.frames import tilt_and_obliquity_deg
from processing.gaps import Filled, cut
from processing.intake import Intake
from processing.judging import Judging
from processing.notices import Notices
from processing.orientation.causal import CausalOrientation, Oriented
from processing.orientation.settled import SettledOrientation
from processing.rules.dose import DoseMeter
from processing.rules.study import Study, study_hash
from processing.steps import StepStage
from processing.strides import StrideStage
from processing.types import (
    F64,
    POSTURES,
    Bool,
    ContextBlock,
    Record,
    Samples,
    SecondBlock,
    TimedBatch,
)
from processing.wearing import Wearing, ends_second, spans_minutes

Estimate = Literal["online", "settled"]
"""Causal orientation, or one that waits up to 10 s for what follows (`orientation/settled.py`)."""

_PLAIN = ("intake", "orientation", "align", "wearing", "seconds", "context", "steps", "strides", "coach", "dose")
_STAGES = {name: name for name in _PLAIN} | {
    "rule_epochs": "judging.rule_epochs",
    "minutes": "judging.minutes",
    "changes": "judging.changes",
    "notices": "notices",
}
"""Stages in a snapshot: their name there and here, in the order in which they are restored."""


@dataclass(frozen=True, slots=True)
class CoreSetup:
    """What a stream is: pseudonyms, nominal rate, the alignment in force at its start."""

    wearer: str
    sensor: str
    rate_hz: float
    alignment: Alignment
    estimate: Estimate = "online"


@dataclass(frozen=True, slots=True)
class CoreOutput:
    """What became final: records, the samples behind them, steps, changes of posture; causal samples if asked for."""

    records: list[Record]
    samples: Samples | None
    live: Samples | None = None
    steps: list[Step] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)


class Core:
    """Params / State / update over all stages; see the module."""

    def __init__(self, setup: CoreSetup, study: Study, *, every_sample: bool = False) -> None:
        """``every_sample``: outputs have the angles of all received samples, not of the rows that are computed with."""
        self.setup, self.study, self.study_hash = setup, study, study_hash(study)
        self.intake = Intake(setup.rate_hz, every_sample=every_sample)
        rate, params = self.intake.rate_hz, self.intake.orientation
        self.orientation: CausalOrientation | SettledOrientation = (
            CausalOrientation(params) if setup.estimate == "online" else SettledOrientation(params)
        )
        self.align = AlignStage(setup.alignment, self.orientation.calibrator)
        self.seconds = SecondStage(rate)
        self.context = ContextStage(rate_hz=rate, neutral_known=setup.alignment.has_neutral)
        self.coach = Coach(setup.wearer, setup.sensor, study, self.study_hash)
        self.rules = self.coach.engine
        self.dose = DoseMeter(study)
        self.steps = StepStage()
        self.strides = StrideStage(rate, study.timezone)
        self._tilt_params = TiltParams()
        self.notices = Notices(setup.sensor, self.study_hash)
        self.judging = Judging(rate, self.rules, self.dose, self.notices)
        self.wearing = Wearing(self.align, self.context, self.notices)
        self._started = False
        self.posture: str | None = None

    def update(self, timed: TimedBatch, *, live: bool = False) -> CoreOutput:
        """Take samples later than all before; gives what became final. ``live`` asks for causal angles at once."""
        filled = self.intake.update(timed)
        out = self.update_filled(filled)
        if live and isinstance(self.orientation, SettledOrientation):
            return replace(out, live=self._causal(filled, self.orientation.causal))
        return replace(out, live=out.samples) if live else out

    def update_filled(self, filled: Filled) -> CoreOutput:
        """As `update`, of samples that `intake` has seen."""
        return self._take(self.orientation.update(filled))

    def finish(self, timed: TimedBatch | None = None) -> CoreOutput:
        """The recording ends: close the orientation, the second, the epochs and the rules' watermark.

        ``timed`` are its last samples if they have not been taken yet: their last second then needs no round of its own.
        """
        parts = self.orientation.update(self.intake.update(timed, last=True))
        out = self._take([*parts, *self.orientation.finish()], ends=True)
        self._take_block(self.seconds.update(None, last=True), out)
        out.steps.extend(self.steps.finish())
        self.close(out.records)
        return out

    def _take(self, parts: list[Oriented], *, ends: bool = False) -> CoreOutput:
        """Take all of ``parts``; ``ends``: nothing follows them, so that the second in hand may be closed with the last of them."""
        out = CoreOutput([], None)
        samples: list[Samples] = []
        for i, part in enumerate(parts, 1):
            left: Oriented | None = part
            restless = False
            while left is not None:
                left, restless = self._take_next(left, restless, samples, out, ends=ends and i == len(parts))
        return replace(out, samples=joined(samples))

    def _take_next(
        self, part: Oriented, restless: bool, samples: list[Samples], out: CoreOutput, *, ends: bool
    ) -> tuple[Oriented | None, bool]:
        """Take what comes before the next change of what holds; gives what is left, and whether that goes minute by minute: after a
        finding in the midst of it (``restless``), since another may follow.
        """
        if not len(part.q_es):
            self._announce(part)
            return None, restless
        wearing = self.wearing
        wearing.end_pose(part)
        if wearing.awaits_judgement(part):
            self._take_block(self.seconds.update(None, last=True), out)
        wearing.put_in_force(part)
        self._begin(part)
        rows, pose_ends = wearing.reach(part, to_minute=restless)
        piece, left = _parted(part, rows)
        last = not pose_ends and (ends if left is None else ends_second(piece, left))
        if not spans_minutes(piece):
            self._take_piece(piece, samples, out, last=last)
        elif (found_ns := self._take_minutes(piece, samples, out, last=last)) is not None:
            piece, left = _parted(part, int(np.searchsorted(part.filled.t_utc_ns, found_ns)))
            pose_ends, restless = False, True
            self._take_piece(piece, samples, out, last=True)
        wearing.taken(piece, pose_ends=pose_ends)
        return left, restless

    def _take_piece(self, piece: Oriented, samples: list[Samples], out: CoreOutput, *, last: bool = False) -> None:
        block, angles = self.take_oriented(piece, last=last)
        samples.append(angles)
        self._take_block(block, out)

    def _take_minutes(self, piece: Oriented, samples: list[Samples], out: CoreOutput, *, last: bool) -> int | None:
        """Take samples of several minutes, in which nothing known changes. Where something is found that holds from an instant
        among them, that instant: then nothing was taken. The records are those of a minute at a time, for less.
        """
        stages: tuple[Any, ...] = (self.align, self.seconds, self.context)
        before = [stage.snapshot() for stage in stages]
        aligned, q = self.align.update(piece.filled, piece.q_es, self.seconds.held)
        block = self.seconds.update(aligned, last=last)
        if block is not None:
            begun = self.context.begin(block)
            found_ns = self.wearing.hear_if_still(block, begun.evident(), int(piece.filled.t_utc_ns[-1]))
            if found_ns is not None:
                for stage, state in zip(stages, before, strict=True):
                    stage.restore(state)
                return found_ns
            context = self.context.judge(begun)
        self._announce(piece)
        samples.append(self._samples(piece.filled, aligned, q))
        if block is not None:
            self._take_heard(block, context, out)
        return None

    def _take_block(self, block: SecondBlock | None, out: CoreOutput) -> None:
        if block is None:
            return
        context = self.context.update(block)
        self.wearing.heard(block, context)
        self._take_heard(block, context, out)

    def _take_heard(self, block: SecondBlock, context: ContextBlock, out: CoreOutput) -> None:
        steps = self.steps.update(block, context.posture)
        self.judging.due += self.strides.update(block, steps)
        transfers = self.context.take_transfers()
        found, tilt = [t.found_second for t in transfers], self.tilt_of(block)
        self.judge(block, tilt, context, out.records, found, shaken_seconds(block, tilt.acc_spread_mps2))
        out.steps.extend(steps)
        out.transfers.extend(transfers)

    def take_oriented(self, part: Oriented, *, last: bool = False) -> tuple[SecondBlock | None, Samples]:
        """Align oriented samples and group them into seconds; ``last`` closes the one in hand."""
        self._announce(part)
        aligned, q = self.align.update(part.filled, part.q_es, self.seconds.held)
        block = self.seconds.update(aligned, last=last)
        return block, self._samples(part.filled, aligned, q)

    def _samples(self, filled: Filled, aligned: AlignedBatch, q_es: F64) -> Samples:
        if filled.within is None:
            return aligned.samples(q_es)
        rows = self.align.rows_at(int(filled.t_utc_ns[0])) if len(filled.t_utc_ns) else self.align.alignment.r_ps
        return every_sample(filled, filled.within, aligned, q_es, rows, self.setup.rate_hz)

    def _announce(self, part: Oriented) -> None:
        """Tell what samples bring with them: holes, corrections, the alignment at the start."""
        self.notices.gaps(part.filled.gaps)
        for correction in self.align.new_corrections():
            self.notices.add(correction.from_ns, "calibration", correction.data())
        self._begin(part)

    def _begin(self, part: Oriented) -> None:
        """Tell of the alignment at the first sample of all."""
        if not self._started and len(part.filled.t_utc_ns):
            self._started = True
            first_ns = int(part.filled.t_utc_ns[0])
            self.notices.alignment(first_ns, self.wearing.begin(first_ns))

    def _causal(self, filled: Filled, q_es: F64) -> Samples | None:
        """Angles of the newest samples for the eye: what the records will say of them comes up to 10 s later."""
        if not len(q_es):
            return None
        tilt, obliquity = tilt_and_obliquity_deg(self.align.up_in_pelvis(filled.t_utc_ns, q_es))
        return Samples(filled.t_utc_ns, q_es, tilt, obliquity, ~np.isnan(tilt))

    def tilt_of(self, block: SecondBlock) -> SecondTilt:
        a = self.align.alignment
        return second_tilt(
            block,
            a.uncertainty_deg,
            has_neutral=a.has_neutral,
            params=self._tilt_params,
            acc_offset_sd_mps2=self.align.offset_sd_mps2(block.second),
        )

    def close(self, records: list[Record]) -> None:
        """Close epochs and rules; nothing may follow."""
        self.judging.close(records, self.align.alignment)

    def capture(self, step: SetupStep, t_utc_ns: int, duration_s: float) -> None:
        """Take a step of the guided set-up from the samples that follow ``t_utc_ns`` for ``duration_s``."""
        self.wearing.capture(step, t_utc_ns, duration_s)

    def judge(
        self,
        block: SecondBlock,
        tilt: SecondTilt,
        context: ContextBlock,
        records: list[Record],
        transfer_seconds: Sequence[int],
        shaken: Bool,
    ) -> None:
        """Second by second: epochs that close, then what happened in the second, then its metric."""
        self.judging.take(block, tilt, context, records, transfer_seconds, shaken, self.align.alignment)
        self.posture = POSTURES[int(context.posture[-1])]

    def snapshot(self) -> dict[str, Any]:
        stages = {name: attrgetter(attribute)(self).snapshot() for name, attribute in _STAGES.items()}
        return {**stages, "flags": [self._started, self.posture]}

    def restore(self, state: dict[str, Any]) -> None:
        for name, attribute in _STAGES.items():
            attrgetter(attribute)(self).restore(state[name])
        self._started, self.posture = state["flags"]


def _parted(part: Oriented, rows: int) -> tuple[Oriented, Oriented | None]:
    """The first ``rows`` of it, and what is left if anything is."""
    filled, q = part.filled, part.q_es
    if rows == len(q):
        return part, None
    return Oriented(cut(filled, 0, rows), q[:rows]), Oriented(cut(filled, rows, len(q)), q[rows:])
