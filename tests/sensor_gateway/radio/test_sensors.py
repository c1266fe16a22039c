"""The entry points of the radio sensors make transports of the settings, and say what the settings cannot be."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from struct import pack

import pytest

from sensor_gateway.clock import SystemClock
from sensor_gateway.config import ConfigError, Sensor
from sensor_gateway.drivers.base import Received, StartsWithTime, TransportContext
from sensor_gateway.drivers.capture2go import NOTIFY_UUID, SET_TIME, STATUS
from sensor_gateway.drivers.capture2go_frame import encode
from sensor_gateway.radio.ble_sensor import BleSensor
from sensor_gateway.radio.session import Session

CONTEXT = TransportContext(SystemClock())
POINTS = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]["entry-points"]
RADIO = sorted(set(POINTS["tiltline.drivers"]) - {"synthetic", "replay"})


def made(name: str) -> BleSensor:
    loaded = EntryPoint(name, POINTS["tiltline.drivers"][name], "tiltline.drivers").load()
    assert isinstance(loaded, BleSensor)
    return loaded


def sensor(driver: str, rate_hz: float, **options: str | float | bool) -> Sensor:
    return Sensor("clip-1", "w-001", driver, "C0:00:00:00:00:01", rate_hz, options=options)


@pytest.mark.parametrize("name", RADIO)
def test_each_radio_driver_has_a_page_in_the_manual_an_id_and_defaults(name: str) -> None:
    factory = made(name)
    driver = factory.driver_class()
    assert driver.id == name
    assert factory.service_uuids
    assert driver.notify_uuids()
    manual = Path(__file__).parents[3] / "docs" / ("open_profile.md" if name == "open" else "devices.md")
    assert name == "open" or f"`{name}`)" in manual.read_text(encoding="utf-8")
    session = factory(sensor(name, driver.capabilities.rate_hz), CONTEXT)
    assert isinstance(session, Session)
    assert session.driver.capabilities == driver.capabilities


@pytest.mark.parametrize("name", RADIO)
def test_without_an_address_no_sensor_is_ever_read(name: str) -> None:
    with pytest.raises(ConfigError, match="'address' is empty"):
        made(name)(replace(sensor(name, 100), address=""), CONTEXT)


@pytest.mark.parametrize("off_ns", [0, 60 * 10**9])
def test_a_clock_that_an_earlier_run_has_set_is_left_alone(off_ns: int) -> None:
    now_ns = SystemClock().utc_ns()
    status = b"\xff" + encode(STATUS, pack("<qBB3hBBB", now_ns + off_ns, 2, 2, 0, 0, 0, 0, 77, 90))
    heard = [Received(NOTIFY_UUID, status, 1, now_ns)]
    context = TransportContext(SystemClock(), journaled=lambda driver: heard if driver == "capture2go" else [])
    session = made("capture2go")(sensor("capture2go", 100), context)
    assert isinstance(session._ear, StartsWithTime)
    sets = [step for step in session._ear.start_at(now_ns) if step.payload[6:8] == pack("<H", SET_TIME)]
    assert bool(sets) == (off_ns > 0)


def test_options_are_the_keywords_of_the_driver() -> None:
    session = made("dot")(sensor("dot", 30, payload=26, adapter="hci7"), CONTEXT)
    assert session.driver.start()[-1].payload == bytes([1, 1, 26])
    assert session.driver.capabilities.rate_hz == 30
    with pytest.raises(ConfigError, match="sensor 'clip-1': key payload is 5"):
        made("dot")(sensor("dot", 60, payload=5), CONTEXT)
    with pytest.raises(ConfigError, match="unknown key 'paylod'; did you mean 'payload'"):
        made("dot")(sensor("dot", 60, paylod=26), CONTEXT)
    with pytest.raises(ConfigError, match="key 'payload'"):
        made("dot")(sensor("dot", 60, payload="26"), CONTEXT)
    with pytest.raises(ConfigError, match=r"rate_hz is 100; .* set 60"):
        made("dot")(sensor("dot", 100), CONTEXT)
