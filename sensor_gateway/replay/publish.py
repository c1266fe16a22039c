"""The retro derivation into the database, beside the live series: measurements of their own, tagged with the derivation's name (source=retro for the nightly one).

After `retro`, where `tiltline replay --mode retro --influx` is told to. A night's derivation knows more than the one before, so
the retro points of its time are deleted first; what it does not reach (the raw journal of that time is gone) stays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from processing.dictionary import KINDS, RETRO, measurement_of
from processing.types import KIND_OF, Record
from sensor_gateway.config import Influx
from sensor_gateway.sinks.influx import InfluxWriter
from sensor_gateway.sinks.influx_admin import Database
from sensor_gateway.sinks.store import Store
from sensor_gateway.wire.line import Queued, line

_RECORD: Final = {kind: record for record, kind in KIND_OF.items()}


@dataclass(slots=True)
class Published:
    """Points that the database took, those it will never take, and its reason for the first of these."""

    written: int = 0
    rejected: int = 0
    reason: str = ""


def publish_all(
    store: Store,
    site: str,
    influx: Influx,
    token: str,
    name: str = RETRO,
    progress: Callable[[float], None] | None = None,
) -> Published:
    """`publish` for every wearer of ``store``, into one database."""
    writer, database, total, wearers = (
        InfluxWriter(influx, token),
        Database(influx, token),
        Published(),
        store.wearers(),
    )
    try:
        for i, wearer in enumerate(wearers):
            done = publish(store, site, wearer, database, writer, influx.batch, name)
            total.written += done.written
            total.rejected += done.rejected
            total.reason = total.reason or done.reason
            if progress is not None:
                progress((i + 1) / len(wearers))
    finally:
        writer.close()
    return total


def publish(
    store: Store, site: str, wearer: str, database: Database, writer: InfluxWriter, batch: int, name: str = RETRO
) -> Published:
    """Replace the retro series called ``name`` of all sensors of ``wearer`` in ``store``, over the time that it covers.

    Raises `RemoteError` or `InfluxDownError`; what was written until then stays, and the next call begins anew.
    """
    spans: dict[str, tuple[int, int]] = {}
    for sensor, record in _records(store, wearer):
        first, last = spans.get(sensor, (record.t_utc_ns, record.t_utc_ns))
        spans[sensor] = min(first, record.t_utc_ns), max(last, record.t_utc_ns)
    for sensor, (first, last) in spans.items():
        for kind in KINDS:
            database.clear(measurement_of(kind, RETRO), wearer, sensor, name, first, last)
    out = Published()
    lines = (line(site, wearer, sensor, record, RETRO, name) for sensor, record in _records(store, wearer))
    while rows := [Queued(i, text) for i, text in enumerate(islice(lines, batch))]:
        outcome = writer.write(rows)
        out.written += len(outcome.written)
        out.rejected += len(outcome.rejected)
        out.reason = out.reason or next((reason for _, reason in outcome.rejected), "")
    return out


def _records(store: Store, wearer: str) -> Iterator[tuple[str, Record]]:
    """All records of a wearer, each with its sensor."""
    for kind, fields in KINDS.items():
        names = [f.name for f in fields]
        as_json = {i for i, f in enumerate(fields) if f.type == "json"}
        for page in store.columns(kind, wearer):
            for sensor, *values in zip(page["sensor"], *(page[name] for name in names), strict=True):
                plain = [json.loads(str(v)) if i in as_json else v for i, v in enumerate(values)]
                yield str(sensor), _RECORD[kind](*plain)
