"""Groups of samples as rows: fast sensors cost no more than slow ones. Called by `intake.py`.

What a pelvis does is told by some 50 samples a second, and orientation from them is as good as from all (`docs/validation.md`). So samples
from 96 Hz on are taken in groups that follow each other without a hole; a group is one row, at the time of its last sample:

- its rate is the turn of all its samples, one after the other, over the time of a full group. Turns a, then b, are a + b + a × b / 2 up
  to third order (Bortz 1971, IEEE Trans Aerosp Electron Syst 7:61);
- its specific force is their mean, each first turned into the axes that the sensor has at the end of the group.

Before a hole and at the end of a recording a group may be short: no sample is left out. Groups are counted from the first sample
after a hole, never from the start of a chunk, so chunks do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from processing.frames import cross
from processing.gaps import NOTHING, Filled, Within, cut, join
from processing.runs import lengths
from processing.types import F64, I64, Bool

T = TypeVar("T", bound=np.generic)

LEAST_ROWS_HZ: Final = 48.0
"""Groups are as large as leaves so many rows a second: pairs from twice as many samples on."""


def group_size(rate_hz: float) -> int:
    """Samples to a row at a nominal rate."""
    return max(1, int(rate_hz // LEAST_ROWS_HZ))


class _Groups(NamedTuple):
    """Where groups of ``size`` begin among samples; ``counts`` of each, None where all are full and follow each other."""

    size: int
    first: I64
    counts: I64 | None

    def member(self, column: NDArray[T], j: int) -> NDArray[T]:
        """The j-th sample of each group, the last one of a group that has fewer."""
        if self.counts is None:
            return column[j :: self.size]
        return column[self.first + np.minimum(j, self.counts - 1)]

    def has(self, j: int) -> Bool | None:
        """Which groups have a j-th sample, None: all."""
        return None if self.counts is None else np.asarray(self.counts > j)

    def marked(self, marks: Bool, j: int) -> Bool:
        """Whether the j-th sample of each group is there and marked."""
        has, found = self.has(j), self.member(marks, j)
        return found if has is None else found & has

    def marks_of(self, marks: Bool) -> I64:
        """How many samples of each group are marked: of groups so small, faster than `np.add.reduceat`."""
        total = np.zeros(len(self.first), dtype=np.int64)
        for j in range(self.size):
            total += self.marked(marks, j)
        return total


@dataclass(slots=True)
class GroupStage:
    """``size`` samples of ``sample_s`` to a row; ``within``: rows keep what single samples are told from. ``rest``: an open group."""

    size: int
    sample_s: float
    within: bool = False
    rest: Filled = field(default=NOTHING)

    def update(self, filled: Filled, *, last: bool = False) -> Filled:
        """Groups that are complete; ``last``: all."""
        if self.size == 1:
            return filled
        held = join([self.rest, filled]) if len(self.rest.t_utc_ns) else filled
        n = len(held.t_utc_ns)
        starts = sorted({0, *held.breaks})
        end = n if last else starts[-1] + (n - starts[-1]) // self.size * self.size
        self.rest = cut(held, end, n) if end < n else NOTHING
        return self._grouped(cut(held, 0, end) if end < n else held)

    def _grouped(self, held: Filled) -> Filled:
        n = len(held.t_utc_ns)
        if not n:
            return held
        groups = self._groups(sorted({0, *held.breaks, n}))
        acc, gyr = self._reduced(held, groups)
        received = groups.counts if held.real is None else groups.marks_of(held.real)
        t, real, share, breaks = groups.member(held.t_utc_ns, self.size - 1), None, None, held.breaks
        if received is not None and (received != self.size).any():
            real, share = None if received.all() else received > 0, received / self.size
        if breaks:
            breaks = np.searchsorted(groups.first, breaks).tolist()
        clipped = None if held.clipped is None else groups.marks_of(held.clipped) > 0
        within = self._members(held, groups) if self.within else None
        return Filled(np.ascontiguousarray(t), acc, gyr, real, breaks, held.gaps, clipped, share, within)

    def _groups(self, edges: list[int]) -> _Groups:
        """Groups between ``edges``, which none goes across."""
        if not any(edge % self.size for edge in edges):
            return _Groups(self.size, np.arange(0, edges[-1], self.size), None)
        first = np.concatenate([np.arange(a, b, self.size) for a, b in pairwise(edges)])
        return _Groups(self.size, first, lengths(first, edges[-1]))

    def _reduced(self, held: Filled, groups: _Groups) -> tuple[F64, F64]:
        """Specific force and rate (m, 3), taken together from the last sample of each group back to its first."""
        turn, force = self._readings(held, groups, self.size - 1)  # turn: sum of rates, in samples
        for j in range(self.size - 2, -1, -1):
            w, f = self._readings(held, groups, j)
            force[:3] += f[:3]
            force[:3] -= cross(turn, f, self.sample_s)
            twist = cross(w, turn, 0.5 * self.sample_s)
            turn[:3] += w[:3]
            turn[:3] += twist
            if j:
                turn[3:] = turn[:2]
        _divide(turn[:3], self.size)
        _divide(force[:3], self.size if groups.counts is None else groups.counts)
        return force[:3].T, turn[:3].T

    def _readings(self, held: Filled, groups: _Groups, j: int) -> tuple[F64, F64]:
        """Rate and specific force of the j-th samples, nothing where a group has none: by column x, y, z, x, y (5, m), for `cross`."""
        has, found = groups.has(j), []
        for readings in (held.gyr_rps, held.acc_mps2):
            out = np.empty((5, len(groups.first)))
            out[:3] = groups.member(readings, j).T
            if has is not None:
                out[:3] *= has
            out[3:] = out[:2]
            found.append(out)
        return found[0], found[1]

    def _members(self, held: Filled, groups: _Groups) -> Within:
        times, rates, real = [], [], []
        for j in range(self.size):
            has = groups.has(j)
            times.append(groups.member(held.t_utc_ns, j))
            rate = groups.member(held.gyr_rps, j)
            rates.append(rate if has is None else rate * has[:, None])
            real.append(groups.marked(np.ones(len(held.t_utc_ns), dtype=bool) if held.real is None else held.real, j))
        return Within(np.stack(times, axis=1), np.stack(rates, axis=1), np.stack(real, axis=1))


def _divide(sums: F64, by: int | I64) -> None:
    """Divide in place; by a power of two as a product, which has the same bits and takes a quarter of the time."""
    if isinstance(by, int) and by & (by - 1) == 0:
        sums *= 1.0 / by
    else:
        sums /= by
