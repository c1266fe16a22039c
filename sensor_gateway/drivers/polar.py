"""Polar Verity Sense: acceleration and angular rate of the PMD service, raw or delta-compressed.

The parser stands between the journal and the pipeline (`base.Driver`). A data message is type u8 (2 acc, 5 gyro), time u64
[ns since 2000] of its *last* sample, frame type u8 (bit 7: compressed) and content; `polar_frames` unpacks the content.
Times of the samples before are interpolated from the last message's, the two streams are joined on them (`join`). The
control point's answers come as indications and are read for the scale factor. `docs/devices.md` says what this was
verified on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from struct import Struct
from typing import ClassVar, Final

import numpy as np

from processing.types import GRAVITY_MPS2, I64, NS_PER_S, ClockSpec, ImuBatch
from sensor_gateway.drivers.base import Advert, Battery, Capabilities, Decoded, Rejected, Step
from sensor_gateway.drivers.join import Join
from sensor_gateway.drivers.polar_control import SDK_MODE_ON, factor_of, read_answer, start_command, stop_command
from sensor_gateway.drivers.polar_frames import ACC, GYRO, FrameError, decode_content

SERVICE_UUID: Final = "fb005c80-02e7-f387-1cad-8acd2d8df0c8"
CONTROL_UUID: Final = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
DATA_UUID: Final = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"
BATTERY_UUID: Final = "00002a19-0000-1000-8000-00805f9b34fb"
PLAIN_RATE_HZ: Final = 52  # what the sensor gives without the SDK mode
RATES_HZ: Final = (26, 52, 104, 208, 416)
ACC_RANGES_G: Final = (2, 4, 8, 16)
GYR_RANGES_DPS: Final = (250, 500, 1000, 2000)
CLOCK: Final = ClockSpec(tick_ns=1, bits=None)
SAMPLES_MAX: Final = 2000


_HEADER: Final = Struct("<BQB")
_UNKNOWN: Final = 0
_LATEST_NS: Final = 1 << 62
_PERIOD_TOLERANCE: Final = 0.15
_HOLE_NS: Final = 100_000_000  # nothing is interpolated over more
_LIMIT: Final = {ACC: 40.0, GYRO: 4000.0}  # g, deg/s: beyond what any range reaches


class PolarDriver:
    """Parser of PMD notifications. Holds the last time of each stream, the factors, and what waits to be joined.

    Raises ValueError where the configuration asks for a rate or range that the sensor does not have.
    """

    id: ClassVar[str] = "polar"
    version: ClassVar[int] = 1

    def __init__(self, rate_hz: float = 52.0, acc_range_g: int = 8, gyr_range_dps: int = 2000) -> None:
        if rate_hz not in RATES_HZ:
            raise ValueError(f"rate_hz is {rate_hz:g}; a Verity Sense has {', '.join(map(str, RATES_HZ))}")
        if acc_range_g not in ACC_RANGES_G:
            raise ValueError(f"acc_range_g is {acc_range_g}; use one of {ACC_RANGES_G}")
        if gyr_range_dps not in GYR_RANGES_DPS:
            raise ValueError(f"gyr_range_dps is {gyr_range_dps}; use one of {GYR_RANGES_DPS}")
        self._rate_hz = float(rate_hz)
        self._sdk_mode = (rate_hz, acc_range_g, gyr_range_dps) != (PLAIN_RATE_HZ, 8, 2000)
        self._range = {ACC: acc_range_g, GYRO: gyr_range_dps}
        self._t_last = {ACC: _UNKNOWN, GYRO: _UNKNOWN}
        self._factor_bits = {ACC: _UNKNOWN, GYRO: _UNKNOWN}
        self._join = Join(min(_HOLE_NS, round(2.5 * NS_PER_S / rate_hz)), SAMPLES_MAX)
        self._battery = -1

    @property
    def capabilities(self) -> Capabilities:
        """Nanoseconds since 2000 by the sensor's own calendar, which may be wrong and jump; bonding is needed."""
        return Capabilities(CLOCK, None, self._rate_hz, SAMPLES_MAX, needs_bond=True)

    def match(self, advert: Advert) -> float:
        """The name tells a Verity Sense from Polar's other sensors, which have no gyroscope."""
        return 0.9 if (advert.name or "").startswith("Polar Sense ") else 0.0

    def notify_uuids(self) -> Sequence[str]:
        """Answers first, so that none is missed; battery last."""
        return (CONTROL_UUID, DATA_UUID, BATTERY_UUID)

    def start(self) -> Sequence[Step]:
        """Stop what an earlier session left, switch to SDK mode where the settings need it, start both streams."""
        streams = [start_command(kind, round(self._rate_hz), self._range[kind]) for kind in (GYRO, ACC)]
        commands = (stop_command(ACC), stop_command(GYRO), *([SDK_MODE_ON] if self._sdk_mode else []), *streams)
        return tuple(Step(CONTROL_UUID, command) for command in commands)

    def stop(self) -> Sequence[Step]:
        """End both streams."""
        return (Step(CONTROL_UUID, stop_command(ACC)), Step(CONTROL_UUID, stop_command(GYRO)))

    def reset(self) -> None:
        """Forget times and waiting samples. The factors stay: they belong to the device, and each start tells them anew."""
        self._t_last = {ACC: _UNKNOWN, GYRO: _UNKNOWN}
        self._join.reset()
        self._battery = -1

    def snapshot(self) -> dict[str, int]:
        """Plain numbers; a factor as the integer of its 32 bits."""
        return self._join.snapshot() | {
            "t_acc": self._t_last[ACC],
            "t_gyro": self._t_last[GYRO],
            "factor_acc": self._factor_bits[ACC],
            "factor_gyro": self._factor_bits[GYRO],
            "battery": self._battery,
        }

    def restore(self, state: dict[str, int]) -> None:
        """Take `snapshot`'s numbers back."""
        self._join.restore(state)
        self._t_last = {ACC: state["t_acc"], GYRO: state["t_gyro"]}
        self._factor_bits = {ACC: state["factor_acc"], GYRO: state["factor_gyro"]}
        self._battery = state["battery"]

    def feed(self, uuid: str, payload: bytes, rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        """Decode one notification: samples as far as both streams have come, the battery, or the reason why not."""
        if uuid == DATA_UUID:
            return self._data(payload, rx_mono_ns, rx_utc_ns)
        if uuid == CONTROL_UUID:
            return self._answer(payload)
        if uuid == BATTERY_UUID:
            return self._level(payload)
        return [Rejected(f"characteristic {uuid} carries no data of a Polar sensor", payload)]

    def _level(self, payload: bytes) -> list[Decoded]:
        if len(payload) != 1 or payload[0] > 100:
            return [Rejected("a battery level is one byte, 0 to 100", payload)]
        if payload[0] == self._battery:
            return []
        self._battery = payload[0]
        return [Battery(float(payload[0]))]

    def _answer(self, payload: bytes) -> list[Decoded]:
        try:
            kind, factor_bits = read_answer(payload)
        except FrameError as e:
            return [Rejected(str(e), payload)]
        if factor_bits and kind in self._factor_bits:
            self._factor_bits[kind] = factor_bits
        return []

    def _data(self, payload: bytes, rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        if len(payload) <= _HEADER.size:
            return [Rejected(f"{len(payload)} bytes; a message has more than {_HEADER.size}", payload)]
        kind, t, frame_type = _HEADER.unpack_from(payload)
        if kind not in self._range:
            return [Rejected(f"measurement {kind} was not asked for", payload)]
        if t >= _LATEST_NS:
            return [Rejected(f"time {t} ns is no time of this sensor", payload)]
        try:
            factor = factor_of(self._factor_bits[kind])
            values = decode_content(kind, frame_type, payload[_HEADER.size :], factor, self._range[kind])
        except FrameError as e:
            return [Rejected(str(e), payload)]
        if not (np.abs(values) <= _LIMIT[kind]).all():  # NaN fails this too
            return [Rejected("values that no range of the sensor reaches", payload)]
        if t == self._t_last[kind]:
            return [Rejected("a message came twice", payload)]
        ticks = self._times(kind, t, len(values))
        if kind == ACC:
            joined = self._join.add_acc(ticks, values * GRAVITY_MPS2)
        else:
            joined = self._join.add_gyr(ticks, values * (math.pi / 180))
        if joined is None:
            return []
        t_dev, acc_mps2, gyr_rps = joined
        return [ImuBatch(t_dev, None, rx_mono_ns, rx_utc_ns, acc_mps2, gyr_rps)]

    def _times(self, kind: int, t: int, n: int) -> I64:
        """Times of n samples of which the last is at ``t``: even from the last message's, or at the nominal rate."""
        period = NS_PER_S / self._rate_hz
        before = self._t_last[kind]
        if before != _UNKNOWN and abs((t - before) / n / period - 1.0) <= _PERIOD_TOLERANCE:
            period = (t - before) / n
        self._t_last[kind] = t
        before_last: I64 = np.rint(np.arange(n - 1, -1, -1) * period).astype(np.int64)
        return t - before_last
