"""Late samples at their place: dated, left out where that moment is held already, and in one order of time.

Between `clock.session`, which knows when the live samples were, and `retro`, which puts both together. Late samples say
nothing of the radio's delay. Some are counted by the sensor's own clock and lie on the line of the epoch in which they came;
others brought times of their own (`clock.late_samples`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from processing.clock.late_samples import UTC, LateStore
from processing.clock.session import EARLY_NS, Epochs
from processing.types import F64, I64, Bool, ImuBatch, TimedBatch

_BEFORE_ALL_NS: Final = -(1 << 62)
_Part = tuple[I64, F64, F64]
"""Times [UTC ns], acceleration, rate."""


@dataclass(slots=True)
class LateCounts:
    """What became of late samples."""

    used: int = 0
    repeated: int = 0
    misfit: int = 0  # their time fits no running clock: before the epoch, or after their own arrival

    def judge(self, fresh: Bool, fits: Bool) -> Bool:
        """Count them; which to keep."""
        keep: Bool = fresh & fits
        self.repeated += int(np.count_nonzero(~fresh))
        self.misfit += int(np.count_nonzero(fresh & ~fits))
        self.used += int(np.count_nonzero(keep))
        return keep


class LateMerge:
    """Gathers late samples while a session is gone through; `merged` gives them where they belong."""

    def __init__(self, epochs: Epochs) -> None:
        self._epochs, self.counts = epochs, LateCounts()
        self._counted: list[tuple[int, I64, ImuBatch]] = []  # epoch, counts, samples
        self._dated = LateStore()

    def add_counted(self, epoch: int, counts: I64, batch: ImuBatch) -> None:
        """Samples with their counts of the sensor's clock in an epoch."""
        self._counted.append((epoch, counts, batch))

    def add_dated(self, epoch: int, batch: ImuBatch) -> None:
        """Samples whose ticks are nanoseconds of UTC (``epoch`` is `late_samples.UTC`) or of the gateway's monotonic clock."""
        self._dated.add(epoch, batch)

    def add_misfit(self, batch: ImuBatch) -> None:
        """Nothing live has come yet that would tell what these samples' clock shows."""
        self.counts.misfit += len(batch.t_dev_ticks)

    def merged(self) -> TimedBatch:
        """All late samples that fill a hole, in order of time, each moment once; the epochs are solved."""
        none = (np.empty(0, np.int64), np.empty((0, 3)), np.empty((0, 3)))
        t, acc, gyr = (
            np.concatenate(columns) for columns in zip(none, *self._of_epochs(), *self._of_dated(), strict=True)
        )
        order = np.argsort(t, kind="stable")
        return TimedBatch(t[order], acc[order], gyr[order])

    def _of_epochs(self) -> list[_Part]:
        out: list[_Part] = []
        for number in sorted({number for number, _, _ in self._counted}):
            mine = [(counts, batch) for epoch, counts, batch in self._counted if epoch == number]
            counts = np.concatenate([c for c, _ in mine])
            acc, gyr = (np.concatenate([getattr(b, name) for _, b in mine]) for name in ("acc_mps2", "gyr_rps"))
            arrived = np.repeat([b.rx_mono_ns for _, b in mine], [len(c) for c, _ in mine])
            order = np.argsort(counts, kind="stable")
            counts, acc, gyr, arrived = counts[order], acc[order], gyr[order], arrived[order]
            fresh = ~self._epochs.holds(number, counts)
            fresh[1:] &= np.diff(counts) > self._epochs.half_period
            t = self._epochs.utc_ns(number, counts)
            keep = self.counts.judge(fresh, self._epochs.could_be(number, t, arrived))
            out.append((t[keep], acc[keep], gyr[keep]))
        self._counted = []
        return out

    def _of_dated(self) -> list[_Part]:
        late = self._dated.take()
        if late is None:
            return []
        half_ns = self._epochs.half_period_ns
        before, spans = np.array([_BEFORE_ALL_NS]), self._epochs.spans()
        first, last = (np.concatenate([before, *(pair[k] for pair in spans)]) for k in (0, 1))
        order = np.argsort(first, kind="stable")
        first, last = first[order], np.maximum.accumulate(last[order])
        for number in set(np.unique(late.epoch).tolist()) - {UTC}:
            mine = late.epoch == number
            late.t_ns[mine] = self._epochs.utc_of_mono(number, late.t_ns[mine])
            late.arrived_ns[mine] = self._epochs.utc_of_mono(number, late.arrived_ns[mine])
        late = late.sorted()
        t = late.t_ns
        fresh: Bool = t > last[np.searchsorted(first, t + half_ns, "right") - 1] + half_ns
        fresh[1:] &= np.diff(t) > half_ns
        keep = self.counts.judge(fresh, t <= late.arrived_ns + EARLY_NS)
        return [(t[keep], late.acc_mps2[keep], late.gyr_rps[keep])]
