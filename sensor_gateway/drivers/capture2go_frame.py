"""Frames of the Capture2Go protocol: found in a byte stream by their checksum, and written for commands.

A frame is ``02 | crc32 u32 | size u8 | header u16 | payload``, all little-endian; the checksum (zlib) goes over header and
payload, ``size`` counts the payload alone. `capture2go` gives the packages their meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final
from zlib import crc32

PAYLOAD_MAX: Final = 236
SIZE_AT: Final = 5
_FRAME: Final = Struct("<BIBH")  # start byte, checksum, payload size, header
FRAME_BYTES: Final = _FRAME.size
_CHECKED_AT: Final = 6
_START_BYTE: Final = 0x02


def encode(header: int, payload: bytes = b"") -> bytes:
    """One frame, as commands are written and data arrives."""
    checked = header.to_bytes(2, "little") + payload
    return _FRAME.pack(_START_BYTE, crc32(checked), len(payload), header) + payload


@dataclass(frozen=True, slots=True)
class Package:
    """A frame whose checksum was right."""

    header: int
    payload: bytes


def split(stream: bytes) -> tuple[list[Package | bytes], bytes]:
    """Whole packages of ``stream`` in order, bytes between them that belong to none, and the rest that may go on."""
    out: list[Package | bytes] = []
    at = junk_from = 0
    while at < len(stream):
        if stream[at] != _START_BYTE or (len(stream) > at + SIZE_AT and stream[at + SIZE_AT] > PAYLOAD_MAX):
            at += 1
            continue
        if len(stream) < at + FRAME_BYTES:
            break
        _, crc, size, header = _FRAME.unpack_from(stream, at)
        end = at + FRAME_BYTES + size
        if len(stream) < end:
            break
        if crc32(stream[at + _CHECKED_AT : end]) != crc:
            at += 1
            continue
        if at > junk_from:
            out.append(stream[junk_from:at])
        out.append(Package(header, stream[at + FRAME_BYTES : end]))
        at = junk_from = end
    if at > junk_from:
        out.append(stream[junk_from:at])
    return out, stream[at:]
