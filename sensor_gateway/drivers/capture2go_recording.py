"""A Capture2Go's recording on its own flash beside the live stream: kept going, and read where live samples are missing.

Part of `capture2go`, whose session copy asks `fetch` what to write (`base.Fetches`). A recording outlives a lost connection; it is a
file of the same frames as are sent, so the place of an instant in it follows from the rate. Files are our own, named after the
sensor's time at their start; others are neither read nor ended nor deleted. One question is under way at a time. Nothing here
changes what is decoded, so it is no part of a snapshot; after a restart the journal's last payloads tell what is missing.

Source: the vendor's protocol document, "Offline Measurement": recording beside real-time streaming, and reading while recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

from processing.types import NS_PER_S
from sensor_gateway.drivers.backfill import ANSWER_NS, HOLES, without
from sensor_gateway.drivers.base import Step
from sensor_gateway.drivers.capture2go_frame import FRAME_BYTES, encode

SET_CONFIG, GET_CONFIG, CONFIG = 0x0140, 0x0141, 0x0142
START_RECORDING, STOP_RECORDING = 0x0154, 0x0156
GET_STATUS, STATUS = 0x0200, 0x0201
LIST_FILES, FILE_COUNT, FILE = 0x0500, 0x0501, 0x0502
GET_BYTES, BYTES = 0x0503, 0x0504
GET_SIZE, SIZE = 0x0507, 0x0508
DELETE_FILE, DELETED = 0x0509, 0x050A
RECORDING: Final = 3  # a status' state
NOT_FOUND, TOO_SHORT, MEMORY_FULL = 0xF0, 0xF4, 0xF6

PREFIX: Final = "tiltline-"
PORTION: Final = 24_000  # bytes asked for at once: fifteen seconds of 100 Hz, carried in about one
SLACK_NS: Final = NS_PER_S // 5  # the real-time channel leaves samples out; a shorter hole is not worth a question
ROLL_NS: Final = 6 * 3600 * NS_PER_S
"""A file gets no longer than this, since only whole files can be deleted."""

_CONFIG: Final = Struct("<qB65s")
_FILE: Final = Struct("<H65sI")
_RANGE: Final = Struct("<65sII")
_SIZE: Final = Struct("<65sI")
_COUNT: Final = Struct("<H")
_SETTLED_NS: Final = 3 * NS_PER_S  # what was measured has reached the file by then
_PAUSE_NS: Final = 600 * NS_PER_S  # until recording is tried again after a refusal
_MARGIN: Final = 8_000  # bytes before the place that is reckoned; the file begins a little after its name's time
_SKIP_NS: Final = 10 * NS_PER_S  # a hole that is further on in the file is gone to, not read up to
_TRIES: Final = 5  # questions in a row without an answer
_NAME_BYTES: Final = 65
_FILES: Final = 1000


@dataclass(slots=True)
class _Read:
    """Where in which file we are, for a hole from ``lo``. ``at_ns``: up to where it was read without a break, None before
    the first frame; ``far``: that frame came after ``lo`` already, the place was reckoned wrongly.
    """

    file: int
    lo: int
    margin: int
    began: int
    pos: int
    end: int
    at_ns: int | None = None
    far: bool = False
    tries: int = 0
    knows_size: bool = False


class Recording:
    """The recordings of one sensor, as far as they matter to its live stream; times are the sensor's [ns]."""

    def __init__(self, package_ns: int, package_bytes: int) -> None:
        self.holes: list[tuple[int, int]] = []
        self._bytes_per_ns = (FRAME_BYTES + package_bytes) / package_ns
        self._sliver_ns = package_ns // 4  # two samples
        self._next: int | None = None
        self.connection_lost()

    def connection_lost(self) -> None:
        """Nothing is known of the sensor's state any more; what is missing stays known."""
        self._state: int | None = None
        self._files: list[int] | None = None  # starts of our files, oldest first
        self._sizes: dict[int, int] = {}
        self._current: int | None = None
        self._asked_current = self._streams = False
        self._to_list = 0
        self._awaited, self._asked_ns = 0, 0
        self._retry_ns = 0
        self._read: _Read | None = None

    @property
    def ours(self) -> bool:
        """Whether the sensor is recording into a file of ours."""
        return self._state == RECORDING and self._current is not None

    def live(self, first_ns: int, end_ns: int) -> None:
        """Samples from ``first_ns`` up to ``end_ns`` came as they were measured."""
        self._streams = True
        if self._next is not None and first_ns - self._next > SLACK_NS:
            self.holes = [*self.holes, (self._next, first_ns)][-HOLES:]
        self._next = max(self._next or 0, end_ns)

    def late(self, first_ns: int, end_ns: int) -> None:
        """A frame of a recording came. What lies between two neighbours in a file is nowhere."""
        lo, read = first_ns, self._read
        if read is not None:
            if read.at_ns is not None:
                lo = min(lo, read.at_ns)
            elif first_ns > read.lo:
                read.far = read.began > 0
                lo = first_ns if read.far else read.lo
            read.at_ns = end_ns
        self._fill(lo, end_ns)

    def _fill(self, lo: int, hi: int) -> None:
        self.holes = [(a, b) for a, b in without(self.holes, lo, hi) if b - a > self._sliver_ns][-HOLES:]

    def status(self, state: int) -> None:
        """What the sensor is doing, as it tells now and then."""
        self._state = state
        self._got(STATUS)

    def told(self, header: int, payload: bytes, rx_mono_ns: int) -> None:
        """An answer that concerns recordings; others are passed over."""
        if header == CONFIG and len(payload) == _CONFIG.size:
            self._asked_current = True
            self._current = _start_of(_CONFIG.unpack(payload)[2])
        elif header == FILE_COUNT and len(payload) == _COUNT.size:
            (self._to_list,) = _COUNT.unpack(payload)
            self._files, self._sizes = [], {}
            header = FILE if self._to_list == 0 else header
        elif header == FILE and len(payload) == _FILE.size and self._files is not None:
            _, name, size = _FILE.unpack(payload)
            start = _start_of(name)
            if start is not None and start not in self._files and len(self._files) < _FILES:
                self._files = sorted([*self._files, start])
                self._sizes[start] = size
            self._to_list -= 1
            if self._to_list > 0:
                self._asked_ns = rx_mono_ns
                return
        elif header == SIZE and len(payload) == _SIZE.size:
            name, size = _SIZE.unpack(payload)
            start = _start_of(name)
            if start is not None and start in (self._files or ()):
                self._sizes[start] = size
        elif header == DELETED:
            self._forget(_start_of(payload))
            self._retry_ns = 0  # there is room again
        elif header == START_RECORDING + 1:
            self._state = RECORDING
            if self._current is not None and self._files is not None and self._current not in self._files:
                self._files = sorted([*self._files, self._current])
        elif header == STOP_RECORDING + 1:
            self._state = None
        self._got(header)

    def bytes_came(self, offset: int, n: int, rx_mono_ns: int) -> None:
        """A piece of the file that is being read."""
        read = self._read
        if read is None or offset != read.pos:
            return
        self._asked_ns = rx_mono_ns
        read.pos, read.tries = read.pos + n, 0
        if read.pos >= read.end:
            self._got(BYTES)

    def refused(self, code: int, command: int, rx_mono_ns: int) -> str:
        """The sensor could not do something; what a person should know of it, empty where nothing."""
        if command in (START_RECORDING, SET_CONFIG):
            self._state, self._retry_ns, self._awaited = None, rx_mono_ns + _PAUSE_NS, 0
        elif command in (GET_SIZE, GET_BYTES) and self._read is not None and code in (NOT_FOUND, TOO_SHORT):
            self._sizes[self._read.file], self._awaited = 0, 0
            if code == NOT_FOUND:
                self._forget(self._read.file)
        elif command == DELETE_FILE and self._files:
            self._awaited = 0
            self._forget(self._files[0])  # gone already, or not to be deleted: not asked for again in this connection
        if code == MEMORY_FULL:
            self._state, self._retry_ns = None, rx_mono_ns + _PAUSE_NS
            return "the sensor's memory is full: what is missed out of range is lost until a recording is deleted"
        return ""

    def fetch(self, now_mono_ns: int, uuid: str) -> Sequence[Step]:
        """What to write now: see to it that it records, then read what is missing, then clear away what is read."""
        if not self._streams or (self._awaited and now_mono_ns - self._asked_ns < ANSWER_NS):
            return ()
        self._awaited = 0
        self._asked_ns = now_mono_ns
        return tuple(Step(uuid, frame) for frame in self._commands(now_mono_ns))

    def _commands(self, now_mono_ns: int) -> list[bytes]:
        if self._state is None:
            return self._ask(STATUS, encode(GET_STATUS))
        if self._state == RECORDING and not self._asked_current:
            return self._ask(CONFIG, encode(GET_CONFIG))
        if self._files is None:
            return self._ask(FILE, encode(LIST_FILES))
        if self._next is None:
            return []
        if self._state != RECORDING and now_mono_ns >= self._retry_ns:
            self._asked_current, self._current = True, self._next
            config = _CONFIG.pack(0, 0, _name(self._next))
            return self._ask(START_RECORDING + 1, encode(SET_CONFIG, config), encode(START_RECORDING))
        for lo, hi in self.holes:
            if hi <= self._next - _SETTLED_NS:
                return self._read_on(lo, hi, self._files)
        return self._tidy(self._next, self._files)

    def _ask(self, awaited: int, *frames: bytes) -> list[bytes]:
        self._awaited = awaited
        return list(frames)

    def _got(self, header: int) -> None:
        if header == self._awaited:
            self._awaited = 0

    def _read_on(self, lo: int, hi: int, files: list[int]) -> list[bytes]:
        """The next question about a hole; nothing where it has just been given up."""
        file = max((s for s in files if s <= lo), default=min((s for s in files if s < hi), default=None))
        if file is None:
            self._fill(lo, hi)
            return []
        read = self._read
        if read is None or read.file != file or read.far or not 0 <= lo - (read.at_ns or read.lo) <= _SKIP_NS:
            margin = 8 * read.margin if read is not None and read.far else _MARGIN
            began = max(0, round((lo - file) * self._bytes_per_ns) - margin)
            self._read = read = _Read(file, lo, margin, began, began, began)
        size = self._sizes.get(file, 0)
        if read.pos >= size or read.tries > _TRIES:
            if read.knows_size or read.tries > _TRIES:  # the file ends here
                self._fill(lo, min([hi, *(s for s in files if s > lo)]))
                self._read = None
                return []
            read.knows_size = True
            return self._ask(SIZE, encode(GET_SIZE, _name(file).ljust(_NAME_BYTES, b"\0")))
        wanted = round((hi - (read.at_ns or lo)) * self._bytes_per_ns) + (
            _MARGIN if read.at_ns else read.margin + _MARGIN
        )
        read.end = min(read.pos + min(wanted, PORTION), size)
        read.knows_size, read.tries = False, read.tries + 1
        return self._ask(BYTES, encode(GET_BYTES, _RANGE.pack(_name(file), read.pos, read.end)))

    def _tidy(self, now_ns: int, files: list[int]) -> list[bytes]:
        """Delete what nobody needs any more, and begin a new file where the current one has become long."""
        done = [s for s in files if not (self.ours and s == self._current)]
        for start in done:
            end = min((s for s in files if s > start), default=now_ns)
            if not any(a < end and b > start for a, b in self.holes):
                return self._ask(DELETED, encode(DELETE_FILE, _name(start).ljust(_NAME_BYTES, b"\0")))
        if self.ours and self._current is not None and now_ns - self._current > ROLL_NS and not self.holes:
            return self._ask(STOP_RECORDING + 1, encode(STOP_RECORDING))
        return []

    def _forget(self, start: int | None) -> None:
        if self._files is not None:
            self._files = [s for s in self._files if s != start]


def _name(start_ns: int) -> bytes:
    return f"{PREFIX}{start_ns}".encode()


def _start_of(name: bytes) -> int | None:
    """The start that a file of ours is named after; None for another's."""
    text = name.rstrip(b"\0").decode("ascii", "replace")
    digits = text.removeprefix(PREFIX)
    return int(digits) if digits != text and digits.isascii() and digits.isdigit() else None
