"""Device time to UTC once more, when everything is known: the clock of the retro derivation.

Stands before `batch.process_recording(mode="retro")`, where `timebase` stands in the live chain. The journal is gone through
twice: `observe` lets a `Timebase` decide which batch belongs to which clock epoch at which count (so wraps, restarts and
repetitions are judged as they were live) and keeps only counts and arrivals; `solve` lays a line under each epoch's arrivals
(`clock.session`); `date` gives the samples with their times. Late samples, which the sensor had kept and sent after newer ones,
fall into the holes they belong to, in whichever order things came (`clock.late_merge`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np

from processing.clock.late_merge import LateCounts, LateMerge
from processing.clock.late_samples import UTC
from processing.clock.session import Epochs
from processing.clock.steady import Continued, NotSteady, surely_one_epoch
from processing.clock.stretch import joined_parts
from processing.clock.timebase import Timebase, TimebaseParams
from processing.types import F64, I64, ClockSpec, ImuBatch, ImuStretch, LateClock, TimedBatch

_FAR_NS: Final = 1 << 62


class RetroClock:
    """One sensor's clock, two passes over the same batches in the same order. Times come out strictly increasing."""

    def __init__(self, params: TimebaseParams, clock: ClockSpec, seq_bits: int | None, rate_hz: float) -> None:
        self._like = (params, clock, seq_bits, rate_hz)
        self._wrap = 0 if clock.bits is None else 1 << clock.bits
        self._is_utc = clock.absolute
        self._epochs = Epochs(clock.tick_ns, rate_hz, params.slope_limit)
        self._epoch = 0
        self._merge = LateMerge(self._epochs)
        self._filling = TimedBatch(np.empty(0, np.int64), np.empty((0, 3)), np.empty((0, 3)))
        self._waiting = self._filling
        self._out_ns = -_FAR_NS
        self._dated: list[tuple[int, ImuBatch, int]] = []  # epoch, samples, count of the first
        self._observing = True
        self._base = Timebase(*self._like)
        self._base.witness = self

    @property
    def late(self) -> LateCounts:
        """What became of late samples."""
        return self._merge.counts

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
            self._merge.add_dated(UTC, batch)
        elif self._epoch in self._epochs:
            self._merge.add_dated(self._epoch, batch)
        else:
            self._merge.add_misfit(batch)

    def taken(self, epoch: int, batch: ImuBatch, first: int, last: int) -> None:
        """The timebase took a batch (`timebase.Witness`)."""
        if not self._observing:
            self._dated.append((epoch, batch, first))
            return
        self._epoch = epoch
        self._epochs.add(epoch, batch, first, last)

    def passed_over(self, epoch: int, batch: ImuBatch, first: int) -> None:
        """The timebase dropped a batch as old (`timebase.Witness`): late samples too, if they were never there before."""
        if self._observing:
            self._merge.add_counted(epoch, self._counts(batch, first), batch)

    def _keep_late(self, epoch: int, batch: ImuBatch) -> None:
        if epoch not in self._epochs:
            self._merge.add_misfit(batch)
            return
        first = int(batch.t_dev_ticks[0])
        if self._wrap:  # kept samples are older than the newest, and by less than a wrap
            first += (self._epochs.newest_count(epoch) - first) // self._wrap * self._wrap
        self._merge.add_counted(epoch, self._counts(batch, first), batch)

    def _counts(self, batch: ImuBatch, first: int) -> I64:
        after = batch.t_dev_ticks - batch.t_dev_ticks[0]
        out: I64 = first + (after % self._wrap if self._wrap else after)
        return out

    # ---- between

    def solve(self) -> None:
        """Lay the lines; after this only `date` and `finish`, and `again` between one round of them and the next."""
        self._epochs.solve()
        self._filling = self._merge.merged()
        self._observing = False
        self.again()

    def again(self) -> None:
        """The second pass from its beginning."""
        self._waiting, self._out_ns = self._filling, -_FAR_NS
        self._base = Timebase(*self._like)
        self._base.witness = self

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
        out: list[TimedBatch] = []
        for number, group in groupby(self._dated, itemgetter(0)):
            run = list(group)
            counts = np.concatenate([self._counts(batch, first) for _, batch, first in run])
            acc = np.concatenate([batch.acc_mps2 for _, batch, _ in run])
            gyr = np.concatenate([batch.gyr_rps for _, batch, _ in run])
            out += self._date_run(number, counts, acc, gyr)
        return joined_parts(out)

    def _date_run(self, number: int, counts: I64, acc: F64, gyr: F64) -> list[TimedBatch]:
        """Samples of one epoch, and the late ones before the last of them; nothing where none is later than what was put out."""
        t = self._epochs.utc_ns(number, counts)
        timed = self._put_out([TimedBatch(t, acc, gyr), self._take_late(int(t[-1]))])
        return [] if timed is None else [timed]

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
        parts = [p for p in parts if len(p)]
        if not parts:
            return None
        if len(parts) == 1 and parts[0].t_utc_ns[0] > self._out_ns and (np.diff(parts[0].t_utc_ns) > 0).all():
            self._out_ns = int(parts[0].t_utc_ns[-1])
            return parts[0]
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


class SteadyRetroClock(RetroClock):
    """The same of a session whose clock only went on between restarts that are sure, a stretch of batches at a time and in a tenth
    of the time.

    Raises `NotSteady` from `observe_stretch` or `solve` where that cannot be told; then a `RetroClock` has to hear everything.
    """

    def __init__(self, params: TimebaseParams, clock: ClockSpec, seq_bits: int | None, rate_hz: float) -> None:
        if clock.absolute:
            raise NotSteady
        self._params, self._tick_ns = params, clock.tick_ns
        super().__init__(params, clock, seq_bits, rate_hz)
        self._continued = self._from_the_start()

    def _from_the_start(self) -> Continued:
        return Continued(self._params, self._tick_ns, self._wrap)

    def observe_stretch(self, stretch: ImuStretch) -> None:
        """First pass: as `observe`."""
        for run in self._continued.runs(stretch):
            self._epoch = run.epoch
            arrivals = stretch.rx_mono_ns[run.batches], stretch.rx_utc_ns[run.batches]
            self._epochs.add_many(run.epoch, run.first, run.last, *arrivals)

    def solve(self) -> None:
        """Lay the lines, if each epoch is surely one."""
        if not all(surely_one_epoch(self._params, *self._epochs.points(n)) for n in range(1, self._epoch + 1)):
            raise NotSteady
        super().solve()

    def again(self) -> None:
        """The second pass from its beginning."""
        super().again()
        self._continued = self._from_the_start()

    def date_stretch(self, stretch: ImuStretch) -> TimedBatch | None:
        """Second pass: as `date`."""
        out: list[TimedBatch] = []
        for run in self._continued.runs(stretch):
            acc, gyr = stretch.acc_mps2[run.samples], stretch.gyr_rps[run.samples]
            out += self._date_run(run.epoch, run.counts, acc, gyr)
        return joined_parts(out)
