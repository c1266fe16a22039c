"""What a Movella DOT can put into a notification: one layout for each payload mode, and its numbers.

Used by `movella_dot`, and for modes that another program has left a sensor in. Fields stand behind a time stamp in
microseconds, little-endian; zeros fill up to the characteristic's length (63, 40 or 20 bytes). Source: vendor's BLE service
specification XD0506P revision C (2023); the scale of the magnetometer is the vendor's server example's.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final


def dot_uuid(short: int) -> str:
    """The vendor's base identifier with a service's or characteristic's number in it."""
    return f"1517{short:04x}-4947-11e9-8646-d663bd873d93"


LONG_UUID: Final = dot_uuid(0x2002)
MEDIUM_UUID: Final = dot_uuid(0x2003)
SHORT_UUID: Final = dot_uuid(0x2004)

_FIELDS: Final = {
    "quat": (4, "f", 1.0),  # w, x, y, z; sensor to local earth
    "euler_deg": (3, "f", 1.0),
    "free_acc_mps2": (3, "f", 1.0),  # in local earth axes, gravity taken off: no use for inclination
    "dq": (4, "f", 1.0),
    "dv_mps": (3, "f", 1.0),
    "acc_mps2": (3, "f", 1.0),
    "gyr_dps": (3, "f", 1.0),
    "mag_au": (3, "h", 1 / 4096),
    "status": (1, "H", 1),
    "clips": (2, "B", 1),  # clipped samples of accelerometer, gyroscope
}
"""How many numbers, of which type, times what."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One way of sending: the characteristic it comes on, the fields behind the time stamp, and their bytes."""

    uuid: str
    fields: tuple[str, ...]
    layout: Struct


def _payload(uuid: str, *fields: str) -> Payload:
    return Payload(uuid, fields, Struct("<I" + "".join(f"{_FIELDS[name][0]}{_FIELDS[name][1]}" for name in fields)))


PAYLOADS: Final = {
    2: _payload(MEDIUM_UUID, "quat", "free_acc_mps2", "status", "clips"),
    3: _payload(MEDIUM_UUID, "quat", "free_acc_mps2"),
    4: _payload(SHORT_UUID, "euler_deg"),
    5: _payload(SHORT_UUID, "quat"),
    6: _payload(SHORT_UUID, "free_acc_mps2"),
    7: _payload(MEDIUM_UUID, "euler_deg", "free_acc_mps2", "status", "clips"),
    16: _payload(MEDIUM_UUID, "euler_deg", "free_acc_mps2"),
    18: _payload(MEDIUM_UUID, "dq", "dv_mps", "mag_au"),
    19: _payload(MEDIUM_UUID, "dq", "dv_mps"),
    20: _payload(MEDIUM_UUID, "acc_mps2", "gyr_dps", "mag_au"),
    21: _payload(MEDIUM_UUID, "acc_mps2", "gyr_dps"),
    22: _payload(MEDIUM_UUID, "euler_deg", "free_acc_mps2", "gyr_dps"),
    23: _payload(MEDIUM_UUID, "euler_deg", "free_acc_mps2", "mag_au"),
    24: _payload(MEDIUM_UUID, "quat", "gyr_dps"),
    26: _payload(LONG_UUID, "quat", "acc_mps2", "gyr_dps"),
}
"""Payload modes whose layout is published; 1, 17 and 25 are for the vendor's own library."""


def decode(mode: int, data: bytes) -> tuple[int, dict[str, tuple[float, ...]]] | None:
    """Time stamp [us] and the fields of a notification of payload ``mode``; None where it is too short."""
    payload = PAYLOADS[mode]
    if len(data) < payload.layout.size:
        return None
    t_us, *numbers = payload.layout.unpack_from(data)
    fields: dict[str, tuple[float, ...]] = {}
    for name in payload.fields:
        count, _, scale = _FIELDS[name]
        fields[name] = tuple(number * scale for number in numbers[:count])
        del numbers[:count]
    return t_us, fields
