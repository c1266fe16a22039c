"""A real InfluxDB 1.6 on an ephemeral port, in its own folder and process group; stopped and removed afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integration.servers import START_S, free_port

DATABASE = "tiltline"


class QueryError(RuntimeError):
    """The database refused a query; the text is the database's."""


class Influx:
    """The HTTP interface of a running server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, text: str) -> list[dict[str, Any]]:
        """Series of one statement, times in ms, as Grafana asks for them; raises `QueryError`."""
        parameters = urllib.parse.urlencode({"db": DATABASE, "q": text, "epoch": "ms"}).encode()
        try:
            with urllib.request.urlopen(f"{self.url}/query", data=parameters, timeout=30) as answer:
                body = json.load(answer)
        except urllib.error.HTTPError as e:
            raise QueryError(f"{e.read().decode(errors='replace').strip()}: {text}") from None
        result = body["results"][0]
        if "error" in result:
            raise QueryError(f"{result['error']}: {text}")
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    def write(self, lines: list[str], batch: int = 5000) -> None:
        for start in range(0, len(lines), batch):
            data = "\n".join(lines[start : start + batch]).encode()
            url = f"{self.url}/write?db={DATABASE}&precision=ns"
            urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=30).close()


@contextmanager
def running_influx(directory: Path) -> Iterator[Influx]:
    """Start `influxd`, create the database, stop it again whatever happens."""
    binary = shutil.which("influxd")
    assert binary is not None, "influxd is missing; install Debian's package influxdb"
    http, rpc = free_port(), free_port()
    config = directory / "influxdb.conf"
    config.write_text(
        f'bind-address = "127.0.0.1:{rpc}"\nreporting-disabled = true\n'
        f'[meta]\n  dir = "{directory}/meta"\n'
        f'[data]\n  dir = "{directory}/data"\n  wal-dir = "{directory}/wal"\n'
        f'[http]\n  bind-address = "127.0.0.1:{http}"\n  log-enabled = false\n'
        "[monitor]\n  store-enabled = false\n"
    )
    with (directory / "influxd.log").open("wb") as log:
        process = subprocess.Popen(
            [binary, "-config", str(config)], stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        server = Influx(f"http://127.0.0.1:{http}")
        _wait_until_up(server, process, directory / "influxd.log")
        server.query(f"CREATE DATABASE {DATABASE}")
        yield server
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_up(server: Influx, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"influxd ended at once:\n{log.read_text()[-2000:]}"
        try:
            urllib.request.urlopen(f"{server.url}/ping", timeout=2).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"influxd did not answer within {START_S} s:\n{log.read_text()[-2000:]}")
