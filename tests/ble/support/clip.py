"""A virtual pelvis clip: the open profile on a simulated peripheral, with the faults a real clip has."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid

import numpy as np
from bumble.att import ATT_Error
from bumble.core import AdvertisingData
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.hci import Address

from sensor_gateway.drivers.open_profile import CONTROL_UUID, DATA_UUID, SERVICE_UUID, encode_frames
from tests.ble.support.air import Air, SimController

GRAVITY = np.array([0.0, 0.0, 9.80665])
REFUSED = 0x80


class Clip:
    """Streams ten samples a notification after a start command, numbers them through, and counts what it sent."""

    def __init__(self, air: Air, address: str, rate_hz: float = 100.0) -> None:
        self.air, self.address, self.rate_hz = air, address, rate_hz
        self.stalled = False
        self.start_cures_stall = False
        self.refuses_start = False
        self.streaming = False
        self.commands: list[bytes] = []
        self.sent: list[int] = []  # sequence number of each notification that left the clip
        self._seq = 0
        self._boot_s = time.monotonic()
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self.controller = SimController(f"clip-{address}", link=air)
        own = Address(address, Address.RANDOM_DEVICE_ADDRESS)
        config = DeviceConfiguration(
            name="clip", address=own, advertising_interval_min=100, advertising_interval_max=100
        )
        self.device = Device.from_config_with_hci(config, self.controller, self.controller)
        self.device.advertising_data = bytes(
            AdvertisingData(
                [
                    (AdvertisingData.Type.FLAGS, bytes([0x06])),
                    (
                        AdvertisingData.Type.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
                        uuid.UUID(SERVICE_UUID).bytes[::-1],
                    ),
                ]
            )
        )
        assert len(self.device.advertising_data) <= 31  # the kernel drops longer ones, a simulation would not
        properties = Characteristic.Properties
        self._data: Characteristic[bytes] = Characteristic(DATA_UUID, properties.NOTIFY, 0, b"")
        control: Characteristic[bytes] = Characteristic(
            CONTROL_UUID,
            properties.WRITE | properties.READ,
            Characteristic.READABLE | Characteristic.WRITEABLE,
            CharacteristicValue(read=lambda _: bytes([1, self.streaming]), write=self._on_control),
        )
        self.device.add_services([Service(SERVICE_UUID, [self._data, control])])
        self.device.on("connection", self._on_connection)

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

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

    def leave(self) -> None:
        """Walk out of range: both ends lose the connection, and nothing is heard any more."""
        self.air.out_of_range.add(self.controller)
        self.air.supervision_timeout(self.controller)

    def come_back(self) -> None:
        self.air.out_of_range.discard(self.controller)

    def _on_control(self, _connection: Connection, value: bytes) -> None:
        self.commands.append(bytes(value))
        if value[0] == 0:
            self.streaming = False
        elif value[0] == 1 and len(value) == 6 and not self.refuses_start:
            self.streaming = True
            if self.start_cures_stall:
                self.stalled = False
        else:
            raise ATT_Error(REFUSED)

    def _on_connection(self, connection: Connection) -> None:
        self._connection = connection
        connection.on("disconnection", self._on_disconnection)

    def _on_disconnection(self, _reason: int) -> None:
        self._connection = None
        self.streaming = False
        self._advertising = asyncio.get_running_loop().create_task(self.device.start_advertising())

    async def _stream(self) -> None:
        period_s = 10 / self.rate_hz
        began = time.monotonic()
        turn = 0
        while True:
            turn += 1
            await asyncio.sleep(max(0.0, began + turn * period_s - time.monotonic()))
            seq, self._seq = self._seq, self._seq + 10
            if not self.streaming or self.stalled or self._connection is None:
                continue
            t_us = (time.monotonic() - self._boot_s) * 1e6
            acc, gyr = np.tile(GRAVITY, (10, 1)), np.zeros((10, 3))
            (frame,) = encode_frames(seq, t_us, acc, gyr, 90, period_us=1e6 / self.rate_hz)
            await self.device.notify_subscribers(self._data, frame)
            self.sent.append(seq & 0xFFFF)
