"""The adapter's own troubles over a simulated radio: gone and back under another name, service dead, stuck, full."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import ClassVar

import pytest

from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Adapter, ConfigError, RadioLimits, RadioSettings, Sensor, SessionLimits
from sensor_gateway.drivers.base import Capabilities, Received
from sensor_gateway.drivers.open_profile import SERVICE_UUID, OpenProfileDriver
from sensor_gateway.drivers.polar import PolarDriver
from sensor_gateway.radio.adapter import Radio
from sensor_gateway.radio.escalation import CYCLE_AFTER
from sensor_gateway.radio.pool import RadioContext, Radios
from sensor_gateway.radio.sensors import open_profile_sensor
from sensor_gateway.radio.session import Session, Who
from tests.ble.support.air import Air
from tests.ble.support.backend import CENTRAL_ADDRESS, Central
from tests.ble.support.bench import driver_bench
from tests.ble.support.clip import Clip
from tests.ble.test_driver_polar import Verity

pytestmark = pytest.mark.anyio

TIMING = RadioLimits(
    scan_slice_s=0.5, scan_pause_s=0.02, connect_s=0.8, connect_outer_s=3, close_s=2, host_s=2, power_off_s=0.05
)
LIMITS = SessionLimits(
    search_s=1, first_data_s=3, check_s=0.05, pause_s=0.05, pause_max_s=0.1, adapter_pause_s=0.1, good_s=0.5,
    alarm_s=60, adapter_alarm_s=0.5,
)  # fmt: skip


async def until(
    condition: Callable[[], object], timeout_s: float = 40.0, why: Callable[[], object] = lambda: ""
) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + timeout_s, why()
        await asyncio.sleep(0.01)
    return time.monotonic() - began


class Bench:
    def __init__(self, adapter: str, limits: SessionLimits, who: Who) -> None:
        self.air = Air()
        self.central = Central(self.air)
        self.host = self.central.host
        self.clip = Clip(self.air, "C0:00:00:00:00:01")
        self.radio = Radio(adapter, self.central.backends(), TIMING)
        self.session = Session(OpenProfileDriver(), who, self.radio, SystemClock(), limits=limits, jitter=lambda: 0.5)
        self.received: list[Received] = []
        self.states: list[str] = []

    async def sink(self, received: list[Received]) -> None:
        self.received += received

    async def until(self, condition: Callable[[], object], timeout_s: float = 40.0) -> float:
        """Wait; the seconds that it took."""
        return await until(condition, timeout_s, lambda: f"{self.states[-8:]} {self.session.stats} {self.radio.ladder}")

    async def streams(self) -> float:
        have = len(self.received)
        return await self.until(lambda: self.session.stats.state == "streaming" and len(self.received) > have)


CLIP = Who("C0:00:00:00:00:01", service_uuids=(SERVICE_UUID,), name="clip-1")


@asynccontextmanager
async def bench(
    adapter: str = CENTRAL_ADDRESS, limits: SessionLimits = LIMITS, who: Who = CLIP
) -> AsyncIterator[Bench]:
    b = Bench(adapter, limits, who)
    await b.central.device.power_on()
    await b.clip.power_on()
    task = asyncio.create_task(b.session.run(b.sink, b.states.append))
    try:
        yield b
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await b.clip.power_off()
        assert b.central.not_closed == []


async def test_an_adapter_that_comes_back_under_another_name_is_found_by_its_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with bench() as b:
        await b.streams()
        await b.host.unplug()
        await b.until(lambda: b.states[-1] == "no_adapter")
        await b.until(lambda: b.session.stats.alarm)
        looked = b.session.stats.failures
        await b.until(lambda: b.session.stats.failures > looked + 2)
        said = [r.message for r in caplog.records if r.levelname == "WARNING" and "is not plugged in" in r.message]
        assert len(said) == 1, "looked for again and again, and said once"
        assert "is not plugged in (here: none)" in b.session.stats.last_error
        assert "Plug the Bluetooth adapter in" in b.session.stats.alarm
        b.host.replug("hci3")
        assert await b.streams() < 5
        assert b.session.stats.alarm == ""


async def test_another_adapter_in_its_place_is_not_taken() -> None:
    async with bench("00:11:22:33:44:55") as b:
        await b.until(lambda: b.states[-1:] == ["no_adapter"])
        assert f"here: hci0 {CENTRAL_ADDRESS}" in b.session.stats.last_error
        assert not b.clip.is_connected


@pytest.mark.parametrize("adapter", [CENTRAL_ADDRESS, "hci0", ""])
async def test_an_adapter_that_is_off_is_switched_on(adapter: str) -> None:
    async with bench(adapter) as b:
        await b.streams()
        await b.host.power("hci0", False)
        await b.until(lambda: "lost" in b.states or "no_adapter" in b.states)
        assert await b.streams() < 5
        assert b.host.switched == [False, True]


async def test_an_adapter_by_a_name_that_is_not_here_is_told_with_those_that_are() -> None:
    async with bench("hci7") as b:
        await b.until(lambda: b.states[-1:] == ["no_adapter"])
        assert b.session.stats.last_error == f"adapter hci7 is not plugged in (here: hci0 {CENTRAL_ADDRESS})"


@pytest.mark.parametrize("adapter", [CENTRAL_ADDRESS, ""])
async def test_the_bluetooth_service_dies_and_is_started_again(adapter: str) -> None:
    async with bench(adapter) as b:
        await b.streams()
        await b.host.kill_service()
        await b.until(lambda: b.states[-1] == "no_adapter")
        b.host.serving = True
        assert await b.streams() < 5


async def test_a_controller_that_takes_no_commands_is_switched_off_and_on() -> None:
    async with bench() as b:
        await b.streams()
        b.host.stuck = True
        await b.clip.hang_up()
        await b.until(lambda: b.host.switched == [False, True])
        assert b.host.forgotten[:1] == [f"hci0 {CLIP.address}"]  # the milder step came first
        assert await b.streams() < 5
        assert b.radio.ladder.failures == 0


async def test_a_controller_that_stays_stuck_ends_in_an_alarm() -> None:
    async with bench(limits=replace(LIMITS, alarm_failures=10_000)) as b:
        await b.streams()
        b.host.cannot_be_freed = b.host.stuck = True
        await b.clip.hang_up()
        await b.until(lambda: b.session.stats.alarm)
        assert b.host.switched == [False, True] * 2
        assert "unplug the Bluetooth adapter" in b.session.stats.alarm
        assert b.session.stats.failures >= 2 * CYCLE_AFTER


async def test_an_adapter_with_a_working_link_is_never_switched() -> None:
    async with bench() as b:
        await b.streams()
        other = Clip(b.air, "C0:00:00:00:00:02")
        b.air.deaf_to_connecting.add(other.controller)
        await other.power_on()
        session = Session(OpenProfileDriver(), other.address, b.radio, SystemClock(), limits=LIMITS)
        task = asyncio.create_task(session.run(b.sink, lambda _: None))
        await until(lambda: session.stats.failures > CYCLE_AFTER + 1, 30, lambda: (session.stats, task))
        assert b.host.switched == []
        assert session.stats.last_failure == "connect"
        await until(lambda: session.stats.alarm)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await other.power_off()
        assert b.session.stats.failures == 0


async def test_scanning_ends_when_nobody_is_missing() -> None:
    async with bench() as b:
        await b.streams()
        await b.until(lambda: not b.radio.scanner.scanning)
        assert b.central.scans_running == 0
        await asyncio.sleep(0.5)
        assert b.central.scans_running == 0
        b.clip.leave()
        await b.until(lambda: b.central.scans_running == 1)


class Named(Clip):
    advertised_name: ClassVar[str] = "Tilt TL-0001"


async def test_a_sensor_is_found_by_its_serial_number_and_a_namesake_is_not_read() -> None:
    def advertises(self: OpenProfileDriver, advert: object) -> float:
        return 1.0

    driver = type("ByName", (OpenProfileDriver,), {"match": advertises})()
    air = Air()
    central = Central(air)
    await central.device.power_on()
    ours, namesake = Named(air, "C0:00:00:00:00:01"), Named(air, "C0:00:00:00:00:02")
    await ours.power_on()
    radio = Radio("", central.backends(), TIMING)
    session = Session(driver, Who(serial="TL-0001", service_uuids=(SERVICE_UUID,)), radio, SystemClock(), limits=LIMITS)
    got: list[Received] = []

    async def sink(received: list[Received]) -> None:
        got.extend(received)

    task = asyncio.create_task(session.run(sink, lambda _: None))
    await until(lambda: got)
    assert session.stats.firmware == "1.4.2"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await namesake.power_on()
    wrong = Who(namesake.address, "TL-0002", (SERVICE_UUID,))
    session = Session(driver, wrong, radio, SystemClock(), limits=LIMITS)
    task = asyncio.create_task(session.run(sink, lambda _: None))
    await until(lambda: session.stats.alarm)
    assert "has serial number TL-0001, not TL-0002: it is not read" in session.stats.alarm
    assert session.stats.payloads == 0
    assert namesake.writes == []
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await ours.power_off()
    await namesake.power_off()


def guarded(air: Air, address: str) -> Verity:
    sensor = Verity(air, address)
    sensor.wants_bond = True
    return sensor


async def test_a_verity_sense_that_asks_for_a_bond_gets_one() -> None:
    async with driver_bench(guarded, PolarDriver(52)) as b:
        await b.until(lambda: b.samples >= 20)
        assert b.session.stats.bonds == 1
        assert b.session.stats.connections == 1


class Unbonded(PolarDriver):
    """A sensor of a kind that the gateway does not pair by itself."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, needs_bond=False)


@pytest.mark.parametrize("driver", [PolarDriver, Unbonded])
async def test_a_sensor_that_has_forgotten_its_pairing_is_paired_anew_only_where_we_may(
    driver: type[PolarDriver],
) -> None:
    # The system believes that it is paired; the sensor knows nothing of it.
    async with driver_bench(guarded, driver(52), replace(LIMITS, first_data_s=10)) as b:
        b.central.host.bonds.add(b.sensor.address)
        await b.until(lambda: len(b.central.host.forgotten) >= 3 or b.samples)
        if driver is PolarDriver:
            await b.until(lambda: b.samples >= 20)
            assert b.session.stats.bonds == 1
            assert len(b.central.host.forgotten) >= 2, "its keys go only where the milder step did not help"
        assert b.central.host.bonds == {b.sensor.address}
        assert (b.samples > 0) == (driver is PolarDriver)


async def test_the_sensor_beyond_the_link_budget_is_refused_by_name_and_the_others_go_on() -> None:
    radios = Radios(RadioSettings((Adapter(CENTRAL_ADDRESS, 2), Adapter("00:11:22:33:44:55", 1))))
    context = RadioContext(SystemClock(), radios=radios)
    sessions = [
        open_profile_sensor(Sensor(f"clip-{i}", "w", address=f"C0:00:00:00:00:0{i}"), context) for i in range(1, 5)
    ]
    assert [r.served for r in radios] == [["clip-1", "clip-2"], ["clip-3"]]
    states: list[str] = []

    async def sink(_received: list[Received]) -> None:
        raise AssertionError

    task = asyncio.create_task(sessions[3].run(sink, states.append))
    await until(lambda: states)
    assert states == ["refused"]
    told = sessions[3].telemetry().alarm
    assert "max_links" in told
    assert "clip-1, clip-2" in told
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_a_named_adapter_is_used_and_counted() -> None:
    radios = Radios(RadioSettings((Adapter(CENTRAL_ADDRESS, 2),)))
    context = RadioContext(SystemClock(), radios=radios)
    sensor = Sensor("clip-1", "w", address="C0:00:00:00:00:01", options={"adapter": CENTRAL_ADDRESS.lower()})
    assert open_profile_sensor(sensor, context).stats.adapter == CENTRAL_ADDRESS
    with pytest.raises(ConfigError, match="'serial'"):
        open_profile_sensor(replace(sensor, address=""), context)
