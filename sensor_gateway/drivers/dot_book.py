"""Which packets of a Movella DOT's recordings came, and the samples in them, each with its date.

Part of `movella_dot`, which reads the journal with it; `tiltline recordings` asks it what is held and what is still wanted, so
the two cannot differ. A recording is known by its start, UTC in seconds as the sensor was told; a packet is one sample with
its number and the sensor's microseconds. Dated is from that start on, by the microseconds since the first sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from processing.types import NS_PER_S
from sensor_gateway.drivers.dot_message import Message
from sensor_gateway.drivers.dot_recording import (
    DAMAGED,
    DATA,
    DATA_DONE,
    FILE,
    SAMPLE,
    TIME,
    TIME_DATA,
    U32,
    Head,
    number_of,
)

EARLIEST_UTC_S: Final = 1_577_836_800
"""2020: before that no DOT was told the true time."""
_MOST: Final = 64
_WRAP_US: Final = 1 << 32


def datable(start_utc_s: int, now_utc_ns: int) -> bool:
    """Whether a recording's start may be true: neither of an unset clock nor in the future."""
    return EARLIEST_UTC_S <= start_utc_s <= now_utc_ns // NS_PER_S + 1


@dataclass(slots=True)
class Held:
    """What came of one recording: ``next`` is the number of the packet that is wanted next, ``span_us`` from its first sample
    to its last, ``damaged`` the packets that the sensor could not read itself. ``ours``: this gateway began it.
    """

    ours: int = 0
    next: int = 0
    complete: int = 0
    damaged: int = 0
    first_us: int = -1
    span_us: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """A packet's sample: time [UTC ns], acceleration [m/s²] and rate [deg/s] in the sensor's axes."""

    t_utc_ns: int
    acc_mps2: tuple[float, ...]
    gyr_dps: tuple[float, ...]


class Book:
    """The recordings that came, by their start; at most `_MOST`, the first to come go. Messages in the order of the journal."""

    def __init__(self) -> None:
        self.held: dict[int, Held] = {}
        self._open = -1  # start of the recording whose packets come

    def told(self, told: Message) -> Sample | str | None:
        """A message of the sensor: its sample, why it has none, or None where it brings nothing."""
        if told.kind == TIME:
            # Journaled where the gateway has just begun the recording.
            if len(told.data) >= TIME_DATA.size:
                self._entry(TIME_DATA.unpack_from(told.data)[0]).ours = 1
        elif told.kind == FILE:
            try:
                head = Head.of(told.data)
            except ValueError as e:
                return str(e)
            self._open = head.start_utc_s
            if self._open < EARLIEST_UTC_S:
                return "a recording of a time before the sensor was told the time"
            self._entry(self._open)
        elif told.kind in (DATA, DAMAGED):
            return self._packet(told)
        elif told.kind == DATA_DONE and self._open in self.held:
            self.held[self._open].complete = 1
        return None

    def _packet(self, told: Message) -> Sample | str | None:
        held = self.held.get(self._open)
        if held is None:
            return "a packet of a recording of which nothing tells when it was"
        number = number_of(told)
        if number is None:
            return f"{len(told.data)} bytes are no packet of a recording"
        if number < held.next:
            return None  # it came before
        if number > held.next:
            return f"packet {number} of a recording came before {held.next}"
        held.next += 1
        if told.kind == DAMAGED:
            held.damaged += 1
            return "the sensor could not read a sample of its recording"
        t_us, *values = SAMPLE.layout.unpack_from(told.data, U32.size)
        if held.first_us < 0:
            held.first_us = t_us
        step = (t_us - held.first_us - held.span_us) % _WRAP_US
        if step >= _WRAP_US // 2:
            return "a sample of a recording is older than the one before"
        held.span_us += step
        return Sample(self._open * NS_PER_S + held.span_us * 1000, tuple(values[:3]), tuple(values[3:]))

    def _entry(self, start_utc_s: int) -> Held:
        if start_utc_s not in self.held:
            self.held[start_utc_s] = Held()
            if len(self.held) > _MOST:
                del self.held[next(iter(self.held))]
        return self.held[start_utc_s]

    def snapshot(self) -> dict[str, int]:
        """Everything as plain numbers; empty where nothing came."""
        out = {"rec_open": self._open} if self.held else {}
        for begun, held in self.held.items():
            out |= {f"rec_{begun}_{name}": getattr(held, name) for name in Held.__slots__}
        return out

    def restore(self, state: dict[str, int]) -> None:
        """Take `snapshot`'s numbers back, from among others."""
        self.held, self._open = {}, state.get("rec_open", -1)
        for key, number in state.items():
            part = key.split("_", 2)
            if part[0] == "rec" and len(part) == 3:
                setattr(self.held.setdefault(int(part[1]), Held()), part[2], number)
