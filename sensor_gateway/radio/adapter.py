"""One adapter, shared by its sensors: named by its address, one scan, one connection attempt at a time, so many links.

What it must get right against real Bluetooth stacks:

* scanning and connecting exclude each other, and only one connection is attempted at a time: BlueZ answers a second one
  with "in progress";
* a device object of an earlier scan is not used again: after a failure the stack may have forgotten it;
* an adapter that is plugged in again may come back under another name, so its address is asked for each time;
* a connection left behind by a process that was killed hides the sensor from scans until it is closed (`free`);
* a controller that takes no more commands is switched off and on, but never while it carries a link.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from bleak import BleakAdapter, BleakClient
from bleak.args.bluez import BlueZAdapterArgs, BlueZClientArgs
from bleak.backends.device import BLEDevice

from sensor_gateway.config import RadioLimits
from sensor_gateway.radio.escalation import AdapterLadder
from sensor_gateway.radio.host import AdapterInfo, Host, HostError, system_host, within
from sensor_gateway.radio.link import STACK_ERRORS, Backends, Found, Link, LinkError, text_of
from sensor_gateway.radio.scanner import Matches, Scanner

log = logging.getLogger(__name__)

MAX_LINKS: Final = 4
"""What every dongle we know of can carry: some end at five links, and then connections fail without a reason."""
_ADDRESS: Final = re.compile(r"([0-9A-F]{2}:){5}[0-9A-F]{2}")


class Radio:
    """One adapter; construct one per adapter and event loop. ``adapter``: its address, its name, or empty (the first)."""

    def __init__(
        self,
        adapter: str = "",
        backends: Backends | None = None,
        limits: RadioLimits | None = None,
        max_links: int = MAX_LINKS,
    ) -> None:
        self.limits = limits or RadioLimits()
        self.adapter, self.max_links = adapter, max_links
        self.backends = backends or Backends()
        self.air = asyncio.Lock()
        self.scanner = Scanner(self)
        self.ladder = AdapterLadder()
        self.links_up = 0
        self.served: list[str] = []  # sensors that have a place, in the order of the settings
        self._host = self.backends.host or system_host()

    def __str__(self) -> str:
        return self.adapter or "the system's first adapter"

    def reserve(self, sensor: str) -> str:
        """Give ``sensor`` one of the links, for good; empty, or the sentence why there is none left."""
        if len(self.served) >= self.max_links:
            return (
                f"Bluetooth adapter {self} carries {self.max_links} sensors at most (max_links) and serves "
                f"{', '.join(self.served)}; add a second adapter under [[radio.adapters]], or raise max_links if it can more"
            )
        self.served.append(sensor)
        return ""

    async def name(self) -> str:
        """The system's name for the adapter now, e.g. hci0; empty: bleak's choice. One that is off is switched on.

        Raises `LinkError` where it is absent or stays off.
        """
        if self._host is None:
            if _ADDRESS.fullmatch(self.adapter.upper()):
                says = f"adapter {self}: this system chooses by itself; leave the adapter's address out"
                raise LinkError(says, "adapter")
            return self.adapter
        try:
            info = await self._info(self._host)
        except HostError as e:
            raise LinkError(str(e), "adapter") from e
        if not info.powered:
            await self._switch(info.name, True)
        return info.name if self.adapter else ""

    async def _info(self, host: Host) -> AdapterInfo:
        """What the system knows of the adapter; raises `HostError`."""
        infos: Sequence[AdapterInfo] = await within(self.limits.host_s, host.adapters())
        wanted = [i for i in infos if self.adapter in ("", i.name) or self.adapter.upper() == i.address]
        if wanted:
            return next((i for i in wanted if i.powered), wanted[0])
        if not self.adapter:
            raise HostError("no Bluetooth adapter is plugged in")
        here = ", ".join(f"{i.name} {i.address}" for i in infos) or "none"
        raise HostError(f"adapter {self} is not plugged in (here: {here})")

    async def find(self, matches: Matches, timeout_s: float) -> Found | None:
        """The first advertisement that ``matches``; None after ``timeout_s``. Concurrent searches share one scan."""
        return await self.scanner.find(matches, timeout_s)

    async def free(self, address: str, service_uuids: Sequence[str]) -> None:
        """Close a connection to ``address`` that an earlier process left in the operating system.

        Without `air`: nothing is sent but the hanging up, for which BlueZ takes two seconds a sensor; all may do it at once.
        """
        if not service_uuids:
            return
        try:
            async with asyncio.timeout(self.limits.connect_s + self.limits.close_s):
                name = await self.name()
                adapter = await BleakAdapter.get(
                    bluez=BlueZAdapterArgs(adapter=name) if name else BlueZAdapterArgs(), backend=self.backends.adapter
                )
                for device in await adapter.get_connected_devices(list(service_uuids)):
                    if device.address.upper() == address.upper():
                        client = self._client(device, name, lambda _: None)
                        try:
                            await client.connect()
                        finally:
                            await client.disconnect()
                        log.warning("closed a connection that an earlier run had left open")
        except NotImplementedError:
            return  # platforms that close a process's connections when it ends
        except (LinkError, *STACK_ERRORS) as e:
            log.debug("looking for an old connection failed: %s", text_of(e))

    async def forget(self, address: str, bond_too: bool = False) -> None:
        """Make the operating system forget the device, where that can be done; one that is paired only with ``bond_too``."""
        if self._host is None:
            return
        try:
            async with self.air:
                info = await self._info(self._host)
                await within(self.limits.host_s, self._host.forget(info.name, address, bond_too))
        except HostError as e:
            log.debug("the device could not be forgotten: %s", e)
            return
        log.info("made the operating system forget a device that could not be connected")

    @asynccontextmanager
    async def connect(self, found: Found, may_bond: bool = False) -> AsyncIterator[Link]:
        """A connection to a sensor just found; closed on leaving in every case. Raises `LinkError`."""
        disconnected = asyncio.Event()
        name = await self.name()
        client = self._client(found.device, name, lambda _: disconnected.set())
        link = Link(client, disconnected, self.limits, may_bond)
        try:
            try:
                async with self.air, asyncio.timeout(self.limits.connect_outer_s):
                    await client.connect()
            except TimeoutError:
                await self._connect_failed()
                raise LinkError("connecting took too long; is the sensor near and not connected elsewhere?") from None
            except STACK_ERRORS as e:
                await self._connect_failed()
                raise LinkError(f"connecting failed: {text_of(e)}") from e
            self.ladder.connected()
            self.links_up += 1
            try:
                yield link
            finally:
                self.links_up -= 1
        finally:
            await link.close()

    def _client(self, device: BLEDevice, name: str, on_disconnect: Callable[[BleakClient], None]) -> BleakClient:
        return BleakClient(
            device,
            on_disconnect,
            timeout=self.limits.connect_s,
            bluez=BlueZClientArgs(adapter=name) if name else BlueZClientArgs(),
            backend=self.backends.client,
        )

    async def scanned(self, heard: bool, slice_s: float) -> None:
        """The scanner tells of a slice, while it holds the air."""
        if self.ladder.scanned(heard, slice_s, asyncio.get_running_loop().time(), self.links_up):
            await self._power_cycle("its scan hears nobody at all")

    async def _connect_failed(self) -> None:
        if self.ladder.connect_failed(self.links_up):
            async with self.air:
                await self._power_cycle(f"{self.ladder.failures} connections in a row failed")

    async def _power_cycle(self, why: str) -> None:
        if self._host is None or self.links_up:
            return
        self.ladder.cycles += 1
        log.warning("switching Bluetooth adapter %s off and on: %s", self, why)
        try:
            info = await self._info(self._host)
            await self._switch(info.name, False)
            await asyncio.sleep(self.limits.power_off_s)
            await self._switch(info.name, True)
        except (LinkError, HostError) as e:
            log.warning("that failed: %s", e)

    async def _switch(self, name: str, on: bool) -> None:
        if self._host is None:
            return
        try:
            await within(self.limits.host_s, self._host.power(name, on))
        except HostError as e:
            raise LinkError(f"adapter {self} cannot be switched {'on' if on else 'off'}: {e}", "adapter") from e
