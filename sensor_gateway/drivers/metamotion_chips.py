"""Registers, codes and command sequences of a MetaMotion's two possible motion chips. Used by `metamotion`.

A command is module u8, register u8, values; a set top bit of the register reads it, and the answer repeats both bytes.
The numbers are those of the vendor's C++ SDK and its tests; that 13 05 is a single sample on one chip and a packed message
on the other is no error here.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

ACC: Final = 0x03
GYRO: Final = 0x13
INFO: Final = 0x80  # read of register 0: which chip, which revision
PACKED: Final = 3  # samples of a packed message
RATE_CODES: Final = MappingProxyType({25: 6, 50: 7, 100: 8, 200: 9})
ACC_LSB_PER_G: Final = MappingProxyType({2: 16384, 4: 8192, 8: 4096, 16: 2048})
GYR_LSB_PER_DPS: Final = MappingProxyType({2000: 16.4, 1000: 32.8, 500: 65.6, 250: 131.2, 125: 262.4})
ASK_BATTERY: Final = bytes([0x11, 0x8C])
BATTERY_TOLD: Final = ASK_BATTERY

_POWER, _SAMPLING, _CONFIG = 1, 2, 3
_GYR_CODES: Final = {dps: code for code, dps in enumerate(GYR_LSB_PER_DPS)}
_GYR_MODE: Final = 0x20  # normal bandwidth
_LOGGING_OFF: Final = bytes([0x0B, 1, 0])
_REMOVE_ALL: Final = (bytes([0x09, 0x08]), bytes([0x0A, 0x05]), bytes([0x0B, 0x0A]))  # processors, events, loggers


@dataclass(frozen=True, slots=True)
class Chip:
    """``single``, ``packed``: data registers by module; ``implementation``: how the sensor's answer names the chip;
    ``acc_ranges``: codes by range [g]; ``acc_mode``: filter bits beside the rate; ``log_in_pages``: the board keeps the newest log
    entries in memory, and none of them can be read, until their page is full or is told to be written.
    """

    single: dict[int, int]
    packed: dict[int, int]
    implementation: dict[int, int]
    acc_ranges: dict[int, int]
    acc_mode: int
    log_in_pages: bool = False


CHIPS: Final = MappingProxyType(
    {
        "bmi160": Chip({ACC: 4, GYRO: 5}, {ACC: 0x1C, GYRO: 7}, {ACC: 1, GYRO: 0}, {2: 3, 4: 5, 8: 8, 16: 12}, 0x20),
        "bmi270": Chip({ACC: 4, GYRO: 4}, {ACC: 5, GYRO: 5}, {ACC: 4, GYRO: 1}, {2: 0, 4: 1, 8: 2, 16: 3}, 0xA0, True),
    }
)


def tear_down(chip: Chip) -> list[bytes]:
    """Both sensors off and unsubscribed, logging off, and everything removed that runs on the board."""
    off = [bytes([module, _POWER, 0]) for module in (ACC, GYRO)]
    off += [bytes([module, _SAMPLING, 0, 1]) for module in (ACC, GYRO)]
    off += [bytes([m, register[m], 0]) for m in (ACC, GYRO) for register in (chip.single, chip.packed)]
    return [*off, _LOGGING_OFF, *_REMOVE_ALL]


def ask_chip() -> list[bytes]:
    """Which chip is it?"""
    return [bytes([ACC, INFO]), bytes([GYRO, INFO])]


def set_up(chip: Chip, rate_hz: int, acc_range_g: int, gyr_range_dps: int) -> list[bytes]:
    """Rate and range of both sensors, and the subscription to packed data."""
    odr = RATE_CODES[rate_hz]
    return [
        bytes([ACC, _CONFIG, chip.acc_mode | odr, chip.acc_ranges[acc_range_g]]),
        bytes([GYRO, _CONFIG, _GYR_MODE | odr, _GYR_CODES[gyr_range_dps]]),
        bytes([GYRO, chip.packed[GYRO], 1]),
        bytes([ACC, chip.packed[ACC], 1]),
    ]


def run() -> list[bytes]:
    """Sample, and power on; the slower starter first."""
    sample = [bytes([module, _SAMPLING, 1, 0]) for module in (GYRO, ACC)]
    return sample + [bytes([module, _POWER, 1]) for module in (GYRO, ACC)]
