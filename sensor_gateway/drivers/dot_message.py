"""Messages of the Movella DOT's message service: recordings on the sensor, synchronisation.

A message is ``id u8 | length u8 | data | checksum u8``; all bytes sum to 0 modulo 256. The first byte of the data says
what is asked or told. Written to 15177001-…, answered by reading 15177002-… and by notifications of 15177003-…. Source:
vendor's BLE service specification XD0506P, chapter 5; its example of StartRecording carries a wrong checksum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

RECORDING: Final = 0x01
SYNCHRONISATION: Final = 0x02
DATA_MAX: Final = 157
_AROUND: Final = 3


@dataclass(frozen=True, slots=True)
class Message:
    """``mid`` names the subsystem, ``kind`` what is asked or told, ``data`` the rest."""

    mid: int
    kind: int
    data: bytes = b""

    def encode(self) -> bytes:
        """The bytes to write; raises ValueError where the data is too long for one message."""
        if len(self.data) >= DATA_MAX:
            raise ValueError(f"{len(self.data)} bytes of data; a message holds {DATA_MAX - 1}")
        body = bytes([self.mid, 1 + len(self.data), self.kind]) + self.data
        return body + bytes([-sum(body) & 0xFF])


def decode(raw: bytes) -> Message:
    """The message in ``raw``, which zeros may follow; raises ValueError naming what is wrong."""
    if len(raw) < _AROUND or not 1 <= raw[1] <= DATA_MAX or len(raw) < _AROUND + raw[1]:
        raise ValueError(f"{len(raw)} bytes are no whole message: {raw[:8].hex()}")
    message = raw[: _AROUND + raw[1]]
    if sum(message) & 0xFF:
        raise ValueError(f"the checksum of message {message[:8].hex()} does not fit its bytes")
    return Message(message[0], message[2], message[3:-1])
