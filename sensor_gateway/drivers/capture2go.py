"""Capture2Go IMU (SensorStim): framed, checksummed packages out of a byte stream that is cut over notifications.

A `base.Driver`; stands between the journal and the pipeline. A notification is one byte 0xFF - n, then n whole real-time
frames (`capture2go_frame`), then the next bytes of the sensor's FIFO. Samples come as packages of eight (header 0x022r
with a magnetometer, 0x023r without) or of one (0x024r, 0x025r); the header's last digit r gives the rate. The angular
rate has the sensor's own bias estimate removed already. Quaternions are left aside: the pipeline has its own.

The clock counts nanoseconds and can be set to UTC. It is set only where it does not show UTC: each setting is off by
the radio's delay, and a clock that is moved at every reconnection would be worse than one that runs.

What waited in the FIFO since an earlier connection comes first, and it has holes: dated by the samples around it, it would look like
a clock that was restarted. So after a reconnection samples out of the FIFO count only once it was cleared, as in the vendor's SDK.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from struct import Struct
from typing import ClassVar, Final

import numpy as np

from processing.types import NS_PER_S, ClockSpec, ImuBatch
from sensor_gateway.drivers.base import Advert, Battery, Capabilities, Decoded, Late, Rejected, Step
from sensor_gateway.drivers.capture2go_frame import FRAME_BYTES, SIZE_AT, Package, encode, split
from sensor_gateway.drivers.capture2go_recording import BYTES, GET_STATUS, STATUS, STOP_RECORDING, Recording
from sensor_gateway.drivers.held import pack_bytes, unpack_bytes

SERVICE_UUID: Final = "80030001-e629-4c98-9324-aa7fc0c66de7"
WRITE_UUID: Final = "80030002-e629-4c98-9324-aa7fc0c66de7"
NOTIFY_UUID: Final = "80030003-e629-4c98-9324-aa7fc0c66de7"
RATES_HZ: Final = {200: 1, 100: 2, 50: 3, 25: 4}
"""Rate to the code that stands for it; 10 and 1 Hz exist, but are too slow for a walking pelvis."""

SET_MODE: Final = 0x0120
START: Final = 0x0150
STOP_AND_CLEAR: Final = 0x0158
CLEARED: Final = 0x0159
SET_TIME: Final = 0x0170
REAL_TIME: Final = 0x0160
STOP_REAL_TIME: Final = 0x0163
ERROR: Final = 0xFFFF
STATUS_EVERY_S: Final = 60

_REAL_TIME_MAX: Final = 3
_MODE: Final = Struct("<qBBBBBBBBHBQBBB")
_STATUS: Final = Struct("<qBB3hBBB")
_TIME: Final = Struct("<q")
_ERROR: Final = Struct("<BH")
_OFFSET: Final = Struct("<I")
_REAL_TIME_FULL: Final = 2
_NEWEST: Final = 7  # a header's rate: the newest sample whenever there is room
_WRONG_STATE: Final = 0xFB
_NOWHERE: Final = -1
_CHARGING: Final = 0x80
_GYR_LSB_RPS: Final = math.radians(2000) / 32768
_ACC_LSB_MPS2: Final = 16 * 9.81 / 32768  # the vendor's g
_PERIOD_NS: Final = {1: 5_000_000, 2: 10_000_000, 3: 20_000_000, 4: 40_000_000, 5: 100_000_000, 6: NS_PER_S, 7: 0}
_LAYOUT: Final = {0x22: (8, 163), 0x23: (8, 115), 0x24: (1, 37), 0x25: (1, 31)}  # header's high part: samples, bytes
_EARLY_NS: Final = 10 * NS_PER_S  # a clock that is set leaps by so much that the timebase surely sees another clock
_LATE_NS: Final = 600 * NS_PER_S  # a full FIFO behind a bad radio
_CLEARS_NS: Final = 3 * NS_PER_S  # a journal may begin behind the answer


_CLEAR: Final = Step(WRITE_UUID, encode(STOP_AND_CLEAR))


class Capture2GoDriver:
    """Parser of one sensor. Holds an unfinished frame (at most 243 bytes) of the stream and one of a file, and the last
    battery level.

    ``record``: the sensor records on its own flash too, and sends the newest samples instead of all of them in order, since
    it cannot do that beside a recording; what is missing is read from the recording (`base.Fetches`). Raises ValueError where
    the sensor has no such rate.
    """

    id: ClassVar[str] = "capture2go"
    version: ClassVar[int] = 1

    def __init__(self, rate_hz: float = 100.0, record: bool = False) -> None:
        if rate_hz not in RATES_HZ:
            raise ValueError(f"rate_hz is {rate_hz:g}; a Capture2Go measures at {', '.join(map(str, RATES_HZ))} Hz")
        self._rate_hz = float(rate_hz)
        # Packages of eight without magnetometer, a status each minute; rest detection and bias estimate stay on.
        mode = _MODE.pack(0, 0, 0, RATES_HZ[int(rate_hz)], 0, 0, 0, STATUS_EVERY_S, 0, 0, 0, 0, 0, 0, 1)
        start = (REAL_TIME, bytes([_REAL_TIME_FULL, int(rate_hz)])) if record else (START,)
        self._go = tuple(Step(WRITE_UUID, encode(*it)) for it in ((GET_STATUS,), (SET_MODE, mode), start))
        self._period_ns = round(NS_PER_S / rate_hz)
        packed, size = _LAYOUT[0x23]
        self._recording = Recording(packed * self._period_ns, size) if record else None
        self._rest = self._file_rest = b""
        self._file_next = _NOWHERE
        self._battery = -1
        self._on_utc = False
        self._clears = (
            0  # samples are not to be trusted until it was cleared, or until then: 0 no, 1 from the next payload on
        )

    @property
    def capabilities(self) -> Capabilities:
        """Nanoseconds in 64 bits; no count of samples: time itself shows what is missing."""
        return Capabilities(
            ClockSpec(tick_ns=1, bits=None), None, self._rate_hz, 8, backfill=self._recording is not None
        )

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
        return (_CLEAR, *self._go)

    def start_at(self, utc_ns: int) -> Sequence[Step]:
        """As `start`, with the clock set where it is not known to show UTC."""
        if self._on_utc:
            return self.start()
        return (_CLEAR, Step(WRITE_UUID, encode(SET_TIME, _TIME.pack(utc_ns))), *self._go)

    def stop(self) -> Sequence[Step]:
        """Stop, clear the FIFO, and end a recording of our own; one that somebody else has started goes on."""
        if self._recording is None:
            return (_CLEAR,)
        ours = (Step(WRITE_UUID, encode(STOP_RECORDING)),) if self._recording.ours else ()
        return (_CLEAR, Step(WRITE_UUID, encode(STOP_REAL_TIME)), *ours)

    def fetch(self, now_mono_ns: int) -> Sequence[Step]:
        """Keep the recording going and read from it what is missing (`base.Fetches`)."""
        return () if self._recording is None else self._recording.fetch(now_mono_ns, WRITE_UUID)

    def reset(self) -> None:
        """Forget unfinished frames, and the battery level so that it is told again; the sensor's clock runs on."""
        self._rest, self._battery = b"", -1
        self._file_rest, self._file_next = b"", _NOWHERE
        self._clears = 1
        if self._recording is not None:
            self._recording.connection_lost()

    def snapshot(self) -> dict[str, int]:
        """Unfinished frames, battery level [percent], whether the clock shows UTC."""
        own = {
            "battery": self._battery,
            "on_utc": int(self._on_utc),
            "file_next": self._file_next,
            "clears": self._clears,
        }
        return own | pack_bytes("rest", self._rest) | pack_bytes("file_rest", self._file_rest)

    def restore(self, state: dict[str, int]) -> None:
        """Take `snapshot`'s values back."""
        self._rest = unpack_bytes("rest", state)
        self._battery, self._on_utc = state["battery"], bool(state["on_utc"])
        self._clears = state.get("clears", 0)
        # A snapshot from before there were recordings has none of these.
        self._file_next = state.get("file_next", _NOWHERE)
        self._file_rest = unpack_bytes("file_rest", state) if "file_rest_bytes" in state else b""

    def feed(self, uuid: str, payload: bytes, rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        """Decode one notification: batches in order, the battery where it changed, a reason for bytes that fit nowhere."""
        if uuid != NOTIFY_UUID:
            return [Rejected(f"characteristic {uuid} carries no data of a Capture2Go", payload)]
        if not payload or payload[0] < 0xFF - _REAL_TIME_MAX:
            return [Rejected("a notification begins with fc to ff, the number of real-time frames", payload)]
        if self._clears == 1:
            self._clears = rx_mono_ns + _CLEARS_NS
        elif rx_mono_ns > self._clears:
            self._clears = 0
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
        return self._decode_all(found + self._trusted(more), rx_mono_ns, rx_utc_ns)

    def _trusted(self, found: list[Package | bytes]) -> list[Package | bytes]:
        """What came out of the FIFO, without samples from before it was cleared."""
        out: list[Package | bytes] = []
        for item in found:
            header = item.header if isinstance(item, Package) else 0
            if header == CLEARED:
                self._clears = 0
            if not (self._clears and header >> 4 in _LAYOUT):
                out.append(item)
        return out

    def _decode_all(self, found: list[Package | bytes], rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        out: list[Decoded] = []
        for item in found:
            if isinstance(item, Package):
                out += self._decode(item, rx_mono_ns, rx_utc_ns)
            else:
                out.append(Rejected(f"{len(item)} bytes that are no frame with a valid checksum", item))
        return out

    def _decode(self, package: Package, rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        header, payload, recording = package.header, package.payload, self._recording
        if header >> 4 in _LAYOUT:
            batch = _samples(package, rx_mono_ns, rx_utc_ns)
            if isinstance(batch, Rejected):
                return [batch]
            first_ns = int(batch.t_dev_ticks[0])
            self._on_utc = -_EARLY_NS <= rx_utc_ns - first_ns <= _LATE_NS
            if recording is not None and header & 0xF == _NEWEST:
                if not self._on_utc:
                    return [Rejected("the sensor's clock does not show UTC yet", payload)]
                recording.live(first_ns, first_ns + self._period_ns)
            return [batch]
        if header == BYTES and len(payload) > _OFFSET.size:
            return self._recorded(payload, rx_mono_ns, rx_utc_ns)
        if header == STATUS and len(payload) == _STATUS.size:
            t_ns, state, *_, battery, _ = _STATUS.unpack(payload)
            self._on_utc = -_EARLY_NS <= rx_utc_ns - t_ns <= _LATE_NS
            if recording is not None:
                recording.status(state)
            return self._charge(battery & ~_CHARGING)
        if header == ERROR:
            return self._refused(payload, rx_mono_ns)
        if recording is not None:
            recording.told(header, payload, rx_mono_ns)
        return []  # acknowledgements, settings, orientation alone: right, and of no use here

    def _recorded(self, payload: bytes, rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        """Samples out of a piece of a file, which begins and ends anywhere; a status between them says nothing any more."""
        (offset,) = _OFFSET.unpack_from(payload)
        data = payload[_OFFSET.size :]
        found, self._file_rest = split((self._file_rest if offset == self._file_next else b"") + data)
        self._file_next = offset + len(data)
        out: list[Decoded] = []
        for package in found:
            batch = _samples(package, rx_mono_ns, rx_utc_ns) if isinstance(package, Package) else None
            if isinstance(batch, ImuBatch):
                out.append(Late(batch))
                if self._recording is not None:
                    ticks = batch.t_dev_ticks
                    self._recording.late(int(ticks[0]), int(ticks[-1]) + self._period_ns)
        if self._recording is not None:
            self._recording.bytes_came(offset, len(data), rx_mono_ns)
        return out

    def _refused(self, payload: bytes, rx_mono_ns: int) -> list[Decoded]:
        if self._recording is not None and len(payload) == _ERROR.size:
            code, command = _ERROR.unpack(payload)
            if (code, command) == (_WRONG_STATE, SET_MODE):
                return []  # the recording goes on from before, in the mode that it was started with
            reason = self._recording.refused(code, command, rx_mono_ns)
            if reason:
                return [Rejected(reason, payload)]
        return [Rejected(f"the sensor refused a command (error {payload.hex()}); is it recording?", payload)]

    def _charge(self, percent: int) -> list[Decoded]:
        if percent == self._battery or percent > 100:
            return []
        self._battery = percent
        return [Battery(float(percent))]


def _samples(package: Package, rx_mono_ns: int, rx_utc_ns: int) -> ImuBatch | Rejected:
    """The samples of a data package; others are refused."""
    header, payload = package.header, package.payload
    count, size = _LAYOUT.get(header >> 4, (0, 0))
    period_ns = _PERIOD_NS.get(header & 0xF)
    if not count or period_ns is None or (period_ns == 0 and count > 1):
        return Rejected(f"package {header:04x} holds no acceleration and angular rate", payload)
    if len(payload) != size:
        return Rejected(f"package {header:04x} has {len(payload)} bytes instead of {size}", payload)
    (t_ns,) = _TIME.unpack_from(payload)
    if not 0 <= t_ns < 1 << 62:
        return Rejected(f"package {header:04x} says {t_ns} ns, no time that a clock shows", payload)
    raw = np.frombuffer(payload, "<i2", 6 * count, _TIME.size).reshape(2, count, 3)
    ticks = t_ns + period_ns * np.arange(count, dtype=np.int64)
    return ImuBatch(ticks, None, rx_mono_ns, rx_utc_ns, raw[1] * _ACC_LSB_MPS2, raw[0] * _GYR_LSB_RPS)
