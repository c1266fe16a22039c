"""Movesense with the GATT SensorData firmware ("GSP"): hello, battery, and a subscription to IMU6 or IMU9.

The parser stands between the journal and the pipeline (`base.Driver`). A data message is ``02 reference payload``; one that
is longer than a notification goes on in ``03 reference rest``. The payload is the sensor's time u32 [ms] of the first
sample, then float32 triplets: all accelerations [m/s²], all angular rates [deg/s], for IMU9 all magnetic fields, which are
not needed. `docs/devices.md` says what this was verified on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Final, Literal

import numpy as np

from processing.types import F64, ClockSpec, ImuBatch
from sensor_gateway.drivers.base import Advert, Battery, Capabilities, Decoded, Rejected, Step
from sensor_gateway.drivers.held import pack_bytes, unpack_bytes

SERVICE_UUID: Final = "34802252-7185-4d5d-b431-630e7050e8f0"
WRITE_UUID: Final = "34800001-7185-4d5d-b431-630e7050e8f0"
NOTIFY_UUID: Final = "34800002-7185-4d5d-b431-630e7050e8f0"
RATES_HZ: Final = (13, 26, 52, 104, 208, 416, 833, 1666)
SAMPLES_MAX: Final = 128  # 13 messages a second at the highest rate
CLOCK: Final = ClockSpec(tick_ns=1_000_000, bits=32)

OP_HELLO: Final = 0x00
OP_SUBSCRIBE: Final = 0x01
OP_UNSUBSCRIBE: Final = 0x02
OP_GET: Final = 0x04
RESULT: Final = 0x01
DATA: Final = 0x02
DATA_REST: Final = 0x03
# References are ours to choose; each answer carries that of its command.
REF_HELLO: Final = 100
REF_BATTERY: Final = 101
REF_IMU: Final = 99

_VECTORS: Final = {"IMU6": 2, "IMU9": 3}
_PACKETS_PER_S: Final = 13  # 52 Hz comes as 4 samples a message
_ACC_LIMIT_MPS2: Final = 400.0  # beyond what any range of the sensor reaches: such bytes are no sample
_GYR_LIMIT_DPS: Final = 4000.0
_PERIOD_TOLERANCE: Final = 0.15
_NEVER: Final = -1


def read_triplets(body: bytes) -> tuple[int, F64]:
    """Time [ms] and all vectors (n, 3) of a message of 4 + 12 n bytes, in the sensor's own units."""
    with np.errstate(invalid="ignore"):  # a signalling NaN is refused later, as any NaN
        return int.from_bytes(body[:4], "little"), np.frombuffer(body, "<f4", offset=4).astype(float).reshape(-1, 3)


class MovesenseDriver:
    """Parser of GSP notifications. Holds the first part of a message, and the last message's time and length.

    ``stream`` is IMU6 or IMU9 (for a firmware without IMU6). Raises ValueError where the sensor has no such rate or stream.
    """

    id: ClassVar[str] = "movesense"
    version: ClassVar[int] = 1
    poll_s: ClassVar[float] = 600.0

    def __init__(self, rate_hz: float = 104.0, stream: Literal["IMU6", "IMU9"] = "IMU6") -> None:
        if rate_hz not in RATES_HZ:
            raise ValueError(f"rate_hz is {rate_hz:g}; a Movesense sensor has {', '.join(map(str, RATES_HZ))}")
        if stream not in _VECTORS:
            raise ValueError(f"stream is {stream!r}; use 'IMU6' or 'IMU9'")
        self._rate_hz = float(rate_hz)
        self._sample_bytes = 12 * _VECTORS[stream]
        self._path = f"/Meas/{stream}/{rate_hz:.0f}".encode()
        self._usual_bytes = 4 + self._sample_bytes * max(1, round(rate_hz / _PACKETS_PER_S))
        self._period_ms = 1000.0 / rate_hz
        self.reset()

    @property
    def capabilities(self) -> Capabilities:
        """32-bit milliseconds since power-on (they wrap after 49.7 days), no sequence number."""
        return Capabilities(CLOCK, None, self._rate_hz, SAMPLES_MAX)

    def match(self, advert: Advert) -> float:
        """1 by the service, which not every firmware advertises; nearly as sure by the name."""
        named = (advert.name or "").startswith("Movesense ")
        return max(float(SERVICE_UUID in advert.service_uuids), 0.9 * named)

    def notify_uuids(self) -> Sequence[str]:
        """Answers and data share one characteristic."""
        return (NOTIFY_UUID,)

    def start(self) -> Sequence[Step]:
        """Drop an older subscription, say hello, ask for the battery, subscribe. Paths go without a closing NUL."""
        hello = Step(WRITE_UUID, bytes([OP_HELLO, REF_HELLO]))
        subscribe = Step(WRITE_UUID, bytes([OP_SUBSCRIBE, REF_IMU]) + self._path)
        return (*self.stop(), hello, *self.poll(), subscribe)

    def stop(self) -> Sequence[Step]:
        """End the subscription."""
        return (Step(WRITE_UUID, bytes([OP_UNSUBSCRIBE, REF_IMU])),)

    def poll(self) -> Sequence[Step]:
        """Ask for the battery, which is told only then."""
        return (Step(WRITE_UUID, bytes([OP_GET, REF_BATTERY]) + b"/System/Energy/Level"),)

    def reset(self) -> None:
        """Forget the first part of a message, whose rest will not come, and what led up to it."""
        self._held, self._held_rx = b"", (0, 0)
        self._t_last, self._n_last = _NEVER, 0

    def snapshot(self) -> dict[str, int]:
        """The held first part with its arrival, and the last message's time and number of samples."""
        mono, utc = self._held_rx
        return pack_bytes("held", self._held) | {"mono": mono, "utc": utc, "t": self._t_last, "n": self._n_last}

    def restore(self, state: dict[str, int]) -> None:
        """Take `snapshot`'s numbers back."""
        self._held, self._held_rx = unpack_bytes("held", state), (state["mono"], state["utc"])
        self._t_last, self._n_last = state["t"], state["n"]

    def feed(self, uuid: str, payload: bytes, rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        """Decode one notification: an answer, a whole message, or a part of one that is held until its rest comes."""
        if uuid != NOTIFY_UUID:
            return [Rejected(f"characteristic {uuid} carries no data of a Movesense sensor", payload)]
        if len(payload) < 2:
            return [Rejected(f"{len(payload)} bytes; a message has a type and a reference", payload)]
        kind, reference = payload[0], payload[1]
        if kind == RESULT:
            return self._answer(payload)
        if kind not in (DATA, DATA_REST) or reference != REF_IMU:
            return [Rejected(f"type {kind:02x}, reference {reference}: not of this subscription", payload)]
        body, rx = payload[2:], (rx_mono_ns, rx_utc_ns)
        if kind == DATA_REST:
            held, self._held = self._held, b""
            if not held:
                return [Rejected("a second part without its first", payload)]
            return [self._samples(held + body, rx)]
        out = self._let_go()
        if len(body) == self._usual_bytes:
            return [*out, self._samples(body, rx)]
        # Shorter or longer than usual: a first part, or a firmware that packs otherwise. The next message tells.
        self._held, self._held_rx = body, rx
        return out

    def _let_go(self) -> list[Decoded]:
        """A held message that turned out to be whole, or a first part whose rest was lost."""
        held, self._held = self._held, b""
        return [self._samples(held, self._held_rx)] if held else []

    def _answer(self, payload: bytes) -> list[Decoded]:
        reference = payload[1]
        if reference == REF_HELLO:
            return []  # names and versions, without a status
        if len(payload) < 4:
            return [Rejected(f"{len(payload)} bytes; an answer has a status", payload)]
        status = int.from_bytes(payload[2:4], "little")
        if reference == REF_BATTERY and status == 200 and len(payload) >= 5 and payload[4] <= 100:
            return [Battery(float(payload[4]))]
        if status < 300:
            return []
        return [Rejected(f"the sensor answered command {reference} with status {status}", payload)]

    def _samples(self, body: bytes, rx: tuple[int, int]) -> Decoded:
        n, rest = divmod(len(body) - 4, self._sample_bytes)
        if rest or not 1 <= n <= SAMPLES_MAX:
            return Rejected(f"{len(body)} bytes; a message has 4 and {self._sample_bytes} for each sample", body)
        t, vectors = read_triplets(body)
        acc, gyr = vectors[:n], vectors[n : 2 * n]
        # NaN fails these comparisons too.
        if not ((np.abs(acc) <= _ACC_LIMIT_MPS2).all() and (np.abs(gyr) <= _GYR_LIMIT_DPS).all()):
            return Rejected("values that no range of the sensor reaches", body)
        if t == self._t_last:
            return Rejected("a message came twice", body)
        ticks = t + np.rint(np.arange(n) * self._measured_period_ms(t)).astype(np.int64)
        self._t_last, self._n_last = t, n
        return ImuBatch(ticks % (1 << 32), None, *rx, acc, gyr * (math.pi / 180))

    def _measured_period_ms(self, t: int) -> float:
        """Sample period from this message's time and the last one's; the nominal one where a message is missing."""
        if self._t_last != _NEVER:
            period = ((t - self._t_last) % (1 << 32)) / self._n_last
            if abs(period / self._period_ms - 1.0) <= _PERIOD_TOLERANCE:
                return period
        return self._period_ms
