"""Entries of a MetaMotion's on-board log, and the samples they hold.

Beside `metamotion`, for recordings that the sensor kept while nobody listened. A message ``0B 07`` carries one or two
entries of 9 bytes: logger and reset count u8, tick u32, value u32. A tick is 48/32768 s. A sample of three axes is two
entries: x and y from one logger, z from the next, with ticks that may differ by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

import numpy as np

from processing.types import F64, I64

TICK_NS: Final = 1_464_843.75  # 48 / 32768 s
LOG_DATA: Final = bytes([0x0B, 0x07])

_ENTRY: Final = Struct("<BII")
_HALVES: Final = Struct("<II")
_AXES: Final = Struct("<hhh")
_Z_LATER_TICKS: Final = 2


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One value of one logger; ``reset_uid`` counts the sensor's restarts, each of which begins the ticks anew."""

    logger: int
    reset_uid: int
    tick: int
    value: int


def decode_log(payload: bytes) -> list[LogEntry]:
    """A message's entries; raises ValueError where it is none."""
    size = len(payload) - len(LOG_DATA)
    if not payload.startswith(LOG_DATA) or size not in (_ENTRY.size, 2 * _ENTRY.size):
        raise ValueError(f"{len(payload)} bytes; log data is 0b07 and one or two entries of {_ENTRY.size}")
    return [
        LogEntry(head & 0x1F, head >> 5, tick, value)
        for head, tick, value in _ENTRY.iter_unpack(payload[len(LOG_DATA) :])
    ]


def logged_samples(entries: Iterable[LogEntry], loggers: Sequence[int], scale: float) -> tuple[I64, F64]:
    """Times (n,) [ns since the sensor's restart] and values (n, 3) of the sensor that logs into two ``loggers`` (xy, z).

    ``scale`` is one step of a raw value. Halves without their partner are left out. Entries of other loggers are passed
    over; those of one restart only may be given, since times of two do not compare.
    """
    xy_logger, z_logger = loggers
    times: list[int] = []
    rows: list[tuple[int, int, int]] = []
    first: LogEntry | None = None
    for entry in entries:
        if entry.logger == xy_logger:
            first = entry
        elif entry.logger == z_logger and first is not None:
            if 0 <= entry.tick - first.tick <= _Z_LATER_TICKS:
                times.append(round(first.tick * TICK_NS))
                rows.append(_AXES.unpack(_HALVES.pack(first.value, entry.value)[: _AXES.size]))
            first = None
    return np.array(times, np.int64), np.array(rows, np.float64).reshape(-1, 3) * scale
