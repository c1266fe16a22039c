"""The Tiltline open GATT profile: parser and start sequence.

Frames and their encoder are in `open_frame`. The parser stands between the journal and the pipeline (`base.Driver`).
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Sequence
from struct import Struct
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from processing.types import I64, ClockSpec, ImuBatch
from sensor_gateway.drivers.backfill import Ledger
from sensor_gateway.drivers.base import (
    Advert,
    Battery,
    Capabilities,
    Decoded,
    FramesRead,
    Late,
    Received,
    Rejected,
    Step,
)
from sensor_gateway.drivers.open_frame import (
    ACC_LSB_MPS2,
    BATCH_MAX,
    BATTERY_UNKNOWN,
    CRC_AT,
    CRC_INIT,
    DATA_UUID,
    DEFAULT_BATCH,
    FLAG_KEEPS,
    FLAG_LATE,
    GYR_LSB_RPS,
    GYR_STEP_DPS,
    HEADER,
    HEADER_BYTES,
    INDEX,
    MAGIC,
    SAMPLE_BYTES,
    VERSION,
    Equal,
    check_frame_options,
    decode_equal,
    encode_end,
    encode_frames,
)

__all__ = [
    "DATA_UUID",
    "DEFAULT_BATCH",
    "FLAG_KEEPS",
    "FLAG_LATE",
    "HEADER_BYTES",
    "SAMPLE_BYTES",
    "OpenProfileDriver",
    "encode_end",
    "encode_frames",
]

SERVICE_UUID: Final = "51d0c832-9964-4223-9a85-10b556a70001"
CONTROL_UUID: Final = "51d0c832-9964-4223-9a85-10b556a70003"
CLOCK: Final = ClockSpec(tick_ns=1000, bits=48)
SEQ_BITS: Final = 16
OP_STOP: Final = 0x00
OP_START: Final = 0x01
OP_FETCH: Final = 0x02
_START: Final = Struct("<BHBBB")
_FETCH: Final = Struct("<BII")
_MANY: Final = 8  # fewer frames are decoded faster one by one


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
        check_frame_options(batch, acc_range_g, gyr_range_dps)
        self._rate_hz = float(rate_hz)
        self._start = _START.pack(OP_START, round(rate_hz), batch, acc_range_g, gyr_range_dps // GYR_STEP_DPS)
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
            HEADER.unpack_from(payload)
        )
        if magic != MAGIC or version >> 4 != VERSION:
            return [Rejected(f"starts with {magic:02x} {version:02x}; version 1 starts with 54 1x", payload)]
        late = version & FLAG_LATE
        if (n == 0 and not late) or size != HEADER_BYTES + SAMPLE_BYTES * n:
            return [Rejected(f"{size} bytes, but {n} samples need {HEADER_BYTES + SAMPLE_BYTES * n}", payload)]
        if crc_hqx(payload[HEADER_BYTES:], crc_hqx(payload[:CRC_AT], CRC_INIT)) != crc:
            return [Rejected(f"checksum {crc:04x} does not fit the bytes", payload)]
        acc_lsb = ACC_LSB_MPS2.get(acc_range)
        gyr_lsb = GYR_LSB_RPS.get(gyr_range)
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
            INDEX[:n] * period_us + (t_low | t_high << 32),
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

    def feed_frames(self, uuid: str, payloads: NDArray[np.uint8], rx_mono_ns: I64, rx_utc_ns: I64) -> FramesRead | None:
        """See `base.DecodesFrames`: sound frames of one setting, which a stretch nearly always holds."""
        found = decode_equal(payloads, rx_mono_ns, rx_utc_ns) if uuid == DATA_UUID else None
        if found is None:
            return None
        known = np.flatnonzero(found.battery <= 100)
        levels = found.battery[known]
        changed = known[np.diff(levels, prepend=np.uint8(self._battery)) != 0]
        if len(changed):
            self._battery = int(levels[-1])
        told = [
            (row, Battery(float(level))) for row, level in zip(changed.tolist(), found.battery[changed], strict=True)
        ]
        return FramesRead(found.samples, told)

    def feed_many(self, received: Sequence[Received]) -> list[list[Decoded]]:
        """As `feed` gives for each. Sound frames of one length and setting, which a stretch nearly always holds, are decoded together."""
        found = _together(received) if len(received) >= _MANY else None
        if found is None:
            return [self.feed(r.uuid, r.payload, r.rx_mono_ns, r.rx_utc_ns) for r in received]
        samples, m = found.samples, len(received)
        columns = (
            samples.t_dev_ticks.reshape(m, -1),
            found.seq.tolist(),
            received,
            samples.acc_mps2.reshape(m, -1, 3),
            samples.gyr_rps.reshape(m, -1, 3),
            found.battery.tolist(),
        )
        out: list[list[Decoded]] = []
        for t, seq, r, acc, gyr, battery in zip(*columns, strict=True):
            batch = ImuBatch(t, seq, r.rx_mono_ns, r.rx_utc_ns, acc, gyr)
            if battery == self._battery or battery > 100:
                out.append([batch])
            else:
                self._battery = battery
                out.append([Battery(float(battery)), batch])
        return out


def _together(received: Sequence[Received]) -> Equal | None:
    size = len(received[0].payload)
    if any(len(r.payload) != size or r.uuid != DATA_UUID for r in received):
        return None
    payloads = np.frombuffer(b"".join([r.payload for r in received]), np.uint8).reshape(len(received), size)
    arrived = (np.array([r.rx_mono_ns for r in received]), np.array([r.rx_utc_ns for r in received]))
    return decode_equal(payloads, *arrived)
