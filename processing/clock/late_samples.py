"""Late samples that brought their times along, kept small until `retro` knows where they belong.

A recording fetched in the evening is a sample a message: as objects an hour of them would fill a hundred megabytes, as arrays
fourteen. Not on the sensor's live clock: on the gateway's monotonic clock in one of its epochs, or on UTC.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from processing.types import F64, I64, ImuBatch

UTC: Final = -1
"""In place of an epoch: these times need no clock of the gateway's."""
_PACK: Final = 4096


class LateSamples(NamedTuple):
    """Per sample: epoch (or `UTC`), its time and its arrival [ns of the clock that is meant], acceleration and rate (n, 3)."""

    epoch: I64
    t_ns: I64
    arrived_ns: I64
    acc_mps2: F64
    gyr_rps: F64

    def sorted(self) -> LateSamples:
        """In the order of their times; what came first stays first."""
        order = np.argsort(self.t_ns, kind="stable")
        t, arrived = self.t_ns[order], self.arrived_ns[order]
        return LateSamples(self.epoch[order], t, arrived, self.acc_mps2[order], self.gyr_rps[order])


class LateStore:
    """Takes batches as they come; gives them back as one."""

    def __init__(self) -> None:
        self._parts: list[LateSamples] = []
        self._packed = 0

    def add(self, epoch: int, batch: ImuBatch) -> None:
        """``epoch``: `UTC`, or that in which the batch arrived."""
        n = len(batch.t_dev_ticks)
        arrived = batch.rx_utc_ns if epoch == UTC else batch.rx_mono_ns
        self._parts.append(
            LateSamples(np.full(n, epoch), batch.t_dev_ticks, np.full(n, arrived), batch.acc_mps2, batch.gyr_rps)
        )
        if len(self._parts) - self._packed >= _PACK:
            self._parts[self._packed :] = [_joined(self._parts[self._packed :])]
            self._packed += 1

    def take(self) -> LateSamples | None:
        """All, in the order in which they came; None where there are none. The store is empty afterwards."""
        parts, self._parts, self._packed = self._parts, [], 0
        return _joined(parts) if parts else None


def _joined(parts: list[LateSamples]) -> LateSamples:
    epoch, t, arrived, acc, gyr = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return LateSamples(epoch, t, arrived, acc, gyr)
