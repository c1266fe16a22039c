"""The flag engine: 10 s epochs in any order within the watermark; episodes, flags, prompts and suppressions out.

An epoch is decided once, when the newest one seen is a watermark ahead of it. What comes later is counted and never
re-decides. All state is plain integers, so that any order, duplication, chunking or restart gives the same events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any, Final

from processing.rules.base import EPOCH_NS, HOUR_EPOCHS, Limits, event_id, is_known
from processing.rules.baseline import Baselines
from processing.rules.dose import LeakyDose
from processing.rules.explain import Origin, dose_value, evidence, suppression, sustained_value, thresholds, window
from processing.rules.gate import REASONS, Compose, PromptGate, PromptRequest, Waiting
from processing.rules.reading import Reading, TiltReader
from processing.rules.study import Study
from processing.rules.tilt import ACTIVE, IDLE, Step, TiltMachine
from processing.rules.trace import Trace, Traced
from processing.types import Event, Json, RuleEpoch

DOSE: Final = "tilt_dose"
SUSTAINED: Final = "sustained_tilt"
_HOUR_MASK: Final = (1 << HOUR_EPOCHS) - 1


class RuleEngine:
    """The rules of one sensor. ``compose`` words a prompt (`coaching.rule_engine` builds an engine with it).

    ``late`` counts epochs that came behind the watermark, ``duplicates`` those that came again. A `snapshot` taken
    under another study may be restored: the new study then decides from the next epoch on, under its own hash.
    """

    def __init__(
        self, sensor: str, study: Study, study_hash: str, baselines: Baselines | None, *, compose: Compose
    ) -> None:
        self._origin = Origin(sensor, study.version, study_hash)
        self._limits = limits = Limits.of(study.tilt)
        self._compose = compose
        self._reader = TiltReader(limits, Baselines(study) if baselines is None else baselines.copy(study))
        self._machine = TiltMachine(limits)
        self._dose = LeakyDose(limits)
        self._gate = PromptGate(study)
        self._trace = Trace()
        self._held: dict[int, RuleEpoch] = {}
        self._next_k: int | None = None  # the next epoch to decide; may still move back until the first decision
        self._newest_k = 0
        self._deciding = False
        self._seen = 0  # one bit per epoch of the last hour: tells a duplicate from a late one
        self._out: list[Event] = []
        self.late = 0
        self.duplicates = 0

    @property
    def baselines(self) -> Baselines:
        """The wearer's days and thresholds as the engine holds them."""
        return self._reader.baselines

    def update(self, epochs: Sequence[RuleEpoch]) -> list[Event]:
        """Take epochs; events of all that the watermark has passed, in the order they were decided."""
        held, behind = self._held, self._limits.watermark_epochs
        for epoch in epochs:
            k = epoch.k
            first = self._next_k
            if first is None:
                first = self._next_k = self._newest_k = k
            elif k < first:
                if self._deciding:
                    self._count_behind(first - k)
                    continue
                first = self._next_k = k
            twin = held.get(k)
            if twin is not None:
                self.duplicates += 1
                if twin is not epoch and _rank(epoch) <= _rank(twin):
                    continue
            held[k] = epoch
            self._newest_k = max(self._newest_k, k)
            # After each epoch, not after each call: what counts as late must not depend on the chunks.
            if self._newest_k - behind >= first:
                self._decide_until(self._newest_k - behind)
        return self._take()

    def answer(self, t_utc_ns: int, event_id: str, answer: str) -> list[Event]:
        """The wearer's answer to the prompt ``event_id``: done, not_now, snooze or stop.

        done starts the refractory time anew; snooze offers the newest prompt again later; stop switches prompts off
        for the local day; not_now changes nothing. Raises ValueError for any other word.
        """
        waiting = self._gate.waiting
        if self._gate.answer(t_utc_ns, event_id, answer) and waiting is not None:
            self._suppress(t_utc_ns, waiting, ["stopped"])
        return self._take()

    def finish(self) -> list[Event]:
        """End of a recording: decide all that was received, close the open episode and the waiting prompt."""
        if self._next_k is not None:
            self._decide_until(self._newest_k)
            self._end_episode(self._newest_k, "recording_ended")
            self._reader.recent = ()
            self._trace.clear()
            if self._gate.waiting is not None:
                self._suppress((self._newest_k + 1) * EPOCH_NS, self._gate.waiting, ["recording_ended"])
        return self._take()

    def _take(self) -> list[Event]:
        out, self._out = self._out, []
        return out

    def _count_behind(self, distance: int) -> None:
        if distance <= HOUR_EPOCHS and self._seen >> (distance - 1) & 1:
            self.duplicates += 1
        else:
            self.late += 1

    def _decide_until(self, last: int) -> None:
        held = self._held
        k = self._next_k
        self._deciding = True
        while k is not None and k <= last:
            epoch = held.pop(k, None)
            if epoch is None:
                present = min(min(held, default=last + 1), last + 1)
                self._miss(k, present - k)
                k = present
            else:
                self._decide(k, epoch)
                k += 1
            self._next_k = k

    def _miss(self, k: int, n: int) -> None:
        """Pass n epochs that never came, from k on: one by one while a timer runs, at once when none does."""
        self._seen = self._seen << min(n, HOUR_EPOCHS) & _HOUR_MASK
        while n and (self._machine.phase != IDLE or self._gate.waiting is not None):
            self._dose.leak()
            self._gate.skip(1)
            self._reader.skip(1)
            self._end_if_ineligible(k)
            self._attend(k, "unknown")
            k, n = k + 1, n - 1
        if n:
            self._dose.leak(n)
            self._gate.skip(n)
            self._reader.skip(n)

    def _end_if_ineligible(self, k: int) -> None:
        if self._machine.phase != IDLE and self._reader.ineligible_s >= self._limits.max_ineligible_s:
            self._end_episode(k, "ineligible")

    def _decide(self, k: int, epoch: RuleEpoch) -> None:
        self._seen = (self._seen << 1 | 1) & _HOUR_MASK
        self._gate.observe(is_known(epoch), epoch.posture)
        dose, reader, machine = self._dose, self._reader, self._machine
        dose_before, armed_before, recent_before = dose.udeg_min, dose.armed, reader.recent
        dose.leak()
        reading = reader.read(epoch)
        emitted = len(self._out)
        if reader.interruption is not None:
            self._end_episode(k, reader.interruption)
            self._trace.clear()
            recent_before = ()
        if reading is None:
            self._end_if_ineligible(k)
        else:
            self._trace.add(
                Traced(
                    k,
                    epoch.posture,
                    epoch.coverage_permille,
                    epoch.confidence_permille,
                    reader.recent[-1],
                    reading.threshold_mdeg,
                    dose_before,
                    armed_before,
                    recent_before,
                    machine.phase,
                    machine.on_s,
                    machine.active_s,
                    machine.below_s,
                )
            )
            self._step(k, reading)
        # Two suppressions of one rule and instant would be one point in InfluxDB: the waiting one comes an epoch later.
        if self._gate.waiting is not None and not any(e.type == "suppressed" for e in self._out[emitted:]):
            self._attend(k, epoch.posture)

    def _step(self, k: int, reading: Reading) -> None:
        step = self._machine.step(k, reading)
        if step is Step.STARTED:
            self._start_episode(k, reading)
        elif step is Step.ENDED:
            self._end_episode(k, "below")
        elif step is Step.SUSTAINED:
            epochs = self._trace.since(self._machine.start_k)
            value = sustained_value(self._limits, self._machine.active_s, reading)
            self._flag(SUSTAINED, k, self._machine.start_k, value, epochs, reading)
        if self._dose.add(reading):
            epochs = self._trace.since(None)
            value = dose_value(self._limits, self._dose.udeg_min)
            self._flag(DOSE, k, epochs[0].k, value, epochs, reading)

    def _emit(self, t_utc_ns: int, type_: str, rule: str, data: dict[str, Json], about: str = "") -> str:
        """Emit an event and return its id; ``about`` tells apart what one rule says at one instant."""
        kind = f"{type_}:{rule}:{about}" if about else f"{type_}:{rule}"
        id_ = event_id(self._origin.sensor, kind, t_utc_ns, self._origin.study_hash)
        self._out.append(Event(t_utc_ns, id_, type_, rule, self._origin.of(rule) | data))
        return id_

    def _start_episode(self, k: int, reading: Reading) -> None:
        start = self._machine.start_k
        found: dict[str, Json] = {"window": window(start, k), "tilt_deg": reading.tilt_mdeg / 1000}
        found["threshold_deg"] = reading.threshold_mdeg / 1000
        self._emit(start * EPOCH_NS, "episode_start", SUSTAINED, found | thresholds(self.baselines))

    def _end_episode(self, k: int, reason: str) -> None:
        machine, origin = self._machine, self._origin
        if machine.phase == ACTIVE:
            start_ns = machine.start_k * EPOCH_NS
            started = event_id(origin.sensor, f"episode_start:{SUSTAINED}", start_ns, origin.study_hash)
            found: dict[str, Json] = {"episode_event_id": started, "reason": reason, "active_s": machine.active_s}
            found["window"] = window(machine.start_k, k)
            self._emit(k * EPOCH_NS, "episode_end", SUSTAINED, found)
        machine.reset()

    def _flag(
        self, rule: str, k: int, first_k: int, value: dict[str, Json], epochs: list[Traced], reading: Reading
    ) -> None:
        mount_id, alignment_id = self._reader.wearing
        found = value | evidence(self._limits, epochs, reading) | thresholds(self.baselines)
        found |= {"window": window(first_k, k), "mount_id": mount_id, "alignment_id": alignment_id}
        waiting = Waiting(self._emit(k * EPOCH_NS, "flag", rule, found), rule, k * EPOCH_NS)
        reasons = self._gate.blocks(k)
        if reasons:
            self._suppress(k * EPOCH_NS, waiting, reasons)
        else:
            self._gate.waiting = waiting

    def _attend(self, k: int, posture: str) -> None:
        """See to the waiting prompt: release it in a calm moment, or let it expire."""
        waiting, due = self._gate.waiting, self._gate.due(k)
        if waiting is None or due is None:
            return
        reasons = ["expired"] if due == "expired" else self._gate.blocks(k, waiting)
        if reasons:
            self._suppress(k * EPOCH_NS, waiting, reasons)
            return
        ordinal = self._gate.next_ordinal()
        found: dict[str, Json] = {"flag_event_id": waiting.flag_id, "ordinal": ordinal}
        found |= self._compose(PromptRequest(ordinal, waiting.rule, posture))
        id_ = self._emit(k * EPOCH_NS, "prompt", waiting.rule, found, waiting.flag_id)
        self._gate.issued(k, id_, waiting)

    def _suppress(self, t_utc_ns: int, flag: Waiting, reasons: list[str]) -> None:
        if self._gate.waiting == flag:
            self._gate.waiting = None
        self._emit(t_utc_ns, "suppressed", flag.rule, suppression(flag.flag_id, reasons, REASONS), flag.flag_id)

    def snapshot(self) -> dict[str, Any]:
        """State as plain JSON, to be taken between two calls."""
        machine, dose = self._machine, self._dose
        return {
            "held": [list(astuple(self._held[k])) for k in sorted(self._held)],
            "next_k": self._next_k,
            "newest_k": self._newest_k,
            "deciding": self._deciding,
            "seen": f"{self._seen:x}",
            "counts": [self.late, self.duplicates],
            "machine": [machine.phase, machine.start_k, machine.on_s, machine.active_s, machine.below_s],
            "dose": [dose.udeg_min, dose.armed],
            "reader": self._reader.snapshot(),
            "gate": self._gate.snapshot(),
            "trace": self._trace.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a `snapshot`."""
        self._held = {epoch.k: epoch for epoch in (RuleEpoch(*row) for row in state["held"])}
        self._next_k, self._newest_k, self._deciding = state["next_k"], state["newest_k"], state["deciding"]
        self._seen = int(state["seen"], 16)
        self.late, self.duplicates = state["counts"]
        machine, dose = self._machine, self._dose
        machine.phase, machine.start_k, machine.on_s, machine.active_s, machine.below_s = state["machine"]
        dose.udeg_min, dose.armed = state["dose"]
        self._reader.restore(state["reader"])
        self._gate.restore(state["gate"])
        self._trace.restore(state["trace"])
        self._out = []


def _rank(epoch: RuleEpoch) -> tuple[int, int, str]:
    """Two different epochs of one k: the better covered one counts, whichever comes first."""
    return epoch.coverage_permille, epoch.confidence_permille, repr(epoch)
