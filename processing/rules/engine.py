"""The flag engine: 10 s epochs in any order within the watermark; episodes, flags, prompts, suppressions, responses out.

An epoch is decided once, when the newest one seen is a watermark ahead of it (`arrivals.py`). All state is plain
integers, so that any order, duplication, chunking or restart gives the same events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from processing.rules.arrivals import Arrivals
from processing.rules.asymmetry import Asymmetry, StrideDay
from processing.rules.base import EPOCH_NS, Limits, is_known
from processing.rules.baseline import Baselines
from processing.rules.emit import Emitter
from processing.rules.explain import Origin
from processing.rules.gate import Compose, HasProgramme, PromptGate
from processing.rules.prompting import Prompting, Shown
from processing.rules.response import Responses
from processing.rules.static_posture import STATIC, StaticPosture
from processing.rules.study import Study
from processing.rules.tilt_rules import TiltRules
from processing.types import Event, RuleEpoch

SHAKEN_PERMILLE: Final = 500
"""From this share of shaken seconds on, an epoch counts as shaken (`riding.py`)."""


class RuleEngine:
    """The rules of one sensor. ``compose`` words a prompt (`coaching.rule_engine` builds an engine with it).

    A `snapshot` taken under another study may be restored: the new study then decides from the next epoch on, under its
    own hash.
    """

    def __init__(
        self,
        sensor: str,
        study: Study,
        study_hash: str,
        baselines: Baselines | None,
        *,
        compose: Compose,
        has_programme: HasProgramme | None = None,
    ) -> None:
        limits = Limits.of(study.tilt)
        self._emitter = emitter = Emitter(Origin(sensor, study.version, study_hash))
        self._arrivals = Arrivals(limits.watermark_epochs)
        self._responses = Responses(limits.postures, emitter)
        self._prompting = Prompting(study, compose, emitter, self._responses, has_programme)
        own = Baselines(study) if baselines is None else baselines.copy(study)
        self._tilt = TiltRules(limits, own, emitter, self._prompting.raise_flag)
        self._static = StaticPosture(study)
        self._asymmetry = Asymmetry(study, emitter)

    @property
    def baselines(self) -> Baselines:
        """The wearer's days and thresholds as the engine holds them."""
        return self._tilt.reader.baselines

    @property
    def late(self) -> int:
        """Epochs that came behind the watermark."""
        return self._arrivals.late

    @property
    def duplicates(self) -> int:
        """Epochs that came again."""
        return self._arrivals.duplicates

    def update(self, epochs: Sequence[RuleEpoch]) -> list[Event]:
        """Take epochs; events of all that the watermark has passed, in the order they were decided."""
        for epoch in epochs:
            # After each epoch, not after each call: what counts as late must not depend on the chunks.
            last = self._arrivals.add(epoch)
            if last is not None:
                self._decide_until(last)
        return self._emitter.take()

    def update_strides(self, days: Sequence[StrideDay]) -> list[Event]:
        """Take the strides of finished local days, in order; days known already change nothing."""
        self._asymmetry.update(days)
        return self._emitter.take()

    @property
    def gate(self) -> PromptGate:
        """What holds prompts back now; to look at."""
        return self._prompting.gate

    def shown(self, prompt_id: str) -> Shown | None:
        """One of the newest prompts by its id."""
        return self._prompting.shown(prompt_id)

    def mark_done(self, prompt_id: str) -> None:
        """The prompt's exercise stands in the diary."""
        self._prompting.mark_done(prompt_id)

    def exercised(self, t_utc_ns: int) -> None:
        """An exercise was done without a prompt: the next one keeps its distance, and running comparisons are disturbed."""
        self._prompting.gate.exercised(t_utc_ns)
        self._responses.done(t_utc_ns, "", "")

    def set_mode(self, t_utc_ns: int, mode: str, until_ns: int | None) -> list[Event]:
        """The wearer's choice: training, tracking or stopped, until then (None: until changed)."""
        self._prompting.gate.set_mode(mode, until_ns)
        self._prompting.hold(t_utc_ns)
        return self._emitter.take()

    def set_red_flag(self, t_utc_ns: int, state: str) -> list[Event]:
        """Health questions: "asked" and "stopped" hold prompts back, "" does not."""
        self._prompting.gate.red_flag = state
        self._prompting.hold(t_utc_ns)
        return self._emitter.take()

    def answer(self, t_utc_ns: int, event_id: str, answer: str, *, tell: bool = True) -> list[Event]:
        """The wearer's answer to the prompt ``event_id``: done, not_now, snooze or stop.

        done starts the refractory time anew; snooze offers the newest prompt again later; stop switches prompts off
        for the local day; not_now changes nothing. Raises ValueError for any other word. ``tell`` false: another
        sensor's engine tells it.
        """
        self._prompting.answer(t_utc_ns, event_id, answer, tell=tell)
        return self._emitter.take()

    def finish(self) -> list[Event]:
        """End of a recording: decide all that was received, close the open episode, prompt and comparisons."""
        last = self._arrivals.newest_k
        if last is not None:
            self._decide_until(last)
            self._tilt.finish(last)
            self._prompting.finish((last + 1) * EPOCH_NS)
            self._responses.finish()
        return self._emitter.take()

    def _decide_until(self, last: int) -> None:
        for k, found in self._arrivals.until(last):
            if isinstance(found, RuleEpoch):
                self._decide(k, found)
            else:
                self._miss(k, found)

    def _miss(self, k: int, n: int) -> None:
        """Pass n epochs that never came, from k on: one by one while a timer runs, at once when none does."""
        gate = self._prompting.gate
        while n:
            step = 1 if self._tilt.running or gate.waiting is not None else n
            self._responses.passed(k + step - 1)
            self._tilt.miss(k, step)
            self._static.skip(step)
            gate.skip(step)
            if step == 1:
                self._prompting.attend(k, "unknown")
            k, n = k + step, n - step

    def _decide(self, k: int, epoch: RuleEpoch) -> None:
        mark = self._emitter.mark()
        self._responses.passed(k)
        self._prompting.gate.observe(
            is_known(epoch), epoch.posture, settling=epoch.settling, shaken=epoch.shaken_permille >= SHAKEN_PERMILLE
        )
        if self._tilt.decide(k, epoch) is not None and epoch.tilt_mdeg is not None:
            self._responses.observe(k, epoch.posture, epoch.tilt_mdeg, self._tilt.reader.wearing)
        static = self._static.step(epoch)
        if static is not None:
            mount_id, alignment_id = self._tilt.reader.wearing
            self._prompting.raise_flag(k, STATIC, static | {"mount_id": mount_id, "alignment_id": alignment_id})
        # Two suppressions of one rule and instant would be one point in InfluxDB: the waiting one comes an epoch later.
        if not self._emitter.has_since(mark, "suppressed"):
            self._prompting.attend(k, epoch.posture)

    def snapshot(self) -> dict[str, Any]:
        """State as plain JSON, to be taken between two calls."""
        return {
            "arrivals": self._arrivals.snapshot(),
            "tilt": self._tilt.snapshot(),
            "static": self._static.snapshot(),
            "asymmetry": self._asymmetry.snapshot(),
            "prompting": self._prompting.snapshot(),
            "responses": self._responses.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a `snapshot`."""
        self._arrivals.restore(state["arrivals"])
        self._tilt.restore(state["tilt"])
        self._static.restore(state["static"])
        self._asymmetry.restore(state["asymmetry"])
        self._prompting.restore(state["prompting"])
        self._responses.restore(state["responses"])
        self._emitter.take()
