"""The demo as a newcomer runs it: a day explained, a page that moves, an export, a clean end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import sync_playwright

from sensor_gateway.cli import main
from sensor_gateway.export.registry import known
from tests.integration.servers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.browser]
CHROMIUM = Path("/usr/bin/chromium")


def start(folder: Path, port: int, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sensor_gateway.cli", "demo", "--dir", str(folder), "--port", str(port), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_live(port: int, process: subprocess.Popen[str]) -> None:
    """The page answers from the start; its stream brings frames once the past has been lived."""
    until = time.monotonic() + 200
    while time.monotonic() < until:
        assert process.poll() is None, process.communicate()[1]
        try:
            with httpx.stream("GET", f"http://127.0.0.1:{port}/api/live", timeout=10) as answer:
                for line in answer.iter_lines():
                    if line == "event: frame":
                        return
                    if time.monotonic() > until:
                        break
        except httpx.HTTPError:
            time.sleep(0.2)
    pytest.fail("no live frame within 200 s")


def test_the_demo_shows_a_moving_page_explains_a_flag_and_ends_by_itself(tmp_path: Path) -> None:
    if not CHROMIUM.exists():
        pytest.skip("no Chromium here; install the Debian package chromium")
    port = free_port()
    demo = start(tmp_path / "demo", port, "--seconds", "20", "--json")
    try:
        with sync_playwright() as p:
            browser = p.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page()
            wait_for_live(port, demo)  # from here it lasts twenty seconds
            page.goto(f"http://127.0.0.1:{port}")
            seen = set()
            for _ in range(40):
                seen.add(page.locator("#pelvis").get_attribute("transform"))
                page.wait_for_timeout(100)
            browser.close()
        assert len(seen) > 5
        out, err = demo.communicate(timeout=60)
    finally:
        demo.kill()
    assert demo.returncode == 0, err
    summary = json.loads(out)
    assert len(summary["flags"]) >= 1
    assert all(flag["text"] for flag in summary["flags"])
    assert summary["prompts"] + summary["suppressed"] == len(summary["flags"])
    metrics = pq.read_table(tmp_path / "demo" / "export" / "metrics.parquet")
    assert metrics.num_rows > 20_000
    assert (tmp_path / "demo" / "export" / "manifest.json").exists()


def test_ctrl_c_ends_it_cleanly_and_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    port = free_port()
    demo = start(tmp_path / "demo", port, "--hours", "0.2")
    try:
        wait_for_live(port, demo)
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=60)
    finally:
        demo.kill()
    assert demo.returncode == 0, err
    assert "Summary" in out
    assert "Traceback" not in err
    # What it names last can be typed: its settings lie beside its data.
    (replay,) = [line.split(" replay ")[1] for line in out.splitlines() if " replay " in line]
    words = [*replay.split()[:-3], "--out", str(tmp_path / "again.db"), "--check"]
    assert replay.split()[-3:] == ["--out", "again.db", "--check"]
    assert main(["replay", *words]) == 0
    assert [entry.path for entry in known(tmp_path / "demo")] == [str(tmp_path / "demo" / "export")], "for an erasure"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep me")
    refused = start(tmp_path / "mine", port)
    _, err = refused.communicate(timeout=60)
    assert refused.returncode == 1
    assert "no demo folder" in err
    assert (tmp_path / "mine" / "letter.txt").read_text() == "keep me"
