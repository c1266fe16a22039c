"""Journal entries as one compact block of bytes, and back, exactly.

Payloads of one source and length form a table that is stored column by column: header bytes hardly change, so they
nearly vanish. Where it pays, payloads are taken as a head and samples of 12 bytes (three accelerations, three rates), and stored
are the differences of heads from payload to payload and of samples from one to the next, across payloads, once or twice. Bytes
of one kind stand together and get codes of their own. An hour of real sitting is 1.8 MB, of walking 2.7 (`tiltline bench journal`).
What pays is tried on each table and noted in the block, so any device's payloads come back, well compressed or not.
Longer than other modules: writer and reader of one format, side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray

from sensor_gateway.drivers.base import Received
from sensor_gateway.sqlite_faults import DAMAGED

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
I64 = NDArray[np.int64]
VERSION: Final = 2
_READABLE: Final = (1, 2)
"""Blocks of version 1 know `_DELTA` instead of `_SAMPLES`."""
_PLAIN_BELOW: Final = 16  # a live commit holds a payload or two: compressing them would only cost time
_SAMPLE_BYTES: Final = 12
_HEAD_MOST: Final = 32
_NONE, _COLUMNS, _DELTA, _SAMPLES = 0, 1, 2, 3


class Source(NamedTuple):
    """Who wrote an entry: a driver with its version, or ``("", 0)`` for the gateway's own controls."""

    driver: str
    version: int


class Logged(NamedTuple):
    """A journal entry: its place in the sensor's sequence, the payload, and the driver it was received for."""

    seq: int
    source: Source
    received: Received


class Frames(NamedTuple):
    """Entries in a row of one source, characteristic and length: row i of ``payloads`` (m, width) is entry ``first_seq`` + i,
    which arrived at ``rx_mono_ns[i]``, ``rx_utc_ns[i]``.
    """

    first_seq: int
    source: Source
    uuid: str
    payloads: U8
    rx_mono_ns: I64
    rx_utc_ns: I64

    def __len__(self) -> int:  # entries, not the fields of the tuple
        return len(self.rx_mono_ns)

    @property
    def next_seq(self) -> int:
        """The entry after the last."""
        return self.first_seq + len(self)

    def alike(self, other: Frames) -> bool:
        """Whether payloads of both can stand in one array."""
        return (self.source, self.uuid, self.payloads.shape[1]) == (other.source, other.uuid, other.payloads.shape[1])

    def within(self, span: range) -> Frames:
        """Those of its entries that lie in a span (of step 1); perhaps none."""
        a, b = max(0, span.start - self.first_seq), max(0, span.stop - self.first_seq)
        first = self.first_seq + a
        return Frames(first, self.source, self.uuid, self.payloads[a:b], self.rx_mono_ns[a:b], self.rx_utc_ns[a:b])


class BlockError(ValueError):
    """A block that cannot be read back; says why."""


class _Opened(NamedTuple):
    """A block's rows: which table each is of, its arrival; and the tables' source, characteristic and payloads (rows, width)."""

    table_of_row: I64
    rx_mono_ns: I64
    rx_utc_ns: I64
    tables: list[tuple[Source, str, U8]]


class _Table(msgspec.Struct, array_like=True):
    driver: str
    version: int
    uuid: str
    width: int
    filter: int
    data: bytes
    head: int = 0  # bytes before the samples, and how often differences were taken: of `_SAMPLES`
    order: int = 0


class _Block(msgspec.Struct, array_like=True):
    version: int
    rows: int
    table_of_row: bytes
    mono: bytes
    utc: bytes
    tables: list[_Table]


def encode(items: Sequence[tuple[Source, Received]]) -> bytes:
    """One block; ``items`` must not be empty."""
    keys: dict[tuple[Source, str, int], int] = {}
    payloads: list[list[bytes]] = []
    which = np.empty(len(items), np.uint16)
    mono = np.empty(len(items), np.int64)
    utc = np.empty(len(items), np.int64)
    for i, (source, r) in enumerate(items):
        key = (source, r.uuid, len(r.payload))
        table = keys.setdefault(key, len(keys))
        if table == len(payloads):
            payloads.append([])
        payloads[table].append(r.payload)
        which[i], mono[i], utc[i] = table, r.rx_mono_ns, r.rx_utc_ns
    plain = len(items) < _PLAIN_BELOW
    tables = []
    for (source, uuid, width), rows in zip(keys, payloads, strict=True):
        joined = b"".join(rows)
        found = (_NONE, joined) if plain or not width else _squeeze(joined, width)
        tables.append(_Table(source.driver, source.version, uuid, width, *found))
    block = _Block(
        VERSION,
        len(items),
        _times(which, plain),
        _times(np.diff(mono, prepend=0), plain),
        _times(utc - mono, plain),
        tables,
    )
    return msgspec.msgpack.encode(block)


def decode(block: bytes, first_seq: int) -> list[Logged]:
    """The entries of a block; raises `BlockError` where the bytes are not one."""
    return _in_order(_opened(block), first_seq)


def decode_frames(block: bytes, first_seq: int) -> list[Frames]:
    """The entries of a block in arrays, cut where their kind changes; raises `BlockError` where the bytes are not one."""
    opened = _opened(block)
    which, taken, out = opened.table_of_row, [0] * len(opened.tables), list[Frames]()
    starts = [0, *(np.flatnonzero(np.diff(which)) + 1).tolist()]
    for a, b in zip(starts, [*starts[1:], len(which)], strict=True):
        table = int(which[a])
        source, uuid, payloads = opened.tables[table]
        rows = payloads[taken[table] : taken[table] + b - a]
        taken[table] += b - a
        out.append(Frames(first_seq + a, source, uuid, rows, opened.rx_mono_ns[a:b], opened.rx_utc_ns[a:b]))
    return out


def _opened(block: bytes) -> _Opened:
    try:
        b = msgspec.msgpack.decode(block, type=_Block)
        if b.version not in _READABLE:
            raise BlockError(f"block version {b.version} is not known to this Tiltline; update the installation")
        plain = b.rows < _PLAIN_BELOW
        which = _untimes(b.table_of_row, np.dtype(np.uint16), b.rows, plain)
        mono = np.cumsum(_untimes(b.mono, np.dtype(np.int64), b.rows, plain))
        utc = _untimes(b.utc, np.dtype(np.int64), b.rows, plain) + mono
        tables = [
            (Source(t.driver, t.version), t.uuid, _rows(t, int(np.count_nonzero(which == i))))
            for i, t in enumerate(b.tables)
        ]
    except (msgspec.DecodeError, zstandard.ZstdError, ValueError) as e:
        raise e if isinstance(e, BlockError) else BlockError(f"damaged block ({e}); {DAMAGED}") from e
    return _Opened(which, mono, utc, tables)


def _in_order(opened: _Opened, first_seq: int) -> list[Logged]:
    tables = [(source, uuid, iter(_payloads(rows))) for source, uuid, rows in opened.tables]
    columns = (opened.table_of_row.tolist(), opened.rx_mono_ns.tolist(), opened.rx_utc_ns.tolist())
    out = []
    for i, (table, mono_ns, utc_ns) in enumerate(zip(*columns, strict=True)):
        source, uuid, rows = tables[table]
        out.append(Logged(first_seq + i, source, Received(uuid, next(rows), mono_ns, utc_ns)))
    return out


def entries_of(frames: Frames) -> list[Logged]:
    """The same, entry by entry."""
    source, uuid = frames.source, frames.uuid
    columns = (_payloads(frames.payloads), frames.rx_mono_ns.tolist(), frames.rx_utc_ns.tolist())
    return [
        Logged(seq, source, Received(uuid, payload, mono_ns, utc_ns))
        for seq, (payload, mono_ns, utc_ns) in enumerate(zip(*columns, strict=True), frames.first_seq)
    ]


def _payloads(table: U8) -> list[bytes]:
    rows, width = table.shape
    flat = table.tobytes()
    return [flat[i : i + width] for i in range(0, len(flat), width)] if width else [b""] * rows


def _zip(*parts: bytes) -> bytes:
    """One frame; each part has codes of its own."""
    if len(parts) == 1:
        return zstandard.ZstdCompressor(level=5, write_checksum=True).compress(parts[0])
    frame = zstandard.ZstdCompressor(level=5, write_checksum=True).compressobj(size=sum(map(len, parts)))
    out = [frame.compress(part) + frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for part in parts]
    return b"".join((*out, frame.flush()))


def _unzip(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data)


def _squeeze(joined: bytes, width: int) -> tuple[int, bytes] | tuple[int, bytes, int, int]:
    """Filter, data, and what `_SAMPLES` has to know besides."""
    table = np.frombuffer(joined, np.uint8).reshape(-1, width)
    columns = _zip(table.T.tobytes())
    samples = _as_samples(table) if width % 2 == 0 and width >= _SAMPLE_BYTES else None
    return (_COLUMNS, columns) if samples is None or len(columns) <= len(samples[1]) else samples


def _as_samples(table: U8) -> tuple[int, bytes, int, int]:
    """With the head and the order of differences that promise the fewest bits."""
    rows, width = table.shape
    words = np.ascontiguousarray(table).view("<u2")
    promised: list[tuple[float, int, int]] = []
    for head in range(width % _SAMPLE_BYTES, min(_HEAD_MOST, width - _SAMPLE_BYTES) + 1, _SAMPLE_BYTES):
        diff = words[:, head // 2 :].reshape(-1, _SAMPLE_BYTES // 2)
        for order in (1, 2):
            diff = np.diff(diff, axis=0, prepend=np.zeros((1, diff.shape[1]), "<u2"))
            promised.append((float(np.log2(1.0 + _fold(diff)).mean()), head, order))
    _, head, order = min(promised)
    heads = np.diff(words[:, : head // 2], axis=0, prepend=np.zeros((1, head // 2), "<u2"))
    diff = words[:, head // 2 :].reshape(-1, _SAMPLE_BYTES // 2)
    for _ in range(order):
        diff = np.diff(diff, axis=0, prepend=np.zeros((1, diff.shape[1]), "<u2"))
    kinds = np.ascontiguousarray(_fold(diff)).view(np.uint8).T
    first = np.ascontiguousarray(heads).view(np.uint8).reshape(rows, head).T
    return _SAMPLES, _zip(first.tobytes(), *(kind.tobytes() for kind in kinds)), head, order


def _from_samples(data: bytes, rows: int, width: int, head: int, order: int) -> U8:
    flat = np.frombuffer(_unzip(data), np.uint8)
    heads = np.ascontiguousarray(flat[: rows * head].reshape(head, rows).T).view("<u2")
    kinds = np.ascontiguousarray(flat[rows * head :].reshape(_SAMPLE_BYTES, -1).T).view("<u2")
    samples = _unfold(kinds)
    for _ in range(order):
        samples = np.cumsum(samples, axis=0, dtype="<u2")
    words = np.empty((rows, width // 2), "<u2")
    words[:, : head // 2] = np.cumsum(heads, axis=0, dtype="<u2")
    words[:, head // 2 :] = samples.reshape(rows, -1)
    out: U8 = words.view(np.uint8)
    return out


def _rows(t: _Table, rows: int) -> U8:
    """The table's payloads (rows, width)."""
    flat: U8
    if t.width == 0 or t.filter == _NONE:
        flat = np.frombuffer(t.data if t.width else b"", np.uint8)
    elif t.filter == _SAMPLES:
        flat = _from_samples(t.data, rows, t.width, t.head, t.order)
    else:
        columns = np.frombuffer(_unzip(t.data), np.uint8).reshape(t.width, rows)
        flat = _undelta(columns.T) if t.filter == _DELTA else columns.T
    if flat.size != rows * t.width:
        raise BlockError(f"damaged block: {flat.size} bytes for {rows} payloads of {t.width}")
    return flat.reshape(rows, t.width)


def _fold(words: U16) -> U16:
    """Differences so that small ones of either sign have a zero high byte."""
    signed = words.view("<i2")
    out: U16 = ((signed << 1) ^ (signed >> 15)).view("<u2")
    return out


def _unfold(folded: U16) -> U16:
    out: U16 = ((folded >> 1) ^ -(folded & 1)).astype("<u2")
    return out


def _undelta(table: U8) -> U8:
    """Of version 1: differences within a payload only."""
    diff = _unfold(np.ascontiguousarray(table).view("<u2"))
    lag, words = _SAMPLE_BYTES // 2, diff.copy()
    for start in range(lag):
        words[:, start::lag] = np.cumsum(diff[:, start::lag], axis=1, dtype="<u2")
    out: U8 = words.view(np.uint8)
    return out


def _times(values: NDArray[np.int64] | NDArray[np.uint16], plain: bool) -> bytes:
    raw = np.ascontiguousarray(values)
    if plain:
        return raw.tobytes()
    return _zip(raw.view(np.uint8).reshape(len(raw), raw.itemsize).T.tobytes())


def _untimes(data: bytes, dtype: np.dtype[np.generic], rows: int, plain: bool) -> I64:
    if plain:
        return np.frombuffer(data, dtype).astype(np.int64)
    columns = np.frombuffer(_unzip(data), np.uint8).reshape(dtype.itemsize, rows)
    return np.ascontiguousarray(columns.T).view(dtype).ravel().astype(np.int64)
