"""Journal entries as one compact block of bytes, and back, exactly.

Payloads of one source and length form a table that is stored column by column: header bytes hardly change, so they
nearly vanish. Where it pays, 16-bit words are first replaced by the difference to the word 12 bytes before (one sample of
three accelerations and three rates), which takes a day at 100 Hz from 71 to 61 MB of active movement. The filter is tried
on each table and noted in the block, so any device's payloads come back, well compressed or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray

from sensor_gateway.drivers.base import Received

U8 = NDArray[np.uint8]
VERSION: Final = 1
_PLAIN_BELOW: Final = 16  # a live commit holds a payload or two: compressing them would only cost time
_LAG_BYTES: Final = 12
_NONE, _COLUMNS, _DELTA = 0, 1, 2


class Source(NamedTuple):
    """Who wrote an entry: a driver with its version, or ``("", 0)`` for the gateway's own controls."""

    driver: str
    version: int


class Logged(NamedTuple):
    """A journal entry: its place in the sensor's sequence, the payload, and the driver it was received for."""

    seq: int
    source: Source
    received: Received


class BlockError(ValueError):
    """A block that cannot be read back; says why."""


class _Table(msgspec.Struct, array_like=True):
    driver: str
    version: int
    uuid: str
    width: int
    filter: int
    data: bytes


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
        filter_, data = (_NONE, joined) if plain or not width else _squeeze(joined, width)
        tables.append(_Table(source.driver, source.version, uuid, width, filter_, data))
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
    try:
        b = msgspec.msgpack.decode(block, type=_Block)
        if b.version != VERSION:
            raise BlockError(f"block version {b.version} is not known to this Tiltline; update the installation")
        plain = b.rows < _PLAIN_BELOW
        which = _untimes(b.table_of_row, np.dtype(np.uint16), b.rows, plain)
        mono = np.cumsum(_untimes(b.mono, np.dtype(np.int64), b.rows, plain))
        utc = (_untimes(b.utc, np.dtype(np.int64), b.rows, plain) + mono).tolist()
        tables = [
            (Source(t.driver, t.version), t.uuid, iter(_rows(t, int(np.count_nonzero(which == i)))))
            for i, t in enumerate(b.tables)
        ]
    except (msgspec.DecodeError, zstandard.ZstdError, ValueError) as e:
        raise e if isinstance(e, BlockError) else BlockError(f"damaged block: {e}") from e
    out = []
    for i, (table, mono_ns, utc_ns) in enumerate(zip(which.tolist(), mono.tolist(), utc, strict=True)):
        source, uuid, rows = tables[table]
        out.append(Logged(first_seq + i, source, Received(uuid, next(rows), mono_ns, utc_ns)))
    return out


def _zip(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=5, write_checksum=True).compress(data)


def _unzip(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data)


def _squeeze(joined: bytes, width: int) -> tuple[int, bytes]:
    table = np.frombuffer(joined, np.uint8).reshape(-1, width)
    candidates = [(_COLUMNS, _zip(table.T.tobytes()))]
    if table.shape[1] > _LAG_BYTES and table.shape[1] % 2 == 0:
        candidates.append((_DELTA, _zip(_delta(table).T.tobytes())))
    return min(candidates, key=lambda c: len(c[1]))


def _rows(t: _Table, rows: int) -> list[bytes]:
    if t.width == 0:
        return [b""] * rows
    if t.filter == _NONE:
        flat = t.data
    else:
        columns = np.frombuffer(_unzip(t.data), np.uint8).reshape(t.width, rows)
        flat = (_undelta(columns.T) if t.filter == _DELTA else columns.T).tobytes()
    if len(flat) != rows * t.width:
        raise BlockError(f"damaged block: {len(flat)} bytes for {rows} payloads of {t.width}")
    return [flat[i : i + t.width] for i in range(0, len(flat), t.width)]


def _delta(table: U8) -> U8:
    """Differences of little-endian words, folded so that small ones of either sign have a zero high byte."""
    words = np.ascontiguousarray(table).view("<u2")
    lag = _LAG_BYTES // 2
    diff = words.copy()
    diff[:, lag:] -= words[:, :-lag]
    signed = diff.view("<i2")
    folded: NDArray[np.int16] = ((signed << 1) ^ (signed >> 15)).astype("<i2")
    out: U8 = folded.view(np.uint8)
    return out


def _undelta(table: U8) -> U8:
    folded = np.ascontiguousarray(table).view("<u2")
    diff = (folded >> 1) ^ -(folded & 1).astype("<u2")
    lag, words = _LAG_BYTES // 2, diff.astype("<u2")
    for start in range(lag):
        words[:, start::lag] = np.cumsum(diff[:, start::lag], axis=1, dtype="<u2")
    out: U8 = words.view(np.uint8)
    return out


def _times(values: NDArray[np.int64] | NDArray[np.uint16], plain: bool) -> bytes:
    raw = np.ascontiguousarray(values)
    if plain:
        return raw.tobytes()
    return _zip(raw.view(np.uint8).reshape(len(raw), raw.itemsize).T.tobytes())


def _untimes(data: bytes, dtype: np.dtype[np.generic], rows: int, plain: bool) -> NDArray[np.int64]:
    if plain:
        return np.frombuffer(data, dtype).astype(np.int64)
    columns = np.frombuffer(_unzip(data), np.uint8).reshape(dtype.itemsize, rows)
    return np.ascontiguousarray(columns.T).view(dtype).ravel().astype(np.int64)
