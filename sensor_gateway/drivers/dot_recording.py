"""Recordings on a Movella DOT's own memory: what is asked, what is answered, and how one comes whole over the air.

Pure, without radio or clock: `radio.recorder` writes the messages that are built here and hands back what comes. What the
journaled packets hold says `dot_book`. Source: vendor's BLE service specification, revision C (2023), section 5.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from sensor_gateway.drivers.dot_message import RECORDING, Message, decode
from sensor_gateway.drivers.dot_payload import PAYLOADS, dot_uuid

CONTROL_UUID: Final = dot_uuid(0x7001)
ACK_UUID: Final = dot_uuid(0x7002)
MESSAGE_UUID: Final = dot_uuid(0x7003)

GET_STATE, ACK, BUSY = 0x02, 0x01, 0x03
ERASE, UNKNOWN_FORMAT = 0x30, 0x35
START, STOP, ASK_TIME, TIME = 0x40, 0x41, 0x42, 0x43
ASK_FLASH, FLASH, FLASH_DONE = 0x50, 0x51, 0x52
ASK_FILE, FILE, FILE_DONE, NO_FILE = 0x60, 0x61, 0x62, 0x63
ASK_DATA, DATA, DATA_DONE, DATA_STOP = 0x70, 0x71, 0x72, 0x73
SELECT, RETRANSMIT, DAMAGED = 0x74, 0x75, 0x76

SUCCESS, IDLE, ERASING, ON_RECORDING, ON_EXPORT = 0x00, 0x06, 0x30, 0x40, 0x70
STATES: Final = {
    0x02: "it does not know this command now",
    BUSY: "its memory is busy",
    IDLE: "idle",
    ERASING: "erasing its memory",
    ON_RECORDING: "recording",
    0x50: "sending its directory",
    0x60: "sending a recording's head",
    ON_EXPORT: "sending a recording",
}
"""Results of an acknowledgement, in words."""
NO_TIMER: Final = 0xFFFF
LONGEST_S: Final = NO_TIMER - 1
FULL_AT: Final = 0.9
"""Share of the memory at which the sensor stops recording by itself."""
BYTES_PER_SAMPLE: Final = 47.0
"""Memory that a sample takes, from the document's figures: 88 minutes at 60 Hz are 90 % of 16 MiB. For estimates only."""

_HEAD_BYTES: Final = 4 * 1024
_SECTOR_BYTES: Final = 228 * 1024
_FLASH_MAGIC, _FILE_MAGIC = 0x466C6173, 0x5265636F
_FLASH: Final = Struct("<IIHII")  # magic, bytes of the head, revision, initialised [UTC s], bytes of the memory
_FILE: Final = Struct("<IIHIH")  # magic, bytes of the head, revision, start [UTC s], timer [s]
_START: Final = Struct("<IH")
TIME_DATA: Final = Struct("<IHH")
U32: Final = Struct("<I")
_SELECTED: Final = bytes([0x00, 0x07, 0x08])  # time stamp, acceleration, angular rate: the fields of payload 21
SAMPLE: Final = PAYLOADS[21]


def message(kind: int, data: bytes = b"") -> Message:
    """A message to the recording service."""
    return Message(RECORDING, kind, data)


def start(utc_s: int, seconds: int = NO_TIMER) -> Message:
    """Begin a recording that ends after ``seconds``, or never by itself. ``utc_s``: what the sensor shall take for now."""
    return message(START, _START.pack(utc_s, seconds))


def erase(utc_s: int) -> Message:
    """Clear all recordings."""
    return message(ERASE, U32.pack(utc_s))


def result_of(raw: bytes, asked: Message) -> int | None:
    """The result in an acknowledgement as it was read; None where it answers another message than ``asked``.

    Raises ValueError where its bytes are no message.
    """
    told = decode(raw)
    if (told.mid, told.kind) != (RECORDING, ACK) or told.data[1:2] != bytes([asked.kind]):
        return None
    return told.data[0]


def time_of(data: bytes) -> tuple[int, int | None, int | None]:
    """Of a running recording: start [UTC s], timer [s] and what is left of it; None without a timer. Raises ValueError."""
    if len(data) < TIME_DATA.size:
        raise ValueError(f"{len(data)} bytes tell no recording time")
    begun, timer, left = TIME_DATA.unpack_from(data)
    return (begun, None, None) if timer == NO_TIMER else (begun, timer, left)


@dataclass(slots=True)
class Directory:
    """The memory's directory, message by message: its size, and the rough size of each recording [bytes], oldest first."""

    size_bytes: int = 0
    known: bool = False  # without a head the memory is of another format, or new
    sizes: list[int] = field(default_factory=list)

    def told(self, data: bytes) -> None:
        """Take a message of kind `FLASH`: the head, or a byte for each part of the memory."""
        if len(data) >= _FLASH.size and U32.unpack_from(data)[0] == _FLASH_MAGIC:
            self.size_bytes, self.known = _FLASH.unpack_from(data)[4], True
            return
        for part in data:
            if part == 0xEE:
                self.sizes.append(_HEAD_BYTES)
            elif part == 0xCC and self.sizes:
                self.sizes[-1] += _SECTOR_BYTES

    @property
    def used_bytes(self) -> int:
        """Of all recordings."""
        return sum(self.sizes)

    @property
    def is_full(self) -> bool:
        """Whether the sensor would refuse to record."""
        return self.known and self.used_bytes >= FULL_AT * self.size_bytes


@dataclass(frozen=True, slots=True)
class Head:
    """What the sensor tells of a recording: start [UTC s], timer [s] or None."""

    start_utc_s: int
    timer_s: int | None

    @classmethod
    def of(cls, data: bytes) -> Head:
        """From a message of kind `FILE`; raises ValueError."""
        if len(data) < _FILE.size or U32.unpack_from(data)[0] != _FILE_MAGIC:
            raise ValueError(f"{len(data)} bytes are no head of a recording: {data[:8].hex()}")
        begun, timer = _FILE.unpack_from(data)[3:5]
        return cls(begun, None if timer == NO_TIMER else timer)


def number_of(told: Message) -> int | None:
    """A packet's number; None where the message is no packet of the data that were selected."""
    if told.kind not in (DATA, DAMAGED) or len(told.data) < U32.size:
        return None
    if told.kind == DATA and len(told.data) != U32.size + SAMPLE.layout.size:
        return None
    return int(U32.unpack_from(told.data)[0])


class Export:
    """One recording on its way over the air: packets are kept in their order, and what is missing is asked for again.

    ``held``: the first number that is wanted. The sensor begins at 0 and is told to go on from there; should it not know that
    message, the packets before are passed over.
    """

    def __init__(self, file: int, held: int = 0) -> None:
        self.done = False
        self.error = ""
        self.next = held
        self.asked_again = 0  # times
        self._file = file
        self._lacks = self._asked = False  # the wanted packet was lost; and was asked for since

    def begin(self) -> list[Message]:
        """What to write, one after the other, each acknowledged."""
        asked = [message(SELECT, _SELECTED), message(ASK_DATA, bytes([self._file]))]
        return [*asked, *self._again()] if self.next else asked

    def silent(self, state: int) -> list[Message]:
        """What to write where nothing comes any more, by what the sensor is doing."""
        return self._again() if state == ON_EXPORT else self.begin()

    def told(self, raw: bytes) -> tuple[bool, list[Message]]:
        """Take a notification: whether it is to be kept, and what to write now."""
        try:
            told = decode(raw)
        except ValueError:
            return False, self._lost()
        number = number_of(told)
        if told.kind in _ENDS:
            self.error = _ENDS[told.kind]
        elif told.kind == DATA_DONE and self._lacks:
            self._lacks = self._asked = False
            self.asked_again += 1
            return False, self.begin()
        elif told.kind == DATA_DONE:
            self.done = True
            return True, []
        elif number is not None and number > self.next:
            return False, self._lost()
        elif number == self.next:
            self.next, self._lacks, self._asked = self.next + 1, False, False
            return True, []
        return False, []

    def _lost(self) -> list[Message]:
        self._lacks = True
        return [] if self._asked else self._again()

    def _again(self) -> list[Message]:
        self._asked = True
        self.asked_again += 1
        return [message(RETRANSMIT, U32.pack(self.next))]


_ENDS: Final = {
    NO_FILE: "the sensor has no such recording any more",
    DATA_STOP: "the sensor stopped sending",
    UNKNOWN_FORMAT: "the memory's format is not that of the sensor's firmware; --erase --force makes it anew",
}
