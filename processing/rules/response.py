"""What followed an exercise: tilt before a prompt against tilt after the wearer has done it, and honest words for it.

Compared are medians over eligible epochs of one posture, on one mount and neutral: `BEFORE` the prompt, and `AFTER` the
exercise with a pause in between. A flag that led to no prompt is compared in the same way, as the wearer's own control:
prompts come when tilt is high, and what is high tends to fall by itself. One comparison shows little; the tally says more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, TypeAlias

from processing.rules.base import EPOCH_NS
from processing.rules.compare import DISTURBED, INSUFFICIENT, Row, compare, in_words, middle
from processing.rules.emit import Emitter
from processing.rules.study import UPRIGHT
from processing.types import NS_PER_S, Json

MINUTE_NS: Final = 60 * NS_PER_S
BEFORE_NS: Final = 30 * MINUTE_NS
PAUSE_NS: Final = 5 * MINUTE_NS
AFTER_NS: Final = 30 * MINUTE_NS
MOST_PENDING: Final = 4
MOST_TALLIED: Final = 50


Wearing: TypeAlias = tuple[str, str]


@dataclass(slots=True)
class _Comparison:
    """One comparison in the making. ``until_ns`` None: the prompt is out and the exercise not done yet."""

    about: str  # the prompt's or the suppression's id
    flag_id: str
    rule: str
    from_ns: int
    wearing: Wearing
    before: list[Row]
    group: str = "exercise"
    done_ns: int | None = None
    answer_id: str | None = None
    disturbed: bool = False
    after: list[Row] = field(default_factory=list)

    @property
    def until_ns(self) -> int | None:
        return None if self.done_ns is None else self.done_ns + PAUSE_NS + AFTER_NS


class Responses:
    """Eligible epochs in; a `response` event when a comparison's time is over. ``postures`` in the study's order."""

    def __init__(self, postures: Sequence[str], emitter: Emitter) -> None:
        self._postures = tuple(postures) or UPRIGHT  # a study without tilt postures compares nothing, and says so
        self._emitter = emitter
        self._recent: deque[Row] = deque(maxlen=BEFORE_NS // EPOCH_NS)
        self._wearing: Wearing = ("", "")
        self._pending: deque[_Comparison] = deque(maxlen=MOST_PENDING)
        self._open: list[_Comparison] = []
        self._last_done_ns: int | None = None
        self._last_prompt_ns: int | None = None
        self._tally: dict[str, list[int]] = {"exercise": [], "control": []}

    def observe(self, k: int, posture: str, tilt_mdeg: int, wearing: Wearing) -> None:
        """One eligible epoch, in order."""
        if wearing != self._wearing:
            self._wearing = wearing
            self._recent.clear()
        row = (k, posture, tilt_mdeg)
        self._recent.append(row)
        start_ns, end_ns = k * EPOCH_NS, (k + 1) * EPOCH_NS
        for one in self._open:
            if one.wearing == wearing and one.done_ns is not None:
                first_ns = one.done_ns + PAUSE_NS
                if first_ns <= start_ns and end_ns <= first_ns + AFTER_NS:
                    one.after.append(row)

    def passed(self, k: int) -> None:
        """Epochs before k are decided: tell what is complete."""
        if not self._open:
            return
        now_ns = k * EPOCH_NS
        left: list[_Comparison] = []
        for one in sorted(self._open, key=_in_order):
            if one.until_ns is not None and one.until_ns <= now_ns:
                self._tell(one)
            else:
                left.append(one)
        self._open = left

    def prompted(self, t_utc_ns: int, prompt_id: str, flag_id: str, rule: str) -> None:
        """A prompt is out: keep what was before it, for when its exercise is done."""
        for one in self._open:
            one.disturbed |= one.group == "control"
        self._last_prompt_ns = t_utc_ns
        self._pending.append(self._begin(t_utc_ns, prompt_id, flag_id, rule))

    def suppressed(self, t_utc_ns: int, suppressed_id: str, flag_id: str, rule: str) -> None:
        """A flag led to no prompt: the same comparison without an exercise."""
        one = self._begin(t_utc_ns, suppressed_id, flag_id, rule)
        one.group, one.done_ns = "control", t_utc_ns
        # Soon after a prompt the wearer may still act on it, answered or not.
        one.disturbed |= self._last_prompt_ns is not None and self._last_prompt_ns >= t_utc_ns - BEFORE_NS
        self._open.append(one)

    def done(self, t_utc_ns: int, prompt_id: str, answer_id: str) -> None:
        """The exercise of a prompt is done; its comparison starts, and every other one is disturbed by it."""
        mine = next((one for one in self._pending if one.about == prompt_id), None)
        for one in (*self._pending, *self._open):
            one.disturbed |= one is not mine and (one.until_ns is None or t_utc_ns < one.until_ns)
        self._last_done_ns = max(t_utc_ns, self._last_done_ns or t_utc_ns)
        if mine is not None:
            self._pending.remove(mine)
            mine.done_ns, mine.answer_id = t_utc_ns, answer_id
            self._open.append(mine)

    def finish(self) -> None:
        """The recording ends: tell what there is."""
        for one in sorted(self._open, key=_in_order):
            self._tell(one)
        self._open = []

    def _begin(self, t_utc_ns: int, about: str, flag_id: str, rule: str) -> _Comparison:
        first_ns = t_utc_ns - BEFORE_NS
        before = [row for row in self._recent if first_ns <= row[0] * EPOCH_NS and (row[0] + 1) * EPOCH_NS <= t_utc_ns]
        one = _Comparison(about, flag_id, rule, t_utc_ns, self._wearing, before)
        one.disturbed = self._last_done_ns is not None and self._last_done_ns >= first_ns
        return one

    def _tell(self, one: _Comparison) -> None:
        done_ns = one.from_ns if one.done_ns is None else one.done_ns
        found = compare(self._postures, one.before, one.after)
        if one.disturbed:
            found = replace(found, outcome=INSUFFICIENT, reason=DISTURBED)
        elif found.delta_mdeg is not None:
            tally = self._tally[one.group]
            tally.append(found.delta_mdeg)
            del tally[:-MOST_TALLIED]
        data: dict[str, Json] = {
            "flag_event_id": one.flag_id,
            "about_event_id": one.about,
            "answer_event_id": one.answer_id,
            "group": one.group,
            "outcome": found.outcome,
            "reason": found.reason,
            "text": in_words(one.group, found),
            "window_before": _span(one.from_ns - BEFORE_NS, one.from_ns),
            "window_after": _span(done_ns + PAUSE_NS, done_ns + PAUSE_NS + AFTER_NS),
            "mount_id": one.wearing[0],
            "alignment_id": one.wearing[1],
            "posture": found.posture,
            "delta_deg": _deg(found.delta_mdeg),
            "se_deg": _deg(found.se_mdeg),
            "limit_deg": _deg(found.limit_mdeg),
            "before": dict(found.before),
            "after": dict(found.after),
            "so_far": {group: _tallied(deltas) for group, deltas in self._tally.items()},
        }
        self._emitter.emit(done_ns, "response", one.rule, data, one.about)

    def snapshot(self) -> dict[str, Any]:
        """State as plain JSON."""
        return {
            "recent": [list(row) for row in self._recent],
            "wearing": list(self._wearing),
            "pending": [asdict(one) for one in self._pending],
            "open": [asdict(one) for one in self._open],
            "last": [self._last_done_ns, self._last_prompt_ns],
            "tally": {group: list(deltas) for group, deltas in self._tally.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a `snapshot`."""
        self._recent = deque((_row(r) for r in state["recent"]), maxlen=self._recent.maxlen)
        self._wearing = (state["wearing"][0], state["wearing"][1])
        self._pending = deque((_comparison(one) for one in state["pending"]), maxlen=MOST_PENDING)
        self._open = [_comparison(one) for one in state["open"]]
        self._last_done_ns, self._last_prompt_ns = state["last"]
        self._tally = {group: list(deltas) for group, deltas in state["tally"].items()}


def _in_order(one: _Comparison) -> tuple[int, str]:
    return one.until_ns or 0, one.about


def _span(start_ns: int, end_ns: int) -> dict[str, Json]:
    return {"start_utc_ns": start_ns, "end_utc_ns": end_ns}


def _tallied(deltas: Sequence[int]) -> dict[str, Json]:
    return {"n": len(deltas), "median_delta_deg": middle(deltas) / 1000 if deltas else None}


def _deg(mdeg: int | None) -> float | None:
    return None if mdeg is None else mdeg / 1000


def _row(row: Sequence[Any]) -> Row:
    return row[0], row[1], row[2]


def _comparison(state: Mapping[str, Any]) -> _Comparison:
    one = _Comparison(**state)
    one.wearing = (one.wearing[0], one.wearing[1])
    one.before, one.after = [_row(r) for r in one.before], [_row(r) for r in one.after]
    return one
