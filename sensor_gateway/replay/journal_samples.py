"""A sensor's raw samples out of the journal, each at its own device time: late ones at their place, clocks with hindsight.

What the retro derivation (`replay/retro.py`) computes from, and what a raw export writes. The first pass hears all clocks, each
later one dates the samples; memory holds the clocks and what came late, never the samples. A session is first taken for a
clock that only went on between sure restarts, and its blocks for one kind of payload, which is a fifth of the work; what is not
so is gone through payload by payload, and comes to the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, TypeAlias

from processing.clock.late_merge import LateCounts
from processing.clock.retro import RetroClock, SteadyRetroClock
from processing.clock.steady import NotSteady, joined
from processing.clock.timebase import TimebaseParams
from processing.pipeline import DeviceStatus
from processing.types import ImuBatch, ImuStretch, TimedBatch
from sensor_gateway import controls
from sensor_gateway.derive import BROKEN, Recipe
from sensor_gateway.drivers.base import DecodesFrames, Driver, Late, Received, decode_many
from sensor_gateway.replay.long import feed_frames, long_stretches
from sensor_gateway.spool.block import Frames, Logged, entries_of
from sensor_gateway.spool.journal import CONTROL, JournalReader, Rows, first_entry

Progress: TypeAlias = Callable[[float], None]
_STRETCH_BYTES: Final = 480_000
"""As in `long`: five minutes at 100 Hz. Whoever writes samples holds several of them."""


def span_of(spool: Rows, sensor: str, wearer: str) -> range:
    """Journal entries of this wearer with this sensor: from when they were bound to the newest one."""
    last_seq = spool.query("SELECT max(last_seq) FROM journal WHERE sensor = ?", (sensor,))[0][0] or 0
    first_seq = first_entry(spool, sensor, wearer)
    return range(last_seq + 1 if first_seq is None else first_seq, last_seq + 1)


class JournalSamples:
    """Hears all clocks of ``span`` at once; `dated` then gives the samples. ``progress``: shares 0 to 1 over all passes, of which
    ``rounds`` are to be `dated`.
    """

    def __init__(
        self, journal: JournalReader, recipe: Recipe, span: range, progress: Progress | None = None, rounds: int = 1
    ) -> None:
        self._journal, self._recipe, self._span = journal, recipe, span
        self._tell = progress or (lambda _: None)
        self._done, self._most, self._seen = 0.0, 0.0, 0
        self._part = 1 / (1 + 2 * rounds)  # dating takes about twice as long as hearing
        setup = recipe.setup
        clock = TimebaseParams(), setup.clock, setup.seq_bits, setup.rate_hz
        self._clock: RetroClock
        try:
            self._clock = steady = SteadyRetroClock(*clock)
            for stretch, late in self._stretches(self._part):
                if stretch is not None:
                    steady.observe_stretch(stretch)
                self._observe_late(late)
            self._clock.solve()
        except NotSteady:
            self._clock, self._done = RetroClock(*clock), 0.0
            reader = self._reader()
            for block in self._blocks(self._part):
                for batches, late in reader.read(block):
                    self._clock.observe(batches)
                    self._observe_late(late)
            self._clock.solve()
        self.entries = self._seen

    @property
    def late(self) -> LateCounts:
        """What became of samples that came late."""
        return self._clock.late

    def dated(self) -> Iterator[TimedBatch]:
        """The samples in the order of their times, from the beginning each time; one round at a time."""
        clock = self._clock
        clock.again()
        for timed in self._dated_together(clock) if isinstance(clock, SteadyRetroClock) else self._dated_apart(clock):
            if timed is not None:
                yield timed
        timed = clock.finish()
        if timed is not None:
            yield timed

    def _observe_late(self, late: Late | None) -> None:
        if late is not None:
            self._clock.observe_late(late.batch, late.clock)

    def _dated_together(self, clock: SteadyRetroClock) -> Iterator[TimedBatch | None]:
        for stretch, _ in self._stretches(2 * self._part):
            if stretch is not None:
                yield clock.date_stretch(stretch)

    def _dated_apart(self, clock: RetroClock) -> Iterator[TimedBatch | None]:
        reader = self._reader()
        for block in self._blocks(2 * self._part):
            live = [batch for batches, _ in reader.read(block) for batch in batches]
            if live:
                yield clock.date(live)

    def _stretches(self, part: float) -> Iterator[tuple[ImuStretch | None, Late | None]]:
        """All batches in stretches (None: no sample), cut where late samples came between them."""
        reader = self._reader()
        if not reader.takes_frames:
            for block in self._blocks(part):
                for batches, late in reader.read(block):
                    yield joined(batches), late
            return
        begun, self._seen = self._done, 0
        frames = self._journal.read_frames(self._recipe.setup.sensor, self._span.start)
        for stretch in long_stretches(frames, self._span, _STRETCH_BYTES):
            self._seen += sum(map(len, stretch))
            yield from reader.read_frames(stretch)
            self._reached(begun, part, stretch[-1].next_seq)

    def _blocks(self, part: float) -> Iterator[list[Logged]]:
        begun, self._seen = self._done, 0
        for block in self._journal.read(self._recipe.setup.sensor, self._span.start):
            mine = [e for e in block if e.seq in self._span]
            self._seen += len(mine)
            yield mine
            self._reached(begun, part, block[-1].seq + 1)

    def _reached(self, begun: float, part: float, next_seq: int) -> None:
        self._done = begun + part * min(1.0, (next_seq - self._span.start) / max(1, len(self._span)))
        self._most = max(self._most, self._done)  # what is heard anew is no step back
        self._tell(self._most)

    def _reader(self) -> _Reader:
        return _Reader(copy.deepcopy(self._recipe.driver))


class _Reader:
    """A driver over journal entries, as `derive.Deriver` runs it, with late samples kept at their place."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._driver.reset()

    @property
    def takes_frames(self) -> bool:
        """Whether the driver reads payloads of one kind at once."""
        return isinstance(self._driver, DecodesFrames)

    def read_frames(self, stretch: Sequence[Frames]) -> Iterator[tuple[ImuStretch | None, Late | None]]:
        """As `read`, batches in a stretch; None where there is no sample."""
        waiting: list[Frames] = []
        for frames in stretch:
            if frames.source == CONTROL:
                if any(_breaks(entry.received) for entry in entries_of(frames)):
                    yield from self._read_waiting(waiting)
                    self._driver.reset()
                    waiting = []
            elif frames.source.driver == self._driver.id:
                if waiting and not waiting[0].alike(frames):
                    yield from self._read_waiting(waiting)
                    waiting = []
                waiting.append(frames)
        yield from self._read_waiting(waiting)

    def _read_waiting(self, waiting: Sequence[Frames]) -> Iterator[tuple[ImuStretch | None, Late | None]]:
        read = feed_frames(self._driver, waiting) if waiting else None
        if read is not None:
            yield read.samples, None
        elif len(waiting) == 1:
            for batches, late in self.read(entries_of(waiting[0])):
                yield joined(batches), late
        elif waiting:
            half = len(waiting) // 2
            yield from self._read_waiting(waiting[:half])
            yield from self._read_waiting(waiting[half:])

    def read(self, entries: Sequence[Logged]) -> Iterator[tuple[list[ImuBatch], Late | None]]:
        """Batches in order of arrival, cut where late samples came between them."""
        batches: list[ImuBatch] = []
        for source, group in groupby(entries, attrgetter("source")):
            received = [entry.received for entry in group]
            if source == CONTROL:
                if any(map(_breaks, received)):
                    self._driver.reset()
                continue
            if source.driver != self._driver.id:
                continue
            for items in decode_many(self._driver, received):
                for item in items:
                    if isinstance(item, ImuBatch):
                        batches.append(item)
                    elif isinstance(item, Late):
                        yield batches, item
                        batches = []
        yield batches, None


def _breaks(received: Received) -> bool:
    try:
        control = controls.decode(received)
    except controls.ControlError:
        return False
    return isinstance(control, DeviceStatus) and control.link in BROKEN
