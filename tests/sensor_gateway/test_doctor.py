"""`tiltline doctor`: each Bluetooth fault is seen on a machine laid out for it, told with its remedy, and nothing secret is."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sensor_gateway.cli import main
from sensor_gateway.config import Adapter, RadioSettings, Sensor, Settings, Web, WebToken
from sensor_gateway.health.bluetooth import bluetooth_findings
from sensor_gateway.health.finding import RENEW_DAYS, Finding
from sensor_gateway.health.page import page_finding
from sensor_gateway.health.time_sync import kernel_says_synchronised, time_finding
from sensor_gateway.radio.host import AdapterInfo, HostError
from sensor_gateway.spool.database import Spool
from tests.architecture.test_house import ROOT

ONE, TWO = "00:1A:7D:DA:71:01", "00:1A:7D:DA:71:02"
SENSORS = tuple(Sensor(f"clip-{i}", f"w-{i}", address=f"D4:22:CD:00:00:0{i}") for i in range(1, 6))
FINE = AdapterInfo("hci0", ONE, True)


class Bus:
    """The operating system's answers."""

    def __init__(self, *adapters: AdapterInfo, fails: str = "") -> None:
        self.found, self.fails = adapters, fails

    async def adapters(self) -> Sequence[AdapterInfo]:
        if self.fails:
            raise HostError(self.fails)
        return self.found

    async def power(self, name: str, on: bool) -> None:
        raise AssertionError(f"the doctor only looks, and switched {name} to {on}")

    async def forget(self, name: str, address: str) -> None:
        raise AssertionError(f"the doctor only looks, and made {name} forget {address}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine on which everything is right."""
    write(tmp_path / "sys/class/bluetooth/hci0/address", "")
    write(tmp_path / "sys/class/rfkill/rfkill0/type", "bluetooth")
    write(tmp_path / "sys/class/rfkill/rfkill0/soft", "0")
    write(tmp_path / "sys/class/rfkill/rfkill0/hard", "0")
    write(tmp_path / "sys/kernel/debug/bluetooth/hci0/conn_max_interval", "24\n")
    write(tmp_path / "sys/kernel/debug/bluetooth/hci0/supervision_timeout", "500\n")
    write(tmp_path / "sys/module/btusb/parameters/enable_autosuspend", "N\n")
    write(tmp_path / "run/dbus/system_bus_socket", "")
    daemon(tmp_path, "5.79")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def daemon(root: Path, version: str) -> None:
    path = root / "usr/libexec/bluetooth/bluetoothd"
    write(path, f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)


def findings(root: Path, host: Bus | None = None, settings: Settings | None = None) -> list[Finding]:
    return list(bluetooth_findings(settings or Settings(sensors=SENSORS[:1]), root, host or Bus(FINE)))


def of(found: list[Finding], check: str) -> Finding:
    return next(f for f in found if f.check == check)


def test_a_machine_in_order(root: Path) -> None:
    found = [f for f in findings(root) if f.check != "permission"]
    assert {f.state for f in found} == {"ok"}, found
    assert {f.check for f in found} == {"adapter", "bluez", "bleak", "interval", "usb"}
    assert of(found, "adapter").seen == f"hci0 {ONE} is on"


def test_every_problem_has_a_remedy(root: Path) -> None:
    (root / "sys/class/bluetooth/hci0/address").unlink()
    (root / "sys/class/bluetooth/hci0").rmdir()
    daemon(root, "5.50")
    write(root / "sys/class/rfkill/rfkill0/soft", "1")
    found = findings(root, Bus(AdapterInfo("hci0", ONE, False)), Settings(sensors=SENSORS))
    assert len([f for f in found if f.state == "problem"]) >= 5
    assert all(f.remedy for f in found if f.state != "ok" and "BlueZ" not in f.seen)


@pytest.mark.parametrize(
    ("file", "text", "check", "state", "words"),
    [
        ("sys/class/rfkill/rfkill0/soft", "1", "bluetooth", "problem", "rfkill"),
        ("sys/class/rfkill/rfkill0/hard", "1", "bluetooth", "problem", "hardware switch"),
        ("sys/kernel/debug/bluetooth/hci0/conn_max_interval", "40", "interval", "note", "up to 50 ms"),
        ("sys/kernel/debug/bluetooth/hci0/supervision_timeout", "42", "interval", "note", "given up after 420 ms"),
        ("sys/module/btusb/parameters/enable_autosuspend", "Y", "usb", "note", "put to sleep"),
    ],
)
def test_one_fault(root: Path, file: str, text: str, check: str, state: str, words: str) -> None:
    write(root / file, text)
    finding = of(findings(root), check)
    assert (finding.state, bool(finding.remedy)) == (state, True)
    assert words in finding.seen


@pytest.mark.parametrize(
    ("version", "state", "words"),
    [("5.50", "problem", "too old"), ("5.66", "note", "AcquireNotify"), ("5.82", "note", "searches anew"), ("5.79", "ok", "")],
)  # fmt: skip
def test_bluez_versions_and_what_is_known_of_them(root: Path, version: str, state: str, words: str) -> None:
    daemon(root, version)
    finding = of(findings(root), "bluez")
    assert finding.state == state
    assert version in finding.seen
    assert words in finding.seen


def test_intervals_are_read_from_the_settings_where_the_kernel_hides_them(root: Path) -> None:
    for name in ("conn_max_interval", "supervision_timeout"):
        (root / "sys/kernel/debug/bluetooth/hci0" / name).unlink()
    assert "run doctor as root" in of(findings(root), "interval").remedy
    write(root / "etc/bluetooth/main.conf", "[General]\nMaxConnectionInterval=99\n[LE]\n#MaxConnectionInterval=1\n")
    assert "not set" in of(findings(root), "interval").seen
    write(root / "etc/bluetooth/main.conf", "[LE]\nMaxConnectionInterval = 24\nConnectionSupervisionTimeout=500\n")
    assert of(findings(root), "interval") == Finding(
        "interval", "ok", "hci0: interval up to 30 ms, link given up after 5000 ms (etc/bluetooth/main.conf)"
    )


def test_the_service_that_is_away(root: Path) -> None:
    (root / "run/dbus/system_bus_socket").unlink()
    finding = of(findings(root, Bus(fails="no Bluetooth service on this machine")), "bluetooth")
    assert (finding.state, "apt-get install bluez" in finding.remedy) == ("problem", True)


def test_adapters_off_missing_busy_and_full(root: Path) -> None:
    assert "is off" in of(findings(root, Bus(AdapterInfo("hci0", ONE, False))), "adapter").seen
    assert (
        "another program is scanning" in of(findings(root, Bus(AdapterInfo("hci0", ONE, True, True))), "adapter").seen
    )
    two = RadioSettings(adapters=(Adapter(ONE, 2), Adapter(TWO, 2)))
    found = findings(root, Bus(FINE), Settings(sensors=SENSORS, radio=two))
    assert f"{TWO} of [radio] is not here" in of(found, "adapter").seen
    assert of(found, "links").seen == "5 sensors, 4 places"
    assert not [f for f in findings(root, Bus(FINE), Settings(sensors=SENSORS[:4])) if f.check == "links"]


def test_the_clock() -> None:
    assert kernel_says_synchronised() in (True, False, None)
    assert time_finding(1.8e9, True).state == "ok"
    assert "timedatectl" in time_finding(1.8e9, False).remedy
    assert time_finding(1.8e9, None).state == "note"
    assert time_finding(1_000_000_000, True).state == "problem"


def test_the_command_finds_what_is_missing_and_tells_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "hunter2-and-more"
    write(tmp_path / "password", secret)
    monkeypatch.setenv("TILTLINE_INFLUX_TOKEN", secret)
    write(
        tmp_path / "gateway.toml",
        '[web]\nenabled = false\n[mqtt]\nenabled = true\nport = 1\nusername = "gw-1"\npassword_file = "password"\n'
        '[[sensors]]\nid = "clip-1"\nwearer = "w-001"\n',
    )
    words = ["doctor", "--config", str(tmp_path / "gateway.toml")]
    assert main([*words, "--json"]) == 1
    out = capsys.readouterr().out
    told = {f["check"]: f for f in json.loads(out)}
    assert {"packages", "data folder", "time", "broker", "sensor clip-1"} <= set(told)
    assert "tiltline bind ADDRESS w-001" in told["sensor clip-1"]["remedy"]
    assert main(words) == 1
    assert secret not in out + capsys.readouterr().out


def test_a_bridges_file_is_known_by_having_no_sensors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        tmp_path / "bridge.toml",
        '[site]\ndata_dir = "data"\n[mqtt]\nenabled = true\nport = 1\n[influx]\nurl = "http://127.0.0.1:1"\n',
    )
    assert main(["doctor", "--config", str(tmp_path / "bridge.toml"), "--json"]) == 1
    told = {f["check"]: f for f in json.loads(capsys.readouterr().out)}
    assert "page" not in told
    assert "taken for a bridge's file" in told["sensors"]["seen"]
    assert (told["broker"]["state"], told["database"]["state"]) == ("problem", "problem")
    assert "correct 'influx.url'" in told["database"]["remedy"]


def test_a_page_that_is_up_is_no_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as page:
        port = page.getsockname()[1]
        write(tmp_path / "gateway.toml", f'[site]\ndata_dir = "data"\n[web]\nport = {port}\n')

        def seen() -> dict[str, str]:
            main(["doctor", "--config", str(tmp_path / "gateway.toml"), "--json"])
            return {f["check"]: f for f in json.loads(capsys.readouterr().out)}["page"]

        spool = Spool(tmp_path / "data" / "spool.db")
        assert seen()["state"] == "ok"
        spool.close()
        assert (seen()["state"], seen()["remedy"]) == ("problem", "choose another web.port")


def test_a_page_that_others_reach_needs_tokens_and_had_better_speak_tls(tmp_path: Path) -> None:
    others = Web(host="0.0.0.0", port=0)
    assert page_finding(others, tmp_path, False).state == "problem"
    token = WebToken("wearer", "w-001.token", "w-001")
    signed = replace(others, tokens=(token,))
    absent = page_finding(signed, tmp_path, False)
    assert (absent.state, "w-001.token" in absent.seen) == ("problem", True)
    write(tmp_path / "w-001.token", "a" * 64)
    assert "read along" in page_finding(signed, tmp_path, False).seen
    secret = replace(signed, certificate="page.crt", key="page.key")
    assert "page.crt" in page_finding(secret, tmp_path, False).seen
    for days, state in ((825, "ok"), (RENEW_DAYS - 1, "note")):
        selfsigned(tmp_path, days)
        assert page_finding(secret, tmp_path, False).state == state
    other = tmp_path / "other"
    other.mkdir()
    selfsigned(other, 825)
    (other / "page.key").replace(tmp_path / "page.key")
    assert page_finding(secret, tmp_path, False).state == "problem"
    assert "a" * 64 not in repr([page_finding(web, tmp_path, False) for web in (signed, secret)])


def selfsigned(folder: Path, days: int) -> None:
    """By the line of docs/operations.md."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    [line] = re.findall(r"openssl req -x509 .*?\n(?!  )", page.replace("\\\n", " "))
    line = line.replace("-days 825", f"-days {days}")
    subprocess.run(["bash", "-ec", line], cwd=folder, check=True, capture_output=True)
