"""A gateway that starts has sensors to look for: what its first second does not need is loaded later."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LATER = {
    "scipy": "beside the search for sensors (gateway.py, processing/features/movement.py)",
    "starlette": "with the page, beside the search for sensors (gateway.py)",
    "uvicorn": "with the page",
    "pyarrow": "with exports, recordings and erasure",
    "paho": "where MQTT is on",
    "influxdb_client": "in the bridge",
    "cryptography": "where keys are made",
    "bumble": "in tests",
}
"""Package, and when it is loaded instead."""

START = """
import sys
from pathlib import Path
import sensor_gateway.cli.run
from processing.rules.study import Study
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import load_settings
from sensor_gateway.gateway import Gateway
folder = Path(sys.argv[1])
gateway = Gateway(load_settings(folder / "gateway.toml"), Study(), folder, SystemClock())
gateway.spool.close()
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def loaded(folder: Path) -> set[str]:
    done = subprocess.run([sys.executable, "-c", START, str(folder)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


CONFIG = """
[site]
data_dir = "data"
[[sensors]]
id = "clip-1"
wearer = "w-1"
driver = "open"
address = "C0:00:00:00:00:11"
"""

WITHOUT_PAGE = """
[web]
enabled = false
"""
SEARCH = """
import asyncio, sys, threading
from pathlib import Path
from processing.rules.study import Study
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import load_settings
from sensor_gateway.gateway import Gateway
folder = Path(sys.argv[1])
gateway = Gateway(load_settings(folder / "gateway.toml"), Study(), folder, SystemClock())
print("scipy.signal" in sys.modules)
async def run():
    stop = asyncio.Event()
    running = asyncio.create_task(gateway.run(stop))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for thread in [t for t in threading.enumerate() if t.name == "filters"]:
        await asyncio.to_thread(thread.join)
    print("scipy.signal" in sys.modules)
    stop.set()
    await running
asyncio.run(run())
"""


def test_a_gateway_is_made_without_what_only_later_steps_need(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(CONFIG, encoding="utf-8")
    modules = loaded(tmp_path)
    assert {"bleak", "numpy", "processing"} <= modules
    assert not LATER.keys() & modules


def test_the_filters_are_loaded_while_the_gateway_searches(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(CONFIG + WITHOUT_PAGE, encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", SEARCH, str(tmp_path)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "True"]
