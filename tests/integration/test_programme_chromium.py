"""The therapist's programme editor in Chromium, over a small synthetic cohort: change, add, save, and the steps proposed."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from processing.coaching import library
from processing.types import Event, Json
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from tests.integration.page_site import ARTIFACTS, CHROMIUM
from tests.integration.test_page_flows import AXE_RUN, axe
from tests.integration.test_review_chromium import browser, opened, site

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian package chromium)"),
]
__all__ = ["axe", "browser", "site"]
WEARER = "w-001"


@pytest.mark.parametrize(("scheme", "size"), [("light", "desktop"), ("dark", "phone")])
def test_a_programme_is_changed_and_kept_with_who_did_it(
    browser: Browser, site: tuple[str, Store], axe: str, scheme: str, size: str
) -> None:
    url, store = site
    page, complaints = opened(browser, scheme, size)
    page.goto(f"{url}review.html?wearer={WEARER}")
    page.get_by_role("link", name="Exercise programme").click()
    rows = page.locator("#rows > li")
    expect(rows).not_to_have_count(0)
    assert page.locator("#wearer").input_value() == WEARER
    before = rows.count()

    page.get_by_role("button", name="Add an exercise").click()
    expect(rows).to_have_count(before + 1)
    new = rows.last
    new.locator("[name=exercise]").select_option("hip_hinge")
    assert new.locator("[name=reps]").input_value() == str(library()["hip_hinge"].dose.reps)
    new.locator("[name=reps]").fill("7" if size == "phone" else "9")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#said")).to_contain_text("short name")
    page.locator("#rater").fill("pt-7")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#said")).to_have_text("Saved. It holds from the next day on.", timeout=60_000)
    expect(page.locator("#state")).to_contain_text("(by pt-7) holds from")
    expect(page.locator("#history li").first).to_contain_text("by pt-7")
    kept = store.newest(WEARER, ("programme",))[0].data
    assert kept["editor"] == "pt-7"
    entries = kept["entries"]
    assert isinstance(entries, list)
    assert entries[-1] == {
        "exercise": "hip_hinge",
        "side": "both",
        "sets": library()["hip_hinge"].dose.sets,
        "reps": 7 if size == "phone" else 9,
        "hold_s": library()["hip_hinge"].dose.hold_s,
    }
    page.get_by_role("button", name="Remove Hip hinge").last.click()
    expect(rows).to_have_count(before)
    page.get_by_role("button", name="Undo my changes").click()
    expect(rows).to_have_count(before + 1)

    page.evaluate(axe)
    violations, passes = page.evaluate(AXE_RUN)
    assert violations == []
    assert passes > 15
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert complaints == []
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"programme-{size}-{scheme}.png", full_page=True)
    page.context.close()


def test_a_proposed_step_is_shown_with_what_it_changes(browser: Browser, site: tuple[str, Store]) -> None:
    url, store = site
    writer = Store.open(store.path)
    step: dict[str, Json] = {"exercise": "isometric_glute_set", "side": "both", "sets": 1, "reps": 8, "hold_s": 5}
    to: dict[str, Json] = {**step, "exercise": "two_leg_bridge_abducted", "hold_s": 3}
    data: dict[str, Json] = {
        "outcome": "open",
        "direction": "progression",
        "from": step,
        "to": to,
        "text": "Done without pain.",
    }
    newest = store.newest("w-002", ("prompt",))[0].t_utc_ns
    writer.write([Owned("w-002", "synthetic-002", Event(newest + 1, "proposal-shown", "proposal", None, data))])
    writer.close()
    page = browser.new_page()
    page.goto(f"{url}programme.html?wearer=w-002")
    shown = page.locator("#proposals li").last
    expect(shown).to_contain_text("A next step: Glute squeeze")
    expect(shown).to_contain_text("becomes Bridge with knees apart")
    expect(shown.get_by_role("button", name="Accept")).to_be_visible()
    page.close()
