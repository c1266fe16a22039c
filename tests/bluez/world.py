"""Sensors and a radio in software, seen by the kernel as a Bluetooth adapter (hci_vhci), with everything noted that is sent.

Runs as root on a machine with `/dev/vhci`, inside the virtual machine of `scripts/bluez_vm.sh`.
"""

from __future__ import annotations

import time
from typing import Any

from bumble import hci
from bumble.transport import open_transport

from tests.ble.support.air import Air, SimController
from tests.ble.support.clip import Clip
from tests.ble.support.peripheral import Peripheral
from tests.ble.test_driver_movella_dot import Dot
from tests.ble.test_driver_witmotion import Module
from tests.bluez.ledger import Sent


class StubbornClip(Clip):
    """A clip that can stall so that only a new connection cures it."""

    stalls_until_disconnect = False

    def _on_disconnection(self, reason: int) -> None:
        if self.stalls_until_disconnect:
            self.stalled = self.stalls_until_disconnect = False
        super()._on_disconnection(reason)


class Watched:
    """A simulated sensor and the notifications that left it."""

    def __init__(self, sensor: Clip | Peripheral) -> None:
        self.sensor = sensor
        self.sent: list[Sent] = []
        self.connections = 0
        self.connected_s = 0.0  # when the newest connection began
        self._pass_on = sensor.device.notify_subscribers
        sensor.device.notify_subscribers = self._notify
        sensor.device.on("connection", self._on_connection)

    def check(self) -> None:
        """Raise where the simulation itself has ended: its silence would look like the gateway's fault."""
        task = self.sensor._task
        if task is not None and task.done():
            raise RuntimeError(f"the simulated sensor {self.sensor.address} has ended") from task.exception()

    def _on_connection(self, _connection: Any) -> None:
        self.connections += 1
        self.connected_s = time.monotonic()

    async def _notify(self, characteristic: Any, value: bytes, *rest: Any) -> None:
        # bumble cuts what is longer than the link carries: after the machine had no time, a backlog of samples can be.
        fits = min((c.att_mtu for c in self.sensor.device.connections.values()), default=0) - 3
        self.sent.append(Sent(time.monotonic(), bytes(value[: max(0, fits)])))
        await self._pass_on(characteristic, value, *rest)


class World:
    """Three sensors of the gateway's, one of a stranger's, and the adapter that can be unplugged."""

    def __init__(self) -> None:
        self.air = Air()
        self.clip = StubbornClip(self.air, "C0:00:00:00:00:11")
        self.watched = {
            "clip": Watched(self.clip),
            "module": Watched(Module(self.air, "C0:00:00:00:00:12")),
            "dot": Watched(Dot(self.air, "C0:00:00:00:00:13")),
        }
        self.stranger = Watched(Clip(self.air, "C0:00:00:00:00:99"))
        self._plugged: tuple[Any, SimController] | None = None

    async def power_on(self) -> None:
        """Plug the adapter in and switch all sensors on."""
        await self.plug_in()
        for watched in (*self.watched.values(), self.stranger):
            await watched.sensor.power_on()

    async def plug_in(self) -> None:
        """A controller of version 4.2's abilities, as most adapters in use; the kernel numbers it anew."""
        transport = await open_transport("vhci")
        controller = SimController("adapter", host_source=transport.source, host_sink=transport.sink, link=self.air)
        controller.le_features &= ~(hci.LeFeatureMask.LL_PRIVACY | hci.LeFeatureMask.LE_EXTENDED_ADVERTISING)
        self._plugged = transport, controller

    async def unplug(self) -> None:
        """The sensors notice by their supervision timeout, the kernel by the device's end."""
        assert self._plugged is not None
        (transport, controller), self._plugged = self._plugged, None
        self.air.supervision_timeout(controller)
        self.air.remove_controller(controller)
        await transport.close()
