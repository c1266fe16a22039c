"""Timed samples to records: gaps, orientation, alignment, angles, context, metrics, epochs, rules.

The order in which records leave is fixed by the second they belong to, never by how samples were chunked. `Core` knows no
sensor clock and no delivery; `pipeline.py` adds those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from processing.alignment.neutral import NeutralCapture
from processing.alignment.static import Alignment
from processing.coaching import rule_engine
from processing.context.stage import ContextStage
from processing.epochs import MinuteEpochs, RuleEpochs, Second
from processing.features.align import AlignStage
from processing.features.seconds import SecondStage
from processing.features.tilt import SecondTilt, TiltParams, second_tilt
from processing.gaps import Filled, GapParams, GapStage
from processing.orientation import OrientationParams, OrientationStage
from processing.rules.dose import DoseMeter
from processing.rules.study import Study, study_hash
from processing.types import (
    F64,
    NS_PER_S,
    POSTURE_CODE,
    POSTURES,
    ContextBlock,
    Event,
    Json,
    Metric,
    Record,
    Samples,
    SecondBlock,
    TimedBatch,
)

_NOT_WORN = POSTURE_CODE["not_worn"]


@dataclass(frozen=True, slots=True)
class CoreSetup:
    """What a stream is: pseudonyms, nominal rate, the alignment in force at its start."""

    wearer: str
    sensor: str
    rate_hz: float
    alignment: Alignment


class Core:
    """Params / State / update over all stages; see the module."""

    def __init__(self, setup: CoreSetup, study: Study) -> None:
        self.setup, self.study, self.study_hash = setup, study, study_hash(study)
        rate = setup.rate_hz
        self.gaps = GapStage(GapParams(rate))
        self.orientation = OrientationStage(OrientationParams(rate))
        self.align = AlignStage(setup.alignment)
        self.seconds = SecondStage(rate)
        self.context = ContextStage(rate_hz=rate, neutral_known=setup.alignment.has_neutral)
        self.rules = rule_engine(setup.sensor, study, self.study_hash)
        self.dose = DoseMeter(study)
        self._tilt_params = TiltParams()
        self._rule_epochs = RuleEpochs(rate)
        self._minutes = MinuteEpochs(rate)
        self._capture = NeutralCapture()
        self._pending: list[Event] = []
        self._started = False
        self._worn = True
        self.posture: str | None = None

    def update(self, timed: TimedBatch) -> tuple[list[Record], Samples]:
        """Take samples later than all before; gives the records that became final and every sample's result."""
        records: list[Record] = []
        samples: list[Samples] = []
        for part in self._capture.split(timed):
            self._finish_capture(part)
            self._capture.take(part)
            filled = self.gaps.update(part)
            q_es = self.orientation.update(filled)
            samples.append(self._samples(filled, q_es, records))
        return records, _join(samples)

    def take_filled(self, filled: Filled, q_es: F64) -> tuple[SecondBlock | None, Samples]:
        """Align oriented samples and group them; used by the retro path, whose quaternions come from elsewhere."""
        self._start_and_report(filled)
        aligned, q = self.align.update(filled, q_es)
        block = self.seconds.update(aligned)
        return block, Samples(aligned.t_utc_ns, q, aligned.anterior_tilt_deg, aligned.obliquity_deg, aligned.valid)

    def _samples(self, filled: Filled, q_es: F64, records: list[Record]) -> Samples:
        block, samples = self.take_filled(filled, q_es)
        if block is not None:
            self.judge(block, self.tilt_of(block), self.context.update(block), records)
        return samples

    def tilt_of(self, block: SecondBlock) -> SecondTilt:
        a = self.align.alignment
        return second_tilt(block, a.uncertainty_deg, has_neutral=a.has_neutral, params=self._tilt_params)

    def finish(self) -> list[Record]:
        """The recording ends: close the second, the epochs and the rules' watermark."""
        records: list[Record] = []
        block = self.seconds.update(None, last=True)
        if block is not None:
            self.judge(block, self.tilt_of(block), self.context.update(block), records)
        self.close(records)
        return records

    def close(self, records: list[Record]) -> None:
        """Close epochs and rules; nothing may follow."""
        records += self._pending
        self._pending = []
        self._advance(None, records)
        records += self.rules.finish()

    def capture_neutral(self, t_utc_ns: int, duration_s: float) -> None:
        """Take the neutral pose from the samples that follow ``t_utc_ns`` for ``duration_s``."""
        self._capture.begin(t_utc_ns, duration_s)

    def judge(self, block: SecondBlock, tilt: SecondTilt, context: ContextBlock, records: list[Record]) -> None:
        """Second by second: epochs that close, then what happened in the second, then its metric."""
        starts = block.start.tolist()
        valid_rows = block.valid
        columns = zip(
            block.second.tolist(),
            context.posture.tolist(),
            context.confidence.tolist(),
            tilt.anterior_tilt_deg.tolist(),
            tilt.obliquity_deg.tolist(),
            tilt.uncertainty_deg.tolist(),
            tilt.coverage.tolist(),
            tilt.quality.tolist(),
            tilt.valid.tolist(),
            tilt.settling.tolist(),
            strict=True,
        )
        for i, (second, code, confidence, a, o, u, coverage, quality, valid, settling) in enumerate(columns):
            rows = slice(starts[i], starts[i + 1])
            tilt_deg, obliquity_deg = block.anterior_tilt_deg[rows], block.obliquity_deg[rows]
            if valid != rows.stop - rows.start:
                keep = valid_rows[rows]
                tilt_deg, obliquity_deg = tilt_deg[keep], obliquity_deg[keep]
            self._advance(Second(second, code, confidence, valid, settling, tilt_deg, obliquity_deg), records)
            self._report_until((second + 1) * NS_PER_S, records)
            self._note_wear(second, code, records)
            measured = valid > 0 and code != _NOT_WORN
            records.append(
                Metric(
                    second * NS_PER_S,
                    a if measured else None,
                    o if measured else None,
                    u if measured else None,
                    POSTURES[code],
                    confidence,
                    coverage,
                    quality,
                )
            )
            self.posture = POSTURES[code]

    def _advance(self, second: Second | None, records: list[Record]) -> None:
        alignment = self.align.alignment
        epoch = self._rule_epochs.add(second, alignment.mount_id, alignment.id)
        if epoch is not None:
            self.dose.update(epoch)
            records += self.rules.update([epoch])
        minute = self._minutes.closing(second)
        records += self._minutes.add(second, None if minute is None else self.dose.take(minute))

    def _start_and_report(self, filled: Filled) -> None:
        if not self._started and len(filled.t_utc_ns):
            self._started = True
            self._pending.append(self._alignment_event(int(filled.t_utc_ns[0]), self.align.alignment))
        for gap in filled.gaps:
            if gap.to_ns - gap.from_ns >= self.gaps.params.report_s * NS_PER_S:
                data: dict[str, Json] = {
                    "from_utc_ns": gap.from_ns,
                    "to_utc_ns": gap.to_ns,
                    "missing_samples": gap.missing,
                    "action": "filter levelled anew; nothing was filled in",
                }
                self._pending.append(self.event(gap.to_ns, "gap", data))

    def _finish_capture(self, part: TimedBatch) -> None:
        done = self._capture.finish(part, self.align.alignment)
        if done is None:
            return
        if isinstance(done.outcome, Alignment):
            self.align.alignment = done.outcome
            self.context.neutral_taken()
            self._pending.append(self._alignment_event(done.t_utc_ns, done.outcome))
        else:
            data: dict[str, Json] = {"outcome": "refused", "reason": done.outcome}
            self._pending.append(self.event(done.t_utc_ns, "alignment", data))

    def _alignment_event(self, t_utc_ns: int, a: Alignment) -> Event:
        data: dict[str, Json] = {
            "outcome": "in force",
            "alignment_id": a.id,
            "mount_id": a.mount_id,
            "method": a.method,
            "r_ps": [list(row) for row in a.r_ps],
            "uncertainty_deg": a.uncertainty_deg,
        }
        return self.event(t_utc_ns, "alignment", data)

    def _report_until(self, end_ns: int, records: list[Record]) -> None:
        while self._pending and self._pending[0].t_utc_ns < end_ns:
            records.append(self._pending.pop(0))

    def _note_wear(self, second: int, code: int, records: list[Record]) -> None:
        worn = code != _NOT_WORN
        if worn != self._worn:
            self._worn = worn
            records.append(self.event(second * NS_PER_S, "wear_on" if worn else "wear_off", {}))

    def add_event(self, event: Event) -> None:
        """Report an event with the second it falls into (clock notes come from outside the core)."""
        self._pending.append(event)

    def event(self, t_utc_ns: int, kind: str, data: dict[str, Json]) -> Event:
        """An event of no rule, with its deterministic id."""
        text = f"{self.setup.sensor}|{kind}|{t_utc_ns}|{self.study_hash}"
        return Event(t_utc_ns, hashlib.sha256(text.encode()).hexdigest()[:16], kind, None, data)

    def snapshot(self) -> dict[str, Any]:
        a = self.align.alignment
        return {
            "gaps": self.gaps.snapshot(),
            "orientation": self.orientation.snapshot(),
            "align": self.align.snapshot(),
            "alignment": [a.id, a.mount_id, a.method, a.r_ps, a.uncertainty_deg, a.t_utc_ns],
            "seconds": self.seconds.snapshot(),
            "context": self.context.snapshot(),
            "rules": self.rules.snapshot(),
            "dose": self.dose.snapshot(),
            "rule_epochs": self._rule_epochs.snapshot(),
            "minutes": self._minutes.snapshot(),
            "capture": self._capture.snapshot(),
            "pending": [[e.t_utc_ns, e.event_id, e.type, e.rule, dict(e.data)] for e in self._pending],
            "flags": [self._started, self._worn, self.posture],
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.gaps.restore(state["gaps"])
        self.orientation.restore(state["orientation"])
        self.align.restore(state["align"])
        identity, mount, method, rows, sigma, t = state["alignment"]
        r_ps = tuple(tuple(row) for row in rows)
        self.align.alignment = Alignment(identity, mount, method, (r_ps[0], r_ps[1], r_ps[2]), sigma, t)
        self.seconds.restore(state["seconds"])
        self.context.restore(state["context"])
        self.rules.restore(state["rules"])
        self.dose.restore(state["dose"])
        self._rule_epochs.restore(state["rule_epochs"])
        self._minutes.restore(state["minutes"])
        self._capture.restore(state["capture"])
        self._pending = [Event(*e) for e in state["pending"]]
        self._started, self._worn, self.posture = state["flags"]


def _join(parts: Sequence[Samples]) -> Samples:
    if len(parts) == 1:
        return parts[0]
    names = ("t_utc_ns", "q_es", "anterior_tilt_deg", "obliquity_deg", "valid")
    return Samples(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))
