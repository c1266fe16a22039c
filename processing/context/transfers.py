"""Changes of posture as events: sitting down, standing up, lying down, with duration and vertical displacement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from processing.context.steps import Step

_NAMES = ("lie", "sit", "stand")


@dataclass(frozen=True, slots=True)
class Transfer:
    """``kind`` is stand_to_sit, sit_to_stand, sit_to_lie, lie_to_sit, stand_to_lie or lie_to_stand; the time is its middle.

    ``found_second`` is the UTC second that showed it: in which the wearer came to rest, or had walked for a while.
    """

    t_utc_ns: int
    kind: str
    duration_s: float
    vertical_displacement_m: float | None
    found_second: int


def transfers_of(steps: Iterable[Step]) -> list[Transfer]:
    """Steps that were changes of posture."""
    found = []
    for step in steps:
        if step.change is not None:
            kind = f"{_NAMES[step.change[0]]}_to_{_NAMES[step.change[1]]}"
            t_ns, lasted_s, rise_m = step.t_mid_ns, step.edge.duration_s, step.edge.rise_m
            if step.told is not None:
                t_ns, lasted_s, rise_m = step.told.t_mid_ns, step.told.stroke_s, step.told.edge.rise_m
            found.append(Transfer(t_ns, kind, round(lasted_s, 3), rise_m, step.found_second))
    return found
