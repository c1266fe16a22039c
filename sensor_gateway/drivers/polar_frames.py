"""The content of Polar PMD data messages: raw and delta-compressed samples.

Used by `polar`. A compressed content is a first sample of whole numbers, then blocks: bits of a difference u8, number of
samples u8, and the differences channel by channel, least significant bit first, each in two's complement. A frame whose
numbers are floats sends the differences of the floats' bit patterns.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from processing.types import F64, I64

ACC: Final = 2
GYRO: Final = 5
MAG: Final = 6
COMPRESSED: Final = 0x80


class FrameError(ValueError):
    """Content that cannot be decoded; the text is the reason that is counted."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Channels of a sample and bytes of a number; ``unit`` is what a whole number times the factor is worth."""

    channels: int
    size: int
    unit: float
    by_range: bool = False  # where no factor is told, the range over half the numbers is it
    floats: bool = False


_LAYOUTS: Final = MappingProxyType(
    {
        (ACC, 1): _Layout(3, 2, 1e-3),
        (ACC, 2): _Layout(3, 3, 1e-3),
        (ACC, COMPRESSED): _Layout(3, 2, 1.0, by_range=True),
        (ACC, COMPRESSED + 1): _Layout(3, 2, 1e-3),
        (GYRO, COMPRESSED): _Layout(3, 2, 1.0, by_range=True),
        (GYRO, COMPRESSED + 1): _Layout(3, 4, 1.0, floats=True),
        (MAG, COMPRESSED): _Layout(3, 2, 1.0),
        (MAG, COMPRESSED + 1): _Layout(4, 2, 1e-3),
    }
)


def decode_content(
    kind: int, frame_type: int, content: bytes, factor: float | None = None, full_scale: float = 1.0
) -> F64:
    """A message's samples (n, 3): acceleration in g, angular rate in deg/s, magnetic field in gauss.

    ``frame_type`` with its compression bit; ``factor`` as the sensor told it for compressed frames, None where it told
    none; ``full_scale`` the range in force. Raises `FrameError` on a frame of another sensor or damaged content. Raw
    acceleration in single bytes is refused: its sources disagree on the unit.
    """
    layout = _LAYOUTS.get((kind, frame_type))
    if layout is None:
        raise FrameError(f"frame type {frame_type:02x} of measurement {kind} is not known")
    if not frame_type & COMPRESSED:
        if not content or len(content) % (layout.channels * layout.size):
            raise FrameError(f"{len(content)} bytes are no whole samples")
        raw: F64 = _whole_numbers(content, layout.size).reshape(-1, layout.channels).astype(np.float64) * layout.unit
        return raw
    numbers = _undo_deltas(content, layout)
    default = full_scale / 32768 if layout.by_range else 1.0
    scale = (default if factor is None else factor) * layout.unit
    if layout.floats:
        with np.errstate(invalid="ignore"):  # a signalling NaN is refused later, as any NaN
            floats: F64 = (numbers & 0xFFFFFFFF).astype("<u4").view("<f4").astype(np.float64) * scale
        return floats
    if np.abs(numbers).max() > 1 << (8 * layout.size - 1):
        raise FrameError("differences lead out of the range of a sample")
    # A calibrated magnetic field has its calibration's state as fourth channel; it is left aside.
    samples: F64 = numbers[:, :3].astype(np.float64) * scale
    return samples


def _whole_numbers(data: bytes, size: int) -> I64:
    """Little-endian two's complement numbers of ``size`` bytes each."""
    columns = np.frombuffer(data, np.uint8).reshape(-1, size).astype(np.int64)
    value: I64 = (columns << (8 * np.arange(size))).sum(axis=1)
    return value - ((value >> (8 * size - 1)) << (8 * size))


def _undo_deltas(content: bytes, layout: _Layout) -> I64:
    """First sample and running sums of the differences, (n, channels)."""
    at = layout.channels * layout.size
    if len(content) < at:
        raise FrameError(f"{len(content)} bytes; the first sample has {at}")
    steps = [_whole_numbers(content[:at], layout.size).reshape(1, layout.channels)]
    while at < len(content):
        if at + 2 > len(content):
            raise FrameError("a block of differences is cut off")
        width, count = content[at], content[at + 1]
        size = (width * count * layout.channels + 7) // 8
        at += 2
        if width > 32 or at + size > len(content):
            raise FrameError("a block of differences is cut off")
        if size:
            bits = np.unpackbits(np.frombuffer(content, np.uint8, size, at), bitorder="little").astype(np.int64)
            rows = bits[: width * count * layout.channels].reshape(-1, width)
            value = (rows << np.arange(width)).sum(axis=1)
            steps.append((value - (rows[:, -1] << width)).reshape(count, layout.channels))
        at += size
    return np.cumsum(np.concatenate(steps), axis=0)
