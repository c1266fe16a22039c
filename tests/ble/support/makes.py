"""Sensors whose messages are plain: Movella DOT, WitMotion, Movesense, MetaMotionS (see `make`).

As the makers' documents describe them, written apart from our drivers: no constant comes from there.
"""

from __future__ import annotations

import math
from struct import pack, unpack_from
from typing import ClassVar

from tests.ble.support.make import Make, Packet, RefusedError, digits

G = 9.80665


def dot(number: str) -> str:
    return f"1517{number}-4947-11e9-8646-d663bd873d93"


class Dot(Make):
    """Section 2: floats, microseconds in 32 bits, that wrap soon after it was switched on."""

    DEVICE, CONTROL, MEDIUM, BATTERY = dot("1002"), dot("2001"), dot("2003"), dot("3001")
    services: ClassVar = {
        dot("1000"): {DEVICE: ("read", "write")},
        dot("2000"): {CONTROL: ("read", "write"), MEDIUM: ("notify",)},
        dot("3000"): {BATTERY: ("read", "notify")},
    }
    name = "Movella DOT"
    rate_hz = 60.0
    acc, gyr = 0.1, math.radians(1)

    def wrote(self, value: bytes) -> None:
        if len(value) == 32:
            if self.measuring or unpack_from("<H", value, 24)[0] != 60:
                raise RefusedError
        elif value == bytes([1, 1, 21]):
            if self.MEDIUM not in self.subscribed:
                raise RefusedError
            self.begin()
        elif value[:2] == bytes([1, 0]):
            self.measuring = False
        else:
            raise RefusedError

    def packets(self, t_s: float) -> list[Packet]:
        (number,) = self.measure(t_s, 1)
        x, y, z = digits(number)
        t_us = (2**32 - 20_000_000 + round(self.clock_s(t_s) * 1e6)) % 2**32
        body = pack("<I6f", t_us, x * 0.1, y * 0.1, z * 0.1, x, y, z)
        return [Packet(self.MEDIUM, body.ljust(40, b"\0"), (number,))]


class WitMotion(Make):
    """Section 3: no clock, no count; sends while connected, at 10 Hz until it is told another rate."""

    NOTIFY, WRITE = "0000ffe4-0000-1000-8000-00805f9a34fb", "0000ffe9-0000-1000-8000-00805f9a34fb"
    services: ClassVar = {
        "0000ffe5-0000-1000-8000-00805f9a34fb": {NOTIFY: ("notify",), WRITE: ("write-without-response",)}
    }
    name = "WT901BLE67"
    acc, gyr = 16 * G / 32768, math.radians(2000) / 32768
    dated = tells_twice = False

    def boot(self) -> None:
        self.code, self.unlocked = 0x06, False
        self.rate_hz = 10.0

    def connected(self) -> None:
        super().connected()
        self.begin()

    def wrote(self, value: bytes) -> None:
        if value == bytes.fromhex("ffaa6988b5"):
            self.unlocked = True
        elif value[2] == 0x27:
            register = value[3]
            told = {0x03: self.code, 0x64: 389}.get(register, 0)
            self.answers.append(Packet(self.NOTIFY, b"\x55\x71" + pack("<H8h", register, told, *[0] * 7)))
        elif value[2] == 0x03 and self.unlocked:
            self.answers = self.turn()  # at the rate of before
            self.code, self.rate_hz = value[3], {6: 10.0, 7: 20.0, 8: 50.0, 9: 100.0, 11: 200.0}[value[3]]

    def packets(self, t_s: float) -> list[Packet]:
        (number,) = self.measure(t_s, 1)
        row = digits(number)
        return [Packet(self.NOTIFY, b"\x55\x61" + pack("<9h", *row, *row, 0, 0, 0), (number,))]


class Movesense(Make):
    """Section 4: thirteen messages a second, milliseconds since it was switched on."""

    WRITE, NOTIFY = "34800001-7185-4d5d-b431-630e7050e8f0", "34800002-7185-4d5d-b431-630e7050e8f0"
    services: ClassVar = {"34802252-7185-4d5d-b431-630e7050e8f0": {WRITE: ("write",), NOTIFY: ("notify",)}}
    name = "Movesense 174630000192"
    rate_hz = 52.0
    acc, gyr = 0.1, math.radians(1)
    batch = 4

    def wrote(self, value: bytes) -> None:
        op, reference = value[0], value[1]
        if op == 0:
            self.answers.append(Packet(self.NOTIFY, bytes([1, reference]) + b"\x01174630000192\0"))
            return
        if op == 1:
            if value[2:].rstrip(b"\0") != b"/Meas/IMU6/52":
                raise RefusedError
            self.reference = reference
            self.begin()
        elif op == 2:
            self.measuring = False
        self.answers.append(Packet(self.NOTIFY, bytes([1, reference]) + pack("<H", 200) + b"\x48" * (op == 4)))

    def packets(self, t_s: float) -> list[Packet]:
        numbers = self.measure(t_s, 4)
        acc = [d * 0.1 for k in numbers for d in digits(k)]
        gyr = [float(d) for k in numbers for d in digits(k)]
        body = pack("<I24f", round(self.clock_s(t_s) * 1000) % 2**32, *acc, *gyr)
        message = bytes([2, self.reference]) + body
        return [Packet(self.NOTIFY, message, tuple(numbers))]


class MetaMotionS(Make):
    """Section 6, BMI270: two streams of three samples, no clock; silent until torn down and set up again."""

    WRITE, NOTIFY = "326a9001-85cb-9195-d9dd-464cfbbae75a", "326a9006-85cb-9195-d9dd-464cfbbae75a"
    services: ClassVar = {
        "326a9000-85cb-9195-d9dd-464cfbbae75a": {WRITE: ("write", "write-without-response"), NOTIFY: ("notify",)}
    }
    advertised = ("326a9000-85cb-9195-d9dd-464cfbbae75a",)
    acc, gyr = G / 4096, math.radians(1 / 32.8)
    batch = 3
    dated = tells_twice = False
    NEEDED = frozenset(bytes.fromhex(x) for x in ("030101", "130101", "03020100", "13020100", "030501", "130501"))

    def boot(self) -> None:
        self.done: set[bytes] = set()

    def connected(self) -> None:
        super().connected()
        self.done = set()

    def wrote(self, value: bytes) -> None:
        if value == b"\x0b\x0a":
            self.done, self.measuring = {value}, False
        elif value in (b"\x03\x80", b"\x13\x80"):
            self.answers.append(Packet(self.NOTIFY, value + (b"\x04\x00" if value[0] == 3 else b"\x01\x00")))
        elif value == b"\x11\x8c":
            self.answers.append(Packet(self.NOTIFY, value + pack("<BH", 64, 3870)))
        elif value in self.NEEDED and b"\x0b\x0a" in self.done:
            self.done.add(value)
            if self.done >= self.NEEDED and not self.measuring:
                self.begin()

    def packets(self, t_s: float) -> list[Packet]:
        numbers = self.measure(t_s, 3)
        rows = pack("<9h", *(d for k in numbers for d in digits(k)))
        return [Packet(self.NOTIFY, b"\x13\x05" + rows), Packet(self.NOTIFY, b"\x03\x05" + rows, tuple(numbers))]
