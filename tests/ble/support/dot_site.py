"""A gateway's folder with one DOT as a logger, and `tiltline recordings` run on it; the world's clock can be put on."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processing.rules.study import Study
from sensor_gateway.cli import recordings as cli
from sensor_gateway.config import load_settings
from sensor_gateway.drivers.base import Late
from sensor_gateway.drivers.movella_dot import MovellaDotDriver
from sensor_gateway.radio.recorder import Patience
from sensor_gateway.replay.rederive import SpoolReader
from sensor_gateway.replay.retro import RetroCounts, rederive_retro
from sensor_gateway.sinks.store import Store
from sensor_gateway.spool.journal import JournalReader
from sensor_gateway.status.status import SPOOL_FILE
from tests.ble.support.dot_memory import File
from tests.ble.support.recording_dot import Logger, Wired

ADDRESS = "D4:22:CD:00:00:11"
PATIENT = Patience(answer_s=30.0, begin_s=1.0, silence_s=15.0, look_s=0.01, erase_s=30.0)
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
    """A gateway's folder, one DOT, and the command; ``radio`` is the adapter through which it is reached, at a wire first."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config, self.capsys, self.world = folder / "gateway.toml", capsys, World()
        self.patience = PATIENT
        self.bind("w-001")
        self.logger = Logger(self.world)
        self.memory = self.logger.memory
        self.wire = Wired(self.logger, ADDRESS)
        self.radio: Callable[[], Any] = lambda: self.wire

    def bind(self, wearer: str, driver: str = "dot", more: str = "") -> None:
        """Whose the sensor is from now on."""
        self.config.write_text(
            f'{more}\n[[sensors]]\nid = "clip-1"\nwearer = "{wearer}"\ndriver = "{driver}"\naddress = "{ADDRESS}"\n'
            f"rate_hz = {HZ}\n"
        )

    @property
    def spool(self) -> Path:
        return self.config.parent / load_settings(self.config).site.data_dir / SPOOL_FILE

    async def command(self, *words: str) -> tuple[int, dict[str, Any], str]:
        """Status, what --json printed, and what stood on stderr."""
        status, out, err = await self.said("--json", *words)
        return status, json.loads(out), err

    async def said(self, *words: str, sensor: str = "clip-1") -> tuple[int, str, str]:
        """Status and what was printed."""
        parser = argparse.ArgumentParser()
        cli.configure(parser)
        args = parser.parse_args([sensor, "--config", str(self.config), "--find", "20", *words])
        status = await cli.recordings_command(args, self.radio(), self.world, self.patience)
        out = self.capsys.readouterr()
        return status, out.out, out.err

    async def done(self, *words: str) -> dict[str, Any]:
        status, report, err = await self.command(*words)
        assert status == 0, err
        return report

    async def refused(self, *words: str) -> str:
        status, report, err = await self.command(*words)
        assert status == 1, report
        said = f"tiltline recordings: {report['error']}\n"
        assert err.endswith(said)  # after a progress line, where the machine is slow
        return said

    async def said_wrong(self, *words: str) -> str:
        """The sentence of a call that fails before a sensor was looked for."""
        status, out, err = await self.said(*words)
        assert (status, out) == (1, "")
        return err

    def record(self, minutes: float) -> File:
        """Time passes while the sensor records."""
        self.world.put_on(60 * minutes)
        return self.memory.files[-1]

    async def begun(self, minutes: float, *words: str) -> File:
        """A recording of so many minutes, begun by the gateway and ended."""
        await self.done("--start", *words)
        file = self.record(minutes)
        await self.done("--stop")
        return file

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

    def live_seconds(self) -> int:
        """Seconds that the gateway itself judged."""
        spool = SpoolReader(self.spool)
        (row,) = spool.query("SELECT count(*) FROM outbox WHERE kind = 'metric'")
        spool.close()
        return int(row[0])

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
