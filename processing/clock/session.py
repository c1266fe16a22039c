"""The clock epochs of a whole session: what arrived in each, and the line from its counts to UTC.

Between `timebase`, which says what belongs to which epoch, and `retro`, which dates samples. A line is laid under each
epoch's arrivals from both sides (`clock.two_sided_line`).

UTC: the gateway's clock setting is trusted from behind. Where it was stepped, it was wrong before and right after, so
what came before the step takes it too; slow corrections are followed.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from processing.clock.two_sided_line import LEAST_SPAN_S, DelayCurve, fit_curve
from processing.types import F64, I64, NS_PER_S, Bool, ImuBatch

_STEP_NS: Final = 50_000_000
_UTC_BLOCK_NS: Final = 60 * NS_PER_S
_OLDEST_NS: Final = 86_400 * NS_PER_S  # before an epoch's first live sample; no sensor keeps more in memory
EARLY_NS: Final = NS_PER_S
"""A late sample dated after its own arrival by more is none of this clock."""


def _int64() -> array[int]:
    return array("q")


@dataclass(slots=True)
class _Heard:
    """Per taken batch: counts of its first and last sample, its arrival [monotonic ns], its UTC stamp minus that."""

    first: array[int] = field(default_factory=_int64)
    last: array[int] = field(default_factory=_int64)
    rx: array[int] = field(default_factory=_int64)
    offset: array[int] = field(default_factory=_int64)


@dataclass(frozen=True, slots=True)
class _Line:
    """One epoch's way from counts to UTC."""

    x0: int
    m0: int
    curve: DelayCurve
    mono_ns: I64
    offset_ns: F64
    base_ns: int

    def utc_ns(self, counts: I64, tick_ns: int) -> I64:
        x = counts - self.x0
        u: F64 = (x * (tick_ns / NS_PER_S)).astype(np.float64)
        after = np.rint(self.curve.at(u) * NS_PER_S).astype(np.int64) + x * tick_ns
        moved = np.rint(np.interp(after, self.mono_ns - self.m0, self.offset_ns)).astype(np.int64)
        out: I64 = self.m0 + after + self.base_ns + moved
        return out


class Epochs:
    """What was heard of all epochs and, once `solve` was called, when it was."""

    def __init__(self, tick_ns: int, rate_hz: float, slope_limit: float) -> None:
        self._tick_ns, self._limit = tick_ns, slope_limit
        self.half_period = max(1, round(NS_PER_S / rate_hz / tick_ns / 2))
        self.half_period_ns = round(NS_PER_S / rate_hz) // 2
        """Half a sample's period in counts, and in nanoseconds: samples nearer than that are one moment."""
        self._heard: dict[int, _Heard] = {}
        self._lines: dict[int, _Line] = {}

    def __contains__(self, number: int) -> bool:
        return number in self._heard

    def add(self, number: int, batch: ImuBatch, first: int, last: int) -> None:
        """A live batch, with the counts of its first and last sample."""
        e = self._heard.setdefault(number, _Heard())
        e.first.append(first)
        e.last.append(last)
        e.rx.append(batch.rx_mono_ns)
        e.offset.append(batch.rx_utc_ns - batch.rx_mono_ns)

    def add_many(self, number: int, first: I64, last: I64, rx_mono_ns: I64, rx_utc_ns: I64) -> None:
        """As `add` does, of many batches: their counts and arrivals."""
        e = self._heard.setdefault(number, _Heard())
        offset = rx_utc_ns - rx_mono_ns
        for kept, new in ((e.first, first), (e.last, last), (e.rx, rx_mono_ns), (e.offset, offset)):
            kept.frombytes(new.astype(np.int64, copy=False).tobytes())

    def newest_count(self, number: int) -> int:
        """Of the last sample heard so far."""
        return self._heard[number].last[-1]

    def solve(self) -> None:
        """Lay the lines."""
        offsets = self._utc_offsets()
        curves: dict[int, DelayCurve] = {}
        slope: float | None = None
        # The longest stretch first: the same oscillator counts in the short ones.
        for number, e in sorted(self._heard.items(), key=lambda item: item[1].first[0] - item[1].last[-1]):
            u, v = self._points(e)
            curves[number] = fit_curve(u, v, self._limit, slope)
            if slope is None and u[-1] - u[0] >= LEAST_SPAN_S:
                slope = curves[number].slope
        for number, e in self._heard.items():
            self._lines[number] = _Line(e.first[0], e.rx[0], curves[number], *offsets[number])

    def _points(self, e: _Heard) -> tuple[F64, F64]:
        u: F64 = (np.array(e.last) - e.first[0]) * (self._tick_ns / NS_PER_S)
        v: F64 = (np.array(e.rx) - e.rx[0]) / NS_PER_S - u
        return u, v

    def points(self, number: int) -> tuple[F64, F64]:
        """Of each batch of an epoch: device time of its last sample, and arrival minus device time [s]."""
        return self._points(self._heard[number])

    def _utc_offsets(self) -> dict[int, tuple[I64, F64, int]]:
        """Per epoch: monotonic times, and UTC minus monotonic there beyond a base [ns], steps taken out as the module says."""
        numbers = list(self._heard)
        if not numbers:
            return {}
        rx = np.concatenate([np.array(self._heard[n].rx) for n in numbers])
        offset = np.concatenate([np.array(self._heard[n].offset) for n in numbers])
        step = np.diff(offset, prepend=offset[:1])
        reboot = np.diff(rx, prepend=rx[:1]) < 0  # another monotonic clock: nothing to compare with
        step[reboot | (np.abs(step) < _STEP_NS)] = 0
        life = np.cumsum(reboot)
        total = np.cumsum(step)
        for number in range(int(life[-1]) + 1):
            total[life == number] -= total[life == number][-1]
        right = offset - total
        out: dict[int, tuple[I64, F64, int]] = {}
        at = 0
        for number in numbers:
            n = len(self._heard[number].rx)
            mono, here = rx[at : at + n], right[at : at + n]
            starts = np.flatnonzero(np.diff(mono // _UTC_BLOCK_NS, prepend=-1))
            blocks = list(zip(starts.tolist(), [*starts[1:].tolist(), n], strict=True))
            base = int(here[0])  # a float cannot hold nanoseconds since 1970
            out[number] = (mono[starts], np.array([float(np.median(here[a:b] - base)) for a, b in blocks]), base)
            at += n
        return out

    def utc_ns(self, number: int, counts: I64) -> I64:
        """When the sensor took these counts."""
        return self._lines[number].utc_ns(counts, self._tick_ns)

    def utc_of_mono(self, number: int, mono_ns: I64) -> I64:
        """The monotonic clock's instants in UTC, as the gateway's clock is judged in this epoch."""
        e = self._lines[number]
        out: I64 = mono_ns + e.base_ns + np.rint(np.interp(mono_ns, e.mono_ns, e.offset_ns)).astype(np.int64)
        return out

    def holds(self, number: int, counts: I64) -> Bool:
        """Which counts lie within a live batch of the epoch."""
        first, last = np.array(self._heard[number].first), np.array(self._heard[number].last)
        at = np.searchsorted(first, counts + self.half_period, "right") - 1
        out: Bool = (at >= 0) & (counts <= last[np.maximum(at, 0)] + self.half_period)
        return out

    def spans(self) -> list[tuple[I64, I64]]:
        """Per epoch the times of its live batches' first and last samples."""
        return [
            (self.utc_ns(n, np.array(e.first)), self.utc_ns(n, np.array(e.last)))
            for n, e in sorted(self._heard.items())
        ]

    def could_be(self, number: int, t: I64, arrived: I64) -> Bool:
        """A late sample is older than its arrival [monotonic ns], and younger than the epoch before."""
        e = self._lines[number]
        offset = e.base_ns + np.interp(arrived, e.mono_ns, e.offset_ns)
        began = int(self.utc_ns(number, np.array([self._heard[number].first[0]]))[0])
        ended = began - _OLDEST_NS if number - 1 not in self._lines else self._end_ns(number - 1)
        out: Bool = (t <= arrived + offset.astype(np.int64) + EARLY_NS) & (t > ended)
        return out

    def _end_ns(self, number: int) -> int:
        return int(self.utc_ns(number, np.array([self._heard[number].last[-1]]))[0])
