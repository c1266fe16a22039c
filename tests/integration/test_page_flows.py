"""Every flow of the wearer's page, end to end: a real gateway, the simulated wearer, Debian's Chromium, phone and desktop."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from processing.synthetic import Wearer, day_script, render
from sensor_gateway.drivers.synthetic import SyntheticSensor
from sensor_gateway.sinks.store import Store
from tests.integration.page_site import ARTIFACTS, AXE_RUN, CHROMIUM, FLAGS, VIEWS, Site, Visitor, live_site

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.xdist_group("page_flows"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]
WEARER = "w-001"
HOURS = 1.3
"""After 78 minutes of this wearer's day a prompt is a few minutes old and waits for its answer."""
FIRST_LOAD_BYTES = 150_000
SCREEN_P95_MS = 250
SOON_MS = 60_000
"""An entry goes through journal, pipeline, outbox and store before the page hears of it."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with live_site(tmp_path_factory.mktemp("flows") / "demo", HOURS) as site:
        yield site


def events(site: Site, *types: str) -> list[dict[str, Any]]:
    store = Store.open(site.gateway.store_path, readonly=True)
    try:
        return [dict(e.data) for e in store.events(WEARER) if e.type in types]
    finally:
        store.close()


def radio(scope: Page | Locator, name: str, value: str) -> None:
    scope.locator(f"input[name='{name}'][value='{value}']").check()


def answer_health(page: Page, yes: tuple[str, ...] = ()) -> None:
    for question in page.locator("#questions fieldset").all():
        name = str(question.locator("input").first.get_attribute("name"))
        radio(question, name, "yes" if name in yes else "no")
    page.get_by_role("button", name="Send my answers").click()


PAINTS = """async (ms) => {
  const paints = [], until = performance.now() + ms;
  let last = "";
  while (performance.now() < until) {
    await new Promise(requestAnimationFrame);
    const figure = document.querySelector("#figure"), t = figure.dataset.t;
    if (!t) continue;
    const angle = Number(document.querySelector("#pelvis").getAttribute("transform").slice(7, -1));
    paints.push([Date.now(), angle, t === last ? null : Date.now() - Number(t)]);
    last = t;
  }
  return paints;
}"""


def motion_lag_ms(site: Site, paints: list[list[float]]) -> float:
    """How far the angle on the screen lies behind the wearer's true motion, by their best match over the whole time.

    The true motion is written anew from the sensor's settings; nothing of it goes through the chain.
    """
    sensor = site.gateway.transports["clip-1"]
    assert isinstance(sensor, SyntheticSensor)
    script = day_script(sensor.began_utc_ns, HOURS * 3600 + 1200, Wearer(1), lively_from_s=HOURS * 3600)
    at_ms = np.array([p[0] for p in paints])
    shown = np.array([p[1] for p in paints])
    grid = np.arange(at_ms[0] + 700, at_ms[-1] - 10, 10.0)
    screen = np.interp(grid, at_ms, shown)

    def misfit(lag_ms: float) -> float:
        truth = render(script, ((grid - lag_ms) * 1e6).astype(np.int64)).anterior_tilt_deg
        return float(np.std(screen - truth))

    lags = np.arange(-200.0, 601.0, 10.0)
    return float(lags[int(np.argmin([misfit(lag) for lag in lags]))])


def look(page: Page, site: Site) -> dict[str, float]:
    """Twenty seconds of the page: how late its pictures are, how many there are, and how far they lie behind the motion."""
    paints: list[list[float]] = page.evaluate(PAINTS, 20_000)
    late = sorted(p[2] for p in paints if p[2] is not None)
    return {
        "p50_ms": late[len(late) // 2],
        "p95_ms": late[int(0.95 * len(late))],
        "worst_ms": late[-1],
        "frames_per_s": len(late) / 20,
        "pictures_per_s": sum(a[1] != b[1] for a, b in zip(paints, paints[1:], strict=False)) / 20,
        "motion_behind_ms": motion_lag_ms(site, paints),
    }


def test_from_the_sensor_to_the_screen_in_a_quarter_second(browser: Browser, site: Site) -> None:
    visit = Visitor(browser, site.url)
    expect(visit.page.locator("#link-text")).to_have_text("Live", timeout=SOON_MS)
    visit.page.wait_for_timeout(2000)
    # Whatever else the machine does only makes it later: the bar holds for the chain if it holds in one of three looks.
    for _ in range(3):
        found = look(visit.page, site)
        if found["p95_ms"] <= SCREEN_P95_MS and found["pictures_per_s"] >= 10:
            break
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    (ARTIFACTS / "latency.json").write_text(json.dumps(found))
    assert found["pictures_per_s"] >= 10, found
    assert found["frames_per_s"] >= 8, found  # ten are sent; two that arrive together are one picture
    assert found["p95_ms"] <= SCREEN_P95_MS, found
    assert 0 <= found["motion_behind_ms"] <= SCREEN_P95_MS, found
    visit.close()


def test_a_prompt_says_why_shows_variation_first_and_its_exercise_is_noted(browser: Browser, site: Site) -> None:
    visit = Visitor(browser, site.url)
    page = visit.page
    card = page.locator("#prompt")
    expect(card).to_be_visible(timeout=SOON_MS)
    expect(page.locator("#prompt-why")).not_to_be_empty()
    first = page.locator(".prompt-first").bounding_box()
    then = page.locator(".prompt-then").bounding_box()
    assert first is not None
    assert then is not None
    assert first["y"] < then["y"], "variation comes before activation"
    expect(page.locator("#prompt-cue")).not_to_be_empty()
    expect(page.locator("#prompt-picture svg")).to_be_visible()
    assert page.locator("#prompt-steps li").count() >= 2
    assert [b.text_content() for b in page.locator("#prompt-buttons button").all()] == [
        "Done",
        "Later",
        "Not now",
        "Stop for today",
    ]
    assert visit.sideways() == 0
    visit.shot("prompt")
    name = page.locator("#prompt-title").text_content()
    page.get_by_role("button", name="Done").click()
    expect(page.locator("#prompt-result")).to_have_text("Well done, it is noted.")
    visit.open("today")
    expect(page.locator("#entries li").first).to_contain_text(f"Done: {name}", timeout=SOON_MS)
    expect(page.locator("#flags .tag.done")).to_have_count(1)
    flag = page.locator("#flags details", has=page.locator(".tag.done"))
    flag.locator("summary").click()
    expect(flag).to_contain_text("You did it.")
    visit.shot("today-with-why")
    [answer], [exercise] = events(site, "answer"), events(site, "exercise")  # of the same instant, in no order
    assert answer["answer"] == "done"
    assert exercise["prompt_event_id"] == answer["prompt_event_id"]
    assert visit.complaints == []
    visit.close()


def test_pain_note_and_an_exercise_reach_the_diary_and_the_day(browser: Browser, site: Site) -> None:
    visit = Visitor(browser, site.url, view="diary")
    page = visit.page
    radio(page, "pain", "3")
    page.locator("#pain-note").fill("after the stairs")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#pain-result")).to_have_text("Saved: pain 3 of 10.")
    page.locator("#note-text").fill("New chair today")
    page.get_by_role("button", name="Save the note").click()
    expect(page.locator("#note-result")).to_have_text("Your note is saved.")
    expect(page.locator("#diary-entries")).to_contain_text("Pain 3 of 10", timeout=SOON_MS)
    expect(page.locator("#diary-entries")).to_contain_text("New chair today", timeout=SOON_MS)
    visit.shot("diary-entered")
    visit.open("exercises")
    expect(page.locator("#programme > li")).to_have_count(3)
    expect(page.locator("#programme .picture svg")).to_have_count(3)
    page.get_by_role("button", name="I did it: Bridge with knees apart").click()
    expect(page.locator("#programme .result").nth(1)).to_have_text("Noted. Well done.")
    expect(page.get_by_role("button", name="I did it: Bridge with knees apart")).to_be_focused()
    page.locator("#library summary").first.click()
    expect(page.locator("#library .picture svg").first).to_be_visible()
    assert page.locator("#library > li").count() >= 12
    visit.open("today")
    expect(page.locator("#entries")).to_contain_text("Done: Bridge with knees apart", timeout=SOON_MS)
    expect(page.locator("#programme .result").nth(1)).to_have_text("Noted. Well done.")  # also once the day has it
    expect(page.locator("#timeline .did.pain")).to_have_count(1)
    assert page.locator("#timeline .did.exercise").count() >= 1
    assert [e["score"] for e in events(site, "pain")] == [3]
    assert visit.complaints == []
    visit.close()


def test_health_questions_stop_the_prompts_and_name_a_professional(browser: Browser, site: Site) -> None:
    visit = Visitor(browser, site.url)
    page = visit.page
    expect(page.locator("#health-due")).to_be_visible()
    page.get_by_role("link", name="Answer now").first.click()
    expect(page.locator("#questions fieldset")).to_have_count(7)
    visit.shot("health-questions")
    answer_health(page)
    expect(page.locator("#health-result")).to_contain_text("Nothing here speaks against gentle exercise")
    expect(page.locator("#health-stop")).to_be_hidden()
    visit.open("diary")
    radio(page, "pain", "8")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**#/health")
    answer_health(page, ("leg_strength",))
    expect(page.locator("#health-stop")).to_be_visible()
    expect(page.locator("#health-stop")).to_contain_text("see a doctor or your therapist")
    visit.open("now")
    expect(page.locator("#health-stop")).to_be_visible()
    expect(page.locator("#mode-state")).to_have_text("Prompts are off until a professional has had a look.")
    expect(page.locator("#prompt")).to_be_hidden()
    visit.shot("health-stop")
    page.reload()
    expect(page.locator("#health-stop")).to_be_visible(timeout=SOON_MS)
    page.locator("#health-clear summary").click()
    page.locator("#health-editor").fill("pt-1")
    page.get_by_role("button", name="Switch prompts on").click()
    expect(page.locator("#health-stop")).to_be_hidden()
    page.wait_for_timeout(2000)
    assert [e["outcome"] for e in events(site, "red_flag")][-4:] == ["answered", "asked", "answered", "cleared"]
    assert visit.complaints == []
    visit.close()


def test_prompts_pause_and_tracking_only(browser: Browser, site: Site) -> None:
    visit = Visitor(browser, site.url, "desktop")
    page = visit.page
    expect(page.locator("#mode-state")).to_have_text("Prompts are on.")
    expect(page.locator("#mode-quiet")).to_have_text("Always quiet from 22:00 to 07:00. At most 4 prompts a day.")
    for button, state, wanted in (
        ("Pause 1 h", "Paused until", ("tracking", 60)),
        ("Only record", "Only recording: no prompts come.", ("tracking", None)),
        ("On", "Prompts are on.", ("training", None)),
    ):
        page.locator("#mode-buttons").get_by_role("button", name=button, exact=True).click()
        expect(page.locator("#mode-state")).to_contain_text(state)
        page.wait_for_timeout(2500)  # through the chain and back, and still the same
        expect(page.locator("#mode-state")).to_contain_text(state)
        last = events(site, "mode")[-1]
        assert (last["mode"], last["minutes"]) == wanted
    assert visit.complaints == []
    visit.close()


def test_guided_set_up_checks_each_step_live_and_says_why_it_fails(browser: Browser, site: Site) -> None:
    visit = Visitor(browser, site.url, view="setup")
    page = visit.page
    expect(page.locator("#step-title")).to_have_text("Is this your sensor?")
    expect(page.locator("#step-picture svg")).to_be_visible()
    expect(page.locator("#step-check")).to_contain_text("Tip it now", timeout=SOON_MS)
    page.get_by_role("button", name="Yes, it is mine").click()
    expect(page.locator("#step-title")).to_have_text("Clip it on")
    visit.shot("setup-clip")
    page.get_by_role("button", name="It sits firmly").click()
    for step, title in (("neutral", "Stand quietly"), ("bow", "Bow three times")):
        expect(page.locator("#step-title")).to_have_text(title)
        page.locator("#step-go").click()
        expect(page.locator("#step-check")).not_to_be_empty()
        page.wait_for_timeout(2500)
        visit.shot(f"setup-{step}")
        expect(page.locator("#step-result")).not_to_be_empty(timeout=60_000)
        result = str(page.locator("#step-result").text_content())
        # What the simulated wearer does at this minute decides; either outcome is told, a refusal with its reason.
        if page.locator("#step-result.good").count():
            expect(page.locator("#step-go")).to_have_text("Next")
            page.locator("#step-go").click()
        else:
            assert result.startswith("That did not count yet: ")
            assert len(result) > 40
            expect(page.locator("#step-go")).to_have_text("Try again")
            page.locator("#step-skip").click()
    expect(page.locator("#step-title")).to_have_text("Walk a little")
    page.locator("#step-skip").click()
    page.wait_for_url("**#/now")
    assert {e.get("step") for e in events(site, "alignment")} >= {"neutral", "bows"}
    assert visit.complaints == []
    visit.close()


def test_trends_show_today_and_leave_other_days_empty(browser: Browser, site: Site) -> None:
    visit = Visitor(browser, site.url, "desktop", view="trends")
    page = visit.page
    expect(page.locator("#trends-summary")).to_contain_text("Worn on 1 of 7 days")
    expect(page.locator("#trend-worn .worn")).to_have_count(1)
    expect(page.locator("#trend-tilt .day-spread")).to_have_count(1)
    page.get_by_role("button", name="4 weeks").click()
    expect(page.locator("#trends-summary")).to_contain_text("Worn on 1 of 28 days")
    page.locator(".table summary").click()
    expect(page.locator("#trend-table tbody tr")).to_have_count(28)
    expect(page.locator("#trend-table tbody tr").nth(1)).to_contain_text("–")
    assert visit.complaints == []
    visit.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_every_view_fits_its_screen_and_asks_nobody_else(browser: Browser, site: Site, size: str, scheme: str) -> None:
    visit = Visitor(browser, site.url, size, scheme)
    for view in VIEWS:
        visit.open(view)
        visit.page.wait_for_timeout(300)
        assert visit.sideways() == 0, view
        assert visit.page.locator("h1:visible").count() == 1, view
        visit.shot(view)
    assert visit.hosts == {urlsplit(site.url).netloc}
    assert visit.complaints == []
    visit.close()


CUT = """() => [...document.querySelectorAll('.card, .notice, .tabs')].flatMap((card) => {
  const edge = card.getBoundingClientRect();
  return [...card.querySelectorAll(':not(svg *)')].filter((e) => !e.closest('.scroll, .hidden') && e.getClientRects().length)
    .filter((e) => e.getBoundingClientRect().right > edge.right + 1).map((e) => `${e.tagName} ${e.textContent.slice(0, 30)}`);
})"""


def test_letters_twice_as_large_fit_a_small_phone_and_charts_grow_with_them(browser: Browser, site: Site) -> None:
    large = browser.browser_type.launch(executable_path=CHROMIUM, args=[*FLAGS, "--blink-settings=defaultFontSize=32"])
    visit = Visitor(large, site.url)
    visit.page.set_viewport_size({"width": 320, "height": 568})
    for view in VIEWS:
        visit.open(view)
        assert visit.sideways() == 0, view
        assert visit.page.evaluate(CUT) == [], view
    tab = visit.page.locator("#tabs a").first
    assert float(tab.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")) > 28
    assert tab.evaluate("e => getComputedStyle(e.parentElement).position") == "static", "no bar over half of the screen"
    visit.page.set_viewport_size({"width": 640, "height": 900})
    visit.open("trends")
    expect(visit.page.locator("#trend-tilt .label").first).to_be_visible()
    visit.open("today")
    label = visit.page.locator("#timeline .label").first
    expect(label).to_be_visible()
    # The chart is drawn again whenever a second comes: a label read meanwhile is one that is no longer shown.
    visit.page.wait_for_function("document.querySelector('#timeline .label').getBoundingClientRect().height > 24")
    shown = visit.page.evaluate("""() => {
      const [line, cursor] = ["#timeline .cursor-line", "#cursor"].map((s) => document.querySelector(s));
      const { left, width } = cursor.getBoundingClientRect();
      return [line.getBoundingClientRect().x, left + 13 + (cursor.value / cursor.max) * (width - 26)];
    }""")
    assert abs(shown[0] - shown[1]) < 3, "the thumb stands under the time that is told"
    visit.close()
    large.close()


def test_the_exercises_print_as_one_sheet_with_their_steps(browser: Browser, site: Site) -> None:
    visit = Visitor(browser, site.url, "desktop", "dark", "exercises")
    expect(visit.page.locator("#programme .picture svg")).to_have_count(3)
    sheet = visit.page.pdf(format="A4", margin=dict.fromkeys(("top", "right", "bottom", "left"), "12mm"))
    told = subprocess.run(["pdftotext", "-", "-"], input=sheet, capture_output=True, check=True).stdout.decode()
    assert told.count("\f") == 1
    words = " ".join(told.split())
    assert "as if holding a coin" in words
    assert "ask your therapist" in words
    assert "All exercises" not in words
    assert "Answer now" not in words
    assert visit.page.locator("#programme details[open]").count() == 0
    visit.close()


def test_the_first_load_is_small(browser: Browser, site: Site) -> None:
    context = browser.new_context()
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda e: sizes.append(e["encodedDataLength"]))
    page.goto(site.url)
    expect(page.locator("#link-text")).to_have_text("Live", timeout=SOON_MS)
    page.wait_for_timeout(1500)
    assert len(sizes) >= 20, "every file was counted"
    total = sum(sizes)
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    (ARTIFACTS / "first-load.json").write_text(json.dumps({"bytes": total, "requests": len(sizes)}))
    assert total <= FIRST_LOAD_BYTES
    context.close()


def test_with_the_network_off_the_page_opens_with_exercises_and_without_numbers(browser: Browser, site: Site) -> None:
    visit = Visitor(browser, site.url)
    page = visit.page
    expect(page.locator("#programme .picture svg")).to_have_count(3)  # kept on the first visit, looked at or not
    visit.context.set_offline(True)
    page.evaluate("location.hash = '#/exercises'")
    page.reload()
    expect(page.locator("#programme > li")).to_have_count(3)
    expect(page.locator("#programme .picture svg")).to_have_count(3)
    expect(page.locator("#notice")).to_be_visible()
    page.get_by_role("button", name="I did it: Glute squeeze").click()
    expect(page.locator("#programme .result").first).to_contain_text("It was not saved: The gateway does not answer.")
    page.evaluate("location.hash = '#/trends'")
    expect(page.locator("#trends-summary")).to_contain_text("The gateway does not answer.")
    expect(page.locator("#trend-all")).to_be_hidden()
    visit.page.evaluate("location.hash = '#/now'")
    expect(page.locator("#tilt-words")).to_have_text("No data")
    expect(page.locator("#tilt-number")).to_be_empty()
    visit.shot("offline")
    visit.close()


A_DAY_OPEN = """async () => {
  const now = await import("/now.js"), day = await (await fetch("api/today")).json();
  const state = await (await fetch("api/now")).json();
  const flags = await import("/flags.js"), entries = await import("/entries.js");
  return async (hours) => {
    for (let s = 0; s < hours * 3600; s += 1) {
      for (let i = 0; i < 10; i += 1) {
        now.onFrame({ t_ms: Date.now(), age_ms: 0, tilt_deg: 8 * Math.sin(s + i / 10), valid: true, posture: "standing" });
        now.draw(performance.now() + i * 16);
      }
      now.onNow({ ...state, newest_ms: state.now_ms });
      if (s % 15 === 0) { flags.showFlags(day); entries.showEntries("entries", "entries-none", day); }
      if (s % 600 === 0) await new Promise(requestAnimationFrame);
    }
  };
}"""


def test_a_day_open_does_not_grow(browser: Browser, site: Site) -> None:
    visit = Visitor(browser, site.url)
    page = visit.page
    session = visit.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    live = page.evaluate_handle(A_DAY_OPEN)

    def after(hours: float) -> tuple[float, float, float]:
        live.evaluate("(run, hours) => run(hours)", hours)
        session.send("HeapProfiler.collectGarbage")
        used = session.send("Runtime.getHeapUsage")["usedSize"]
        counters = session.send("Memory.getDOMCounters")
        return float(used), float(counters["nodes"]), float(counters["jsEventListeners"])

    first, second, third = after(2), after(11), after(11)
    # What keeps growing grows in both halves; a view that a crowded machine loads late comes once.
    halves = [[b - a for a, b in zip(one, other, strict=True)] for one, other in ((first, second), (second, third))]
    grown = dict(zip(("heap_bytes", "nodes", "listeners"), map(min, *halves), strict=True))
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    (ARTIFACTS / "memory-24h.json").write_text(json.dumps(grown | {"heap_at_2h": first[0]}))
    assert grown["heap_bytes"] < 500_000, grown
    assert grown["nodes"] < 250, grown
    assert grown["listeners"] < 25, grown
    visit.close()


@pytest.mark.node
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_no_accessibility_violation_in_any_view(browser: Browser, site: Site, axe: str, size: str, scheme: str) -> None:
    visit = Visitor(browser, site.url, size, scheme)
    page = visit.page
    expect(page.locator("#link-text")).to_have_text("Live", timeout=SOON_MS)
    page.evaluate(axe)
    wrong: dict[str, list[str]] = {}
    for view in VIEWS:
        visit.open(view)
        page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        # What shows only at times is checked as well: the card of a prompt, the notices.
        page.evaluate("for (const e of document.querySelectorAll('main > .notice, #prompt')) e.hidden = false")
        page.evaluate("document.querySelector('#prompt-note-text').textContent ||= 'A small break may help'")
        page.evaluate("document.querySelector('#prompt-title').textContent ||= 'Glute squeeze'")
        page.evaluate("document.querySelector('#prompt-then').textContent ||= 'Then'")
        page.wait_for_timeout(200)
        violations, passes = page.evaluate(AXE_RUN)
        assert passes > 15
        if violations:
            wrong[view] = violations
    assert wrong == {}
    visit.close()
