"""`tiltline import` without its command line: a foreign table to a clean recording, with every guess on show.

The result has `t_s` or `t_utc_ns`, `ax ay az` [m/s²], `gx gy gz` [rad/s] and is what `recording.read_recording` reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from processing.types import F64, I64, NS_PER_S
from sensor_gateway.recording.checks import rate_of
from sensor_gateway.recording.evenness import even_times
from sensor_gateway.recording.files import RecordingError
from sensor_gateway.recording.guess import (
    ACC_UNITS,
    GYR_UNITS,
    Sure,
    guess_acc_unit,
    guess_gyr_unit,
    read_name,
    read_unit,
    up_axis,
)
from sensor_gateway.recording.source import OURS, Guess, ImportOptions, Source, joined, whole
from sensor_gateway.whole_files import FileSet

__all__ = ["OURS", "Guess", "ImportOptions", "Imported", "import_recording", "write_imported"]


@dataclass(frozen=True, slots=True)
class Imported:
    """A recording in SI: its Arrow table, the guesses behind it, facts for a person, and warnings."""

    table: Any
    guesses: tuple[Guess, ...]
    facts: Mapping[str, Any]
    warnings: tuple[str, ...]


def import_recording(path: Path, options: ImportOptions, gyr_path: Path | None = None) -> Imported:
    """Read and convert one file, or the two halves of one recording (``gyr_path``: the angular rate's).

    Raises `RecordingError` where a column cannot be found or used.
    """
    s = whole(path, options) if gyr_path is None else joined(path, gyr_path, options)
    rate_hz = _rate(path, s.clock)
    acc_unit, acc_sure, acc_why, acc_factor = _acc(s, rate_hz, options)
    acc = s.values[:, :3] * acc_factor
    gyr_unit, gyr_sure, gyr_why, gyr_factor = _gyr(s, acc, rate_hz, options)
    gyr = s.values[:, 3:] * gyr_factor
    up, share = up_axis(_finite_rows(acc), _finite_rows(gyr), rate_hz)
    guesses = (
        s.time,
        *(Guess(o, s.columns[o], acc_unit, acc_sure, f"{s.why[o]}; {acc_why}") for o in OURS[:3]),
        *(Guess(o, s.columns[o], gyr_unit, gyr_sure, f"{s.why[o]}; {gyr_why}") for o in OURS[3:]),
    )
    facts = {
        "layout": s.layout.name if s.layout else None,
        "joined_with": str(gyr_path) if gyr_path else None,
        "rows": len(s.values),
        "rate_hz": rate_hz,
        "duration_s": round(float(s.clock[-1] - s.clock[0]) / NS_PER_S, 3),
        "absolute_time": s.absolute,
        "up_axis": up,
        "up_share": round(share, 3),
    }
    numbers = {o: pa.array(v) for o, v in zip(OURS, [*acc.T.copy(), *gyr.T.copy()], strict=True)}
    first = {"t_utc_ns": pa.array(s.clock)} if s.absolute else {"t_s": pa.array(s.clock / NS_PER_S)}
    return Imported(pa.table({**first, **numbers}), guesses, facts, tuple(s.warnings))


def write_imported(imported: Imported, target: Path) -> None:
    """Write the clean recording as Parquet; it appears whole or not at all."""
    with FileSet(target.parent) as files:
        pq.write_table(imported.table, files.path(target.name), compression="zstd", use_dictionary=False)


def _rate(path: Path, clock: I64) -> float:
    steps = np.diff(clock)
    if len(clock) < 2 or float(np.median(steps)) <= 0:
        raise RecordingError(
            f"{path}: the times do not advance from row to row; name another column with --time, or give --rate HZ"
        )
    even = even_times(clock) if (steps >= 0).all() else None
    return rate_of(clock if even is None else even)


def _acc(s: Source, rate_hz: float, options: ImportOptions) -> tuple[str, Sure, str, float]:
    if options.acc_scale is not None:
        return f"x {options.acc_scale:g}", "stated", "scale as you said", options.acc_scale
    if options.acc_unit:
        return options.acc_unit, "stated", "unit as you said", ACC_UNITS[options.acc_unit]
    ok = _finite_rows(s.values)
    named = _said([s.columns[o] for o in OURS[:3]])
    by_layout = s.layout.acc_unit if s.layout else None
    unit, sure, why = guess_acc_unit(ok[:, :3], ok[:, 3:], rate_hz, named or by_layout)
    if by_layout and not named:
        why = why.replace("the column's name", f"a {s.layout.name}" if s.layout else "")
    return unit, sure, why, ACC_UNITS[unit]


def _gyr(s: Source, acc: F64, rate_hz: float, options: ImportOptions) -> tuple[str, Sure, str, float]:
    if options.gyr_scale is not None:
        return f"x {options.gyr_scale:g}", "stated", "scale as you said", options.gyr_scale
    if options.gyr_unit:
        return options.gyr_unit, "stated", "unit as you said", GYR_UNITS[options.gyr_unit]
    ok = _finite_rows(np.column_stack((acc, s.values[:, 3:])))
    named = _said([s.columns[o] for o in OURS[3:]])
    by_layout = s.layout.gyr_unit if s.layout else None
    unit, sure, why = guess_gyr_unit(ok[:, :3], ok[:, 3:], rate_hz, named or by_layout)
    if by_layout and not named:
        why = why.replace("the column's name", f"a {s.layout.name}" if s.layout else "")
    return unit, sure, why, GYR_UNITS[unit]


def _said(columns: Sequence[str]) -> str | None:
    """The unit all three names agree on."""
    bare = [c.removeprefix("-") for c in columns]
    units = {n.unit if (n := read_name(c)) else read_unit(c) for c in bare}
    return next(iter(units)) if len(units) == 1 else None


def _finite_rows(values: F64) -> F64:
    ok = np.isfinite(values).all(axis=1)
    return values[ok] if ok.any() else np.zeros((1, values.shape[1]))
