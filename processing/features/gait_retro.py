"""Steps of a whole recording, looking back: the same candidates and the same path as `gait.py`, with the wearer known beforehand.

A first path finds bouts with a stranger's step time and rise. The second judges each candidate by the walk it lies in, so
that first steps are judged like later ones. Bouts of fewer than two strides are dropped, and each bout gets its closing step.
Where no walk was found one is looked for with a soft tread (`gait_soft.py`): that takes four strides.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final, NamedTuple

from processing.features.gait import ClosingParams, Sieve, Step, step_of
from processing.features.gait_path import LEFT, RIGHT, Chain, PathParams
from processing.features.gait_rhythm import MEMORY, MIN_STEPS, median
from processing.features.gait_signal import Candidate, RiseStage
from processing.features.gait_soft import ALONE_S, SOFT_STEPS
from processing.types import NS_PER_S, SecondBlock

_NEAR_S: Final = 3.0
"""How far before and after the steps of the first path the second one looks."""


class _Walk(NamedTuple):
    """The wearer's way of walking about a moment."""

    t_utc_ns: int
    step_s: float
    usual_mps3: float


class _Found(NamedTuple):
    """A step of a path: which candidate, which side."""

    number: int
    side: int
    sure: bool


class RetroGait:
    """Takes the blocks of a recording in order; `finish` gives the steps of all of it."""

    def __init__(self, params: PathParams | None = None, closing: ClosingParams | None = None) -> None:
        self.params = params or PathParams()
        self.closing = closing or ClosingParams()
        self._rises = RiseStage()
        self._sieve = Sieve(self.params)
        self._candidates: list[Candidate] = []

    def add(self, block: SecondBlock) -> None:
        """Reduce a block to its candidates; the block itself is not kept."""
        self._candidates += self._sieve.sifted(self._rises.update(block))

    def finish(self) -> list[Step]:
        """Steps of every added block, in order of time."""
        self._candidates += self._sieve.sifted(self._rises.finish())
        p, every = self.params, self._candidates
        steps = self._walked(every, _Walk(0, p.step_s, p.stranger_rise_mps3 / p.share), MIN_STEPS)
        rest = _away(every, [s.t_utc_ns for s in steps])
        steps += self._walked(rest, _Walk(0, p.soft_step_s, p.floor_mps3 / p.share), SOFT_STEPS)
        return sorted(steps, key=lambda s: s.t_utc_ns)

    def _walked(self, candidates: list[Candidate], stranger: _Walk, least: int) -> list[Step]:
        """Steps of bouts of at least ``least``, found as a stranger's and judged anew as the wearer's own."""
        bouts = self._bouts(candidates, [stranger] * len(candidates), least)
        near, judged_by = _nearby(candidates, [w for bout in bouts for w in self._describe(candidates, bout)])
        return [s for bout in self._bouts(near, judged_by, least) for s in self._finished(near, judged_by, bout)]

    def _bouts(self, candidates: list[Candidate], judged_by: list[_Walk], least: int) -> list[list[_Found]]:
        """The best path, parted where it pauses; short bouts left out."""
        p = self.params
        chain = Chain(p)
        for c, walk in zip(candidates, judged_by, strict=True):
            chain.add(c, walk.step_s, self._fair_mps3(walk))
        bouts: list[list[_Found]] = []
        last_ns: int | None = None
        for index, side in reversed(chain.best()):
            t = candidates[index].t_utc_ns
            if last_ns is None or t - last_ns > p.max_step_s * NS_PER_S:
                bouts.append([])
            bouts[-1].append(_Found(index, side, chain.is_sure(index)))
            last_ns = t
        return [b for b in bouts if len(b) >= least]

    def _fair_mps3(self, walk: _Walk) -> float:
        return max(self.params.floor_mps3, self.params.share * walk.usual_mps3)

    def _describe(self, candidates: list[Candidate], bout: list[_Found]) -> list[_Walk]:
        """Step time and rise about each step of a bout: medians of the `MEMORY` steps around it."""
        steps = [candidates[f.number] for f in bout]
        interval = [(b.t_utc_ns - a.t_utc_ns) / NS_PER_S for a, b in zip(steps, steps[1:], strict=False)]
        out: list[_Walk] = []
        for i, c in enumerate(steps):
            lo = max(0, min(i - MEMORY // 2, len(steps) - MEMORY))
            around = slice(lo, lo + MEMORY)
            out.append(_Walk(c.t_utc_ns, median(interval[around]), median([s.rise_mps3 for s in steps[around]])))
        return out

    def _finished(self, candidates: list[Candidate], judged_by: list[_Walk], bout: list[_Found]) -> list[Step]:
        """A bout's steps, the closing one included."""
        steps = [self._step(candidates[f.number], f.side, judged_by[f.number], sure=f.sure) for f in bout]
        final = bout[-1]
        last, walk = candidates[final.number], judged_by[final.number]
        rivals: list[Candidate] = []
        for c in candidates[final.number + 1 :]:
            if c.t_utc_ns - last.t_utc_ns > self.closing.to_step * walk.step_s * NS_PER_S:
                break
            if self.closing.fits(last, c, walk.step_s, walk.usual_mps3):
                rivals.append(c)
        if rivals:
            best = max(rivals, key=lambda c: self.closing.merit(last, c, walk.step_s, self.params))
            steps.append(self._step(best, LEFT + RIGHT - final.side, walk, sure=final.sure))
        return steps

    def _step(self, candidate: Candidate, side: int, walk: _Walk, *, sure: bool) -> Step:
        return step_of(candidate, side, self._fair_mps3(walk), sure=sure)


def _nearby(candidates: list[Candidate], walks: list[_Walk]) -> tuple[list[Candidate], list[_Walk]]:
    """Candidates near a walk, each with the moment of walking nearest to it."""
    times = [w.t_utc_ns for w in walks]
    near: list[Candidate] = []
    judged_by: list[_Walk] = []
    for c in candidates:
        i = bisect_left(times, c.t_utc_ns)
        beside = walks[max(0, i - 1) : i + 1]
        if not beside:
            continue
        walk = min(beside, key=lambda w: abs(w.t_utc_ns - c.t_utc_ns))
        if abs(walk.t_utc_ns - c.t_utc_ns) <= _NEAR_S * NS_PER_S:
            near.append(c)
            judged_by.append(walk)
    return near, judged_by


def _away(candidates: list[Candidate], times: list[int]) -> list[Candidate]:
    """Candidates further than `ALONE_S` from all these times (in order)."""
    alone = round(ALONE_S * NS_PER_S)
    return [c for c in candidates if bisect_left(times, c.t_utc_ns - alone) == bisect_right(times, c.t_utc_ns + alone)]
