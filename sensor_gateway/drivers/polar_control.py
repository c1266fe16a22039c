"""The control point of Polar's PMD service: commands, and what its answers say. Used by `polar`.

A command is an operation, a measurement, and settings: id, count, values. An answer is ``F0``, operation, measurement,
status, a flag, and settings, among them the factor that compressed frames are multiplied with.
"""

from __future__ import annotations

from struct import Struct
from types import MappingProxyType
from typing import Final

from sensor_gateway.drivers.polar_frames import FrameError

OP_START: Final = 0x02
OP_STOP: Final = 0x03
SDK_MODE_ON: Final = bytes([OP_START, 0x09])
ANSWER: Final = 0xF0
ENDED: Final = 0x01
FACTOR: Final = 5

_ALREADY: Final = 6
_STATUS_TEXT: Final = MappingProxyType(
    {
        1: "does not know the command",
        2: "does not know the measurement",
        3: "does not support the measurement",
        5: "finds a setting invalid",
        10: "finds the packet size (MTU) of the connection too small; another Bluetooth adapter may help",
        13: "lies in the charger",
    }
)
_SETTING_BYTES: Final = MappingProxyType({0: 2, 1: 2, 2: 2, 3: 4, 4: 1, FACTOR: 4, 6: 16})
_START: Final = Struct("<BBBBHBBHBBHBBB")
_FLOAT: Final = Struct("<f")
_RESOLUTION_BITS: Final = 16
_CHANNELS: Final = 3


def start_command(kind: int, rate_hz: int, full_scale: int) -> bytes:
    """Start measurement ``kind`` at a rate, 16 bits, a range [g or deg/s], three axes."""
    return _START.pack(OP_START, kind, 0, 1, rate_hz, 1, 1, _RESOLUTION_BITS, 2, 1, full_scale, 4, 1, _CHANNELS)


def stop_command(kind: int) -> bytes:
    """Stop measurement ``kind``."""
    return bytes([OP_STOP, kind])


def read_answer(payload: bytes) -> tuple[int, int]:
    """Measurement and the factor's 32 bits (0: none told). Raises `FrameError` where the sensor refused or made no sense."""
    if payload[:1] == bytes([ENDED]):
        raise FrameError("the sensor has stopped measuring by itself; was it laid into the charger?")
    if len(payload) < 4 or payload[0] != ANSWER:
        raise FrameError("no answer of the control point")
    op, kind, status = payload[1:4]
    if status == _ALREADY or (status and op == OP_STOP):
        return kind, 0  # as wanted already, or nothing to stop
    if status:
        text = _STATUS_TEXT.get(status, f"answers with status {status}")
        raise FrameError(f"the sensor {text} (command {op:02x} {kind:02x})")
    factors = read_settings(payload[5:]).get(FACTOR) if op == OP_START else None
    # No factor of a real range lies outside.
    return kind, factors[0] if factors and 1e-6 < _FLOAT.unpack(factors[0].to_bytes(4, "little"))[0] < 1e3 else 0


def factor_of(bits: int) -> float | None:
    """The factor behind 32 bits of `read_answer`; None where none was told."""
    told: float = _FLOAT.unpack(bits.to_bytes(4, "little"))[0]
    return told if bits else None


def read_settings(data: bytes) -> dict[int, list[int]]:
    """Settings of the control point by id (0 rate, 1 resolution, 2 range, 4 channels, 5 factor as float32 bits).

    Raises `FrameError` where the bytes are no settings.
    """
    found: dict[int, list[int]] = {}
    at = 0
    while at < len(data):
        size = _SETTING_BYTES.get(data[at])
        if size is None or at + 2 > len(data) or at + 2 + data[at + 1] * size > len(data):
            raise FrameError("settings are cut off or unknown")
        first = at + 2
        at = first + data[first - 1] * size
        found[data[first - 2]] = [int.from_bytes(data[i : i + size], "little") for i in range(first, at, size)]
    return found
