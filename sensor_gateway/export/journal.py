"""Tables that only the journal has: raw samples, samples with their angles, steps, changes of posture, bouts.

Raw samples stand at their own time with hindsight (`raw.py`). The others leave the same driver and pipeline that the gateway runs,
fed with the same entries (many at once) under the settings in force now: what the gateway computed, bit for bit. They begin with the
journal, or at the end of a day before which nothing is asked for (`states.py`). Where retention has taken the beginning of a
journal, they begin at what is left, with the alignment that the store says was in force then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

import numpy as np

from processing.context.periods import BoutStage
from processing.dictionary import BOUT, IDENTITY, RAW, STEP, TABLES, TRANSFER, Field
from processing.rules.study import study_hash
from processing.types import NS_PER_S, Metric
from sensor_gateway.alignments.history import read_history
from sensor_gateway.config import Sensor
from sensor_gateway.derive import Recipe
from sensor_gateway.export.deidentify import Veil
from sensor_gateway.export.raw import RawSource, raw_columns
from sensor_gateway.export.selection import ExportError, Progress
from sensor_gateway.export.states import Computing, States, is_another_day
from sensor_gateway.export.tables import column_table, record_table, repeated, sample_table, truths, whole
from sensor_gateway.replay.journal_samples import span_of
from sensor_gateway.replay.long import LongDeriver, long_stretches
from sensor_gateway.sinks.records import FAR_NS, Records
from sensor_gateway.spool.block import Frames
from sensor_gateway.spool.journal import JournalReader

DAY_NS: Final = 86_400 * NS_PER_S
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Gone:
    """The journal of a sensor no longer has its beginning: what it has begins at ``from_utc_ns`` (None: it has nothing). ``days``: UTC
    days (since 1970) of the span asked for that the records know and the journal does not (none, where there are no records to ask);
    the last one may be there in part.
    """

    from_utc_ns: int | None
    days: tuple[int, ...]


class JournalTables:
    """The journal's tables of a gateway, sensor by sensor. ``records``: the store beside it, where there is one."""

    def __init__(self, source: RawSource, records: Records | None) -> None:
        self.sensors, self.wearers = source.sensors, source.wearers
        self.path = source.path
        self._source, self._records = source, records

    def recipe(self, sensor: Sensor) -> Recipe:
        """All that decides what is computed; from a journal without its beginning, with the alignment in force at what is left."""
        recipe = self._source.recipe(sensor)
        first_ns = self._first_ns(sensor) if self._is_cut(sensor) else None
        if first_ns is None or self._records is None:
            return recipe
        known = read_history(self._records, sensor.wearer, ()).of_sensor(sensor.id).in_force(first_ns)
        return recipe if known is None else replace(recipe, setup=replace(recipe.setup, alignment=known.alignment))

    def pieces(
        self,
        sensor: Sensor,
        tables: Sequence[str],
        span: tuple[int, int] = (0, FAR_NS),
        progress: Progress | None = None,
    ) -> Iterator[tuple[str, Any]]:
        """The sensor's rows of ``raw`` or of some of `COMPUTED_TABLES` that begin within ``span``, and others, as Arrow tables in the
        dictionary's columns, each with the table's name.
        """
        if "raw" in tables:
            for batch in self._source.stream(sensor, progress).batches:
                yield "raw", column_table(raw_columns(batch), RAW)
        else:
            found = self._derived(sensor, span, progress)
            yield from ((name, table) for name, table in found if name in tables and table.num_rows)

    def _derived(self, sensor: Sensor, wanted: tuple[int, int], progress: Progress | None) -> Iterator[tuple[str, Any]]:
        spool = self._source.spool
        span = span_of(spool, sensor.id, sensor.wearer)
        states = States(self.path.parent, sensor, self._source.recipe(sensor), spool)
        now = states.before(wanted[0], span)
        exact = now is not None or not self._is_cut(sensor)
        if now is None:
            now = Computing(LongDeriver(self.recipe(sensor), every_sample=True), BoutStage(), span.start)
        left = range(now.next_seq, span.stop)
        before: list[Frames] = []
        for stretch in long_stretches(JournalReader(spool).read_frames(sensor.id, left.start), left):
            if exact and before and is_another_day(now.newest_ns, stretch[-1]):
                states.keep(now, before[-1])
            before = stretch
            outputs = now.deriver.feed_frames(stretch)
            now.newest_ns = max(now.newest_ns, int(stretch[-1].rx_utc_ns[-1]))
            parts = [part for out in outputs for part in out.parts]
            for part in parts:
                if part.samples is not None and len(part.samples.t_utc_ns):
                    now.newest_ns = max(now.newest_ns, int(part.samples.t_utc_ns[-1]))
                    yield "samples", sample_table(part.samples)
            yield "steps", record_table([step for part in parts for step in part.steps], STEP)
            yield "transfers", record_table([t for part in parts for t in part.transfers], TRANSFER)
            metrics = [r for out in outputs for r in out.records if isinstance(r, Metric)]
            yield "bouts", record_table(now.bouts.take(metrics), BOUT)
            if progress is not None:
                progress((stretch[-1].next_seq - left.start) / len(left))
            # A change of posture shows a while after it, a bout when it has ended.
            current = now.bouts.current
            if now.newest_ns - DAY_NS >= wanted[1] and (current is None or current.start_utc_ns >= wanted[1]):
                return
        yield "bouts", record_table(now.bouts.finish(), BOUT)

    def gone(self, sensor: Sensor, span: tuple[int, int]) -> Gone | None:
        """What of the span [from, to) the journal has no more; None where it lacks nothing that the records know of."""
        if not self._is_cut(sensor):
            return None
        first_ns = self._first_ns(sensor)
        # Its first samples are a little older than their arrival.
        upto_ns = span[1] if first_ns is None else min(first_ns - 2 * NS_PER_S, span[1])
        if upto_ns <= span[0]:
            return None
        if self._records is None:
            return Gone(first_ns, ())
        days = self._records.days("metric", sensor.wearer, span[0], upto_ns)
        return Gone(first_ns, tuple(sorted(days))) if days else None

    def settings(self, sensor: Sensor) -> str:
        """Changes with all that decides what is computed, but the journal."""
        return self._source.recipe(sensor).hash

    def entries_by_day(self, sensor: Sensor) -> dict[int, int]:
        """The last entry that arrived on each UTC day (since 1970), of those that are left, as far as the journal's blocks tell."""
        begin = span_of(self._source.spool, sensor.id, sensor.wearer)
        rows = self._source.spool.query(
            f"SELECT last_rx_utc_ns / {DAY_NS}, max(last_seq) FROM journal "
            "WHERE sensor = ? AND last_seq >= ? AND last_rx_utc_ns > 0 GROUP BY 1 ORDER BY 1",
            (sensor.id, begin.start),
        )
        found = {int(day): int(seq) for day, seq in rows}
        first_ns = self._first_ns(sensor)
        return found if first_ns is None else {first_ns // DAY_NS: self._first_seq(sensor), **found}

    def cut_at(self, sensor: Sensor) -> tuple[int, int] | None:
        """Where what is left begins: its first entry, and the UTC day (since 1970) on which that arrived; None: the journal is whole."""
        first_ns = self._first_ns(sensor) if self._is_cut(sensor) else None
        return None if first_ns is None else (self._first_seq(sensor), first_ns // DAY_NS)

    def refuse_gone(self, span: tuple[int, int]) -> None:
        """Raises `ExportError` where of no sensor anything of the span is left."""
        gone = [found for sensor in self.sensors if (found := self.gone(sensor, span)) is not None]
        begins = [g.from_utc_ns for g in gone if g.from_utc_ns is not None]
        if len(gone) == len(self.sensors) and all(ns >= span[1] for ns in begins):
            since = f"begins on {day_text(min(begins) // DAY_NS)}" if begins else "is empty"
            days = (
                ", ".join(day_text(day) for day in sorted({day for g in gone for day in g.days})) or "what came before"
            )
            raise ExportError(
                f"{self.path}: the journal {since}, retention has taken {days}; name a later --from or other kinds"
            )

    def told(self, sensor: Sensor, gone: Gone | None, veil: Veil) -> dict[str, Any]:
        """What a manifest says of a sensor: under which settings, and which days the journal no longer has."""
        recipe, shift_ns = self.recipe(sensor), veil.shift_ns(sensor.wearer)
        begins = None if gone is None or gone.from_utc_ns is None else gone.from_utc_ns + shift_ns
        return {
            "wearer": veil.name("wearer", sensor.wearer),
            "sensor": veil.name("sensor", sensor.id),
            "driver": recipe.driver.id,
            "study_hash": study_hash(recipe.study),
            "days_missing": [] if gone is None else [day_text(day + shift_ns // DAY_NS) for day in gone.days],
            "begins_utc_ns": begins,
        }

    def _first_seq(self, sensor: Sensor) -> int:
        """The first entry that is left; 0 where there is none."""
        query = "SELECT min(first_seq) FROM journal WHERE sensor = ?"
        return int(self._source.spool.query(query, (sensor.id,))[0][0] or 0)

    def _is_cut(self, sensor: Sensor) -> bool:
        """Whether entries of this wearer with this sensor have gone."""
        span = span_of(self._source.spool, sensor.id, sensor.wearer)
        return bool(span) and self._first_seq(sensor) > span.start

    def _first_ns(self, sensor: Sensor) -> int | None:
        """When the first entry that is left arrived."""
        begin = span_of(self._source.spool, sensor.id, sensor.wearer).start
        for entries in JournalReader(self._source.spool).read(sensor.id, begin):
            return entries[0].received.rx_utc_ns
        return None


def placed(
    name: str, table: Any, sensor: Sensor, span: tuple[int, int], veil: Veil, identity: Sequence[Field] = IDENTITY
) -> Any | None:
    """The rows of a piece that begin within ``span``, with ``identity`` in front, under the veil's names and days; None: no row."""
    fields = TABLES[name]
    columns = {f.name: column.chunk(0) for f, column in zip(fields, table.columns, strict=True)}
    t = whole(columns[fields[0].name])
    kept = (t >= span[0]) & (t < span[1])
    if not kept.any():
        return None
    if not kept.all():
        mask = truths(kept)
        columns = {column: cells.filter(mask) for column, cells in columns.items()}
    rows = int(np.count_nonzero(kept))
    moved = {f.name: whole(columns[f.name]) + veil.shift_ns(sensor.wearer) for f in fields if _is_time(f)}
    whose = {"wearer": sensor.wearer, "sensor": sensor.id}
    named = {f.name: repeated(veil.name(f.name, whose[f.name]), rows) for f in identity}
    return column_table({**columns, **moved, **named}, (*identity, *fields))


def day_text(day: int) -> str:
    """A UTC day (since 1970) as a date."""
    return str(_EPOCH + timedelta(days=day))


def _is_time(field: Field) -> bool:
    return field.name.endswith("_utc_ns")
