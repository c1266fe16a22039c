"""A recording from disk, checked, on UTC and in SI: the entry of `process`, `replay` and `bench`.

Times: ``t_utc_ns`` is used as it stands; ``t_s`` counts from ``start_utc_ns``. Without a start t_s = 0 is taken as
1970-01-01T00:00:00Z: Unix seconds then need no option, and a recording without a date is visibly undated instead of dated
today, which would make the result depend on the day it was computed.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from processing.types import F64, I64, NS_PER_S, Bool
from sensor_gateway.recording.checks import (
    check_rate,
    check_times,
    leaping_rows,
    rate_of,
    repeated_rows,
    unit_warnings,
    usable_rows,
)
from sensor_gateway.recording.evenness import even_times
from sensor_gateway.recording.files import (
    Header,
    RecordingError,
    as_float,
    as_utc_ns,
    read_columns,
    read_header,
)
from sensor_gateway.whole_files import sha256_of

__all__ = ["Recording", "RecordingError", "read_recording"]

ACC: Final = ("ax", "ay", "az")
GYR: Final = ("gx", "gy", "gz")


@dataclass(frozen=True, slots=True)
class Recording:
    """Samples of one sensor: ``t_utc_ns`` (n,) strictly increasing, ``acc_mps2``, ``gyr_rps`` (n, 3) finite float64.

    ``stamped_ns`` (n,) are the file's own times where those wander and ``t_utc_ns`` are the even ones instead (`evenness.py`).
    ``zero_utc_ns`` is the UTC time of t_s = 0 (of the first sample where the file holds UTC), ``dated`` whether that is a
    real date; ``dropped`` counts left-out rows by reason; ``warnings`` are sentences for a person.
    """

    t_utc_ns: I64
    acc_mps2: F64
    gyr_rps: F64
    rate_hz: float
    zero_utc_ns: int
    dated: bool
    name: str
    sha256: str
    dropped: dict[str, int]
    warnings: tuple[str, ...]
    stamped_ns: I64 | None = None

    @property
    def file_times_ns(self) -> I64:
        """The times (n,) as the file has them, by which results are joined to it."""
        return self.t_utc_ns if self.stamped_ns is None else self.stamped_ns


def read_recording(path: Path, start_utc_ns: int | None = None) -> Recording:
    """Read Parquet or CSV with ``t_s`` or ``t_utc_ns``, ``ax ay az`` [m/s²], ``gx gy gz`` [rad/s]; other columns are ignored.

    Rows that are not finite are dropped and so become a gap; exact repeats are dropped; wrong units are warned about.
    Raises `RecordingError` with one sentence for what cannot be used.
    """
    header = read_header(path)
    time = _time_column(header, start_utc_ns)
    columns, warnings = read_columns(header, [time, *ACC, *GYR])
    acc, gyr = (np.column_stack([as_float(path, c, columns.pop(c)) for c in group]) for group in (ACC, GYR))
    if not len(acc):
        raise RecordingError(f"{path}: 0 rows; the file names its columns and holds no samples")
    t, timed, zero = _times(path, time, columns[time], start_utc_ns)
    ok = usable_rows(acc, gyr)
    dropped = {"no_time": int((~timed).sum()), "not_finite": int((timed & ~ok).sum())}
    keep = np.flatnonzero(timed & ok)
    if len(keep) < 2:
        raise RecordingError(
            f"{path}: {len(keep)} usable of {len(t)} rows (with a time, and values that are finite and not all zero); "
            "at least 2 samples are needed"
        )
    t, acc, gyr = _rows(keep, t, acc, gyr)
    try:
        check_times(t, keep + 1, time)
        again = repeated_rows(t, acc, gyr, keep + 1, time)
        dropped["repeated"] = int(again.sum())
        t, acc, gyr = _rows(np.flatnonzero(~again), t, acc, gyr)
        if len(t) < 2:
            raise ValueError("all rows are the same sample; at least 2 samples are needed")
        wild = leaping_rows(t, gyr, rate_of(t))
        dropped["leaping"] = int(wild.sum())
        t, acc, gyr = _rows(np.flatnonzero(~wild), t, acc, gyr)
        even = even_times(t)
        stamped, t = (None, t) if even is None else (t, even)
        rate_hz = rate_of(t)
        warnings += [f"{path}: {w}" for w in [*check_rate(rate_hz, time), *unit_warnings(acc, gyr, rate_hz)]]
    except ValueError as e:
        raise RecordingError(f"{path}: {e}") from None
    if stamped is not None:
        off_ms = float(np.percentile(np.abs(stamped - t), 95)) / 1e6
        warnings.append(
            f"{path}: the times wander by {off_ms:.2g} ms about an even {rate_hz:.4g} samples a second; samples are taken "
            "as even, and keep the file's times in the results"
        )
    warnings += [f"{path}: {text.format(n=dropped[key])}" for key, text in _DROPPED.items() if dropped[key]]
    return Recording(
        t_utc_ns=t,
        acc_mps2=acc,
        gyr_rps=gyr,
        rate_hz=rate_hz,
        zero_utc_ns=int(t[0]) if zero is None else zero,
        dated=start_utc_ns is not None or int(t[0]) > 365 * 86_400 * NS_PER_S,
        name=path.name,
        sha256=sha256_of(path),
        dropped=dropped,
        warnings=tuple(warnings),
        stamped_ns=stamped,
    )


_DROPPED: Final = {
    "no_time": "{n} rows have no time and are left out",
    "not_finite": "{n} rows hold NaN, inf or impossible values and are treated as missing samples",
    "leaping": "{n} rows turn faster for one sample than a body can; they are treated as missing samples",
    "repeated": "{n} rows repeat the row before them and are left out",
}


def _rows(keep: I64, t: I64, acc: F64, gyr: F64) -> tuple[I64, F64, F64]:
    # A day is 480 MB: copied only where a row really goes.
    return (t, acc, gyr) if len(keep) == len(t) else (t[keep], acc[keep], gyr[keep])


def _time_column(header: Header, start_utc_ns: int | None) -> str:
    names = set(header.columns)
    times = names & {"t_s", "t_utc_ns"}
    missing = [c for c in (*ACC, *GYR) if c not in names]
    if not times:
        missing.insert(0, "t_s (or t_utc_ns)")
    if missing:
        close = {
            c: found[0]
            for c in missing
            if (
                found := difflib.get_close_matches(
                    c.split()[0], set(header.columns) - {"t_s", "t_utc_ns", *ACC, *GYR}, 1
                )
            )
        }
        hint = "".join(f"; {c} may be '{found}'" for c, found in close.items())
        raise RecordingError(
            f"{header.path}: missing column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
            f"found: {', '.join(header.columns[:20]) or 'none'}{', ...' * (len(header.columns) > 20)}{hint}; "
            "rename the columns or let `tiltline import` guess them"
        )
    if start_utc_ns is not None and "t_s" not in times:
        raise RecordingError(f"{header.path}: holds UTC times of its own (t_utc_ns); leave out --start")
    return "t_s" if start_utc_ns is not None or "t_utc_ns" not in times else "t_utc_ns"


def _times(path: Path, name: str, column: object, start_utc_ns: int | None) -> tuple[I64, Bool, int | None]:
    """UTC nanoseconds (n,), which rows have a time (n,), and the UTC time of t_s = 0 (None for UTC columns)."""
    if name == "t_utc_ns":
        t, mark = as_utc_ns(path, name, column)
        return t, ~np.isnan(mark), None
    seconds = as_float(path, name, column)
    timed = np.isfinite(seconds)
    if timed.any() and np.abs(seconds[timed]).max() > 9e9:
        raise RecordingError(
            f"{path}: t_s reaches {np.abs(seconds[timed]).max():.4g} s, centuries away; "
            "it looks like milliseconds or finer: convert it with `tiltline import --time-unit ms`"
        )
    start = start_utc_ns or 0
    return np.rint(np.where(timed, seconds, 0.0) * NS_PER_S).astype(np.int64) + start, timed, start
