"""The wearer's page in a real Chromium: it moves with the tilt, says when data stop, and asks nobody but its gateway."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from processing.pipeline import Answer, CaptureNeutral
from processing.types import NS_PER_S, Event
from sensor_gateway.clock import SystemClock
from sensor_gateway.commands.command import Command
from sensor_gateway.config import Sensor, Settings
from sensor_gateway.live import LiveFrame, LiveHub
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from sensor_gateway.web.app import create_app, serve
from tests.integration.page_site import CHROMIUM, VIEWS, Visitor
from tests.sensor_gateway.web.web_day import SENSOR, WEARER, second, seed_until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]


@dataclass
class Wearer:
    """A wearer who sways: 20 frames and one stored second a second, until told to stop."""

    store: Store
    posture: str = "standing"
    level_deg: float = 4.0
    sway_deg: float = 3.0
    sending: bool = True
    taken: list[tuple[str, Command]] = field(default_factory=list)

    async def on_command(self, wearer: str, command: Command) -> None:
        """Journal nothing, but answer a neutral as the pipeline would: refused first, then taken."""
        self.taken.append((wearer, command))
        if isinstance(command, CaptureNeutral):
            n = sum(isinstance(c, CaptureNeutral) for _, c in self.taken)
            refused = {"outcome": "refused", "reason": "you moved by 4.0 degrees"}
            data = {"step": "neutral", "alignment_id": "n2", **(refused if n == 1 else {"outcome": "in force"})}
            self.put(Event(SystemClock().utc_ns() + NS_PER_S, f"neutral-{n}", "alignment", None, data))

    def put(self, *events: Event) -> None:
        self.store.write([Owned(WEARER, SENSOR, e) for e in events])

    async def live(self, hub: LiveHub) -> None:
        clock, count = SystemClock(), 0
        while True:
            now = clock.utc_ns()
            if self.sending:
                tilt = self.level_deg + self.sway_deg * math.sin(2 * math.pi * now / NS_PER_S / 3)
                hub.publish(LiveFrame(now, tilt, 0.2, True, self.posture, WEARER, SENSOR))
                if count % 20 == 0:
                    last = (now // NS_PER_S - 1) * NS_PER_S
                    self.store.write([Owned(WEARER, SENSOR, second(last, self.level_deg, self.posture))])
            count += 1
            await asyncio.sleep(0.05)


@contextlib.contextmanager
def gateway(path: Path, commands: bool = True, quiet_s: int = 0) -> Iterator[tuple[str, Wearer]]:
    """The page served by uvicorn on a free port in a thread with its own loop, over a store with a seeded day.

    ``quiet_s``: the day ended so long ago, and nothing has come since.
    """
    seed_until(path, SystemClock().utc_ns() - quiet_s * NS_PER_S)
    wearer = Wearer(Store.open(path), sending=not quiet_s)
    ready, stop, address = threading.Event(), asyncio.Event(), ""
    loop = asyncio.new_event_loop()

    def on_ready(url: str) -> None:
        nonlocal address
        address = url
        ready.set()

    async def main() -> None:
        hub = LiveHub()
        settings = Settings(sensors=(Sensor(SENSOR, WEARER),))
        app = create_app(path, hub, settings, SystemClock(), wearer.on_command if commands else None)
        jobs = [asyncio.create_task(wearer.live(hub)), asyncio.create_task(serve(app, "127.0.0.1", 0, on_ready))]
        await stop.wait()
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), daemon=True)
    thread.start()
    try:
        assert ready.wait(60)
        yield address, wearer
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        wearer.store.close()
        assert not thread.is_alive()


class Visit(Visitor):
    """A visit to the page's first view, or another one, once its stream brings data."""

    def __init__(
        self, browser: Browser, url: str, size: str = "desktop", scheme: str = "light", view: str = "now"
    ) -> None:
        super().__init__(browser, url, size, scheme, view)
        expect(self.page.locator("#link-text")).to_have_text("Live")

    def seen(self, selector: str, ms: int, attribute: str = "") -> set[str]:
        """What an element showed over a time."""
        script = """async ([selector, attribute, ms]) => {
            const seen = new Set(), until = performance.now() + ms;
            while (performance.now() < until) {
                const e = document.querySelector(selector);
                seen.add((attribute ? e.getAttribute(attribute) : e.textContent) ?? "");
                await new Promise(requestAnimationFrame);
            }
            return [...seen];
        }"""
        return set(self.page.evaluate(script, [selector, attribute, ms]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_the_page_moves_with_the_tilt_and_shows_the_day(
    browser: Browser, tmp_path: Path, size: str, scheme: str
) -> None:
    with gateway(tmp_path / "store.sqlite") as (url, _):
        visit = Visit(browser, url, size, scheme)
        page = visit.page
        numbers = visit.seen("#tilt-number", 3200)  # one sway of 1 to 7 degrees
        assert len(numbers) >= 4
        assert all(0 <= int(n.rstrip("°")) <= 8 for n in numbers)
        angles = {float(a.removeprefix("rotate(").rstrip(")")) for a in visit.seen("#pelvis", 3200, "transform")}
        assert len(angles) >= 30, "at least ten new pictures a second"
        assert min(angles) < 2
        assert max(angles) > 6
        expect(page.locator("#tilt-words")).to_have_text("forward of your neutral")
        expect(page.locator("#posture")).to_have_text("Standing")
        expect(page.locator("#sure")).to_have_text("Good, ±\u00a01.4°")
        expect(page.locator("#age")).to_have_text("just now")
        expect(page.locator("#battery-text")).to_contain_text("%")
        visit.shot("seeded-now")
        visit.open("today")
        expect(page.locator("#flags li")).to_have_count(4)
        expect(page.locator("#legend")).to_contain_text("Sitting 4\u00a0h 43\u00a0min")
        assert page.locator(".tilt-line").count() >= 4, "gaps and sitting break the line"
        page.locator("#flags summary").first.click()
        first = page.locator("#flags details").first
        expect(first).to_contain_text("Standing: 5.0° forward of your neutral")
        expect(first).to_contain_text("Glute squeeze")
        page.locator("#cursor").focus()
        before = page.locator("#readout").text_content()
        page.keyboard.press("Home")
        expect(page.locator("#readout")).not_to_have_text(before or "")
        assert visit.sideways() <= 0
        visit.shot("seeded-today")
        assert visit.complaints == []
        assert visit.hosts == {urlsplit(url).netloc}
        visit.context.close()


def test_stopped_data_are_not_shown_and_come_back(browser: Browser, tmp_path: Path) -> None:
    with gateway(tmp_path / "store.sqlite") as (url, wearer):
        visit = Visit(browser, url, "phone")
        page = visit.page
        expect(page.locator("#tilt-number")).not_to_be_empty()
        wearer.sending = False
        page.wait_for_timeout(3000)
        expect(page.locator("#tilt-number")).not_to_be_empty()  # three seconds are not stale
        expect(page.locator("#link-text")).to_contain_text("Last seen")
        expect(page.locator("#tilt-number")).to_be_empty()
        expect(page.locator("#tilt-words")).to_contain_text("Last seen")
        expect(page.locator("#posture")).to_have_text("–")
        expect(page.locator("#sure")).to_have_text("–")
        expect(page.locator("#age")).to_have_text(re.compile("s ago$"))
        expect(page.locator("#say")).to_have_text("No data from the sensor.")
        visit.shot("late")
        wearer.sending = True
        expect(page.locator("#link-text")).to_have_text("Live")
        expect(page.locator("#tilt-number")).not_to_be_empty()
        wearer.posture, wearer.level_deg = "lying", -84.0
        expect(page.locator("#tilt-words")).to_have_text("Lying down")
        expect(page.locator("#tilt-number")).to_be_empty()
        wearer.posture, wearer.level_deg = "sitting", -9.0
        expect(page.locator("#tilt-words")).to_have_text("back of your neutral")
        assert visit.complaints == []
        visit.context.close()


def test_after_a_minute_of_silence_there_are_no_data(browser: Browser, tmp_path: Path) -> None:
    with gateway(tmp_path / "store.sqlite", quiet_s=120) as (url, _):
        visit = Visitor(browser, url)
        page = visit.page
        expect(page.locator("#link-text")).to_have_text("No data")
        expect(page.locator("#tilt-number")).to_be_empty()
        expect(page.locator("#age")).to_have_text(re.compile(r"^[23]\smin ago"))
        visit.shot("stale")
        assert visit.complaints == []
        visit.close()


def test_prompt_and_neutral_reach_the_gateway(browser: Browser, tmp_path: Path) -> None:
    with gateway(tmp_path / "store.sqlite") as (url, wearer):
        visit = Visit(browser, url, "phone")
        page = visit.page
        expect(page.locator("#prompt")).to_be_hidden()
        stored = next(e for e in wearer.store.events(WEARER) if e.type == "prompt")
        wearer.put(Event(SystemClock().utc_ns(), "prompt-now", "prompt", stored.rule, stored.data))
        expect(page.locator("#prompt-title")).to_have_text("Glute squeeze")
        expect(page.locator("#prompt-dose")).to_have_text("both sides · 1 set · 8 times · hold 5\u00a0s")
        assert page.locator("#prompt-steps li").count() == 3
        visit.shot("seeded-prompt")
        page.get_by_role("button", name="Not now").click()
        expect(page.locator("#prompt-result")).to_have_text("That is fine. It is noted.")
        assert wearer.taken == [(WEARER, Answer("prompt-now", "not_now"))]
        visit.open("setup")
        page.locator("#setup-steps").get_by_role("button", name="Stand").click()
        result = page.locator("#step-result")
        page.locator("#step-go").click()
        expect(page.locator("#step-live")).to_be_visible()
        expect(result).to_contain_text("You moved by 4.0 degrees.")
        page.get_by_role("button", name="Try again").click()
        expect(result).to_have_text("Your neutral is set.")
        assert wearer.taken[1:] == [(WEARER, CaptureNeutral(5.0))] * 2
        assert visit.complaints == []
        visit.context.close()


IN_THE_BACKGROUND = "Object.defineProperty(document, 'hidden', { get: () => window.inBackground === true })"
NOTIFICATIONS = """async () => (await (await navigator.serviceWorker.ready).getNotifications())
    .map((n) => ({ title: n.title, body: n.body, tag: n.tag }))"""


@pytest.mark.parametrize("allowed", [True, False])
def test_a_prompt_in_the_background_is_told_outside_the_page(browser: Browser, tmp_path: Path, allowed: bool) -> None:
    with gateway(tmp_path / "store.sqlite") as (url, wearer):
        visit = Visit(browser, url, "phone")
        page = visit.page
        if allowed:
            visit.context.grant_permissions(["notifications"], origin=url.rstrip("/"))
        visit.context.add_init_script(IN_THE_BACKGROUND)
        page.reload()
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        expect(page.locator("#link-text")).to_have_text("Live")
        if allowed:
            expect(page.locator("#notify-text")).to_contain_text("This device tells you when a prompt comes")
        stored = next(e for e in wearer.store.events(WEARER) if e.type == "prompt")
        for background, name in ((False, "prompt-seen"), (True, "prompt-missed")):
            page.evaluate("on => { window.inBackground = on; }", background)
            wearer.put(Event(SystemClock().utc_ns(), name, "prompt", stored.rule, stored.data))
            expect(page.locator("#prompt-buttons")).to_be_visible()
            page.wait_for_timeout(500)
            page.get_by_role("button", name="Not now").click()
            expect(page.locator("#prompt-buttons")).to_be_hidden()
        told = page.evaluate(NOTIFICATIONS)
        # Who looks at the page sees the card; only the one in the background is told, and only where it is allowed.
        assert [n["tag"] for n in told] == (["prompt-missed"] if allowed else [])
        for one in told:
            assert one["title"]
            assert "Glute squeeze" in one["body"]
        visit.context.close()


def test_without_the_gateway_the_shell_opens_and_shows_no_number(browser: Browser, tmp_path: Path) -> None:
    with gateway(tmp_path / "store.sqlite", commands=False) as (url, _):
        visit = Visit(browser, url, "phone")
        page = visit.page
        expect(page.locator("#mode-buttons")).to_be_hidden()  # nobody there to take it
        expect(page.locator("#setup-again")).to_be_hidden()
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        # A second visit is served by the worker, which then keeps the page's files.
        page.reload()
        expect(page.locator("#link-text")).to_have_text("Live")
        visit.context.set_offline(True)
    page.reload()
    expect(page.locator("#link-text")).to_have_text("No connection")
    expect(page.locator("#tilt-words")).to_have_text("No data")
    expect(page.locator("#tilt-number")).to_be_empty()
    expect(page.locator("#notice")).to_be_visible()
    visit.shot("seeded-offline")
    visit.context.close()


def test_reduced_motion_and_text_contrast(browser: Browser, tmp_path: Path) -> None:
    with gateway(tmp_path / "store.sqlite") as (url, wearer):
        for scheme in ("light", "dark"):
            visit = Visit(browser, url, "desktop", scheme)
            stored = next(e for e in wearer.store.events(WEARER) if e.type == "prompt")
            wearer.put(Event(SystemClock().utc_ns(), f"prompt-{scheme}", "prompt", stored.rule, stored.data))
            expect(visit.page.locator("#prompt")).to_be_visible()
            ratios: dict[str, float] = {}
            for view in VIEWS:
                visit.open(view)
                visit.page.wait_for_timeout(300)
                visit.page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
                ratios |= visit.page.evaluate(CONTRAST)
                small = visit.page.evaluate(
                    "[...document.querySelectorAll('button, summary, input, a.button')].filter(e => e.checkVisibility())"
                    ".filter(e => e.getBoundingClientRect().height < 24).length"
                )
                assert small == 0, view
            assert len(ratios) > 200
            low = {text: round(r, 2) for text, r in ratios.items() if r < 4.5}
            assert not low, f"{scheme}: {low}"
            visit.open("now")
            visit.page.emulate_media(reduced_motion="reduce")
            assert visit.page.evaluate("getComputedStyle(document.querySelector('#thigh')).transitionDuration") == "0s"
            visit.context.close()


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (css) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c[3] === 255) return c;
    }
    return [255, 255, 255];
  };
  const found = {};
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest("noscript, button:disabled, title, .hidden")) continue;
    const style = getComputedStyle(e);
    const ink = rgb(e instanceof SVGElement ? style.fill : style.color);
    const back = e.classList.contains("flag-number") || e.classList.contains("did-number") ? rgb(getComputedStyle(e.previousElementSibling).fill) : ground(e);
    const [a, b] = [light(ink), light(back)].sort((x, y) => y - x);
    const key = `${e.tagName}.${e.getAttribute("class") ?? ""} ${e.textContent.trim().slice(0, 30)}`;
    found[key] = (a + 0.05) / (b + 0.05);
  }
  return found;
}"""
