"""Steps: when each foot took the weight and which one it was. Causal (`GaitStage`) and looking back (`RetroGait`).

`gait_signal` finds candidates, `gait_path` tells which of them are steps; here the wearer's own rhythm and strength are kept,
steps are decided about a second after they happened (a soft tread is learnt first: `gait_soft`), and the closing step is added: whoever stops walking brings the trailing
foot alongside, a step so soft that its rise is a tenth of the others, but one that must come.

Sides: while the left foot carries, the pelvis is pushed to the right, and back when the right foot takes over. Alternation
makes single doubtful steps sure. ``side`` is a hint, and "unknown" where nothing tells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

from processing.features.gait_path import LEFT, RIGHT, Chain, PathParams, rhythm_cost
from processing.features.gait_signal import Candidate, RiseStage
from processing.features.gait_soft import SoftTread
from processing.types import NS_PER_S, SecondBlock

HORIZON_S: Final = 0.6
"""What comes this long after a candidate may decide it: the next step. With the 0.32 s of `REACH_CELLS` and a cell of 0.04 s
a step is known 0.96 s after it happened (then its second must be complete).
"""
_HORIZON_NS: Final = round(HORIZON_S * NS_PER_S)
SIDES: Final = ("left", "right", "unknown")
MIN_STEPS: Final = 4
"""Two strides: so many tell a rhythm, and fewer, looking back, are a shuffle."""
MEMORY: Final = 15
"""Steps over which rhythm and strength are taken: some eight seconds."""


@dataclass(frozen=True, slots=True)
class Step:
    """A foot took the weight at ``t_utc_ns``. ``confidence`` 0..1 is 0.5 where the pelvis was caught just fairly hard;
    ``side`` is one of `SIDES`.
    """

    t_utc_ns: int
    side: str
    confidence: float


@dataclass(frozen=True, slots=True)
class ClosingParams:
    """The closing step follows one of at least ``strong`` of the usual rise, ``from_step`` to ``to_step`` step times later, with at
    least ``weak`` of the usual rise.
    """

    strong: float = 0.3
    weak: float = 0.04
    from_step: float = 0.55
    to_step: float = 1.5

    def fits(self, last: Candidate, candidate: Candidate, step_s: float, usual_mps3: float) -> bool:
        """Whether ``candidate`` can be the closing step after ``last``."""
        interval = (candidate.t_utc_ns - last.t_utc_ns) / NS_PER_S / step_s
        soft_enough = candidate.rise_mps3 >= self.weak * usual_mps3
        return soft_enough and last.rise_mps3 >= self.strong * usual_mps3 and self.from_step < interval < self.to_step

    def merit(self, last: Candidate, candidate: Candidate, step_s: float, params: PathParams) -> float:
        """Which of several fits best: the strongest at the likeliest time."""
        interval = (candidate.t_utc_ns - last.t_utc_ns) / NS_PER_S
        return math.log(candidate.rise_mps3) - rhythm_cost(interval, step_s, params)


@dataclass(slots=True)
class Rhythm:
    """The wearer's own step time and rise: medians of the last steps."""

    params: PathParams
    interval_s: list[float] = field(default_factory=list)
    rise_mps3: list[float] = field(default_factory=list)
    last_ns: int | None = None

    step_s: float = field(init=False)
    usual_mps3: float = field(init=False)
    _fair_mps3: float = field(init=False)

    def __post_init__(self) -> None:
        self._sum_up()

    def _sum_up(self) -> None:
        """Step time and rise as far as they are known. A stranger's usual rise is what makes the stranger's fair rise fair."""
        p, interval_s, rise_mps3 = self.params, self.interval_s, self.rise_mps3
        self.step_s = median(interval_s) if len(interval_s) >= MIN_STEPS else p.step_s
        self.usual_mps3 = median(rise_mps3) if len(rise_mps3) >= MIN_STEPS else p.stranger_rise_mps3 / p.share
        self._fair_mps3 = max(p.floor_mps3, p.share * self.usual_mps3)

    def learn(self, candidate: Candidate) -> None:
        """Take a step that was decided."""
        if self.last_ns is not None and candidate.t_utc_ns - self.last_ns < NS_PER_S:
            self.interval_s = [*self.interval_s[1 - MEMORY :], (candidate.t_utc_ns - self.last_ns) / NS_PER_S]
        self.rise_mps3 = [*self.rise_mps3[1 - MEMORY :], candidate.rise_mps3]
        self.last_ns = candidate.t_utc_ns
        self._sum_up()

    def fair_mps3(self, t_utc_ns: int) -> float:
        """What counts as a fair rise at this time. After a rest the next walk may be slower: at most a stranger's."""
        p = self.params
        rested = self.last_ns is None or t_utc_ns - self.last_ns > p.max_step_s * NS_PER_S
        return min(self._fair_mps3, p.stranger_rise_mps3) if rested else self._fair_mps3


@dataclass(slots=True)
class Sieve:
    """Keeps a day at a desk cheap: soft candidates are looked at only shortly after a strong one."""

    params: PathParams
    strong_ns: int = -(2**62)

    def passes(self, candidate: Candidate) -> bool:
        p = self.params
        if candidate.rise_mps3 >= p.stranger_rise_mps3:
            self.strong_ns = candidate.t_utc_ns
        recent = candidate.t_utc_ns - self.strong_ns <= p.max_step_s * NS_PER_S
        return recent or candidate.rise_mps3 >= p.floor_mps3


class GaitStage:
    """Causal steps; see the module. `update` takes complete seconds in order, however they are grouped."""

    def __init__(self, params: PathParams | None = None, closing: ClosingParams | None = None) -> None:
        self.params = params or PathParams()
        self.closing = closing or ClosingParams()
        self._rises = RiseStage()
        self._sieve = Sieve(self.params)
        self._chain = Chain(self.params)
        self._rhythm = Rhythm(self.params)
        self._soft = SoftTread(self.params)
        self._known: list[Candidate] = []  # later than the horizon of the decision in hand
        self._undecided = 0  # number of the node that is decided next
        self._last: Candidate | None = None
        self._last_side = LEFT
        self._in_bout = 0

    def update(self, block: SecondBlock) -> list[Step]:
        """Steps that became certain with this block, in order of time."""
        self._known += filter(self._sieve.passes, self._rises.update(block))
        return self._decide(self._rises.known_until_ns())

    def finish(self) -> list[Step]:
        """The steps still undecided at the end of a recording."""
        self._known += filter(self._sieve.passes, self._rises.finish())
        return self._decide(None)

    def _decide(self, known_until_ns: int | None) -> list[Step]:
        """Add candidates and decide them in the order of time at which each is due, which no chunking changes."""
        steps: list[Step] = []
        chain, rhythm, known = self._chain, self._rhythm, self._known
        taken = 0
        while True:
            at = self._undecided - chain.first
            due = chain.nodes[at].candidate.t_utc_ns + _HORIZON_NS if at < len(chain.nodes) else None
            if taken < len(known) and (due is None or known[taken].t_utc_ns <= due):
                c = known[taken]
                taken += 1
                chain.add(c, step_s=rhythm.step_s, fair_mps3=rhythm.fair_mps3(c.t_utc_ns))
                if soft := self._soft.take(c, rhythm.last_ns):
                    rhythm = self._rhythm = Rhythm(self.params)
                    for soft_step in soft:
                        rhythm.learn(soft_step)
            elif due is not None and (known_until_ns is None or known_until_ns > due):
                step = self._judge(self._undecided)
                if step is not None:
                    steps.append(step)
                self._undecided += 1
                chain.drop_before(self._undecided)
            else:
                break
        del known[:taken]
        return steps

    def _judge(self, number: int) -> Step | None:
        chain, p = self._chain, self.params
        node = chain.nodes[number - chain.first]
        c, last = node.candidate, self._last
        pause_s = math.inf if last is None else (c.t_utc_ns - last.t_utc_ns) / NS_PER_S
        side = chain.side_of(number)
        if side is not None and pause_s >= p.min_step_s:
            self._in_bout = self._in_bout + 1 if pause_s <= p.max_step_s else 1
            return self._take(c, side, sure=node.side_margin() >= p.sure_margin)
        if last is not None and self._in_bout >= MIN_STEPS and self._closes(number, last):
            self._in_bout = 0  # one closing step a bout
            return self._take(c, LEFT + RIGHT - self._last_side, sure=True)
        return None

    def _closes(self, number: int, last: Candidate) -> bool:
        step_s, usual = self._rhythm.step_s, self._rhythm.usual_mps3
        first = self._chain.first
        rivals: dict[int, Candidate] = {}
        for i, n in enumerate(self._chain.nodes, first):
            if n.candidate.t_utc_ns > last.t_utc_ns and self.closing.fits(last, n.candidate, step_s, usual):
                rivals[i] = n.candidate
        if number not in rivals or any(i in rivals for i, _ in self._chain.best()):
            return False
        return number == max(rivals, key=lambda i: self.closing.merit(last, rivals[i], step_s, self.params))

    def _take(self, c: Candidate, side: int, *, sure: bool) -> Step:
        fair = self._rhythm.fair_mps3(c.t_utc_ns)
        self._rhythm.learn(c)
        self._last, self._last_side = c, side
        return step_of(c, side, fair, sure=sure)

    def snapshot(self) -> dict[str, Any]:
        """Plain data and arrays, for `snapshot.dump`."""
        last = None if self._last is None else list(self._last)
        r = self._rhythm
        return {
            "rises": self._rises.snapshot(),
            "strong_ns": self._sieve.strong_ns,
            "chain": self._chain.snapshot(),
            "soft": self._soft.snapshot(),
            "rhythm": [list(r.interval_s), list(r.rise_mps3), r.last_ns],
            "known": [list(c) for c in self._known],
            "decided": [self._undecided, last, self._last_side, self._in_bout],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `snapshot`."""
        self._rises.restore(state["rises"])
        self._sieve.strong_ns = state["strong_ns"]
        self._chain.restore(state["chain"])
        self._soft.restore(state["soft"])
        interval_s, rise_mps3, last_ns = state["rhythm"]
        self._rhythm = Rhythm(self.params, list(interval_s), list(rise_mps3), last_ns)
        self._known = [Candidate(*c) for c in state["known"]]
        self._undecided, last, self._last_side, self._in_bout = state["decided"]
        self._last = None if last is None else Candidate(*last)


def step_of(candidate: Candidate, side: int, fair_mps3: float, *, sure: bool) -> Step:
    """A decided candidate as a step."""
    confidence = candidate.rise_mps3 / (candidate.rise_mps3 + fair_mps3)
    return Step(candidate.t_utc_ns, SIDES[side] if sure else "unknown", confidence)


def median(values: list[float]) -> float:
    """The upper one of two in the middle: a value that occurred."""
    return sorted(values)[len(values) // 2]
