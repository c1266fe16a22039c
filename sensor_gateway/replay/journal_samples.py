"""A sensor's raw samples out of the journal, each at its own device time: late ones at their place, clocks with hindsight.

What the retro derivation (`replay/retro.py`) computes from, and what a raw export writes. The first pass hears all clocks, each
later one dates the samples; memory holds the clocks and what came late, never the samples.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias

from processing.late_merge import LateCounts
from processing.pipeline import DeviceStatus
from processing.retro_clock import RetroClock
from processing.timebase import TimebaseParams
from processing.types import ImuBatch, TimedBatch
from sensor_gateway import controls
from sensor_gateway.derive import BROKEN, Recipe
from sensor_gateway.drivers.base import Driver, Late, Received, decode_many
from sensor_gateway.replay.rederive import SpoolReader
from sensor_gateway.spool.block import Logged
from sensor_gateway.spool.journal import CONTROL, JournalReader, first_entry

Progress: TypeAlias = Callable[[float], None]


def span_of(spool: SpoolReader, sensor: str, wearer: str) -> range:
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
        self.entries = 0
        self._journal, self._recipe, self._span = journal, recipe, span
        self._tell = progress or (lambda _: None)
        self._done, self._part = 0.0, 1 / (1 + 2 * rounds)  # dating takes about twice as long as hearing
        setup = recipe.setup
        self._clock = RetroClock(TimebaseParams(), setup.clock, setup.seq_bits, setup.rate_hz)
        reader = _Reader(copy.deepcopy(recipe.driver))
        for block in self._blocks(self._part):
            self.entries += len(block)
            for batches, late in reader.read(block):
                self._clock.observe(batches)
                if late is not None:
                    self._clock.observe_late(late.batch, late.clock)
        self._clock.solve()

    @property
    def late(self) -> LateCounts:
        """What became of samples that came late."""
        return self._clock.late

    def dated(self) -> Iterator[TimedBatch]:
        """The samples in the order of their times, from the beginning each time; one round at a time."""
        self._clock.again()
        reader = _Reader(copy.deepcopy(self._recipe.driver))
        for block in self._blocks(2 * self._part):
            live = [batch for batches, _ in reader.read(block) for batch in batches]
            timed = self._clock.date(live) if live else None
            if timed is not None:
                yield timed
        timed = self._clock.finish()
        if timed is not None:
            yield timed

    def _blocks(self, part: float) -> Iterator[list[Logged]]:
        span, begun = self._span, self._done
        for block in self._journal.read(self._recipe.setup.sensor, span.start):
            yield [e for e in block if e.seq in span]
            self._done = begun + part * min(1.0, (block[-1].seq - span.start + 1) / max(1, len(span)))
            self._tell(self._done)


class _Reader:
    """A driver over journal entries, as `derive.Deriver` runs it, with late samples kept at their place."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._driver.reset()

    def read(self, entries: Sequence[Logged]) -> Iterator[tuple[list[ImuBatch], Late | None]]:
        """Batches in order of arrival, cut where late samples came between them."""
        batches: list[ImuBatch] = []
        for source, entries_of in groupby(entries, attrgetter("source")):
            received = [entry.received for entry in entries_of]
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
