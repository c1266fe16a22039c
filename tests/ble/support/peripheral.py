"""A simulated peripheral of any make: services, writes that come in, notifications that go out, and hanging up."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import ClassVar

from bumble.core import AdvertisingData
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.hci import Address

from tests.ble.support.air import Air, SimController

NOTIFY, WRITE, WRITE_SILENTLY = "notify", "write", "write-without-response"
_PROPERTIES = {
    NOTIFY: Characteristic.Properties.NOTIFY,
    WRITE: Characteristic.Properties.WRITE,
    WRITE_SILENTLY: Characteristic.Properties.WRITE_WITHOUT_RESPONSE,
}


class Peripheral:
    """``services``: service to characteristics to properties. A make overrides `wrote`, `connected` and `turn`.

    `turn` is called every ``turn_s`` while a connection is up and gives what is to be notified; ``sent`` counts that.
    Time is taken from ``now_s``, seconds since the sensor was switched on.
    """

    services: ClassVar[Mapping[str, Mapping[str, Sequence[str]]]]
    turn_s: ClassVar[float]

    def __init__(self, air: Air, address: str) -> None:
        self.air, self.address = air, address
        self.commands: list[tuple[str, bytes]] = []
        self.sent = 0
        self._boot_s = time.monotonic()
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self.controller = SimController(f"sensor-{address}", link=air)
        own = Address(address, Address.RANDOM_DEVICE_ADDRESS)
        config = DeviceConfiguration(
            name="sensor", address=own, advertising_interval_min=100, advertising_interval_max=100
        )
        self.device = Device.from_config_with_hci(config, self.controller, self.controller)
        first = uuid.UUID(next(iter(self.services))).bytes[::-1]
        self.device.advertising_data = bytes(
            AdvertisingData(
                [
                    (AdvertisingData.Type.FLAGS, bytes([0x06])),
                    (AdvertisingData.Type.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS, first),
                ]
            )
        )
        assert len(self.device.advertising_data) <= 31
        self._characteristics: dict[str, Characteristic[bytes]] = {}
        for service, members in self.services.items():
            made = [self._characteristic(name, properties) for name, properties in members.items()]
            self.device.add_services([Service(service, made)])
        self.device.on("connection", self._on_connection)

    def wrote(self, name: str, value: bytes) -> None:
        """A write came in."""

    def connected(self) -> None:
        """A connection has begun."""

    def turn(self) -> list[tuple[str, bytes]]:
        """What is to be notified now: characteristic and bytes."""
        raise NotImplementedError

    @property
    def now_s(self) -> float:
        return time.monotonic() - self._boot_s

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    def subscribed(self, name: str) -> bool:
        """Whether the gateway has asked for notifications of a characteristic."""
        if self._connection is None:
            return False
        wanted = self.device.gatt_server.subscribers.get(self._connection, {})
        return bool(wanted.get(self._characteristics[name].handle, b"\0")[0] & 1)

    async def power_on(self) -> None:
        await self.device.power_on()
        await self.device.start_advertising()
        self._task = asyncio.create_task(self._stream())

    async def power_off(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def hang_up(self) -> None:
        """End the connection from this side."""
        if self._connection is not None:
            await self._connection.disconnect()

    def _characteristic(self, name: str, properties: Sequence[str]) -> Characteristic[bytes]:
        flags = Characteristic.Properties(0)
        for word in properties:
            flags |= _PROPERTIES[word]

        def write(_connection: Connection, value: bytes) -> None:
            self.commands.append((name, bytes(value)))
            self.wrote(name, bytes(value))

        made: Characteristic[bytes] = Characteristic(
            name, flags, Characteristic.WRITEABLE, CharacteristicValue(write=write)
        )
        self._characteristics[name] = made
        return made

    def _on_connection(self, connection: Connection) -> None:
        self._connection = connection
        connection.on("disconnection", self._on_disconnection)
        self.connected()

    def _on_disconnection(self, _reason: int) -> None:
        self._connection = None
        self._advertising = asyncio.get_running_loop().create_task(self.device.start_advertising())

    async def _stream(self) -> None:
        began, turns = time.monotonic(), 0
        while True:
            turns += 1
            await asyncio.sleep(max(0.0, began + turns * self.turn_s - time.monotonic()))
            if self._connection is None:
                continue
            for name, payload in self.turn():
                if self.subscribed(name):
                    await self.device.notify_subscribers(self._characteristics[name], payload)
                    self.sent += 1
