"""Which candidates are steps: the best path through them, given rhythm, strength and the alternation of sides. Used by `gait.py`.

A path is a chain of candidates. Each earns the logarithm of its rise over a fair rise; the interval to the one before
costs by how far it is from the wearer's step time (log-normal); beginning a bout costs something, so a lone jolt is none.
Every candidate is either left or right: evidence is the sway, and two steps of the same side in a row
cost. The best chain is found by dynamic programming (Viterbi), each candidate in the order of time.

Few numbers, all physical, none critical: moved by a third up or down, each changes F1 on 58 recordings of ten people by 0.004 at
most, a step time of a sprinter (0.37 s) by 0.012.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log, tanh
from typing import Any, Final, TypeAlias

from processing.features.gait_signal import Candidate
from processing.types import NS_PER_S

LEFT, RIGHT = 0, 1
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


Node: TypeAlias = tuple[int, float, float, int, int, Candidate]
"""A candidate (last, its time first) with the best chain that ends in it: the scores as a left and as a right step, and where each comes
from (twice the number of the node before plus its side, or `START`). A plain tuple: there are some two for every step of a day.
"""


@dataclass(slots=True)
class Chain:
    """Grows node by node; nodes are numbered from ``first``, earlier ones having been dropped.

    ``_ended`` is the best chain among those too old to be continued (before ``_open``): its score and last state; ``_best`` that of all.
    """

    params: PathParams
    nodes: list[Node] = field(default_factory=list)
    first: int = 0
    _released: tuple[int, int] = (0, 0)
    _open: int = 0
    _ended: tuple[float, int] = (0.0, START)
    _best: tuple[float, int] = (0.0, START)
    least_ns: int = field(init=False)
    most_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.least_ns, self.most_ns = (round(s * NS_PER_S) for s in (self.params.min_step_s, self.params.max_step_s))

    def add(self, candidate: Candidate, step_s: float, fair_mps3: float) -> None:
        """Append a candidate later than all before, judged by this step time and fair rise."""
        p, nodes = self.params, self.nodes
        t, rise, sway = candidate
        at, ends_ns = self._open - self.first, t - self.most_ns
        if at < len(nodes) and nodes[at][0] < ends_ns:
            at = self._end_before(ends_ns, at)
        ended, last_ended = self._ended
        left = right = begin = ended - p.begin_cost
        from_left = from_right = last_ended
        same, log_sd, least_ns = p.same_side_cost, p.step_log_sd, self.least_ns
        before = here = 2 * (self.first + len(nodes))
        # The latest first: the step before is mostly among them, and of earlier ones many can then not score as much, whenever they were.
        for old_ns, was_left, was_right, _, _, _ in reversed(nodes[at:]):
            before -= 2
            if was_right < left and was_left < right and was_left - same < left and was_right - same < right:
                continue
            interval = t - old_ns
            if interval < least_ns:
                continue
            cost = 0.5 * (log(interval / NS_PER_S / step_s) / log_sd) ** 2  # `rhythm_cost`
            after_left, after_right = was_left - cost, was_right - cost
            # From a right and from a left step before to either side; of equals the earliest holds.
            if after_right >= left:
                left, from_left = after_right, before + RIGHT
            if after_left - same >= left:
                left, from_left = after_left - same, before
            if after_right - same >= right:
                right, from_right = after_right - same, before + RIGHT
            if after_left >= right:
                right, from_right = after_left, before
        if left == begin:
            from_left = last_ended
        if right == begin:
            from_right = last_ended
        gain, most = log(rise / fair_mps3), p.max_gain
        if gain > most:
            gain = most
        elif gain < -most:
            gain = -most
        lean = p.side_gain * tanh(sway / p.sway_mps2)
        left, right = left + gain - lean, right + gain + lean
        best = self._best[0]
        if left > best or right > best:
            self._best = _better(here, left, right)
        nodes.append((t, left, right, from_left, from_right, candidate))

    def _end_before(self, t_utc_ns: int, at: int) -> int:
        """Nodes before this time, from the one at ``at`` on, cannot be continued any more; gives where the next one is."""
        nodes, first, ended = self.nodes, self.first, self._ended[0]
        while at < len(nodes):
            old_ns, left, right, _, _, _ = nodes[at]
            if old_ns >= t_utc_ns:
                break
            if left > ended or right > ended:
                self._ended = ended, _ = _better(2 * (first + at), left, right)
            at += 1
        self._open = first + at
        return at

    def best(self, since: int = 0) -> list[tuple[int, int]]:
        """Number and side of each node of the best chain so far, latest first, back to number ``since`` or as far as nodes are kept."""
        state, first, nodes = self._best[1], self.first, self.nodes
        least = 2 * max(since, first)
        out: list[tuple[int, int]] = []
        while state >= least:
            number, side = divmod(state, 2)
            out.append((number, side))
            node = nodes[number - first]
            state = node[4] if side else node[3]
        return out

    def side_of(self, number: int) -> int | None:
        """The side of a node that is kept in the best chain so far; None where the chain leaves it out."""
        state, first, nodes = self._best[1], self.first, self.nodes
        later = 2 * number + 2
        while state >= later:
            node = nodes[state // 2 - first]
            state = node[4] if state % 2 else node[3]
        return state % 2 if state >= later - 2 else None

    def is_sure(self, number: int) -> bool:
        """Whether the readings of a node as a left and as a right step are far enough apart to tell its side."""
        _, left, right, _, _, _ = self.nodes[number - self.first]
        return abs(right - left) >= self.params.sure_margin

    def release(self, number: int) -> None:
        """Nobody asks about nodes before this one any more; those that a later candidate can follow are kept all the same."""
        self._released = number, self._open

    def kept(self) -> int:
        """Number of the first node that is not released."""
        return min(self._released)

    def drop(self) -> None:
        """Forget nodes that are released."""
        kept = self.kept()
        if kept > self.first:
            del self.nodes[: kept - self.first]
            self.first = kept

    def snapshot(self) -> dict[str, Any]:
        nodes = [[*c, [left, right], [of_left, of_right]] for _, left, right, of_left, of_right, c in self.nodes]
        return {"nodes": nodes, "first": self.first, "open": self._open, "ended": list(self._ended)}

    def restore(self, state: dict[str, Any]) -> None:
        self.nodes = [(t, *score, *back, Candidate(t, *said)) for t, *said, score, back in state["nodes"]]
        self.first, self._open = state["first"], state["open"]
        self._released = self.first, self._open
        self._ended = self._best = (state["ended"][0], state["ended"][1])
        for number, (_, left, right, _, _, _) in enumerate(self.nodes, self.first):
            if number >= self._open and max(left, right) > self._best[0]:
                self._best = _better(2 * number, left, right)


def _better(state: int, left: float, right: float) -> tuple[float, int]:
    """Score and state of the better reading of a node, of equals the left one; ``state`` is that of the left one."""
    return (right, state + RIGHT) if right > left else (left, state)


def rhythm_cost(interval_s: float, step_s: float, params: PathParams) -> float:
    """Minus the logarithm of a log-normal, less its constant."""
    return 0.5 * (log(interval_s / step_s) / params.step_log_sd) ** 2
