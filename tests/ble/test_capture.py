"""`tiltline capture` over a simulated radio: the file says nothing of whose sensor it was, and is a test at once."""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sensor_gateway.cli import capture as cli
from sensor_gateway.config import RadioLimits
from sensor_gateway.radio.adapter import Radio
from sensor_gateway.sensors.capture import differences, read_capture
from tests.ble.support.air import Air
from tests.ble.support.backend import Central
from tests.ble.support.clip import Clip
from tests.ble.test_driver_polar import Verity

pytestmark = pytest.mark.anyio

OURS = "D4:22:CD:5B:7A:31"


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.configure(parser)
    return parser.parse_args(words)


@asynccontextmanager
async def clip_on_the_air() -> AsyncIterator[tuple[Radio, Clip]]:
    air = Air()
    central, clip = Central(air), Clip(air, OURS)
    await central.device.power_on()
    await clip.power_on()
    try:
        yield Radio("", central.backends(), RadioLimits(scan_slice_s=0.6, scan_pause_s=0.05)), clip
    finally:
        await clip.power_off()
        assert not clip.is_connected
        assert central.not_closed == []


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(f'[[sensors]]\nid = "clip-1"\nwearer = "w-001"\naddress = "{OURS}"\n')
    return path


async def test_a_capture_holds_what_was_sent_and_reads_the_same_again(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "golden" / "open.capture.jsonl"
    async with clip_on_the_air() as (radio, clip):
        args = arguments("clip-1", "--config", str(config), "--seconds", "1.5", "--out", str(out), "--json")
        assert await cli.capture_command(args, radio) == 0
        told = json.loads(capsys.readouterr().out)
        capture = read_capture(out)
        assert told["payloads"] == len(capture.received) == len(clip.sent) >= 5
        assert told["samples"] == 10 * len(clip.sent)
        assert told["refused"] == {}
        assert clip.commands[0] == clip.commands[-1] == b"\0"  # stopped before and after
        assert differences(capture) == []
        text = text_of(out)
        assert OURS.replace(":", "").lower() not in text.lower()
        assert "w-001" not in text
        # Whoever changes the driver's scale hears of it.
        changed = text.replace('"first_tick": ', '"first_tick": 1')
        write(out.with_name("changed.capture.jsonl"), changed)
        assert (
            await cli.capture_command(arguments("--check", str(out), str(out.parent / "changed.capture.jsonl")), radio)
            == 1
        )
        said = capsys.readouterr().out
        assert "open.capture.jsonl: as recorded" in said
        assert "first_tick: recorded" in said
        assert await cli.capture_command(args, radio) == 1
        assert "is there already" in capsys.readouterr().err


async def test_a_sensor_that_is_not_bound_is_not_read(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(config, "")
    out = str(tmp_path / "x.jsonl")
    async with clip_on_the_air() as (radio, clip):
        assert await cli.capture_command(arguments(OURS, "--config", str(config), "--out", out), radio) == 1
        assert "is not bound" in capsys.readouterr().err
        assert clip.commands == []
        args = arguments(OURS, "--mine", "--driver", "open", "--config", str(config), "--seconds", "1", "--out", out)
        assert await cli.capture_command(args, radio) == 0
        assert clip.commands != []


async def test_one_that_asks_for_a_bond_and_has_a_rate_of_its_own_is_recorded_without_more_words(
    tmp_path: Path,
) -> None:
    air = Air()
    central, sensor = Central(air), Verity(air, OURS)
    sensor.wants_bond = True
    await central.device.power_on()
    await sensor.power_on()
    try:
        radio = Radio("", central.backends(), RadioLimits(scan_slice_s=0.6, scan_pause_s=0.05))
        out = tmp_path / "polar.capture.jsonl"
        words = ("--mine", "--driver", "polar", "--config", str(tmp_path / "none.toml"), "--out", str(out))
        assert await cli.capture_command(arguments(OURS, *words, "--seconds", "3"), radio) == 0
        capture = read_capture(out)
        assert capture.head.rate_hz == 52
        assert capture.expect["samples"] > 0
    finally:
        await sensor.power_off()


async def test_a_sensor_that_is_away_is_one_sentence(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    air = Air()
    central = Central(air)
    await central.device.power_on()
    radio = Radio("", central.backends(), RadioLimits(scan_slice_s=0.3, scan_pause_s=0.05))
    cli_args = arguments("clip-1", "--config", str(config), "--find", "1")
    assert await cli.capture_command(cli_args, radio) == 1
    assert "was not found" in capsys.readouterr().err


def text_of(path: Path) -> str:
    return path.read_text()


def write(path: Path, text: str) -> None:
    path.write_text(text)
