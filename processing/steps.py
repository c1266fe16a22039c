"""Steps the wearer took: the gait stage's, without those of a body that sat or lay.

Shaking a chair or turning in bed can look like a step; what posture says decides. The stage gives a step about a second after
it happened, so the postures of the last seconds are kept.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processing.features.gait import GaitStage, Step
from processing.types import I64, NS_PER_S, POSTURES, SecondBlock

_ON_FEET: Final = np.array([p not in ("lying", "sitting", "not_worn") for p in POSTURES])
_KEPT_S: Final = 10


class StepStage:
    """Params / state / update on judged seconds."""

    def __init__(self) -> None:
        self._gait = GaitStage()
        self._down: set[int] = set()  # recent seconds in which nobody walks

    def update(self, block: SecondBlock, posture: NDArray[np.int8]) -> list[Step]:
        """Steps that became final, in order."""
        self._down |= seconds_down(block.second, posture)
        steps = on_feet(self._gait.update(block), self._down)
        oldest = int(block.second[-1]) - _KEPT_S
        self._down = {s for s in self._down if s >= oldest}
        return steps

    def finish(self) -> list[Step]:
        """The last second's steps."""
        return on_feet(self._gait.finish(), self._down)

    def snapshot(self) -> dict[str, Any]:
        return {"gait": self._gait.snapshot(), "down": sorted(self._down)}

    def restore(self, state: dict[str, Any]) -> None:
        self._gait.restore(state["gait"])
        self._down = set(state["down"])


def seconds_down(second: I64, posture: NDArray[np.int8]) -> set[int]:
    """The seconds in which the wearer was not on the feet."""
    return set(second[~_ON_FEET[posture]].tolist())


def on_feet(steps: Sequence[Step], down: Set[int]) -> list[Step]:
    """Steps outside the seconds ``down``."""
    return [s for s in steps if s.t_utc_ns // NS_PER_S not in down]
