"""Frames of the Tiltline open GATT profile: their layout, the encoder that simulated sensors use, and many frames decoded at once.

`docs/open_profile.md` is the specification; a frame is a 20-byte header and ``n`` samples of 12 bytes, little-endian. The
parser of single frames (`open_profile`) and the encoder are exact inverses, so that the simulated wearer, the virtual peripheral
and a firmware all speak the same bytes.
"""

from __future__ import annotations

import math
from binascii import crc_hqx
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from processing.types import F64, GRAVITY_MPS2, I64, ImuStretch

DATA_UUID: Final = "51d0c832-9964-4223-9a85-10b556a70002"

MAGIC: Final = 0x54
VERSION: Final = 1
HEADER_BYTES: Final = 20
SAMPLE_BYTES: Final = 12
BATCH_MAX: Final = 41  # the longest attribute value is 512 bytes: 20 + 41 * 12 = 512
DEFAULT_BATCH: Final = 10
FLAG_SATURATED: Final = 0x01
FLAG_KEEPS: Final = 0x02  # the sensor keeps a history, and the field seq_high counts
FLAG_LATE: Final = 0x04  # a frame of the history, sent on request
BATTERY_UNKNOWN: Final = 255
ACC_RANGES_G: Final = (2, 4, 8, 16)
GYR_RANGES_DPS: Final = (125, 250, 500, 1000, 2000)

HEADER: Final = Struct("<BBHIHHBBBBHH")
CRC_AT: Final = 18
CRC_INIT: Final = 0xFFFF
_FULL_SCALE: Final = 32768
GYR_STEP_DPS: Final = 125
ACC_LSB_MPS2: Final = {g: g * GRAVITY_MPS2 / _FULL_SCALE for g in ACC_RANGES_G}
GYR_LSB_RPS: Final = {dps // GYR_STEP_DPS: math.radians(dps) / _FULL_SCALE for dps in GYR_RANGES_DPS}
INDEX: Final = np.arange(BATCH_MAX, dtype=np.int64)

_FRAME_HEADER: Final = np.dtype(
    [
        ("magic", "u1"),
        ("version_flags", "u1"),
        ("seq", "<u2"),
        ("t_low", "<u4"),
        ("t_high", "<u2"),
        ("period_us", "<u2"),
        ("n", "u1"),
        ("battery", "u1"),
        ("acc_range", "u1"),
        ("gyr_range", "u1"),
        ("seq_high", "<u2"),
        ("crc", "<u2"),
    ]
)


@lru_cache(maxsize=8)
def _checksum_table(size: int) -> tuple[NDArray[np.uint16], NDArray[np.int32], int]:
    """Of frames of this length: what each value of each byte adds to the checksum, where a byte's values begin, and what an
    empty frame has. A cyclic checksum is linear: that of a frame is the exclusive or of all these.
    """
    summed = size - (HEADER_BYTES - CRC_AT)
    table = np.zeros((size, 256), np.uint16)
    for at in range(size):
        if not CRC_AT <= at < HEADER_BYTES:
            zeros = bytes(size - 1 - at if at >= HEADER_BYTES else summed - 1 - at)
            table[at] = [crc_hqx(bytes((value,)) + zeros, 0) for value in range(256)]
    return table.ravel(), np.arange(size, dtype=np.int32) * 256, crc_hqx(bytes(summed), CRC_INIT)


def _checksums(frames: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Of frames (m, size), all at once."""
    table, begin, empty = _checksum_table(frames.shape[1])
    # "clip" for speed: no index is out of range.
    out: NDArray[np.uint16] = np.bitwise_xor.reduce(np.take(table, frames + begin, mode="clip"), axis=1) ^ empty
    return out


class Equal(NamedTuple):
    """Sound live frames of one length and setting: their samples, and sequence number and battery level (m,) of each."""

    samples: ImuStretch
    seq: NDArray[np.uint16]
    battery: NDArray[np.uint8]


def decode_equal(payloads: NDArray[np.uint8], rx_mono_ns: I64, rx_utc_ns: I64) -> Equal | None:
    """Frames (m, size), m not 0. None unless all are sound live frames of one setting, from a sensor that keeps no history (what
    is missing of one is counted frame by frame).
    """
    size = payloads.shape[1]
    n = (size - HEADER_BYTES) // SAMPLE_BYTES
    if not 1 <= n <= BATCH_MAX or size != HEADER_BYTES + SAMPLE_BYTES * n:
        return None
    head = np.ascontiguousarray(payloads[:, :HEADER_BYTES]).view(_FRAME_HEADER).ravel()
    first = head[0]
    alike = (
        (head["magic"] == MAGIC)
        & (head["version_flags"] & ~np.uint8(FLAG_SATURATED) == VERSION << 4)
        & (head["n"] == n)
    )
    for name in ("period_us", "acc_range", "gyr_range"):
        alike &= head[name] == first[name]
    acc_lsb, gyr_lsb = ACC_LSB_MPS2.get(int(first["acc_range"])), GYR_LSB_RPS.get(int(first["gyr_range"]))
    period_us = int(first["period_us"])
    if not alike.all() or acc_lsb is None or gyr_lsb is None or period_us == 0:
        return None
    if (head["crc"] != _checksums(payloads)).any():
        return None
    t_us = head["t_low"].astype(np.int64) | head["t_high"].astype(np.int64) << 32
    raw = np.ascontiguousarray(payloads[:, HEADER_BYTES:]).view("<i2").reshape(-1, 6)
    samples = ImuStretch(
        (INDEX[:n] * period_us + t_us[:, None]).ravel(),
        np.full(len(head), n),
        rx_mono_ns,
        rx_utc_ns,
        raw[:, :3] * acc_lsb,
        raw[:, 3:] * gyr_lsb,
        head["seq"],
    )
    return Equal(samples, head["seq"], head["battery"])


def encode_frames(
    seq0: int,
    t_us0: float,
    acc_mps2: F64,
    gyr_rps: F64,
    battery_percent: float | None = None,
    *,
    period_us: float = 10_000.0,
    batch: int = DEFAULT_BATCH,
    acc_range_g: int = 8,
    gyr_range_dps: int = 1000,
    flags: int = 0,
) -> list[bytes]:
    """Consecutive samples to notifications, ``batch`` samples each, the last frame with what is left.

    ``acc_mps2`` [m/s²] and ``gyr_rps`` [rad/s] are (m, 3); the first sample has number ``seq0`` and device time
    ``t_us0`` [µs], the following ones are ``period_us`` apart (a fraction is kept from frame to frame). Both counters
    wrap as the profile says. ``flags``: `FLAG_KEEPS` for a sensor with a history, and `FLAG_LATE` for frames out of it. Values beyond the range saturate and set the frame's flag. Raises ValueError on shapes,
    ranges or NaN that no sensor could send.
    """
    check_frame_options(batch, acc_range_g, gyr_range_dps)
    m = len(acc_mps2)
    if acc_mps2.shape != (m, 3) or gyr_rps.shape != (m, 3):
        raise ValueError(f"acc {acc_mps2.shape} and gyr {gyr_rps.shape} must both be (m, 3)")
    if not 1 <= round(period_us) <= 0xFFFF:
        raise ValueError(f"period_us is {period_us:g}; the frame carries 1 to 65535 us")
    scaled = np.empty((m, 6))
    np.multiply(acc_mps2, 1.0 / ACC_LSB_MPS2[acc_range_g], out=scaled[:, :3])
    np.multiply(gyr_rps, 1.0 / GYR_LSB_RPS[gyr_range_dps // GYR_STEP_DPS], out=scaled[:, 3:])
    if not np.isfinite(scaled).all():
        raise ValueError("acc or gyr holds NaN or infinity; leave such samples out")
    np.rint(scaled, out=scaled)
    beyond: NDArray[np.bool_] = np.any(np.abs(scaled) >= _FULL_SCALE - 1, axis=1)
    raw = np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2")
    whole = m // batch
    frames = _encode_equal(
        seq0,
        t_us0,
        raw[: whole * batch],
        beyond,
        battery_percent,
        period_us,
        batch,
        (acc_range_g, gyr_range_dps),
        flags,
    )
    if whole * batch < m:
        done = whole * batch
        frames += _encode_equal(
            seq0 + done,
            t_us0 + done * period_us,
            raw[done:],
            beyond[done:],
            battery_percent,
            period_us,
            m - done,
            (acc_range_g, gyr_range_dps),
            flags,
        )
    return frames


def encode_end(number: int) -> bytes:
    """The frame without samples that ends an answer: ``number`` is the first sample that was not asked for."""
    head = HEADER.pack(
        MAGIC,
        (VERSION << 4) + FLAG_KEEPS + FLAG_LATE,
        number & 0xFFFF,
        0,
        0,
        1,
        0,
        BATTERY_UNKNOWN,
        2,
        1,
        number >> 16,
        0,
    )[:CRC_AT]
    return head + crc_hqx(head, CRC_INIT).to_bytes(2, "little")


def _encode_equal(
    seq0: int,
    t_us0: float,
    raw: NDArray[np.int16],
    beyond: NDArray[np.bool_],
    battery_percent: float | None,
    period_us: float,
    n: int,
    ranges: tuple[int, int],
    flags: int,
) -> list[bytes]:
    """Frames of exactly ``n`` samples each."""
    count = len(raw) // n
    size = HEADER_BYTES + SAMPLE_BYTES * n
    first = np.arange(count, dtype=np.int64) * n
    # The offset is rounded apart from t_us0: beyond 2^53 us a float sum would lose whole microseconds.
    base = math.floor(t_us0)
    t_us = base + np.rint((t_us0 - base) + first * period_us).astype(np.int64)
    header = np.zeros(count, _FRAME_HEADER)
    header["magic"] = MAGIC
    header["version_flags"] = (
        (VERSION << 4) + flags + FLAG_SATURATED * beyond[: count * n].reshape(count, n).any(axis=1)
    )
    header["seq"] = (seq0 + first) & 0xFFFF
    header["seq_high"] = (seq0 + first) >> 16 & 0xFFFF if flags & FLAG_KEEPS else 0
    header["t_low"] = t_us & 0xFFFFFFFF
    header["t_high"] = (t_us >> 32) & 0xFFFF
    header["period_us"] = round(period_us)
    header["n"] = n
    header["battery"] = BATTERY_UNKNOWN if battery_percent is None else min(max(round(battery_percent), 0), 100)
    header["acc_range"] = ranges[0]
    header["gyr_range"] = ranges[1] // GYR_STEP_DPS
    frames = np.empty((count, size), np.uint8)
    frames[:, :HEADER_BYTES] = header.view(np.uint8).reshape(count, HEADER_BYTES)
    frames[:, HEADER_BYTES:] = np.ascontiguousarray(raw).view(np.uint8).reshape(count, SAMPLE_BYTES * n)
    view = memoryview(frames.tobytes())
    crcs = [
        crc_hqx(view[at + HEADER_BYTES : at + size], crc_hqx(view[at : at + CRC_AT], CRC_INIT))
        for at in range(0, count * size, size)
    ]
    frames[:, CRC_AT:HEADER_BYTES] = np.array(crcs, "<u2").view(np.uint8).reshape(count, 2)
    blob = frames.tobytes()
    return [blob[at : at + size] for at in range(0, count * size, size)]


def check_frame_options(batch: int, acc_range_g: int, gyr_range_dps: int) -> None:
    """Raises ValueError naming the option that no frame can carry, and what it may be."""
    if not 1 <= batch <= BATCH_MAX:
        raise ValueError(f"batch is {batch}; a notification holds 1 to {BATCH_MAX} samples")
    if acc_range_g not in ACC_RANGES_G:
        raise ValueError(f"acc_range_g is {acc_range_g}; use one of {ACC_RANGES_G}")
    if gyr_range_dps not in GYR_RANGES_DPS:
        raise ValueError(f"gyr_range_dps is {gyr_range_dps}; use one of {GYR_RANGES_DPS}")
