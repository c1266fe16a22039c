"""The memory of a virtual Movella DOT, as the vendor's specification has it: record, directory, export, retransmit, erase.

Written from the specification's tables by themselves, not from the gateway's module, so that a slip in one shows in the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from struct import pack, unpack

SUCCESS, INVALID, IDLE, ERASING, RECORDING, EXPORTING = 0, 2, 6, 0x30, 0x40, 0x70
HEADER, SECTOR = 4096, 228 * 1024


def framed(kind: int, data: bytes = b"") -> bytes:
    body = bytes([1, 1 + len(data), kind]) + data
    return body + bytes([-sum(body) % 256])


def sample(number: int) -> tuple[float, ...]:
    """Acceleration and rate of a sample: standing still and upright, its number in the rate about x and y."""
    return (0.3 * math.sin(number / 40), 0.1, 9.8, float(number % 1000), float(number // 1000), 0.0)


@dataclass
class File:
    start_utc: int
    timer_s: int
    rate_hz: float
    first_us: int
    samples: int = 0
    invalid: set[int] = field(default_factory=set)

    @property
    def size(self) -> int:
        return HEADER + SECTOR * max(1, -(-self.samples * 47 // SECTOR))

    def packet(self, number: int) -> bytes:
        t_us = (self.first_us + round(number * 1e6 / self.rate_hz)) % 2**32
        body = pack("<II6f", number, t_us, *sample(number))
        return framed(0x76 if number in self.invalid else 0x71, body)


class DotMemory:
    """``command`` takes a control message at a time of the world and gives what is notified at once; ``ack`` is what can be read
    then. ``packets`` gives the next of a running export. ``clock_us``: the sensor's clock, from switching on.
    """

    def __init__(self, size: int = 16 << 20) -> None:
        self.size = size
        self.files: list[File] = []
        self.state = IDLE
        self.ack = b""
        self.rate_hz = 60.0
        self.valid = True
        self.used_up = False  # whatever its directory tells
        self.selected = bytes([0, 4, 7, 8])
        self.asked: list[tuple[int, bytes]] = []
        self.lost: set[int] = set()  # packets that go astray the first time
        self.damaged: set[int] = set()  # and such that arrive with a wrong sum
        self.ends_at = 10**9  # packet before which it falls silent
        self.knows_retransmit = True
        self.ack_is_stale = 0  # readings that still give the acknowledgement before
        self.erase_s = 0.3
        self.sent = 0  # packets
        self._begun_s = self._erased_s = 0.0
        self._file: File | None = None
        self._next = 0

    @property
    def used(self) -> int:
        return sum(f.size for f in self.files)

    def pass_by(self, now_s: float) -> list[bytes]:
        """What happens by itself until now."""
        if self.state == ERASING and now_s >= self._erased_s:
            self.state, self.files, self.valid = IDLE, [], True
            return [framed(0x33)]
        if self.state != RECORDING:
            return []
        file, passed_s = self.files[-1], now_s - self._begun_s
        over = file.timer_s != 0xFFFF and passed_s >= file.timer_s
        file.samples = int(min(passed_s, file.timer_s if over else passed_s) * file.rate_hz) + 1
        if over or self.used > 0.9 * self.size:
            self.state = IDLE
            return [framed(0x41)]
        return []

    def command(self, raw: bytes, now_s: float, clock_us: int) -> list[bytes]:
        out = self.pass_by(now_s)
        assert sum(raw) % 256 == 0
        assert raw[0] == 1
        assert raw[1] == len(raw) - 3
        kind, data = raw[2], raw[3:-1]
        self.asked.append((kind, data))
        result, told = self._do(kind, data, now_s, clock_us)
        self.ack = framed(0x01, bytes([result, kind]) + data)
        return out + told

    def _do(self, kind: int, data: bytes, now_s: float, clock_us: int) -> tuple[int, list[bytes]]:
        idle = self.state == IDLE
        if kind == 0x02:
            return self.state, []
        if kind == 0x41 and self.state == RECORDING:
            self.state = IDLE
            return SUCCESS, [framed(0x41)]
        if kind == 0x42 and self.state == RECORDING:
            file = self.files[-1]
            left = 0xFFFF if file.timer_s == 0xFFFF else round(file.timer_s - (now_s - self._begun_s))
            return SUCCESS, [framed(0x43, pack("<IHH", file.start_utc, file.timer_s, left))]
        if kind == 0x73 and self.state == EXPORTING:
            self.state = IDLE
            return SUCCESS, [framed(0x73)]
        if kind == 0x75 and self.state == EXPORTING and self.knows_retransmit:
            (self._next,) = unpack("<I", data)
            return SUCCESS, []
        if not idle:
            return self.state, []
        if kind == 0x30:
            self.state, self._erased_s = ERASING, now_s + self.erase_s
            return ERASING, []
        if kind == 0x40:
            if not self.valid or self.used_up or self.used >= 0.9 * self.size:
                return SUCCESS, [framed(0x34)]
            start, timer = unpack("<IH", data)
            self.files.append(File(start, timer, self.rate_hz, clock_us % 2**32))
            self.state, self._begun_s = RECORDING, now_s
            return SUCCESS, []
        if kind == 0x50:
            return SUCCESS, [*self._directory(), framed(0x52)] if self.valid else [framed(0x35)]
        if kind == 0x60:
            return SUCCESS, self._head(data[0])
        if kind == 0x74:
            self.selected = data
            return SUCCESS, []
        if kind == 0x70:
            if not 1 <= data[0] <= len(self.files):
                return SUCCESS, [framed(0x63)]
            assert self.selected == bytes([0, 7, 8])
            self._file, self._next, self.state = self.files[data[0] - 1], 0, EXPORTING
            return SUCCESS, []
        return INVALID, []

    def _directory(self) -> list[bytes]:
        head = pack("<IIHIII", 0x466C6173, 128, 0x0200, 1_700_000_000, self.size, 128)
        marks = b"".join(b"\xee" + b"\xcc" * ((f.size - HEADER) // SECTOR) for f in self.files)
        parts = [marks[i : i + 128].ljust(128, b"\xff") for i in range(0, len(marks), 128)]
        return [framed(0x51, head.ljust(128, b"\0")), *(framed(0x51, part) for part in parts)]

    def _head(self, number: int) -> list[bytes]:
        if not 1 <= number <= len(self.files):
            return [framed(0x63)]
        file = self.files[number - 1]
        told = pack("<IIHIH", 0x5265636F, 128, 0x0100, file.start_utc, file.timer_s).ljust(128, b"\0")
        return [framed(0x61, told), framed(0x62)]

    def packets(self, most: int) -> list[bytes]:
        """The next ``most`` packets of a running export, and its end."""
        out: list[bytes] = []
        while self.state == EXPORTING and self._file is not None and len(out) < most and self._next < self.ends_at:
            number, self._next = self._next, self._next + 1
            if number >= self._file.samples:
                self.state = IDLE
                out.append(framed(0x72))
            elif number in self.lost:
                self.lost.discard(number)
            elif number in self.damaged:
                self.damaged.discard(number)
                raw = bytearray(self._file.packet(number))
                raw[12] ^= 0x40
                out.append(bytes(raw))
            else:
                out.append(self._file.packet(number))
            self.sent += 1
        return out
