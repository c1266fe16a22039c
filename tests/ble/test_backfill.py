"""Out of range for ten minutes of the sensor's clock: what it kept is fetched afterwards, once, while it streams on."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from processing.types import F64, GRAVITY_MPS2, ImuBatch
from sensor_gateway.config import SessionLimits
from sensor_gateway.drivers.base import Late, Received, Rejected
from sensor_gateway.drivers.open_profile import SERVICE_UUID, OpenProfileDriver
from sensor_gateway.radio.adapter import Radio
from sensor_gateway.radio.session import Session
from tests.ble.support.air import Air
from tests.ble.support.backend import Central
from tests.ble.support.bench import ADDRESS, RADIO
from tests.ble.support.keeping_clip import PERIOD_US, RATE_HZ, KeepingClip
from tests.clocks import FastClock

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SPEED = 25.0
PATIENT = SessionLimits(
    search_s=2.0, first_data_s=600.0, stall_s=300.0, check_s=0.05, pause_s=1.0, pause_max_s=5.0, good_s=1.0
)


def still(t_s: F64) -> tuple[F64, F64]:
    """Upright; the sample's number, modulo 1000, stands in the rate's first axis [1/1000 rad/s]."""
    acc = np.tile([0.0, 0.0, GRAVITY_MPS2], (len(t_s), 1))
    return acc, np.stack([np.rint(t_s * RATE_HZ) % 1000 / 1000, 0 * t_s, 0 * t_s], 1)


class Bench:
    def __init__(self) -> None:
        self.air = Air()
        self.central = Central(self.air)
        self.clock = FastClock(SPEED, 1_790_000_000 * 10**9)
        self.clip = KeepingClip(self.air, ADDRESS, self.clock, still)
        self.driver = OpenProfileDriver(RATE_HZ)
        radio = Radio("", self.central.backends(), RADIO)
        self.session = Session(self.driver, ADDRESS, radio, self.clock, (SERVICE_UUID,), PATIENT, jitter=lambda: 0.5)
        self.items: list[object] = []
        self.live = self.late = self.newest = 0  # samples, and the number of the newest one
        self.states: list[str] = []

    async def sink(self, received: list[Received]) -> None:
        for r in received:
            new = self.driver.feed(r.uuid, r.payload, r.rx_mono_ns, r.rx_utc_ns)
            self.items += new
            self.live += sum(len(i.t_dev_ticks) for i in new if isinstance(i, ImuBatch))
            self.newest = max(
                [self.newest, *(int(i.t_dev_ticks[-1]) // round(PERIOD_US) for i in new if isinstance(i, ImuBatch))]
            )
            self.late += sum(len(i.batch.t_dev_ticks) for i in new if isinstance(i, Late))

    async def until(self, condition, timeout_s: float = 120.0) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"states {self.states}, {self.session.stats}"
            await asyncio.sleep(0.02)

    def numbers(self, kind: type) -> list[int]:
        batches = [i.batch if isinstance(i, Late) else i for i in self.items if isinstance(i, kind)]
        return [int(t) // round(PERIOD_US) for b in batches for t in b.t_dev_ticks]


async def test_ten_minutes_out_of_range_are_fetched_once_and_live_samples_go_on() -> None:
    b = Bench()
    await b.central.device.power_on()
    await b.clip.power_on()
    task = asyncio.create_task(b.session.run(b.sink, b.states.append))
    try:
        await b.until(lambda: b.live)
        await asyncio.sleep(1)
        b.clip.leave()
        left_ns = b.clock.mono_ns()
        await b.until(lambda: b.clock.mono_ns() - left_ns >= 600e9)
        away_at = b.newest
        b.clip.come_back()
        # What was in the radio's own queue when the link broke may come first.
        await b.until(lambda: b.newest > away_at + 600 * RATE_HZ)
        live = b.numbers(ImuBatch)
        missing = int(max(np.diff(live))) - 1
        assert missing >= 600 * RATE_HZ
        await b.until(lambda: b.late >= missing)
        await asyncio.sleep(1)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await b.clip.power_off()
    live, late = b.numbers(ImuBatch), b.numbers(Late)
    assert live == sorted(live)
    assert len(late) == len(set(late)) == missing
    everything = sorted(live + late)
    assert everything == list(range(everything[0], everything[-1] + 1))
    assert not [i for i in b.items if isinstance(i, Rejected)]
