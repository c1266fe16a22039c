"""Which candidates are steps: the best path through them, given rhythm, strength and the alternation of sides. Used by `gait.py`.

A path is a chain of candidates. Each earns the logarithm of its rise over a fair rise; the interval to the one before
costs by how far it is from the wearer's step time (log-normal); beginning a bout costs something, so a lone jolt is none.
Every candidate is either left or right: evidence is the sway, and two steps of the same side in a row
cost. The best chain is found by dynamic programming (Viterbi), each candidate in the order of time.

Few numbers, all physical, none critical: moved by a third up or down, each changes F1 on 58 recordings of ten people by 0.004 at
most, a step time of a sprinter (0.37 s) by 0.012.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

from processing.features.gait_signal import Candidate
from processing.types import NS_PER_S

LEFT, RIGHT = 0, 1
_NEVER: Final = -1e18
START: Final = -1
"""Where a chain comes from that begins with this candidate and none before."""


@dataclass(frozen=True, slots=True)
class PathParams:
    """Times [s], rises [m/s³], the rest natural logarithms (what a candidate earns, what a deviation costs)."""

    step_s: float = 0.55
    """Step time of a stranger (109 a minute); the wearer's own takes its place."""
    step_log_sd: float = 0.35
    """About a third, either way: first and last steps and turns are in it."""
    soft_step_s: float = 0.85
    """Step time of a stranger who walks slowly (70 a minute, some 0.4 m/s)."""
    min_step_s: float = 0.25
    max_step_s: float = 1.5
    """Faster is one step seen twice; slower ends a bout."""
    stranger_rise_mps3: float = 4.0
    share: float = 0.25
    """A fair rise is this share of the wearer's usual one."""
    floor_mps3: float = 1.5
    max_gain: float = 2.0
    begin_cost: float = 1.0
    """The second step comes too late to vouch for the first: a rise of 2.7 (e) times the fair one must do."""
    side_gain: float = 0.3
    sway_mps2: float = 1.0
    """A sway of this size is plain to see (walking: 1.4)."""
    same_side_cost: float = 2.5
    sure_margin: float = 0.1
    """Below this difference between the readings as left and as right the side is unknown."""


@dataclass(slots=True)
class Node:
    """A candidate, with the best chain that ends in it as a left and as a right step: its score, and where it comes from
    (twice the number of the node before plus its side, or `START`).
    """

    candidate: Candidate
    score: tuple[float, float]
    back: tuple[int, int]

    def side_margin(self) -> float:
        """How far apart the readings as a left and as a right step are."""
        return abs(self.score[RIGHT] - self.score[LEFT])


@dataclass(slots=True)
class Chain:
    """Grows node by node; nodes are numbered from ``first``, earlier ones having been dropped.

    ``_ended`` is the best chain among those too old to be continued: its score and last state; ``_best`` that of all.
    """

    params: PathParams
    nodes: list[Node] = field(default_factory=list)
    first: int = 0
    _open: int = 0
    _ended: tuple[float, int] = (0.0, START)
    _best: tuple[float, int] = (0.0, START)
    _least_ns: int = field(init=False)
    _most_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self._least_ns, self._most_ns = (round(s * NS_PER_S) for s in (self.params.min_step_s, self.params.max_step_s))

    def add(self, candidate: Candidate, *, step_s: float, fair_mps3: float) -> None:
        """Append a candidate later than all before, judged by this step time and fair rise."""
        p, t = self.params, candidate.t_utc_ns
        self._end_before(t - self._most_ns)
        ended, state = self._ended
        begin = ended - p.begin_cost
        left, right, from_left, from_right = begin, begin, state, state
        same = p.same_side_cost
        for number, old in enumerate(self.nodes[self._open - self.first :], self._open):
            interval = t - old.candidate.t_utc_ns
            if interval < self._least_ns:
                break
            cost = rhythm_cost(interval / NS_PER_S, step_s, p)
            # From a left and from a right step before to either side; the first of equals holds.
            was_left, was_right = old.score
            was_left, was_right = was_left - cost, was_right - cost
            if was_left - same > left:
                left, from_left = was_left - same, 2 * number + LEFT
            if was_right > left:
                left, from_left = was_right, 2 * number + RIGHT
            if was_left > right:
                right, from_right = was_left, 2 * number + LEFT
            if was_right - same > right:
                right, from_right = was_right - same, 2 * number + RIGHT
        gain = min(p.max_gain, max(-p.max_gain, math.log(candidate.rise_mps3 / fair_mps3)))
        lean = p.side_gain * math.tanh(candidate.sway_mps2 / p.sway_mps2)
        score = (left + gain - lean, right + gain + lean)
        self._note_best(self.first + len(self.nodes), score)
        self.nodes.append(Node(candidate, score, (from_left, from_right)))

    def _note_best(self, number: int, score: tuple[float, float]) -> None:
        found = _better(number, score)
        if found[0] > self._best[0]:
            self._best = found

    def _end_before(self, t_utc_ns: int) -> None:
        """Nodes before this time cannot be continued any more."""
        while self._open < self.first + len(self.nodes):
            old = self.nodes[self._open - self.first]
            if old.candidate.t_utc_ns >= t_utc_ns:
                return
            found = _better(self._open, old.score)
            if found[0] > self._ended[0]:
                self._ended = found
            self._open += 1

    def best(self) -> list[tuple[int, int]]:
        """Number and side of each node of the best chain so far, latest first, as far back as nodes are kept."""
        state = self._best[1]
        out: list[tuple[int, int]] = []
        while state >= 2 * self.first:
            number, side = divmod(state, 2)
            out.append((number, side))
            state = self.nodes[number - self.first].back[side]
        return out

    def side_of(self, number: int) -> int | None:
        """The side of a node that is kept in the best chain so far; None where the chain leaves it out."""
        state = self._best[1]
        while state >= 2 * number + 2:
            state = self.nodes[state // 2 - self.first].back[state % 2]
        return state % 2 if state >= 2 * number else None

    def drop_before(self, number: int) -> None:
        """Forget nodes that no later candidate can follow and nobody asks about any more; scores start again at zero."""
        number = min(number, self._open)
        if number > self.first:
            del self.nodes[: number - self.first]
            self.first = number
        if not self.nodes:
            self._ended = self._best = (0.0, START)

    def snapshot(self) -> dict[str, Any]:
        nodes = [[*n.candidate, list(n.score), list(n.back)] for n in self.nodes]
        return {"nodes": nodes, "first": self.first, "open": self._open, "ended": list(self._ended)}

    def restore(self, state: dict[str, Any]) -> None:
        self.nodes = [Node(Candidate(*n[:3]), (n[3][0], n[3][1]), (n[4][0], n[4][1])) for n in state["nodes"]]
        self.first, self._open = state["first"], state["open"]
        self._ended = self._best = (state["ended"][0], state["ended"][1])
        for number in range(max(self._open, self.first), self.first + len(self.nodes)):
            self._note_best(number, self.nodes[number - self.first].score)


def _better(number: int, score: tuple[float, float]) -> tuple[float, int]:
    """Score and state of the better reading of a node; of equals the left one."""
    side = RIGHT if score[RIGHT] > score[LEFT] else LEFT
    return score[side], 2 * number + side


def rhythm_cost(interval_s: float, step_s: float, params: PathParams) -> float:
    """Minus the logarithm of a log-normal, less its constant."""
    return 0.5 * (math.log(interval_s / step_s) / params.step_log_sd) ** 2
