"""The Tiltline open GATT profile: parser, start sequence, and the encoder that simulated sensors use.

`docs/open_profile.md` is the specification; a frame is a 20-byte header and ``n`` samples of 12 bytes, little-endian.
The parser stands between the journal and the pipeline (`base.Driver`); the encoder is its exact inverse, so that the
simulated wearer, the virtual peripheral and a firmware all speak the same bytes.
Longer than other modules, so that the layout is stated once, in one module, for both directions.
"""

from __future__ import annotations

import math
from binascii import crc_hqx
from collections.abc import Sequence
from struct import Struct
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from processing.types import F64, GRAVITY_MPS2, ClockSpec, ImuBatch
from sensor_gateway.backfill import Ledger
from sensor_gateway.drivers.base import Advert, Battery, Capabilities, Decoded, Late, Rejected, Step

SERVICE_UUID: Final = "51d0c832-9964-4223-9a85-10b556a70001"
DATA_UUID: Final = "51d0c832-9964-4223-9a85-10b556a70002"
CONTROL_UUID: Final = "51d0c832-9964-4223-9a85-10b556a70003"

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
CLOCK: Final = ClockSpec(tick_ns=1000, bits=48)
SEQ_BITS: Final = 16
OP_STOP: Final = 0x00
OP_START: Final = 0x01
OP_FETCH: Final = 0x02

_HEADER: Final = Struct("<BBHIHHBBBBHH")
_START: Final = Struct("<BHBBB")
_FETCH: Final = Struct("<BII")
_CRC_AT: Final = 18
_CRC_INIT: Final = 0xFFFF
_FULL_SCALE: Final = 32768
_GYR_STEP_DPS: Final = 125
_ACC_LSB_MPS2: Final = {g: g * GRAVITY_MPS2 / _FULL_SCALE for g in ACC_RANGES_G}
_GYR_LSB_RPS: Final = {dps // _GYR_STEP_DPS: math.radians(dps) / _FULL_SCALE for dps in GYR_RANGES_DPS}
_INDEX: Final = np.arange(BATCH_MAX, dtype=np.int64)

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


class OpenProfileDriver:
    """Parser of open-profile notifications. Holds the last battery level, to report changes instead of repeats, and which
    samples are missing (`backfill.Ledger`).

    Raises ValueError where the configuration asks for a rate, batch or range that the profile does not have.
    """

    id: ClassVar[str] = "open"
    version: ClassVar[int] = 1

    def __init__(
        self, rate_hz: float = 100.0, batch: int = DEFAULT_BATCH, acc_range_g: int = 8, gyr_range_dps: int = 1000
    ) -> None:
        if not 16 <= rate_hz <= 1000:
            raise ValueError(f"rate_hz is {rate_hz:g}; the open profile carries 16 to 1000 samples a second")
        _check_frame_options(batch, acc_range_g, gyr_range_dps)
        self._rate_hz = float(rate_hz)
        self._start = _START.pack(OP_START, round(rate_hz), batch, acc_range_g, gyr_range_dps // _GYR_STEP_DPS)
        self._battery = BATTERY_UNKNOWN
        self._ledger = Ledger()

    @property
    def capabilities(self) -> Capabilities:
        """48-bit microseconds (they never wrap in a sensor's life), a 16-bit count of samples."""
        return Capabilities(CLOCK, SEQ_BITS, self._rate_hz, BATCH_MAX, backfill=True)

    def match(self, advert: Advert) -> float:
        """1 where the advertisement lists the service: names can be changed, the service cannot."""
        return float(SERVICE_UUID in advert.service_uuids)

    def notify_uuids(self) -> Sequence[str]:
        """The data characteristic."""
        return (DATA_UUID,)

    def start(self) -> Sequence[Step]:
        """Stop first: a sensor may still be streaming with older settings from before a lost connection."""
        return (Step(CONTROL_UUID, bytes([OP_STOP])), Step(CONTROL_UUID, self._start))

    def stop(self) -> Sequence[Step]:
        """Ask for silence."""
        return (Step(CONTROL_UUID, bytes([OP_STOP])),)

    def reset(self) -> None:
        """Forget the battery level, so that a new connection reports it again. Which samples are missing is not forgotten."""
        self._battery = BATTERY_UNKNOWN
        self._ledger.connection_lost()

    def fetch(self, now_mono_ns: int) -> Sequence[Step]:
        """Ask for samples that are missing, where the sensor says that it keeps some (`base.Fetches`)."""
        wanted = self._ledger.next_request(now_mono_ns)
        return () if wanted is None else (Step(CONTROL_UUID, _FETCH.pack(OP_FETCH, *wanted)),)

    def snapshot(self) -> dict[str, int]:
        """The last battery level [percent]."""
        return {"battery": self._battery}

    def restore(self, state: dict[str, int]) -> None:
        """Take `snapshot`'s value back."""
        self._battery = state["battery"]

    def feed(self, uuid: str, payload: bytes, rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        """Decode one notification: a batch, preceded by the battery where it changed; or the reason why not."""
        size = len(payload)
        if uuid != DATA_UUID:
            return [Rejected(f"characteristic {uuid} carries no data in the open profile", payload)]
        if size < HEADER_BYTES:
            return [Rejected(f"{size} bytes; a frame has at least {HEADER_BYTES}", payload)]
        magic, version, seq, t_low, t_high, period_us, n, battery, acc_range, gyr_range, seq_high, crc = (
            _HEADER.unpack_from(payload)
        )
        if magic != MAGIC or version >> 4 != VERSION:
            return [Rejected(f"starts with {magic:02x} {version:02x}; version 1 starts with 54 1x", payload)]
        late = version & FLAG_LATE
        if (n == 0 and not late) or size != HEADER_BYTES + SAMPLE_BYTES * n:
            return [Rejected(f"{size} bytes, but {n} samples need {HEADER_BYTES + SAMPLE_BYTES * n}", payload)]
        if crc_hqx(payload[HEADER_BYTES:], crc_hqx(payload[:_CRC_AT], _CRC_INIT)) != crc:
            return [Rejected(f"checksum {crc:04x} does not fit the bytes", payload)]
        acc_lsb = _ACC_LSB_MPS2.get(acc_range)
        gyr_lsb = _GYR_LSB_RPS.get(gyr_range)
        if acc_lsb is None or gyr_lsb is None or period_us == 0 or n > BATCH_MAX:
            return [
                Rejected(
                    f"ranges {acc_range}, {gyr_range}, period {period_us} us, {n} samples: not in version 1", payload
                )
            ]
        if n == 0:
            self._ledger.end_of_answer()
            return []
        raw = np.frombuffer(payload, "<i2", offset=HEADER_BYTES).reshape(n, 6)
        batch = ImuBatch(
            _INDEX[:n] * period_us + (t_low | t_high << 32),
            seq,
            rx_mono_ns,
            rx_utc_ns,
            raw[:, :3] * acc_lsb,
            raw[:, 3:] * gyr_lsb,
        )
        number = seq | seq_high << 16
        if late:
            self._ledger.late(number, n, rx_mono_ns)
            return [Late(batch)]  # its battery is that of the moment of sending; the live frames tell it
        if version & FLAG_KEEPS:
            self._ledger.live(number, n, t_low | t_high << 32, rx_mono_ns)
        if battery == self._battery or battery > 100:
            return [batch]
        self._battery = battery
        return [Battery(float(battery)), batch]


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
    _check_frame_options(batch, acc_range_g, gyr_range_dps)
    m = len(acc_mps2)
    if acc_mps2.shape != (m, 3) or gyr_rps.shape != (m, 3):
        raise ValueError(f"acc {acc_mps2.shape} and gyr {gyr_rps.shape} must both be (m, 3)")
    if not 1 <= round(period_us) <= 0xFFFF:
        raise ValueError(f"period_us is {period_us:g}; the frame carries 1 to 65535 us")
    scaled = np.empty((m, 6))
    np.multiply(acc_mps2, 1.0 / _ACC_LSB_MPS2[acc_range_g], out=scaled[:, :3])
    np.multiply(gyr_rps, 1.0 / _GYR_LSB_RPS[gyr_range_dps // _GYR_STEP_DPS], out=scaled[:, 3:])
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
    head = _HEADER.pack(
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
    )[:_CRC_AT]
    return head + crc_hqx(head, _CRC_INIT).to_bytes(2, "little")


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
    header["gyr_range"] = ranges[1] // _GYR_STEP_DPS
    frames = np.empty((count, size), np.uint8)
    frames[:, :HEADER_BYTES] = header.view(np.uint8).reshape(count, HEADER_BYTES)
    frames[:, HEADER_BYTES:] = np.ascontiguousarray(raw).view(np.uint8).reshape(count, SAMPLE_BYTES * n)
    view = memoryview(frames.tobytes())
    crcs = [
        crc_hqx(view[at + HEADER_BYTES : at + size], crc_hqx(view[at : at + _CRC_AT], _CRC_INIT))
        for at in range(0, count * size, size)
    ]
    frames[:, _CRC_AT:HEADER_BYTES] = np.array(crcs, "<u2").view(np.uint8).reshape(count, 2)
    blob = frames.tobytes()
    return [blob[at : at + size] for at in range(0, count * size, size)]


def _check_frame_options(batch: int, acc_range_g: int, gyr_range_dps: int) -> None:
    if not 1 <= batch <= BATCH_MAX:
        raise ValueError(f"batch is {batch}; a notification holds 1 to {BATCH_MAX} samples")
    if acc_range_g not in ACC_RANGES_G:
        raise ValueError(f"acc_range_g is {acc_range_g}; use one of {ACC_RANGES_G}")
    if gyr_range_dps not in GYR_RANGES_DPS:
        raise ValueError(f"gyr_range_dps is {gyr_range_dps}; use one of {GYR_RANGES_DPS}")
