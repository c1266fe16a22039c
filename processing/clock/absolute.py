"""Device time that is UTC already, as in a replayed recording: passed through after checks. Used by `timebase`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from processing.clock.notes import NEVER, ClockNote, TimebaseParams
from processing.types import I64, NS_PER_S, ImuBatch, TimedBatch


class AbsoluteClock:
    """Keeps the samples that are later than everything before them; drops and counts the others."""

    def __init__(self, params: TimebaseParams, tick_ns: int) -> None:
        self._tick_ns = tick_ns
        self._note_every_ns = round(params.drop_note_every_s * NS_PER_S)
        self._latest = NEVER
        self._previous = (NEVER, NEVER)  # ends of the previous batch: the same again is a repetition
        self._noted = NEVER
        self.dropped = 0
        self._dropped_noted = 0

    def update(self, batches: Sequence[ImuBatch]) -> tuple[TimedBatch | None, list[ClockNote]]:
        """Check and pass on; the batches are not empty."""
        t = np.concatenate([b.t_dev_ticks for b in batches]).astype(np.int64) * self._tick_ns
        latest = np.maximum.accumulate(np.concatenate([[self._latest], t]))
        keep = t > latest[:-1]
        notes: list[ClockNote] = []
        if keep.all():
            n = len(batches[-1].t_dev_ticks)
            self._previous = (int(t[-n]), int(t[-1]))
        else:
            end = 0
            for batch in batches:
                start, end = end, end + len(batch.t_dev_ticks)
                notes += self._judge(t[start:end], latest[start : end + 1])
        self._latest = int(latest[-1])
        if not keep.any():
            return None, notes
        acc = np.concatenate([b.acc_mps2 for b in batches])
        gyr = np.concatenate([b.gyr_rps for b in batches])
        if not keep.all():
            t, acc, gyr = t[keep], acc[keep], gyr[keep]
        return TimedBatch(t, acc, gyr), notes

    def _judge(self, t: I64, latest: I64) -> list[ClockNote]:
        """Count what one batch loses; a note at most once a minute of the recording."""
        lost = t <= latest[:-1]
        ends = (int(t[0]), int(t[-1]))
        repeated = ends == self._previous or not np.any(t < latest[:-1])
        self._previous = ends
        self.dropped += int(np.count_nonzero(lost))
        reach = int(latest[-1])
        if not lost.any() or reach < self._noted + self._note_every_ns:
            return []
        note = ClockNote(
            reach, "duplicate" if repeated else "backwards", {"samples": self.dropped - self._dropped_noted}
        )
        self._noted, self._dropped_noted = reach, self.dropped
        return [note]

    def snapshot(self) -> list[int]:
        """Plain numbers for `restore`."""
        return [self._latest, *self._previous, self._noted, self.dropped, self._dropped_noted]

    def restore(self, state: list[int]) -> None:
        """Take `snapshot`'s numbers back."""
        self._latest, first, last, self._noted, self.dropped, self._dropped_noted = state
        self._previous = (first, last)
