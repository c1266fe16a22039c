"""Which interruptions matter to context: those in which somebody can have sat down, stood up or walked off unseen.

Called by `stage.py` and `retro.py` before walking and posture are judged. A radio loses packets of a tenth of a second or two, every few
seconds in a bad place. Standing up or sitting down takes a second at least (`ContextParams.min_transfer_s`), so after a shorter hole
rest is still rest and walking still walking; what such a hole costs a movement's measured rise, `belief.edge_matrix` weighs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from processing.context.params import ContextParams
from processing.features.movement import Movement
from processing.runs import rises


@dataclass(slots=True)
class HoleStage:
    """Carries the last second and what share of it was missing."""

    params: ContextParams
    last_second: int = -1
    missing: float = 0.0

    def update(self, m: Movement) -> Movement:
        """The same, with only those of its interruptions marked that may hide a change of posture."""
        if not len(m.second):
            return m
        missing = 1.0 - m.covered
        if m.gap_before.any():
            before = np.concatenate(([self.missing], missing[:-1]))
            follows = rises(m.second, self.last_second) == 1
            # What is missing on either side of a hole is at least what the hole took from them.
            hides = ~follows | (before + missing >= self.params.min_transfer_s)
            out = replace(m, gap_before=m.gap_before & hides)
        else:
            out = m
        self.last_second, self.missing = int(m.second[-1]), float(missing[-1])
        return out

    def snapshot(self) -> list[float]:
        return [self.last_second, self.missing]

    def restore(self, state: list[float]) -> None:
        self.last_second, self.missing = int(state[0]), state[1]
