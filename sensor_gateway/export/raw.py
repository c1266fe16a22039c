"""Raw samples out of a gateway's journal: as tables of their own, and as streams for a BIDS data set.

Samples stand at their own device time with hindsight, late ones at their place (`replay/journal_samples.py`); nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from processing.dictionary import IDENTITY, RAW, Field
from processing.rules.study import Study
from processing.types import TimedBatch
from sensor_gateway.config import Sensor, Settings
from sensor_gateway.derive import Recipe
from sensor_gateway.export.beside import Beside
from sensor_gateway.export.csv_parquet import TableWriter, open_table
from sensor_gateway.export.deidentify import AS_IT_IS, Veil
from sensor_gateway.export.dictionary_doc import dictionary_json, dictionary_markdown
from sensor_gateway.export.manifest import write_manifest
from sensor_gateway.export.selection import (
    RAW_TABLE,
    ExportError,
    Form,
    Progress,
    Selection,
    part_of,
    refuse_by_day,
    told,
)
from sensor_gateway.export.tables import column_table, repeated, schema_of
from sensor_gateway.replay.journal_samples import JournalSamples, span_of
from sensor_gateway.replay.rederive import SpoolReader, recipe_of
from sensor_gateway.spool.journal import JournalReader
from sensor_gateway.status.status import SPOOL_FILE
from sensor_gateway.whole_files import FileSet


@dataclass(frozen=True, slots=True)
class RawStream:
    """One sensor's samples in the order of time; ``driver`` names what read it."""

    wearer: str
    sensor: str
    driver: str
    rate_hz: float
    batches: Iterable[TimedBatch]


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
        self.path = base / settings.site.data_dir / SPOOL_FILE
        self.spool = SpoolReader(self.path)

    @property
    def wearers(self) -> list[str]:
        """Whose samples these are."""
        return sorted({s.wearer for s in self.sensors})

    def close(self) -> None:
        self.spool.close()

    def recipe(self, sensor: Sensor) -> Recipe:
        """All that decides what is computed from a sensor's journal, as the gateway has it."""
        return recipe_of(sensor, self._study)

    def streams(self, progress: Progress | None = None) -> Iterator[RawStream]:
        """One after the other; use each up before the next."""
        for i, sensor in enumerate(self.sensors):
            yield self.stream(sensor, part_of(progress, i / len(self.sensors), 1 / len(self.sensors)))

    def stream(self, sensor: Sensor, progress: Progress | None = None) -> RawStream:
        """A sensor's samples, each at its own time."""
        recipe = self.recipe(sensor)
        span = span_of(self.spool, sensor.id, sensor.wearer)
        samples = JournalSamples(JournalReader(self.spool), recipe, span, progress)
        return RawStream(sensor.wearer, sensor.id, recipe.driver.id, recipe.setup.rate_hz, samples.dated())


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
    with FileSet(folder, alone=True) as files, Beside() as beside:
        name = f"{RAW_TABLE}.{form}"
        writer = open_table(files.path(name), schema_of(fields), form)
        for stream in source.streams(progress):
            for batch in stream.batches:
                beside.do(_write, writer, stream, batch, span, fields, veil)
        beside.finish()
        writer.close()
        files.write_text("dictionary.json", dictionary_json((RAW_TABLE,), IDENTITY))
        files.write_text("dictionary.md", dictionary_markdown((RAW_TABLE,), IDENTITY))
        selection = Selection((), *span, (RAW_TABLE,), form)
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
    cut = TimedBatch(
        batch.t_utc_ns[low:high] + veil.shift_ns(stream.wearer), batch.acc_mps2[low:high], batch.gyr_rps[low:high]
    )
    whose = {"wearer": stream.wearer, "sensor": stream.sensor}
    columns = {kind: repeated(veil.name(kind, name), len(cut)) for kind, name in whose.items()} | raw_columns(cut)
    writer.write(column_table(columns, fields))


def raw_columns(batch: TimedBatch) -> dict[str, Any]:
    """Samples as the columns of the dictionary."""
    return {
        "t_utc_ns": batch.t_utc_ns,
        **{f"acc_{a}_mps2": batch.acc_mps2[:, i] for i, a in enumerate("xyz")},
        **{f"gyr_{a}_rps": batch.gyr_rps[:, i] for i, a in enumerate("xyz")},
    }
