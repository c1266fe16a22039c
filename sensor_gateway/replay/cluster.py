"""The raw journals of many wearers derived again on a Dask cluster: `tiltline replay --scheduler ADDRESS`.

A partition is one sensor's day. Days of a sensor follow one another, since each begins with the state the one before ended with;
sensors run beside each other. State and records of a finished day come back here and go into the store at once, so a
worker that dies costs the day it was at and nothing else: Dask gives that day to another. The same `Deriver` over the same
entries: the records are those of one machine, bit for bit. Workers must see the journal under the same path.

Whatever is done here is done for all workers one after the other. So a worker sends its records as a database of their own, of
which SQLite copies the rows: a two-hundredth of the time it takes to derive them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from processing.alignment.static import Alignment
from processing.rules.study import Study
from sensor_gateway.config import Sensor
from sensor_gateway.garbage import for_long_computing
from sensor_gateway.replay.journal_samples import span_of
from sensor_gateway.replay.rederive import Replayed, ReplayError, SpoolReader, derive_span, deriver_of
from sensor_gateway.sinks.store import Store

_DAY_NS: Final = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Partition:
    """Entries ``first_seq`` to ``last_seq`` of one sensor: what arrived on one UTC day."""

    sensor: Sensor
    first_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class Derived:
    """What a partition came to, as a packed store, and the state with which the next one begins."""

    state: bytes
    records: bytes
    entries: int
    unreadable: int
    corrected: int


def partitions(spool: SpoolReader, sensor: Sensor, most: int = 2**62) -> list[Partition]:
    """A sensor's journal by days of arrival, cut between blocks and again where a day has more than ``most`` entries."""
    span = span_of(spool, sensor.id, sensor.wearer)
    rows = spool.query(
        "SELECT max(first_seq, ?), last_seq, last_rx_utc_ns FROM journal WHERE sensor = ? AND last_seq >= ? ORDER BY 1",
        (span.start, sensor.id, span.start),
    )
    out: list[Partition] = []
    day: int | None = None
    for first, last, utc_ns in rows:
        if out and utc_ns // _DAY_NS == day:
            out[-1] = Partition(sensor, out[-1].first_seq, last)
        else:
            out.append(Partition(sensor, first, last))
        day = utc_ns // _DAY_NS
    return [
        Partition(sensor, first, min(first + most - 1, part.last_seq))
        for part in out
        for first in range(part.first_seq, part.last_seq + 1, most)
    ]


def derive_partition(
    spool_path: str,
    part: Partition,
    study: Study,
    state: bytes | None,
    corrections: Mapping[int, Alignment] | None = None,
) -> Derived:
    """One partition, on a worker. Depends on its arguments and the journal alone: it may run twice."""
    for_long_computing()
    deriver = deriver_of(part.sensor, study, corrections)
    if state is not None:
        deriver.restore(state)
    spool, out = SpoolReader(Path(spool_path)), Store.in_memory()
    try:
        found = derive_span(spool, part.sensor, deriver, out, range(part.first_seq, part.last_seq + 1))
        return Derived(deriver.snapshot(), out.packed(), found.entries, deriver.unreadable, len(deriver.corrected))
    finally:
        spool.close()
        out.close()


def connect(address: str, wait_s: float = 10.0) -> Any:
    """A client of the scheduler; raises `ReplayError` where Dask is missing or nobody answers within ``wait_s``."""
    try:
        distributed: Any = import_module("distributed")
    except ImportError as e:
        raise ReplayError("--scheduler needs Dask; install it with: pip install 'tiltline[cluster]'") from e
    try:
        import_module("distributed.comm").get_address_host_port(address)  # a client without one leaves threads
        return distributed.Client(address, timeout=wait_s, set_as_default=False)
    except (OSError, ValueError) as e:
        raise ReplayError(f"no Dask scheduler answers at {address} ({e}); start one with: dask scheduler") from e


def replay_cohort(
    client: Any,
    spool_path: Path,
    sensors: Sequence[Sensor],
    study: Study,
    out: Store,
    progress: Callable[[float], None] | None = None,
    most: int = 2**62,
    corrections: Mapping[str, Mapping[int, Alignment]] | None = None,
) -> dict[str, Replayed]:
    """All of these sensors' journals into ``out``; raises what a partition raised. ``corrections`` by sensor, as of `rederive`."""
    spool = SpoolReader(spool_path)
    waiting = {s.id: partitions(spool, s, most) for s in sensors}
    missing = {
        s.id: waiting[s.id][0].first_seq - span_of(spool, s.id, s.wearer).start for s in sensors if waiting[s.id]
    }
    spool.close()
    newest = {sensor_id: parts[-1].last_seq for sensor_id, parts in waiting.items() if parts}
    results = {s.id: Replayed() for s in sensors}
    total = sum(map(len, waiting.values()))
    running: dict[Any, Partition] = {}
    # The loop of this client: `connect` makes none the default one.
    completed: Any = import_module("distributed").as_completed(loop=client.loop)

    def begin(sensor_id: str, state: bytes | None) -> None:
        if waiting[sensor_id]:
            part = waiting[sensor_id].pop(0)
            # First whoever has most before her: she would be waited for at the end.
            left = newest[sensor_id] - part.first_seq
            mine = (corrections or {}).get(sensor_id)
            future = client.submit(
                derive_partition, str(spool_path), part, study, state, mine, pure=False, priority=left
            )
            running[future.key] = part
            completed.add(future)

    for sensor_id in sorted(newest, key=lambda s: waiting[s][0].first_seq - newest[s]):
        results[sensor_id].missing_before = missing[sensor_id]
        begin(sensor_id, None)
    for done, future in enumerate(completed, 1):
        part, found = running.pop(future.key), future.result()
        begin(part.sensor.id, found.state)  # first of all, so that no worker waits for this machine's disk
        out.take(found.records)
        results[part.sensor.id].entries += found.entries
        results[part.sensor.id].unreadable += found.unreadable
        results[part.sensor.id].corrected += found.corrected
        if progress is not None:
            progress(done / total)
    for sensor in sensors:
        results[sensor.id].records = out.counts(sensor.wearer, sensor.id)
    return results
