"""`tiltline scan` and `bind` over a simulated radio: who is there, who is whose, and nobody is connected."""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from bumble.core import AdvertisingData

from sensor_gateway.cli import bind as bind_cli
from sensor_gateway.cli import scan as scan_cli
from sensor_gateway.config import RadioLimits, load_settings
from sensor_gateway.radio.adapter import Radio
from sensor_gateway.radio.link import Backends
from tests.ble.support.air import Air
from tests.ble.support.backend import Central
from tests.ble.support.clip import Clip

pytestmark = pytest.mark.anyio

OURS, STRANGER, DOT, LAMP = "C0:00:00:00:00:01", "C0:00:00:00:00:02", "C0:00:00:00:00:03", "C0:00:00:00:00:04"
LIMITS = RadioLimits(scan_slice_s=0.6, scan_pause_s=0.05)


def says(clip: Clip, name: bytes, company: int | None = None) -> None:
    """Make a device advertise a name (and a maker's data) in place of the open profile's service."""
    parts = [(AdvertisingData.Type.FLAGS, b"\x06"), (AdvertisingData.Type.COMPLETE_LOCAL_NAME, name)]
    if company is not None:
        parts.append((AdvertisingData.Type.MANUFACTURER_SPECIFIC_DATA, company.to_bytes(2, "little") + b"\x01"))
    clip.device.advertising_data = bytes(AdvertisingData(parts))


def text_of(path: Path) -> str:
    return path.read_text()


@asynccontextmanager
async def room() -> AsyncIterator[tuple[Radio, list[Clip]]]:
    air = Air()
    central = Central(air)
    clips = [Clip(air, address) for address in (OURS, STRANGER, DOT, LAMP)]
    says(clips[2], b"Movella DOT", 0x0886)
    says(clips[3], b"Lamp\x1b[2J", 0x1234)
    await central.device.power_on()
    for clip in clips:
        await clip.power_on()
    try:
        yield Radio("", central.backends(), LIMITS), clips
    finally:
        for clip in clips:
            assert not clip.is_connected  # a scan never connects, not even what is ours
            assert clip.commands == []
            await clip.power_off()


def arguments(module: object, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.configure(parser)  # type: ignore[attr-defined]  # a command's module, as `cli.main` loads it
    return parser.parse_args(words)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(f'# mine\n[[sensors]]\nid = "clip-1"\nwearer = "w-001"\naddress = "{OURS}" # hers\n')
    return path


async def test_scan_names_driver_signal_and_wearer(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with room() as (radio, _):
        assert await scan_cli.scan(arguments(scan_cli, "--seconds", "1", "--config", str(config), "--json"), radio) == 0
        told = json.loads(capsys.readouterr().out)
        assert [d["address"] for d in told["devices"]] == [OURS, *sorted((STRANGER, DOT))]
        ours, stranger, dot = (next(d for d in told["devices"] if d["address"] == a) for a in (OURS, STRANGER, DOT))
        assert ours["bound"] == {"sensor": "clip-1", "wearer": "w-001"}
        assert stranger["bound"] is None
        assert stranger["matches"][0]["driver"] == "open"
        assert dot["matches"] == [{"driver": "dot", "confidence": 1.0}]
        assert dot["manufacturer_ids"] == [0x0886]
        assert all(isinstance(d["rssi_dbm"], int) and d["adverts"] > 0 for d in told["devices"])
        assert (told["others"], told["silent"]) == (1, [])


async def test_scan_for_people(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with room() as (radio, clips):
        clips[0].leave()
        args = arguments(scan_cli, "--seconds", "1", "--config", str(config), "--all")
        assert await scan_cli.scan(args, radio) == 0
        out = capsys.readouterr().out
        assert "dot (100%)" in out
        assert "clip-1 of w-001 was not heard" in out
        assert "Lamp?[2J" in out  # a stranger's name does not reach the terminal as it is
        assert "\x1b" not in out


async def test_bind_by_name_finds_address_driver_and_rate(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with room() as (radio, _):
        args = arguments(bind_cli, "movella dot", "w-002", "--config", str(config), "--seconds", "1")
        assert await bind_cli.bind_command(args, radio) == 0
        sensor = load_settings(config).sensors[1]
        assert (sensor.id, sensor.wearer, sensor.driver, sensor.address) == ("clip-2", "w-002", "dot", DOT)
        assert sensor.rate_hz == 60.0
        assert "# mine" in text_of(config)
        assert "# hers" in text_of(config)
        assert "+driver" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sensor", "words"),
    [(LAMP, "no driver here knows"), ("Nobody", "was not heard"), (OURS, "bound to w-001 already")],
)
async def test_bind_says_why_not(config: Path, sensor: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = text_of(config)
    async with room() as (radio, _):
        assert (
            await bind_cli.bind_command(
                arguments(bind_cli, sensor, "w-005", "--config", str(config), "--seconds", "1"), radio
            )
            == 1
        )
    assert words in capsys.readouterr().err
    assert text_of(config) == before


async def test_a_scan_without_bluetooth_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    scanner = Central(Air()).backends().scanner
    assert scanner is not None

    class NoService(scanner):  # type: ignore[misc, valid-type]
        async def start(self) -> None:
            raise FileNotFoundError

    radio = Radio("", Backends(scanner=NoService), LIMITS)
    assert await scan_cli.scan(arguments(scan_cli, "--seconds", "1"), radio) == 1
    assert capsys.readouterr().err.startswith("tiltline scan: no Bluetooth service on this machine")
