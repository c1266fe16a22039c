"""The gateway goes down while one sensor streams and another is looked for: the first is stopped and hung up in any case."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from processing.rules.study import Study
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import RadioLimits, RadioSettings, Sensor, SessionLimits, Settings, Site, Web
from sensor_gateway.gateway import Gateway
from sensor_gateway.radio.pool import Radios
from sensor_gateway.spool.database import Spool
from sensor_gateway.spool.journal import Journal
from tests.ble.support.air import Air
from tests.ble.support.backend import Central, SimClient
from tests.ble.support.clip import Clip

pytestmark = pytest.mark.anyio

HERE, AWAY = "C0:00:00:00:00:01", "C0:00:00:00:00:02"
HANG_UP_S = 0.5
"""BlueZ takes two seconds."""


class SlowClient(SimClient):
    """A stack that takes its time to hang up, and does not where it is interrupted."""

    async def disconnect(self) -> None:
        await asyncio.sleep(HANG_UP_S)
        await super().disconnect()


@pytest.mark.parametrize("other", ["lost", "searching"])
async def test_a_sensor_is_hung_up_though_another_is_being_retried(tmp_path: Path, other: str) -> None:
    air = Air()
    central = Central(air)
    await central.device.power_on()
    clip = Clip(air, HERE)
    await clip.power_on()
    timing = RadioLimits(scan_slice_s=1.0, scan_pause_s=0.05, connect_s=2.0, close_s=2.0)
    session = SessionLimits(search_s=1.0, pause_s=5.0, missing_pause_s=5.0)
    radio = RadioSettings((), session, timing)
    sensors = tuple(Sensor(name, f"w-{name}", address=at) for name, at in (("away", AWAY), ("here", HERE)))
    settings = Settings(Site(data_dir=str(tmp_path)), sensors, Web(enabled=False), radio=radio)
    slow = replace(central.backends(), client=type("Client", (SlowClient,), {"central": central}))
    gateway = Gateway(settings, Study(), tmp_path, SystemClock(), radios=Radios(radio, slow))
    stop = asyncio.Event()
    running = asyncio.create_task(gateway.run(stop))
    try:
        give_up = time.monotonic() + 30
        while not (gateway.runners["here"].link == "streaming" and gateway.runners["away"].link == other):
            assert time.monotonic() < give_up, {name: runner.link for name, runner in gateway.runners.items()}
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        stop.set()
        assert await running == 0
        assert clip.commands[-1] == b"\x00"
        assert not clip.is_connected
    finally:
        stop.set()
        await asyncio.gather(running, return_exceptions=True)
        await clip.power_off()
    spool = Spool(tmp_path / "spool.db")
    try:
        last = Journal(spool, 10**9).last_seq("here")
        assert spool.query("SELECT snapshot_seq FROM run WHERE sensor = 'here'") == [(last,)]
    finally:
        spool.close()
