"""`tiltline recordings` with a virtual DOT over a simulated radio: the morning, the evening, and a link that breaks between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sensor_gateway.radio.adapter import Radio
from tests.ble.support.air import Air
from tests.ble.support.backend import Central
from tests.ble.support.bench import RADIO
from tests.ble.support.dot_site import ADDRESS, HZ, Site
from tests.ble.support.recording_dot import RecordingDot

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Site]:
    s = Site(tmp_path, capsys)
    air = Air()
    central, dot = Central(air), RecordingDot(air, ADDRESS, s.logger)
    s.radio = lambda: Radio("", central.backends(), replace(RADIO, read_s=20.0, subscribe_s=20.0))
    s.hang_up = dot.hang_up
    await central.device.power_on()
    await dot.power_on()
    yield s
    await dot.power_off()
    assert not dot.is_connected
    assert central.not_closed == []


async def test_a_morning_and_an_evening(site: Site) -> None:
    empty = await site.done()
    assert (empty["recordings"], empty["battery_percent"], empty["memory"]["used_bytes"]) == ([], 83, 0)
    begun = await site.done("--start", "--minutes", "90")
    assert begun["started"]["timer_s"] == 5400
    file = site.record(4)
    assert (file.rate_hz, file.timer_s) == (HZ, 5400)
    assert abs(file.start_utc - site.world.utc_ns() / 1e9 + 240) < 60
    away = await site.done()
    assert away["recording"]["start_utc"] == begun["started"]["start_utc"]
    assert 5000 < away["recording"]["left_s"] < 5170
    assert "recordings" not in away
    assert "add --stop" in await site.refused("--fetch")
    site.memory.lost, site.memory.damaged, site.memory.ack_is_stale = {7, 2000}, {3000}, 3
    evening = await site.done("--stop", "--fetch", "--erase")
    assert (evening["stopped"], evening["fetched"], evening["erased"]) == (True, [1], True)
    assert evening["recordings"] == []
    # A later one may have been on its way still when an earlier one was asked for, and then came with it.
    assert next(data for kind, data in site.memory.asked if kind == 0x75) == bytes([7, 0, 0, 0])
    assert site.memory.lost == site.memory.damaged == set()
    numbers, t = site.late()
    assert numbers == list(range(file.samples))
    assert abs(len(numbers) / HZ - 240) < 60
    np.testing.assert_allclose(t - file.start_utc, np.arange(len(t)) / HZ, atol=2e-6)


async def test_a_link_that_breaks_in_the_middle_costs_nothing(site: Site) -> None:
    file = await site.begun(5)
    turn, hung_up = site.logger.turn, []

    def turn_and_break() -> list[bytes]:
        if site.memory.sent > 2500 and not hung_up:
            hung_up.append(asyncio.get_running_loop().create_task(site.hang_up()))
        return turn()

    site.logger.turn = turn_and_break
    assert "fetch again" in await site.refused("--fetch", "--erase")
    held = len(site.late()[0])
    assert 0 < held < file.samples
    listed = await site.done()
    assert [(r["packets_held"], r["fetched"]) for r in listed["recordings"]] == [(held, False)]
    again = await site.done("--fetch", "--erase")
    assert again["erased"]
    assert [int.from_bytes(data, "little") for kind, data in site.memory.asked if kind == 0x75] == [held]
    assert site.late()[0] == list(range(file.samples))
