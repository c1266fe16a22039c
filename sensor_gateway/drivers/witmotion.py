"""WitMotion BLE 5.0 modules (WT901BLECL, BWT901BLE5.0, WT9011DCL): frames of 20 bytes without time, count or checksum.

A `base.Driver`; stands between the journal and the pipeline. A sample is ``55 61``, acceleration, angular rate and Euler
angles as i16 x 3; a register that was asked for comes as ``55 71``, its number u16 and eight i16. Several frames come in
a notification. A frame counts only where another one, or the end, follows it: that is all that tells one from bytes that
look alike. The clock is the running number of the sample (`counting`), for which the pipeline measures the true period.
A module that was switched off measures at 10 Hz until it is told: its rate is asked for before and after it is set, and where
the two differ the count begins anew, so that no slow sample dates the others. Euler angles are left aside: they are singular where a pelvis may well be, and drift with the magnetometer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from struct import Struct
from typing import ClassVar, Final

import numpy as np

from processing.types import GRAVITY_MPS2, NS_PER_S, ClockSpec, ImuBatch
from sensor_gateway.drivers.base import Advert, Battery, Capabilities, Decoded, Rejected, Step
from sensor_gateway.drivers.counting import SampleCount
from sensor_gateway.drivers.held import pack_bytes, unpack_bytes

# The base ends in 9a34fb, not in the Bluetooth SIG's 9b34fb.
SERVICE_UUID: Final = "0000ffe5-0000-1000-8000-00805f9a34fb"
NOTIFY_UUID: Final = "0000ffe4-0000-1000-8000-00805f9a34fb"
WRITE_UUID: Final = "0000ffe9-0000-1000-8000-00805f9a34fb"
FRAME_BYTES: Final = 20
RATES_HZ: Final = {20: 0x07, 50: 0x08, 100: 0x09, 200: 0x0B}
"""Rate to its code; there are slower ones (0.2 to 10), but not for a walking pelvis. 100 and 200 are not on every module."""

_START_BYTE: Final = 0x55
_DATA: Final = 0x61
_REGISTER: Final = 0x71
_KINDS: Final = (_DATA, _REGISTER)
_ACC_LSB_MPS2: Final = 16 * GRAVITY_MPS2 / 32768
_GYR_LSB_RPS: Final = math.radians(2000) / 32768
_REPLY: Final = Struct("<2xHh")
_BATTERY_REGISTER: Final = 0x64
_RATE_REGISTER: Final = 0x03
_ALGORITHM_REGISTER: Final = 0x24
_SIX_AXES: Final = 1
_UNLOCK: Final = bytes.fromhex("ffaa6988b5")
_READ: Final = 0x27
_PAUSE_S: Final = 0.1  # the vendor's own programs wait between commands
_FRAMES_MAX: Final = 26  # a notification of 512 bytes, and what was left of the one before
_CELL_CENTIVOLTS: Final = (250, 450)
_PERCENT: Final = {397: 100, 393: 90, 387: 75, 382: 60, 379: 50, 377: 40, 373: 30, 370: 20, 368: 15, 350: 10, 340: 5}
"""The vendor's table: from so many hundredths of a volt, so much charge."""


def command(register: int, value: int) -> bytes:
    """The five bytes that write ``value`` (u16) to ``register``."""
    return bytes([0xFF, 0xAA, register]) + value.to_bytes(2, "little")


def split(stream: bytes) -> tuple[list[bytes], int, bytes]:
    """Whole frames of ``stream`` in order, the number of bytes that belong to none, and the rest that may go on."""
    frames: list[bytes] = []
    at = 0
    while at < len(stream):
        after = at + FRAME_BYTES
        if not _begins(stream, at):
            at += 1
        elif len(stream) < after:
            break
        elif len(stream) == after or _begins(stream, after):
            frames.append(stream[at:after])
            at = after
        else:
            at += 1
    return frames, at - FRAME_BYTES * len(frames), stream[at:]


def _begins(stream: bytes, at: int) -> bool:
    """True where a frame may begin at ``at``, as far as its first two bytes have come."""
    return stream[at] == _START_BYTE and (at + 1 == len(stream) or stream[at + 1] in _KINDS)


class WitMotionDriver:
    """Parser of one module. Holds an unfinished frame (at most 19 bytes), the count of samples and the battery level.

    Raises ValueError where the module has no such rate.
    """

    id: ClassVar[str] = "witmotion"
    version: ClassVar[int] = 1
    poll_s: ClassVar[float] = 600.0

    def __init__(self, rate_hz: float = 100.0) -> None:
        if rate_hz not in RATES_HZ:
            rates = ", ".join(map(str, RATES_HZ))
            raise ValueError(f"rate_hz is {rate_hz:g}; a WitMotion module is set to {rates} Hz")
        self._rate_hz = float(rate_hz)
        self._period_ns = round(NS_PER_S / rate_hz)
        self._count = SampleCount(self._period_ns)
        self._rest = b""
        self._battery = -1
        self._rate_code = 0  # as last told in this connection

    @property
    def capabilities(self) -> Capabilities:
        """A tick is a sample's nominal period."""
        return Capabilities(ClockSpec(self._period_ns, bits=None), None, self._rate_hz, _FRAMES_MAX)

    def match(self, advert: Advert) -> float:
        """The service is the vendor's alone, but not every module advertises it; a name on WT is a hint."""
        named = (advert.name or "").startswith("WT")
        return 1.0 if SERVICE_UUID in advert.service_uuids else 0.5 * named

    def notify_uuids(self) -> Sequence[str]:
        """The one that everything comes from."""
        return (NOTIFY_UUID,)

    def start(self) -> Sequence[Step]:
        """Six axes (no magnetometer) and the rate; never saved, so the flash is spared and each connection says it anew."""
        ask_rate = command(_READ, _RATE_REGISTER)
        settings = command(_ALGORITHM_REGISTER, _SIX_AXES), command(_RATE_REGISTER, RATES_HZ[int(self._rate_hz)])
        commands = (_UNLOCK, ask_rate, *settings, ask_rate)
        return (*(Step(WRITE_UUID, payload, pause_s=_PAUSE_S) for payload in commands), *self.poll())

    def poll(self) -> Sequence[Step]:
        """Ask for the battery's voltage, which never comes by itself."""
        return (Step(WRITE_UUID, command(_READ, _BATTERY_REGISTER), pause_s=_PAUSE_S),)

    def stop(self) -> Sequence[Step]:
        """Nothing: a module sends for as long as it is switched on and connected."""
        return ()

    def reset(self) -> None:
        """A lost connection ends the frame and the count; the battery is told again."""
        self._rest, self._battery, self._rate_code = b"", -1, 0
        self._count.reset()

    def snapshot(self) -> dict[str, int]:
        """Count, unfinished frame, battery level [percent], code of the rate."""
        own = {"battery": self._battery, "rate_code": self._rate_code}
        return own | self._count.snapshot() | pack_bytes("rest", self._rest)

    def restore(self, state: dict[str, int]) -> None:
        """Take `snapshot`'s values back."""
        self._rest, self._battery = unpack_bytes("rest", state), state["battery"]
        self._rate_code = state.get("rate_code", 0)
        self._count.restore(state)

    def feed(self, uuid: str, payload: bytes, rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        """Decode one notification: its samples as one batch, the battery where it changed, a reason for other bytes."""
        if uuid != NOTIFY_UUID:
            return [Rejected(f"characteristic {uuid} carries no data of a WitMotion module", payload)]
        frames, junk, self._rest = split(self._rest + payload)
        out: list[Decoded] = []
        if junk:
            out.append(Rejected(f"{junk} bytes that are no frame beginning with 55 61 or 55 71", payload))
        for frame in frames:
            if frame[1] == _REGISTER:
                self._hear_rate(frame)
        samples = [frame for frame in frames if frame[1] == _DATA]
        if samples:
            n = len(samples)
            raw = np.frombuffer(b"".join(samples), "<i2").reshape(n, 10)
            ticks = self._count.take(n, rx_mono_ns) + np.arange(n, dtype=np.int64)
            acc, gyr = raw[:, 1:4] * _ACC_LSB_MPS2, raw[:, 4:7] * _GYR_LSB_RPS
            out.append(ImuBatch(ticks, None, rx_mono_ns, rx_utc_ns, acc, gyr))
        for frame in frames:
            if frame[1] == _REGISTER:
                out += self._register(frame)
        return out

    def _hear_rate(self, frame: bytes) -> None:
        """Where the rate has changed since it was last told, what was counted says nothing of what follows."""
        register, code = _REPLY.unpack_from(frame)
        if register == _RATE_REGISTER:
            if self._rate_code not in (0, code):
                self._count.reset()
            self._rate_code = code

    def _register(self, frame: bytes) -> list[Decoded]:
        register, value = _REPLY.unpack_from(frame)
        if register != _BATTERY_REGISTER:
            return []
        low, high = _CELL_CENTIVOLTS
        if not low <= value <= high:
            return [Rejected(f"a battery of {value / 100:.2f} V is none that such a module has", frame)]
        percent = next((share for at_least, share in _PERCENT.items() if value >= at_least), 0)
        if percent == self._battery:
            return []
        self._battery = percent
        return [Battery(float(percent))]
