"""One open connection through `bleak`: subscribe, write, read, pair, close. Every wait is bounded.

`Link.close` calls `BleakClient.disconnect` after *every* connection, also after one that the sensor ended: bleak 3.1
otherwise keeps its bus open, and each later notification arrives twice, then three times (hbldh/bleak #2002).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from bleak import BleakClient
from bleak.backends.adapter import BaseBleakAdapter
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import BaseBleakScanner
from bleak.exc import BleakDBusError, BleakError

from sensor_gateway.config import RadioLimits
from sensor_gateway.drivers.base import Advert, Step
from sensor_gateway.radio.bus_errors import in_words
from sensor_gateway.radio.host import Host
from sensor_gateway.radio.states import Failure

log = logging.getLogger(__name__)

STACK_ERRORS: Final = (BleakError, OSError, EOFError, KeyError, AssertionError)
"""What bleak and the bus below it raise when a connection goes wrong; TimeoutError is an OSError. Where a device vanishes
between two of its steps, bleak asserts."""

UNKNOWN_OBJECT: Final = "org.freedesktop.DBus.Error.UnknownObject"
FIRMWARE_UUID: Final = "00002a26-0000-1000-8000-00805f9b34fb"
SERIAL_UUID: Final = "00002a25-0000-1000-8000-00805f9b34fb"


class LinkError(Exception):
    """The connection could not be made or kept; the text is one sentence for the log and the status page."""

    def __init__(self, text: str, kind: Failure = "connect") -> None:
        super().__init__(text)
        self.kind: Failure = kind


@dataclass(frozen=True, slots=True)
class Backends:
    """Which radio stack is spoken to; None is the platform's own. Tests put a simulated controller here."""

    client: type[BaseBleakClient] | None = None
    scanner: type[BaseBleakScanner] | None = None
    adapter: type[BaseBleakAdapter] | None = None
    host: Host | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A sensor that advertises now."""

    device: BLEDevice
    advert: Advert


class Link:
    """An open connection. ``disconnected`` is set when the stack says that it ended.

    With ``may_bond`` a sensor that refuses a subscription or a command is paired with; ``bonds`` counts that.
    """

    def __init__(
        self, client: BleakClient, disconnected: asyncio.Event, limits: RadioLimits, may_bond: bool = False
    ) -> None:
        self.disconnected = disconnected
        self.bonds = 0
        self._may_bond = may_bond
        self._client = client
        self._limits = limits
        self._open = True
        self._forgotten = False

    async def subscribe(self, uuids: Sequence[str], on_payload: Callable[[str, bytes], None]) -> None:
        """Deliver notifications to ``on_payload`` until `close`; nothing after it. Raises `LinkError`."""

        def deliver(characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
            if self._open:
                on_payload(characteristic.uuid, bytes(data))

        for uuid in uuids:
            self._characteristic(uuid)
            await self._bonded(partial(self._notify, uuid, deliver))

    async def _bonded(self, action: Callable[[], Awaitable[None]]) -> None:
        """Do it; where the sensor refuses and may be paired with, do so, once a connection, and try again."""
        try:
            await action()
        except LinkError as e:
            if not self._may_bond or self.bonds or self.disconnected.is_set():
                raise
            log.info("pairing, since %s", e)
            await self._pair()
            self.bonds += 1
            await action()

    async def _notify(self, uuid: str, deliver: Callable[[BleakGATTCharacteristic, bytearray], None]) -> None:
        try:
            async with asyncio.timeout(self._limits.subscribe_s):
                await self._client.start_notify(uuid, deliver)
        except TimeoutError:
            raise LinkError("subscribing took too long", "gatt") from None
        except STACK_ERRORS as e:
            raise self._failed("subscribing failed", e) from e

    async def _pair(self) -> None:
        try:
            async with asyncio.timeout(self._limits.pair_s):
                await self._client.pair()
        except TimeoutError:
            raise LinkError("pairing took too long; remove an older pairing from the sensor", "gatt") from None
        except NotImplementedError:
            raise LinkError("the sensor asks for pairing; pair it once in the system's settings", "gatt") from None
        except STACK_ERRORS as e:
            raise LinkError(f"pairing failed: {text_of(e)}", "gatt") from e

    async def read_text(self, uuid: str) -> str | None:
        """A text characteristic, e.g. of the device information service; None where there is none to be read."""
        characteristic = self._client.services.get_characteristic(uuid)
        if characteristic is None or "read" not in characteristic.properties:
            return None
        try:
            async with asyncio.timeout(self._limits.read_s):
                raw = bytes(await self._client.read_gatt_char(characteristic))
        except STACK_ERRORS as e:
            log.debug("reading %s failed: %s", uuid, text_of(e))
            return None
        text = raw.decode("utf-8", "replace").replace("\0", "").strip()
        return "".join(c for c in text if c.isprintable())[:64] or None

    async def read(self, uuid: str) -> bytes:
        """A characteristic's value. Raises `LinkError`."""
        characteristic = self._characteristic(uuid)
        try:
            async with asyncio.timeout(self._limits.read_s):
                return bytes(await self._client.read_gatt_char(characteristic))
        except TimeoutError:
            raise LinkError("the sensor did not answer when it was read", "gatt") from None
        except STACK_ERRORS as e:
            raise self._failed("reading failed", e) from e

    async def write(self, steps: Sequence[Step]) -> None:
        """Write each step and wait for its acknowledgement, where the characteristic gives any. Raises `LinkError`."""
        for step in steps:
            await self._bonded(partial(self._write, step))
            await asyncio.sleep(step.pause_s)

    async def _write(self, step: Step) -> None:
        characteristic = self._characteristic(step.uuid)
        try:
            async with asyncio.timeout(step.timeout_s):
                await self._client.write_gatt_char(
                    characteristic, step.payload, response="write" in characteristic.properties
                )
        except TimeoutError:
            raise LinkError(f"the sensor did not answer command {step.payload.hex()}", "gatt") from None
        except STACK_ERRORS as e:
            raise self._failed(f"the sensor refused command {step.payload.hex()}", e) from e

    def _failed(self, what: str, error: BaseException) -> LinkError:
        """What to raise; the system's service says by UnknownObject that it has begun anew and knows no such link."""
        if isinstance(error, BleakDBusError) and error.dbus_error == UNKNOWN_OBJECT:
            self._forgotten = True
            return LinkError("the Bluetooth service has begun anew and lost the connection", "ended")
        return LinkError(f"{what}: {text_of(error)}", "gatt")

    def _characteristic(self, uuid: str) -> BleakGATTCharacteristic:
        try:
            found = self._client.services.get_characteristic(uuid)
        except STACK_ERRORS as e:  # the services are gone with the connection
            raise LinkError(f"the connection ended before it was used: {text_of(e)}", "connect") from e
        if found is None:
            raise LinkError(f"the device has no characteristic {uuid}; is it another kind of sensor?", "gatt")
        return found

    async def close(self) -> None:
        """Disconnect, whatever happened before; needed also after the sensor has hung up (see the module).

        Where the service has forgotten the link, nobody will say that it ended: bleak would wait ten seconds for that. It
        closes its bus also when it is interrupted.
        """
        self._open = False
        try:
            async with asyncio.timeout(min(1.0, self._limits.close_s) if self._forgotten else self._limits.close_s):
                await self._client.disconnect()
        except STACK_ERRORS as e:
            log.warning("disconnecting failed: %s", text_of(e))


def text_of(error: BaseException) -> str:
    """What an error means, where it is one of the bus that is known; else its text, or its name where it has none."""
    known = in_words(error.dbus_error, error.dbus_error_details or "") if isinstance(error, BleakDBusError) else ""
    return known or str(error) or type(error).__name__
