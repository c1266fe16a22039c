"""The retro derivation: a sensor's journal once more, late data and all, with the clock and the estimate of hindsight.

`tiltline replay --mode retro` and whoever runs it at night. The live records of a day follow from the journal in the order of
arrival (`rederive`), late data passed over, and are never rewritten. Here every sample, whenever it came, stands at its own
device time (`processing.retro_clock`), and `process_recording(mode="retro")` knows what follows. The result goes into a store
of its own (source=retro), beside the live one.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from processing.alignment.history import AlignmentHistory
from processing.alignment.mounts import restored
from processing.alignment.static import Alignment
from processing.batch import process_recording
from processing.core import CoreSetup
from processing.dictionary import KINDS
from processing.pipeline import DeviceStatus
from processing.retro_clock import RetroClock
from processing.rules.study import Study
from processing.timebase import TimebaseParams
from processing.types import ImuBatch, TimedBatch
from sensor_gateway import controls, derive
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Sensor
from sensor_gateway.derive import BROKEN, Recipe
from sensor_gateway.drivers.base import Driver, Late, Received, TransportContext, worn_as
from sensor_gateway.gateway import transport_factory
from sensor_gateway.rederive import SpoolReader
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from sensor_gateway.spool.block import Logged
from sensor_gateway.spool.journal import CONTROL, JournalReader, first_entry

Progress = Callable[[float], None]
_FAR_NS: Final = 1 << 62


@dataclass(slots=True)
class RetroCounts:
    """What one sensor's journal came to. ``late_…`` are samples: put into holes, held already, of no known clock."""

    entries: int = 0
    samples: int = 0
    missing: int = 0
    late_used: int = 0
    late_repeated: int = 0
    late_misfit: int = 0
    records: dict[str, int] = field(default_factory=dict)


def history_of(store: Store, wearer: str, sensor: str) -> AlignmentHistory:
    """The alignments that came into force live, as the store's events tell them."""
    history = AlignmentHistory()
    for page in store.columns("event", wearer):
        for t, kind, of, text in zip(page["t_utc_ns"], page["type"], page["sensor"], page["data"], strict=True):
            if kind != "alignment" or of != sensor:
                continue
            d = json.loads(str(text))
            if d.get("outcome") == "in force":
                found = restored(
                    d["alignment_id"], d["mount_id"], d["method"], d["r_ps"], d["uncertainty_deg"], int(t or 0)
                )
                history = history.with_entry(found, int(t or 0))
    return history


def schedule(history: AlignmentHistory, start: Alignment) -> tuple[Alignment, list[tuple[int, Alignment]]]:
    """Which alignment holds from when, corrections included: that of the start, then the instants of the others.

    What came before the first neutral pose was worn as the pose found it, unless the clip was put on anew in between.
    """
    spans = [(from_ns, entry.alignment) for from_ns, _, entry in history.spans(0, _FAR_NS)]
    if not spans:
        return start, []
    aligned = next((a for _, a in spans if a.has_neutral), None)
    first = spans[0][1]
    if aligned is not None and aligned.mount_id == first.mount_id and not first.has_neutral:
        while spans and not spans[0][1].has_neutral:
            spans.pop(0)
        return aligned, spans[1:]
    return first, spans[1:]


def rederive_retro(
    spool: SpoolReader, sensor: Sensor, study: Study, live: Path, out: Store, progress: Progress | None = None
) -> RetroCounts:
    """Two passes over all that the journal has of this wearer with this sensor; the records go into ``out``. ``live``: the gateway's store, for the
    alignments in force; where there is none, that of the settings holds.
    """
    transport = transport_factory(sensor)(sensor, TransportContext(SystemClock()))
    recipe = derive.recipe(sensor, study, transport.driver, worn_as(transport))
    history = AlignmentHistory()
    if live.is_file():
        store = Store.open(live, readonly=True)
        history = history_of(store, sensor.wearer, sensor.id)
        store.close()
    last_seq = spool.query("SELECT max(last_seq) FROM journal WHERE sensor = ?", (sensor.id,))[0][0] or 0
    first_seq = first_entry(spool, sensor.id, sensor.wearer)
    span = range(last_seq + 1 if first_seq is None else first_seq, last_seq + 1)
    return derive_retro(JournalReader(spool), recipe, history, out, span, progress)


def derive_retro(
    journal: JournalReader,
    recipe: Recipe,
    history: AlignmentHistory,
    out: Store,
    span: range,
    progress: Progress | None = None,
) -> RetroCounts:
    """As `rederive_retro`, from its parts, for the journal entries of ``span``."""
    setup, result = recipe.setup, RetroCounts()
    clock = RetroClock(TimebaseParams(), setup.clock, setup.seq_bits, setup.rate_hz)
    tell = progress or (lambda _: None)

    def entries(share: float, part: float) -> Iterator[list[Logged]]:
        for block in journal.read(setup.sensor, span.start):
            yield [e for e in block if e.seq in span]
            tell(share + part * min(1.0, (block[-1].seq - span.start + 1) / max(1, len(span))))

    reader = _Reader(copy.deepcopy(recipe.driver))
    for block in entries(0.0, 0.3):
        result.entries += len(block)
        for batches, late in reader.read(block):
            clock.observe(batches)
            if late is not None:
                clock.observe_late(late.batch)
    clock.solve()

    def dated() -> Iterator[TimedBatch]:
        reader = _Reader(copy.deepcopy(recipe.driver))
        for block in entries(0.3, 0.6):
            live = [batch for batches, _ in reader.read(block) for batch in batches]
            timed = clock.date(live) if live else None
            if timed is not None:
                yield timed
        timed = clock.finish()
        if timed is not None:
            yield timed

    start, others = schedule(history, setup.alignment)
    core = CoreSetup(setup.wearer, setup.sensor, setup.rate_hz, start)
    done = process_recording(dated(), core, recipe.study, "retro", alignments=others)
    out.write(Owned(setup.wearer, setup.sensor, record) for record in done.records)
    tell(1.0)
    kept = clock.late
    return replace(
        result,
        samples=done.counters["samples"],
        missing=done.counters["missing"],
        late_used=kept.used,
        late_repeated=kept.repeated,
        late_misfit=kept.misfit,
        records={kind: out.count(kind, setup.wearer) for kind in KINDS},
    )


class _Reader:
    """A driver over journal entries, as `derive.Deriver` runs it, with late samples kept at their place."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._driver.reset()

    def read(self, entries: Sequence[Logged]) -> Iterator[tuple[list[ImuBatch], Late | None]]:
        """Batches in order of arrival, cut where late samples came between them."""
        batches: list[ImuBatch] = []
        for entry in entries:
            received = entry.received
            if entry.source == CONTROL:
                if _breaks(received):
                    self._driver.reset()
                continue
            if entry.source.driver != self._driver.id:
                continue
            for item in self._driver.feed(received.uuid, received.payload, received.rx_mono_ns, received.rx_utc_ns):
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
