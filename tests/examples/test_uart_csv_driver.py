"""The example driver as a stranger would use it: installed as a distribution of its own, found, tested, and streamed from."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from bumble.core import AdvertisingData

from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Sensor
from sensor_gateway.drivers.base import Rejected, TransportContext
from sensor_gateway.drivers.registry import transport_factory
from tests.ble.support.air import Air
from tests.ble.support.bench import driver_bench
from tests.ble.support.peripheral import NOTIFY, WRITE_SILENTLY, Peripheral

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "uart_csv_driver"
SERVICE, RX, TX = (f"6e40000{i}-b5a3-f393-e0a9-e50e24dcca9e" for i in (1, 2, 3))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the example is installed into, as pip does it; nothing is fetched."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    words = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", "site", "./source"]
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *words], cwd=folder, check=True, timeout=200
    )
    return folder / "site"


def python(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": f"{installed}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [sys.executable, *words], env=env, cwd=installed, capture_output=True, text=True, timeout=200, check=False
    )


@pytest.mark.slow
def test_its_own_tests_pass_where_it_is_installed(installed: Path) -> None:
    done = python(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "test_tiltline_uart_csv.py"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.slow
def test_bind_and_run_know_it_by_its_entry_point_alone(installed: Path, tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text("[site]\n")
    words = [
        "-m",
        "sensor_gateway.cli",
        "bind",
        "D4:22:CD:5B:7A:31",
        "w-001",
        "--driver",
        "uart-csv",
        "--config",
        str(config),
    ]
    without = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert without.returncode == 1
    assert "drivers here: capture2go" in without.stderr
    done = python(installed, *words, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sensor"] == "clip-1"
    assert 'driver = "uart-csv"' in config.read_text()
    assert "rate_hz = 50.0" in config.read_text()


class Sketch(Peripheral):
    """The Arduino's side: obeys S and X, prints lines, and cuts them into notifications of 20 bytes as a UART does."""

    services: ClassVar = {SERVICE: {RX: [WRITE_SILENTLY], TX: [NOTIFY]}}
    turn_s = 0.02

    def __init__(self, air: Air, address: str) -> None:
        super().__init__(air, address)
        self.rate_hz, self.lines, self.text = 0, 0, b""
        parts = [
            (
                AdvertisingData.Type.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
                bytes.fromhex(SERVICE.replace("-", ""))[::-1],
            ),
            (AdvertisingData.Type.COMPLETE_LOCAL_NAME, b"TiltBox 3"),
        ]
        self.device.advertising_data = bytes(AdvertisingData(parts))

    def wrote(self, name: str, value: bytes) -> None:
        command = value.strip()
        if name == RX and command[:1] in (b"S", b"X"):
            self.rate_hz = int(command[1:] or b"0")

    def turn(self) -> list[tuple[str, bytes]]:
        if self.rate_hz:
            self.text += b"%d,0,0,1000,0,0,%d\r\n" % (1000 + 20 * self.lines, self.lines % 900)
            self.lines += 1
        whole = len(self.text) // 20 * 20
        out = [(TX, self.text[i : i + 20]) for i in range(0, whole, 20)]
        self.text = self.text[whole:]
        return out


def arguments(module: object, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.configure(parser)  # type: ignore[attr-defined]  # a command's module, as `cli.main` loads it
    return parser.parse_args(words)


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_it_is_found_on_the_air_and_streams_through_a_disconnect(
    installed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sensor_gateway.cli import scan
    from sensor_gateway.radio.adapter import Radio

    monkeypatch.syspath_prepend(str(installed))  # where pip puts it in a real environment
    address = "C0:00:00:00:00:11"
    driver = transport_factory(Sensor("clip-1", "w-001", "uart-csv", address, 50.0))(
        Sensor("clip-1", "w-001", "uart-csv", address, 50.0), TransportContext(SystemClock())
    ).driver
    async with driver_bench(Sketch, driver) as b:
        await b.until(lambda: b.samples >= 40)
        await b.sensor.hang_up()
        await b.until(lambda: "lost" in b.states)
        have = b.samples
        await b.until(lambda: b.samples >= have + 30)
        numbers = np.concatenate([x.t_dev_ticks for x in b.batches])
        assert np.all(np.diff(numbers[:have]) == 20)
        assert np.all(np.diff(numbers[have:]) == 20)
        assert len([i for i in b.items if isinstance(i, Rejected)]) <= 1  # the line that the hang-up cut in two

    from tests.ble.support.backend import Central

    air = Air()
    central, box = Central(air), Sketch(air, address)
    await central.device.power_on()
    await box.power_on()
    assert await scan.scan(arguments(scan, "--seconds", "1", "--json"), Radio("", central.backends())) == 0
    (device,) = json.loads(capsys.readouterr().out)["devices"]
    assert (device["name"], device["matches"]) == ("TiltBox 3", [{"driver": "uart-csv", "confidence": 0.8}])
    await box.power_off()
