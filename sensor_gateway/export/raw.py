"""Raw samples out of a gateway's journal: as tables of their own, and as streams for a BIDS data set.

Samples stand at their own device time with hindsight, late ones at their place (`replay/journal_samples.py`); nothing is filled in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np

from processing.dictionary import RAW, Field
from processing.rules.study import Study
from processing.types import TimedBatch
from sensor_gateway import derive
from sensor_gateway.bids.write import RawStream
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Sensor, Settings
from sensor_gateway.drivers.base import TransportContext, worn_as
from sensor_gateway.export.csv_parquet import FileSet, TableWriter, open_table
from sensor_gateway.export.deidentify import AS_IT_IS, Veil
from sensor_gateway.export.dictionary_doc import dictionary_json, dictionary_markdown
from sensor_gateway.export.export import ExportError, Form, Selection, refuse_by_day, told
from sensor_gateway.export.manifest import write_manifest
from sensor_gateway.export.tables import IDENTITY, column_table, repeated, schema_of
from sensor_gateway.gateway import SPOOL_FILE, transport_factory
from sensor_gateway.replay.journal_samples import JournalSamples, span_of
from sensor_gateway.replay.rederive import SpoolReader
from sensor_gateway.spool.journal import JournalReader

TABLE: Final = "raw"
_AHEAD: Final = 16
"""Stretches of samples that may wait for being written."""
Progress = Callable[[float], None]


class RawSource:
    """The journal of a gateway, opened for reading; the gateway may be running."""

    def __init__(self, settings: Settings, base: Path, wearers: Sequence[str], study: Study) -> None:
        """Raises `ReplayError` where there is no journal, `ExportError` where none of the wearers has a sensor here."""
        self._study = study
        self.sensors = [s for s in settings.sensors if not wearers or s.wearer in wearers]
        missing = sorted(set(wearers) - {s.wearer for s in self.sensors})
        if missing or not self.sensors:
            there = ", ".join(sorted({s.wearer for s in settings.sensors})) or "nobody"
            raise ExportError(f"no sensor of {', '.join(missing) or 'anybody'} is configured here; bound are: {there}")
        self._spool = SpoolReader(base / settings.site.data_dir / SPOOL_FILE)

    @property
    def wearers(self) -> list[str]:
        """Whose samples these are."""
        return sorted({s.wearer for s in self.sensors})

    def close(self) -> None:
        self._spool.close()

    def streams(self, progress: Progress | None = None) -> Iterator[RawStream]:
        """One after the other; use each up before the next."""
        for i, sensor in enumerate(self.sensors):
            yield self._stream(sensor, _share(progress, i, len(self.sensors)))

    def _stream(self, sensor: Sensor, progress: Progress | None) -> RawStream:
        transport = transport_factory(sensor)(sensor, TransportContext(SystemClock()))
        recipe = derive.recipe(sensor, self._study, transport.driver, worn_as(transport))
        span = span_of(self._spool, sensor.id, sensor.wearer)
        samples = JournalSamples(JournalReader(self._spool), recipe, span, progress)
        return RawStream(sensor.wearer, sensor.id, transport.driver.id, recipe.setup.rate_hz, samples.dated())


def export_raw(
    source: RawSource,
    folder: Path,
    span: tuple[int, int],
    form: Form,
    progress: Progress | None = None,
    veil: Veil = AS_IT_IS,
) -> dict[str, Any]:
    """Write ``raw.parquet`` (or csv) with dictionary and manifest; gives the manifest. ``veil``, errors: as of `export_store`."""
    refuse_by_day(folder)
    fields = (*IDENTITY, *RAW)
    # The file is written beside the reading of the journal: both spend their time outside of Python.
    with FileSet(folder, alone=True) as files, ThreadPoolExecutor(1) as beside:
        name = f"{TABLE}.{form}"
        writer = open_table(files.path(name), schema_of(fields), form)
        waiting: deque[Future[None]] = deque()
        for stream in source.streams(progress):
            for batch in stream.batches:
                waiting.append(beside.submit(_write, writer, stream, batch, span, fields, veil))
                if len(waiting) > _AHEAD:
                    waiting.popleft().result()
        for writing in waiting:
            writing.result()
        writer.close()
        files.write_text("dictionary.json", dictionary_json((TABLE,), IDENTITY))
        files.write_text("dictionary.md", dictionary_markdown((TABLE,), IDENTITY))
        selection = Selection((), *span, (TABLE,), form)
        content: dict[str, Any] = {"kind": "raw export", "selection": told(selection, source.wearers, veil)}
        if not veil.is_none:
            content["deidentified"] = veil.facts()
        return write_manifest(files, content, {name: writer.rows})


def _write(
    writer: TableWriter,
    stream: RawStream,
    batch: TimedBatch,
    span: tuple[int, int],
    fields: Sequence[Field],
    veil: Veil,
) -> None:
    low, high = np.searchsorted(batch.t_utc_ns, span)
    if low == high:
        return
    columns: dict[str, Any] = {
        "wearer": repeated(veil.name("wearer", stream.wearer), int(high - low)),
        "sensor": repeated(veil.name("sensor", stream.sensor), int(high - low)),
        "t_utc_ns": batch.t_utc_ns[low:high] + veil.shift_ns(stream.wearer),
        **{f"acc_{a}_mps2": batch.acc_mps2[low:high, i] for i, a in enumerate("xyz")},
        **{f"gyr_{a}_rps": batch.gyr_rps[low:high, i] for i, a in enumerate("xyz")},
    }
    writer.write(column_table(columns, fields))


def _share(progress: Progress | None, i: int, n: int) -> Progress | None:
    return None if progress is None else lambda share: progress((i + share) / n)
