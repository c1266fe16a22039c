"""Fixtures of real servers and a real browser; everything a test started ends with it, also when it fails."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.integration.page_site import CHROMIUM, FLAGS
from tests.integration.servers import Stack

expect.set_options(timeout=30_000)  # ms; the usual five seconds are not enough on a crowded machine


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Broker, database and shim, running."""
    with Stack(tmp_path).running() as servers:
        yield servers


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's own script; `AXE_RUN` has it judge a page."""
    folder, script = Path(__file__).parent / "axe", Path(__file__).parents[2] / "scripts" / "npm.sh"
    installed = subprocess.run(["sh", str(script), str(folder)], capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"axe-core could not be installed: {installed.stderr[-300:]}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()
