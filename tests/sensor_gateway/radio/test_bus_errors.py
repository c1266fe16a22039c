"""What a person is told where the message bus, not the radio, is in the way: over a true bus."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from bleak.exc import BleakDBusError
from dbus_fast.aio import MessageBus

from sensor_gateway.radio.adapter import Radio
from sensor_gateway.radio.bus_errors import BLOCKED, BUS_FULL, NO_RIGHTS, NO_SERVICE, in_words
from sensor_gateway.radio.host import BlueZ, HostError
from sensor_gateway.radio.link import Backends, LinkError, text_of
from tests.sensor_gateway.radio.fake_bluez import FakeAdapter

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen>
<policy context="default"><allow send_destination="*"/><allow eavesdrop="true"/><allow own="*"/>{rule}</policy>{limit}
</busconfig>"""


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts a bus with a rule or a limit; its address."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("no dbus-daemon here")
    with ExitStack() as running:

        def start(rule: str = "", limit: str = "") -> str:
            config = tmp_path / "bus.conf"
            config.write_text(_CONFIG.format(path=tmp_path / "bus", rule=rule, limit=limit))
            daemon = subprocess.Popen(
                ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"],
                stdout=subprocess.PIPE,
                text=True,
            )
            running.callback(daemon.wait)
            running.callback(daemon.kill)
            assert daemon.stdout is not None
            return daemon.stdout.readline().strip()

        yield start


@pytest.mark.anyio
async def test_a_bus_without_a_bluetooth_service_is_told_so(bus: Callable[..., str]) -> None:
    with pytest.raises(HostError) as told:
        await BlueZ(bus()).adapters()
    assert str(told.value) == NO_SERVICE


@pytest.mark.anyio
async def test_a_user_without_rights_is_told_so(bus: Callable[..., str]) -> None:
    address = bus(rule='<deny send_destination="org.bluez"/>')
    service = await MessageBus(bus_address=address).connect()
    await service.request_name("org.bluez")
    with pytest.raises(HostError) as told:
        await BlueZ(address).adapters()
    assert str(told.value) == NO_RIGHTS
    service.disconnect()


@pytest.mark.anyio
async def test_a_bus_that_is_full_is_told_so(bus: Callable[..., str]) -> None:
    address = bus(limit='<limit name="max_connections_per_user">1</limit>')
    first = await MessageBus(bus_address=address).connect()
    with pytest.raises(HostError, match=BUS_FULL):
        await BlueZ(address).adapters()
    first.disconnect()


@pytest.mark.anyio
async def test_an_adapter_that_is_off_is_switched_on_unless_the_machine_blocks_it(bus: Callable[..., str]) -> None:
    address = bus()
    service = await MessageBus(bus_address=address).connect()
    adapter = FakeAdapter()
    service.export("/org/bluez/hci1", adapter)
    await service.request_name("org.bluez")
    radio = Radio("", Backends(host=BlueZ(address)))
    adapter.powered = False
    assert await radio.name() == ""  # bleak takes the first that is on
    assert adapter.powered
    adapter.powered, adapter.blocked = False, True
    with pytest.raises(LinkError, match=f"cannot be switched on: {BLOCKED}") as told:
        await radio.name()
    assert told.value.kind == "adapter"
    service.disconnect()


def test_what_bleak_raises_is_put_into_words_where_somebody_can_mend_it() -> None:
    bus = "org.freedesktop.DBus.Error."
    stranger = "Client tried to send a message other than Hello without being registered"
    assert text_of(BleakDBusError(bus + "AccessDenied", [stranger])) == BUS_FULL
    assert text_of(BleakDBusError(bus + "AccessDenied", ["Rejected send message, 2 matched rules"])) == NO_RIGHTS
    assert in_words("org.bluez.Error.Blocked", "Blocked through rfkill") == BLOCKED
    other = BleakDBusError("org.bluez.Error.Failed", ["le-connection-abort-by-local"])
    assert text_of(other) == "[org.bluez.Error.Failed] le-connection-abort-by-local"
