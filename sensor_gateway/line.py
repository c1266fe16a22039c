"""Journal, pipeline and outbox of one sensor: journal first, then compute, then records and state together.

After a crash, a new study or an update the journal is ahead of the pipeline, by a minute or by months. It is computed in pieces then,
and what comes meanwhile is journaled between two of them: no payload ever waits for arithmetic.
Synchronous, and so built that a crash at any point is repaired by opening it again. `runner.py` keeps it supplied.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from processing.alignment.capture import Guidance
from processing.pipeline import DeviceStatus
from processing.types import NS_PER_S, Samples
from sensor_gateway import controls
from sensor_gateway.clock import Clock
from sensor_gateway.derive import Deriver, Recipe, SnapshotError
from sensor_gateway.drivers.base import Received
from sensor_gateway.spool.block import Logged, Source
from sensor_gateway.spool.database import SpoolFullError
from sensor_gateway.spool.journal import CONTROL, Journal
from sensor_gateway.spool.outbox import Outbox
from sensor_gateway.spool.run import Run, Snapshot

log = logging.getLogger(__name__)

DURABLE_NS: Final = NS_PER_S
"""Payload commits between two durable ones: what a power cut may cost."""
SNAPSHOT_ENTRIES: Final = 600
"""A minute of notifications: what a restart computes again at most."""
STATUS_NS: Final = 60 * NS_PER_S
GROUP_ENTRIES: Final = 6000
CATCH_UP_ENTRIES: Final = 2400
"""A piece: four minutes, some hundredths of a second of arithmetic."""
QUIET_SNAPSHOT_ENTRIES: Final = 18_000
"""Half an hour: what a restart amid a long warm-up computes again at most."""


class SensorLine:
    """One sensor's line. Blocks on disk and CPU; to be used by one thread at a time.

    ``broken`` says why nothing is computed any more although payloads are still journaled: an error in the computation
    would come again with the same data, and the raw record is what must not be lost.
    """

    def __init__(self, recipe: Recipe, journal: Journal, outbox: Outbox, clock: Clock) -> None:
        self.recipe = recipe
        self.broken: str | None = None
        self._journal, self._outbox, self._clock = journal, outbox, clock
        self._sensor = recipe.setup.sensor
        self._source = Source(recipe.driver.id, recipe.driver.version)
        self._deriver = Deriver(recipe)
        self._run: Run | None = None
        self._at = 0  # the last entry that was computed
        self._ahead: Iterator[list[Logged]] | None = (
            None  # what the journal has after it, where that is not just coming
        )
        self._since_snapshot = 0
        self._durable_ns = -DURABLE_NS

    @property
    def posture(self) -> str | None:
        """Posture of the last judged second."""
        return self._deriver.posture

    def guidance(self) -> Guidance | None:
        """How the running step of the guided set-up goes; to be asked between two calls of `ingest`."""
        return self._deriver.guidance()

    @property
    def behind(self) -> int:
        """Journal entries that wait to be computed before the newest ones are; to be asked between two calls."""
        return 0 if self._ahead is None else max(0, self._journal.last_seq(self._sensor) - self._at)

    def ready(self) -> None:
        """Find the run and its state where there is none yet. Raises `SpoolFullError`.

        A changed configuration starts a new run, warmed up quietly on this wearer's journal; its records begin where those
        of the old run ended.
        """
        if self._run is not None:
            return
        last = self._journal.last_seq(self._sensor)
        run = self._outbox.run(self._sensor, self.recipe.setup.wearer, self.recipe.hash, last)
        at = self._restore(run)
        if at is None:
            run = self._outbox.run(self._sensor, run.wearer, self.recipe.hash, last, fresh=True)
            at = run.warm_seq - 1
        # Sensors that begin together would otherwise all take their snapshots within the same second.
        self._since_snapshot = zlib.crc32(self._sensor.encode()) % SNAPSHOT_ENTRIES
        self._run, self._at = run, at
        self._ahead = _gathered(self._journal.read(self._sensor, at + 1)) if at < last else None
        if last - at > CATCH_UP_ENTRIES:
            log.info(
                "%s: %d journal entries are computed again; what comes is journaled meanwhile", self._sensor, last - at
            )

    def _restore(self, run: Run) -> int | None:
        """The journal entry to go on after; None where the run's snapshot cannot be read."""
        self._deriver = Deriver(self.recipe)
        if run.snapshot is None or run.snapshot_seq is None:
            return run.warm_seq - 1
        try:
            self._deriver.restore(run.snapshot)
        except SnapshotError as e:
            log.warning("%s: %s; the journal is replayed instead", self._sensor, e)
            self._deriver = Deriver(self.recipe)
            return None
        return run.snapshot_seq

    def ingest(self, items: Sequence[tuple[Source, Received]]) -> Samples | None:
        """Journal the items, then compute; the newest per-sample results, None while the journal is ahead (`behind`).

        Raises `SpoolFullError` where nothing was journaled: the same items can be given again.
        """
        self.ready()
        entries = self.log(items)
        self.catch_up()
        return self.compute(entries)

    def begin_again(self) -> None:
        """What was computed since the snapshot is not in the outbox: the next call starts from there."""
        self._run = self._ahead = None

    def catch_up(self) -> None:
        """Compute the next piece of the journal where it is ahead, in transactions of its own."""
        if self._ahead is not None and self.broken is None:
            self._guarded(self._next_piece)

    def compute(self, entries: Sequence[Logged]) -> Samples | None:
        """Take what was just journaled, unless `catch_up` has come to it already or not yet; the newest per-sample results."""
        run = self._run
        if (
            run is None
            or self._ahead is not None
            or not entries
            or entries[0].seq <= self._at
            or self.broken is not None
        ):
            return None
        return self._guarded(lambda: self._derive(entries, run))

    def _guarded(self, work: Callable[[], Samples | None]) -> Samples | None:
        try:
            return work()
        except SpoolFullError as e:
            # The pipeline is ahead of the outbox now.
            self.begin_again()
            log.warning("%s: %s", self._sensor, e)
        except Exception as e:  # noqa: BLE001 - see `broken`
            self._break(e)
        return None

    def _next_piece(self) -> None:
        run, ahead = self._run, self._ahead
        entries = None if ahead is None else next(ahead, None)
        if run is None or entries is None:
            self._ahead = None
            return
        quiet = sum(e.seq < run.start_seq for e in entries)
        if quiet:
            self._deriver.feed(entries[:quiet])
            self._since_snapshot += quiet
            self._at = entries[quiet - 1].seq
            if self._since_snapshot >= QUIET_SNAPSHOT_ENTRIES:
                self._outbox.save(run, Snapshot(self._at, self._deriver.snapshot()))
                self._since_snapshot = 0
        self._derive(entries[quiet:], run)
        if self._at >= self._journal.last_seq(self._sensor):
            self._ahead = None

    def _break(self, error: Exception) -> None:
        self._ahead = None
        self.broken = f"{type(error).__name__}: {error}"
        log.error("%s: computing stopped, payloads are still journaled", self._sensor, exc_info=error)

    def log(self, items: Sequence[tuple[Source, Received]]) -> list[Logged]:
        """Journal the items; raises `SpoolFullError`, and then none is."""
        if not items:
            return []
        rows: list[tuple[Source, Received]] = []
        before_ns = self._journal.last_rx_utc_ns(self._sensor) or 0
        for item in items:
            rows.append(item)
            source, received = item
            # A device report with each new minute of the journal's own time, so that a replay gives it too.
            if source != CONTROL:
                if received.rx_utc_ns // STATUS_NS != before_ns // STATUS_NS:
                    rows.append((CONTROL, controls.encode(DeviceStatus(), received.rx_mono_ns, received.rx_utc_ns)))
                before_ns = received.rx_utc_ns
        now_ns = self._clock.mono_ns()
        durable = now_ns - self._durable_ns >= DURABLE_NS
        first = self._journal.append(self._sensor, rows, durable)
        if durable:
            self._durable_ns = now_ns
        return [Logged(first + i, source, received) for i, (source, received) in enumerate(rows)]

    def _derive(self, entries: Sequence[Logged], run: Run) -> Samples | None:
        if not entries:
            return None
        outputs = self._deriver.feed(entries)
        records = [record for out in outputs for record in out.records]
        self._since_snapshot += len(entries)
        if records:
            snapshot = None
            if self._since_snapshot >= SNAPSHOT_ENTRIES:
                snapshot = Snapshot(entries[-1].seq, self._deriver.snapshot())
                self._since_snapshot = 0
            self._outbox.store(run, outputs[0].first_ordinal, records, snapshot, entries[-1].seq)
        self._at = entries[-1].seq
        return next((out.samples for out in reversed(outputs) if out.samples is not None), None)

    def close(self) -> None:
        """Store a last snapshot, so that the next start has nothing to compute again."""
        if self._run is not None and self.broken is None:
            self._outbox.save(self._run, Snapshot(self._at, self._deriver.snapshot()))


def _gathered(blocks: Iterator[list[Logged]]) -> Iterator[list[Logged]]:
    """The same entries in long pieces: the journal's newest are blocks of a second, and a minute at once takes a fifth of the time."""
    held: list[Logged] = []
    for entries in blocks:
        held += entries
        if len(held) >= CATCH_UP_ENTRIES:
            yield held
            held = []
    if held:
        yield held
