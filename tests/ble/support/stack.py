"""A radio and a Bluetooth stack for sensors of `make`, in the time of `warp`: bleak's own client and scanner on top, faults below.

Delivery is by connection events, in order; what a fade holds back comes late; what waits when the link breaks is lost, and so is what a full
sensor cannot keep. ``refuse_*`` count how often the stack will say no.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from bleak.backends.adapter import BaseBleakAdapter
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError

from sensor_gateway.radio.host import AdapterInfo
from sensor_gateway.radio.link import Backends
from tests.ble.support.make import Make, Packet, RefusedError

ADDRESS = "C0:00:00:00:00:21"
QUEUE = 120  # packets that a sensor keeps while the link is bad


class World:
    """One sensor, one adapter, the air between them. ``arrived``: numbers of the samples that were handed to the gateway."""

    def __init__(self, make: Make, chance: random.Random, interval_s: float) -> None:
        self.make, self.chance, self.interval_s = make, chance, interval_s
        self.in_range = True
        self.faded = self.stalled = self.doubles = False
        self.refuse_connecting = self.refuse_subscribing = self.refuse_writing = 0
        self.client: StackClient | None = None
        self.ended: list[StackClient] = []
        self.queue: deque[Packet] = deque()
        self.arrived: list[int] = []
        self.last: Packet | None = None

    async def radio(self) -> None:
        """Connection events, for as long as the world stands."""
        while True:
            await asyncio.sleep(self.interval_s)
            if self.client is None:
                continue
            if not self.stalled:
                fresh = [p for p in self.make.turn() if p.uuid in self.make.subscribed]
                self.queue.extend(fresh[: max(0, QUEUE - len(self.queue))])
            for _ in range(6):
                if self.faded or not self.queue or self.client is None:
                    break
                self.deliver(self.queue.popleft())

    def deliver(self, packet: Packet) -> None:
        assert self.client is not None
        self.arrived += packet.samples
        self.last = packet
        for _ in range(1 + self.doubles):
            self.client.hear(packet)
        # A client whose sensor hung up before it was closed hears on, as in bleak 3.0.2 to 3.1.0.
        for client in self.ended:
            client.hear(packet)

    def late(self) -> None:
        """The stack hands a payload of an earlier connection to the client of then."""
        for client in self.ended[-1:]:
            if self.last is not None:
                client.hear(self.last)

    def break_link(self) -> None:
        client, self.client = self.client, None
        self.queue.clear()
        if client is not None:
            self.ended.append(client)
            client.dropped()

    def backends(self) -> Backends:
        own = {"world": self}
        kinds = (type("Client", (StackClient,), own), type("Scanner", (StackScanner,), own))
        return Backends(*kinds, StackAdapter, StackHost())


class StackHost:
    """An adapter that is always there."""

    async def adapters(self) -> list[AdapterInfo]:
        return [AdapterInfo("hci0", "F0:F1:F2:F3:F4:F5", True)]

    async def power(self, _name: str, _on: bool) -> None:
        pass

    async def forget(self, _name: str, _address: str, _bond_too: bool = False) -> None:
        pass


class StackAdapter(BaseBleakAdapter):
    @classmethod
    async def get(cls, **_kwargs: Any) -> StackAdapter:
        return cls()

    async def get_connected_devices(self, _service_uuids: frozenset[str]) -> list[BLEDevice]:
        return []


class StackScanner(BaseBleakScanner):
    world: ClassVar[World]

    def __init__(self, detection_callback: Any, service_uuids: Any, *_args: Any, **_kwargs: Any) -> None:
        super().__init__(detection_callback, service_uuids)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.seen_devices = {}
        self._task = asyncio.create_task(self._hear())

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _hear(self) -> None:
        make = self.world.make
        while True:
            await asyncio.sleep(self.world.chance.uniform(0.05, 0.4))
            if self.world.in_range and self.world.client is None:
                company = {0x0886: b""} if make.name == "Movella DOT" else {}
                data = AdvertisementData(make.name, company, {}, list(make.advertised), None, -60, ())
                device = self.create_or_update_device(ADDRESS, ADDRESS, make.name, {}, data)
                self.call_detection_callbacks(device, data)


class StackClient(BaseBleakClient):
    world: ClassVar[World]

    def __init__(self, address_or_ble_device: Any, *, disconnected_callback: Any, timeout: float, **_kw: Any) -> None:
        super().__init__(address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout)
        self.callbacks: dict[str, Callable[[bytearray], None]] = {}

    @property
    def name(self) -> str:
        return self.address

    @property
    def mtu_size(self) -> int:
        return 23

    @property
    def is_connected(self) -> bool:
        return self.world.client is self

    def hear(self, packet: Packet) -> None:
        if packet.uuid in self.callbacks:
            self.callbacks[packet.uuid](bytearray(packet.payload))

    def dropped(self) -> None:
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    async def connect(self, *_args: Any, **_kwargs: Any) -> None:
        w = self.world
        await asyncio.sleep(w.chance.uniform(0.05, 0.6))
        if w.refuse_connecting > 0:
            w.refuse_connecting -= 1
            raise BleakError("le-connection-abort-by-local")
        if not w.in_range or w.client is not None:
            await asyncio.sleep(self._timeout)
            raise TimeoutError
        w.client, w.faded = self, False
        w.make.connected()
        found = BleakGATTServiceCollection()
        handle = 1
        for service_uuid, members in w.make.services.items():
            service = BleakGATTService(None, handle, service_uuid)
            found.add_service(service)
            for uuid, properties in members.items():
                handle += 2
                found.add_characteristic(
                    BleakGATTCharacteristic(None, handle, uuid, list(properties), lambda: 244, service)
                )
            handle += 1
        self.services = found

    async def disconnect(self) -> None:
        w = self.world
        await asyncio.sleep(0.02)
        if self in w.ended:
            w.ended.remove(self)
        if w.client is self:
            w.client = None
            w.queue.clear()
            self.dropped()
        self.services = None

    async def _asked(self) -> None:
        await asyncio.sleep(self.world.interval_s * 2)
        if not self.is_connected:
            raise BleakError("Not connected")

    async def start_notify(self, characteristic: BleakGATTCharacteristic, callback: Any, **_kwargs: Any) -> None:
        await self._asked()
        if self.world.refuse_subscribing > 0:
            self.world.refuse_subscribing -= 1
            raise BleakError("[org.bluez.Error.Failed] Operation failed with ATT error: 0x0e")
        self.callbacks[characteristic.uuid] = callback
        self.world.make.subscribed.add(characteristic.uuid)

    async def write_gatt_char(self, _characteristic: Any, data: Any, *_args: Any, **_kwargs: Any) -> None:
        await self._asked()
        if self.world.refuse_writing > 0:
            self.world.refuse_writing -= 1
            raise BleakError("[org.bluez.Error.Failed] Operation failed with ATT error: 0x03")
        try:
            self.world.make.wrote(bytes(data))
        except RefusedError as e:
            raise BleakError("[org.bluez.Error.Failed] Operation failed with ATT error: 0x80") from e

    async def read_gatt_char(self, *_args: Any, **_kwargs: Any) -> bytearray:
        raise BleakError("Read not permitted")

    async def pair(self, *_args: Any, **_kwargs: Any) -> None:
        await self._asked()

    async def unpair(self) -> None:
        raise NotImplementedError

    async def read_gatt_descriptor(self, *_args: Any, **_kwargs: Any) -> bytearray:
        raise NotImplementedError

    async def write_gatt_descriptor(self, *_args: Any) -> None:
        raise NotImplementedError

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        self.callbacks.pop(characteristic.uuid, None)
