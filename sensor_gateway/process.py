"""`tiltline process` without its command line: one recording in, a folder of checked files out.

Reads (`recording/recording.py`), aligns, runs the same core as the live gateway (`processing.batch`) and writes what the researcher
and the tests compare against. Same recording and options give the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from processing.alignment.offset import PelvicOffset
from processing.batch import Mode, ProcessResult, blocks, process_recording
from processing.context.periods import Bout, BoutStage
from processing.core import CoreSetup
from processing.dictionary import ABSOLUTE, BOUT, EPOCH, METRIC, SAMPLE, STEP, TRANSFER
from processing.mount_search import find_mounts
from processing.rules.study import Study, study_hash
from processing.types import NS_PER_S, Epoch, Event, Metric, Samples, TimedBatch
from sensor_gateway.alignments.absolute_tilt import NeutralTimes, OffsetsByTime, absolute_columns
from sensor_gateway.alignments.notes import Offset
from sensor_gateway.export.csv_parquet import open_table
from sensor_gateway.export.manifest import write_manifest
from sensor_gateway.export.tables import column_table, event_line, record_table, sample_table, schema_of
from sensor_gateway.recording.alignment import AUTO, Aligned, Neutral, align_recording
from sensor_gateway.recording.recording import Recording, read_recording
from sensor_gateway.whole_files import FileSet

FILES: Final = (
    "samples.parquet",
    "metrics.parquet",
    "epochs.parquet",
    "steps.parquet",
    "transfers.parquet",
    "bouts.parquet",
    "events.ndjson",
    "manifest.json",
)
ABSOLUTE_FILE: Final = "absolute.parquet"
"""Written beside them where an offset is given."""
_SEARCH_SHARE: Final = 0.4


@dataclass(frozen=True, slots=True)
class ProcessOptions:
    """What the command line says. ``neutral_s`` in seconds on the recording's own t_s or "auto"; ``mount`` axes, "auto", or
    None: the usual one. ``offset``: the therapist's angle, for absolute tilt in a table of its own.
    """

    start_utc_ns: int | None = None
    neutral_s: Neutral = None
    mount: str | None = None
    mode: Mode = "online"
    study: Study = field(default_factory=Study)
    wearer: str = "w-001"
    sensor: str = "clip-1"
    offset: PelvicOffset | None = None


@dataclass(frozen=True, slots=True)
class Processed:
    """What one recording came to: its folder, manifest, and the numbers of the one-line summary."""

    folder: Path
    manifest: dict[str, Any]
    summary: dict[str, Any]
    warnings: tuple[str, ...]


def process_file(
    path: Path, folder: Path, options: ProcessOptions, progress: Callable[[float], None] | None = None
) -> Processed:
    """Process one recording into ``folder`` (`FILES`); ``progress`` gets the share done.

    Raises `RecordingError` for what cannot be read or aligned; then nothing in ``folder`` has changed.
    """
    recording = read_recording(path, options.start_utc_ns)
    # Searching for mount and neutral goes through the recording as well: it gets its share of the progress.
    before = _SEARCH_SHARE if AUTO in (options.mount, options.neutral_s) else 0.0
    search = None if progress is None else lambda share: progress(before * share)
    aligned = align_recording(recording, options.mount, options.neutral_s, search)
    setup = CoreSetup(options.wearer, options.sensor, recording.rate_hz, aligned.alignment)
    timed = TimedBatch(recording.t_utc_ns, recording.acc_mps2, recording.gyr_rps)
    with FileSet(folder) as files:
        samples = open_table(files.path("samples.parquet"), schema_of(SAMPLE), "parquet")
        valid = 0

        def keep(piece: Samples) -> None:
            nonlocal valid
            valid += int(piece.valid.sum())
            if len(piece.t_utc_ns):
                samples.write(sample_table(_as_stamped(piece, recording)))

        def tell(taken: int) -> None:
            if progress is not None:
                progress(before + (1.0 - before) * taken / len(timed))

        # Looking back an alignment holds from where the clip began to sit so, which a pass of its own finds first.
        mounts = find_mounts(blocks(timed), setup.rate_hz, setup.alignment) if options.mode == "retro" else []
        result = process_recording(blocks(timed), setup, options.study, options.mode, keep, tell, mounts=mounts)
        samples.close()
        rows = {"samples.parquet": samples.rows, **_write_records(files, result)}
        all_warnings = (*recording.warnings, *aligned.warnings)
        if options.offset is not None:
            rows[ABSOLUTE_FILE], known = _write_absolute(files, result, options)
            if not known:
                all_warnings += (
                    f"{recording.name}: offset: no neutral pose is in force, so absolute tilt is not known; give --neutral",
                )
        summary = _summary(recording, result, rows, valid)
        content = _content(recording, options, aligned, result, all_warnings) | {"summary": summary}
        manifest = write_manifest(files, content, rows)
    return Processed(folder, manifest, summary, all_warnings)


def _as_stamped(piece: Samples, recording: Recording) -> Samples:
    """With the file's own times, by which its reader knows the samples."""
    if recording.stamped_ns is None:
        return piece
    return replace(piece, t_utc_ns=recording.stamped_ns[np.searchsorted(recording.t_utc_ns, piece.t_utc_ns)])


def _write_records(files: FileSet, result: ProcessResult) -> dict[str, int]:
    metrics = [r for r in result.records if isinstance(r, Metric)]
    epochs = [r for r in result.records if isinstance(r, Epoch)]
    events = [r for r in result.records if isinstance(r, Event)]
    rows = {"events.ndjson": len(events)}
    for name, records, fields in (
        ("metrics.parquet", metrics, METRIC),
        ("epochs.parquet", epochs, EPOCH),
        ("steps.parquet", result.steps, STEP),
        ("transfers.parquet", result.transfers, TRANSFER),
        ("bouts.parquet", _bouts(metrics), BOUT),
    ):
        table = open_table(files.path(name), schema_of(fields), "parquet")
        table.write(record_table(records, fields))
        table.close()
        rows[name] = table.rows
    files.write_text("events.ndjson", "".join(map(event_line, events)))
    return rows


def _write_absolute(files: FileSet, result: ProcessResult, options: ProcessOptions) -> tuple[int, bool]:
    """Absolute tilt by the offset of the options; the rows, and whether any has a value."""
    offset = options.offset
    note = None if offset is None else Offset(1, 0, options.wearer, offset)
    metrics = [r for r in result.records if isinstance(r, Metric)]
    t = np.array([m.t_utc_ns for m in metrics], np.int64)
    columns = absolute_columns(
        t,
        np.array([m.anterior_tilt_deg for m in metrics], np.float64),
        np.array([m.tilt_uncertainty_deg for m in metrics], np.float64),
        OffsetsByTime((), (note,)),
        NeutralTimes(r for r in result.records if isinstance(r, Event)).holds(t),
    )
    table = open_table(files.path(ABSOLUTE_FILE), schema_of(ABSOLUTE), "parquet")
    table.write(column_table(columns, ABSOLUTE))
    table.close()
    return table.rows, bool(np.isfinite(columns["anterior_tilt_abs_deg"]).any())


def _bouts(metrics: list[Metric]) -> list[Bout]:
    stage = BoutStage()
    return [*stage.take(metrics), *stage.finish()]


def _content(
    recording: Recording,
    options: ProcessOptions,
    aligned: Aligned,
    result: ProcessResult,
    warnings: tuple[str, ...],
) -> dict[str, Any]:
    return {
        "kind": "process",
        "input": {
            "name": recording.name,
            "sha256": recording.sha256,
            "rows": len(recording.t_utc_ns) + sum(recording.dropped.values()),
            "dropped": recording.dropped,
            "rate_hz": recording.rate_hz,
            "first_utc_ns": int(recording.t_utc_ns[0]),
            "last_utc_ns": int(recording.t_utc_ns[-1]),
            "zero_utc_ns": recording.zero_utc_ns,
            "dated": recording.dated,
        },
        "options": {
            "start_utc_ns": options.start_utc_ns,
            "neutral_s": list(options.neutral_s) if isinstance(options.neutral_s, tuple) else options.neutral_s,
            "mount": options.mount,
            "mode": options.mode,
            "wearer": options.wearer,
            "sensor": options.sensor,
        },
        "study": {
            "hash": study_hash(options.study),
            "version": options.study.version,
            "content": asdict(options.study),
        },
        "alignment": asdict(aligned.alignment),
        "alignment_source": aligned.source,
        "offset": None if options.offset is None else asdict(options.offset) | {"sigma_deg": options.offset.sigma_deg},
        "counters": result.counters,
        "warnings": list(warnings),
    }


def _summary(recording: Recording, result: ProcessResult, rows: Mapping[str, int], valid: int) -> dict[str, Any]:
    """What the command prints; JSON plain."""
    metrics = [r for r in result.records if isinstance(r, Metric)]
    tilt = [m.anterior_tilt_deg for m in metrics if m.anterior_tilt_deg is not None]
    return {
        "recording": recording.name,
        "duration_s": round(int(recording.t_utc_ns[-1] - recording.t_utc_ns[0]) / NS_PER_S, 3),
        "rate_hz": recording.rate_hz,
        "samples": rows["samples.parquet"],
        "valid_samples": valid,
        "seconds": len(metrics),
        "minutes": rows["epochs.parquet"],
        "tilt_median_deg": round(float(np.median(tilt)), 2) if tilt else None,
        "seconds_per_posture": dict(Counter(m.posture for m in metrics).most_common()),
        "events": dict(sorted(Counter(r.type for r in result.records if isinstance(r, Event)).items())),
    }
