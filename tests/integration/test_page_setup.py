"""The guided set-up with a wearer who does what it asks: stands quietly, and walks. A real gateway, the simulated wearer, Chromium."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from sensor_gateway.sinks.store import Store
from tests.integration.page_site import CHROMIUM, FLAGS, SIZES, Visitor, live_site

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]
WALKS_AFTER_S = 36.0
"""The simulated day: twelve seconds of standing quietly, twenty of standing, then a walk of two minutes."""
ASKED_AHEAD_S = 12.0
CAPTURE_MS = 75_000
"""Half a minute's walk, the chain, and the settled estimate behind it."""


@pytest.mark.parametrize("size", SIZES)
def test_standing_and_walking_when_asked_sets_the_clip_up(tmp_path: Path, size: str) -> None:
    begins = datetime.now(UTC) + timedelta(seconds=ASKED_AHEAD_S)
    with (
        live_site(tmp_path / "demo", 0.0, start=begins.isoformat()) as site,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        visit = Visitor(browser, site.url, size, view="setup")
        page = visit.page
        expect(page.locator("#step-check")).to_contain_text("Tip it now", timeout=30_000)
        page.get_by_role("button", name="Yes, it moves with mine").click()
        page.get_by_role("button", name="It sits firmly").click()
        result, go = page.locator("#step-result"), page.locator("#step-go")
        expect(page.locator("#step-title")).to_have_text("Stand quietly")
        go.click()
        expect(result).to_contain_text("Your neutral is set.", timeout=CAPTURE_MS)
        go.click()
        expect(page.locator("#step-title")).to_have_text("Bow three times")
        page.locator("#step-skip").click()
        expect(page.locator("#step-title")).to_have_text("Walk a little")
        page.wait_for_timeout(max(0.0, 1000 * (WALKS_AFTER_S - (datetime.now(UTC) - begins).total_seconds())))
        go.click()
        expect(page.locator("#step-check")).to_contain_text("s so far", timeout=15_000)
        visit.shot("setup-walk")
        expect(result).to_have_class("result good", timeout=CAPTURE_MS)
        expect(go).to_have_text("Finish")
        assert visit.sideways() == 0
        go.click()
        page.wait_for_url("**#/now")
        store = Store.open(site.gateway.store_path, readonly=True)
        (walk,) = [e.data for e in store.newest("w-001", ("alignment",), 20) if e.data.get("step") == "walk"]
        store.close()
        assert walk["outcome"] == "in force"
        assert int(str(walk["walking_s"])) >= 10
        assert visit.complaints == []
        browser.close()
