"""Movella DOT (also Xsens DOT): one sample a notification, floats in SI-near units, a 32-bit microsecond clock.

A `base.Driver`; stands between the journal and the pipeline. What a notification holds depends on the payload mode that
the measurement was started with (`dot_payload`); only modes with acceleration and angular rate in the sensor's own axes
(20, 21, 26) give samples. The clock wraps after 71.6 minutes and starts anew with the sensor. What `tiltline recordings` fetched
from the sensor's memory is late data, dated by `dot_book`. Source: vendor's BLE service specification XD0506P revisions E (2021)
and C (2023).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from struct import Struct
from typing import ClassVar, Final

import numpy as np

from processing.types import GRAVITY_MPS2, ClockSpec, ImuBatch
from sensor_gateway.drivers import dot_message
from sensor_gateway.drivers.base import Advert, Battery, Capabilities, Decoded, Late, Rejected, Step
from sensor_gateway.drivers.dot_book import Book
from sensor_gateway.drivers.dot_payload import PAYLOADS, decode, dot_uuid
from sensor_gateway.drivers.dot_recording import MESSAGE_UUID

CONFIG_SERVICE_UUID: Final = dot_uuid(0x1000)
DEVICE_CONTROL_UUID: Final = dot_uuid(0x1002)
CONTROL_UUID: Final = dot_uuid(0x2001)
BATTERY_UUID: Final = dot_uuid(0x3001)
COMPANY_ID: Final = 0x0886
RATES_HZ: Final = (20, 30, 60)
"""Slower ones exist (1 to 15), but not for a walking pelvis; 120 Hz is for recordings on the sensor only."""
SLEEP_MAX_MIN: Final = 30

_SANE_ACC_MPS2: Final = 20 * GRAVITY_MPS2  # the ranges are 16 g and 2000 deg/s; more is no measurement
_SANE_GYR_DPS: Final = 2500.0
_VISIT_SLEEP: Final = 0x04
_VISIT_RATE: Final = 0x10
_DEVICE_CONTROL: Final = Struct("<3B4BB16sHB5x")
_USABLE: Final = tuple(i for i, p in PAYLOADS.items() if {"acc_mps2", "gyr_dps"} <= set(p.fields))
_MODE_ON: Final = {PAYLOADS[i].uuid: i for i in (21, 26)}
"""By where it comes, not by the option: a journal from before the option was changed reads the same. 20 begins as 21."""


class MovellaDotDriver:
    """Parser of one DOT's notifications; holds the last battery level, and which packets of its recordings came.

    ``payload``: 21, or another with both quantities. ``sleep_alone_min``: minutes without a connection after which the
    sensor switches to sleep and must be woken by hand; 0 is never. Raises ValueError where the sensor has no such thing.
    """

    id: ClassVar[str] = "dot"
    version: ClassVar[int] = 1

    def __init__(self, rate_hz: float = 60.0, payload: int = 21, sleep_alone_min: int = 0) -> None:
        if rate_hz not in RATES_HZ:
            raise ValueError(f"rate_hz is {rate_hz:g}; a DOT streams at {', '.join(map(str, RATES_HZ))} Hz, set 60")
        if payload not in _USABLE:
            usable = ", ".join(map(str, _USABLE))
            raise ValueError(f"payload is {payload}; those with acceleration and angular rate are {usable}")
        if not 0 <= sleep_alone_min <= SLEEP_MAX_MIN:
            raise ValueError(f"sleep_alone_min is {sleep_alone_min}; use 1 to {SLEEP_MAX_MIN}, or 0 for never")
        self._rate_hz, self._mode, self._sleep_min = float(rate_hz), payload, sleep_alone_min
        self._battery = -1
        self._book = Book()

    @property
    def capabilities(self) -> Capabilities:
        """32-bit microseconds; no count of samples in the stream."""
        return Capabilities(ClockSpec(tick_ns=1000, bits=32), None, self._rate_hz, 1)

    def match(self, advert: Advert) -> float:
        """The company's number says more than the name, which a user can change."""
        named = (advert.name or "").startswith(("Movella D", "Xsens D"))
        ours = COMPANY_ID in advert.manufacturer_data
        return 1.0 if ours and named else 0.7 * (ours or named)

    def notify_uuids(self) -> Sequence[str]:
        """Data before battery: the sensor wants the data subscribed before the start is written."""
        return (PAYLOADS[self._mode].uuid, BATTERY_UUID)

    def start(self) -> Sequence[Step]:
        """Stop first: neither rate nor payload can be changed while it measures."""
        visit = _VISIT_SLEEP | _VISIT_RATE
        settings = _DEVICE_CONTROL.pack(
            visit, 0, 0, self._sleep_min, 0, SLEEP_MAX_MIN, 0, 0, b"", int(self._rate_hz), 0
        )
        return (*self.stop(), Step(DEVICE_CONTROL_UUID, settings), Step(CONTROL_UUID, bytes([1, 1, self._mode])))

    def stop(self) -> Sequence[Step]:
        """Stop measuring; a recording on the sensor is not touched."""
        return (Step(CONTROL_UUID, bytes([1, 0, self._mode])),)

    def reset(self) -> None:
        """Forget the battery level, so that a new connection tells it again."""
        self._battery = -1

    def snapshot(self) -> dict[str, int]:
        """The last battery level [percent], and what came of recordings."""
        return {"battery": self._battery} | self._book.snapshot()

    def restore(self, state: dict[str, int]) -> None:
        """Take `snapshot`'s numbers back."""
        self._battery = state["battery"]
        self._book.restore(state)

    def feed(self, uuid: str, payload: bytes, rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        """Decode one notification: a sample, the battery where it changed, or the reason why not."""
        if uuid == BATTERY_UUID:
            return self._charge(payload)
        if uuid == MESSAGE_UUID:
            return self._recorded(payload, rx_mono_ns, rx_utc_ns)
        mode = _MODE_ON.get(uuid)
        if mode is None:
            return [Rejected(f"characteristic {uuid} carries no acceleration and angular rate of a DOT", payload)]
        decoded = decode(mode, payload)
        if decoded is None:
            return [Rejected(f"{len(payload)} bytes; payload {mode} has {PAYLOADS[mode].layout.size}", payload)]
        t_us, fields = decoded
        acc, gyr = fields["acc_mps2"], fields["gyr_dps"]
        if beyond := _beyond(acc, gyr):
            return [Rejected(beyond, payload)]
        ticks = np.array([t_us], np.int64)
        return [ImuBatch(ticks, None, rx_mono_ns, rx_utc_ns, np.array([acc]), np.radians([gyr]))]

    def _recorded(self, payload: bytes, rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        """A message of the recording service: a sample of a recording, or what goes with one."""
        try:
            told = dot_message.decode(payload)
        except ValueError as e:
            return [Rejected(str(e), payload)]
        found = self._book.told(told)
        if found is None:
            return []
        if isinstance(found, str):
            return [Rejected(found, payload)]
        if beyond := _beyond(found.acc_mps2, found.gyr_dps):
            return [Rejected(beyond, payload)]
        acc, gyr = np.array([found.acc_mps2]), np.radians([found.gyr_dps])
        t_utc_ns = np.array([found.t_utc_ns], np.int64)
        return [Late(ImuBatch(t_utc_ns, None, rx_mono_ns, rx_utc_ns, acc, gyr), "utc")]

    def _charge(self, payload: bytes) -> list[Decoded]:
        if len(payload) < 2 or payload[0] > 100:
            return [Rejected("a battery report is a percentage and the state of charging", payload)]
        if payload[0] == self._battery:
            return []
        self._battery = payload[0]
        return [Battery(float(payload[0]))]


def _beyond(acc_mps2: tuple[float, ...], gyr_dps: tuple[float, ...]) -> str:
    """Why the values are no measurement; empty where they may be one."""
    if _sane(acc_mps2, _SANE_ACC_MPS2) and _sane(gyr_dps, _SANE_GYR_DPS):
        return ""
    return f"acceleration {acc_mps2} m/s2 or rate {gyr_dps} deg/s is beyond the sensor's range"


def _sane(values: tuple[float, ...], most: float) -> bool:
    return all(math.isfinite(value) and abs(value) <= most for value in values)
