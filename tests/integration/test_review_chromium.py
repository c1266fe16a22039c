"""The review page in Chromium, over a small synthetic cohort: reached by a flag's link, picture and evidence shown, verdict taken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect

from sensor_gateway.clock import SystemClock
from sensor_gateway.cohort.cohort import CohortDesk, CohortOptions, seed
from sensor_gateway.config import Settings, Site, Web
from sensor_gateway.sinks.store import Store
from sensor_gateway.web.app import create_app
from tests.integration.page_site import ARTIFACTS, AXE_RUN, CHROMIUM, SIZES, serving

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.xdist_group("review_chromium"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian package chromium)"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    """Address of the served cohort, and its store."""
    until = datetime(2026, 11, 20, 18, 30, tzinfo=ZoneInfo("UTC"))
    options = CohortOptions(tmp_path_factory.mktemp("review") / "data", until, 2, 6, 1, "UTC")
    desk = CohortDesk(options, seed(options, None, lambda _: None), SystemClock(), None)
    settings = Settings(site=Site("demo", "gw-demo", "UTC", "."), web=Web(port=0))
    app = create_app(options.store_path, None, settings, SystemClock(), desk.on_command, options.study)
    store = Store.open(options.store_path, readonly=True)
    with serving(app) as url:
        yield url, store
    store.close()


def opened(browser: Browser, scheme: str, size: str) -> tuple[Page, list[str]]:
    """A page in a context of its own, and what the browser complains of on it."""
    width, height = SIZES[size]
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": height}
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: complaints.append(str(e)))
    return page, complaints


@pytest.mark.parametrize(("scheme", "size"), [("light", "desktop"), ("dark", "phone")])
def test_a_flag_is_reached_by_its_link_seen_and_judged(
    browser: Browser, site: tuple[str, Store], axe: str, scheme: str, size: str
) -> None:
    url, store = site
    flag = store.newest("w-002", ("flag",), 3)[{"light": 0, "dark": 2}[scheme]]
    page, complaints = opened(browser, scheme, size)
    page.goto(f"{url}review.html?wearer=w-002&event={flag.event_id}")
    page.locator("#flag-text", has_text=str(flag.data["text"])).wait_for()
    assert page.locator("#wearer").input_value() == "w-002"
    assert page.locator("#picture").evaluate("async (e) => { await e.decode(); return e.naturalWidth; }") > 0
    assert page.locator("#facts dd").count() >= 3
    assert page.locator("#chain li").count() >= 1

    page.get_by_role("button", name="Another posture").click()
    assert "short name" in page.locator("#said").inner_text()
    page.fill("#rater", "pt-7")
    page.get_by_role("button", name="Another posture").click()
    page.locator("#said", has_text="Saved").wait_for()
    stored = store.newest("w-002", ("verdict",))[0]
    assert (stored.data["flag_event_id"], stored.data["verdict"], stored.data["rater"]) == (
        flag.event_id,
        "wrong_posture",
        "pt-7",
    )
    assert stored.rule == flag.rule
    page.select_option("#state", "open")
    page.locator("#place", has_text="Flag 1 of").wait_for()
    assert page.locator("#precision tr").count() >= 1
    page.evaluate(axe)
    violations, passes = page.evaluate(AXE_RUN)
    assert violations == []
    assert passes > 15
    assert complaints == []
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    page.screenshot(path=ARTIFACTS / f"review-{size}-{scheme}.png", full_page=True)
    page.context.close()


def test_a_note_stays_with_its_flag_and_keys_go_on_where_they_were(browser: Browser, site: tuple[str, Store]) -> None:
    url, store = site
    page, complaints = opened(browser, "light", "desktop")
    page.goto(f"{url}review.html?wearer=w-099")
    expect(page.locator("#said")).to_have_text("There is no wearer w-099 here; this is w-001.")
    page.fill("#rater", "pt-7")
    page.fill("#note", "only of w-001")
    page.select_option("#wearer", "w-002")
    expect(page).to_have_url(f"{url}review.html?wearer=w-002")
    expect(page.locator("#note")).to_have_value("")
    page.fill("#note", "stood at the stove")
    page.get_by_role("button", name="Not useful").press("Enter")
    expect(page.locator("#chain li").last).to_contain_text("stood at the stove")
    expect(page.get_by_role("button", name="Not useful")).to_be_focused()
    assert store.newest("w-002", ("verdict",))[0].data["note"] == "stood at the stove"
    assert complaints == []
    page.context.close()


def test_a_flag_that_is_not_there_has_no_picture(browser: Browser, site: tuple[str, Store]) -> None:
    page = browser.new_page()
    answer = page.goto(f"{site[0]}api/review/nope/picture.svg")
    assert answer is not None
    assert answer.status == 404
    page.close()
