"""Rows of an SQLite file that SQLite no longer reads: page by page, without the tree that leads to them.

A damaged header, a lost inner page or a missing end keeps SQLite from everything behind it, although most pages with rows are
as they were. Here every page that looks like a leaf of a table is read for itself, and what does not fit is passed over; what a row
means is for the caller to see. Pages of the write-ahead log come before those of the file, as far as their checksums hold.

Format: https://www.sqlite.org/fileformat2.html. Only reads.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

BEYOND: Final = object()
"""Stands for a value that does not lie on the row's own page."""
_MAGIC: Final = b"SQLite format 3\0"
_PAGE_SIZES: Final = tuple(2**n for n in range(9, 17))
_USUAL_SIZE: Final = 4096
_LEAF: Final = 13
_WAL_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}
_INT_BYTES: Final = (0, 1, 2, 3, 4, 6, 8)
_CONSTANTS: Final = {0: None, 8: 0, 9: 1}
_CHUNK_PAGES: Final = 16_384


class TornError(ValueError):
    """A row whose bytes do not hang together."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A row as its page holds it: how long it is, what of it lies on the page, and the page on which it goes on (0: none)."""

    rowid: int
    length: int
    local: bytes
    next_page: int

    def values(self) -> list[Any]:
        """Its columns, `BEYOND` where one lies on other pages; raises `TornError`."""
        return _record(self.local)


class Pages:
    """An SQLite file and its write-ahead log. To be used in a ``with`` block."""

    def __init__(self, path: Path) -> None:
        """Raises ``OSError``, or ``ValueError`` where the file is empty."""
        with path.open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        head = self._data[:100].ljust(100, b"\0")
        self._has_head = head.startswith(_MAGIC)
        named = 65536 if head[16:18] == b"\0\1" else int.from_bytes(head[16:18], "big")
        self.size = named if self._has_head and named in _PAGE_SIZES else _USUAL_SIZE
        wal = path.with_name(path.name + "-wal")
        self._newer = _write_ahead(wal.read_bytes(), self.size) if wal.is_file() else {}
        in_file = -(-len(self._data) // self.size)
        self.count = max([in_file, *self._newer])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._data.close()

    def page(self, number: int) -> bytes:
        """A page by its number, from 1; zeros where the file ends before."""
        newer = self._newer.get(number)
        at = (number - 1) * self.size
        return newer if newer is not None else self._data[at : at + self.size].ljust(self.size, b"\0")

    def cells(self, progress: Callable[[float], None] = lambda _: None) -> Iterator[Cell]:
        """Every row of every table, in the order of pages; rows that were deleted or written anew may be among them."""
        free = self._free()
        for number in self._leaves(progress):
            if number not in free:
                yield from self._cells(self.page(number), 100 if number == 1 else 0)

    def payload(self, cell: Cell) -> list[Any]:
        """All columns of a row, wherever they lie; raises `TornError`."""
        parts, left, number = [cell.local], cell.length - len(cell.local), cell.next_page
        while left > 0:
            if not 0 < number <= self.count:
                raise TornError(f"goes on at page {number} of {self.count}")
            page = self.page(number)
            parts.append(page[4 : 4 + left])
            left -= self.size - 4
            number = int.from_bytes(page[:4], "big")
        return _record(b"".join(parts))

    def _leaves(self, progress: Callable[[float], None]) -> Iterator[int]:
        for first in range(1, self.count + 1, _CHUNK_PAGES):
            progress((first - 1) / self.count)
            last = min(first + _CHUNK_PAGES - 1, self.count)
            chunk = np.frombuffer(self._data[(first - 1) * self.size : last * self.size], np.uint8)
            found = set((first + np.flatnonzero(chunk[:: self.size] == _LEAF)).tolist())
            found -= self._newer.keys()
            found |= {n for n, page in self._newer.items() if first <= n <= last and page[0] == _LEAF}
            yield from sorted(found | ({1} if first == 1 else set()))

    def _cells(self, page: bytes, start: int) -> Iterator[Cell]:
        if page[start] != _LEAF:
            return
        many = int.from_bytes(page[start + 3 : start + 5], "big")
        pointers = start + 8 + 2 * many
        if pointers > self.size:
            return
        for (at,) in struct.iter_unpack(">H", page[start + 8 : pointers]):
            cell = self._cell(page, at) if at >= pointers else None
            if cell is not None:
                yield cell

    def _cell(self, page: bytes, at: int) -> Cell | None:
        try:
            length, at = _varint(page, at)
            rowid, at = _varint(page, at)
        except IndexError:
            return None
        most, least = self.size - 35, (self.size - 12) * 32 // 255 - 23
        here = length
        if length > most:
            here = least + (length - least) % (self.size - 4)
            here = here if here <= most else least
        end = at + here + (4 if here < length else 0)
        if end > self.size or length > self.count * self.size:
            return None
        following = int.from_bytes(page[at + here : end], "big") if here < length else 0
        return Cell(rowid, length, page[at : at + here], following)

    def _free(self) -> set[int]:
        """Pages that SQLite had given up; none where their list does not hold together."""
        head = self.page(1)
        number, many = struct.unpack(">II", head[32:40])
        free: set[int] = set()
        if not head.startswith(_MAGIC) or many > self.count:
            return free
        while number:
            page = self.page(number) if 0 < number <= self.count and number not in free else b""
            listed = int.from_bytes(page[4:8], "big") if page else self.size
            if listed > self.size // 4 - 2:
                return set()
            free |= {number, *struct.unpack(f">{listed}I", page[8 : 8 + 4 * listed])}
            number = int.from_bytes(page[:4], "big")
        return free if len(free) == many else set()


def _write_ahead(wal: bytes, size: int) -> dict[int, bytes]:
    """Each page's newest committed version; a frame that is damaged is left out, those after it are not."""
    if len(wal) < 32 + 24 + size:
        return {}
    order = _WAL_MAGIC.get(int.from_bytes(wal[:4], "big"), "<")
    salts = wal[16:24] if int.from_bytes(wal[:4], "big") in _WAL_MAGIC else wal[40:48]
    seed = struct.unpack(">II", wal[24:32])
    whole: list[tuple[int, int, bytes]] = []
    committed = 0
    for at in range(32, len(wal) - 24 - size + 1, 24 + size):
        head, page = wal[at : at + 24], wal[at + 24 : at + 24 + size]
        number, pages, _, _, *sums = struct.unpack(">6I", head)
        # Other salts: of before the log was begun anew.
        if head[8:16] == salts and _checksum(head[:8] + page, order, *seed) == tuple(sums):
            whole.append((number, pages, page))
            committed = len(whole) if pages else committed
        seed = (sums[0], sums[1])
    return {number: page for number, _, page in whole[:committed]}


def _checksum(data: bytes, order: str, a: int, b: int) -> tuple[int, int]:
    for x, y in struct.iter_unpack(f"{order}II", data):
        a = (a + x + b) & 0xFFFFFFFF
        b = (b + y + a) & 0xFFFFFFFF
    return a, b


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of up to nine bytes, and where it ends; raises ``IndexError`` at the end of the data."""
    value = 0
    for i in range(at, at + 8):
        value = value << 7 | data[i] & 0x7F
        if data[i] < 0x80:
            return value, i + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64) if value >> 63 else value, at + 9


def _record(data: bytes) -> list[Any]:
    try:
        end, at = _varint(data, 0)
        if not 0 < end <= len(data):
            raise TornError("its head is longer than the row")
        kinds = []
        while at < end:
            kind, at = _varint(data, at)
            kinds.append(kind)
        values, at = [], end
        for kind in kinds:
            value, at = _value(data, at, kind)
            values.append(value)
    except (IndexError, UnicodeDecodeError, OverflowError) as e:
        raise TornError(f"is no row ({e})") from e
    return values


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    """A value by its serial type, and where the next one begins."""
    if kind in _CONSTANTS:
        return _CONSTANTS[kind], at
    if kind < 0 or kind in (10, 11):
        raise TornError(f"names the type {kind}, which there is not")
    width = _INT_BYTES[kind] if kind < 7 else 8 if kind == 7 else (kind - 12) // 2
    part, end = data[at : at + width], at + width
    if end > len(data):
        return BEYOND, end
    if kind < 7:
        return int.from_bytes(part, "big", signed=True), end
    if kind == 7:
        return struct.unpack(">d", part)[0], end
    return (part.decode() if kind % 2 else part), end
