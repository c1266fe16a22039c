"""bleak backends on a bumble central, so that the gateway's own bleak code runs without a kernel or D-Bus.

They repeat one fault of the real stack on purpose: a client whose sensor hung up and that is not disconnected keeps its
subscription, and notifications of the next connection arrive there too (bleak 3.0.2 to 3.1.0 on BlueZ).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from bleak.backends.adapter import BaseBleakAdapter
from bleak.backends.characteristic import BleakGATTCharacteristic, GattCharacteristicsFlags
from bleak.backends.client import BaseBleakClient
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
)
from bleak.uuids import normalize_uuid_str
from bumble import att, hci
from bumble.core import UUID, AdvertisingData, CommandTimeoutError
from bumble.core import ConnectionError as BumbleConnectionError
from bumble.core import TimeoutError as BumbleTimeoutError
from bumble.device import Advertisement, Connection, Device, DeviceConfiguration, Peer
from bumble.hci import Address

from sensor_gateway.radio.host import AdapterInfo, HostError
from sensor_gateway.radio.link import Backends
from tests.ble.support.air import Air, SimController

TYPE = AdvertisingData.Type
UUIDS_128 = (TYPE.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS, TYPE.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS)

NAMES = (TYPE.COMPLETE_LOCAL_NAME, TYPE.SHORTENED_LOCAL_NAME)


def uuid_text(value: UUID) -> str:
    raw = bytes(value.uuid_bytes)
    return str(uuid.UUID(bytes=raw[::-1])) if len(raw) == 16 else normalize_uuid_str(value.to_hex_str())


def address_text(address: Address) -> str:
    return str(address).split("/")[0]


CENTRAL_ADDRESS = "F0:F1:F2:F3:F4:F5"


class Central:
    """The gateway's end of the air, and what its stack counts. ``hci``: a controller elsewhere instead of one in ``air``."""

    def __init__(self, air: Air | None, hci: Any = None) -> None:
        controller = SimController("central", link=air) if hci is None else None
        config = DeviceConfiguration(name="gateway", address=Address(CENTRAL_ADDRESS))
        source, sink = (controller, controller) if hci is None else (hci.source, hci.sink)
        self.device = Device.from_config_with_hci(config, source, sink)
        self.host = SimHost(self)
        self.connecting = asyncio.Lock()
        self.scans = 0  # begun so far
        self.most_at_once = 0  # scans and connection attempts under way together
        self.busy = 0
        self.scans_running = 0
        self.not_closed: list[SimClient] = []  # their sensor hung up, and nobody called disconnect

    @contextlib.contextmanager
    def occupied(self) -> Any:
        self.busy += 1
        self.most_at_once = max(self.most_at_once, self.busy)
        try:
            yield
        finally:
            self.busy -= 1

    def backends(self) -> Backends:
        own = {"central": self}
        return Backends(
            type("Client", (SimClient,), own),
            type("Scanner", (SimScanner,), own),
            type("Adapter", (SimAdapter,), own),
            self.host,
        )

    def check(self) -> None:
        """As the stack does, refuse where the adapter is absent, off, or nobody serves it."""
        self.host.check_service()
        if not self.host.plugged_in or not self.host.powered:
            reason = BleakBluetoothNotAvailableReason.POWERED_OFF
            raise BleakBluetoothNotAvailableError("No powered Bluetooth adapters found.", reason)


class SimHost:
    """The operating system's side: an adapter that can be unplugged, switched, renumbered, and a service that can die."""

    def __init__(self, central: Central) -> None:
        self._central = central
        self.name = "hci0"
        self.plugged_in = self.powered = self.serving = True
        self.switched: list[bool] = []
        self.forgotten: list[str] = []  # adapter and address
        self.bonds: set[str] = set()  # addresses of sensors that it has keys of
        self.cannot_be_freed = False
        self.stuck = False  # the controller takes no more connection commands until it is switched off and on

    def check_service(self) -> None:
        if not self.serving:
            raise BleakError("org.freedesktop.DBus.Error.ServiceUnknown: the name org.bluez is not served")

    async def adapters(self) -> list[AdapterInfo]:
        if not self.serving:
            raise HostError("the Bluetooth service does not answer; is it running?")
        return [AdapterInfo(self.name, CENTRAL_ADDRESS, self.powered)] if self.plugged_in else []

    async def power(self, name: str, on: bool) -> None:
        if not (self.serving and self.plugged_in and name == self.name):
            raise HostError(f"no adapter {name}")
        self.switched.append(on)
        self.powered = on
        self.stuck = self.stuck and (on or self.cannot_be_freed)
        if not on:
            await self.drop_links()

    async def forget(self, name: str, address: str, bond_too: bool = False) -> None:
        self.forgotten.append(f"{name} {address}")
        if bond_too:
            self.bonds.discard(address)

    async def unplug(self) -> None:
        self.plugged_in = False
        await self.drop_links()

    def replug(self, name: str) -> None:
        """It comes back under another number, and off or on as it was."""
        self.plugged_in, self.name = True, name

    async def kill_service(self) -> None:
        self.serving = False
        await self.drop_links()

    async def drop_links(self) -> None:
        for connection in list(self._central.device.connections.values()):
            with contextlib.suppress(hci.HCI_Error, BumbleConnectionError):
                await connection.disconnect()


class SimAdapter(BaseBleakAdapter):
    central: ClassVar[Central]

    @classmethod
    async def get(cls, **_kwargs: Any) -> SimAdapter:
        return cls()

    async def get_connected_devices(self, _service_uuids: frozenset[str]) -> list[BLEDevice]:
        connections = self.central.device.connections.values()
        return [BLEDevice(address_text(c.peer_address), None, {"connection": c}) for c in connections]


class SimScanner(BaseBleakScanner):
    central: ClassVar[Central]

    def __init__(self, detection_callback: Any, service_uuids: Any, *_args: Any, **_kwargs: Any) -> None:
        super().__init__(detection_callback, service_uuids)
        self._occupied = contextlib.ExitStack()

    async def start(self) -> None:
        self.central.check()
        self._occupied.enter_context(self.central.occupied())
        self.seen_devices = {}
        self.central.device.on("advertisement", self._on_advertisement)
        await self.central.device.start_scanning(filter_duplicates=False)
        self.central.scans_running += 1
        self.central.scans += 1

    async def stop(self) -> None:
        self.central.device.remove_listener("advertisement", self._on_advertisement)
        await self.central.device.stop_scanning()
        self.central.scans_running -= 1
        self._occupied.close()
        self.central.check()

    def _on_advertisement(self, seen: Advertisement) -> None:
        uuids = [
            uuid_text(UUID.from_bytes(raw[i : i + 16]))
            for kind, raw in seen.data.ad_structures
            if kind in UUIDS_128
            for i in range(0, len(raw), 16)
        ]
        names = [raw.decode(errors="replace") for kind, raw in seen.data.ad_structures if kind in NAMES]
        makers = [raw for kind, raw in seen.data.ad_structures if kind == TYPE.MANUFACTURER_SPECIFIC_DATA]
        made_by = {int.from_bytes(raw[:2], "little"): bytes(raw[2:]) for raw in makers}
        data = AdvertisementData(names[0] if names else None, made_by, {}, uuids, None, seen.rssi, (seen,))
        address = address_text(seen.address)
        device = self.create_or_update_device(address, address, None, {"address": seen.address}, data)
        self.call_detection_callbacks(device, data)


class SimClient(BaseBleakClient):
    central: ClassVar[Central]

    def __init__(
        self, address_or_ble_device: BLEDevice | str, *, disconnected_callback: Any, timeout: float, **_kwargs: Any
    ) -> None:
        super().__init__(address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout)
        if not isinstance(address_or_ble_device, BLEDevice):
            raise BleakDeviceNotFoundError(address_or_ble_device, "the gateway connects only what a scan has found")
        self._device = address_or_ble_device
        self._bus: tuple[socket.socket, socket.socket] | None = None  # as bleak, a descriptor that `disconnect` closes
        self._connection: Connection | None = None
        self._callbacks: dict[str, Callable[[bytearray], None]] = {}

    @property
    def name(self) -> str:
        return self.address

    @property
    def mtu_size(self) -> int:
        return 23  # what BlueZ says, whatever was agreed

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    async def connect(self, *_args: Any, **_kwargs: Any) -> None:
        self.central.check()
        self._bus = socket.socketpair()
        known = self._device.details.get("connection")
        if known is not None:
            self._connection = known
            return
        try:
            async with asyncio.timeout(self._timeout):
                with self.central.occupied():
                    await self._connect()
                await self._discover()
        except BaseException:
            await self.disconnect()
            raise

    async def _connect(self) -> None:
        if self.central.connecting.locked():
            raise BleakError("Operation already in progress")
        if self.central.host.stuck:
            raise BleakError("le-connection-abort-by-local: Command Disallowed")
        async with self.central.connecting:
            try:
                connection = await self.central.device.connect(self._device.details["address"], timeout=None)
            except asyncio.CancelledError:
                with contextlib.suppress(hci.HCI_Error):
                    await self.central.device.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())
                raise
            except (BumbleTimeoutError, CommandTimeoutError, BumbleConnectionError, hci.HCI_Error) as e:
                raise BleakError(f"connection failed: {e}") from e
        self._connection = connection
        connection.on("disconnection", self._on_disconnection)

    async def _discover(self) -> None:
        peer = Peer(self._connection)
        await peer.request_mtu(247)
        await peer.discover_services()
        found = BleakGATTServiceCollection()
        for service in peer.services:
            ours = BleakGATTService(service, service.handle, uuid_text(service.uuid))
            found.add_service(ours)
            await service.discover_characteristics()
            for item in service.characteristics:
                flags = [f.name.replace("_", "-") for f in GattCharacteristicsFlags if f.value & int(item.properties)]
                characteristic = BleakGATTCharacteristic(
                    item, item.handle - 1, uuid_text(item.uuid), flags, lambda: 244, ours
                )
                found.add_characteristic(characteristic)
                for descriptor in await item.discover_descriptors():
                    found.add_descriptor(
                        BleakGATTDescriptor(descriptor, descriptor.handle, uuid_text(descriptor.type), characteristic)
                    )
        self.services = found

    def _on_disconnection(self, _reason: int) -> None:
        if self._connection is None:
            return
        self._connection = None
        self.central.not_closed.append(self)
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    async def disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if self in self.central.not_closed:
            self.central.not_closed.remove(self)
        bus, self._bus = self._bus, None
        for end in bus or ():
            end.close()
        if connection is not None:
            await connection.disconnect()

    async def pair(self, *_args: Any, **_kwargs: Any) -> None:
        if self.address in self.central.host.bonds:
            raise BleakError("[org.bluez.Error.AlreadyExists] Already Exists")
        await self._do(lambda: self._connection.pair() if self._connection else None)
        self.central.host.bonds.add(self.address)

    async def unpair(self) -> None:
        raise NotImplementedError

    async def _do(self, action: Any) -> Any:
        if self._connection is None:
            raise BleakError("Not connected")
        try:
            return await action()
        except att.ATT_Error as e:
            raise BleakGATTProtocolError(e.error_code) from e
        except (asyncio.CancelledError, BumbleTimeoutError) as e:
            if self._connection is None:
                raise BleakError("disconnected during the operation") from e
            raise

    async def read_gatt_char(self, characteristic: BleakGATTCharacteristic, **_kwargs: Any) -> bytearray:
        return bytearray(await self._do(characteristic.obj.read_value))

    async def write_gatt_char(self, characteristic: BleakGATTCharacteristic, data: Any, response: bool) -> None:
        await self._do(lambda: characteristic.obj.write_value(bytes(data), with_response=response))

    async def read_gatt_descriptor(self, descriptor: BleakGATTDescriptor, **_kwargs: Any) -> bytearray:
        return bytearray(await self._do(descriptor.obj.read_value))

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: Any) -> None:
        await self._do(lambda: descriptor.obj.write_value(bytes(data), with_response=True))

    async def start_notify(self, characteristic: BleakGATTCharacteristic, callback: Any, **_kwargs: Any) -> None:
        def deliver(value: bytes) -> None:
            callback(bytearray(value))
            for stale in self.central.not_closed:
                if stale is not self and stale.address == self.address and characteristic.uuid in stale._callbacks:
                    stale._callbacks[characteristic.uuid](bytearray(value))

        self._callbacks[characteristic.uuid] = callback
        await self._do(lambda: characteristic.obj.subscribe(deliver))

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        await self._do(characteristic.obj.unsubscribe)
