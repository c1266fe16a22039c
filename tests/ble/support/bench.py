"""A bought sensor's simulated twin, one radio, one session, and everything that came out of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from processing.types import ImuBatch
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import RadioLimits, SessionLimits
from sensor_gateway.drivers.base import Decoded, Driver, Received
from sensor_gateway.radio.adapter import Radio
from sensor_gateway.radio.session import Session
from tests.ble.support.air import Air
from tests.ble.support.backend import Central
from tests.ble.support.peripheral import Peripheral

ADDRESS = "C0:00:00:00:00:11"
RADIO = RadioLimits(scan_slice_s=1.0, scan_pause_s=0.05, connect_s=10.0, connect_outer_s=20.0, close_s=2.0)
# Quick to try again, slow to lose patience: a machine that stops for a moment is no sensor that does.
QUICK = SessionLimits(
    search_s=10.0, first_data_s=10.0, stall_s=5.0, check_s=0.05, pause_s=0.1, pause_max_s=0.4, good_s=0.5
)


class DriverBench:
    """``items``: what the driver made of the notifications, read as the runner would, anew after each lost connection."""

    def __init__(self, make: Callable[[Air, str], Peripheral], driver: Driver, limits: SessionLimits) -> None:
        self.air = Air()
        self.central = Central(self.air)
        self.sensor = make(self.air, ADDRESS)
        self.driver = driver
        self.items: list[Decoded] = []
        self.states: list[str] = []
        radio = Radio("", self.central.backends(), RADIO)
        services = tuple(self.sensor.services)
        self.session = Session(driver, ADDRESS, radio, SystemClock(), services, limits, jitter=lambda: 0.5)

    async def sink(self, received: list[Received]) -> None:
        for r in received:
            self.items += self.driver.feed(r.uuid, r.payload, r.rx_mono_ns, r.rx_utc_ns)

    def on_link(self, state: str) -> None:
        self.states.append(state)
        if state == "lost":
            self.driver.reset()

    async def until(self, condition: Callable[[], object], timeout_s: float = 30.0) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"states {self.states}, {self.session.stats}"
            await asyncio.sleep(0.02)

    async def comes_at(self, rate_hz: float, within: float, seconds: float = 2.0) -> None:
        """Wait for a stretch in which samples come at that rate, ``within`` a share of it.

        A machine that stops for a moment spoils the stretch it is in, not the next.
        """
        paces: list[float] = []
        while not paces or abs(paces[-1] / rate_hz - 1) > within:
            assert len(paces) < 10, paces
            have, began = self.samples, time.monotonic()
            await asyncio.sleep(seconds)
            paces.append((self.samples - have) / (time.monotonic() - began))

    @property
    def batches(self) -> list[ImuBatch]:
        return [item for item in self.items if isinstance(item, ImuBatch)]

    @property
    def samples(self) -> int:
        return sum(len(batch.t_dev_ticks) for batch in self.batches)


@asynccontextmanager
async def driver_bench(
    make: Callable[[Air, str], Peripheral], driver: Driver, limits: SessionLimits = QUICK
) -> AsyncIterator[DriverBench]:
    """A session running against a switched-on sensor; both are taken down at the end, whatever happened."""
    b = DriverBench(make, driver, limits)
    await b.central.device.power_on()
    await b.sensor.power_on()
    task = asyncio.create_task(b.session.run(b.sink, b.on_link))
    try:
        yield b
    finally:
        ended = task.done()
        task.cancel()
        (error,) = await asyncio.gather(task, return_exceptions=True)
        await b.sensor.power_off()
        assert not ended, error
        assert not b.sensor.is_connected
        assert b.central.not_closed == []
