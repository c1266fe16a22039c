"""Sensors whose messages are packed or have a checksum: Capture2Go, Polar Verity Sense, the open profile (see `make`).

As the makers' documents describe them, written apart from our drivers: no constant comes from there.
"""

from __future__ import annotations

import math
from struct import pack, unpack_from
from typing import ClassVar
from zlib import crc32

from tests.ble.support.make import Make, Packet, RefusedError, digits

G = 9.80665


def c2g_frame(header: int, payload: bytes = b"") -> bytes:
    checked = pack("<H", header) + payload
    return b"\x02" + pack("<IB", crc32(checked), len(payload)) + checked


class Capture2Go(Make):
    """Design notes, section 1: a FIFO that is cut anywhere; goes on measuring into it while nobody is connected."""

    RX, TX = "80030002-e629-4c98-9324-aa7fc0c66de7", "80030003-e629-4c98-9324-aa7fc0c66de7"
    services: ClassVar = {"80030001-e629-4c98-9324-aa7fc0c66de7": {RX: ("write",), TX: ("notify",)}}
    advertised = ("80030001-e629-4c98-9324-aa7fc0c66de7",)
    acc, gyr = 16 * 9.81 / 32768, math.radians(2000) / 32768
    batch = 8
    tells_twice = False  # pieces of a stream of bytes

    def boot(self) -> None:
        self.fifo: list[tuple[bytes, tuple[int, ...]]] = []
        self.zero_ns = 978_307_200 * 10**9  # its battery was flat: 2001
        self.set_s = self.boot_s

    def connected(self) -> None:
        self.subscribed = set()

    def time_ns(self, t_s: float) -> int:
        return self.zero_ns + round((t_s - self.set_s) * (1 + self.clock_off) * 1e9)

    def say(self, header: int, payload: bytes = b"") -> None:
        self.fifo.append((c2g_frame(header, payload), ()))

    def wrote(self, value: bytes) -> None:
        header = unpack_from("<H", value, 6)[0]
        if value != c2g_frame(header, value[8:]):
            raise RefusedError
        if header == 0x0158:
            self.measuring, self.fifo = False, []
            self.say(0x0159)
        elif header == 0x0170:
            self.zero_ns, self.set_s = unpack_from("<q", value, 8)[0], self.now()
            self.say(0x0171, value[8:])
        elif header == 0x0120:
            self.say(0x0122, value[8:])
        elif header == 0x0150:
            self.begin()
            self.say(0x0151)
        elif header == 0x0200:
            self.say(0x0201, pack("<qBB3hBBB", self.time_ns(self.now()), 1, 2, 0, 0, 0, 0, 77, 90))

    def packets(self, t_s: float) -> list[Packet]:
        numbers = self.measure(t_s, 8)
        rows = [d for k in numbers for d in digits(k)]
        body = pack("<q24h24hQhB", self.time_ns(t_s), *rows, *rows, 0, 0, 0)
        self.fifo = [*self.fifo, (c2g_frame(0x0232, body), tuple(numbers))][-400:]
        return []

    def turn(self) -> list[Packet]:
        super().turn()
        if self.TX not in self.subscribed:
            return []
        out = []
        while self.fifo:
            frame, numbers = self.fifo.pop(0)
            cut = 1 + len(self.truth) % max(1, len(frame) - 1)
            out.append(Packet(self.TX, b"\xff" + frame[:cut]))
            out.append(Packet(self.TX, b"\xff" + frame[cut:], numbers))
        return out


class Verity(Make):
    """Section 5: two streams with the time of a message's last sample, in differences."""

    CONTROL, DATA = "fb005c81-02e7-f387-1cad-8acd2d8df0c8", "fb005c82-02e7-f387-1cad-8acd2d8df0c8"
    LEVEL = "00002a19-0000-1000-8000-00805f9b34fb"
    services: ClassVar = {
        "fb005c80-02e7-f387-1cad-8acd2d8df0c8": {CONTROL: ("read", "write", "indicate"), DATA: ("notify",)},
        "0000180f-0000-1000-8000-00805f9b34fb": {LEVEL: ("read", "notify")},
    }
    name = "Polar Sense C1234567"
    rate_hz = 52.0
    acc, gyr = 8 * G / 32768, math.radians(2000 / 32768)
    batch = 18
    WIDTH = 11

    def boot(self) -> None:
        self.on: set[int] = set()

    def connected(self) -> None:
        super().connected()
        self.on = set()

    def wrote(self, value: bytes) -> None:
        op, kind, status, settings = value[0], value[1], 0, b""
        if op == 2 and kind in (2, 5):
            if kind in self.on:
                status = 6
            else:
                self.on.add(kind)
                factor = 8000 / 32768 if kind == 2 else 2000 / 32768
                settings = b"\x05\x01" + pack("<f", factor)
                if not self.measuring:
                    self.begin()
        elif op == 3:
            status = 0 if kind in self.on else 6
            self.on.discard(kind)
            self.measuring = bool(self.on)
        self.answers.append(Packet(self.CONTROL, bytes([0xF0, op, kind, status, 0]) + settings))

    def packets(self, t_s: float) -> list[Packet]:
        numbers = self.measure(t_s, self.batch)
        rows = [digits(k) for k in numbers]
        t_ns = 600_000_000 * 10**9 + round(self.clock_s(t_s + (self.batch - 1) * self.period_s) * 1e9)
        bits = "".join(
            format((b - a) & (2**self.WIDTH - 1), f"0{self.WIDTH}b")[::-1]
            for old, new in zip(rows, rows[1:], strict=False)
            for a, b in zip(old, new, strict=True)
        )
        bits += "0" * (-len(bits) % 8)
        deltas = bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))
        content = pack("<3h", *rows[0]) + bytes([self.WIDTH, len(rows) - 1]) + deltas
        out = [Packet(self.DATA, pack("<BQB", 5, t_ns, 0x80) + content)] if 5 in self.on else []
        return out + (
            [Packet(self.DATA, pack("<BQB", 2, t_ns, 0x81) + content, tuple(numbers))] if 2 in self.on else []
        )


def crc16(data: bytes) -> int:
    value = 0xFFFF
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value


class OpenClip(Make):
    """docs/open_profile.md, without a history."""

    DATA, CONTROL = "51d0c832-9964-4223-9a85-10b556a70002", "51d0c832-9964-4223-9a85-10b556a70003"
    services: ClassVar = {"51d0c832-9964-4223-9a85-10b556a70001": {DATA: ("notify",), CONTROL: ("read", "write")}}
    advertised = ("51d0c832-9964-4223-9a85-10b556a70001",)
    acc, gyr = 8 * G / 32768, math.radians(1000) / 32768
    batch = 10

    def wrote(self, value: bytes) -> None:
        if value == b"\0":
            self.measuring = False
        elif value == bytes.fromhex("0164000a0808"):
            if not self.measuring:
                self.begin()
        else:
            raise RefusedError

    def packets(self, t_s: float) -> list[Packet]:
        numbers = self.measure(t_s, 10)
        # What was not measured for anybody is counted too: by the clock.
        seq = round((t_s - self.boot_s) / self.period_s)
        head = pack(
            "<BBHIHHBBBBH",
            0x54, 0x10, seq % 65536, *reversed(divmod(round(self.clock_s(t_s) * 1e6), 2**32)), round(self.period_s * 1e6), 10, 87, 8, 8, 0
        )  # fmt: skip
        rows = pack("<60h", *(d for k in numbers for d in digits(k) * 2))
        return [Packet(self.DATA, head + pack("<H", crc16(head + rows)) + rows, tuple(numbers))]
