"""What a foreign file holds, read but not yet in SI: which column is which, one file or two halves, and its times.

Behind `importing`, which finds the units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from processing.dictionary import IDENTITY
from processing.types import F64, I64, NS_PER_S
from sensor_gateway.recording.files import Header, RecordingError, as_float, read_columns, read_header
from sensor_gateway.recording.guess import TIME_UNITS, Sure, find_columns, guess_time_unit, read_name
from sensor_gateway.recording.pair import half_of, join, lonely
from sensor_gateway.recording.vendor import Layout, recognise

OURS: Final = ("ax", "ay", "az", "gx", "gy", "gz")
_UNIX_FROM_S: Final = 1e9
"""Seconds beyond 2001-09-09 count from 1970: no recording lasts 31 years."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What overrules a guess. ``acc``, ``gyr``: three column names, "-" in front turns the sign; ``columns``: single ones
    (ours, or "t", to theirs); scales replace units.
    """

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
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Guess:
    """One line of the table shown: our column, the file's, its unit, how sure that is, and why."""

    ours: str
    theirs: str
    unit: str
    sure: Sure
    why: str


@dataclass(slots=True)
class Source:
    """What was read, before units: times [ns], values (n, 6), the file's name of each of ours and why it was taken."""

    path: Path
    layout: Layout | None
    clock: I64
    absolute: bool
    time: Guess
    values: F64
    columns: dict[str, str]
    why: dict[str, str]
    warnings: list[str]


def whole(path: Path, options: ImportOptions) -> Source:
    """One file that holds everything."""
    header = read_header(path)
    layout = recognise(header)
    if not (options.columns or options.acc or options.gyr) and (half := half_of(path)) is not None:
        raise RecordingError(lonely(half))
    _refuse_several(header)
    time, columns, why, warnings = _choose(header, layout, options)
    wanted = [c.removeprefix("-") if c not in header.columns else c for c in columns.values()]
    raw, notes = read_columns(header, [*([time] if time else []), *wanted], text=[time] if time else [])
    values = np.column_stack([_signed(path, header, raw, columns[ours]) for ours in OURS])
    if not len(values):
        raise RecordingError(f"{path}: 0 rows; the file names its columns and holds no samples")
    clock, absolute, guess = _clock(path, time, raw, len(values), layout, options)
    if options.sort:
        order = np.argsort(clock, kind="stable")
        clock, values = clock[order], values[order]
    return Source(path, layout, clock, absolute, guess, values, columns, why, [*warnings, *notes])


def _refuse_several(header: Header) -> None:
    """Raises `RecordingError` where a table says of its rows whose they are, as a raw export does, and they are several's."""
    names = [f.name for f in IDENTITY if f.name in header.columns]
    for name, cells in read_columns(header, names, text=names)[0].items() if names else ():
        found = sorted(map(str, pc.unique(cells).to_pylist()))
        if len(found) > 1:
            raise RecordingError(
                f"{header.path}: holds {len(found)} recordings (column {name}: {', '.join(found[:5])}); keep the rows of one, "
                "or export one with --wearer"
            )


def joined(acc_path: Path, gyr_path: Path, options: ImportOptions) -> Source:
    """Two files, one for each quantity, on the acceleration's times."""
    if options.columns or options.acc or options.gyr or options.rate_hz:
        raise RecordingError(
            f"{acc_path}: --map, --acc, --gyr and --rate are for single files; join the two by hand first"
        )
    acc, gyr = _half(acc_path, options), _half(gyr_path, options)
    if acc.absolute != gyr.absolute:
        raise RecordingError(f"{acc_path}: has other times than {gyr_path}; one counts from 1970, the other does not")
    try:
        rates, known = join(acc.clock, gyr.clock, gyr.values)
    except ValueError as e:
        raise RecordingError(f"{acc_path}: {e}") from None
    warnings = [*acc.warnings, *gyr.warnings]
    if not known.any():
        raise RecordingError(f"{acc_path}: {gyr_path} has no samples at its times; name two files of one recording")
    if missing := int((~known).sum()):
        warnings.append(f"{acc_path}: {missing} samples have no angular rate at their time and are left out")
    values = np.column_stack((acc.values, rates))[known]
    return Source(
        acc_path,
        acc.layout,
        acc.clock[known],
        acc.absolute,
        acc.time,
        values,
        acc.columns | gyr.columns,
        acc.why | gyr.why,
        warnings,
    )


def _half(path: Path, options: ImportOptions) -> Source:
    """One quantity of two; ``values`` is (n, 3). Rows that repeat a time are left out, since nothing lies between them."""
    half = half_of(path)
    if half is None:
        raise RecordingError(f"{path}: holds not just one of acceleration and angular rate; import it alone")
    header, layout = half.header, recognise(half.header)
    time = options.time or (layout.time if layout else None) or find_columns(header.columns)[0]
    if time is None or time not in header.columns:
        raise RecordingError(
            f"{path}: found no time column; the file has {', '.join(header.columns)}; name it with --time"
        )
    raw, notes = read_columns(header, [time, *half.columns], text=[time])
    values = np.column_stack([as_float(path, c, raw[c]) for c in half.columns])
    if not len(values):
        raise RecordingError(f"{path}: 0 rows; the file names its columns and holds no samples")
    clock, absolute, guess = _clock(path, time, raw, len(values), layout, options)
    order = np.argsort(clock, kind="stable") if options.sort else np.arange(len(clock))
    steps = np.diff(clock[order], prepend=clock[order][0] - 1)
    if (steps < 0).any():
        raise RecordingError(f"{path}: rows are not in the order of time; add --sort")
    keep = order[steps > 0]
    if again := len(clock) - len(keep):
        notes = [*notes, f"{path}: {again} rows repeat the time before them and are left out"]
    ours = OURS[:3] if half.group == "acc" else OURS[3:]
    return Source(
        path,
        layout,
        clock[keep],
        absolute,
        guess,
        values[keep],
        dict(zip(ours, half.columns, strict=True)),
        dict.fromkeys(ours, f"name, in {path.name}"),
        notes,
    )


def _choose(
    header: Header, layout: Layout | None, options: ImportOptions
) -> tuple[str | None, dict[str, str], dict[str, str], list[str]]:
    time, found, rivals = find_columns(header.columns)
    why = dict.fromkeys(found, "name")
    if layout and layout.time:
        time = layout.time
    stated = {o: c for o, c in options.columns.items() if o in OURS}
    for names, ours in ((options.acc, OURS[:3]), (options.gyr, OURS[3:])):
        if names:
            stated = dict(zip(ours, names, strict=True)) | stated
    found |= stated
    why |= dict.fromkeys(stated, "as you said")
    if options.time or options.rate_hz or "t" in options.columns:
        time = options.columns.get("t", options.time)
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
            f"{header.path}: {what}; the file has {', '.join(header.columns)}; {_remedy(header, layout, missing)}"
        )
    warnings = [
        f"{header.path}: {', '.join(others)} could also be {ours}; '{found[ours]}' is used (change it with --acc or --gyr)"
        for ours, others in rivals.items()
        if why[ours] == "name"
    ]
    return time, found, why, warnings


def _remedy(header: Header, layout: Layout | None, missing: Sequence[str]) -> str:
    free = any(c.lower().startswith(("freeacc", "free_acc")) for c in header.columns)
    if free and "ax" in missing:
        return (
            "free acceleration has gravity taken off and tells no tilt; record again with acceleration and angular rate"
        )
    if layout and {"gx", "ax"} & set(missing):
        return f"a {layout.name} holds what was ticked when recording: record again with acceleration and angular rate"
    return "name them with --time (or --rate), --acc X,Y,Z and --gyr X,Y,Z, or one by one with --map ax=COLUMN"


def _signed(path: Path, header: Header, raw: Mapping[str, Any], name: str) -> F64:
    if name in header.columns:
        return as_float(path, name, raw[name])
    return -as_float(path, name[1:], raw[name[1:]])


def _clock(
    path: Path, time: str | None, raw: Mapping[str, Any], rows: int, layout: Layout | None, options: ImportOptions
) -> tuple[I64, bool, Guess]:
    """Nanoseconds (n,), whether they count from 1970, and how that was found."""
    if time is None:
        rate = options.rate_hz or 1.0
        return (
            np.rint(np.arange(rows) / rate * NS_PER_S).astype(np.int64),
            False,
            Guess("t_s", "row number", "s", "stated", f"{rate:g} Hz as you said"),
        )
    column = raw[time]
    if pa.types.is_string(column.type) and (dates := _dates(column)) is not None:
        return (
            dates,
            True,
            Guess("t_utc_ns", time, "date", "sure", "text that reads as ISO 8601; without an offset it is UTC"),
        )
    if pa.types.is_timestamp(column.type):
        ns = pc.cast(pc.cast(column, pa.timestamp("ns", tz=column.type.tz)), pa.int64()).to_numpy()
        return ns, True, Guess("t_utc_ns", time, "date", "sure", "the column's type")
    values = as_float(path, time, column)
    if not np.isfinite(values).all():
        raise RecordingError(f"{path}: column {time} has rows without a time; remove them first")
    name = read_name(time)
    known = layout if layout and layout.time == time else None
    unit, sure, reason = guess_time_unit(values, name.unit if name else None, time)
    if known and known.time_unit and not options.time_unit:
        unit, sure, reason = known.time_unit, "sure", f"a {known.name}"
    if options.time_unit:
        unit, sure, reason = options.time_unit, "stated", "as you said"
    if known and known.time_bits and unit in (known.time_unit, "us", "0.1ms"):
        values, wraps = _unwrapped(values, known.time_bits)
        reason += f"; the counter wraps {wraps} time{'s' * (wraps != 1)} and is continued" if wraps else ""
    absolute = float(values[0]) * TIME_UNITS[unit] > _UNIX_FROM_S
    if pa.types.is_integer(column.type) and unit == "ns":
        clock = column.to_numpy().astype(np.int64)  # exact: a double cannot hold today's nanoseconds
    else:
        clock = np.rint(values * (TIME_UNITS[unit] * NS_PER_S)).astype(np.int64)
    return clock, absolute, Guess("t_utc_ns" if absolute else "t_s", time, unit, sure, reason)


def _unwrapped(values: F64, bits: int) -> tuple[F64, int]:
    """A counter of ``bits`` continued where it wraps, and how often it did; a step back stays one."""
    span = float(1 << bits)
    turns = np.concatenate(([0.0], np.cumsum(np.diff(values) < -span / 2)))
    return values + turns * span, int(turns[-1])


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
