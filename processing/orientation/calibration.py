"""What the accelerometer itself gets wrong, learnt from the wearer's own still seconds: offset and scale of each axis.

Stands before the orientation filter. A sensor at rest feels gravity and nothing else, so wherever it rests, the length of what it
reads differs from gravity by its own error along that direction:

    |m| = g + u·o + g Σ s_i u_i²        u direction of m, o offsets (3), s scale errors (3), g gravity where the wearer lives

One resting direction gives one equation; lying, sitting and standing together give the offsets. This is the six-position test of
sensor makers (Lötters et al. 1998, Sensors and Actuators A 68:221, who let it run on the body) as a linear Bayesian estimate. The
prior is what data sheets promise, so that nothing is believed that the data do not say; where they say too little nothing
is applied (`CalibrationParams.known_share`). Resting directions are kept in fixed cells of the sphere as sums over whole UTC
seconds, and a correction takes effect at a full UTC minute: how samples were grouped cannot matter.

The zero does not move: an alignment holds what the sensor itself read in the neutral pose, and `features/align.py` carries it over to corrected
axes. What is corrected is every other direction against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from processing.frames import columns, component
from processing.runs import first_rows, lengths
from processing.types import F64, GRAVITY_MPS2, I64, NS_PER_S, Json

Cell: TypeAlias = tuple[int, int, int]
_MINUTE_NS: Final = 60 * NS_PER_S
_CELLS_PER_G: Final = 2  # cells of half a g along each axis: some 30° wide
_Three: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class CalibrationParams:
    """Accelerations [m/s²], rates [deg/s]; standard deviations are one sigma.

    The prior: zero-g offset ±20 mg and scale ±0.4 % (data sheets of BMI270, LSM6DSO, ICM-20948, typical); gravity between
    equator and pole at sea level spreads 9.780 to 9.832. ``direction_sd`` is what one resting direction may be wrong by however long it
    is held (warmth, cross-axis terms, the body's tremor), ``second_sd`` what one second may.
    """

    rate_hz: float
    offset_sd: float = 0.020 * GRAVITY_MPS2
    scale_sd: float = 0.004
    gravity_sd: float = 0.014
    direction_sd: float = 0.015
    second_sd: float = 0.03
    still_acc_sd: float = 0.1
    still_gyr_sd_dps: float = 1.5
    still_norm: float = 0.8  # four sigma of offset: beyond it is movement or a fault
    asked_s: int = 12  # of each minute are looked at: a rest that teaches lasts longer, and it costs a fifth
    min_seconds: int = 10  # of rest before a direction counts
    known_share: float = 0.4  # of the prior's doubt: at least two axes must be known better than this
    max_misfit: float = 3.0  # of what is expected: beyond, the readings are no gravity and nothing is concluded
    least_change: float = 0.01  # smaller corrections are not worth a change
    refresh_share: float = 0.2  # more rest than at the last look, before the next
    memory_s: float = 14_400.0  # of rest in one direction; then its weight is halved, so that ageing is followed


@dataclass(frozen=True, slots=True)
class Correction:
    """``acc - offset - scale * acc`` holds from ``from_ns`` on; ``sd_mps2`` is what remains of the offset's doubt, an axis's mean.

    ``directions`` resting directions with ``still_s`` seconds of rest it was learnt from; all zero for the accelerometer as it is.
    """

    from_ns: int
    offset_mps2: _Three
    scale: _Three
    sd_mps2: float
    directions: int = 0
    still_s: int = 0
    misfit: float = 0.0

    def apply(self, acc_mps2: F64) -> F64:
        """Corrected specific force (n, 3)."""
        if not self.directions:
            return acc_mps2
        out = np.empty_like(acc_mps2)
        for i in range(3):  # by column: three times as fast as by row
            np.multiply(acc_mps2[:, i], 1.0 - self.scale[i], out=out[:, i])
            out[:, i] -= self.offset_mps2[i]
        return out

    def data(self) -> dict[str, Json]:
        """The event's data."""
        return {
            "offset_mps2": list(self.offset_mps2),
            "scale": list(self.scale),
            "offset_sd_mps2": self.sd_mps2,
            "resting_directions": self.directions,
            "still_s": self.still_s,
            "misfit": self.misfit,
            "text": "The accelerometer's own error, learnt from rests in several positions, is taken out from here; "
            "zero stays where the neutral pose put it.",
        }

    def fields(self) -> list[Any]:
        return [self.from_ns, self.offset_mps2, self.scale, self.sd_mps2, self.directions, self.still_s, self.misfit]

    @classmethod
    def restored(cls, fields: list[Any]) -> Correction:
        from_ns, offset, scale, *rest = fields
        return cls(from_ns, (offset[0], offset[1], offset[2]), (scale[0], scale[1], scale[2]), *rest)


def minute_start(t_ns: int) -> int:
    """Start [ns] of the UTC minute."""
    return t_ns // _MINUTE_NS * _MINUTE_NS


def minutes(t_utc_ns: I64) -> Iterator[tuple[int, int]]:
    """Rows (from, to) of each UTC minute that holds samples."""
    lo = 0
    while lo < len(t_utc_ns):
        end_ns = minute_start(int(t_utc_ns[lo])) + _MINUTE_NS
        hi = len(t_utc_ns) if t_utc_ns[-1] < end_ns else int(t_utc_ns.searchsorted(end_ns))
        yield lo, hi
        lo = hi


class Rests:
    """Sums over still seconds, one row per cell of the sphere: seconds, direction (3), length."""

    def __init__(self, params: CalibrationParams) -> None:
        self._params = params
        self.cells: dict[Cell, list[float]] = {}
        self.still_s = 0
        self._held: list[list[Any]] = []  # samples of the minute that has not ended, in pieces
        self._still: list[tuple[int, _Three, float]] = []  # seconds of minutes that have; none between two updates
        self._before: tuple[int, _Three] | None = None  # the last still second and its mean

    def add(self, t_utc_ns: I64, acc_mps2: F64, gyr_rps: F64) -> None:
        """Take samples later than all before; a minute's seconds count once `close` is told that it is over."""
        last = minute_start(int(t_utc_ns[-1]))
        for lo, end in minutes(t_utc_ns):
            begin_ns = minute_start(int(t_utc_ns[lo]))
            if begin_ns == last and self._held and self._held[0][0][0] < last:
                self._judge_held()  # all minutes that are over at once
            hi = lo + int(t_utc_ns[lo:end].searchsorted(begin_ns + self._params.asked_s * NS_PER_S))
            if lo < hi:
                piece = [a[lo:hi] for a in (t_utc_ns, acc_mps2, gyr_rps)]
                self._held.append([a.copy() for a in piece] if begin_ns == last else piece)

    def close(self, before_ns: int) -> None:
        """Count what was still before ``before_ns``, the start of a minute or the end of a recording."""
        if self._held and self._held[0][0][0] < before_ns:
            self._judge_held()
        while self._still and self._still[0][0] * NS_PER_S < before_ns:
            self._keep(*self._still.pop(0))

    def _judge_held(self) -> None:
        """Find the still seconds of what is held; they wait for `close`."""
        t, acc, gyr = zip(*self._held, strict=True)
        self._held = []
        p, second = self._params, np.concatenate(t) // NS_PER_S
        first = first_rows(second)
        count = lengths(first, len(second))

        def means(pieces: Sequence[F64]) -> tuple[F64, F64, F64]:
            """Mean of each axis (3, m), its length and the spread about it, each (m,), of each second."""
            axes = columns(np.concatenate(pieces))
            mean = np.add.reduceat(axes, first, axis=1) / count
            square = np.add.reduceat(component(axes.T, axes.T), first) / count
            of_mean = mean[0] * mean[0] + mean[1] * mean[1] + mean[2] * mean[2]
            return mean, np.sqrt(of_mean), np.sqrt(np.maximum(0.0, square - of_mean))

        mean, norm, shake = means(acc)
        still = (shake < p.still_acc_sd) & (count > 0.9 * p.rate_hz) & (np.abs(norm - GRAVITY_MPS2) < p.still_norm)
        rows = np.flatnonzero(still & (means(gyr)[2] < np.radians(p.still_gyr_sd_dps)) if still.any() else still)
        x, y, z = mean[:, rows].tolist()
        self._still += zip(second[first[rows]].tolist(), zip(x, y, z, strict=True), norm[rows].tolist(), strict=True)

    def _keep(self, second: int, mean: _Three, norm: float) -> None:
        """Keep a second that follows on a still one in the same place."""
        before, self._before = self._before, (second, mean)
        if before is None or before[0] != second - 1:
            return
        (x, y, z), (u, v, w), apart = mean, before[1], self._params.still_acc_sd
        if abs(x - u) > apart or abs(y - v) > apart or abs(z - w) > apart:
            return
        g, per_g = GRAVITY_MPS2, _CELLS_PER_G
        cell = round(x / g * per_g), round(y / g * per_g), round(z / g * per_g)
        row = self.cells.setdefault(cell, [0.0, 0.0, 0.0, 0.0, 0.0])
        row[:] = row[0] + 1.0, row[1] + x / norm, row[2] + y / norm, row[3] + z / norm, row[4] + norm
        if row[0] > self._params.memory_s:
            row[:] = [0.5 * total for total in row]
        self.still_s += 1

    def snapshot(self) -> dict[str, Any]:
        cells = [[list(c), list(row)] for c, row in self.cells.items()]
        before = None if self._before is None else [self._before[0], list(self._before[1])]
        held = [[np.concatenate(x) for x in zip(*self._held, strict=True)]] if self._held else []
        return {"cells": cells, "still_s": self.still_s, "held": held, "before": before}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.cells = {(c[0], c[1], c[2]): list(row) for c, row in state["cells"]}
        self.still_s, self._held = state["still_s"], [list(p) for p in state["held"]]
        b = state["before"]
        self._before = None if b is None else (b[0], (b[1][0], b[1][1], b[1][2]))


def solve(rests: Rests, params: CalibrationParams, from_ns: int) -> Correction | None:
    """The most probable error given all rests, or None where they say too little or contradict one another."""
    p = params
    rows = [row for _, row in sorted(rests.cells.items()) if row[0] >= p.min_seconds]
    if len(rows) < 2:
        return None
    table = np.array(rows)
    count, length = table[:, 0], table[:, 4] / table[:, 0]
    u = table[:, 1:4] / count[:, None]
    a = np.column_stack([u, GRAVITY_MPS2 * u * u, np.ones(len(u))])
    variance = p.direction_sd**2 + p.second_sd**2 / count
    prior = np.array([p.offset_sd] * 3 + [p.scale_sd] * 3 + [p.gravity_sd]) ** -2.0
    off = length - GRAVITY_MPS2
    covariance = np.linalg.inv((a.T / variance) @ a + np.diag(prior))
    x = covariance @ (a.T @ (off / variance))
    known = np.linalg.eigvalsh(covariance[:3, :3])  # ascending
    if known[1] > (p.known_share * p.offset_sd) ** 2:
        return None
    # What the data and the prior together find odd: a large error nobody's data sheet allows is no explanation either.
    chi_sq = np.sum((off - a @ x) ** 2 / variance) + np.sum(x * x * prior)
    misfit = float(np.sqrt(chi_sq / len(rows)))
    if misfit > p.max_misfit:
        return None
    v = [float(e) for e in x]
    sd = float(np.sqrt(np.mean(known)))
    return Correction(from_ns, (v[0], v[1], v[2]), (v[3], v[4], v[5]), sd, len(rows), int(count.sum()), misfit)


class Calibrator:
    """Learns from a stream and says which correction holds when; see the module."""

    def __init__(self, params: CalibrationParams) -> None:
        self.params = params
        self.rests = Rests(params)
        self.history = [Correction(0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), params.offset_sd)]  # as it is
        self._looked_s = 0  # seconds of rest at the last look
        self._new: list[Correction] = []

    def corrected(self, t_utc_ns: I64, acc_mps2: F64, gyr_rps: F64) -> F64:
        """Specific force (n, 3) for the filter, each sample by what rests before its minute have taught."""
        if not len(t_utc_ns):
            return acc_mps2
        self.rests.add(t_utc_ns, acc_mps2, gyr_rps)
        since: list[tuple[int, Correction]] = []  # first row and what holds from it on
        for lo, _ in minutes(t_utc_ns):
            # What the minutes before have taught holds from this one on.
            begin_ns = minute_start(int(t_utc_ns[lo]))
            self.rests.close(begin_ns)
            self.look(begin_ns)
            if not since or since[-1][1] is not self.history[-1]:
                since.append((lo, self.history[-1]))
        if len(since) == 1:
            return since[0][1].apply(acc_mps2)
        ends = [*(at for at, _ in since[1:]), len(acc_mps2)]
        return np.concatenate([c.apply(acc_mps2[at:end]) for (at, c), end in zip(since, ends, strict=True)])

    def look(self, from_ns: int) -> None:
        """Whether rests so far call for another correction from ``from_ns`` on."""
        if self.rests.still_s <= self._looked_s * (1.0 + self.params.refresh_share):
            return
        self._looked_s = self.rests.still_s
        found, last = solve(self.rests, self.params, from_ns), self.history[-1]
        if found is None:
            return
        change = [abs(a - b) for a, b in zip(found.offset_mps2, last.offset_mps2, strict=True)]
        if max(change) < self.params.least_change:
            return
        self.history.append(found)
        self._new.append(found)

    def at(self, t_ns: int) -> Correction:
        """The correction in force at a time."""
        for correction in reversed(self.history):
            if correction.from_ns <= t_ns:
                return correction
        return self.history[0]

    def take_new(self) -> list[Correction]:
        """Corrections not told yet."""
        new, self._new = self._new, []
        return new

    def snapshot(self) -> dict[str, Any]:
        return {
            "rests": self.rests.snapshot(),
            "history": [c.fields() for c in self.history],
            "new": [c.fields() for c in self._new],
            "looked_s": self._looked_s,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.rests.restore(state["rests"])
        self.history = [Correction.restored(f) for f in state["history"]]
        self._new = [Correction.restored(f) for f in state["new"]]
        self._looked_s = state["looked_s"]
