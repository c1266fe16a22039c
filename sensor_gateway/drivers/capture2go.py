"""Capture2Go IMU (SensorStim): framed, checksummed packages out of a byte stream that is cut over notifications.

A `base.Driver`; stands between the journal and the pipeline. A notification is one byte 0xFF - n, then n whole real-time
frames (`capture2go_frame`), then the next bytes of the sensor's FIFO. Samples come as packages of eight (header 0x022r
with a magnetometer, 0x023r without) or of one (0x024r, 0x025r); the header's last digit r gives the rate. The angular
rate has the sensor's own bias estimate removed already. Quaternions are left aside: the pipeline has its own.

The clock counts nanoseconds and can be set to UTC. It is set only where it does not show UTC: each setting is off by
the radio's delay, and a clock that is moved at every reconnection would be worse than one that runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from struct import Struct
from typing import ClassVar, Final

import numpy as np

from processing.types import NS_PER_S, ClockSpec, ImuBatch
from sensor_gateway.drivers.base import Advert, Battery, Capabilities, Decoded, Rejected, Step
from sensor_gateway.drivers.capture2go_frame import FRAME_BYTES, SIZE_AT, Package, encode, split
from sensor_gateway.drivers.held import pack_bytes, unpack_bytes

SERVICE_UUID: Final = "80030001-e629-4c98-9324-aa7fc0c66de7"
WRITE_UUID: Final = "80030002-e629-4c98-9324-aa7fc0c66de7"
NOTIFY_UUID: Final = "80030003-e629-4c98-9324-aa7fc0c66de7"
RATES_HZ: Final = {200: 1, 100: 2, 50: 3, 25: 4}
"""Rate to the code that stands for it; 10 and 1 Hz exist, but are too slow for a walking pelvis."""

SET_MODE: Final = 0x0120
START: Final = 0x0150
STOP_AND_CLEAR: Final = 0x0158
SET_TIME: Final = 0x0170
GET_STATUS: Final = 0x0200
STATUS: Final = 0x0201
ERROR: Final = 0xFFFF
STATUS_EVERY_S: Final = 60

_REAL_TIME_MAX: Final = 3
_MODE: Final = Struct("<qBBBBBBBBHBQBBB")
_STATUS: Final = Struct("<qBB3hBBB")
_TIME: Final = Struct("<q")
_CHARGING: Final = 0x80
_GYR_LSB_RPS: Final = math.radians(2000) / 32768
_ACC_LSB_MPS2: Final = 16 * 9.81 / 32768  # the vendor's g
_PERIOD_NS: Final = {1: 5_000_000, 2: 10_000_000, 3: 20_000_000, 4: 40_000_000, 5: 100_000_000, 6: NS_PER_S, 7: 0}
_LAYOUT: Final = {0x22: (8, 163), 0x23: (8, 115), 0x24: (1, 37), 0x25: (1, 31)}  # header's high part: samples, bytes
_EARLY_NS: Final = 2 * NS_PER_S
_LATE_NS: Final = 600 * NS_PER_S  # a full FIFO behind a bad radio


class Capture2GoDriver:
    """Parser of one sensor. Holds an unfinished frame (at most 243 bytes) and the last battery level.

    Raises ValueError where the sensor has no such rate.
    """

    id: ClassVar[str] = "capture2go"
    version: ClassVar[int] = 1

    def __init__(self, rate_hz: float = 100.0) -> None:
        if rate_hz not in RATES_HZ:
            raise ValueError(f"rate_hz is {rate_hz:g}; a Capture2Go measures at {', '.join(map(str, RATES_HZ))} Hz")
        self._rate_hz = float(rate_hz)
        # Packages of eight without magnetometer, a status each minute; rest detection and bias estimate stay on.
        mode = _MODE.pack(0, 0, 0, RATES_HZ[int(rate_hz)], 0, 0, 0, STATUS_EVERY_S, 0, 0, 0, 0, 0, 0, 1)
        self._go = tuple(Step(WRITE_UUID, encode(*it)) for it in ((GET_STATUS,), (SET_MODE, mode), (START,)))
        self._rest = b""
        self._battery = -1
        self._on_utc = False

    @property
    def capabilities(self) -> Capabilities:
        """Nanoseconds in 64 bits; no count of samples: time itself shows what is missing."""
        return Capabilities(ClockSpec(tick_ns=1, bits=None), None, self._rate_hz, 8)

    def match(self, advert: Advert) -> float:
        """1 where the service is advertised; the name IMU_… alone could be anyone's."""
        named = (advert.name or "").startswith("IMU_")
        return 1.0 if SERVICE_UUID in advert.service_uuids else 0.3 * named

    def notify_uuids(self) -> Sequence[str]:
        """The one that everything comes from."""
        return (NOTIFY_UUID,)

    def start(self) -> Sequence[Step]:
        """Clear first: a sensor that was streaming still sends from its FIFO, beginning inside a frame.

        The status that a sensor sends by itself on connecting may be cleared with it, so one is asked for.
        """
        return (*self.stop(), *self._go)

    def start_at(self, utc_ns: int) -> Sequence[Step]:
        """As `start`, with the clock set where it is not known to show UTC."""
        if self._on_utc:
            return self.start()
        return (*self.stop(), Step(WRITE_UUID, encode(SET_TIME, _TIME.pack(utc_ns))), *self._go)

    def stop(self) -> Sequence[Step]:
        """Stop and clear the FIFO. A recording on the sensor's flash is not ended by it."""
        return (Step(WRITE_UUID, encode(STOP_AND_CLEAR)),)

    def reset(self) -> None:
        """Forget an unfinished frame, and the battery level so that it is told again; the sensor's clock runs on."""
        self._rest, self._battery = b"", -1

    def snapshot(self) -> dict[str, int]:
        """Unfinished frame, battery level [percent], whether the clock shows UTC."""
        return {"battery": self._battery, "on_utc": int(self._on_utc)} | pack_bytes("rest", self._rest)

    def restore(self, state: dict[str, int]) -> None:
        """Take `snapshot`'s values back."""
        self._rest = unpack_bytes("rest", state)
        self._battery, self._on_utc = state["battery"], bool(state["on_utc"])

    def feed(self, uuid: str, payload: bytes, rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        """Decode one notification: batches in order, the battery where it changed, a reason for bytes that fit nowhere."""
        if uuid != NOTIFY_UUID:
            return [Rejected(f"characteristic {uuid} carries no data of a Capture2Go", payload)]
        if not payload or payload[0] < 0xFF - _REAL_TIME_MAX:
            return [Rejected("a notification begins with fc to ff, the number of real-time frames", payload)]
        at = 1
        found: list[Package | bytes] = []
        for _ in range(0xFF - payload[0]):
            end = at + FRAME_BYTES + (payload[at + SIZE_AT] if len(payload) > at + SIZE_AT else 0)
            whole, rest = split(payload[at:end])
            if len(whole) != 1 or rest or end > len(payload):
                return [*self._decode_all(found, rx_mono_ns, rx_utc_ns), Rejected("a real-time frame is torn", payload)]
            found += whole
            at = end
        more, self._rest = split(self._rest + payload[at:])
        return self._decode_all(found + more, rx_mono_ns, rx_utc_ns)

    def _decode_all(self, found: list[Package | bytes], rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        out: list[Decoded] = []
        for item in found:
            if isinstance(item, Package):
                out += self._decode(item, rx_mono_ns, rx_utc_ns)
            else:
                out.append(Rejected(f"{len(item)} bytes that are no frame with a valid checksum", item))
        return out

    def _decode(self, package: Package, rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        header, payload = package.header, package.payload
        count, size = _LAYOUT.get(header >> 4, (0, 0))
        period_ns = _PERIOD_NS.get(header & 0xF)
        if count and period_ns is not None and (period_ns or count == 1):
            if len(payload) != size:
                return [Rejected(f"package {header:04x} has {len(payload)} bytes instead of {size}", payload)]
            (t_ns,) = _TIME.unpack_from(payload)
            if not 0 <= t_ns < 1 << 62:
                return [Rejected(f"package {header:04x} says {t_ns} ns, no time that a clock shows", payload)]
            self._on_utc = -_EARLY_NS <= rx_utc_ns - t_ns <= _LATE_NS
            raw = np.frombuffer(payload, "<i2", 6 * count, _TIME.size).reshape(2, count, 3)
            ticks = t_ns + period_ns * np.arange(count, dtype=np.int64)
            return [ImuBatch(ticks, None, rx_mono_ns, rx_utc_ns, raw[1] * _ACC_LSB_MPS2, raw[0] * _GYR_LSB_RPS)]
        if header == STATUS and len(payload) == _STATUS.size:
            t_ns, *_, battery, _ = _STATUS.unpack(payload)
            self._on_utc = -_EARLY_NS <= rx_utc_ns - t_ns <= _LATE_NS
            return self._charge(battery & ~_CHARGING)
        if header == ERROR:
            return [Rejected(f"the sensor refused a command (error {payload.hex()}); is it recording?", payload)]
        return []  # acknowledgements, settings, orientation alone: right, and of no use here

    def _charge(self, percent: int) -> list[Decoded]:
        if percent == self._battery or percent > 100:
            return []
        self._battery = percent
        return [Battery(float(percent))]
