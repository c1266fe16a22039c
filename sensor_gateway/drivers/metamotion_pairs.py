"""Which angular rates belong to which accelerations of a MetaMotion, whose streamed messages carry neither time nor number.

Used by `metamotion`. Both streams are measured by one clock and come over one characteristic in the order in which they
were measured, so they alternate, and the one that comes first goes on doing so (where both fall due together the order is
by chance). From this a lost message is told: a stream that gets two messages ahead has lost its partner's; where the order
of a whole run of messages is turned round, one of the stream that used to lead was lost.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from processing.types import F64
from sensor_gateway.drivers.counting import SampleCount
from sensor_gateway.drivers.join import Join, Joined
from sensor_gateway.drivers.metamotion_chips import ACC, PACKED

_RUN: Final = 32  # messages in one order that are no chance; a loss misleads for about a second until then


class Pairing:
    """Numbers the samples of both streams and joins them on their number."""

    def __init__(self, period_ns: int) -> None:
        self._count = SampleCount(period_ns)  # of the accelerations; arrivals watch over it
        self._gyr_next = 0
        self._join = Join(max_gap_ticks=1, most=16 * PACKED)
        self._leader = self._first = self._run = 0

    def add(self, module: int, values: F64, rx_mono_ns: int) -> Joined | None:
        """Take a message's samples (n, 3) of `ACC` or `GYRO`; what is complete now, with the number as time."""
        n, count = len(values), self._count
        ahead = (count.next - self._gyr_next) * (1 if module == ACC else -1)
        if ahead >= n:
            self._skip(module != ACC, n)
        elif ahead == 0:
            self._watch_order(module, n)
        if module == ACC:
            due = count.next
            first = count.take(n, rx_mono_ns)
            self._gyr_next += first - due  # arrivals say that both streams have a hole here
            return self._join.add_acc(np.arange(first, first + n), values)
        first, self._gyr_next = self._gyr_next, self._gyr_next + n
        return self._join.add_gyr(np.arange(first, first + n), values)

    def _watch_order(self, module: int, n: int) -> None:
        """``module`` comes first of a pair."""
        self._run = self._run + 1 if module == self._first else 1
        self._first = module
        if self._run == _RUN:
            self._run = 0
            if self._leader not in (0, module):
                self._skip(self._leader == ACC, n)
            else:
                self._leader = module

    def _skip(self, acc: bool, n: int) -> None:
        """One message of the accelerations (else of the angular rates) is missing."""
        if acc:
            self._count.skip(n)
        else:
            self._gyr_next += n

    def reset(self) -> None:
        """The connection was lost: another count, another order."""
        self._count.reset()
        self._gyr_next = self._count.next
        self._join.reset()
        self._leader = self._first = self._run = 0

    def snapshot(self) -> dict[str, int]:
        """Plain numbers for `restore`."""
        own = {"gyr_next": self._gyr_next, "leader": self._leader, "lead": self._first, "run": self._run}
        return self._join.snapshot() | self._count.snapshot() | own

    def restore(self, state: dict[str, int]) -> None:
        """Take `snapshot`'s numbers back."""
        self._join.restore(state)
        self._count.restore(state)
        self._gyr_next = state["gyr_next"]
        self._leader, self._first, self._run = state["leader"], state["lead"], state["run"]
