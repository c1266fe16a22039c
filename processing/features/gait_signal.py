"""Where a step may be: moments at which the pelvis is braked and caught, from seconds of samples. First part of `gait.py`.

When a foot takes the weight the pelvis stops falling and stops advancing: upward and backward acceleration rise together. That
rise, the smoothed time derivative of ``vertical - 0.75 anterior`` acceleration (a Gaussian derivative, sigma 0.08 s), peaks
within 0.02 s of the contact, where the acceleration's own peak comes 0.09-0.14 s late and wanders with speed. The weight is
not critical (0.5 to 1.5 serve as well).

All this is told of cells of 40 ms (`gait_cells.py`), each result by the cells around it only. A single sample tells of its own moment, so
half a row is added to what is found. Missing cells up to ``BRIDGE_CELLS`` are drawn straight; a longer hole ends the signal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import starmap
from typing import Any, Final, NamedTuple

import numpy as np

from processing.features.gait_cells import CELL_NS, CELL_S, cells_of, row_ns
from processing.runs import rises
from processing.types import F64, I64, SecondBlock

BRIDGE_CELLS: Final = 25
"""A hole of up to a second holds at most two steps; beyond it the rhythm is lost anyway."""
REACH_CELLS: Final = 8
"""Cells that must be known on either side of a moment to judge it: 0.32 s."""
MIN_RISE_MPS3: Final = 1.0
"""A sensor at rest stays below 0.3, an ordinary step reaches 10 to 35."""

_SIGMA_CELLS: Final = 2.0
_TAPS: Final = 6
_SWAY_FROM: Final = 2
_SWAY_TO: Final = 8
_BEFORE: Final = REACH_CELLS + np.arange(-_SWAY_TO, -_SWAY_FROM)[:, None]
_AFTER: Final = REACH_CELLS + np.arange(_SWAY_FROM + 1, _SWAY_TO + 1)[:, None]
"""The cells before and after a moment, in the array that holds it."""
_WEIGHTS: Final = tuple(k * float(np.exp(-0.5 * (k / _SIGMA_CELLS) ** 2)) for k in range(1, _TAPS + 1))
_WEIGHTS_S: Final = sum(2.0 * w * k * CELL_S for k, w in enumerate(_WEIGHTS, 1))


class Candidate(NamedTuple):
    """A moment that may be a step: its time, how steep the rise is [m/s³], and the sway of the pelvis there [m/s²]: lateral
    acceleration of the quarter second before less that after, positive when the right foot takes the weight.
    """

    t_utc_ns: int
    rise_mps3: float
    sway_mps2: float


@dataclass(slots=True)
class RiseStage:
    """Candidates of the seconds given, causal: each comes once the `REACH_CELLS` after it are known."""

    _end: int = 0  # absolute number of the cell that comes next
    _braking: F64 = field(default_factory=lambda: np.empty(0))
    _lateral: F64 = field(default_factory=lambda: np.empty(0))
    _half_row_ns: int = 0

    def update(self, block: SecondBlock) -> list[Candidate]:
        """Candidates that became certain, in order of time. Holes are found by time, not by ``gap_before``."""
        if not len(block.t_utc_ns):
            return []
        self._half_row_ns = round(0.5 * row_ns(block))
        cell, braking, lateral = cells_of(block)
        begin, end = int(cell[0]), int(cell[-1]) + 1
        before = self._end if len(self._braking) else begin
        if end - before == len(cell):
            return self._extend(end, braking, lateral)
        hole = rises(cell, before - 1) - 1
        at = np.flatnonzero(hole)
        found: list[Candidate] = []
        done = 0
        for i in at.tolist():
            if i > done:
                found += self._extend(int(cell[i - 1]) + 1, braking[done:i], lateral[done:i])
            done = i
            missing = int(hole[i])
            if missing > BRIDGE_CELLS:
                found += self.finish()
            else:
                share = np.arange(1, missing + 1) / (missing + 1)
                straight = [a[-1] + (b - a[-1]) * share for a, b in self._ends(braking[i], lateral[i])]
                found += self._extend(int(cell[i]), straight[0], straight[1])
        return found + self._extend(end, braking[done:], lateral[done:])

    def finish(self) -> list[Candidate]:
        """The signal ends here: candidates of its last cells, judged as if it stayed level."""
        if not len(self._braking):
            return []
        level = [np.full(REACH_CELLS, a[-1]) for a in (self._braking, self._lateral)]
        found = self._extend(self._end + REACH_CELLS, level[0], level[1])
        self._braking, self._lateral = np.empty(0), np.empty(0)
        return found

    def known_until_ns(self) -> int:
        """Every candidate before this time has been given."""
        return (self._end - REACH_CELLS) * CELL_NS

    def _ends(self, braking: float, lateral: float) -> list[tuple[F64, float]]:
        return [(self._braking, braking), (self._lateral, lateral)]

    def _extend(self, end: int, braking: F64, lateral: F64) -> list[Candidate]:
        """Append cells up to the absolute number ``end`` and judge those whose surroundings are now known."""
        if len(self._braking):
            braking = np.concatenate([self._braking, braking])
            lateral = np.concatenate([self._lateral, lateral])
        else:  # a signal begins: as if it had been level before
            braking = np.concatenate([np.full(REACH_CELLS, braking[0]), braking])
            lateral = np.concatenate([np.full(REACH_CELLS, lateral[0]), lateral])
        keep = 2 * REACH_CELLS
        self._end, self._braking, self._lateral = end, braking[-keep:].copy(), lateral[-keep:].copy()
        count = len(braking) - keep
        if count < 1:
            return []
        # Moments -1 to count: one more on either side of those judged, to tell a peak.
        rise = _derivative(braking, count)
        inner = rise[1:-1]
        peak = np.flatnonzero((inner >= MIN_RISE_MPS3) & (inner > rise[:-2]) & (inner >= rise[2:]))
        first = end - len(braking) + REACH_CELLS
        return _candidates(first * CELL_NS + self._half_row_ns, rise, lateral, peak)

    def snapshot(self) -> dict[str, Any]:
        signal = {"braking": self._braking.copy(), "lateral": self._lateral.copy()}
        return {"end": self._end, "half_row_ns": self._half_row_ns, **signal}

    def restore(self, state: dict[str, Any]) -> None:
        self._end, self._half_row_ns = int(state["end"]), int(state["half_row_ns"])
        self._braking, self._lateral = np.array(state["braking"]), np.array(state["lateral"])


def _derivative(x: F64, count: int) -> F64:
    """Gaussian derivative [1/s] at the moments -1 to ``count`` (count + 2,), moment 0 being row `REACH_CELLS` of ``x``.

    Written as a sum of shifted arrays: each result is then the same however many are computed at once.
    """
    lo, total, part = REACH_CELLS - 1, np.zeros(count + 2), np.empty(count + 2)
    for k, w in enumerate(_WEIGHTS, 1):
        np.subtract(x[lo + k : lo + k + count + 2], x[lo - k : lo - k + count + 2], out=part)
        part *= w
        total += part
    total /= _WEIGHTS_S
    return total


def _candidates(first_ns: int, rise: F64, lateral: F64, peak: I64) -> list[Candidate]:
    """The peaks' times between cells by a parabola through three of them; the sway around each."""
    if not len(peak):
        return []
    a, b, c = rise[peak], rise[peak + 1], rise[peak + 2]
    offset = 0.5 * (a - c) / (a - 2.0 * b + c)
    t_utc_ns = first_ns + peak * CELL_NS + np.rint((0.5 + offset) * CELL_NS).astype(np.int64)
    before, after = (np.add.reduce(lateral[cells + peak], axis=0) for cells in (_BEFORE, _AFTER))
    sway = (before - after) / len(_BEFORE)
    return list(starmap(Candidate, zip(t_utc_ns.tolist(), b.tolist(), sway.tolist(), strict=True)))
