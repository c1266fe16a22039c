"""32 sensors at 100 Hz into one gateway process without losing a frame, and a thousand drops without losing a descriptor."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from itertools import pairwise
from pathlib import Path

import pytest

from sensor_gateway.clock import SystemClock
from sensor_gateway.config import RadioLimits, SessionLimits
from sensor_gateway.drivers.open_profile import SERVICE_UUID, OpenProfileDriver
from sensor_gateway.radio.adapter import Radio
from sensor_gateway.radio.session import Session, Who
from tests.ble.scale import Outcome, measure
from tests.ble.support.air import Air
from tests.ble.support.backend import Central
from tests.ble.support.clip import Clip
from tests.ble.support.far import address_of

pytestmark = pytest.mark.anyio

# As `[radio.session]` and `[radio.timing]` in a gateway's settings would say it.
HASTY = SessionLimits(
    search_s=10, first_data_s=5, check_s=0.02, pause_s=0.01, pause_max_s=0.02, missing_pause_s=0.02, good_s=0.1
)
TIMING = RadioLimits(scan_slice_s=2, scan_pause_s=0.01, connect_s=5, connect_outer_s=10, close_s=5)


def nothing_lost(outcome: Outcome, sensors: int, seconds: float) -> None:
    assert outcome.in_order, outcome
    assert outcome.sent == outcome.journaled == outcome.received, outcome
    assert outcome.missing_samples == outcome.refused == 0, outcome
    assert outcome.samples >= 0.97 * sensors * seconds * 100, outcome


async def test_8_sensors_for_a_few_seconds(tmp_path: Path) -> None:
    nothing_lost(await measure(8, 3, tmp_path), 8, 3)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_32_sensors_for_a_minute(tmp_path: Path) -> None:
    nothing_lost(await measure(32, 60, tmp_path), 32, 60)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_32_sensors_a_sample_a_notification_from_another_process(tmp_path: Path) -> None:
    nothing_lost(await measure(32, 20, tmp_path, batch=1, apart=True), 32, 20)


async def fewest_tasks() -> int:
    """Tasks, without those that come and go with a timer."""
    seen = []
    for _ in range(10):
        seen.append(len(asyncio.all_tasks()))
        await asyncio.sleep(0.01)
    return min(seen)


async def drops(n: int, each: int) -> dict[str, list[int]]:
    """Descriptors, tasks and unclosed clients after each round, in which each of ``n`` sensors hangs up once."""
    air = Air()
    central = Central(air)
    await central.device.power_on()
    radio = Radio("", central.backends(), TIMING, max_links=n)
    clips = [Clip(air, address_of(i), advertising_ms=20) for i in range(n)]
    got = [0] * n

    def session_of(i: int) -> Session:
        who = Who(clips[i].address, service_uuids=(SERVICE_UUID,), name=f"clip-{i}")
        return Session(OpenProfileDriver(batch=2), who, radio, SystemClock(), limits=HASTY)

    async def settled(sessions: list[Session]) -> None:
        end = time.monotonic() + 120 + n
        while any(s.stats.state != "streaming" for s in sessions) or radio.scanner.scanning:
            assert time.monotonic() < end, [s.stats for s in sessions if s.stats.state != "streaming"]
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # the scan's last task ends

    def sink_of(i: int) -> object:
        async def sink(received: list[object]) -> None:
            got[i] += len(received)

        return sink

    gc.collect()  # what an earlier test in this process let go may not close its descriptors while they are counted
    tasks_before = len(asyncio.all_tasks())
    for clip in clips:
        await clip.power_on()
    sessions = [session_of(i) for i in range(n)]
    tasks = [asyncio.create_task(s.run(sink_of(i), lambda _: None)) for i, s in enumerate(sessions)]  # type: ignore[arg-type]
    counts: dict[str, list[int]] = {"descriptors": [], "tasks": [], "unclosed": []}
    try:
        await settled(sessions)
        for round_ in range(each):
            if round_ % 5 == 4:
                for clip in clips:
                    air.supervision_timeout(clip.controller)
            else:
                await asyncio.gather(*(clip.hang_up() for clip in clips))
            end = time.monotonic() + 120
            while any(s.stats.failures <= round_ for s in sessions):
                assert time.monotonic() < end, [s.stats for s in sessions]
                await asyncio.sleep(0.01)
            await settled(sessions)
            counts["descriptors"].append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208 - a count, not paths
            counts["tasks"].append(await fewest_tasks())
            counts["unclosed"].append(len(central.not_closed))
        assert all(s.stats.connections > each for s in sessions), [s.stats for s in sessions]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for clip in clips:
            await clip.power_off()
    assert [s.stats.payloads for s in sessions] == got
    assert all(g <= clip.notified for g, clip in zip(got, clips, strict=True))  # never one notification twice
    end = time.monotonic() + 10
    while len(asyncio.all_tasks()) > tasks_before:
        assert time.monotonic() < end, asyncio.all_tasks()
        await asyncio.sleep(0.05)
    return counts


def constant(counts: dict[str, list[int]]) -> None:
    # The first round warms up what is made once (a thread for names, a bus); from then on nothing may grow.
    assert all(b <= a for a, b in pairwise(counts["descriptors"][1:])), counts["descriptors"]
    # Tasks come and go on a busy machine; one left behind by each drop would lift every later round above all earlier ones.
    half = len(counts["tasks"]) // 2
    assert min(counts["tasks"][half:]) <= max(counts["tasks"][:half]), counts["tasks"]
    assert max(counts["unclosed"]) == 0


async def test_a_few_forced_drops_leave_nothing_behind() -> None:
    constant(await drops(5, 6))


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_thousand_forced_drops_leave_nothing_behind() -> None:
    constant(await drops(20, 50))
