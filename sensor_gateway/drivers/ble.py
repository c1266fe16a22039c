"""The radio: one adapter shared by all sensors, and one connection at a time through `bleak`.

`session.py` decides what to do; this module does it, with every wait bounded and every error a `LinkError` with one
sentence. It never parses a payload. What it must get right against real Bluetooth stacks:

* scanning and connecting exclude each other on an adapter, and only one connection is attempted at a time: BlueZ answers
  a second one with "in progress" (`Radio`);
* a device object of an earlier scan is not used again: after a failure the stack may have forgotten it;
* `BleakClient.disconnect` is called after *every* connection, also after one that the sensor ended: bleak 3.1 otherwise
  keeps its bus open, and each later notification arrives twice, then three times (hbldh/bleak #2002);
* a connection left behind by a process that was killed hides the sensor from scans until it is closed (`Radio.free`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from bleak import BleakAdapter, BleakClient, BleakScanner
from bleak.args.bluez import BlueZAdapterArgs, BlueZClientArgs, BlueZScannerArgs
from bleak.backends.adapter import BaseBleakAdapter
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.exc import BleakBluetoothNotAvailableError, BleakError

from sensor_gateway.drivers.base import Advert, Step

log = logging.getLogger(__name__)

_STACK_ERRORS: Final = (BleakError, OSError, EOFError, KeyError)
"""What bleak and the bus below it raise when a connection goes wrong; TimeoutError is an OSError."""


class LinkError(Exception):
    """The connection could not be made or kept; the text is one sentence for the log and the status page."""


@dataclass(frozen=True, slots=True)
class Backends:
    """Which radio stack bleak speaks to; None is the platform's own. Tests put a simulated controller here."""

    client: type[BaseBleakClient] | None = None
    scanner: type[BaseBleakScanner] | None = None
    adapter: type[BaseBleakAdapter] | None = None


@dataclass(frozen=True, slots=True)
class RadioLimits:
    """How long each step of the radio may take [s]."""

    scan_slice_s: float = 5.0  # scanning costs the connected sensors airtime, so others get their turn in between
    scan_pause_s: float = 1.0
    connect_s: float = 20.0
    connect_outer_s: float = 60.0  # bleak's own timeout has been seen not to fire
    subscribe_s: float = 10.0
    close_s: float = 12.0


@dataclass(frozen=True, slots=True)
class Found:
    """A sensor that advertises now."""

    device: BLEDevice
    advert: Advert


@dataclass(eq=False, slots=True)
class _Search:
    matches: Callable[[Advert], bool]
    found: asyncio.Future[Found] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Radio:
    """One adapter. Sessions of several sensors share it; construct one per adapter and event loop."""

    def __init__(self, adapter: str = "", backends: Backends | None = None, limits: RadioLimits | None = None) -> None:
        self.limits = limits or RadioLimits()
        self._adapter = adapter
        self._backends = backends or Backends()
        self._air = asyncio.Lock()
        self._searches: set[_Search] = set()
        self._scan: asyncio.Task[None] | None = None
        self._hit = asyncio.Event()

    async def find(self, matches: Callable[[Advert], bool], timeout_s: float) -> Found | None:
        """The first advertisement that ``matches``; None after ``timeout_s``. Concurrent searches share one scan."""
        search = _Search(matches)
        self._searches.add(search)
        if self._scan is None or self._scan.done():
            self._scan = asyncio.create_task(self._scan_while_wanted(), name="ble-scan")
        try:
            async with asyncio.timeout(timeout_s):
                return await search.found
        except TimeoutError:
            return None
        finally:
            self._searches.discard(search)
            # Not cancelled: a scan that is stopped half-way leaves the adapter scanning, or its next command waiting.
            self._hit.set()

    async def _scan_while_wanted(self) -> None:
        while self._searches:
            try:
                async with self._air, asyncio.timeout(self.limits.scan_slice_s + self.limits.close_s):
                    await self._scan_slice()
            except BleakBluetoothNotAvailableError as e:
                self._fail_searches(f"Bluetooth is off or absent ({e.args[0]}); switch it on or plug the adapter in")
            except FileNotFoundError:  # the D-Bus socket: no bus, so no BlueZ behind it
                self._fail_searches(
                    "no Bluetooth service on this machine; install and start BlueZ (apt-get install bluez)"
                )
            except _STACK_ERRORS as e:
                self._fail_searches(f"scanning failed: {_text(e)}")
            await asyncio.sleep(self.limits.scan_pause_s)

    async def _scan_slice(self) -> None:
        scanner = BleakScanner(
            self._on_advert,
            bluez=BlueZScannerArgs(adapter=self._adapter) if self._adapter else BlueZScannerArgs(),
            backend=self._backends.scanner,
        )
        self._hit.clear()
        if not self._searches:
            return
        await scanner.start()
        try:
            async with asyncio.timeout(self.limits.scan_slice_s):
                await self._hit.wait()
        except TimeoutError:
            pass
        finally:
            await scanner.stop()

    def _on_advert(self, device: BLEDevice, data: AdvertisementData) -> None:
        advert = Advert(
            device.address, data.local_name, tuple(data.service_uuids), dict(data.manufacturer_data), data.rssi
        )
        for search in self._searches:
            if not search.found.done() and search.matches(advert):
                search.found.set_result(Found(device, advert))
                self._hit.set()

    def _fail_searches(self, reason: str) -> None:
        for search in self._searches:
            if not search.found.done():
                search.found.set_exception(LinkError(reason))

    async def free(self, address: str, service_uuids: Sequence[str]) -> None:
        """Close a connection to ``address`` that an earlier process left in the operating system."""
        try:
            async with self._air, asyncio.timeout(self.limits.connect_s + self.limits.close_s):
                adapter = await BleakAdapter.get(
                    bluez=BlueZAdapterArgs(adapter=self._adapter) if self._adapter else BlueZAdapterArgs(),
                    backend=self._backends.adapter,
                )
                for device in await adapter.get_connected_devices(list(service_uuids)):
                    if device.address.upper() == address.upper():
                        client = self._client(device, lambda _: None)
                        await client.connect()
                        await client.disconnect()
                        log.warning("closed a connection that an earlier run had left open")
        except NotImplementedError:
            return  # platforms that close a process's connections when it ends
        except _STACK_ERRORS as e:
            log.debug("looking for an old connection failed: %s", _text(e))

    @asynccontextmanager
    async def connect(self, found: Found) -> AsyncIterator[Link]:
        """A connection to a sensor just found; closed on leaving in every case. Raises `LinkError`."""
        disconnected = asyncio.Event()
        client = self._client(found.device, lambda _: disconnected.set())
        link = Link(client, disconnected, self.limits)
        try:
            try:
                async with self._air, asyncio.timeout(self.limits.connect_outer_s):
                    await client.connect()
            except TimeoutError:
                raise LinkError("connecting took too long; is the sensor near and not connected elsewhere?") from None
            except _STACK_ERRORS as e:
                raise LinkError(f"connecting failed: {_text(e)}") from e
            yield link
        finally:
            await link.close()

    def _client(self, device: BLEDevice, on_disconnect: Callable[[BleakClient], None]) -> BleakClient:
        return BleakClient(
            device,
            on_disconnect,
            timeout=self.limits.connect_s,
            bluez=BlueZClientArgs(adapter=self._adapter) if self._adapter else BlueZClientArgs(),
            backend=self._backends.client,
        )


class Link:
    """An open connection. ``disconnected`` is set when the stack says that it ended."""

    def __init__(self, client: BleakClient, disconnected: asyncio.Event, limits: RadioLimits) -> None:
        self.disconnected = disconnected
        self._client = client
        self._limits = limits
        self._open = True

    async def subscribe(self, uuids: Sequence[str], on_payload: Callable[[str, bytes], None]) -> None:
        """Deliver notifications to ``on_payload`` until `close`; nothing after it. Raises `LinkError`."""

        def deliver(characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
            if self._open:
                on_payload(characteristic.uuid, bytes(data))

        for uuid in uuids:
            if self._client.services.get_characteristic(uuid) is None:
                raise LinkError(f"the device has no characteristic {uuid}; is it another kind of sensor?")
            try:
                async with asyncio.timeout(self._limits.subscribe_s):
                    await self._client.start_notify(uuid, deliver)
            except TimeoutError:
                raise LinkError("subscribing took too long") from None
            except _STACK_ERRORS as e:
                raise LinkError(f"subscribing failed: {_text(e)}") from e

    async def write(self, steps: Sequence[Step]) -> None:
        """Write each step and wait for its acknowledgement, where the characteristic gives any. Raises `LinkError`."""
        for step in steps:
            characteristic = self._client.services.get_characteristic(step.uuid)
            if characteristic is None:
                raise LinkError(f"the device has no characteristic {step.uuid}; is it another kind of sensor?")
            try:
                async with asyncio.timeout(step.timeout_s):
                    await self._client.write_gatt_char(
                        characteristic, step.payload, response="write" in characteristic.properties
                    )
                await asyncio.sleep(step.pause_s)
            except TimeoutError:
                raise LinkError(f"the sensor did not answer command {step.payload.hex()}") from None
            except _STACK_ERRORS as e:
                raise LinkError(f"the sensor refused command {step.payload.hex()}: {_text(e)}") from e

    async def close(self) -> None:
        """Disconnect, whatever happened before; needed also after the sensor has hung up (see the module)."""
        self._open = False
        try:
            async with asyncio.timeout(self._limits.close_s):
                await self._client.disconnect()
        except _STACK_ERRORS as e:
            log.warning("disconnecting failed: %s", _text(e))


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
