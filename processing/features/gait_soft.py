"""The first steps of a soft tread: whoever walks slowly, with a cane or in pain, never takes a stranger's fair step. Used by `gait.py`.

A step's rise goes with the third power of its pace: at half the usual pace it is an eighth, and among the fidgets of sitting and
standing. What tells such steps from fidgets is that they go on. So the softest candidates are chained with a slow walker's step time,
and eight in a row (four strides) are believed: they teach the wearer's own rhythm, by which the steps after them are judged. The eight
themselves are gone by then; looking back (`gait_retro.py`) they are kept. Wherever the usual way finds steps nothing is done here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from processing.features.gait_path import Chain, PathParams
from processing.features.gait_signal import Candidate
from processing.types import NS_PER_S

SOFT_STEPS: Final = 8
ALONE_S: Final = 3.0
"""Within so much of a step that was found the usual way nothing soft is looked for."""
_ALONE_NS: Final = round(ALONE_S * NS_PER_S)


@dataclass(slots=True)
class SoftTread:
    """Grows by every candidate in order of time, and says when it has become a walk."""

    params: PathParams
    _chain: Chain = field(init=False)
    _few: list[Candidate] = field(init=False)
    """Candidates that are not in the chain yet: most never become as many as are believed, and cost next to nothing then."""

    def __post_init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._chain, self._few = Chain(self.params), []

    def _join(self, chain: Chain) -> Chain:
        """``chain`` with the few."""
        for candidate in self._few:
            chain.add(candidate, self.params.soft_step_s, self.params.floor_mps3)
        return chain

    def listens(self, t_utc_ns: int, last_step_ns: int | None) -> bool:
        """Whether to `take` a candidate of this time; not where steps are found the usual way, and what was taken is then forgotten."""
        if last_step_ns is None or t_utc_ns - last_step_ns > _ALONE_NS:
            return True
        if self._few or self._chain.nodes:
            self._forget()
        return False

    def take(self, candidate: Candidate) -> list[Candidate]:
        """The soft steps up to this candidate, in order, where they are enough to be believed; else nothing."""
        p, nodes, t = self.params, self._chain.nodes, candidate.t_utc_ns
        before = self._few[-1] if self._few else nodes[-1][-1] if nodes else candidate
        if t - before.t_utc_ns > self._chain.most_ns:
            self._forget()
        self._few.append(candidate)
        if len(self._few) < SOFT_STEPS and not self._chain.nodes:
            return []
        chain = self._join(self._chain)
        self._few.clear()
        if len(chain.nodes) < SOFT_STEPS:
            return []
        oldest = t - round(SOFT_STEPS * p.max_step_s * NS_PER_S)
        while chain.nodes[0][0] < oldest:
            chain.release(chain.first + 1)
            chain.drop()
        steps = [chain.nodes[number - chain.first][-1] for number, _ in chain.best()]
        pauses = (i for i, (b, a) in enumerate(pairwise(steps), 1) if b.t_utc_ns - a.t_utc_ns > p.max_step_s * NS_PER_S)
        steps = steps[: next(pauses, len(steps))]
        if len(steps) < SOFT_STEPS:
            return []
        self._forget()
        return steps[::-1]

    def snapshot(self) -> dict[str, Any]:
        return (self._join(Chain(self.params)) if self._few else self._chain).snapshot()

    def restore(self, state: dict[str, Any]) -> None:
        self._chain.restore(state)
