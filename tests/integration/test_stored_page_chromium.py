"""The page over a store without a gateway, as `tiltline web` serves it: who may be looked at, and nothing that could be entered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Settings, Site, Web
from sensor_gateway.report.figures import day_figures
from sensor_gateway.report.words import duration, from_neutral
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from sensor_gateway.web.app import create_app
from tests.integration.page_site import AXE_RUN, CHROMIUM, serving
from tests.sensor_gateway.web.web_day import SENSOR, WEARER, ZONE, records, seed

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian package chromium)"),
]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, date]]:
    """The address of a served store with yesterday of two wearers, and that day."""
    day = datetime.now(UTC).astimezone(ZONE).date() - timedelta(days=1)
    path = tmp_path / "store.db"
    seed(path, day.isoformat())
    store = Store.open(path)
    store.write(Owned("w-002", SENSOR, r) for r in records(day.isoformat())[:50])
    store.close()
    app = create_app(path, None, Settings(site=Site("demo", "gw", ZONE.key, "."), web=Web(port=0)), SystemClock())
    with serving(app) as url:
        yield url, day


def test_a_browser_too_old_for_the_script_is_told(site: tuple[str, date], browser: Browser) -> None:
    url, _ = site
    page = browser.new_page()
    page.goto(url)
    expect(page.locator("#who-title")).to_be_visible()
    expect(page.locator("#stays-empty")).to_have_css("display", "none")
    page.route("**/app.js", lambda route: route.fulfill(body="no browser reads this", content_type="text/javascript"))
    page.goto(f"{url}?again")
    expect(page.locator("#stays-empty")).to_be_visible()
    page.close()


def figures(path: Path, day: date) -> tuple[str, str]:
    """Wear time and the day's middle as its report says them."""
    store = Store.open(path, readonly=True)
    found = day_figures(store, WEARER, day, ZONE)
    store.close()
    assert found.upright_median_deg is not None
    return duration(found.worn_s), from_neutral(found.upright_median_deg)


def test_somebody_is_chosen_and_only_looked_at_in_the_reports_own_words(
    site: tuple[str, date], browser: Browser, tmp_path: Path, axe: str
) -> None:
    url, day = site
    page = browser.new_page(viewport={"width": 390, "height": 844}, timezone_id=ZONE.key, locale="en-GB")
    page.goto(f"{url}#/today")
    expect(page.locator("#who-title")).to_have_text("Whose page would you like to see?")
    assert [a.text_content() for a in page.locator("#who-links a").all()] == ["w-001", "w-002"]
    expect(page.locator("#tabs")).to_be_hidden()
    page.evaluate(axe)
    assert page.evaluate(AXE_RUN)[0] == []
    page.locator("#who-links a").first.click()
    expect(page.locator("#wearer")).to_have_text("w-001")
    expect(page.locator("#looking")).to_contain_text("You are looking at stored data.")
    page.locator("#day-before").click()
    worn, middle = figures(tmp_path / "store.db", day)
    expect(page.locator("#today-summary")).to_contain_text(f"Worn for {worn}. ")
    expect(page.locator("#today-summary")).to_contain_text(f"mostly around {middle}.")
    expect(page.locator("#timeline .flag-dot")).not_to_have_count(0)
    for view, entry in (("diary", "#pain-form"), ("health", "#health-form"), ("now", "#feel")):
        page.evaluate("view => { location.hash = `#/${view}`; }", view)
        expect(page.locator(f"#view-{view}")).to_be_attached()
        expect(page.locator(entry)).to_be_hidden()
    page.evaluate(axe)
    assert page.evaluate(AXE_RUN)[0] == []
    for kind in ("day", "week"):
        page.goto(f"{url}report/{kind}?wearer={WEARER}&day={day}&tz={ZONE.key}")
        expect(page.locator("main")).to_contain_text("Questions for my therapist")
        page.evaluate(axe)
        assert page.evaluate(AXE_RUN)[0] == [], kind
    page.close()
