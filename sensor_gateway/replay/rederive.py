"""Everything derived again from the raw journal: `tiltline replay`, and the check that what was stored is what follows.

The journal may be that of a running gateway; it is only read. The study and the sensors' settings decide the result, so a
changed study shows what it would have made of the same days.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from processing.alignment.static import Alignment
from processing.rules.study import Study
from processing.types import NS_PER_S, Record
from sensor_gateway import derive
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Sensor
from sensor_gateway.derive import Recipe
from sensor_gateway.drivers.base import TransportContext, worn_as
from sensor_gateway.drivers.registry import transport_factory
from sensor_gateway.replay.journal_samples import span_of
from sensor_gateway.replay.long import LongDeriver, long_stretches
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from sensor_gateway.spool.journal import JournalReader
from sensor_gateway.sqlite_faults import remedy

_FLUSH: Final = 20_000
_PLACE: Final = "check 'site.data_dir'"
_EXAMPLES: Final = 5
SETTLE_NS: Final = 30 * NS_PER_S
"""After an instant: records of a settled estimate come 10 s late, payloads later still."""


class ReplayError(Exception):
    """A journal that cannot be replayed; the text names the file and the remedy."""


class SpoolReader:
    """A spool opened for reading only, beside the gateway that may be writing it."""

    def __init__(self, path: Path) -> None:
        """Raises `ReplayError` where there is none."""
        if not path.is_file():
            raise ReplayError(f"{path}: no journal there; check 'site.data_dir' of the configuration")
        self._path = path
        self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            self._db.execute("SELECT count(*) FROM run").fetchone()
        except sqlite3.Error as e:
            self.close()
            raise ReplayError(f"{path}: is no Tiltline journal ({e}); {remedy(e, _PLACE)}") from e

    def query(self, sql: str, params: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(sql, params).fetchall()
        except sqlite3.DatabaseError as e:
            raise ReplayError(f"{self._path}: cannot be read ({e}); {remedy(e)}") from e

    def close(self) -> None:
        self._db.close()


@dataclass(slots=True)
class Replayed:
    """What one sensor's journal came to; ``missing_before`` entries had been dropped for want of space."""

    entries: int = 0
    missing_before: int = 0
    unreadable: int = 0
    corrected: int = 0
    records: dict[str, int] = field(default_factory=dict)


def rederive(
    spool: SpoolReader,
    sensor: Sensor,
    study: Study,
    out: Store,
    progress: Callable[[float], None] | None = None,
    corrections: Mapping[int, Alignment] | None = None,
) -> Replayed:
    """Feed a sensor's whole journal through a new pipeline; the records go into ``out``.

    ``corrections`` are alignments by the instant from which they hold instead of what came into force then.
    """
    deriver = deriver_of(sensor, study, corrections)
    span = span_of(spool, sensor.id, sensor.wearer)
    tell = None if progress is None else lambda seq: progress((seq + 1 - span.start) / len(span))
    result = derive_span(spool, sensor, deriver, out, span, tell)
    result.unreadable, result.corrected = deriver.unreadable, len(deriver.corrected)
    result.records = out.counts(sensor.wearer, sensor.id)
    return result


def derive_until(
    spool: SpoolReader, sensor: Sensor, study: Study, out: Store, t_utc_ns: int, corrections: Mapping[int, Alignment]
) -> None:
    """As `rederive`, up to `SETTLE_NS` after ``t_utc_ns`` at least."""
    deriver, waiting = deriver_of(sensor, study, corrections), list[Record]()
    span = span_of(spool, sensor.id, sensor.wearer)
    for stretch in long_stretches(JournalReader(spool).read_frames(sensor.id, span.start), span):
        waiting += [record for output in deriver.feed_frames(stretch) for record in output.records]
        if int(stretch[-1].rx_utc_ns[-1]) > t_utc_ns + SETTLE_NS:
            break
    _write(out, sensor, waiting)


def derive_span(
    spool: SpoolReader,
    sensor: Sensor,
    deriver: LongDeriver,
    out: Store,
    span: range,
    tell: Callable[[int], None] | None = None,
) -> Replayed:
    """Feed the journal entries of ``span``; the records go into ``out``. ``tell`` hears of the last entry fed. Counts the entries."""
    result, waiting = Replayed(), list[Record]()
    for stretch in long_stretches(JournalReader(spool).read_frames(sensor.id, span.start), span):
        if result.entries == 0:
            result.missing_before = stretch[0].first_seq - span.start
        result.entries += sum(map(len, stretch))
        waiting += [record for output in deriver.feed_frames(stretch) for record in output.records]
        if len(waiting) >= _FLUSH:
            _write(out, sensor, waiting)
        if tell is not None:
            tell(stretch[-1].next_seq - 1)
    _write(out, sensor, waiting)
    return result


def deriver_of(sensor: Sensor, study: Study, corrections: Mapping[int, Alignment] | None = None) -> LongDeriver:
    """Driver and pipeline of a configured sensor, as the gateway makes them."""
    return LongDeriver(recipe_of(sensor, study), corrections)


def recipe_of(sensor: Sensor, study: Study) -> Recipe:
    """All that decides what is computed from a configured sensor's journal."""
    transport = transport_factory(sensor)(sensor, TransportContext(SystemClock()))
    return derive.recipe(sensor, study, transport.driver, worn_as(transport))


def _write(out: Store, sensor: Sensor, records: list[Record]) -> None:
    out.write(Owned(sensor.wearer, sensor.id, record) for record in records)
    records.clear()


@dataclass(slots=True)
class Difference:
    """How two stores differ in one kind of record; the times of the first differences as examples."""

    equal: int = 0
    different: int = 0
    only_stored: int = 0
    only_replayed: int = 0
    examples: list[int] = field(default_factory=list)

    @property
    def is_none(self) -> bool:
        return not (self.different or self.only_stored or self.only_replayed)


def compare(
    stored: Store, replayed: Store, wearer: str, kind: str, sensors: Collection[str] | None = None
) -> Difference:
    """Compare record by record, exactly, of these ``sensors`` only (None: of all). The stored side may be a moment behind where a
    gateway is running.
    """
    result = Difference()
    a, b = _rows(stored, wearer, kind, sensors), _rows(replayed, wearer, kind, sensors)
    x, y = next(a, None), next(b, None)
    while x is not None or y is not None:
        key = min(row[0] for row in (x, y) if row is not None)
        in_a, in_b = x is not None and x[0] == key, y is not None and y[0] == key
        if in_a and in_b and x == y:
            result.equal += 1
        else:
            result.different += in_a and in_b
            result.only_stored += in_a and not in_b
            result.only_replayed += in_b and not in_a
            if len(result.examples) < _EXAMPLES:
                result.examples.append(key[0])
        x = next(a, None) if in_a else x
        y = next(b, None) if in_b else y
    return result


def _rows(
    store: Store, wearer: str, kind: str, sensors: Collection[str] | None
) -> Iterator[tuple[tuple[int, str], tuple[Any, ...]]]:
    """Rows with their key, in the order of the key."""
    tie = "event_id" if kind == "event" else "sensor"
    for page in store.columns(kind, wearer):
        names = list(page)
        t, other, sensor = names.index("t_utc_ns"), names.index(tie), names.index("sensor")
        for row in zip(*page.values(), strict=True):
            if sensors is None or row[sensor] in sensors:
                yield (row[t], row[other]), row
