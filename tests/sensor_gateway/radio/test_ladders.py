"""States, ladders and pauses by themselves, and the operating system's side over a bus of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dbus_fast.aio import MessageBus

from sensor_gateway.config import ConfigError, SessionLimits, load_settings
from sensor_gateway.radio.escalation import CYCLE_AFTER, DEAF_S, FORGET_AFTER, AdapterLadder, SensorLadder, pause_s
from sensor_gateway.radio.host import AdapterInfo, BlueZ, HostError
from sensor_gateway.radio.states import FOLLOWS, StateError, follow
from tests.sensor_gateway.radio.fake_bluez import FakeAdapter, FakeDevice

LIMITS = SessionLimits()


def test_every_state_can_be_reached_and_left_only_as_drawn() -> None:
    reached, new = set(), {None}
    while new:
        reached |= new
        new = {s for state in new for s in FOLLOWS[state]} - reached
    assert reached == set(FOLLOWS)
    assert follow("streaming", "stalled") == "stalled"
    with pytest.raises(StateError, match="streaming cannot follow searching"):
        follow("searching", "streaming")


def test_a_sensor_is_forgotten_each_third_time_and_then_somebody_is_called() -> None:
    ladder = SensorLadder(LIMITS)
    forget, alarms = [], []
    for i in range(LIMITS.alarm_failures):
        forget.append(ladder.failed("connect", float(i)))
        alarms.append(ladder.alarm("connect", "no", float(i)))
    assert [i + 1 for i, f in enumerate(forget) if f] == [FORGET_AFTER, 2 * FORGET_AFTER]
    assert [bool(a) for a in alarms] == [False] * (LIMITS.alarm_failures - 1) + [True]
    assert ladder.bond_too
    ladder.healed()
    assert not ladder.bond_too
    assert not any(ladder.failed("unread", 0.0) for _ in range(LIMITS.alarm_failures)), "it was understood well enough"
    assert "driver and options" in ladder.alarm("unread", "another chip", 0.0)
    ladder.healed()
    assert not ladder.failed("missing", 100.0)
    assert ladder.alarm("missing", "gone", 100.0 + LIMITS.alarm_s - 1) == ""
    assert "Charge the sensor" in ladder.alarm("missing", "gone", 100.0 + LIMITS.alarm_s)
    assert "settings" in SensorLadder(LIMITS).alarm("stranger", "another one", 0.0)


def test_an_adapter_is_switched_only_where_nobody_is_connected_and_not_for_ever() -> None:
    ladder = AdapterLadder()
    assert [ladder.connect_failed(0) for _ in range(CYCLE_AFTER)] == [False] * (CYCLE_AFTER - 1) + [True]
    assert not any(ladder.connect_failed(1) for _ in range(3 * CYCLE_AFTER))
    ladder.cycles = 2
    assert ladder.hopeless
    assert not any(ladder.connect_failed(0) for _ in range(3 * CYCLE_AFTER))
    ladder.connected()
    assert not ladder.hopeless


def test_a_scan_that_hears_nobody_for_two_minutes_is_deaf() -> None:
    ladder = AdapterLadder()
    told = [ladder.scanned(False, 5.0, t, 0) for t in range(5, 300, 5)]
    assert told.index(True) == DEAF_S / 5 - 1
    assert sum(told) == 2
    ladder = AdapterLadder()
    assert not any(ladder.scanned(t % 60 == 0, 5.0, t, 0) for t in range(5, 900, 5))


def test_pauses_double_with_jitter_up_to_a_bound() -> None:
    pauses = [pause_s(n, "connect", LIMITS, 0.5) for n in range(1, 20)]
    assert pauses[:4] == [1, 2, 4, 8]
    assert pauses[-1] == 60
    assert pause_s(9, "missing", LIMITS, 0.5) == 10
    assert pause_s(9, "adapter", LIMITS, 0.9) == 1
    assert (pause_s(1, "ended", LIMITS, 0.0), pause_s(1, "ended", LIMITS, 1.0)) == (0.5, 1.5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[radio.adapters]]\naddress = "hci0"', "own Bluetooth address"),
        ('[[radio.adapters]]\naddress = "00:11:22:33:44:55"\nmax_links = 0', "max_links"),
        ("[radio.session]\npause_s = 0.0", "radio.session.pause_s"),
        ("[radio.timing]\nconect_s = 1.0", "did you mean"),
    ],
)
def test_radio_settings_are_checked(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_settings(file)


@pytest.fixture
def bus_address(tmp_path: Path) -> Iterator[str]:
    if shutil.which("dbus-daemon") is None:
        pytest.skip("no dbus-daemon here")
    daemon = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--print-address", f"--address=unix:path={tmp_path}/bus"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert daemon.stdout is not None
        yield daemon.stdout.readline().strip()
    finally:
        daemon.kill()
        daemon.wait()


@pytest.mark.anyio
async def test_adapters_are_listed_switched_and_devices_forgotten_over_a_true_bus(bus_address: str) -> None:
    host = BlueZ(bus_address)
    with pytest.raises(HostError, match="systemctl enable --now bluetooth"):
        await host.adapters()
    service = await MessageBus(bus_address=bus_address).connect()
    adapter = FakeAdapter()
    free, bonded = FakeDevice("C0:00:00:00:00:01", False), FakeDevice("C0:00:00:00:00:02", True)
    service.export("/org/bluez/hci1", adapter)
    service.export("/org/bluez/hci1/dev_1", free)
    service.export("/org/bluez/hci1/dev_2", bonded)
    await service.request_name("org.bluez")
    assert await host.adapters() == [AdapterInfo("hci1", "00:11:22:33:44:55", True, False, ("C0:00:00:00:00:02",))]
    await host.power("hci1", False)
    assert not adapter.powered
    await host.forget("hci1", "c0:00:00:00:00:01")
    await host.forget("hci1", "c0:00:00:00:00:02")
    assert adapter.removed == ["/org/bluez/hci1/dev_1"]
    await host.forget("hci1", "c0:00:00:00:00:02", bond_too=True)
    assert adapter.removed == ["/org/bluez/hci1/dev_1", "/org/bluez/hci1/dev_2"]
    with pytest.raises(HostError, match="did not do Set"):
        await host.power("hci7", True)
    service.disconnect()


@pytest.mark.anyio
async def test_a_machine_without_a_bus_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="install and start BlueZ"):
        await BlueZ(f"unix:path={tmp_path}/none").adapters()
