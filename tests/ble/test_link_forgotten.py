"""A Bluetooth service that was restarted knows no old link, and never says that it ended: closing must not wait for that."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from bleak.exc import BleakDBusError

from sensor_gateway.config import RadioLimits
from sensor_gateway.drivers.base import Step
from sensor_gateway.radio.link import UNKNOWN_OBJECT, Link, LinkError

pytestmark = pytest.mark.anyio


class OldClient:
    """What a bleak client is after bluetoothd was killed: every call fails, and the end is waited for in vain."""

    class Characteristic:
        properties = ("write",)

    def __init__(self, error: str) -> None:
        self.services = self
        self.error = error
        self.released = False

    def get_characteristic(self, _uuid: str) -> Characteristic:
        return self.Characteristic()

    async def write_gatt_char(self, *_args: Any, **_kwargs: Any) -> None:
        raise BleakDBusError(self.error, ["doesn't exist"])

    async def disconnect(self) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            self.released = True


@pytest.mark.parametrize(
    ("error", "kind", "at_least_s"), [(UNKNOWN_OBJECT, "ended", 0.9), ("org.bluez.Error.Failed", "gatt", 4.9)]
)
async def test_only_a_forgotten_link_is_let_go_at_once(error: str, kind: str, at_least_s: float) -> None:
    client = OldClient(error)
    link = Link(client, asyncio.Event(), RadioLimits(close_s=5.0))  # type: ignore[arg-type]  # a stand-in for a dead client
    with pytest.raises(LinkError) as e:
        await link.write([Step("0", b"\0")])
    assert e.value.kind == kind
    began = time.monotonic()
    await link.close()
    assert at_least_s <= time.monotonic() - began < at_least_s + 3.5
    assert client.released
