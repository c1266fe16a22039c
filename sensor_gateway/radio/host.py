"""What the operating system knows of its adapters, and how it repairs them: BlueZ over D-Bus.

bleak has no word for these: the adapters' addresses (hci numbers change when one is plugged in again), switching an adapter
off and on, and forgetting a device. Each question opens a bus and closes it again: they are rare, and a bus kept over a
restart of the Bluetooth service would be one more thing to look after.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from sensor_gateway.radio.bus_errors import BUS_FULL, NO_RIGHTS, in_words

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus

_BLUEZ: Final = "org.bluez"
_ADAPTER: Final = "org.bluez.Adapter1"
_DEVICE: Final = "org.bluez.Device1"


class HostError(Exception):
    """The operating system did not answer or could not do it; one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class AdapterInfo:
    """One adapter: the name the system gives it now, its own address, whether it is on, whether somebody scans on it."""

    name: str
    address: str
    powered: bool
    discovering: bool = False
    connected: tuple[str, ...] = ()  # addresses of the devices it holds links to, whoever made them


class Host(Protocol):
    """The operating system's side of Bluetooth. Every method raises `HostError`."""

    async def adapters(self) -> Sequence[AdapterInfo]: ...
    async def power(self, name: str, on: bool) -> None: ...
    async def forget(self, name: str, address: str, bond_too: bool = False) -> None:
        """Drop what is known of a device: cached services, and a link that is none. One that is paired only with ``bond_too``."""
        ...


class BlueZ:
    """The `Host` of Linux. ``bus_address`` is another bus than the system's, for tests."""

    def __init__(self, bus_address: str | None = None) -> None:
        self._bus_address = bus_address

    async def adapters(self) -> list[AdapterInfo]:
        """All adapters, in the order of their names."""
        async with self._bus() as bus:
            objects = await _objects(bus)
        found = []
        for path, interfaces in objects.items():
            adapter = interfaces.get(_ADAPTER)
            if adapter is None:
                continue
            held = tuple(
                str(device["Address"])
                for at, others in objects.items()
                if at.startswith(path + "/") and (device := others.get(_DEVICE)) and device.get("Connected")
            )
            name, address = path.rsplit("/", 1)[1], str(adapter["Address"]).upper()
            found.append(AdapterInfo(name, address, bool(adapter["Powered"]), bool(adapter["Discovering"]), held))
        return sorted(found, key=lambda info: info.name)

    async def power(self, name: str, on: bool) -> None:
        """Switch an adapter."""
        from dbus_fast import Variant

        async with self._bus() as bus:
            body = [_ADAPTER, "Powered", Variant("b", on)]
            await _call(bus, f"/org/bluez/{name}", "org.freedesktop.DBus.Properties", "Set", "ssv", body)

    async def forget(self, name: str, address: str, bond_too: bool = False) -> None:
        """Remove the device object with its cache, and the keys where it was paired; nothing where BlueZ does not know it."""
        async with self._bus() as bus:
            objects = await _objects(bus)
            for path, interfaces in objects.items():
                device = interfaces.get(_DEVICE)
                if device is None or not path.startswith(f"/org/bluez/{name}/"):
                    continue
                if str(device["Address"]).upper() == address.upper() and (bond_too or not device.get("Paired")):
                    await _call(bus, f"/org/bluez/{name}", _ADAPTER, "RemoveDevice", "o", [path])

    @asynccontextmanager
    async def _bus(self) -> AsyncIterator[MessageBus]:
        from dbus_fast import AuthError, BusType, DBusError
        from dbus_fast.aio import MessageBus

        bus = None
        try:
            bus = MessageBus(bus_address=self._bus_address, bus_type=BusType.SYSTEM)
            await bus.connect()
            yield bus
        except FileNotFoundError:
            raise HostError("no Bluetooth service on this machine; install and start BlueZ") from None
        except AuthError as e:
            raise HostError(NO_RIGHTS) from e
        except EOFError as e:
            raise HostError(f"the system's message bus has hung up; if it does so again, {BUS_FULL}") from e
        except DBusError as e:
            raise HostError(
                in_words(e.type, e.text) or f"the Bluetooth service does not answer ({e}); is it running?"
            ) from e
        except OSError as e:
            raise HostError(f"the Bluetooth service does not answer ({e}); is it running?") from e
        finally:
            if bus is not None:
                bus.disconnect()


async def _objects(bus: MessageBus) -> dict[str, dict[str, dict[str, Any]]]:
    body = await _call(bus, "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "", [])
    return {
        path: {name: {key: v.value for key, v in values.items()} for name, values in interfaces.items()}
        for path, interfaces in body[0].items()
    }


async def _call(bus: MessageBus, path: str, interface: str, member: str, signature: str, body: list[Any]) -> list[Any]:
    from dbus_fast import Message, MessageType

    reply = await bus.call(
        Message(_BLUEZ, path, interface, member, signature=signature, body=body)  # asks the daemon to start BlueZ, too
    )
    if reply is None:
        raise HostError(f"the Bluetooth service did not answer {member}; is it running?")
    if reply.message_type is MessageType.ERROR:
        name, text = str(reply.error_name), " ".join(map(str, reply.body))
        raise HostError(in_words(name, text) or f"the Bluetooth service did not do {member} ({name}: {text})")
    return list(reply.body)


def system_host() -> Host | None:
    """The machine's own; None where the platform keeps adapters to itself (macOS, Windows)."""
    return BlueZ() if sys.platform == "linux" else None


async def within(seconds: float, answer: Any) -> Any:
    """Await ``answer``; a wait that is too long is a `HostError` as well."""
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        raise HostError("the Bluetooth service did not answer in time; restart it") from None
