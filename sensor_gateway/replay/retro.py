"""The retro derivation: a sensor's journal once more, late data and all, with the clock and the estimate of hindsight.

`tiltline replay --mode retro` and whoever runs it at night. The live records of a day follow from the journal in the order of
arrival (`rederive`), late data passed over, and are never rewritten. Here every sample, whenever it came, stands at its own
device time (`processing.clock.retro`), and `process_recording(mode="retro")` knows what follows: poses and movements of the
set-up hold as they did live, and where the clip slipped or went on again is searched anew (`processing.mount_search`), as
`tiltline process` does. The result goes into a store of its own (source=retro), beside the live one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from processing.alignment.history import AlignmentHistory
from processing.alignment.mounts import restored
from processing.alignment.static import Alignment
from processing.batch import process_recording
from processing.core import CoreSetup
from processing.mount_search import find_mounts
from processing.rules.study import Study
from sensor_gateway.config import Sensor
from sensor_gateway.derive import Recipe
from sensor_gateway.replay.journal_samples import JournalSamples, Progress, span_of
from sensor_gateway.replay.rederive import SpoolReader, recipe_of, rederive
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from sensor_gateway.spool.journal import JournalReader

_FAR_NS: Final = 1 << 62
_FOUND: Final = ("suspended", "realigned")
"""Methods of what the live gateway found by itself: it told it at a minute after the fact, and looking back finds it at its time."""


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
    """The alignments that a person put in force, as the store's events tell them; not what the gateway found of slips."""
    history = AlignmentHistory()
    for page in store.columns("event", wearer):
        for t, kind, of, text in zip(page["t_utc_ns"], page["type"], page["sensor"], page["data"], strict=True):
            if kind != "alignment" or of != sensor:
                continue
            d = json.loads(str(text))
            if d.get("outcome") == "in force" and d["method"] not in _FOUND:
                found = restored(
                    d["alignment_id"], d["mount_id"], d["method"], d["r_ps"], d["uncertainty_deg"], int(t or 0)
                )
                history = history.with_entry(found, int(t or 0))
    return history


def schedule(history: AlignmentHistory, start: Alignment) -> tuple[Alignment, list[tuple[int, Alignment]]]:
    """Which alignment holds from when: that of the start, then the instants of the others.

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
    spool: SpoolReader,
    sensor: Sensor,
    study: Study,
    live: Path,
    out: Store,
    progress: Progress | None = None,
    corrections: Mapping[int, Alignment] | None = None,
) -> RetroCounts:
    """Two passes over all that the journal has of this wearer with this sensor; the records go into ``out``. ``live``: the gateway's store, for the
    alignments in force; where there is none, that of the settings holds. With ``corrections`` (as of `rederive`) a pass before tells which
    alignments would have been in force then: a pose taken later keeps the front that was corrected.
    """
    history, tell = AlignmentHistory(), progress
    if corrections:
        with closing(Store.in_memory()) as store:
            rederive(
                spool, sensor, study, store, None if progress is None else lambda p: progress(0.4 * p), corrections
            )
            history = history_of(store, sensor.wearer, sensor.id)
        tell = None if progress is None else lambda p: progress(0.4 + 0.6 * p)
    elif live.is_file():
        with closing(Store.open(live, readonly=True)) as store:
            history = history_of(store, sensor.wearer, sensor.id)
    span = span_of(spool, sensor.id, sensor.wearer)
    return derive_retro(JournalReader(spool), recipe_of(sensor, study), history, out, span, tell)


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
    tell = None if progress is None else lambda share: progress(0.9 * share)
    samples = JournalSamples(journal, recipe, span, tell, rounds=2)
    result.entries = samples.entries
    start, others = schedule(history, setup.alignment)
    core = CoreSetup(setup.wearer, setup.sensor, setup.rate_hz, start)
    mounts = find_mounts(samples.dated(), setup.rate_hz, start, others)
    done = process_recording(samples.dated(), core, recipe.study, "retro", alignments=others, mounts=mounts)
    out.write(Owned(setup.wearer, setup.sensor, record) for record in done.records)
    if progress is not None:
        progress(1.0)
    kept = samples.late
    return replace(
        result,
        samples=done.counters["samples"],
        missing=done.counters["missing"],
        late_used=kept.used,
        late_repeated=kept.repeated,
        late_misfit=kept.misfit,
        records=out.counts(setup.wearer, setup.sensor),
    )
