"""All seven drivers on one adapter, each against a peripheral of its kind, through every fault that a day brings.

The sensors share the air, the scan and the one connection attempt at a time, as in a clinic. What each must show: it
streams, survives a fade without losing anything, a stall, a hang-up, a trip out of range that ends with the sensor
deaf to the first connection attempt, and a reboot with its clock begun anew; then it is stopped. At no time is anything
delivered twice or dated wrongly.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from processing.clock.timebase import Timebase, TimebaseParams
from processing.types import ImuBatch
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import RadioLimits, SessionLimits
from sensor_gateway.drivers.base import Decoded, Driver, Received
from sensor_gateway.drivers.capture2go import Capture2GoDriver
from sensor_gateway.drivers.metamotion import MetaMotionDriver
from sensor_gateway.drivers.movella_dot import MovellaDotDriver
from sensor_gateway.drivers.movesense import MovesenseDriver
from sensor_gateway.drivers.open_profile import OpenProfileDriver
from sensor_gateway.drivers.polar import PolarDriver
from sensor_gateway.drivers.witmotion import WitMotionDriver
from sensor_gateway.radio.adapter import Radio
from sensor_gateway.radio.session import Session, Who
from tests.ble.support.air import Air
from tests.ble.support.backend import Central
from tests.ble.support.clip import Clip
from tests.ble.support.peripheral import Peripheral
from tests.ble.test_driver_capture2go import Imu
from tests.ble.test_driver_metamotion import MetaMotion
from tests.ble.test_driver_movella_dot import Dot
from tests.ble.test_driver_movesense import Movesense
from tests.ble.test_driver_polar import Verity
from tests.ble.test_driver_witmotion import Module

pytestmark = pytest.mark.anyio

LIMITS = SessionLimits(
    search_s=3, first_data_s=4, stall_s=1.2, check_s=0.05, pause_s=0.1, pause_max_s=0.5, missing_pause_s=0.3, good_s=0.5
)
TIMING = RadioLimits(scan_slice_s=1.0, scan_pause_s=0.02, connect_s=1.5, connect_outer_s=4, close_s=2)
KINDS: dict[str, tuple[Callable[[Air, str], Peripheral], Callable[[], Driver]]] = {
    "open": (Clip, OpenProfileDriver),
    "capture2go": (Imu, Capture2GoDriver),
    "dot": (Dot, MovellaDotDriver),
    "witmotion": (Module, lambda: WitMotionDriver(100)),
    "movesense": (Movesense, lambda: MovesenseDriver(52)),
    "metamotion": (MetaMotion, lambda: MetaMotionDriver(100)),
    "polar": (Verity, lambda: PolarDriver(52)),
}


class Worn:
    """One sensor, its session, and its driver and clock read as the runner does."""

    def __init__(self, kind: str, i: int, air: Air, radio: Radio) -> None:
        make, drive = KINDS[kind]
        self.kind, self.driver = kind, drive()
        self.sensor = make(air, f"C0:00:00:00:01:{i:02X}")
        who = Who(self.sensor.address, service_uuids=tuple(self.sensor.services), name=kind)
        self.session = Session(drive(), who, radio, SystemClock(), limits=LIMITS)
        self.states: list[str] = []
        self.received: list[Received] = []
        self.items: list[Decoded] = []
        self.batches: list[ImuBatch] = []
        can = self.driver.capabilities
        self.timebase = Timebase(TimebaseParams(), can.clock, can.seq_bits, can.rate_hz)
        self.ages_s: list[float] = []
        self.last_t_ns = 0
        self.in_order = True
        self.rate_hz = can.rate_hz

    async def sink(self, received: list[Received]) -> None:
        for r in received:
            self.received.append(r)
            items = self.driver.feed(r.uuid, r.payload, r.rx_mono_ns, r.rx_utc_ns)
            self.items += items
            batches = [i for i in items if isinstance(i, ImuBatch)]
            self.batches += batches
            timed, _ = self.timebase.update(batches)
            if timed is not None and len(timed):
                t = timed.t_utc_ns
                self.in_order &= bool(t[0] > self.last_t_ns and np.all(np.diff(t) > 0))
                self.last_t_ns = int(t[-1])
                self.ages_s += ((r.rx_utc_ns - t) / 1e9).tolist()

    def on_link(self, state: str) -> None:
        self.states.append(state)
        if state in ("lost", "no_adapter"):
            self.driver.reset()

    async def until(self, condition: Callable[[], object], what: str, timeout_s: float = 25.0) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"{self.kind}: {what}: {self.states[-8:]}, {self.session.stats}"
            await asyncio.sleep(0.02)

    async def streams(self, what: str) -> None:
        have = len(self.batches)
        await self.until(lambda: self.session.stats.state == "streaming" and len(self.batches) > have + 2, what)

    @property
    def samples(self) -> int:
        return sum(len(b.t_dev_ticks) for b in self.batches)

    async def through_everything(self) -> None:
        sensor, stats = self.sensor, lambda: self.session.stats
        await self.streams("start")
        # A fade that is shorter than the supervision timeout and the watchdog: late, not lost.
        began, have, links = time.monotonic(), self.samples, stats().connections
        sensor.fade()
        await asyncio.sleep(0.8)
        at_most = len(self.received)
        sensor.clear_up()
        await self.until(lambda: len(self.received) > at_most, "burst")
        await self.streams("after the fade")
        due = (time.monotonic() - began) * self.rate_hz
        assert self.samples - have > 0.6 * due, f"{self.kind}: {self.samples - have} of {due:.0f} samples"
        assert stats().connections == links, self.kind
        # Connected but silent.
        sensor.stalled = True
        await self.until(lambda: "stalled" in self.states, "stall seen")
        await self.until(lambda: stats().restarts, "started again")
        sensor.stalled = False
        await self.streams("after the stall")
        # It hangs up.
        links = stats().connections
        await sensor.hang_up()
        await self.until(lambda: stats().connections > links, "reconnected")
        await self.streams("after the hang-up")
        # Out of range, and deaf to the first attempt when back.
        sensor.leave()
        sensor.air.deaf_to_connecting.add(sensor.controller)
        await self.until(lambda: self.states[-1] in ("lost", "searching"), "out of range seen")
        sensor.come_back()
        await self.until(lambda: "connecting took too long" in stats().last_error, "attempt in vain")
        sensor.air.deaf_to_connecting.discard(sensor.controller)
        await self.streams("after out of range")
        # Switched off and on: settings and clock begin anew.
        links = stats().connections
        sensor.reboot()
        await self.until(lambda: stats().connections > links, "reconnected after the reboot")
        await self.streams("after the reboot")


async def test_every_driver_survives_every_fault() -> None:
    air = Air()
    central = Central(air)
    await central.device.power_on()
    radio = Radio("", central.backends(), TIMING, max_links=7)
    worn = [Worn(kind, i, air, radio) for i, kind in enumerate(KINDS)]
    for w in worn:
        await w.sensor.power_on()
    tasks = [asyncio.create_task(w.session.run(w.sink, w.on_link)) for w in worn]
    try:
        results: list[Any] = await asyncio.gather(*(w.through_everything() for w in worn), return_exceptions=True)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for w in worn:
            w.sensor.stalled = True
            await w.sensor.power_off()
    failed = [f"{w.kind}: {r!r}" for w, r in zip(worn, results, strict=True) if isinstance(r, BaseException)]
    assert not failed, failed
    assert central.most_at_once == 1
    assert central.not_closed == []
    for w in worn:
        assert not w.sensor.is_connected, w.kind
        stop = [(s.uuid, s.payload) for s in w.driver.stop()]
        assert w.sensor.writes[len(w.sensor.writes) - len(stop) :] == stop, w.kind
        assert w.session.stats.payloads == len(w.received) <= w.sensor.notified, w.kind
        assert not any(a.payload == b.payload for a, b in pairwise(w.received) if len(a.payload) > 20), w.kind
        assert w.in_order, w.kind
        # Nothing from the future, and nothing older than what the sensor kept while nothing arrived.
        assert min(w.ages_s) > -0.05, (w.kind, min(w.ages_s))
        # A WitMotion measures at another rate until it is told its own: what it sends meanwhile has no better date.
        if w.kind != "witmotion":
            silence_s = max(b.rx_mono_ns - a.rx_mono_ns for a, b in pairwise(w.received)) / 1e9
            assert max(w.ages_s) < silence_s + 4, (w.kind, max(w.ages_s), silence_s)
        assert w.session.stats.dropped == 0
        assert w.session.stats.alarm == ""
    assert worn[0].session.stats.firmware == "1.4.2"
