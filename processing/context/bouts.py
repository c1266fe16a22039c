"""Rests, walks and the movements between them: the causal tracker that turns cells into edges of belief.

A rest is half a second or more with hardly any turning; a walk is three seconds of steps. What lies between is a movement, weighed by
`belief.edge_matrix` when it ends, and provisionally at the end of each second until then. Longer than other modules: one state
machine.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from processing.context.belief import (
    Edge,
    against_standing,
    apply,
    edge_matrix,
    likeliest_change,
    likeliest_pair,
    start_belief,
    walked,
)
from processing.context.brief_walks import Anchor, Whole, changes_of, whole_of
from processing.context.cells import LONGEST_CELLS, Cells
from processing.context.params import Belief, ContextParams
from processing.context.references import References, Vector, tilted_back
from processing.context.steps import MOVE, REST, START, WALK, Step, TrackerState
from processing.context.walking import WALKING
from processing.features.displacement import Rest, all_nearer_than, angle_deg, nearer_than
from processing.features.movement import CELL_S, CELLS_PER_S, Movement
from processing.runs import ahead, rises
from processing.snapshot import named_values
from processing.types import F64

QUIET_DPS: Final = 10.0
"""Quiet standing sways at 1-3 deg/s, a loose clip at 5; sitting down turns the pelvis at 30-80 deg/s."""
_REST_CELLS: Final = 5  # a rest begins after half a second of quiet; shorter ones occur amid sitting down
_STEADY_MPS2: Final = 0.2  # within half a second; half way down to a chair the pelvis turns hardly, yet it brakes
_SURELY_CELLS: Final = 15  # quiet so long is a rest, even on a trembling clip
_EARLY_CELLS: Final = 3  # quiet enough for a provisional look at the end of a second
_MARGIN_CELLS: Final = 2  # a movement starts and ends more slowly than the threshold of quiet can see
_END_CELLS: Final = 6 + _MARGIN_CELLS
_DRIFT_COS: Final = 0.9781476007338057  # turned by 12 deg without a movement: slumped or reclined slowly
_LONG_S: Final = 8  # calm seconds from which it is worth looking at all of them at once
_WEIGH_CELLS: Final = 10 * CELLS_PER_S  # how often a long rest is weighed
_FIRM_S: Final = 3  # steps for so long are walking, and walking is upright
_LEARN_EVERY_S: Final = 10
_SETTLED_CELLS: Final = 5 * CELLS_PER_S  # a clip in the hand does not keep its direction that long
_SAME_DEG: Final = 15.0
_FORGOTTEN_S: Final = 3600.0
_STANDING: Final = (0.01, 0.04, 0.95)


class Tracker:
    """Feeds on seconds in order; `belief` holds after each of them. ``steps`` collects finished edges until taken."""

    def __init__(self, params: ContextParams, refs: References) -> None:
        self.params, self.refs = params, refs
        self.steps: list[Step] = []
        self._s = TrackerState(prior=params.start, belief=params.start, shown=params.start)
        self._cells = Cells()

    def update(self, m: Movement, gait: list[int], put_on: list[bool]) -> list[Belief]:
        """Belief at the end of each second of the block. ``put_on`` marks seconds from which the clip is worn again."""
        s, out = self._s, list[Belief]()
        self._cells.add(m, s.count)
        is_quiet = m.turn_dps < QUIET_DPS
        quiet_s = np.logical_and.reduce(is_quiet.reshape(-1, CELLS_PER_S), axis=1)
        up_s = m.up[CELLS_PER_S - 1 :: CELLS_PER_S]
        all_quiet, gaps, seconds = quiet_s.tolist(), m.gap_before.tolist(), m.second.tolist()
        missing = (1.0 - m.covered).tolist()
        calm_s = [0] * len(gait)
        if len(gait) >= _LONG_S:
            follows = rises(m.second, 0 if s.last_second is None else s.last_second) == 1
            whole = follows & (m.covered == 1.0) & ~m.gap_before & ~np.array(put_on, dtype=np.bool_)
            calm_s = ahead(quiet_s & whole).tolist()
        while len(out) < len(gait):
            i = len(out)
            if calm_s[i] >= _LONG_S and s.mode == REST:
                out += self._rest_on(up_s[i : i + calm_s[i]])
                if len(out) > i:
                    s.last_second = seconds[len(out) - 1]
                    continue
            walks = gait[i] >= WALKING
            if s.last_second is not None and (gaps[i] or seconds[i] != s.last_second + 1):
                self._gap(float(seconds[i] - s.last_second - 1))
            if put_on[i]:
                self._anew()
            s.last_second = seconds[i]
            s.lose(missing[i])
            if s.mode == REST and all_quiet[i] and nearer_than(s.node_up, up_s[i].tolist(), _DRIFT_COS):
                self._rest_for(1)
            elif walks and s.mode == WALK:
                s.count += CELLS_PER_S
                s.walk_s += 1
                if s.walk_s % _LEARN_EVERY_S == 0:
                    s.belief = s.shown = walked(s.belief, _LEARN_EVERY_S, self.params)
                    first = s.count - _LEARN_EVERY_S * CELLS_PER_S
                    self._learn(self._cells.mean(first, s.count).up, first, s.count)
            else:
                self._second(is_quiet[i * CELLS_PER_S : (i + 1) * CELLS_PER_S].tolist(), walks)
            out.append(s.shown)
        self._cells.trim()
        return out

    def _rest_on(self, up: F64) -> list[Belief]:
        """Pass calm seconds with these directions of up (k, 3) at their ends at once, as far as the rest in hand keeps its own."""
        s, out = self._s, list[Belief]()
        near = all_nearer_than(s.node_up, up, _DRIFT_COS)
        first_far = int(near.argmin())
        left = len(near) if near[first_far] else first_far
        if left:
            s.lose(0.0)
        while left:
            n = left
            if s.back > 0.0:  # weighed every ten seconds: a piece ends there
                n = min(n, -(-(_WEIGH_CELLS - (s.count - s.since) % _WEIGH_CELLS) // CELLS_PER_S))
            out += [s.shown] * (n - 1)
            self._rest_for(n)
            out.append(s.shown)
            left -= n
        return out

    def _rest_for(self, seconds: int) -> None:
        s = self._s
        s.count += seconds * CELLS_PER_S
        s.walk_s = 0
        if s.back > 0.0 and (s.count - s.since) % _WEIGH_CELLS < CELLS_PER_S:
            s.shown = self._rested(s.count)

    def take_steps(self) -> list[Step]:
        """Edges finished since the last call, in order."""
        out, self.steps = self.steps, []
        return out

    def upright_is_known(self) -> None:
        """Pelvis axes have just been set from a standing wearer: directions seen before mean nothing any more."""
        s = self._s
        self.refs = References.known_neutral()
        self._cells.clear()
        s.belief = s.shown = _STANDING
        s.mode, s.walk_s, s.quiet, s.since, s.settled, s.anchor = START, 0, 0, s.count, True, None

    def snapshot(self) -> dict[str, Any]:
        return {
            "state": self._s.snapshot(),
            "refs": named_values(self.refs),
            "cells": self._cells.snapshot(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._s = TrackerState.restored(state["state"])
        self.refs = References.restored(state["refs"])
        self._cells.restore(state["cells"])

    def _second(self, quiet: list[bool], walks: bool) -> None:
        s = self._s
        start = s.count
        if s.mode == WALK:
            back = min(s.walk_s, 2) * CELLS_PER_S
            self._leave(start - back, start, moving=True)
            s.mode, s.since, s.quiet = MOVE if s.settled else START, start, 0
        s.walk_s = s.walk_s + 1 if walks else 0
        mode, run = s.mode, s.quiet
        for cell, calm in enumerate(quiet, start):
            if mode == REST:
                if calm:
                    continue
                self._rest_ends(cell)
                self._leave(max(s.since, cell - _END_CELLS), cell - _MARGIN_CELLS, moving=False)
                if s.settled:
                    self.refs.learn(s.before or s.node_up, (cell - s.since) * CELL_S, s.belief, walking=False)
                s.mode = mode = MOVE if s.settled else START
                s.since, run = cell, 0
            elif not calm:
                run = 0
            else:
                run += 1
                if run >= _REST_CELLS and (run >= _SURELY_CELLS or self._steady(cell + 1)):
                    s.count = cell + 1
                    self._arrive(cell + 1 - _REST_CELLS, walk=False)
                    mode, run = REST, 0
        s.quiet = run
        s.count = start + CELLS_PER_S
        if s.walk_s >= _FIRM_S and s.mode != WALK:
            self._arrive(s.count - s.walk_s * CELLS_PER_S, walk=True)
        elif s.mode == REST:
            drifted = self._cells.mean(s.count - _REST_CELLS, s.count)
            if not nearer_than(drifted.up, s.node_up, _DRIFT_COS):
                # Turned too slowly for a movement: a movement all the same, of unknown rise.
                lasted = (s.count - s.since) * CELL_S
                edge = Edge(lasted, 0.0, None, s.node_up, drifted.up)
                self._rest_ends(s.count)
                self._commit(edge, s.since, s.count)
                self._rest(drifted.up, s.count - _REST_CELLS)
        elif s.mode == MOVE:
            if s.count - s.since > LONGEST_CELLS:
                self._split()
            elif s.quiet >= _EARLY_CELLS:
                at = s.count - s.quiet
                edge = self._edge(at, *self._inside(at), walk=False)
                s.shown = apply(s.belief, edge_matrix(edge, self.refs, self.params))
        elif s.mode == START:
            s.shown = start_belief(s.belief, self._cells.mean(start, s.count).up, self.refs, self.params)

    def _anew(self) -> None:
        """The clip was off, or unheard for so long that it may have been."""
        s = self._s
        self.refs.loosen()
        s.mode, s.since, s.quiet, s.walk_s = START, s.count, 0, 0
        s.settled, s.start_cell = False, 0
        s.prior = s.belief = s.shown = self.params.start_again
        s.still_s, s.anchor = 0.0, None

    def _gap(self, lost_s: float) -> None:
        s = self._s
        if lost_s > _FORGOTTEN_S:
            self._anew()
        elif s.mode == REST:
            self._rest_ends(s.count)
            self._leave(max(s.since, s.count - _END_CELLS), s.count, moving=False)
        elif s.mode == WALK:
            self._leave(s.count - CELLS_PER_S, s.count, moving=True)
        if s.mode != START:
            if s.mode != MOVE:
                s.mode, s.since, s.quiet = MOVE if s.settled else START, s.count, 0
            s.whole, s.anchor = False, None
            s.extra_s += lost_s
        s.walk_s = 0

    def _leave(self, first: int, last: int, *, moving: bool) -> None:
        """The node ends. One soon after a start, in a direction that did not last, was but the clip being put on: the
        next node starts anew.
        """
        s = self._s
        s.settled = s.settled or last - s.start_cell >= _SETTLED_CELLS
        if not s.settled:
            s.belief, s.still_s = s.prior, 0.0
        rest = self._cells.mean(first, last)
        s.residual, s.before, s.before_moving, s.whole, s.extra_s = rest.residual_mps2, rest.up, moving, True, 0.0
        if not moving:
            s.anchor = Anchor(last, s.residual, rest.up, s.belief, lost_s=s.lost_s) if s.settled else None

    def _arrive(self, at: int, *, walk: bool) -> None:
        """The movement ended at cell ``at``, in rest or in walking."""
        s = self._s
        after = self._cells.mean(at, s.count)
        if s.mode == START:
            if s.start_cell == 0 or angle_deg(s.node_up, after.up) > _SAME_DEG:
                s.start_cell = at
            prior = s.belief
            s.belief = start_belief(prior, after.up, self.refs, self.params)
            if walk:
                s.belief = apply(
                    s.belief, edge_matrix(Edge(_FIRM_S, 0.0, None, None, after.up, True), self.refs, self.params)
                )
            s.shown = s.belief
            edge = Edge(0.0, 0.0, None, None, after.up, walk)
            self.steps.append(Step(edge, at, at, s.time_ns(at), s.last_second or 0, prior, None, starts=True))
        else:
            last, rest = (at, after) if walk else self._inside(at)
            edge = self._edge(at, last, rest, walk=walk)
            whole = None if walk else whole_of(s.anchor, at, last, rest, self._cells, s.time_ns)
            self._commit(edge, s.since, at, whole)
        s.mode, s.quiet = WALK if walk else REST, 0
        self._rest(after.up, at)
        if walk:
            s.still_s, s.back = 0.0, 0.0
            self._learn(after.up, at, s.count)

    def _rest(self, up: Vector, at: int) -> None:
        s = self._s
        s.node_up, s.since, s.back = up, at, tilted_back(up, self.refs, self.params)

    def _rested(self, cell: int) -> Belief:
        """Belief at ``cell`` of a rest, by how long it lasts."""
        s = self._s
        return against_standing(s.belief, s.back, s.still_s, s.still_s + (cell - s.since) * CELL_S, self.params)

    def _rest_ends(self, cell: int) -> None:
        s = self._s
        if s.back > 0.0:
            s.belief = self._rested(cell)
            s.still_s += (cell - s.since) * CELL_S

    def _inside(self, at: int) -> tuple[int, Rest]:
        """The rest that began at cell ``at``, less its margin: from which cell on, and its mean."""
        last = min(at + _MARGIN_CELLS, self._s.count - 1)
        return last, self._cells.mean(last, self._s.count)

    def _edge(self, end: int, last: int, rest: Rest, *, walk: bool) -> Edge:
        """The movement that ends at cell ``end``, measured up to cell ``last`` against the ``rest`` from there on."""
        s = self._s
        duration = (end - s.since) * CELL_S + s.extra_s
        ends = int(walk) + int(s.before_moving)
        if not s.whole or s.before is None or end <= s.since:
            up = self._cells.mean(end, s.count).up
            return Edge(duration, 0.0, None, s.before, up, walk, ends, lost_s=s.lost_s)
        # A movement begins and ends more slowly than the threshold of rest can see.
        first = s.since if s.before_moving else s.since - _MARGIN_CELLS
        moved = self._cells.moved(first, last, Rest(s.residual, s.before), rest)
        return Edge(duration, moved.path_deg, moved.rise_m, s.before, rest.up, walk, ends, lost_s=s.lost_s)

    def _split(self) -> None:
        """A movement too long to measure: judge by what is left, and go on from here."""
        s = self._s
        after = self._cells.mean(s.count - CELLS_PER_S, s.count)
        lasted = (s.count - s.since) * CELL_S + s.extra_s
        edge = Edge(lasted, 0.0, None, None, after.up)
        self._commit(edge, s.since, s.count)
        s.residual, s.before, s.before_moving, s.whole, s.extra_s = after.residual_mps2, after.up, True, True, 0.0
        s.since, s.anchor, s.lost_s = s.count, None, 0.0

    def _commit(self, edge: Edge, first: int, last: int, whole: Whole | None = None) -> None:
        s = self._s
        before, a = s.belief, s.anchor
        t_ns, now = s.time_ns((first + last) // 2), s.last_second or 0
        if whole is None or a is None:
            matrix = edge_matrix(edge, self.refs, self.params)
            s.belief = s.shown = apply(before, matrix)
            change = likeliest_change(before, matrix)
            step = Step(edge, first, last, t_ns, now, before, change)
        else:
            matrix = edge_matrix(whole.edge, self.refs, self.params)
            s.belief = s.shown = apply(a.belief, matrix)
            found = changes_of(likeliest_pair(a.belief, matrix))
            # Of two changes the first was told when the walk began, if it was sure then.
            change = found[-1] if found and found[-1] != a.change else None
            told = whole if len(found) == 1 else None
            step = Step(edge, first, last, t_ns, now, before, change, whole=whole, told=told)
        if change is not None:
            s.still_s = 0.0
        if a is not None:
            a.edges, a.change = a.edges + 1, change
        self.steps.append(step)

    def _steady(self, cell: int) -> bool:
        """No vertical acceleration came or went in half a second: neither sinking nor rising, as far as that can tell."""
        return self._cells.swing_mps2(cell - _REST_CELLS, cell) < _STEADY_MPS2

    def _learn(self, up: Vector, first: int, last: int) -> None:
        self.refs.learn(up, (last - first) * CELL_S, (0.0, 0.0, 1.0), walking=True)
