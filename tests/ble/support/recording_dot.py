"""A virtual Movella DOT as a logger: settings, battery and message service; the memory is `dot_memory`.

`RecordingDot` is on the simulated radio. `Wired` is the same sensor without one, for what takes an hour of samples: it stands
where the gateway has its adapter.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from struct import unpack_from
from typing import ClassVar

from sensor_gateway.clock import Clock
from sensor_gateway.drivers.base import Advert, Step
from sensor_gateway.drivers.dot_payload import MEDIUM_UUID, dot_uuid
from sensor_gateway.radio.link import LinkError
from tests.ble.support.air import Air
from tests.ble.support.dot_memory import IDLE, DotMemory
from tests.ble.support.peripheral import NOTIFY, READ, WRITE, Peripheral

CONTROL, ACK, MESSAGES = dot_uuid(0x7001), dot_uuid(0x7002), dot_uuid(0x7003)
SETTINGS, MEASURE, BATTERY = dot_uuid(0x1002), dot_uuid(0x2001), dot_uuid(0x3001)
_STALE_ACK = bytes.fromhex("02020300f9")  # of the synchronisation service


class Logger:
    """What the sensor does with what is written and read. Its time is the world's ``clock``, so that an hour passes in a moment."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.memory, self.battery = clock, DotMemory(), 83
        self.per_turn = 40  # packets of an export
        self._told: list[bytes] = []

    @property
    def world_s(self) -> float:
        return self.clock.mono_ns() / 1e9

    def wrote(self, name: str, value: bytes) -> None:
        memory = self.memory
        if name == SETTINGS and memory.state == IDLE and value[0] & 0x10:
            memory.rate_hz = float(unpack_from("<H", value, 24)[0])
        elif name == CONTROL:
            # Switched on so long ago that its clock wraps within the first minute of a recording.
            self._told += memory.command(value, self.world_s, round(self.world_s * 1e6) % 20_000_000 - 40_000_000)

    def asked(self, name: str) -> bytes:
        if name == BATTERY:
            return bytes([self.battery, 0])
        if self.memory.ack_is_stale > 0:
            self.memory.ack_is_stale -= 1
            return _STALE_ACK
        return self.memory.ack

    def turn(self) -> list[bytes]:
        told, self._told = self._told + self.memory.pass_by(self.world_s), []
        return told + self.memory.packets(self.per_turn)


class RecordingDot(Peripheral):
    """A `Logger` over a simulated radio."""

    services: ClassVar = {
        dot_uuid(0x1000): {SETTINGS: [WRITE]},
        dot_uuid(0x2000): {MEASURE: [WRITE], MEDIUM_UUID: [NOTIFY]},
        dot_uuid(0x3000): {BATTERY: [NOTIFY, READ]},
        dot_uuid(0x7000): {CONTROL: [WRITE], ACK: [READ], MESSAGES: [NOTIFY]},
    }
    turn_s = 0.005
    advertised_name = "Movella DOT"

    def __init__(self, air: Air, address: str, logger: Logger) -> None:
        self.logger = logger
        super().__init__(air, address)

    def wrote(self, name: str, value: bytes) -> None:
        self.logger.wrote(name, value)

    def asked(self, name: str) -> bytes:
        return self.logger.asked(name)

    def turn(self) -> list[tuple[str, bytes]]:
        return [(MESSAGES, raw) for raw in self.logger.turn()]


class Wired:
    """A `Logger` at a wire: adapter and link in one. ``away``: it is not found. ``breaks_after``: packets until the link breaks."""

    def __init__(self, logger: Logger, address: str) -> None:
        self.logger, self.address = logger, address
        self.away = False
        self.breaks_after: int | None = None
        self.subscribed: list[str] = []

    async def find(self, matches: Callable[[Advert], bool], _timeout_s: float) -> object | None:
        advert = Advert(self.address, "Movella DOT", (), {}, -50)
        return self if matches(advert) and not self.away else None

    @asynccontextmanager
    async def connect(self, _found: object) -> AsyncIterator[Wired]:
        self.disconnected = asyncio.Event()
        turns = asyncio.create_task(self._turns())
        try:
            yield self
        finally:
            turns.cancel()
            await asyncio.gather(turns, return_exceptions=True)

    async def _turns(self) -> None:
        sent = 0
        while not self.disconnected.is_set():
            for raw in self.logger.turn():
                if sent == self.breaks_after:
                    self.disconnected.set()
                    return
                sent += raw[2] in (0x71, 0x76)
                self._on_payload(MESSAGES, raw)
            await asyncio.sleep(0)

    async def subscribe(self, uuids: Sequence[str], on_payload: Callable[[str, bytes], None]) -> None:
        self.subscribed, self._on_payload = list(uuids), on_payload

    async def read(self, uuid: str) -> bytes:
        self._check()
        return self.logger.asked(uuid)

    async def write(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self._check()
            self.logger.wrote(step.uuid, step.payload)

    def _check(self) -> None:
        if self.disconnected.is_set():
            raise LinkError("the connection ended", "ended")
