"""One scan for all who search on an adapter, running only while somebody does.

A scan comes in slices, so that a connection gets its turn between them; it never runs beside a connection attempt, since
BlueZ answers the second of two operations with "in progress". Whoever only listens (`listen`) hears what a scan hears, but
does not start one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from bleak import BleakScanner
from bleak.args.bluez import BlueZScannerArgs
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakBluetoothNotAvailableError, BleakBluetoothNotAvailableReason

from sensor_gateway.config import RadioLimits
from sensor_gateway.drivers.base import Advert
from sensor_gateway.radio.bus_errors import NO_RIGHTS
from sensor_gateway.radio.link import STACK_ERRORS, Backends, Found, LinkError, text_of

log = logging.getLogger(__name__)

Matches = Callable[[Advert], bool]


class Adapter(Protocol):
    """What the scanner needs of the adapter it scans with."""

    limits: RadioLimits
    backends: Backends
    air: asyncio.Lock

    async def name(self) -> str: ...
    async def scanned(self, heard: bool, slice_s: float) -> None: ...


@dataclass(eq=False, slots=True)
class _Search:
    matches: Matches
    found: asyncio.Future[Found] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Scanner:
    """The one scanner of an adapter."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._searches: set[_Search] = set()
        self._listeners: set[Callable[[Found], None]] = set()
        self._scan: asyncio.Task[None] | None = None
        self._hit = asyncio.Event()
        self._heard = False

    @property
    def scanning(self) -> bool:
        """True while somebody searches, and so the adapter scans."""
        return bool(self._searches)

    async def find(self, matches: Matches, timeout_s: float) -> Found | None:
        """The first advertisement that ``matches``; None after ``timeout_s``. Raises `LinkError`."""
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

    @contextmanager
    def listen(self, on_found: Callable[[Found], None]) -> Iterator[None]:
        """Hear every advertisement while a scan runs for whomever."""
        self._listeners.add(on_found)
        try:
            yield
        finally:
            self._listeners.discard(on_found)

    async def _scan_while_wanted(self) -> None:
        limits = self._adapter.limits
        while self._searches:
            try:
                async with self._adapter.air, asyncio.timeout(limits.scan_slice_s + 2 * limits.close_s):
                    await self._scan_slice()
            except LinkError as e:
                self._fail(str(e))
            except BleakBluetoothNotAvailableError as e:
                denied = e.reason is BleakBluetoothNotAvailableReason.DENIED_BY_SYSTEM
                absent = f"Bluetooth is off or absent ({e.args[0]}); switch it on or plug the adapter in"
                self._fail(NO_RIGHTS if denied else absent)
            except FileNotFoundError:  # the D-Bus socket: no bus, so no BlueZ behind it
                self._fail("no Bluetooth service on this machine; install and start BlueZ (apt-get install bluez)")
            except STACK_ERRORS as e:
                self._fail(f"scanning failed: {text_of(e)}")
            await asyncio.sleep(limits.scan_pause_s)

    async def _scan_slice(self) -> None:
        name = await self._adapter.name()
        scanner = BleakScanner(
            self._on_advert,
            bluez=BlueZScannerArgs(adapter=name) if name else BlueZScannerArgs(),
            backend=self._adapter.backends.scanner,
        )
        self._hit.clear()
        if not self._searches:
            return
        self._heard = False
        began_s = asyncio.get_running_loop().time()
        await scanner.start()
        try:
            async with asyncio.timeout(self._adapter.limits.scan_slice_s):
                await self._gather()
        except TimeoutError:
            pass
        finally:
            await scanner.stop()
        await self._adapter.scanned(self._heard, asyncio.get_running_loop().time() - began_s)

    async def _gather(self) -> None:
        """Return once one is found (or given up), and a moment later where more are looked for: they often come together."""
        await self._hit.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._adapter.limits.scan_gather_s):
                while any(not search.found.done() for search in self._searches):
                    self._hit.clear()
                    await self._hit.wait()

    def _on_advert(self, device: BLEDevice, data: AdvertisementData) -> None:
        self._heard = True
        advert = Advert(
            device.address, data.local_name, tuple(data.service_uuids), dict(data.manufacturer_data), data.rssi
        )
        found = Found(device, advert)
        for on_found in tuple(self._listeners):
            on_found(found)
        for search in self._searches:
            if not search.found.done() and search.matches(advert):
                search.found.set_result(found)
                self._hit.set()

    def _fail(self, reason: str) -> None:
        for search in self._searches:
            if not search.found.done():
                search.found.set_exception(LinkError(reason, "adapter"))
