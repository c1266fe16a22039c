"""From flag to prompt or suppression: when a flag may reach the wearer, and when it must not.

A flag that passes the checks waits until the wearer stands or sits still for a moment, so that nobody is prompted in
mid-stride; it expires if that does not happen. The checks are made again on release: quiet hours may have begun.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

from processing.rules.base import EPOCH_NS, HOUR_EPOCHS, LocalClock, epochs_in
from processing.rules.riding import Riding
from processing.rules.study import Study
from processing.types import NS_PER_S, Json

REASONS: Final[Mapping[str, str]] = {
    "red_flag": "Prompts are off until you have talked with a professional.",
    "questions": "A few health questions wait for your answer.",
    "tracking": "The study only records; nothing prompts.",
    "stopped": "Prompts were switched off for this day.",
    "switched_off": "You switched prompts off.",
    "paused": "You chose recording only.",
    "no_programme": "No exercise has been set yet; ask your therapist.",
    "coverage": "Too little of the last hour was measured.",
    "refractory": "A prompt or an exercise was not long ago.",
    "pending": "Another prompt is already waiting.",
    "budget": "The day's prompts are used up.",
    "quiet": "It is quiet time.",
    "riding": "It felt like a ride in a car, bus or train.",
    "withheld": "Your study leaves some prompts out by lot, and this was one.",
    "expired": "There was no calm moment of standing or sitting.",
    "recording_ended": "The recording ended first.",
}
"""Why a flag led to no prompt, in the order of the checks, with a sentence for the wearer."""
CALM_POSTURES: Final = frozenset({"standing", "sitting"})
ANSWERS: Final = ("done", "not_now", "snooze", "stop")
_HOUR_MASK: Final = (1 << HOUR_EPOCHS) - 1


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """What the coaching needs to word a prompt. ``ordinal`` counts this sensor's prompts and turns the programme."""

    ordinal: int
    rule: str
    posture: str
    day: str = ""  # the wearer's local date: which version of the programme holds


HasProgramme: TypeAlias = Callable[[str], bool]
"""Whether a programme with any exercise holds on a local day."""
Compose: TypeAlias = Callable[[PromptRequest], Mapping[str, Json]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A flag whose prompt waits for a calm moment, from ``since_ns`` on. A snoozed one is offered again."""

    flag_id: str
    rule: str
    since_ns: int
    snoozed_ordinal: int | None = None


class PromptGate:
    """Memory of the last hour, the last prompt, the day's budget and the waiting prompt."""

    def __init__(self, study: Study, has_programme: HasProgramme | None = None) -> None:
        self._rule = study.prompt
        self._has_programme = has_programme or (lambda _: bool(study.programme))
        self._clock = LocalClock(study.timezone)
        self._calm_epochs = epochs_in(self._rule.settle_s)
        self._known = 0  # one bit per epoch of the last hour
        self._calm = 0
        self._refractory_from_ns: int | None = None  # last prompt or finished exercise
        self._budget: tuple[str, int] = ("", 0)
        self._stopped_day = ""
        self._ordinal = 0
        self._last: tuple[str, Waiting] | None = None  # id of the newest prompt, and what it was for
        self.waiting: Waiting | None = None
        self.mode = "training"  # what the wearer chose; until None it holds until changed
        self._mode_until_ns: int | None = None
        self.red_flag = ""  # "asked": health questions wait; "stopped": a yes among the answers
        self._riding = Riding()

    def observe(self, known: bool, posture: str, *, settling: bool = False, shaken: bool = False) -> None:
        """Pass one epoch that is present. While the filter settles nobody is calm: nothing is known of the last moments."""
        self._known = (self._known << 1 | known) & _HOUR_MASK
        self._calm = self._calm + 1 if known and not settling and posture in CALM_POSTURES else 0
        self._riding.observe(posture, shaken)

    def skip(self, n: int) -> None:
        """Pass n missing epochs."""
        self._known = (self._known << min(n, HOUR_EPOCHS)) & _HOUR_MASK
        self._calm = 0
        self._riding.skip(n)

    def set_mode(self, mode: str, until_ns: int | None) -> None:
        """The wearer's choice: training, tracking or stopped, until then. Training also ends a day's stop."""
        self.mode, self._mode_until_ns = mode, until_ns
        if mode == "training":
            self._stopped_day = ""

    def _mode_at(self, now_ns: int) -> str:
        over = self._mode_until_ns is not None and now_ns >= self._mode_until_ns
        return "training" if over else self.mode

    def exercised(self, t_utc_ns: int) -> None:
        """An exercise was done: the next prompt keeps its distance."""
        self._refractory_from_ns = max(t_utc_ns, self._refractory_from_ns or t_utc_ns)

    def blocks(self, k: int, waiting: Waiting | None = None) -> list[str]:
        """Reasons against a prompt at epoch k, in the order of the checks; for a new flag or for the one that waits."""
        rule, now_ns = self._rule, k * EPOCH_NS
        since = None if self._refractory_from_ns is None else now_ns - self._refractory_from_ns
        snoozed = waiting is not None and waiting.snoozed_ordinal is not None
        day = self._clock.day(k)
        prompted = self._budget[1] if self._budget[0] == day else 0
        mode = self._mode_at(now_ns)
        against = {
            "red_flag": self.red_flag == "stopped",
            "questions": self.red_flag == "asked",
            "tracking": rule.mode == "tracking",
            "stopped": day <= self._stopped_day,
            "switched_off": mode == "stopped",
            "paused": mode == "tracking",
            "no_programme": not self._has_programme(day),
            "coverage": self._known.bit_count() * 1000 < round(rule.min_known * 1000) * HOUR_EPOCHS,
            # A snoozed prompt was asked for by the wearer: its own first showing does not hold it back.
            "refractory": since is not None and since < rule.refractory_s * NS_PER_S and not snoozed,
            "pending": waiting is None and self.waiting is not None,
            "budget": prompted >= rule.budget_per_day,
            "quiet": self._clock.is_quiet(k, rule),
            "riding": self._riding.now,
        }
        return [reason for reason in REASONS if against.get(reason)]

    def due(self, k: int) -> str | None:
        """What becomes of the waiting flag at epoch k: "release", "expired" or None (wait on)."""
        waiting = self.waiting
        if waiting is None or k * EPOCH_NS < waiting.since_ns:
            return None
        if k * EPOCH_NS - waiting.since_ns >= self._rule.expire_s * NS_PER_S:
            return "expired"
        return "release" if self._calm >= self._calm_epochs else None

    def next_ordinal(self) -> int:
        """Ordinal of the prompt about to be issued: a snoozed one shows the same exercise again."""
        waiting = self.waiting
        return self._ordinal if waiting is None or waiting.snoozed_ordinal is None else waiting.snoozed_ordinal

    def issued(self, k: int, prompt_id: str, waiting: Waiting) -> None:
        """Count a prompt that was just issued at epoch k."""
        ordinal = self.next_ordinal()
        day = self._clock.day(k)
        self._budget = (day, self._budget[1] + 1 if self._budget[0] == day else 1)
        self._refractory_from_ns = k * EPOCH_NS
        self._ordinal = max(self._ordinal, ordinal + 1)
        self._last = (prompt_id, Waiting(waiting.flag_id, waiting.rule, waiting.since_ns, ordinal))
        self.waiting = None

    def answer(self, t_utc_ns: int, prompt_id: str, answer: str) -> bool:
        """Take the wearer's answer; True where the waiting prompt must now be dropped.

        It acts at once, on whatever is decided next: somebody who says stop must not be prompted by the two minutes
        that still lie behind the watermark.
        """
        if answer not in ANSWERS:
            raise ValueError(f"answer {answer!r} is not known; use one of {', '.join(ANSWERS)}")
        if answer == "done":
            self.exercised(t_utc_ns)
            if self.waiting is not None and self.waiting.snoozed_ordinal is not None:
                self.waiting = None  # what was to be shown again has been done meanwhile
        elif answer == "stop":
            self._stopped_day = self._clock.day(t_utc_ns // EPOCH_NS)
            return self.waiting is not None
        elif answer == "snooze" and self.waiting is None and self._last is not None and self._last[0] == prompt_id:
            shown = self._last[1]
            again_ns = t_utc_ns + self._rule.snooze_s * NS_PER_S
            self.waiting = Waiting(shown.flag_id, shown.rule, again_ns, shown.snoozed_ordinal)
        return False

    def snapshot(self) -> dict[str, Any]:
        """State as plain JSON."""
        last = self._last
        return {
            "known": f"{self._known:x}",
            "calm": self._calm,
            "refractory_from_ns": self._refractory_from_ns,
            "budget": list(self._budget),
            "stopped_day": self._stopped_day,
            "ordinal": self._ordinal,
            "last": None if last is None else [last[0], asdict(last[1])],
            "waiting": None if self.waiting is None else asdict(self.waiting),
            "mode": [self.mode, self._mode_until_ns],
            "red_flag": self.red_flag,
            "riding": self._riding.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a `snapshot`."""
        self._known = int(state["known"], 16)
        self._calm = state["calm"]
        self._refractory_from_ns = state["refractory_from_ns"]
        self._budget = (state["budget"][0], state["budget"][1])
        self._stopped_day = state["stopped_day"]
        self._ordinal = state["ordinal"]
        last = state["last"]
        self._last = None if last is None else (last[0], Waiting(**last[1]))
        self.waiting = None if state["waiting"] is None else Waiting(**state["waiting"])
        self.mode, self._mode_until_ns = state["mode"]
        self.red_flag = state["red_flag"]
        self._riding.restore(state["riding"])
