"""The wearer's page served by a real gateway with the simulated wearer, and a Chromium that visits it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, expect
from starlette.applications import Starlette

from sensor_gateway.clock import Clock, SystemClock
from sensor_gateway.demo import Demo, DemoOptions
from sensor_gateway.gateway import Gateway, Hooks
from sensor_gateway.web.app import serve

CHROMIUM = shutil.which("chromium")
ARTIFACTS = Path(__file__).parents[2] / "artifacts" / "page"
expect.set_options(timeout=30_000)  # where no time is named, what counts is that it comes
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
VIEWS = ("now", "today", "trends", "exercises", "diary", "health", "setup")
AXE_RUN = """async () => {
  const found = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
  return [found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ")).join(", ")}`), found.passes.length];
}"""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@functools.cache
def afternoon_zone() -> str:
    """A time zone in which it is about five in the afternoon, so that a day lies within one local day; once and for all,
    so that page and gateway have the same one over the full hour.
    """
    offset = (17 - datetime.now(UTC).hour + 12) % 24 - 12
    return f"Etc/GMT{-offset:+d}" if offset else "Etc/GMT"  # the signs of these names run the other way


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway that serves its page at ``url``."""

    url: str
    gateway: Gateway


@contextlib.contextmanager
def live_site(
    folder: Path, hours: float, patience_s: float = 180.0, clock: Clock | None = None, **simulated: Any
) -> Iterator[Site]:
    """The demo in a thread with its own loop: ``hours`` of a simulated wearer's past through the whole chain, then live.

    ``clock``: the gateway's and the wearer's, if not the machine's. ``simulated``: further options of the simulated sensor.
    """
    caught_up, served = threading.Event(), threading.Event()
    hooks = Hooks(lambda _, share: caught_up.set() if share >= 1.0 else None, lambda _: served.set())
    options = DemoOptions(folder, hours=hours, port=0, timezone=afternoon_zone(), simulated=simulated)
    demo = Demo(options, clock or SystemClock(), print, hooks)
    with running(demo.run):
        assert served.wait(60)
        assert caught_up.wait(patience_s), "the simulated past took too long"
        yield Site(demo.url, demo.gateway)


@contextlib.contextmanager
def running(run: Callable[[asyncio.Event], Coroutine[Any, Any, object]]) -> Iterator[None]:
    """``run`` with the event that ends it, in a thread with its own loop."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(run(stop),), daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        assert not thread.is_alive()


@contextlib.contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """The address of a page that is served in a thread with its own loop."""
    loop, ready, urls = asyncio.new_event_loop(), threading.Event(), list[str]()

    def listening(url: str) -> None:
        urls.append(url)
        ready.set()

    task = loop.create_task(serve(app, "127.0.0.1", 0, listening))
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.gather(task, return_exceptions=True)))
    thread.start()
    try:
        assert ready.wait(60)
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(60)


class Visitor:
    """A page with everything it complains about and everybody it talks to."""

    def __init__(
        self, browser: Browser, url: str, size: str = "phone", scheme: str = "light", view: str = "now"
    ) -> None:
        width, height = SIZES[size]
        self.url, self.size, self.scheme = url, size, scheme
        self.context: BrowserContext = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            timezone_id=afternoon_zone(),
            locale="en-GB",
        )
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.context.on("request", lambda r: self.hosts.add(urlsplit(r.url).netloc))
        self.page.goto(f"{url}#/{view}")
        self.page.locator(f"#view-{view}").wait_for()

    def open(self, view: str) -> None:
        """Another view, as its link would open it; its data have come when this returns."""
        self.page.evaluate("view => { location.hash = `#/${view}`; }", view)
        self.page.locator(f"#view-{view}").wait_for()
        self.page.wait_for_load_state("networkidle" if view != "now" else "load")

    def sideways(self) -> int:
        """Pixels the page is wider than the screen."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def shot(self, name: str) -> None:
        """A picture of the whole page under ``artifacts/page``."""
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=ARTIFACTS / f"{name}-{self.size}-{self.scheme}.png", full_page=True)

    def close(self) -> None:
        self.context.close()
