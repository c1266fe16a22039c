"""Context of a whole recording, looking both ways: the online tracker's movements, smoothed forward and backward.

The movements and their evidence are the same as online; what changes is that each rest is judged by all of them, before and after,
with references of upright and sitting learnt from the whole recording (a few rounds of expectation and maximisation). The second in
which a movement is half done parts the posture before from the posture after.
"""

from __future__ import annotations

import numpy as np

from processing.context.belief import (
    against_standing,
    apply,
    apply_back,
    edge_matrix,
    likeliest_pair,
    normalised,
    start_belief,
    walked,
)
from processing.context.bouts import Tracker
from processing.context.brief_walks import Change, changes_of
from processing.context.climbing import climbs_looking_back, mean_by_second
from processing.context.holes import HoleStage
from processing.context.params import Belief, ContextParams
from processing.context.postures import name_postures
from processing.context.references import UPRIGHT, References, tilted_back
from processing.context.stairs import name_flights, name_stairs
from processing.context.steps import Step
from processing.context.transfers import Transfer, transfers_of
from processing.context.walking import GaitStage, looked_back
from processing.context.wear import WearStage, fill_unworn
from processing.features.movement import CELL_S, CELLS_PER_S, MovementStage
from processing.types import F64, Bool, ContextBlock, SecondBlock

_ROUNDS = 3


class RetroContext:
    """Takes the blocks of a recording in order; `finish` gives the context of each of them."""

    def __init__(self, *, rate_hz: float, neutral_known: bool = False, params: ContextParams | None = None) -> None:
        self.params = params or ContextParams()
        self._movement = MovementStage(rate_hz)
        self._holes = HoleStage(self.params)
        self._gait = GaitStage()
        self._wear = WearStage(rate_hz)
        self._neutral_known = neutral_known
        self._tracker = Tracker(self.params, self._fresh_references())
        self._steps: list[Step] = []
        self._codes: list[int] = []
        self._worn: list[float] = []
        self._beliefs: list[Belief] = []
        self._sizes: list[int] = []
        self._acc: list[F64] = []
        self._turn: list[F64] = []
        self._up: list[F64] = []
        self._gaps: list[Bool] = []
        self.transfers: list[Transfer] = []

    def add(self, block: SecondBlock) -> None:
        """Reduce a block to its movements; the block itself is not kept."""
        m = self._movement.update(block)
        unbroken = self._holes.update(m)
        codes = self._gait.update(unbroken)
        worn, put_on = self._wear.update(m)
        self._beliefs += self._tracker.update(unbroken, codes, put_on)
        self._steps += self._tracker.take_steps()
        self._codes += codes
        self._worn += worn
        self._sizes.append(len(block.second))
        self._acc.append(m.acc_up_mps2)
        self._turn.append(m.turn_dps)
        self._up.append(mean_by_second(m.up))
        self._gaps.append(m.gap_before)

    def finish(self) -> list[ContextBlock]:
        """Context of every added block; `transfers` holds the changes of posture."""
        beliefs = list(self._beliefs)
        if self._steps:
            smooth, changes = self._smooth()
            self._paint(beliefs, smooth)
            self.transfers = self._told(changes)
        if not self._codes:
            return []
        acc, turn, up = (np.concatenate(x) for x in (self._acc, self._turn, self._up))
        gaps = np.concatenate(self._gaps)
        gait = name_flights(name_stairs(looked_back(self._codes), acc, turn, gaps), acc, turn, gaps)
        gait = climbs_looking_back(gait, acc, turn, up, gaps)
        whole = name_postures(beliefs, gait, fill_unworn(self._worn, self._wear.params), self.params)
        edges = np.cumsum([0, *self._sizes])
        return [ContextBlock(whole.posture[a:b], whole.confidence[a:b]) for a, b in zip(edges, edges[1:], strict=False)]

    def _smooth(self) -> tuple[list[Belief], list[list[Change]]]:
        refs, smooth, changes = self._tracker.refs, list[Belief](), list[list[Change]]()
        for _ in range(_ROUNDS):
            smooth, changes = self._both_ways(refs)
            refs = self._fresh_references()
            for i, step in enumerate(self._steps):
                end = self._steps[i + 1].first_cell if i + 1 < len(self._steps) else CELLS_PER_S * len(self._codes)
                walks = step.edge.walk_after
                belief = (0.0, 0.0, 1.0) if walks else smooth[i]
                refs.learn(step.edge.up_after, (end - step.last_cell) * CELL_S, belief, walking=walks)
        return smooth, changes

    def _lasted(self, refs: References) -> list[tuple[float, float, float, float]]:
        """For each node how surely it is tilted back, how long its wearer has so rested without a step, at its two ends, and
        how long it was walked.
        """
        out: list[tuple[float, float, float, float]] = []
        still_s = 0.0
        for i, step in enumerate(self._steps):
            end = self._steps[i + 1].first_cell if i + 1 < len(self._steps) else CELLS_PER_S * len(self._codes)
            if step.starts or step.edge.walk_after or step.change is not None:
                still_s = 0.0
            back = 0.0 if step.edge.walk_after else tilted_back(step.edge.up_after, refs, self.params)
            from_s = still_s
            lasted_s = (end - step.last_cell) * CELL_S
            if back > 0.0:
                still_s += lasted_s
            out.append((back, from_s, still_s, lasted_s if step.edge.walk_after else 0.0))
        return out

    def _after(self, belief: Belief, back: float, from_s: float, to_s: float, walk_s: float) -> Belief:
        """What a node by itself says: rested tilted back, or walked, for so long."""
        return walked(against_standing(belief, back, from_s, to_s, self.params), walk_s, self.params)

    def _fresh_references(self) -> References:
        return References.known_neutral() if self._neutral_known else References()

    def _both_ways(self, refs: References) -> tuple[list[Belief], list[list[Change]]]:
        """Belief in each node and changes across each step, given all steps: forward-backward over the chain."""
        forward: list[Belief] = []
        matrices, lasted = [], self._lasted(refs)
        for i, step in enumerate(self._steps):
            whole = step.whole
            matrix = edge_matrix(step.edge if whole is None else whole.edge, refs, self.params)
            matrices.append(matrix)
            if step.starts:
                belief = start_belief(step.before, step.edge.up_after, refs, self.params)
                if step.edge.walk_after:
                    w = self.params.walking_not_upright
                    belief = normalised((belief[0] * w, belief[1] * w, belief[UPRIGHT]))
            else:
                belief = apply(forward[i - (1 if whole is None else whole.covers)], matrix)
            forward.append(self._after(belief, *lasted[i]))
        later: Belief = (1.0, 1.0, 1.0)
        smooth = list(forward)
        changes: list[list[Change]] = [[] for _ in forward]
        i = len(forward) - 1
        while i > 0:
            step, covers = self._steps[i], 1
            later = self._after(later, *lasted[i])
            if step.starts:
                later = (1.0, 1.0, 1.0)
            else:
                covers = 1 if step.whole is None else step.whole.covers
                pair = likeliest_pair(forward[i - covers], matrices[i], later)
                if step.whole is not None:
                    changes[i] = changes_of(pair)
                elif pair is not None and pair[0] != pair[1]:
                    changes[i] = [pair]
                later = apply_back(matrices[i], later)
            i -= covers
            a = forward[i]
            smooth[i] = normalised((a[0] * later[0], a[1] * later[1], a[2] * later[2]))
        return smooth, changes

    def _told(self, changes: list[list[Change]]) -> list[Transfer]:
        """Changes of posture as events: of a brief walk as a whole where one change leads across it, else each at its end."""
        found: list[Step] = []
        for i, (step, pairs) in enumerate(zip(self._steps, changes, strict=True)):
            whole = step.whole
            if whole is not None and len(pairs) == 2:
                first = self._steps[i + 1 - whole.covers]
                found += [first._replace(change=pairs[0]), step._replace(change=pairs[1], told=None)]
            else:
                found += [step._replace(change=pair, told=whole) for pair in pairs]
        return transfers_of(found)

    def _paint(self, beliefs: list[Belief], smooth: list[Belief]) -> None:
        """Give each second the belief of the node that holds its middle; a movement is parted in its middle."""
        middles = [(s.first_cell + s.last_cell) // 2 for s in self._steps]
        starts = [round(c / CELLS_PER_S) for c in middles]
        starts[0] = 0
        for i, belief in enumerate(smooth):
            end = starts[i + 1] if i + 1 < len(starts) else len(beliefs)
            for k in range(starts[i], end):
                beliefs[k] = belief
