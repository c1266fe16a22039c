"""Steps: when each foot took the weight and which one it was. Causal (`GaitStage`) and looking back (`RetroGait`).

`gait_signal` finds candidates, `gait_path` tells which of them are steps, by the rhythm and strength that `gait_rhythm` keeps (a soft tread
is learnt first: `gait_soft`); here steps are decided, about a second after they happened, and the closing step is added: whoever stops
walking brings the trailing foot alongside, a step so soft that its rise is a tenth of the others, but one that must come.

Sides: while the left foot carries, the pelvis is pushed to the right, and back when the right foot takes over. Alternation
makes single doubtful steps sure. ``side`` is a hint, and "unknown" where nothing tells.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, NamedTuple

from processing.features.gait_path import LEFT, RIGHT, Chain, PathParams, rhythm_cost
from processing.features.gait_rhythm import MIN_STEPS, Rhythm
from processing.features.gait_signal import Candidate, RiseStage
from processing.features.gait_soft import SoftTread
from processing.types import NS_PER_S, SecondBlock

HORIZON_S: Final = 0.6
"""What comes this long after a candidate may decide it: the next step. With the 0.32 s of `REACH_CELLS` and a cell of 0.04 s
a step is known 0.96 s after it happened (then its second must be complete).
"""
_HORIZON_NS: Final = round(HORIZON_S * NS_PER_S)
_NEVER_NS: Final = 2**62
SIDES: Final = ("left", "right", "unknown")


class Step(NamedTuple):
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
class Sieve:
    """Keeps a day at a desk cheap: soft candidates are looked at only shortly after a strong one."""

    params: PathParams
    strong_ns: int = -(2**62)

    def sifted(self, candidates: list[Candidate]) -> list[Candidate]:
        """Those of ``candidates``, later than all before, that are worth a look."""
        p, passed, strong_ns = self.params, [], self.strong_ns
        strong, floor, recent_ns = p.stranger_rise_mps3, p.floor_mps3, round(p.max_step_s * NS_PER_S)
        for c in candidates:
            t, rise, _ = c
            if rise >= strong:
                strong_ns = t
            if rise >= floor or t - strong_ns <= recent_ns:
                passed.append(c)
        self.strong_ns = strong_ns
        return passed


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
        self._known += self._sieve.sifted(self._rises.update(block))
        return self._decide(self._rises.known_until_ns())

    def finish(self) -> list[Step]:
        """The steps still undecided at the end of a recording."""
        self._known += self._sieve.sifted(self._rises.finish())
        return self._decide(None)

    def _decide(self, known_until_ns: int | None) -> list[Step]:
        """Add candidates and decide them in the order of time at which each is due, which no chunking changes."""
        steps: list[Step] = []
        chain, nodes, rhythm, soft, known = self._chain, self._chain.nodes, self._rhythm, self._soft, self._known
        certain_ns = (
            _NEVER_NS if known_until_ns is None else known_until_ns - _HORIZON_NS
        )  # nodes before it can be decided
        at, taken = self._undecided - chain.first, 0
        for c in known:
            t = c.t_utc_ns
            due_ns = t - _HORIZON_NS  # nodes before it are decided without this candidate
            if at < len(nodes) and nodes[at][0] < due_ns:
                if due_ns <= certain_ns:
                    at = self._judge_before(due_ns, at, steps)
                elif (at := self._judge_before(certain_ns, at, steps)) < len(nodes) and nodes[at][0] < due_ns:
                    break
            taken += 1
            chain.add(c, rhythm.step_s, rhythm.fair_mps3(t))
            if soft.listens(t, rhythm.last_ns) and (learnt := soft.take(c)):
                rhythm = self._rhythm = Rhythm(self.params)
                for soft_step in learnt:
                    rhythm.learn(soft_step.t_utc_ns, soft_step.rise_mps3)
        at = self._judge_before(certain_ns, at, steps)
        del known[:taken]
        self._undecided = chain.first + at
        chain.drop()
        return steps

    def _judge_before(self, t_utc_ns: int, at: int, steps: list[Step]) -> int:
        """Decide nodes before this time from the one at ``at`` on; gives where the next one is."""
        chain, nodes, rhythm = self._chain, self._chain.nodes, self._rhythm
        while at < len(nodes) and nodes[at][0] < t_utc_ns:
            number, c, last = chain.first + at, nodes[at][-1], self._last
            t, rise_mps3, _ = c
            pause_ns = _NEVER_NS if last is None else t - last.t_utc_ns
            side = chain.side_of(number)
            if side is not None and pause_ns >= chain.least_ns:
                self._in_bout = self._in_bout + 1 if pause_ns <= chain.most_ns else 1
                sure = chain.is_sure(number)
            elif last is not None and self._in_bout >= MIN_STEPS and self._closes(number, last):
                self._in_bout = 0  # one closing step a bout
                side, sure = LEFT + RIGHT - self._last_side, True
            else:
                side = None
            if side is not None:
                steps.append(step_of(c, side, rhythm.fair_mps3(t), sure=sure))
                rhythm.learn(t, rise_mps3)
                self._last, self._last_side = c, side
            at += 1
            chain.release(number + 1)
        return at

    def _closes(self, number: int, last: Candidate) -> bool:
        """Whether the node is the closing step: none that goes on follows ``last`` so soon, and nothing else fits better."""
        step_s, usual = self._rhythm.step_s, self._rhythm.usual_mps3
        nodes, first, closing = self._chain.nodes, self._chain.first, self.closing
        kept = self._chain.kept() - first
        if not closing.fits(last, nodes[number - first][-1], step_s, usual):
            return False
        after = bisect_right(nodes, last.t_utc_ns, kept, key=itemgetter(0))
        rivals = {
            i: c for i, (*_, c) in enumerate(nodes[after:], first + after) if closing.fits(last, c, step_s, usual)
        }
        if any(i in rivals for i, _ in self._chain.best(first + after)):
            return False
        return number == max(rivals, key=lambda i: closing.merit(last, rivals[i], step_s, self.params))

    def snapshot(self) -> dict[str, Any]:
        """Plain data and arrays, for `snapshot.dump`."""
        last = None if self._last is None else list(self._last)
        return {
            "rises": self._rises.snapshot(),
            "strong_ns": self._sieve.strong_ns,
            "chain": self._chain.snapshot(),
            "soft": self._soft.snapshot(),
            "rhythm": self._rhythm.snapshot(),
            "known": [list(c) for c in self._known],
            "decided": [self._undecided, last, self._last_side, self._in_bout],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `snapshot`."""
        self._rises.restore(state["rises"])
        self._sieve.strong_ns = state["strong_ns"]
        self._chain.restore(state["chain"])
        self._soft.restore(state["soft"])
        self._rhythm = Rhythm(self.params, *state["rhythm"])
        self._known = [Candidate(*c) for c in state["known"]]
        self._undecided, last, self._last_side, self._in_bout = state["decided"]
        self._last = None if last is None else Candidate(*last)


def step_of(candidate: Candidate, side: int, fair_mps3: float, *, sure: bool) -> Step:
    """A decided candidate as a step."""
    t_utc_ns, rise_mps3, _ = candidate
    return Step(t_utc_ns, SIDES[side] if sure else "unknown", rise_mps3 / (rise_mps3 + fair_mps3))
