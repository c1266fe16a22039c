"""Device time to UTC once more, when everything is known: the clock of the retro derivation.

Stands before `batch.process_recording(mode="retro")`, where `timebase` stands in the live chain. The journal is gone through
twice: `observe` lets a `Timebase` decide which batch belongs to which clock epoch at which count (so wraps, restarts and
repetitions are judged as they were live) and keeps only counts and arrivals; `solve` lays a line under each epoch's arrivals
from both sides (`two_sided_line`); `date` gives the samples with their times. Late samples, which the sensor had kept and
sent after newer ones, say nothing of the delay; they are dated by their own device time on the line of the epoch they came in,
fall into the holes they belong to, and are dropped where that moment is held already, in whichever order things came.

UTC: the gateway's clock setting is trusted from behind. Where it was stepped, it was wrong before and right after, so
what came before the step takes it too; slow corrections are followed.
Longer than other modules: live and late samples share the epochs, their lines and their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from processing.late_samples import UTC, LateStore
from processing.timebase import Timebase, TimebaseParams
from processing.two_sided_line import LEAST_SPAN_S, DelayCurve, fit_curve
from processing.types import F64, I64, NS_PER_S, Bool, ClockSpec, ImuBatch, LateClock, TimedBatch

_FAR_NS: Final = 1 << 62
_STEP_NS: Final = 50_000_000
_UTC_BLOCK_NS: Final = 60 * NS_PER_S
_OLDEST_NS: Final = 86_400 * NS_PER_S  # before an epoch's first live sample; no sensor keeps more in memory
_EARLY_NS: Final = NS_PER_S  # a late sample dated after its own arrival by more is none of this clock


@dataclass(slots=True)
class _Epoch:
    """Per taken batch: counts of its first and last sample, its arrival [monotonic ns], its UTC stamp minus that."""

    first: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    rx: list[int] = field(default_factory=list)
    offset: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Solved:
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


@dataclass(slots=True)
class LateCounts:
    """What became of late samples."""

    used: int = 0
    repeated: int = 0
    misfit: int = 0  # their time fits no running clock: before the epoch, or after their own arrival


class RetroClock:
    """One sensor's clock, two passes over the same batches in the same order. Times come out strictly increasing."""

    def __init__(self, params: TimebaseParams, clock: ClockSpec, seq_bits: int | None, rate_hz: float) -> None:
        self._like = (params, clock, seq_bits, rate_hz)
        self._limit = params.slope_limit
        self._tick_ns = clock.tick_ns
        self._wrap = 0 if clock.bits is None else 1 << clock.bits
        self._is_utc = clock.absolute
        self._period_ns = round(NS_PER_S / rate_hz)
        self._half_period = max(1, round(NS_PER_S / rate_hz / clock.tick_ns / 2))
        self._epochs: dict[int, _Epoch] = {}
        self._epoch = 0
        self._late: list[tuple[int, I64, ImuBatch]] = []  # epoch, counts, samples
        self._dated_late = LateStore()  # with times of their own
        self._solved: dict[int, _Solved] = {}
        self._filling = TimedBatch(np.empty(0, np.int64), np.empty((0, 3)), np.empty((0, 3)))
        self._waiting = self._filling
        self._out_ns = -_FAR_NS
        self._dated: list[tuple[int, ImuBatch, int]] = []  # epoch, samples, count of the first
        self._observing = True
        self.late = LateCounts()
        self._base = Timebase(*self._like)
        self._base.witness = self

    # ---- first pass

    def observe(self, batches: Sequence[ImuBatch]) -> None:
        """First pass: take batches as they came."""
        if not self._is_utc:
            self._base.update(batches)

    def observe_late(self, batch: ImuBatch, clock: LateClock = "sensor") -> None:
        """First pass: samples that the sensor sent after newer ones, at their place among the others.

        ``clock``: whose time their ticks are; of "gateway" nanoseconds of the monotonic clock that stamps the arrivals, of
        "utc" nanoseconds, which nothing live is needed for.
        """
        if clock == "sensor":
            self._keep_late(self._epoch, batch)
        elif clock == "utc":
            self._dated_late.add(UTC, batch)
        elif self._epoch in self._epochs:
            self._dated_late.add(self._epoch, batch)
        else:
            self.late.misfit += len(batch.t_dev_ticks)

    def taken(self, epoch: int, batch: ImuBatch, first: int, last: int) -> None:
        """The timebase took a batch (`timebase.Witness`)."""
        if not self._observing:
            self._dated.append((epoch, batch, first))
            return
        e = self._epochs.setdefault(epoch, _Epoch())
        self._epoch = epoch
        e.first.append(first)
        e.last.append(last)
        e.rx.append(batch.rx_mono_ns)
        e.offset.append(batch.rx_utc_ns - batch.rx_mono_ns)

    def passed_over(self, epoch: int, batch: ImuBatch, first: int) -> None:
        """The timebase dropped a batch as old (`timebase.Witness`): late samples too, if they were never there before."""
        if self._observing:
            self._late.append((epoch, self._counts(batch, first), batch))

    def _keep_late(self, epoch: int, batch: ImuBatch) -> None:
        if epoch in self._epochs:
            first = int(batch.t_dev_ticks[0])
            if self._wrap:  # kept samples are older than the newest, and by less than a wrap
                first += (self._epochs[epoch].last[-1] - first) // self._wrap * self._wrap
            self._late.append((epoch, self._counts(batch, first), batch))
        else:
            self.late.misfit += len(
                batch.t_dev_ticks
            )  # nothing live has come yet that would tell what this clock shows

    def _counts(self, batch: ImuBatch, first: int) -> I64:
        after = batch.t_dev_ticks - batch.t_dev_ticks[0]
        out: I64 = first + (after % self._wrap if self._wrap else after)
        return out

    # ---- between

    def solve(self) -> None:
        """Lay the lines; after this only `date` and `finish`, and `again` between one round of them and the next."""
        offsets = self._utc_offsets()
        curves: dict[int, DelayCurve] = {}
        slope: float | None = None
        tick_s = self._tick_ns / NS_PER_S
        # The longest stretch first: the same oscillator counts in the short ones.
        for number, e in sorted(self._epochs.items(), key=lambda item: item[1].first[0] - item[1].last[-1]):
            u = (np.array(e.last) - e.first[0]) * tick_s
            v = (np.array(e.rx) - e.rx[0]) / NS_PER_S - u
            curves[number] = fit_curve(u, v, self._limit, slope)
            if slope is None and u[-1] - u[0] >= LEAST_SPAN_S:
                slope = curves[number].slope
        for number, e in self._epochs.items():
            self._solved[number] = _Solved(e.first[0], e.rx[0], curves[number], *offsets[number])
        self._filling = self._merge_late()
        self._observing = False
        self.again()

    def again(self) -> None:
        """The second pass from its beginning."""
        self._waiting, self._out_ns = self._filling, -_FAR_NS
        self._base = Timebase(*self._like)
        self._base.witness = self

    def _utc_offsets(self) -> dict[int, tuple[I64, F64, int]]:
        """Per epoch: monotonic times, and UTC minus monotonic there beyond a base [ns], steps taken out as the module says."""
        numbers = list(self._epochs)
        if not numbers:
            return {}
        rx = np.concatenate([np.array(self._epochs[n].rx) for n in numbers])
        offset = np.concatenate([np.array(self._epochs[n].offset) for n in numbers])
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
            n = len(self._epochs[number].rx)
            mono, here = rx[at : at + n], right[at : at + n]
            starts = np.flatnonzero(np.diff(mono // _UTC_BLOCK_NS, prepend=-1))
            blocks = list(zip(starts.tolist(), [*starts[1:].tolist(), n], strict=True))
            base = int(here[0])  # a float cannot hold nanoseconds since 1970
            out[number] = (mono[starts], np.array([float(np.median(here[a:b] - base)) for a, b in blocks]), base)
            at += n
        return out

    def _merge_late(self) -> TimedBatch:
        """All late samples that fill a hole, in order of time, each moment once."""
        times, accs, gyrs = [np.empty(0, np.int64)], [np.empty((0, 3))], [np.empty((0, 3))]
        for number in sorted({number for number, _, _ in self._late}):
            mine = [(counts, batch) for epoch, counts, batch in self._late if epoch == number]
            counts = np.concatenate([c for c, _ in mine])
            acc, gyr = (np.concatenate([getattr(b, name) for _, b in mine]) for name in ("acc_mps2", "gyr_rps"))
            arrived = np.repeat([b.rx_mono_ns for _, b in mine], [len(c) for c, _ in mine])
            order = np.argsort(counts, kind="stable")
            counts, acc, gyr, arrived = counts[order], acc[order], gyr[order], arrived[order]
            fresh = ~self._held(number, counts)
            fresh[1:] &= np.diff(counts) > self._half_period
            self.late.repeated += int(np.count_nonzero(~fresh))
            t = self._time_of(number, counts)
            fits = self._fits(number, t, arrived)
            self.late.misfit += int(np.count_nonzero(fresh & ~fits))
            keep = fresh & fits
            self.late.used += int(np.count_nonzero(keep))
            times.append(t[keep])
            accs.append(acc[keep])
            gyrs.append(gyr[keep])
        for t, acc, gyr in self._merge_dated():
            times.append(t)
            accs.append(acc)
            gyrs.append(gyr)
        self._late = []
        t = np.concatenate(times)
        order = np.argsort(t, kind="stable")
        return TimedBatch(t[order], np.concatenate(accs)[order], np.concatenate(gyrs)[order])

    def _merge_dated(self) -> list[tuple[I64, F64, F64]]:
        """Late samples that brought their times along, where no live sample is: times [UTC ns] and samples, in order."""
        late = self._dated_late.take()
        if late is None:
            return []
        half_ns = self._period_ns // 2
        live = [
            (self._time_of(n, np.array(e.first)), self._time_of(n, np.array(e.last)))
            for n, e in sorted(self._epochs.items())
        ]
        before = np.array([-_FAR_NS])
        first, last = (np.concatenate([before, *(pair[k] for pair in live)]) for k in (0, 1))
        order = np.argsort(first, kind="stable")
        first, last = first[order], np.maximum.accumulate(last[order])
        for number in set(np.unique(late.epoch).tolist()) - {UTC}:
            mine = late.epoch == number
            late.t_ns[mine] = self._utc_of(number, late.t_ns[mine])
            late.arrived_ns[mine] = self._utc_of(number, late.arrived_ns[mine])
        late = late.sorted()
        t = late.t_ns
        fresh: Bool = t > last[np.searchsorted(first, t + half_ns, "right") - 1] + half_ns
        fresh[1:] &= np.diff(t) > half_ns
        fits = t <= late.arrived_ns + _EARLY_NS
        keep = fresh & fits
        self.late.repeated += int(np.count_nonzero(~fresh))
        self.late.misfit += int(np.count_nonzero(fresh & ~fits))
        self.late.used += int(np.count_nonzero(keep))
        return [(t[keep], late.acc_mps2[keep], late.gyr_rps[keep])]

    def _utc_of(self, number: int, mono_ns: I64) -> I64:
        """The monotonic clock's instants in UTC, as the gateway's clock is judged in this epoch."""
        solved = self._solved[number]
        out: I64 = (
            mono_ns + solved.base_ns + np.rint(np.interp(mono_ns, solved.mono_ns, solved.offset_ns)).astype(np.int64)
        )
        return out

    def _held(self, number: int, counts: I64) -> Bool:
        """Which counts lie within a live batch of the epoch."""
        first, last = np.array(self._epochs[number].first), np.array(self._epochs[number].last)
        at = np.searchsorted(first, counts + self._half_period, "right") - 1
        out: Bool = (at >= 0) & (counts <= last[np.maximum(at, 0)] + self._half_period)
        return out

    def _fits(self, number: int, t: I64, arrived: I64) -> Bool:
        """A late sample is older than its arrival, and younger than the epoch before."""
        solved = self._solved[number]
        offset = solved.base_ns + np.interp(arrived, solved.mono_ns, solved.offset_ns)
        before = self._solved.get(number - 1)
        began = int(self._time_of(number, np.array([self._epochs[number].first[0]]))[0])
        ended = began - _OLDEST_NS if before is None else self._end_ns(number - 1)
        out: Bool = (t <= arrived + offset.astype(np.int64) + _EARLY_NS) & (t > ended)
        return out

    def _end_ns(self, number: int) -> int:
        return int(self._time_of(number, np.array([self._epochs[number].last[-1]]))[0])

    def _time_of(self, number: int, counts: I64) -> I64:
        return self._solved[number].utc_ns(counts, self._tick_ns)

    # ---- second pass

    def date(self, batches: Sequence[ImuBatch]) -> TimedBatch | None:
        """Second pass: the same batches again, without the late ones; those come where they belong."""
        if self._is_utc:
            timed, _ = self._base.update(batches)
            return timed
        self._dated = []
        self._base.update(batches)
        if not self._dated:
            return None
        counts = [self._counts(batch, first) for _, batch, first in self._dated]
        ends = np.cumsum([len(c) for c in counts]).tolist()
        numbers = [number for number, _, _ in self._dated]
        t = np.empty(ends[-1], np.int64)
        at = 0
        for i, number in enumerate(numbers):
            if i + 1 == len(numbers) or numbers[i + 1] != number:
                done = ends[at - 1] if at else 0
                t[done : ends[i]] = self._time_of(number, np.concatenate(counts[at : i + 1]))
                at = i + 1
        acc = np.concatenate([batch.acc_mps2 for _, batch, _ in self._dated])
        gyr = np.concatenate([batch.gyr_rps for _, batch, _ in self._dated])
        late = self._take_late(int(t[-1]))
        return self._put_out([TimedBatch(t, acc, gyr), late])

    def finish(self) -> TimedBatch | None:
        """Late samples younger than every other."""
        return self._put_out([self._take_late(_FAR_NS)])

    def _take_late(self, before_ns: int) -> TimedBatch:
        w = self._waiting
        n = int(np.searchsorted(w.t_utc_ns, before_ns))
        self._waiting = TimedBatch(w.t_utc_ns[n:], w.acc_mps2[n:], w.gyr_rps[n:])
        return TimedBatch(w.t_utc_ns[:n], w.acc_mps2[:n], w.gyr_rps[:n])

    def _put_out(self, parts: list[TimedBatch]) -> TimedBatch | None:
        """The parts in one order of time, later than all before; a restart may cost a sample that is not."""
        t = np.concatenate([p.t_utc_ns for p in parts])
        order = np.argsort(t, kind="stable")
        t = t[order]
        keep = t > np.maximum.accumulate(np.concatenate([[self._out_ns], t[:-1]]))
        order, t = order[keep], t[keep]
        if not len(t):
            return None
        self._out_ns = int(t[-1])
        acc = np.concatenate([p.acc_mps2 for p in parts])[order]
        return TimedBatch(t, acc, np.concatenate([p.gyr_rps for p in parts])[order])
