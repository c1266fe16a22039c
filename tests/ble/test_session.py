"""A sensor's life over a simulated radio: nothing lost, nothing doubled, and a way back from every fault."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic

from processing.types import ImuBatch
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import ConfigError, RadioLimits, Sensor, SessionLimits
from sensor_gateway.drivers.base import Received, TransportContext
from sensor_gateway.drivers.open_profile import DATA_UUID, SERVICE_UUID, OpenProfileDriver
from sensor_gateway.radio.adapter import Radio
from sensor_gateway.radio.link import LinkError
from sensor_gateway.radio.sensors import open_profile_sensor
from sensor_gateway.radio.session import Session
from tests.ble.support.air import Air
from tests.ble.support.backend import Central
from tests.ble.support.clip import Clip

pytestmark = pytest.mark.anyio

OURS, STRANGER, OTHER = "C0:00:00:00:00:01", "C0:00:00:00:00:02", "C0:00:00:00:00:03"
RADIO = RadioLimits(scan_slice_s=1.0, scan_pause_s=0.05, connect_s=1.0, connect_outer_s=3.0, close_s=2.0)
QUICK = SessionLimits(
    search_s=1.0, first_data_s=1.0, stall_s=0.6, check_s=0.05, pause_s=0.1, pause_max_s=0.4, good_s=0.5
)

PATIENT = replace(QUICK, first_data_s=60.0, stall_s=60.0)
"""A machine that stops for a moment is no sensor that does."""


class Bench:
    """One clip of ours, one radio, one session, and everything that came out of it."""

    def __init__(self, limits: SessionLimits = QUICK) -> None:
        self.air = Air()
        self.central = Central(self.air)
        self.clip = Clip(self.air, OURS)
        self.radio = Radio("", self.central.backends(), RADIO)
        self.session = self.session_of(OURS, limits)
        self.received: list[Received] = []
        self.states: list[str] = []

    def session_of(self, address: str, limits: SessionLimits = QUICK) -> Session:
        return Session(
            OpenProfileDriver(), address, self.radio, SystemClock(), (SERVICE_UUID,), limits, jitter=lambda: 0.5
        )

    async def sink(self, received: list[Received]) -> None:
        self.received += received

    async def until(self, condition: Callable[[], object], timeout_s: float = 30.0) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"states {self.states}, {self.session.stats}"
            await asyncio.sleep(0.02)

    def batches(self) -> list[ImuBatch]:
        driver = OpenProfileDriver()
        items = [i for r in self.received for i in driver.feed(r.uuid, r.payload, r.rx_mono_ns, r.rx_utc_ns)]
        return [i for i in items if isinstance(i, ImuBatch)]

    def nothing_twice(self) -> None:
        assert max(Counter(b.seq for b in self.batches()).values()) == 1


@asynccontextmanager
async def bench(*, clip_on: bool = True, run: bool = True, limits: SessionLimits = QUICK) -> AsyncIterator[Bench]:
    b = Bench(limits)
    await b.central.device.power_on()
    if clip_on:
        await b.clip.power_on()
    task = asyncio.create_task(b.session.run(b.sink, b.states.append)) if run else None
    try:
        yield b
    finally:
        if task is not None:
            assert not task.done(), task.exception()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert not b.clip.is_connected or b.clip.controller in b.air.out_of_range
            assert b.central.not_closed == []
        await b.clip.power_off()


async def test_five_seconds_at_100_hz_arrive_whole_and_in_order() -> None:
    async with bench(limits=PATIENT) as b:
        await b.until(lambda: len(b.received) >= 50)
        batches = b.batches()
        first, last = batches[0], batches[-1]
        assert np.ptp([x.t_dev_ticks[0] for x in (first, batches[49])]) == 49 * 100_000
        assert [x.seq for x in batches] == list(range(first.seq, last.seq + 1, 10))
        assert [x.seq for x in batches] == b.clip.sent[: len(batches)]
        delays = [x.rx_mono_ns - x.t_dev_ticks[0] * 1000 for x in batches]
        assert np.median(delays) - min(delays) < 0.3e9  # where the machine did not stop, they came at once
        np.testing.assert_allclose(batches[0].acc_mps2, np.tile([0, 0, 9.80665], (10, 1)), atol=0.002)
        stats = b.session.stats
        assert (stats.payloads, stats.payload_bytes) == (len(b.received), 140 * len(b.received))
        assert (stats.state, stats.connections, stats.failures, stats.dropped) == ("streaming", 1, 0, 0)
        assert stats.rssi_dbm is not None
        assert b.states == ["searching", "connecting", "starting", "streaming"]
        assert [c.hex() for c in b.clip.commands] == ["00", "0164000a0808"]


async def test_a_sensor_that_hangs_up_again_and_again_is_read_again_and_nothing_comes_twice() -> None:
    async with bench(limits=PATIENT) as b:
        for round_ in range(1, 4):
            await b.until(lambda r=round_: b.states.count("streaming") == r)
            have = len(b.received)
            await b.until(lambda h=have: len(b.received) >= h + 3)
            if round_ < 3:
                await b.clip.hang_up()
        b.nothing_twice()
        assert b.session.stats.connections == 3
        assert b.states[4] == "lost"
        assert b.session.stats.last_error == "the sensor or the radio ended the connection"


async def test_the_simulated_stack_does_double_for_a_client_that_is_not_closed() -> None:
    # The fault that the test above must be able to see.
    async with bench(run=False) as b:
        got: list[bytes] = []

        def collect(_characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
            got.append(bytes(data))

        for round_ in range(2):
            found = await b.radio.find(lambda _: True, 3)
            assert found is not None
            gone = asyncio.Event()
            client = BleakClient(found.device, lambda _, e=gone: e.set(), backend=b.central.backends().client)
            await client.connect()
            await client.start_notify(DATA_UUID, collect)
            for step in OpenProfileDriver().start():
                await client.write_gatt_char(step.uuid, step.payload, response=True)
            got.clear()
            await b.until(lambda: len(got) >= 6)
            assert max(Counter(got).values()) == round_ + 1
            await b.clip.hang_up()
            await asyncio.wait_for(gone.wait(), 3)


async def test_a_stalled_sensor_is_started_again_on_the_same_connection() -> None:
    async with bench() as b:
        await b.until(lambda: len(b.received) >= 3)
        b.clip.start_cures_stall = True
        b.clip.stalled = True
        await b.until(lambda: b.states[-2:] == ["stalled", "streaming"])
        assert b.session.stats.connections == 1
        assert b.session.stats.restarts == 1
        b.nothing_twice()


async def test_a_sensor_that_stays_silent_is_given_up_and_connected_anew() -> None:
    async with bench() as b:
        await b.until(lambda: len(b.received) >= 3)
        b.clip.stalled = True
        await b.until(lambda: "lost" in b.states)
        assert b.session.stats.last_error == "the sensor is connected but sends nothing"
        assert b.states[-2:] == ["stalled", "lost"]
        b.clip.stalled = False
        have = len(b.received)
        await b.until(lambda: len(b.received) > have)
        assert b.session.stats.connections >= 2
        b.nothing_twice()


async def test_connected_without_a_first_frame_is_never_called_streaming() -> None:
    async with bench(clip_on=False) as b:
        b.clip.stalled = True
        await b.clip.power_on()
        await b.until(lambda: b.session.stats.failures)
        assert "streaming" not in b.states
        assert b.session.stats.restarts == 1


async def test_out_of_range_and_back() -> None:
    async with bench() as b:
        await b.until(lambda: len(b.received) >= 3)
        b.clip.leave()
        await b.until(lambda: b.session.stats.failures >= 2)
        assert "was not found" in b.session.stats.last_error
        b.clip.come_back()
        have = len(b.received)
        await b.until(lambda: len(b.received) > have)
        b.nothing_twice()


async def test_a_sensor_that_vanishes_between_scan_and_connect_does_not_block_the_radio() -> None:
    async with bench(clip_on=False) as b:
        b.air.deaf_to_connecting.add(b.clip.controller)
        await b.clip.power_on()
        await b.until(lambda: b.session.stats.failures)
        assert "connecting took too long" in b.session.stats.last_error
        b.air.deaf_to_connecting.clear()
        await b.until(lambda: b.received)


async def test_a_refused_start_is_told_and_tried_again() -> None:
    async with bench(clip_on=False) as b:
        b.clip.refuses_start = True
        await b.clip.power_on()
        await b.until(lambda: b.session.stats.failures)
        assert "refused command 0164000a0808" in b.session.stats.last_error
        b.clip.refuses_start = False
        await b.until(lambda: b.received)


async def test_a_strangers_sensor_is_never_connected() -> None:
    async with bench(clip_on=False) as b:
        stranger = Clip(b.air, STRANGER)
        await stranger.power_on()
        await b.until(lambda: "lost" in b.states)
        assert not stranger.is_connected
        assert stranger.commands == []
        assert b.received == []
        assert set(b.states) == {"searching", "lost"}
        await stranger.power_off()


async def test_two_sessions_share_a_radio_that_does_one_thing_at_a_time() -> None:
    async with bench(limits=PATIENT) as b:
        other = Clip(b.air, OTHER)
        second, got = b.session_of(OTHER), []

        async def sink(received: list[Received]) -> None:
            got.extend(received)

        task = asyncio.create_task(second.run(sink, lambda _: None))
        await b.until(lambda: len(b.received) >= 3)  # the missing one does not hold up the one that is there
        await other.power_on()
        await b.until(lambda: len(got) >= 3)
        assert b.central.most_at_once == 1
        assert b.session.stats.failures == 0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await other.power_off()


async def test_sensors_looked_for_together_are_found_by_one_scan() -> None:
    async with bench(run=False) as b:
        other = Clip(b.air, OTHER)
        await other.power_on()
        b.radio.limits = replace(RADIO, scan_gather_s=5.0)
        looks = [b.radio.find(lambda advert, at=at: advert.address == at, 8) for at in (OURS, OTHER)]
        found = await asyncio.gather(*looks)
        assert [f and f.advert.address for f in found] == [OURS, OTHER]
        assert b.central.scans == 1
        # One that stays away holds up the one that is there by no more than that moment.
        b.radio.limits = replace(RADIO, scan_gather_s=0.2)
        away = asyncio.create_task(b.radio.find(lambda advert: advert.address == STRANGER, 8))
        assert await b.radio.find(lambda advert: advert.address == OURS, 8) is not None
        await b.until(lambda: b.central.scans_running == 0)
        away.cancel()
        await asyncio.gather(away, return_exceptions=True)
        await other.power_off()


async def test_a_connection_left_by_a_killed_process_is_closed_first() -> None:
    async with bench(run=False, limits=PATIENT) as b:
        found = await b.radio.find(lambda _: True, 3)
        assert found is not None
        left_over = BleakClient(found.device, backend=b.central.backends().client)
        await left_over.connect()
        assert b.clip.is_connected
        task = asyncio.create_task(b.session.run(b.sink, b.states.append))
        await b.until(lambda: len(b.received) >= 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert b.session.stats.failures == 0


async def test_what_waits_is_delivered_in_order_when_the_runner_was_behind_and_bounded() -> None:
    async with bench(run=False) as b:
        session = b.session_of(OURS, replace(QUICK, backlog=5))
        gate = asyncio.Event()

        async def slow(received: list[Received]) -> None:
            b.received.extend(received)
            await gate.wait()

        task = asyncio.create_task(session.run(slow, b.states.append))
        await b.until(lambda: session.stats.dropped >= 3)
        gate.set()
        await b.until(lambda: len(b.received) >= 6)
        seqs = [x.seq for x in b.batches()]
        assert seqs == sorted(seqs)
        assert session.stats.payloads == len(b.received) + session.stats.dropped
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_error_of_the_sink_ends_the_session_and_closes_the_link() -> None:
    async with bench(run=False) as b:

        async def broken(_received: list[Received]) -> None:
            raise RuntimeError("disk")

        with pytest.raises(RuntimeError, match="disk"):
            await asyncio.wait_for(b.session.run(broken, b.states.append), 30)
        await b.until(lambda: not b.clip.is_connected)


async def test_a_device_without_the_profile_is_named() -> None:
    async with bench(run=False) as b:
        found = await b.radio.find(lambda _: True, 3)
        assert found is not None
        with pytest.raises(LinkError, match="no characteristic 0000ffff"):
            async with b.radio.connect(found) as link:
                await link.subscribe(["0000ffff-0000-1000-8000-00805f9b34fb"], lambda _u, _p: None)
        await b.until(lambda: not b.clip.is_connected)


def test_settings_are_checked_when_the_transport_is_made() -> None:
    context = TransportContext(SystemClock())
    sensor = Sensor("clip-1", "w-001", address=OURS)
    session = open_profile_sensor(sensor, context)
    assert session.driver.capabilities.rate_hz == 100
    with pytest.raises(ConfigError, match="address"):
        open_profile_sensor(replace(sensor, address=""), context)
    with pytest.raises(ConfigError, match="acc_range_g"):
        open_profile_sensor(replace(sensor, options={"acc_range_g": 5}), context)
    with pytest.raises(ConfigError, match="rate_hz"):
        open_profile_sensor(replace(sensor, rate_hz=5), context)
