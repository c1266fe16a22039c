"""What the tracker hands on (`Step`) and what it remembers (`TrackerState`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from processing.context.belief import Edge
from processing.context.brief_walks import Anchor, Whole
from processing.context.params import Belief
from processing.context.references import Vector
from processing.features.movement import CELLS_PER_S
from processing.snapshot import named_values
from processing.types import NS_PER_S

START, REST, MOVE, WALK = "start", "rest", "move", "walk"


class Step(NamedTuple):
    """One edge and the node it leads to, for smoothing: cells counted since the first one received.

    ``before`` is the causal belief, ``change`` the change of posture (from, to), if there was one. Where ``starts``,
    nothing is known of what was before, and ``before`` is the prior. ``whole`` is the movement from rest to rest where
    this step ends a brief walk; ``told`` the same where the change was found in it and not in this edge alone.
    """

    edge: Edge
    first_cell: int
    last_cell: int
    t_mid_ns: int
    found_second: int
    before: Belief
    change: tuple[int, int] | None
    starts: bool = False
    whole: Whole | None = None
    told: Whole | None = None


@dataclass(slots=True)
class TrackerState:
    """Scalars of the tracker; cells are counted since the first one received."""

    mode: str = START
    since: int = 0  # cell at which the mode began
    count: int = 0  # cells seen
    quiet: int = 0  # quiet cells in a row, while moving
    whole: bool = True  # the movement has no gap inside
    extra_s: float = 0.0  # time lost in a gap within the movement
    lost_s: float = 0.0  # missing within the movement, in holes too short to end it
    residual: float = 0.0
    before: Vector | None = None
    before_moving: bool = False
    node_up: Vector = (0.0, 1.0, 0.0)
    prior: Belief = (0.1, 0.25, 0.65)  # at the start this wearing began with
    belief: Belief = (0.1, 0.25, 0.65)
    shown: Belief = (0.1, 0.25, 0.65)
    walk_s: int = 0
    back: float = 0.0  # how surely the node is tilted back
    still_s: float = 0.0  # rested tilted back without a step, before this node
    last_second: int | None = None
    settled: bool = False  # up has kept its direction for a while: the clip is on
    start_cell: int = 0  # since when, at a start
    anchor: Anchor | None = None  # the last rest, while a movement from it is under way

    def lose(self, seconds: float) -> None:
        """Account for what is missing of the second that begins, in the movement and since the last rest."""
        self.lost_s = self.lost_s + seconds if self.mode == MOVE else seconds
        if seconds > 0.0 and self.anchor is not None:
            self.anchor.lost_s += seconds

    def time_ns(self, cell: int) -> int:
        """UTC of a cell's start, counted back from the second in hand (``count`` may stand within it)."""
        end = -(-self.count // CELLS_PER_S) * CELLS_PER_S
        return ((self.last_second or 0) + 1) * NS_PER_S - (end - cell) * (NS_PER_S // CELLS_PER_S)

    def snapshot(self) -> dict[str, Any]:
        """Plain data."""
        # Nothing in it changes but the anchor.
        return {**named_values(self), "anchor": None if self.anchor is None else named_values(self.anchor)}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> TrackerState:
        """The inverse of `snapshot`; JSON has made lists of tuples."""
        tuples = {
            k: None if state[k] is None else tuple(state[k]) for k in ("before", "node_up", "prior", "belief", "shown")
        }
        anchor = None if state["anchor"] is None else Anchor.restored(state["anchor"])
        return cls(**{**state, **tuples, "anchor": anchor})
