"""`tiltline recordings` with a virtual DOT over a simulated radio: the morning, the evening, and what goes wrong between."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processing.rules.study import Study
from sensor_gateway.cli import recordings as cli
from sensor_gateway.config import load_settings
from sensor_gateway.drivers.base import Late
from sensor_gateway.drivers.movella_dot import MovellaDotDriver
from sensor_gateway.gateway import SPOOL_FILE
from sensor_gateway.radio.adapter import Radio
from sensor_gateway.radio.recorder import Patience
from sensor_gateway.replay.rederive import SpoolReader
from sensor_gateway.replay.retro import RetroCounts, rederive_retro
from sensor_gateway.sinks.store import Store
from sensor_gateway.spool.journal import JournalReader
from tests.ble.support.air import Air
from tests.ble.support.backend import Central
from tests.ble.support.bench import RADIO
from tests.ble.support.dot_memory import File
from tests.ble.support.recording_dot import RecordingDot

pytestmark = pytest.mark.anyio

ADDRESS = "D4:22:CD:00:00:11"
PATIENT = Patience(answer_s=8.0, silence_s=0.6, look_s=0.02, erase_s=20.0)
HZ = 20.0


class World:
    """A clock that can be put on, so that an hour passes in a moment; everything else is real."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def mono_ns(self) -> int:
        return time.monotonic_ns() + self.ahead_ns

    def utc_ns(self) -> int:
        return time.time_ns() + self.ahead_ns

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def put_on(self, seconds: float) -> None:
        self.ahead_ns += round(seconds * 1e9)


class Site:
    """A gateway's folder, one DOT on the air, and the command."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config, self.capsys, self.world = folder / "gateway.toml", capsys, World()
        self.bind("w-001")
        air = Air()
        self.central = Central(air)
        self.dot = RecordingDot(air, ADDRESS, self.world)
        self.memory = self.dot.memory

    def bind(self, wearer: str) -> None:
        self.config.write_text(
            f'[[sensors]]\nid = "clip-1"\nwearer = "{wearer}"\ndriver = "dot"\naddress = "{ADDRESS}"\nrate_hz = {HZ}\n'
        )

    @property
    def spool(self) -> Path:
        return self.config.parent / load_settings(self.config).site.data_dir / SPOOL_FILE

    async def command(self, *words: str) -> tuple[int, dict[str, Any], str]:
        """Status, what --json printed, and what stood on stderr."""
        parser = argparse.ArgumentParser()
        cli.configure(parser)
        args = parser.parse_args(["clip-1", "--config", str(self.config), "--json", "--find", "3", *words])
        radio = Radio("", self.central.backends(), RADIO)
        status = await cli.recordings_command(args, radio, self.world, PATIENT)
        out = self.capsys.readouterr()
        return status, json.loads(out.out), out.err

    async def done(self, *words: str) -> dict[str, Any]:
        status, report, err = await self.command(*words)
        assert status == 0, err
        return report

    async def refused(self, *words: str) -> str:
        status, report, err = await self.command(*words)
        assert status == 1
        assert err == f"tiltline recordings: {report['error']}\n"
        return err

    def record(self, minutes: float) -> File:
        """Time passes while the sensor records."""
        self.world.put_on(60 * minutes)
        return self.memory.files[-1]

    def late(self) -> tuple[list[int], np.ndarray]:
        """Numbers of the samples that the journal gives, in its order, and their times [UTC s]."""
        reader, driver = SpoolReader(self.spool), MovellaDotDriver(HZ)
        numbers, times = list[int](), list[int]()
        for entries in JournalReader(reader).read("clip-1"):
            for entry in entries:
                r = entry.received
                for item in driver.feed(r.uuid, r.payload, r.rx_mono_ns, r.rx_utc_ns):
                    if isinstance(item, Late):
                        assert item.clock == "utc"
                        rate = np.rint(np.degrees(item.batch.gyr_rps[0]))
                        numbers.append(int(rate[0] + 1000 * rate[1]))
                        times.append(int(item.batch.t_dev_ticks[0]))
        reader.close()
        return numbers, np.array(times) / 1e9

    def retro(self) -> tuple[RetroCounts, list[int]]:
        """The retro derivation's counts, and the starts of its judged seconds [UTC s]."""
        path = self.config.parent / f"retro-{time.monotonic_ns()}.db"
        spool, out = SpoolReader(self.spool), Store.open(path)
        sensor = load_settings(self.config).sensors[0]
        counts = rederive_retro(spool, sensor, Study(), self.config.parent / "none.db", out)
        seconds = [t // 10**9 for page in out.columns("metric", sensor.wearer) for t in page["t_utc_ns"]]
        out.close()
        spool.close()
        return counts, seconds


@pytest.fixture
async def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Site]:
    s = Site(tmp_path, capsys)
    await s.central.device.power_on()
    await s.dot.power_on()
    yield s
    await s.dot.power_off()
    assert not s.dot.is_connected
    assert s.central.not_closed == []


async def test_a_morning_and_an_evening(site: Site) -> None:
    empty = await site.done()
    assert (empty["recordings"], empty["battery_percent"], empty["memory"]["used_bytes"]) == ([], 83, 0)
    begun = await site.done("--start", "--minutes", "90")
    assert begun["started"]["timer_s"] == 5400
    file = site.record(4)
    assert (file.rate_hz, file.timer_s) == (HZ, 5400)
    assert abs(file.start_utc - site.world.utc_ns() / 1e9 + 240) < 20
    away = await site.done()
    assert away["recording"]["start_utc"] == begun["started"]["start_utc"]
    assert 5100 < away["recording"]["left_s"] < 5170
    assert "recordings" not in away
    assert "add --stop" in await site.refused("--fetch")
    evening = await site.done("--stop", "--fetch", "--erase")
    assert (evening["stopped"], evening["fetched"], evening["erased"]) == (True, [1], True)
    assert evening["recordings"] == []
    numbers, t = site.late()
    assert numbers == list(range(file.samples))
    assert abs(len(numbers) / HZ - 240) < 20
    np.testing.assert_allclose(t - file.start_utc, np.arange(len(t)) / HZ, atol=2e-6)
    counts, seconds = site.retro()
    assert (counts.late_used, counts.late_repeated, counts.late_misfit) == (len(numbers), 0, 0)
    assert np.all(np.diff(seconds) == 1)
    assert len(seconds) >= len(numbers) / HZ - 10
