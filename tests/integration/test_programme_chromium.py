"""The therapist's programme editor in Chromium, over a small synthetic cohort: change, add, save, and the steps proposed."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from queue import Queue

import pytest
from playwright.sync_api import Browser, Dialog, expect

from processing.coaching import library
from processing.coaching.book import entries_as_json
from processing.coaching.controls import LogExercise
from processing.rules.study import Study
from processing.types import NS_PER_S, Event, Json
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Sensor, Settings, Site, Web
from sensor_gateway.demo import free_port
from sensor_gateway.gateway import Gateway, Hooks
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from tests.integration.page_site import ARTIFACTS, AXE_RUN, CHROMIUM, running
from tests.integration.test_review_chromium import opened, site

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.xdist_group("programme_chromium"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian package chromium)"),
]
__all__ = ["site"]
WEARER = "w-001"
DAY_NS = 86_400 * NS_PER_S
BOTH_PROPOSED = "async () => (await (await fetch('api/programme')).json()).proposals.length === 2"


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


def test_unsaved_changes_are_not_lost_without_being_asked(browser: Browser, site: tuple[str, Store]) -> None:
    """Another wearer, or leaving the page: the therapist is asked; no keeps what was typed, yes drops it."""
    url, _ = site
    page, complaints = opened(browser, "light", "desktop")
    waits = {
        "wearers": [WEARER, "w-002"],
        "waiting": {WEARER: {"flags": 9, "proposals": 2}, "w-002": {"flags": 9, "proposals": 0}},
    }
    page.route("**/api/review/wearers", lambda route: route.fulfill(json=waits))
    asked: list[str] = []
    answer = [False]

    def dialog(shown: Dialog) -> None:
        asked.append(shown.type)
        shown.accept() if answer[0] else shown.dismiss()

    page.on("dialog", dialog)
    page.goto(f"{url}programme.html?wearer={WEARER}")
    rows, wearer = page.locator("#rows > li"), page.locator("#wearer")
    expect(rows).not_to_have_count(0)
    expect(wearer.locator("option")).to_have_text([f"{WEARER} (2)", "w-002"])
    before = rows.count()
    page.get_by_role("button", name="Add an exercise").click()
    wearer.select_option("w-002")
    expect(wearer).to_have_value(WEARER)
    expect(rows).to_have_count(before + 1)
    assert asked == ["confirm"]

    answer[0] = True
    wearer.select_option("w-002")
    expect(page).to_have_url(f"{url}programme.html?wearer=w-002")
    expect(page.locator(".desk-nav a").first).to_have_attribute("href", re.compile("wearer=w-002"))
    wearer.select_option(WEARER)  # nothing is unsaved: nothing is asked
    expect(rows).to_have_count(before)
    assert asked == ["confirm", "confirm"]
    page.get_by_role("button", name="Add an exercise").click()
    page.reload()
    expect(rows).to_have_count(before)
    assert asked == ["confirm", "confirm", "beforeunload"]
    assert complaints == []
    page.context.close()


def fortnight(gateway: Gateway, exercise: str) -> None:
    """The exercise on every second day for more than two weeks, without pain, as the gateway's journal would have it."""
    today_ns = gateway.clock.utc_ns()
    for days in range(16, 0, -2):
        gateway.runners["clip-1"].note(LogExercise(exercise, "both"), today_ns - days * DAY_NS)


def test_steps_that_the_rule_proposed_are_decided_at_a_running_gateway(browser: Browser, tmp_path: Path) -> None:
    """From the diary to the programme: the gateway's own coach proposes, the therapist accepts one step and declines the other."""
    settings = Settings(
        site=Site("home", "gw-1", "UTC", "."),
        sensors=(Sensor("clip-1", WEARER, "synthetic", options={"hours": 0.0}),),
        web=Web(port=free_port(0)),
    )
    served: Queue[str] = Queue()
    gateway = Gateway(settings, Study(), tmp_path, SystemClock(), Hooks(on_page=served.put))
    fortnight(gateway, "two_leg_bridge_abducted")
    fortnight(gateway, "isometric_glute_set")
    with running(gateway.run):
        url = served.get(timeout=60)
        page, complaints = opened(browser, "light", "desktop")
        page.goto(f"{url}programme.html")
        page.wait_for_function(BOTH_PROPOSED, timeout=60_000)
        page.reload()
        steps = page.locator("#proposals li")
        expect(steps).to_have_count(2)
        harder, more = (steps.filter(has_text=text) for text in ("becomes Single-leg bridge", "1 × 10"))
        expect(harder).to_contain_text("Done on 8 days since ")
        expect(harder).to_contain_text("no pain was noted")
        expect(more).to_contain_text(
            "Glute squeeze (both sides, 1 × 8, hold 5 s) becomes Glute squeeze (both sides, 1 × 10"
        )
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#said")).to_have_text("Nothing has been changed.")
        page.get_by_role("button", name="Remove Standing tailbone tuck").click()
        harder.get_by_role("button", name="Accept").click()
        expect(page.locator("#said")).to_contain_text("save or undo that first")
        page.get_by_role("button", name="Undo my changes").click()
        harder.get_by_role("button", name="Accept").click()
        expect(page.locator("#said")).to_contain_text("short name")
        page.locator("#rater").fill("pt-7")
        harder.get_by_role("button", name="Accept").click()
        expect(page.locator("#said")).to_have_text("Accepted. It holds from the next day on.", timeout=60_000)
        expect(steps).to_have_count(1)
        expect(page.locator("#state")).to_contain_text("Version 2 (by pt-7) holds from")
        more.get_by_role("button", name="Decline").click()
        expect(page.locator("#said")).to_have_text("Declined.", timeout=60_000)
        expect(page.locator("#proposals-card")).to_be_hidden()
        expect(page.locator("#history li")).to_have_count(5)
        expect(page.locator("#history li", has_text="Declined: Glute squeeze")).to_contain_text("(by pt-7)")
        expect(page.locator("#history li", has_text="Accepted: Bridge with knees apart")).to_have_count(1)
        page.goto(f"{url}#/exercises")  # as the wearer hears of it
        expect(page.locator("#programme-next")).to_contain_text("Single-leg bridge")
        assert complaints == []
        page.context.close()
        with closing(Store.open(gateway.store_path, readonly=True)) as store:
            decided = {str(e.data["proposal_event_id"]): e for e in store.newest(WEARER, ("proposal",), 2)}
            proposals = [e for e in store.newest(WEARER, ("proposal",), 9) if e.data["outcome"] == "open"]
            (programme,) = store.newest(WEARER, ("programme",), 9)
    assert sorted(decided) == sorted(e.event_id for e in proposals)
    assert sorted(str(e.data["outcome"]) for e in decided.values()) == ["accepted", "declined"]
    assert decided[str(programme.data["proposal_event_id"])].data["outcome"] == "accepted"
    entries = programme.data["entries"]
    assert isinstance(entries, list)
    assert [e["exercise"] for e in entries if isinstance(e, dict)] == [
        "isometric_glute_set",
        "single_leg_bridge",
        "standing_posterior_tilt",
    ]


def proposed(store: Store, event_id: str) -> None:
    """A step from the first exercise of the wearer's programme, written as her sensor's coach writes it."""
    programmes = store.newest("w-002", ("programme",))
    entries = programmes[0].data["entries"] if programmes else entries_as_json(Study().programme)
    assert isinstance(entries, list)
    step = entries[0]
    assert isinstance(step, dict)
    data: dict[str, Json] = {
        "outcome": "open",
        "direction": "progression",
        "from": step,
        "to": {**step, "exercise": "single_leg_bridge", "side": "both", "hold_s": 3},
        "text": "Done without pain.",
    }
    t_utc_ns = max(e.t_utc_ns for e in store.newest("w-002", ("prompt", "programme", "proposal"), 3)) + 1
    writer = Store.open(store.path)
    writer.write([Owned("w-002", "synthetic-002", Event(t_utc_ns, event_id, "proposal", None, data))])
    writer.close()


@pytest.mark.parametrize(
    ("word", "outcome", "told"),
    [("Decline", "declined", "Declined."), ("Accept", "accepted", "Accepted. It holds from the next day on.")],
)
def test_a_proposed_step_is_shown_with_what_it_changes_and_decided(
    browser: Browser, site: tuple[str, Store], word: str, outcome: str, told: str
) -> None:
    url, store = site
    proposed(store, f"proposal-{word}")
    page, complaints = opened(browser, "light", "desktop")
    page.goto(f"{url}programme.html?wearer=w-002")
    shown = page.locator("#proposals li").last
    expect(shown).to_contain_text("A next step: ")
    expect(shown).to_contain_text("becomes Single-leg bridge")
    decide = shown.get_by_role("button", name=word)
    decide.click()
    expect(page.locator("#said")).to_contain_text("short name")
    page.locator("#rater").fill("pt-7")
    decide.click()
    expect(page.locator("#said")).to_have_text(told, timeout=60_000)
    expect(page.locator("#proposals-card")).to_be_hidden()
    kept = store.newest("w-002", ("proposal",))[0].data
    assert (kept["proposal_event_id"], kept["outcome"], kept["editor"]) == (f"proposal-{word}", outcome, "pt-7")
    if outcome == "accepted":
        expect(page.locator("#state")).to_contain_text("(by pt-7) holds from")
        entries = store.newest("w-002", ("programme",))[0].data["entries"]
        assert isinstance(entries, list)
        assert "single_leg_bridge" in [e["exercise"] for e in entries if isinstance(e, dict)]
    assert complaints == []
    page.context.close()
