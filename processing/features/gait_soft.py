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


@dataclass(slots=True)
class SoftTread:
    """Grows by every candidate in order of time, and says when it has become a walk."""

    params: PathParams
    _chain: Chain = field(init=False)

    def __post_init__(self) -> None:
        self._chain = Chain(self.params)

    def take(self, candidate: Candidate, last_step_ns: int | None) -> list[Candidate]:
        """The soft steps up to this candidate, in order, where they are enough to be believed; else nothing."""
        p, nodes, t = self.params, self._chain.nodes, candidate.t_utc_ns
        if last_step_ns is not None and t - last_step_ns <= ALONE_S * NS_PER_S:
            if nodes:
                self._chain = Chain(p)
            return []
        if nodes and t - nodes[-1].candidate.t_utc_ns > p.max_step_s * NS_PER_S:
            self._chain = Chain(p)
        chain = self._chain
        chain.add(candidate, step_s=p.soft_step_s, fair_mps3=p.floor_mps3)
        if len(chain.nodes) < SOFT_STEPS:
            return []
        oldest = t - round(SOFT_STEPS * p.max_step_s * NS_PER_S)
        while chain.nodes[0].candidate.t_utc_ns < oldest:
            chain.drop_before(chain.first + 1)
        steps = [chain.nodes[number - chain.first].candidate for number, _ in chain.best()]
        pauses = (i for i, (b, a) in enumerate(pairwise(steps), 1) if b.t_utc_ns - a.t_utc_ns > p.max_step_s * NS_PER_S)
        steps = steps[: next(pauses, len(steps))]
        if len(steps) < SOFT_STEPS:
            return []
        self._chain = Chain(p)
        return steps[::-1]

    def snapshot(self) -> dict[str, Any]:
        return self._chain.snapshot()

    def restore(self, state: dict[str, Any]) -> None:
        self._chain.restore(state)
