"""The two tilt rules, `tilt_dose` and `sustained_tilt`, on epochs in order: episodes and flags out.

Holds what they share: the reader (which epochs count), the episode machine, the leaky dose and the trace behind a flag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from processing.rules.base import EPOCH_NS, Limits
from processing.rules.baseline import Baselines
from processing.rules.dose import LeakyDose
from processing.rules.emit import Emitter
from processing.rules.explain import baseline_report, dose_value, evidence, sustained_value, thresholds, window
from processing.rules.reading import Reading, TiltReader
from processing.rules.tilt import ACTIVE, IDLE, Step, TiltMachine
from processing.rules.trace import Trace, Traced
from processing.types import Json, RuleEpoch

DOSE: Final = "tilt_dose"
SUSTAINED: Final = "sustained_tilt"

RaiseFlag: TypeAlias = Callable[[int, str, dict[str, Json]], None]
"""Raise a flag: epoch, rule, data."""


class TiltRules:
    """Steps machine and dose through epochs in order; ``raise_flag`` takes what they find."""

    def __init__(self, limits: Limits, baselines: Baselines, emitter: Emitter, raise_flag: RaiseFlag) -> None:
        self._limits = limits
        self._emitter = emitter
        self._raise_flag = raise_flag
        self.reader = TiltReader(limits, baselines)
        self._machine = TiltMachine(limits)
        self._dose = LeakyDose(limits)
        self._trace = Trace()

    @property
    def running(self) -> bool:
        """Whether an episode, or its beginning, is under way: missing epochs must then pass one by one."""
        return self._machine.phase != IDLE

    def decide(self, k: int, epoch: RuleEpoch) -> Reading | None:
        """One epoch; gives its reading where it was eligible."""
        dose, reader, machine = self._dose, self.reader, self._machine
        dose_before, armed_before, recent_before = dose.udeg_min, dose.armed, reader.recent
        dose.leak()
        reading = reader.read(epoch)
        self._report_baseline()
        if reader.interruption is not None:
            self._end_episode(k, reader.interruption)
            self._trace.clear()
            recent_before = ()
        if reading is None:
            self._end_if_ineligible(k)
            return None
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
        return reading

    def miss(self, k: int, n: int) -> None:
        """Pass n epochs that never came, from k on; n is 1 while `running`."""
        self._dose.leak(n)
        self.reader.skip(n)
        self._end_if_ineligible(k)

    def finish(self, k: int) -> None:
        """The recording ends with epoch k."""
        self._end_episode(k, "recording_ended")
        self.reader.recent = ()
        self._trace.clear()

    def _report_baseline(self) -> None:
        closed = self.reader.baselines.take_closed()
        if closed is not None:
            data = baseline_report(closed, self.reader.baselines, self.reader.wearing[1])
            self._emitter.emit(closed.end_k * EPOCH_NS, "baseline", None, data)

    def _end_if_ineligible(self, k: int) -> None:
        if self.running and self.reader.ineligible_s >= self._limits.max_ineligible_s:
            self._end_episode(k, "ineligible")

    def _step(self, k: int, reading: Reading) -> None:
        machine = self._machine
        step = machine.step(k, reading)
        if step is Step.STARTED:
            self._start_episode(k, reading)
        elif step is Step.ENDED:
            self._end_episode(k, "below")
        elif step is Step.SUSTAINED:
            epochs = self._trace.since(machine.start_k)
            value = sustained_value(self._limits, machine.active_s, reading)
            self._flag(SUSTAINED, k, machine.start_k, value, epochs, reading)
        if self._dose.add(reading):
            epochs = self._trace.since(None)
            value = dose_value(self._limits, self._dose.udeg_min)
            self._flag(DOSE, k, epochs[0].k, value, epochs, reading)

    def _start_episode(self, k: int, reading: Reading) -> None:
        start = self._machine.start_k
        found: dict[str, Json] = {"window": window(start, k), "tilt_deg": reading.tilt_mdeg / 1000}
        found["threshold_deg"] = reading.threshold_mdeg / 1000
        found |= thresholds(self.reader.baselines)
        self._emitter.emit(start * EPOCH_NS, "episode_start", SUSTAINED, found)

    def _end_episode(self, k: int, reason: str) -> None:
        machine, emitter = self._machine, self._emitter
        if machine.phase == ACTIVE:
            started = emitter.id_of(machine.start_k * EPOCH_NS, "episode_start", SUSTAINED)
            found: dict[str, Json] = {"episode_event_id": started, "reason": reason, "active_s": machine.active_s}
            found["window"] = window(machine.start_k, k)
            emitter.emit(k * EPOCH_NS, "episode_end", SUSTAINED, found)
        machine.reset()

    def _flag(
        self, rule: str, k: int, first_k: int, value: dict[str, Json], epochs: list[Traced], reading: Reading
    ) -> None:
        mount_id, alignment_id = self.reader.wearing
        found = value | evidence(self._limits, epochs, reading) | thresholds(self.reader.baselines)
        found |= {"window": window(first_k, k), "mount_id": mount_id, "alignment_id": alignment_id}
        self._raise_flag(k, rule, found)

    def snapshot(self) -> dict[str, Any]:
        """State as plain JSON."""
        machine, dose = self._machine, self._dose
        return {
            "machine": [machine.phase, machine.start_k, machine.on_s, machine.active_s, machine.below_s],
            "dose": [dose.udeg_min, dose.armed],
            "reader": self.reader.snapshot(),
            "trace": self._trace.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a `snapshot`."""
        machine, dose = self._machine, self._dose
        machine.phase, machine.start_k, machine.on_s, machine.active_s, machine.below_s = state["machine"]
        dose.udeg_min, dose.armed = state["dose"]
        self.reader.restore(state["reader"])
        self._trace.restore(state["trace"])
