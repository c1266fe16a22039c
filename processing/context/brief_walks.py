"""A few steps between two rests, measured from rest to rest: who takes a step to a chair sits down within the same second.

A walk has no moment of rest at its ends, so a movement into it or out of it is measured with a moving end, and the part of a
sit-down that looks like a step is lost in the walk. Where both rests lie within ten seconds the displacement over the whole has two
resting ends, and says which posture came before and which after better than its two halves do; what looked like steps
may then turn out to be the sit-down itself. `bouts.Tracker` sets an anchor whenever a rest ends; `retro.py` smooths across.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from processing.context.belief import Edge
from processing.context.cells import LONGEST_CELLS, Cells
from processing.context.params import Belief
from processing.context.references import UPRIGHT, Vector
from processing.features.displacement import Rest
from processing.features.movement import CELL_S

Change: TypeAlias = tuple[int, int]


@dataclass(slots=True)
class Anchor:
    """The rest a movement set out from: where it ended (cell), how it rested, what was believed. ``edges`` committed since,
    whether one of them was said to be a ``change``, and the seconds ``lost_s`` in short holes since.
    """

    cell: int
    residual_mps2: float
    up: Vector
    belief: Belief
    edges: int = 0
    change: Change | None = None
    lost_s: float = 0.0

    @classmethod
    def restored(cls, state: dict[str, Any]) -> Anchor:
        """From plain data: JSON has made lists of tuples."""
        (x, y, z), (lying, sitting, upright), change = state["up"], state["belief"], state["change"]
        told = None if change is None else (change[0], change[1])
        return cls(
            state["cell"],
            state["residual_mps2"],
            (x, y, z),
            (lying, sitting, upright),
            state["edges"],
            told,
            state["lost_s"],
        )


@dataclass(frozen=True, slots=True)
class Whole:
    """The movement from rest to rest: its edge, how many steps of the chain it covers, and when and for how long the pelvis
    rose or sank within it.
    """

    edge: Edge
    covers: int
    t_mid_ns: int
    stroke_s: float


def changes_of(pair: Change | None) -> list[Change]:
    """The changes of posture that lead from the first to the second state with steps in between."""
    if pair is None or pair == (UPRIGHT, UPRIGHT):
        return []
    return [pair] if UPRIGHT in pair else [(pair[0], UPRIGHT), (UPRIGHT, pair[1])]


def whole_of(
    anchor: Anchor | None, end: int, last: int, after: Rest, cells: Cells, time_ns: Callable[[int], int]
) -> Whole | None:
    """The movement from the anchor to a rest ``after`` that began at cell ``end``, measured up to cell ``last``.

    None where no brief walk lies on the way.
    """
    if anchor is None or anchor.edges == 0 or end - anchor.cell > LONGEST_CELLS:
        return None
    moved = cells.moved(anchor.cell, last, Rest(anchor.residual_mps2, anchor.up), after)
    lasted_s = (end - anchor.cell) * CELL_S
    edge = Edge(lasted_s, moved.path_deg, moved.rise_m, anchor.up, after.up, steps_within=True, lost_s=anchor.lost_s)
    begun, done = moved.stroke()
    middle = anchor.cell + (begun + done) // 2
    # From the first tenth of the rise to the last, and those two as well.
    stroke_s = max(done - begun, 1) * CELL_S / 0.8
    return Whole(edge, anchor.edges + 1, time_ns(middle), stroke_s)
