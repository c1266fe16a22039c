"""Signing in to a page that asks for it, in Chromium at phone and desktop size: a wrong token, the right one, and after a reload."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from processing.types import NS_PER_S
from sensor_gateway.clock import SystemClock
from sensor_gateway.commands.command import Command
from sensor_gateway.config import Sensor, Settings
from sensor_gateway.live import LiveHub
from sensor_gateway.status.refusals import Refusals
from sensor_gateway.web.app import Access, create_app
from sensor_gateway.web.guard import PageLimits
from sensor_gateway.web.tokens import Tokens
from tests.integration.page_site import ARTIFACTS, AXE_RUN, CHROMIUM, SIZES, serving
from tests.sensor_gateway.web.web_day import SENSOR, WEARER, seed_until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.node,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]
TOKEN = "w" * 40


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of one wearer with a seeded day, behind a sign-in."""
    path = tmp_path_factory.mktemp("door") / "store.db"
    seed_until(path, SystemClock().utc_ns() - 60 * NS_PER_S)

    async def nothing(wearer: str, command: Command) -> None:
        pass

    access = Access(Tokens([("wearer", WEARER, TOKEN)]), Refusals("page"), PageLimits())
    settings = Settings(sensors=(Sensor(SENSOR, WEARER),))
    app = create_app(path, LiveHub(), settings, SystemClock(), nothing, access=access)
    with serving(app) as address:
        yield address


@pytest.mark.parametrize(("size", "scheme"), [("phone", "dark"), ("desktop", "light")])
def test_the_right_token_opens_the_page_and_a_wrong_one_says_so(
    url: str, browser: Browser, axe: str, size: str, scheme: str
) -> None:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    page.goto(url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.evaluate(axe)
    violations, _ = page.evaluate(AXE_RUN)
    assert violations == []
    page.get_by_label("Token").fill("x" * 40)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#wrong")).not_to_be_empty()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"sign-in-{size}-{scheme}.png", full_page=True)
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#view-now")).to_be_visible()
    page.reload()
    expect(page.locator("#view-now")).to_be_visible()
    assert TOKEN not in page.evaluate("document.cookie + JSON.stringify(localStorage)")
    context.close()
