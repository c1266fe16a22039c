"""Entries of a MetaMotion's on-board log, and the samples they hold.

Used by `metamotion_recording`, for what the sensor kept while nobody listened. A message ``0B 07`` carries one or two
entries of 9 bytes: logger and reset count u8, tick u32, value u32. A tick is 48/32768 s. A sample of three axes is two
entries: x and y from one logger, z from the next, with ticks that may differ by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

TICK_NS: Final = 1_464_843.75  # 48 / 32768 s
LOG_DATA: Final = bytes([0x0B, 0x07])

_ENTRY: Final = Struct("<BII")
_HALVES: Final = Struct("<II")
_AXES: Final = Struct("<hhh")
_Z_LATER_TICKS: Final = 2
_NOTHING: Final = -1


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


class Halves:
    """Puts the two entries of a sample together; a half without its partner is given up. Loggers: xy, then z."""

    def __init__(self, loggers: Sequence[int]) -> None:
        self._xy, self._z = loggers
        self._tick = self._value = _NOTHING

    def add(self, entry: LogEntry) -> tuple[int, tuple[int, int, int]] | None:
        """Take an entry of the one restart that is read; a whole sample's tick and raw axes. Those of other loggers are passed
        over.
        """
        if entry.logger == self._xy:
            self._tick, self._value = entry.tick, entry.value
        elif entry.logger == self._z and self._tick != _NOTHING:
            tick, value = self._tick, self._value
            self.reset()
            if 0 <= entry.tick - tick <= _Z_LATER_TICKS:
                x, y, z = _AXES.unpack(_HALVES.pack(value, entry.value)[: _AXES.size])
                return tick, (x, y, z)
        return None

    def reset(self) -> None:
        """Forget a first half."""
        self._tick = self._value = _NOTHING

    def snapshot(self, name: str) -> dict[str, int]:
        """Plain numbers under keys that begin with ``name``."""
        return {f"{name}_tick": self._tick, f"{name}_value": self._value}

    def restore(self, name: str, state: dict[str, int]) -> None:
        """Take `snapshot`'s numbers back."""
        self._tick, self._value = state[f"{name}_tick"], state[f"{name}_value"]
