"""What happens to a sensor's frames on their way: an oscillator that is off, connection events, retransmission, lost bursts.

All are functions of the absolute frame number, like the sensor's noise: a block, a restart or another block size sees the
same radio. Times are integers in nanoseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from processing.types import I64, NS_PER_S, Bool

_DRAWN: Final = 1024
_SPACING_NS: Final = 1_000_000
"""Frames held up by a stall arrive at least this far apart."""


@dataclass(frozen=True, slots=True)
class RadioModel:
    """``ppm``: the sensor's oscillator runs slow by so much (its sample period is longer). A share ``retransmit`` of frames
    is delayed by up to ``stall_s``; a share ``loss`` is lost, in bursts of ``burst_s``.
    """

    seed: int
    rate_hz: float = 100.0
    per_frame: int = 10
    ppm: float = 20.0
    interval_s: float = 0.03
    retransmit: float = 0.02
    stall_s: float = 0.4
    loss: float = 0.0
    burst_s: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 <= self.loss < 1.0 or not 0.0 <= self.retransmit <= 1.0:
            raise ValueError(
                f"loss {self.loss} and retransmit {self.retransmit} are shares; give values from 0 to below 1"
            )
        if self.stall_s * NS_PER_S > self.frame_ns * 100:
            raise ValueError(f"stall_s {self.stall_s} is longer than 100 frames; give less")

    @property
    def period_ns(self) -> int:
        """True time between samples; the sensor itself believes it to be 1 / rate."""
        return round(NS_PER_S / self.rate_hz * (1.0 + self.ppm * 1e-6))

    @property
    def frame_ns(self) -> int:
        return self.period_ns * self.per_frame

    def sample_utc_ns(self, first: int, count: int) -> I64:
        """True times of samples ``first`` …, counted since 1970."""
        times: I64 = np.arange(first, first + count, dtype=np.int64) * self.period_ns
        return times

    def sample_at(self, utc_ns: int) -> int:
        """Index of the first sample at or after a time."""
        return -(-utc_ns // self.period_ns)

    def arrival_utc_ns(self, first: int, count: int) -> I64:
        """When frames ``first`` … arrive: at the next connection event after their last sample, later where retransmitted,
        never before an earlier frame. Strictly increasing, whatever the block.
        """
        back = 2 + math.ceil(self.stall_s * NS_PER_S / (self.frame_ns - _SPACING_NS))  # no older stall reaches this far
        k = np.arange(first - back, first + count, dtype=np.int64)
        u = self._uniform(first - back, count + back, 0)
        ready = (k + 1) * self.frame_ns - self.period_ns
        interval_ns = round(self.interval_s * NS_PER_S)
        event = -(-ready // interval_ns) * interval_ns
        host_ns = (u[:, 0] * 1.5e6).astype(np.int64)  # the host's own scheduling
        stalled = np.where(u[:, 1] < self.retransmit, (u[:, 2] * self.stall_s * NS_PER_S).astype(np.int64), 0)
        arrival = event + host_ns + stalled
        in_order: I64 = np.maximum.accumulate(arrival - k * _SPACING_NS) + k * _SPACING_NS
        return in_order[back:]

    def lost(self, first: int, count: int) -> Bool:
        """Which of the frames ``first`` … never arrive (n,)."""
        length = max(1, round(self.burst_s * NS_PER_S / self.frame_ns))
        if not self.loss:
            return np.zeros(count, dtype=np.bool_)
        # A frame is lost if a burst began at it or at one of the length - 1 before: 1 - (1 - p)^length = loss.
        p = 1.0 - (1.0 - self.loss) ** (1.0 / length)
        begins = self._uniform(first - length + 1, count + length - 1, 1)[:, 0] < p
        sums = np.concatenate(([0], np.cumsum(begins)))
        covered: Bool = sums[length:] - sums[:-length] > 0
        return covered

    def _uniform(self, first: int, count: int, stream: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        out = np.empty((count, 3))
        for block in range(first // _DRAWN, (first + count - 1) // _DRAWN + 1):
            rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, stream + 1, block, 0]))
            rows = rng.random((_DRAWN, 3))
            lo, hi = max(first, block * _DRAWN), min(first + count, (block + 1) * _DRAWN)
            out[lo - first : hi - first] = rows[lo - block * _DRAWN : hi - block * _DRAWN]
        return out
