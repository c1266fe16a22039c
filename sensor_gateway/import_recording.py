"""`tiltline import` without its command line: a foreign table to a clean recording, with every guess on show.

The result has `t_s` or `t_utc_ns`, `ax ay az` [m/s²], `gx gy gz` [rad/s] and is what `recording.read_recording` reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from processing.types import F64, I64, NS_PER_S
from sensor_gateway.export.csv_parquet import FileSet
from sensor_gateway.recording_checks import rate_of
from sensor_gateway.recording_files import Header, RecordingError, as_float, read_columns, read_header
from sensor_gateway.recording_guess import (
    ACC_UNITS,
    GYR_UNITS,
    TIME_UNITS,
    find_columns,
    guess_acc_unit,
    guess_gyr_unit,
    guess_time_unit,
    read_name,
    up_axis,
)

OURS: Final = ("ax", "ay", "az", "gx", "gy", "gz")
_UNIX_FROM_S: Final = 1e9
"""Seconds beyond 2001-09-09 count from 1970: no recording lasts 31 years."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What overrules a guess. ``acc``, ``gyr``: three column names, "-" in front turns the sign; scales replace units."""

    time: str | None = None
    time_unit: str | None = None
    rate_hz: float | None = None
    acc: tuple[str, str, str] | None = None
    gyr: tuple[str, str, str] | None = None
    acc_unit: str | None = None
    gyr_unit: str | None = None
    acc_scale: float | None = None
    gyr_scale: float | None = None
    sort: bool = False


@dataclass(frozen=True, slots=True)
class Guess:
    """One line of the table shown: our column, the file's, its unit, and why."""

    ours: str
    theirs: str
    unit: str
    why: str


@dataclass(frozen=True, slots=True)
class Imported:
    """A recording in SI: its Arrow table, the guesses behind it, facts for a person, and warnings."""

    table: Any
    guesses: tuple[Guess, ...]
    facts: Mapping[str, Any]
    warnings: tuple[str, ...]


def import_recording(path: Path, options: ImportOptions) -> Imported:
    """Read and convert one file; raises `RecordingError` where a column cannot be found or used."""
    header = read_header(path)
    time, columns, why, warnings = _choose(header, options)
    wanted = [c.removeprefix("-") if c not in header.columns else c for c in columns.values()]
    raw, notes = read_columns(header, [*([time] if time else []), *wanted], text=[time] if time else [])
    values = np.column_stack([_signed(path, header, raw, columns[ours]) for ours in OURS])
    if not len(values):
        raise RecordingError(f"{path}: 0 rows; the file names its columns and holds no samples")
    clock, absolute, time_guess = _clock(path, time, raw, len(values), options)
    if options.sort:
        order = np.argsort(clock, kind="stable")
        clock, values = clock[order], values[order]
    rate_hz = _rate(path, clock)
    acc_unit, acc_why, acc_factor = _acc(values, rate_hz, columns, options)
    acc = values[:, :3] * acc_factor
    gyr_unit, gyr_why, gyr_factor = _gyr(acc, values, rate_hz, columns, options)
    gyr = values[:, 3:] * gyr_factor
    up, share = up_axis(_finite_rows(acc), _finite_rows(gyr), rate_hz)
    guesses = (
        time_guess,
        *(Guess(o, columns[o], acc_unit, f"{why[o]}; {acc_why}") for o in OURS[:3]),
        *(Guess(o, columns[o], gyr_unit, f"{why[o]}; {gyr_why}") for o in OURS[3:]),
    )
    facts = {
        "rows": len(values),
        "rate_hz": rate_hz,
        "duration_s": round(float(clock[-1] - clock[0]) / NS_PER_S, 3),
        "absolute_time": absolute,
        "up_axis": up,
        "up_share": round(share, 3),
    }
    numbers = {o: pa.array(v) for o, v in zip(OURS, [*acc.T.copy(), *gyr.T.copy()], strict=True)}
    first = {"t_utc_ns": pa.array(clock)} if absolute else {"t_s": pa.array(clock / NS_PER_S)}
    return Imported(pa.table({**first, **numbers}), guesses, facts, (*warnings, *notes))


def write_imported(imported: Imported, target: Path) -> None:
    """Write the clean recording as Parquet; it appears whole or not at all."""
    with FileSet(target.parent) as files:
        pq.write_table(imported.table, files.path(target.name), compression="zstd", use_dictionary=False)


def _choose(header: Header, options: ImportOptions) -> tuple[str | None, dict[str, str], dict[str, str], list[str]]:
    time, found, rivals = find_columns(header.columns)
    why = dict.fromkeys(found, "name")
    for names, ours in ((options.acc, OURS[:3]), (options.gyr, OURS[3:])):
        if names:
            found |= dict(zip(ours, names, strict=True))
            why |= dict.fromkeys(ours, "as you said")
    if options.time or options.rate_hz:
        time = options.time
    missing = [o for o in OURS if o not in found]
    if time is None and options.rate_hz is None:
        missing.insert(0, "time")
    unknown = [
        c
        for c in [*found.values(), *([time] if time else [])]
        if c.removeprefix("-") not in header.columns and c not in header.columns
    ]
    if missing or unknown:
        what = f"found no column for {', '.join(missing)}" if missing else f"there is no column {', '.join(unknown)}"
        raise RecordingError(
            f"{header.path}: {what}; the file has {', '.join(header.columns)}; "
            "name them with --time (or --rate), --acc X,Y,Z and --gyr X,Y,Z"
        )
    warnings = [
        f"{header.path}: {', '.join(others)} could also be {ours}; '{found[ours]}' is used (change it with --acc or --gyr)"
        for ours, others in rivals.items()
        if why[ours] == "name"
    ]
    return time, found, why, warnings


def _signed(path: Path, header: Header, raw: Mapping[str, Any], name: str) -> F64:
    if name in header.columns:
        return as_float(path, name, raw[name])
    return -as_float(path, name[1:], raw[name[1:]])


def _clock(
    path: Path, time: str | None, raw: Mapping[str, Any], rows: int, options: ImportOptions
) -> tuple[I64, bool, Guess]:
    """Nanoseconds (n,), whether they count from 1970, and how that was found."""
    if time is None:
        rate = options.rate_hz or 1.0
        return (
            np.rint(np.arange(rows) / rate * NS_PER_S).astype(np.int64),
            False,
            Guess("t_s", "row number", "s", f"{rate:g} Hz as you said"),
        )
    column = raw[time]
    if pa.types.is_string(column.type) and (dates := _dates(column)) is not None:
        return dates, True, Guess("t_utc_ns", time, "date", "text that reads as ISO 8601; without an offset it is UTC")
    if pa.types.is_timestamp(column.type):
        ns = pc.cast(pc.cast(column, pa.timestamp("ns", tz=column.type.tz)), pa.int64()).to_numpy()
        return ns, True, Guess("t_utc_ns", time, "date", "the column's type")
    values = as_float(path, time, column)
    if not np.isfinite(values).all():
        raise RecordingError(f"{path}: column {time} has rows without a time; remove them first")
    name = read_name(time)
    unit, reason = guess_time_unit(values, name.unit if name else None)
    if options.time_unit:
        unit, reason = options.time_unit, "as you said"
    absolute = float(values[0]) * TIME_UNITS[unit] > _UNIX_FROM_S
    if pa.types.is_integer(column.type) and unit == "ns":
        clock = column.to_numpy().astype(np.int64)  # exact: a double cannot hold today's nanoseconds
    else:
        clock = np.rint(values * (TIME_UNITS[unit] * NS_PER_S)).astype(np.int64)
    return clock, absolute, Guess("t_utc_ns" if absolute else "t_s", time, unit, reason)


def _dates(column: Any) -> I64 | None:
    for kind in (pa.timestamp("ns", tz="UTC"), pa.timestamp("ns")):
        try:
            parsed = pc.cast(column, kind)
        except pa.ArrowInvalid:
            continue
        if parsed.null_count == 0:
            ns: I64 = pc.cast(parsed, pa.int64()).to_numpy()
            return ns
    return None


def _rate(path: Path, clock: I64) -> float:
    steps = np.diff(clock)
    if len(clock) < 2 or float(np.median(steps)) <= 0:
        raise RecordingError(
            f"{path}: the times do not advance from row to row; name another column with --time, or give --rate HZ"
        )
    return rate_of(clock)


def _acc(values: F64, rate_hz: float, columns: Mapping[str, str], options: ImportOptions) -> tuple[str, str, float]:
    if options.acc_scale is not None:
        return f"x {options.acc_scale:g}", "scale as you said", options.acc_scale
    if options.acc_unit:
        return options.acc_unit, "unit as you said", ACC_UNITS[options.acc_unit]
    ok = _finite_rows(values)
    unit, why = guess_acc_unit(ok[:, :3], ok[:, 3:], rate_hz, _said([columns[o] for o in OURS[:3]]))
    return unit, why, ACC_UNITS[unit]


def _gyr(
    acc: F64, values: F64, rate_hz: float, columns: Mapping[str, str], options: ImportOptions
) -> tuple[str, str, float]:
    if options.gyr_scale is not None:
        return f"x {options.gyr_scale:g}", "scale as you said", options.gyr_scale
    if options.gyr_unit:
        return options.gyr_unit, "unit as you said", GYR_UNITS[options.gyr_unit]
    ok = _finite_rows(np.column_stack((acc, values[:, 3:])))
    unit, why = guess_gyr_unit(ok[:, :3], ok[:, 3:], rate_hz, _said([columns[o] for o in OURS[3:]]))
    return unit, why, GYR_UNITS[unit]


def _said(columns: Sequence[str]) -> str | None:
    """The unit all three names agree on."""
    units = {n.unit for c in columns if (n := read_name(c.removeprefix("-")))}
    return next(iter(units)) if len(units) == 1 else None


def _finite_rows(values: F64) -> F64:
    ok = np.isfinite(values).all(axis=1)
    return values[ok] if ok.any() else np.zeros((1, values.shape[1]))
