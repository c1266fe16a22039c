"""`tiltline web` as a person starts it: a page from a store, one sentence where there is none, a quiet end on Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx

from sensor_gateway.clock import SystemClock
from tests.sensor_gateway.web.web_day import seed_until

COMMAND = [sys.executable, "-m", "sensor_gateway.cli", "web"]


def test_a_store_is_served_until_interrupted(tmp_path: Path) -> None:
    seed_until(tmp_path / "store.db", SystemClock().utc_ns())
    command = [*COMMAND, "--store", str(tmp_path / "store.db"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[1]
            now = httpx.get(f"{url}api/now", timeout=30).json()
            assert (now["wearer"], now["can_command"]) == ("w-001", False)
            assert "<title>Tiltline</title>" in httpx.get(url, timeout=30).text
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors == ""


def test_without_a_store_it_says_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run(COMMAND, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "tiltline run" in done.stderr
