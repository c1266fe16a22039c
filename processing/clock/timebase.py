"""Device time to UTC: the first stage of the pipeline, between the driver's `ImuBatch` and `gaps`.

A radio delivers late and in bursts, so arrival times are no clock; but the sensor's own clock is fine-grained and only
its rate and origin are unknown. Both are read off the least delayed arrivals: device time maps to the gateway's
monotonic time, which no clock setting can move, and from there to UTC (`clock.to_utc`). Corrections are at most
500 ppm (2 % in a line's first minute). One rule goes before: no sample is dated after its arrival; a batch that came
earlier than the line allows is squeezed under it, a few times an hour. Radio delay that never goes away (about 1 ms)
stays in the times; no method sees it.

What a clock does wrong is found here and told as a `ClockNote`:

* a counter that wraps is unwrapped by the time that passed at the gateway;
* payloads seen before are dropped and counted;
* a clock that went back, or that is more than 5 s off the line, was restarted: a new clock epoch begins, with its own
  line. Old samples that a sensor had kept also come late, but they continue the count: they stay in the epoch;
* a step of the gateway's UTC moves no record: the offset follows slowly, and the note says what is left.

**Holding.** Where a line begins (a new epoch, or after a gap over a minute), samples wait until arrivals have stopped
getting less delayed for one second. The first payloads are often a burst of old samples; dated at once, they would be
too late and everything after them squeezed. `finish` releases what waits at the end of a recording.

Every decision is taken batch by batch, so that the grouping into updates changes nothing; only the arithmetic per
sample is done for all batches of an update together. `stretch` takes whole stretches in less time, to the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from processing.clock.absolute import AbsoluteClock
from processing.clock.notes import NEVER, ClockNote, NoteKind, TimebaseParams
from processing.clock.rows import RowClockMap, spans
from processing.types import F64, I64, NS_PER_S, ClockSpec, ImuBatch, TimedBatch

__all__ = ["ClockNote", "NoteKind", "Timebase", "TimebaseParams", "Witness"]

LEAST_SPACING_NS: Final = 1000  # no IMU samples faster; closer ticks are an error and could not be kept apart
_RATE_TOLERANCE: Final = 0.06  # of a nominal sample rate, where a count of samples is compared with time
_COUNT_SLACK: Final = 3


class Witness(Protocol):
    """Hears which batches were taken, and as which count of which clock epoch (`retro` dates them once more)."""

    def taken(self, epoch: int, batch: ImuBatch, first: int, last: int) -> None: ...
    def passed_over(self, epoch: int, batch: ImuBatch, first: int) -> None:
        """A batch that came again or out of order, at least in part."""
        ...


@dataclass(slots=True)
class _State:
    """What tells new from old: the last arrival, sample count and sequence number taken."""

    running: bool = False
    rx_prev: int = 0
    x_seen: int = 0
    seq_next: int = 0
    late_since: int = NEVER
    dropped: int = 0
    dropped_noted: int = 0
    noted_rx: int = NEVER


class Timebase:
    """One sensor's clock. Feed batches in the order of the journal; times come out strictly increasing."""

    def __init__(self, params: TimebaseParams, clock: ClockSpec, seq_bits: int | None, rate_hz: float) -> None:
        self._p = params
        self._tick_ns = clock.tick_ns
        self._tick_s = clock.tick_ns / NS_PER_S
        self._wrap = 0 if clock.bits is None else 1 << clock.bits
        # Where the clock is itself the count of samples, the count is no second witness.
        counts_samples = clock.bits == seq_bits and round(NS_PER_S / rate_hz) == clock.tick_ns
        self._seq_wrap = 0 if seq_bits is None or counts_samples else 1 << seq_bits
        self._rate_hz = rate_hz
        self._least_ticks = -(-LEAST_SPACING_NS // clock.tick_ns)
        self._absolute = AbsoluteClock(params, clock.tick_ns) if clock.absolute else None
        self._map = RowClockMap(params, clock.tick_ns, rate_hz)
        self._s = _State()
        self.witness: Witness | None = None

    @property
    def dropped(self) -> int:
        """Samples dropped as repeated or out of order."""
        return self._absolute.dropped if self._absolute else self._s.dropped

    def update(self, batches: Sequence[ImuBatch]) -> tuple[TimedBatch | None, list[ClockNote]]:
        """Date what can be dated; None where everything waits or was dropped. Notes in the order they arose."""
        batches = [b for b in batches if len(b.t_dev_ticks)]
        if not batches:
            return None, []
        if self._absolute:
            return self._absolute.update(batches)
        for batch, first, span, steady in zip(batches, *self._ends(batches), strict=True):
            if steady:
                self._take(batch, first, span)
            else:
                self._drop(batch, "backwards", len(batch.t_dev_ticks))
        return self._collect()

    def finish(self) -> tuple[TimedBatch | None, list[ClockNote]]:
        """Release what is held: no more data will come for now."""
        self._map.release()
        return self._collect()

    def snapshot(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        if self._absolute:
            return {"absolute": self._absolute.snapshot()}
        return {"state": {name: getattr(self._s, name) for name in _State.__slots__}, "map": self._map.snapshot()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where `snapshot` was taken, in a `Timebase` of the same parameters."""
        if self._absolute:
            self._absolute.restore(state["absolute"])
            return
        self._s = _State(**state["state"])
        self._map.restore(state["map"])

    def _ends(self, batches: Sequence[ImuBatch]) -> tuple[list[int], list[int], list[bool]]:
        """Of each batch: raw first tick, ticks from the first to the last sample, and whether ticks rise within."""
        ticks = np.concatenate([b.t_dev_ticks for b in batches])
        ends = np.cumsum([len(b.t_dev_ticks) for b in batches])
        starts = np.concatenate([[0], ends[:-1]])
        span, steady = spans(ticks, starts, ends, self._wrap, self._least_ticks)
        return ticks[starts].tolist(), span.tolist(), steady.tolist()

    def _take(self, batch: ImuBatch, raw: int, span: int) -> None:
        """Unwrap a batch's count, decide what the batch is, and pass on what is new."""
        s = self._s
        rx = batch.rx_mono_ns
        if not s.running:
            s.running = True
            self._begin(batch, raw, span)
        gap = rx - s.rx_prev
        first = self._unwrap(raw, gap)
        delay = self._map.delay_s(first + span, rx)
        reason = self._why_restarted(batch, first, span, delay, gap)
        if reason:
            self._begin(batch, raw, span)
            first = raw
            self._map.note(rx, batch.rx_utc_ns, "reset", {"epoch": self._map.epoch, "reason": reason, "off_s": delay})
        last = first + span
        if first < s.x_seen + self._least_ticks:
            if self.witness is not None:
                self.witness.passed_over(self._map.epoch, batch, first)
            fresh = self._unseen(batch, raw, first, last)
            if fresh is None:
                return
            batch, first = fresh
        elif (first - s.x_seen) * self._tick_s > self._p.anchor_gap_s:
            self._map.reanchor(last, rx)
        s.rx_prev, s.x_seen = rx, last
        if batch.seq is not None:
            s.seq_next = batch.seq + len(batch.t_dev_ticks)
        if self.witness is not None:
            self.witness.taken(self._map.epoch, batch, first, last)
        self._map.take(batch, first, last)

    def _begin(self, batch: ImuBatch, raw: int, span: int) -> None:
        s = self._s
        s.rx_prev = batch.rx_mono_ns
        s.x_seen = raw - self._least_ticks
        s.late_since = NEVER
        self._map.begin(raw, span, batch.rx_mono_ns)

    def _unwrap(self, raw: int, gap_ns: int) -> int:
        """The count nearest to where the clock must have got to since the last arrival."""
        if not self._wrap:
            return raw
        expected = self._s.x_seen + round(gap_ns / (self._tick_ns * (1.0 + self._map.slope)))
        return raw + (expected - raw + self._wrap // 2) // self._wrap * self._wrap

    def _why_restarted(self, batch: ImuBatch, first: int, span: int, delay_s: float, gap_ns: int) -> str | None:
        """Why this batch cannot belong to the running epoch; None where it can."""
        s, p = self._s, self._p
        if gap_ns < 0:
            return "the gateway restarted"
        if abs(delay_s) <= p.reset_s:
            s.late_since = NEVER
            return None
        if delay_s < 0:
            return "the sensor's clock jumped ahead"
        if first + span <= s.x_seen:
            return "the sensor's clock went back"
        if not self._continues(batch, first):
            return "the sensor's clock does not continue"
        if s.late_since == NEVER:
            s.late_since = batch.rx_mono_ns
        return "the sensor's clock stood still" if batch.rx_mono_ns - s.late_since > p.late_s * NS_PER_S else None

    def _continues(self, batch: ImuBatch, first: int) -> bool:
        """True where a late batch is the next one by its count: old samples that the sensor had kept."""
        missing = (first - self._s.x_seen) * self._tick_s * self._rate_hz - 1.0
        if batch.seq is None or not self._seq_wrap:
            return missing <= _COUNT_SLACK
        half = self._seq_wrap // 2
        off = (batch.seq - self._s.seq_next - round(missing) + half) % self._seq_wrap - half
        return abs(off) <= _COUNT_SLACK + _RATE_TOLERANCE * missing < half

    def _unseen(self, batch: ImuBatch, raw: int, first: int, last: int) -> tuple[ImuBatch, int] | None:
        """What of a batch lies after the samples already taken."""
        s = self._s
        if last < s.x_seen + self._least_ticks:
            self._drop(batch, "duplicate", len(batch.t_dev_ticks))
            return None
        ticks = batch.t_dev_ticks - raw
        if self._wrap:
            ticks %= self._wrap
        lo = int(np.count_nonzero(ticks < s.x_seen + self._least_ticks - first))
        self._drop(batch, "duplicate", lo)
        seq = None if batch.seq is None else batch.seq + lo
        rest = ImuBatch(
            batch.t_dev_ticks[lo:], seq, batch.rx_mono_ns, batch.rx_utc_ns, batch.acc_mps2[lo:], batch.gyr_rps[lo:]
        )
        return rest, first + int(ticks[lo])

    def _drop(self, batch: ImuBatch, kind: NoteKind, samples: int) -> None:
        """Count, and say so at most once a minute: a stack that delivers everything twice must not flood the record."""
        s = self._s
        s.dropped += samples
        if batch.rx_mono_ns - s.noted_rx >= self._p.drop_note_every_s * NS_PER_S or batch.rx_mono_ns < s.noted_rx:
            self._map.note(batch.rx_mono_ns, batch.rx_utc_ns, kind, {"samples": s.dropped - s.dropped_noted})
            s.noted_rx, s.dropped_noted = batch.rx_mono_ns, s.dropped

    def _collect(self) -> tuple[TimedBatch | None, list[ClockNote]]:
        timed, notes = self._timed(), self._map.notes
        self._map.notes = []
        return timed, notes

    def _timed(self) -> TimedBatch | None:
        """What was dated since the last time."""
        dated, self._map.dated = self._map.dated, []
        if not dated:
            return None
        ticks = np.concatenate([batch.t_dev_ticks for batch, _, _ in dated])
        sizes = np.array([len(batch.t_dev_ticks) for batch, _, _ in dated])
        from_segment = np.array([first - segment[0] for _, first, segment in dated])
        start = np.array([segment[1] for _, _, segment in dated], np.int64)
        rate = np.array([segment[2] for _, _, segment in dated])
        t_utc_ns = self._utc_ns(ticks, sizes, from_segment, start, rate)
        acc = np.concatenate([batch.acc_mps2 for batch, _, _ in dated])
        gyr = np.concatenate([batch.gyr_rps for batch, _, _ in dated])
        return TimedBatch(t_utc_ns, acc, gyr)

    def _utc_ns(self, ticks: I64, sizes: I64, from_segment: I64, start: I64, rate: F64) -> I64:
        """Times of all samples, element by element and so the same for any grouping. Of each batch: how many samples, and its
        segment: ticks from there to the first one, UTC ns, ns per tick.
        """
        ends = np.cumsum(sizes)
        after_first = ticks - np.repeat(ticks[ends - sizes], sizes)
        if self._wrap:
            after_first %= self._wrap
        after = (after_first + np.repeat(from_segment, sizes)) * np.repeat(rate, sizes)
        out: I64 = np.repeat(start, sizes) + np.rint(after).astype(np.int64)
        return out
