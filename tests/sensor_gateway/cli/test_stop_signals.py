"""A closed terminal ends a service in order, unless it was started to outlive it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.servers import START_S, free_port, wait_until


@pytest.mark.parametrize(("before", "ends"), [((), True), (("nohup",), False)])
def test_hanging_up(tmp_path: Path, before: tuple[str, ...], ends: bool) -> None:
    config, log = tmp_path / "bridge.toml", tmp_path / "log"
    config.write_text(f'[site]\ndata_dir = "data"\n[mqtt]\nenabled = true\nport = {free_port()}\n')
    command = [
        "env",
        "--default-signal=HUP",
        *before,
        sys.executable,
        "-m",
        "sensor_gateway.cli",
        "bridge",
        "--config",
        str(config),
        "--json",
    ]
    with log.open("wb") as said:
        bridge = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True)
    try:
        wait_until("the first attempt", lambda: b"trying again" in log.read_bytes() or bridge.poll() is not None)
        bridge.send_signal(signal.SIGHUP)
        if not ends:
            with pytest.raises(subprocess.TimeoutExpired):
                bridge.wait(1.0)
            bridge.send_signal(signal.SIGTERM)
        assert bridge.wait(START_S) == 0
        assert json.loads(log.read_bytes().splitlines()[-1])["queued"] == 0
    finally:
        bridge.kill()
        bridge.wait()
