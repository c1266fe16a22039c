"""What a MetaMotion's on-board fusion says, as evidence beside our own orientation; no stream of ours asks for it.

Beside `metamotion`. A message is module 0x19, a register that names the quantity, and float32 values.
"""

from __future__ import annotations

from struct import Struct
from types import MappingProxyType
from typing import Final

FUSION: Final = 0x19

_VECTOR: Final = Struct("<3f")
_VECTOR_ACCURACY: Final = Struct("<3fB")
_FOUR: Final = Struct("<4f")
_QUANTITIES: Final = MappingProxyType(
    {
        4: ("acc_mg", _VECTOR_ACCURACY),
        5: ("gyr_dps", _VECTOR_ACCURACY),
        6: ("mag_ut", _VECTOR_ACCURACY),
        7: ("q_wxyz", _FOUR),
        8: ("heading_pitch_roll_yaw_deg", _FOUR),
        9: ("gravity_mps2", _VECTOR),
        10: ("linear_acc_mps2", _VECTOR),
    }
)


def decode_fusion(payload: bytes) -> tuple[str, tuple[float, ...]]:
    """The quantity's name with its unit, and its values (corrected vectors with an accuracy 0..3 as the fourth).

    Raises ValueError where the payload is no such message.
    """
    if len(payload) < 2 or payload[0] != FUSION or payload[1] not in _QUANTITIES:
        raise ValueError("no message of the on-board fusion")
    name, layout = _QUANTITIES[payload[1]]
    if len(payload) != 2 + layout.size:
        raise ValueError(f"{len(payload)} bytes; {name} has {2 + layout.size}")
    return name, layout.unpack_from(payload, 2)
