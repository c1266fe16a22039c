"""`tiltline run` as its own process, looked at from outside: its journal, its D-Bus connections, its files."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from processing.types import NS_PER_S
from sensor_gateway.spool.journal import CONTROL, JournalReader
from tests.bluez.ledger import Journaled

CONFIG = """
[site]
data_dir = "data"
[web]
enabled = false
"""
SENSOR = """
[[sensors]]
id = "{id}"
wearer = "w-{id}"
driver = "{driver}"
address = "{address}"
rate_hz = {rate_hz}
"""


class _Rows:
    """Queries beside the running gateway; each sees what is committed by then."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)

    def query(self, sql: str, params: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        return self._db.execute(sql, params).fetchall()


class GatewayProcess:
    """``sensors``: id to driver, address and rate. Output goes to ``folder``/gateway.log."""

    def __init__(self, folder: Path, sensors: dict[str, tuple[str, str, float]]) -> None:
        self.folder = folder
        self.config = folder / "gateway.toml"
        blocks = [SENSOR.format(id=i, driver=d, address=a, rate_hz=r) for i, (d, a, r) in sensors.items()]
        self.config.write_text(CONFIG + "".join(blocks), encoding="utf-8")
        self._log = (folder / "gateway.log").open("ab")
        self._process: asyncio.subprocess.Process | None = None
        self._reader: JournalReader | None = None
        self._next = dict.fromkeys(sensors, 1)
        self.journaled: dict[str, list[Journaled]] = {sensor: [] for sensor in sensors}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Begin; returns at once."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sensor_gateway.cli", "run", "--config", str(self.config), "--verbose",
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip

    async def end(self, number: int) -> int:
        """Send a signal and wait for the end; the exit status."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        return await self._process.wait()

    def read(self) -> None:
        """Take what was committed since the last call."""
        if self._reader is None:
            with contextlib.suppress(sqlite3.OperationalError):  # the gateway has not made its spool yet
                rows = _Rows(self.folder / "data" / "spool.db")
                rows.query("SELECT 1 FROM journal LIMIT 1")
                self._reader = JournalReader(rows)
            if self._reader is None:
                return
        for sensor, out in self.journaled.items():
            for entries in self._reader.read(sensor, self._next[sensor]):
                self._next[sensor] = entries[-1].seq + 1
                out += [
                    Journaled(e.received.rx_mono_ns / NS_PER_S, e.received.payload)
                    for e in entries
                    if e.source != CONTROL
                ]

    async def bus_connections(self) -> int:
        """How many connections to the system bus the process holds."""
        listing = await asyncio.create_subprocess_exec(
            "busctl", "--system", "--no-pager", "--no-legend", "--unique", "list", stdout=subprocess.PIPE
        )
        out, _ = await listing.communicate()
        return sum(line.split()[1] == str(self.pid) for line in out.decode().splitlines())

    def open_files(self) -> int:
        """How many file descriptors the process holds."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))
