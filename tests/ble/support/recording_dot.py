"""A virtual Movella DOT as a logger over a simulated radio: settings, battery and message service; the memory is `dot_memory`."""

from __future__ import annotations

from struct import unpack_from
from typing import ClassVar

from sensor_gateway.clock import Clock
from sensor_gateway.drivers.dot_payload import MEDIUM_UUID, dot_uuid
from tests.ble.support.air import Air
from tests.ble.support.dot_memory import IDLE, DotMemory
from tests.ble.support.peripheral import NOTIFY, READ, WRITE, Peripheral

CONTROL, ACK, MESSAGES = dot_uuid(0x7001), dot_uuid(0x7002), dot_uuid(0x7003)
SETTINGS, MEASURE, BATTERY = dot_uuid(0x1002), dot_uuid(0x2001), dot_uuid(0x3001)


class RecordingDot(Peripheral):
    """Its time is the world's ``clock``, so that an hour of recording can pass in a moment; packets go out ``per_turn`` at once."""

    services: ClassVar = {
        dot_uuid(0x1000): {SETTINGS: [WRITE]},
        dot_uuid(0x2000): {MEASURE: [WRITE], MEDIUM_UUID: [NOTIFY]},
        dot_uuid(0x3000): {BATTERY: [NOTIFY, READ]},
        dot_uuid(0x7000): {CONTROL: [WRITE], ACK: [READ], MESSAGES: [NOTIFY]},
    }
    turn_s = 0.005
    advertised_name = "Movella DOT"

    def __init__(self, air: Air, address: str, clock: Clock, memory: DotMemory | None = None) -> None:
        self.clock, self.memory = clock, memory or DotMemory()
        self.battery, self.per_turn = 83, 40
        self._told: list[bytes] = []
        super().__init__(air, address)

    @property
    def world_s(self) -> float:
        return self.clock.mono_ns() / 1e9

    def wrote(self, name: str, value: bytes) -> None:
        memory = self.memory
        if name == SETTINGS and memory.state == IDLE and value[0] & 0x10:
            memory.rate_hz = float(unpack_from("<H", value, 24)[0])
        elif name == CONTROL:
            # Switched on so long ago that its clock wraps within the first minute of a recording.
            self._told += memory.command(value, self.world_s, round(self.world_s * 1e6) + 2**32 - 20_000_000)

    def asked(self, name: str) -> bytes:
        if name == BATTERY:
            return bytes([self.battery, 0])
        if self.memory.ack_is_stale > 0:
            self.memory.ack_is_stale -= 1
            return bytes.fromhex("0202030 0f9".replace(" ", ""))
        return self.memory.ack

    def turn(self) -> list[tuple[str, bytes]]:
        told, self._told = self._told + self.memory.pass_by(self.world_s), []
        told += self.memory.packets(self.per_turn)
        return [(MESSAGES, raw) for raw in told]
