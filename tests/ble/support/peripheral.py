"""A simulated peripheral of any make: services, writes that come in, notifications that go out, and what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import ClassVar

from bumble.att import ATT_Error, Attribute, ErrorCode
from bumble.core import AdvertisingData
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import (
    GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR,
    Characteristic,
    CharacteristicValue,
    Service,
)
from bumble.hci import Address

from tests.ble.support.air import Air, SimController

NOTIFY, WRITE, WRITE_SILENTLY, READ = "notify", "write", "write-without-response", "read"
_PROPERTIES = {
    READ: Characteristic.Properties.READ,
    NOTIFY: Characteristic.Properties.NOTIFY,
    WRITE: Characteristic.Properties.WRITE,
    WRITE_SILENTLY: Characteristic.Properties.WRITE_WITHOUT_RESPONSE,
}
INFORMATION_SERVICE = "0000180a-0000-1000-8000-00805f9b34fb"
FIRMWARE_UUID = "00002a26-0000-1000-8000-00805f9b34fb"
SERIAL_UUID = "00002a25-0000-1000-8000-00805f9b34fb"


class Peripheral:
    """``services``: service to characteristics to properties. A make overrides `boot`, `wrote`, `asked`, `connected` and `turn`.

    `turn` is called every ``turn_s`` while a connection is up and gives what is to be notified; ``notified`` counts that.
    Time is taken from ``now_s``, seconds since the sensor was switched on. ``information``: what the device information
    service tells, where there is one. ``wants_bond``: subscriptions are refused until the gateway has paired.
    """

    services: ClassVar[Mapping[str, Mapping[str, Sequence[str]]]]
    turn_s: float
    information: ClassVar[Mapping[str, str]] = {}
    advertised_name: str = ""

    def __init__(self, air: Air, address: str, advertising_ms: int = 100) -> None:
        self.air, self.address = air, address
        self.writes: list[tuple[str, bytes]] = []
        self.notified = 0
        self.stalled = False
        self.wants_bond = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._boot_s = time.monotonic()
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self.controller = SimController(f"sensor-{address}", link=air)
        own = Address(address, Address.RANDOM_DEVICE_ADDRESS)
        config = DeviceConfiguration(
            name="sensor",
            address=own,
            advertising_interval_min=advertising_ms,
            advertising_interval_max=advertising_ms,
        )
        self.device = Device.from_config_with_hci(config, self.controller, self.controller)
        self._advertise()
        self._characteristics: dict[str, Characteristic[bytes]] = {}
        for service, members in self.services.items():
            made = [self._characteristic(name, properties) for name, properties in members.items()]
            self.device.add_services([Service(service, made)])
        if self.information:
            read = Characteristic.Properties.READ
            texts = [Characteristic(k, read, Characteristic.READABLE, v.encode()) for k, v in self.information.items()]
            self.device.add_services([Service(INFORMATION_SERVICE, texts)])
        self.device.on("connection", self._on_connection)
        self.boot()

    def boot(self) -> None:
        """The state of a sensor that has just been switched on."""

    def wrote(self, name: str, value: bytes) -> None:
        """A write came in."""

    def asked(self, name: str) -> bytes:
        """What is read from a characteristic that has READ."""
        raise NotImplementedError(name)

    def connected(self) -> None:
        """A connection has begun."""

    def turn(self) -> list[tuple[str, bytes]]:
        """What is to be notified now: characteristic and bytes."""
        raise NotImplementedError

    def left(self, payload: bytes) -> None:
        """A notification has left the sensor."""

    @property
    def commands(self) -> list[tuple[str, bytes]]:
        """All writes so far: characteristic and bytes."""
        return self.writes

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
        if self.wants_bond:
            for attribute in self.device.gatt_server.attributes:
                if attribute.type == GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR:
                    attribute.permissions |= Attribute.WRITE_REQUIRES_ENCRYPTION
        await self.device.power_on()
        await self.device.start_advertising()
        self._task = asyncio.create_task(self._stream())

    async def power_off(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def fall_silent(self) -> None:
        """Send nothing any more; returns when what was measured has left."""
        self.stalled = True
        await self._idle.wait()

    async def hang_up(self) -> None:
        """End the connection from this side."""
        if self._connection is not None:
            await self._connection.disconnect()

    def leave(self) -> None:
        """Walk out of range: both ends lose the connection, and nothing is heard any more."""
        self.air.out_of_range.add(self.controller)
        self.air.supervision_timeout(self.controller)

    def come_back(self) -> None:
        self.air.out_of_range.discard(self.controller)

    def fade(self) -> None:
        """A body in the path: the link layer repeats what does not get through, so it is late, never lost."""
        self.air.hold(self.controller)

    def clear_up(self) -> None:
        """What waited arrives in a burst."""
        self.air.release(self.controller)

    def reboot(self) -> None:
        """Switched off and on: the link is lost, settings and clock begin anew."""
        self.air.supervision_timeout(self.controller)
        self._boot_s = time.monotonic()
        self.boot()

    def _advertise(self) -> None:
        kind = AdvertisingData.Type
        parts = [(kind.FLAGS, bytes([0x06]))]
        if self.advertised_name:
            parts.append((kind.COMPLETE_LOCAL_NAME, self.advertised_name.encode()))
        else:
            first = uuid.UUID(next(iter(self.services))).bytes[::-1]
            parts.append((kind.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS, first))
        self.device.advertising_data = bytes(AdvertisingData(parts))
        assert len(self.device.advertising_data) <= 31  # the kernel drops longer ones, a simulation would not

    def _characteristic(self, name: str, properties: Sequence[str]) -> Characteristic[bytes]:
        flags = Characteristic.Properties(0)
        for word in properties:
            flags |= _PROPERTIES[word]

        def write(connection: Connection, value: bytes) -> None:
            self._needs_bond(connection)
            self.writes.append((name, bytes(value)))
            self.wrote(name, bytes(value))

        permissions = Characteristic.WRITEABLE | (Characteristic.READABLE if READ in properties else 0)
        value = CharacteristicValue(read=lambda _: self.asked(name), write=write)
        made: Characteristic[bytes] = Characteristic(name, flags, permissions, value)
        self._characteristics[name] = made
        return made

    def _needs_bond(self, connection: Connection) -> None:
        if self.wants_bond and not connection.is_encrypted:
            raise ATT_Error(ErrorCode.INSUFFICIENT_AUTHENTICATION)

    def _on_connection(self, connection: Connection) -> None:
        self._connection = connection
        connection.on("disconnection", self._on_disconnection)
        self.connected()

    def _on_disconnection(self, _reason: int) -> None:
        self._connection = None
        self._advertising = asyncio.get_running_loop().create_task(self.device.start_advertising())

    async def _stream(self) -> None:
        due_s = time.monotonic()
        while True:
            due_s += self.turn_s
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            if self._connection is None or self.stalled:
                continue
            self._idle.clear()
            for name, payload in self.turn():
                if self.subscribed(name):
                    await self.device.notify_subscribers(self._characteristics[name], payload)
                    self.notified += 1
                    self.left(payload)
            self._idle.set()
