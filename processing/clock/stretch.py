"""The timebase for whole stretches of batches: where nothing happens they are dated in a fraction of the time, to the same.

Stands where `timebase` stands when days are derived again from the journal. Batches that follow each other on a line that is
known go through in rows (`clock.rows`); at beginnings, losses, restarts, stalls and repetitions the timebase takes one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from processing.clock.notes import NEVER, ClockNote
from processing.clock.rows import Piece, Rows
from processing.clock.timebase import Timebase
from processing.types import ImuStretch, TimedBatch


class StretchTimebase(Timebase):
    """A `Timebase` that takes stretches too; the state between is the same. No witness hears of what goes in rows."""

    def update_stretch(
        self, stretch: ImuStretch, marks: Sequence[int] = ()
    ) -> tuple[TimedBatch | None, list[ClockNote], list[int]]:
        """As `update` of the stretch's batches, of which there is one at least; and how many samples had been dated before each of
        the batches ``marks``, which rise (the number of batches: after all).
        """
        rows = Rows(stretch, self._p, self._tick_ns, self._wrap, self._least_ticks)
        if self._absolute:
            return self._pass_on(rows, marks)
        out, pieces, begun = list[TimedBatch](), list[Piece](), -1  # of the row in hand, and where it began
        dated, counts, at = 0, list[int](), 0
        for stop in (*marks, len(stretch.sizes)):
            while at < stop:
                taken = self._take_row(rows, at, stop, pieces)
                if taken > at:
                    begun = begun if begun >= 0 else at
                    self._put_out(out)
                    dated += int(rows.ends[taken - 1] - rows.starts[at])
                    at = taken
                    continue
                if pieces:
                    out.append(self._row(rows, begun, at, pieces))
                    pieces, begun = [], -1
                known = len(self._map.dated)
                self._take_one(rows, at)
                dated += sum(len(batch.t_dev_ticks) for batch, _, _ in self._map.dated[known:])
                at += 1
            counts.append(dated)
        self._put_out(out)
        if pieces:
            out.append(self._row(rows, begun, at, pieces))
        notes, self._map.notes = self._map.notes, []
        return joined_parts(out), notes, counts[: len(marks)]

    def _put_out(self, out: list[TimedBatch]) -> None:
        """What was dated one by one."""
        timed = self._timed()
        if timed is not None:
            out.append(timed)

    def _take_row(self, rows: Rows, at: int, stop: int, pieces: list[Piece]) -> int:
        """Take what simply follows the batch before ``at``, up to ``stop``; the first batch that was not taken."""
        s = self._s
        end = min(stop, rows.follow(at))
        if end <= at or not (s.running and self._map.goes_on):
            return at
        count = s.x_seen % self._wrap if self._wrap else s.x_seen
        if (rows.raw_last[at - 1], rows.rx_mono_ns[at - 1]) != (count, s.rx_prev):  # the one before was dropped
            return at
        base = s.x_seen - rows.last[at - 1]
        end = self._map.take_row(rows, at, end, base, pieces)
        if end > at:
            s.rx_prev, s.x_seen, s.late_since = rows.rx_mono_ns[end - 1], rows.last[end - 1] + base, NEVER
            if rows.stretch.seq is not None:
                s.seq_next = int(rows.stretch.seq[end - 1]) + int(rows.stretch.sizes[end - 1])
        return end

    def _take_one(self, rows: Rows, at: int) -> None:
        batch = rows.batch(at)
        if rows.steady[at]:
            self._take(batch, int(batch.t_dev_ticks[0]), rows.span[at])
        else:
            self._drop(batch, "backwards", len(batch.t_dev_ticks))

    def _row(self, rows: Rows, begun: int, end: int, pieces: Sequence[Piece]) -> TimedBatch:
        """The samples of batches ``begun`` to ``end``, with their times."""
        s, sizes = rows.stretch, rows.stretch.sizes[begun:end]
        edges = [piece[0] for piece in pieces] + [end]
        lengths = np.array([b - a for a, b in pairwise(edges)])
        x, start, rate = (np.repeat(column, lengths) for column in zip(*(piece[1:] for piece in pieces), strict=True))
        own = slice(int(rows.starts[begun]), int(rows.ends[end - 1]))
        t = self._utc_ns(s.t_dev_ticks[own], sizes, rows.first_array[begun:end] - x, start, rate)
        return TimedBatch(t, s.acc_mps2[own], s.gyr_rps[own])

    def _pass_on(self, rows: Rows, marks: Sequence[int]) -> tuple[TimedBatch | None, list[ClockNote], list[int]]:
        """Of a clock that is UTC already."""
        out, notes, counts, dated = list[TimedBatch](), list[ClockNote](), list[int](), 0
        for a, b in pairwise((0, *marks, len(rows.steady))):
            timed, more = self.update([rows.batch(i) for i in range(a, b)])
            notes += more
            if timed is not None:
                dated += len(timed)
                out.append(timed)
            counts.append(dated)
        return joined_parts(out), notes, counts[: len(marks)]


def joined_parts(parts: Sequence[TimedBatch]) -> TimedBatch | None:
    """Samples in a row, as one; None where there are none."""
    if len(parts) < 2:
        return parts[0] if parts else None
    return TimedBatch(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("t_utc_ns", "acc_mps2", "gyr_rps"))
    )
