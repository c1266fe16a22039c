"""Bytes that a driver holds between two notifications, as the plain numbers that its snapshot may contain.

A snapshot is ``dict[str, int]`` with numbers of at most 64 bits (it is stored as MessagePack), so bytes travel eight at a
time. Used by the drivers whose messages are cut over several notifications.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

_EIGHT: Final = Struct("<q")


def pack_bytes(name: str, data: bytes) -> dict[str, int]:
    """``data`` as numbers under keys that begin with ``name``."""
    padded = data + bytes(-len(data) % _EIGHT.size)
    numbers = {f"{name}_{i}": number for i, (number,) in enumerate(_EIGHT.iter_unpack(padded))}
    return {f"{name}_bytes": len(data)} | numbers


def unpack_bytes(name: str, state: dict[str, int]) -> bytes:
    """The inverse of `pack_bytes`; raises KeyError where the state holds no such bytes."""
    size = state[f"{name}_bytes"]
    count = -(-size // _EIGHT.size)
    return b"".join(_EIGHT.pack(state[f"{name}_{i}"]) for i in range(count))[:size]
