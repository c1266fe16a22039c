"""The memory of a virtual Capture2Go: files, recording, reading and deleting as the vendor's protocol document has them."""

from __future__ import annotations

from struct import pack, unpack, unpack_from

from sensor_gateway.drivers.capture2go_frame import encode

IDLE, STREAMING, RECORDING = 1, 2, 3
NOT_FOUND, EXISTS, TOO_SHORT, FULL, NO_CONFIG, WRONG_STATE = 0xF0, 0xF3, 0xF4, 0xF6, 0xF9, 0xFB
PIECE = 232
PERIODS_NS = {1: 5_000_000, 2: 10_000_000, 3: 20_000_000, 4: 40_000_000}


def sample(number: int) -> tuple[list[int], list[int]]:
    """Rate and acceleration of the sample with this number: the number's two parts, and gravity."""
    return [number % 1000, number // 1000 % 1000, 0], [0, 0, 2048]


class Flash:
    """Measures from ``start_ns`` of its own clock on, a number for each period; ``command`` gives the answers.

    ``capacity``: bytes of all files. The clock is the caller's; `clock_set` moves what it is called.
    """

    def __init__(self, capacity: int = 1 << 30) -> None:
        self.files: dict[bytes, bytearray] = {}
        self.capacity = capacity
        self.code = 2
        self.filename = b""
        self.recording = self.real_time = False
        self.measured: int | None = None  # number of the next package's first sample
        self.answer_pieces = 10**9  # after so many pieces it falls silent
        self.asked: list[tuple[bytes, int, int]] = []

    @property
    def period_ns(self) -> int:
        return PERIODS_NS[self.code]

    def measure(self, now_ns: int) -> None:
        """Write what was measured until now."""
        while self.recording and self.measured is not None and (self.measured + 8) * self.period_ns <= now_ns:
            first, self.measured = self.measured, self.measured + 8
            rows = [sample(n) for n in range(first, first + 8)]
            gyr, acc = ([v for row in rows for v in row[k]] for k in (0, 1))
            frame = encode(0x0230 + self.code, pack("<q24h24hQhB", first * self.period_ns, *gyr, *acc, 0, 0, 0))
            if sum(map(len, self.files.values())) + len(frame) > self.capacity:
                self.recording = False
                return
            self.files[self.filename] += frame

    def newest(self, now_ns: int) -> bytes:
        """The real-time channel's frame."""
        n = now_ns // self.period_ns
        gyr, acc = sample(n)
        return encode(0x0247, pack("<q9hQhB", n * self.period_ns, *gyr, *acc, 0, 0, 0, 0, 0, 0))

    def status(self, now_ns: int) -> bytes:
        state = RECORDING if self.recording else IDLE
        return encode(0x0201, pack("<qBB3hBBB", now_ns, state, 2, 0, 0, 0, 0, 77, 90))

    def command(self, header: int, payload: bytes, now_ns: int) -> bytes:
        """The frames that answer a command."""
        self.measure(now_ns)
        match header:
            case 0x0120:
                if self.recording:
                    return self._error(WRONG_STATE, header)
                self.code = payload[10]
                return encode(0x0122, payload)
            case 0x0140:
                self.filename = payload[9:].rstrip(b"\0")
                return self._error(EXISTS, header) if self.filename in self.files else encode(0x0142, payload)
            case 0x0141:
                return (
                    encode(0x0142, pack("<qB65s", 0, 0, self.filename))
                    if self.filename
                    else self._error(NO_CONFIG, header)
                )
            case 0x0154:
                if self.recording or not self.filename or sum(map(len, self.files.values())) + 123 > self.capacity:
                    code = WRONG_STATE if self.recording else FULL if self.filename else NO_CONFIG
                    return self._error(code, header)
                self.recording, self.measured = True, now_ns // self.period_ns + 1
                self.files[self.filename] = bytearray()
                return encode(0x0155)
            case 0x0156:
                self.recording = False
                return encode(0x0157)
            case 0x0160:
                self.real_time = True
                return encode(0x0162, payload)
            case 0x0163:
                self.real_time = False
                return encode(0x0164)
            case 0x0200:
                return self.status(now_ns)
            case 0x0500:
                told = [encode(0x0502, pack("<H65sI", i, n, len(b))) for i, (n, b) in enumerate(self.files.items())]
                return encode(0x0501, pack("<H", len(told))) + b"".join(told)
            case 0x0503 | 0x0507 | 0x0509:
                return self._file_command(header, payload)
        return encode(header + 1)

    def _file_command(self, header: int, payload: bytes) -> bytes:
        name = unpack_from("<65s", payload)[0].rstrip(b"\0")
        data = self.files.get(name)
        if data is None:
            return self._error(NOT_FOUND, header)
        if header == 0x0507:
            return encode(0x0508, pack("<65sI", name, len(data)))
        if header == 0x0509:
            if self.recording and name == self.filename:
                return self._error(0xF1, header)
            del self.files[name]
            return encode(0x050A, payload)
        lo, hi = unpack("<II", payload[65:])
        self.asked.append((name, lo, hi))
        if lo >= hi or hi > len(data):
            return self._error(TOO_SHORT, header)
        pieces = [encode(0x0504, pack("<I", at) + bytes(data[at : min(at + PIECE, hi)])) for at in range(lo, hi, PIECE)]
        sent, self.answer_pieces = pieces[: self.answer_pieces], max(0, self.answer_pieces - len(pieces))
        return b"".join(sent)

    @staticmethod
    def _error(code: int, header: int) -> bytes:
        return encode(0xFFFF, pack("<BH", code, header))
