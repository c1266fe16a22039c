"""From flag to prompt, suppression and answer: asks the gate, words the prompt, and says so in events.

A flag's chain is queryable by its id: prompt, suppression, answer and response all carry ``flag_event_id``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from processing.rules.base import EPOCH_NS, LocalClock
from processing.rules.emit import Emitter
from processing.rules.explain import suppression
from processing.rules.gate import REASONS, Compose, HasProgramme, PromptGate, PromptRequest, Waiting
from processing.rules.response import Responses
from processing.rules.study import Study
from processing.types import Json

ANSWER_TEXTS: Final[Mapping[str, str]] = {
    "done": "The exercise was done.",
    "not_now": "The wearer chose: not now.",
    "snooze": "The wearer chose: later.",
    "stop": "The wearer switched prompts off for the day.",
}
CHOSEN: Final = ("red_flag", "questions", "switched_off", "paused")
"""Reasons that a person's word made; they act at once."""
MOST_ANSWERABLE: Final = 8
"""So many prompts are remembered for a late answer."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A prompt that can be answered; ``done`` once its exercise was."""

    prompt_id: str
    flag_id: str
    rule: str
    exercise: Json
    side: Json
    sets: int = 1
    reps: int = 1
    done: bool = False


class Prompting:
    """The gate, the wording, and what the wearer answered."""

    def __init__(
        self, study: Study, compose: Compose, emitter: Emitter, responses: Responses, has_programme: HasProgramme | None
    ) -> None:
        self._compose = compose
        self._trial = study.trial
        self._emitter = emitter
        self._responses = responses
        self._clock = LocalClock(study.timezone)
        self.gate = PromptGate(study, has_programme)
        self._shown: deque[Shown] = deque(maxlen=MOST_ANSWERABLE)

    def raise_flag(self, k: int, rule: str, data: dict[str, Json]) -> None:
        """Emit a flag; it waits for a calm moment, or is suppressed at once."""
        t_utc_ns = k * EPOCH_NS
        waiting = Waiting(self._emitter.emit(t_utc_ns, "flag", rule, data), rule, t_utc_ns)
        reasons = self.gate.blocks(k)
        if reasons:
            self._suppress(t_utc_ns, waiting, reasons)
        else:
            self.gate.waiting = waiting

    def attend(self, k: int, posture: str) -> None:
        """See to the waiting prompt: release it in a calm moment, or let it expire."""
        waiting, due = self.gate.waiting, self.gate.due(k)
        if waiting is None or due is None:
            return
        reasons = ["expired"] if due == "expired" else self.gate.blocks(k, waiting)
        if not reasons and waiting.snoozed_ordinal is None and self._trial.withholds(waiting.flag_id):
            reasons = ["withheld"]  # drawn last: the lot must see only what would have prompted
        if reasons:
            self._suppress(k * EPOCH_NS, waiting, reasons)
            return
        ordinal = self.gate.next_ordinal()
        found: dict[str, Json] = {"flag_event_id": waiting.flag_id, "ordinal": ordinal}
        found |= self._compose(PromptRequest(ordinal, waiting.rule, posture, self._clock.day(k)))
        id_ = self._emitter.emit(k * EPOCH_NS, "prompt", waiting.rule, found, waiting.flag_id)
        self.gate.issued(k, id_, waiting)
        self._responses.prompted(k * EPOCH_NS, id_, waiting.flag_id, waiting.rule)
        sets, reps = found.get("sets"), found.get("reps")
        dose = (sets if isinstance(sets, int) else 1, reps if isinstance(reps, int) else 1)
        self._shown.append(Shown(id_, waiting.flag_id, waiting.rule, found.get("exercise"), found.get("side"), *dose))

    def shown(self, prompt_id: str) -> Shown | None:
        """One of the newest prompts by its id."""
        return next((one for one in self._shown if one.prompt_id == prompt_id), None)

    def mark_done(self, prompt_id: str) -> None:
        """The prompt's exercise stands in the diary."""
        marked = (replace(one, done=True) if one.prompt_id == prompt_id else one for one in self._shown)
        self._shown = deque(marked, maxlen=MOST_ANSWERABLE)

    def hold(self, t_utc_ns: int) -> None:
        """The wearer's mode or health answers changed: a prompt that waits and may no longer come is dropped at once."""
        waiting = self.gate.waiting
        if waiting is None:
            return
        reasons = [r for r in self.gate.blocks(t_utc_ns // EPOCH_NS, waiting) if r in CHOSEN]
        if reasons:
            self._suppress(t_utc_ns, waiting, reasons)

    def answer(self, t_utc_ns: int, prompt_id: str, answer: str, *, tell: bool = True) -> None:
        """Take the wearer's answer; raises ValueError for a word that is none. ``tell`` false: it stands elsewhere."""
        waiting = self.gate.waiting
        stopped = self.gate.answer(t_utc_ns, prompt_id, answer)
        shown = self.shown(prompt_id)
        found: dict[str, Json] = {
            "prompt_event_id": prompt_id or None,
            "flag_event_id": None if shown is None else shown.flag_id,
            "answer": answer,
            "exercise": None if shown is None else shown.exercise,
            "side": None if shown is None else shown.side,
            "text": ANSWER_TEXTS[answer],
        }
        rule = None if shown is None else shown.rule
        about = f"{prompt_id}:{answer}"
        id_ = self._emitter.id_of(t_utc_ns, "answer", rule, about)
        if tell:
            self._emitter.emit(t_utc_ns, "answer", rule, found, about)
        if answer == "done":
            self._responses.done(t_utc_ns, prompt_id, id_)
        if stopped and waiting is not None:
            self._suppress(t_utc_ns, waiting, ["stopped"])

    def finish(self, t_utc_ns: int) -> None:
        """The recording ends."""
        if self.gate.waiting is not None:
            self._suppress(t_utc_ns, self.gate.waiting, ["recording_ended"])

    def _suppress(self, t_utc_ns: int, flag: Waiting, reasons: list[str]) -> None:
        if self.gate.waiting == flag:
            self.gate.waiting = None
        data = suppression(flag.flag_id, reasons, REASONS)
        id_ = self._emitter.emit(t_utc_ns, "suppressed", flag.rule, data, flag.flag_id)
        if flag.snoozed_ordinal is None and reasons[0] != "recording_ended":
            self._responses.suppressed(t_utc_ns, id_, flag.flag_id, flag.rule)

    def snapshot(self) -> dict[str, Any]:
        """State as plain JSON."""
        return {"gate": self.gate.snapshot(), "shown": [asdict(one) for one in self._shown]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a `snapshot`."""
        self.gate.restore(state["gate"])
        self._shown = deque((Shown(**one) for one in state["shown"]), maxlen=MOST_ANSWERABLE)
