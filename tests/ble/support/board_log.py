"""The logger of a virtual MetaMotion, as the vendor's SDK uses it: loggers, the event on disconnecting, read-out, clearing."""

from __future__ import annotations

from struct import pack, unpack

TICK_S = 48 / 32768
PAGE = 200  # entries
FLASH_PAGE = 512


class BoardLog:
    """``tick`` counts from the board's restart; `measured` is called with every sample of a sensor, whoever listens.

    ``capacity``: entries; when it is full what came first stays. ``reads``: entries that it still sends, then it falls silent.
    ``in_pages``: entries of a page that is not full are told of and read only once it was flushed.
    """

    def __init__(self, uid: int = 3, capacity: int = 10**9, in_pages: bool = True) -> None:
        self.uid, self.capacity, self.in_pages = uid, capacity, in_pages
        self._unwritten: list[tuple[int, int, int, int]] = []
        self.entries: list[tuple[int, int, int, int]] = []  # uid, logger, tick, value
        self.loggers: list[tuple[int, int, int, int]] = []  # module, register, offset, length
        self.events: list[bytes] = []
        self.enabled = False
        self.reads = 10**9
        self._entry = b""
        self._left: list[tuple[int, int, int, int]] = []
        self._page = 0

    def restart(self) -> None:
        """Switched off and on: the flash keeps its entries, nothing else."""
        self.uid = (self.uid + 1) % 8
        self.loggers, self.events, self.enabled, self._left, self._unwritten = [], [], False, [], []

    def disconnected(self) -> None:
        """What the events say is carried out."""
        self._left = []
        for command in self.events:
            self.command(command, 0)

    def measured(self, module: int, register: int, axes: bytes, tick: int) -> None:
        for number, (of, reg, offset, length) in enumerate(self.loggers):
            room = len(self.entries) + len(self._unwritten) < self.capacity
            if self.enabled and (of, reg) == (module, register) and room:
                value = int.from_bytes(axes[offset : offset + length], "little")
                self._unwritten.append((self.uid, number, tick, value))
                if not self.in_pages or len(self._unwritten) == FLASH_PAGE:
                    self._write()

    def _write(self) -> None:
        self.entries += self._unwritten
        self._unwritten = []

    def command(self, value: bytes, tick: int) -> list[bytes]:
        """The messages that answer a command."""
        match value[0], value[1]:
            case 0x0A, 0x02:
                self._entry = value[2:]
                return []
            case 0x0A, 0x03:
                source, target = self._entry[:3], self._entry[3:5]
                assert (source, self._entry[5]) == (b"\x11\x0a\xff", len(value) - 2)
                self.events.append(target + value[2:])
                return [bytes([0x0A, 0x02, len(self.events) - 1])]
            case 0x0A, 0x05:
                self.events = []
            case 0x0B, 0x01:
                self.enabled = bool(value[2])
            case 0x0B, 0x02:
                self.loggers.append((value[2], value[3], value[5] & 0x1F, (value[5] >> 5) + 1))
                return [bytes([0x0B, 0x02, len(self.loggers) - 1])]
            case 0x0B, 0x10:
                assert self.in_pages
                assert not self.enabled
                self._write()
            case 0x0B, 0x84:
                return [b"\x0b\x84" + pack("<IB", tick, self.uid)]
            case 0x0B, 0x85:
                return [b"\x0b\x85" + pack("<I", len(self.entries))]
            case 0x0B, 0x06:
                (n, _) = unpack("<II", value[2:])
                self._left, self._page = self.entries[:n], 0
            case 0x0B, 0x0E:
                self._page = 0
            case 0x0B, 0x09:
                assert value[2:] == b"\xff" * 4
                self.entries, self._unwritten = [], []
            case 0x0B, 0x0A:
                self.loggers = []
        return []

    def read_out(self, most: int) -> list[bytes]:
        """The next messages of a read-out, at most ``most``; a page must be confirmed before the next one."""
        out = []
        while self._left and len(out) < most and self._page < PAGE and self.reads > 0:
            two, self._left = self._left[:2], self._left[2:]
            self._page += len(two)
            self.reads -= len(two)
            out.append(b"\x0b\x07" + b"".join(pack("<BII", u << 5 | n, t, v) for u, n, t, v in two))
            if self._page >= PAGE:
                out.append(b"\x0b\x0d")
            if not self._left:
                out.append(b"\x0b\x08" + pack("<I", 0))
        return out
