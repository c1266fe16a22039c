"""Groups of samples as rows: fast sensors cost no more than slow ones. Called by `intake.py`.

What a pelvis does is told by some 50 samples a second, and orientation from them is as good as from all (`docs/validation.md`). So samples
from `GROUPED_FROM_HZ` on are taken in groups that follow each other without a hole; a group is one row, at the time of its last sample:

- its rate is the turn of all its samples, one after the other, over the time of a full group. Turns a, then b, are a + b + a × b / 2 up
  to third order (Bortz 1971, IEEE Trans Aerosp Electron Syst 7:61);
- its specific force is their mean, each first turned into the axes that the sensor has at the end of the group.

Before a hole and at the end of a recording a group may be short: no sample is left out. Groups are counted from the first sample
after a hole, never from the start of a chunk, so chunks do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from processing.gaps import NOTHING, Filled, Within, cut, join
from processing.types import F64, I64, Bool

T = TypeVar("T", bound=np.generic)

LEAST_ROWS_HZ: Final = 48.0
"""Groups are as large as leaves so many rows a second."""
GROUPED_FROM_HZ: Final = 2.0 * LEAST_ROWS_HZ


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
        edges = sorted({0, *held.breaks, n})
        parts = [np.arange(a, b, self.size) for a, b in zip(edges[:-1], edges[1:], strict=True)]
        first = parts[0] if len(parts) == 1 else np.concatenate(parts)
        count = np.diff(first, append=n)
        groups = _Groups(self.size, first, None if (count == self.size).all() else count)
        rate, force = self._reduced(held, groups)
        real = None if held.real is None else np.logical_or.reduceat(held.real, first)
        received = count if held.real is None else np.add.reduceat(held.real.astype(np.int64), first)
        return Filled(
            held.t_utc_ns[first + count - 1],
            force.T,
            rate.T,
            None if real is None or real.all() else real,
            np.searchsorted(first, held.breaks).tolist(),
            held.gaps,
            None if held.clipped is None else np.logical_or.reduceat(held.clipped, first),
            None if (received == self.size).all() else received / self.size,
            self._members(held, groups) if self.within else None,
        )

    def _reduced(self, held: Filled, groups: _Groups) -> tuple[F64, F64]:
        """Rate and specific force (3, m), taken together from the last sample of each group back to its first."""
        turn, force = self._readings(held, groups, self.size - 1)  # turn: sum of rates, in samples
        twist = np.empty_like(turn)
        for j in range(self.size - 2, -1, -1):
            w, f = self._readings(held, groups, j)
            force += f
            force -= _cross(turn, f, self.sample_s, out=twist)
            _cross(w, turn, 0.5 * self.sample_s, out=twist)
            turn += w
            turn += twist
        turn /= self.size
        force /= self.size if groups.counts is None else groups.counts
        return turn, force

    def _readings(self, held: Filled, groups: _Groups, j: int) -> tuple[F64, F64]:
        """Rate and specific force (3, m) of the j-th samples, nothing where a group has none."""
        has, found = groups.has(j), []
        for readings in (held.gyr_rps, held.acc_mps2):
            out = np.empty((3, len(groups.first)))
            for k in range(3):
                out[k] = groups.member(readings[:, k], j)
            found.append(out if has is None else out * has)
        return found[0], found[1]

    def _members(self, held: Filled, groups: _Groups) -> Within:
        times, rates, real = [], [], []
        for j in range(self.size):
            has = groups.has(j)
            times.append(groups.member(held.t_utc_ns, j))
            rate = np.stack([groups.member(held.gyr_rps[:, k], j) for k in range(3)], axis=1)
            rates.append(rate if has is None else rate * has[:, None])
            got = np.ones(len(groups.first), dtype=bool) if held.real is None else groups.member(held.real, j)
            real.append(got if has is None else got & has)
        return Within(np.stack(times, axis=1), np.stack(rates, axis=1), np.stack(real, axis=1))


def _cross(a: F64, b: F64, factor: float, *, out: F64) -> F64:
    """``factor`` a × b, column by column (3, m)."""
    part = np.empty(a.shape[1])
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        np.multiply(a[j], b[k], out=out[i])
        np.multiply(a[k], b[j], out=part)
        out[i] -= part
        out[i] *= factor
    return out
