"""Changes of posture as events: sitting down, standing up, lying down, with duration and vertical displacement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from processing.context.belief import Belief
from processing.context.bouts import Step

_NAMES = ("lie", "sit", "stand")
_MIN_BELIEF = 0.5


@dataclass(frozen=True, slots=True)
class Transfer:
    """``kind`` is stand_to_sit, sit_to_stand, sit_to_lie, lie_to_sit, stand_to_lie or lie_to_stand; the time is its middle."""

    t_utc_ns: int
    kind: str
    duration_s: float
    vertical_displacement_m: float | None


def transfers_of(steps: Iterable[Step]) -> list[Transfer]:
    """Steps across which the likeliest state changed."""
    found = []
    for step in steps:
        a, b = _likeliest(step.before), _likeliest(step.after)
        if a is not None and b is not None and a != b:
            kind = f"{_NAMES[a]}_to_{_NAMES[b]}"
            found.append(Transfer(step.t_mid_ns, kind, round(step.edge.duration_s, 3), step.edge.rise_m))
    return found


def _likeliest(belief: Belief) -> int | None:
    best = max(belief)
    return belief.index(best) if best >= _MIN_BELIEF else None
