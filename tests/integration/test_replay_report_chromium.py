"""The report of a replay as a person opens it: readable on a phone and in the dark, nothing loaded, nothing that axe objects to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from processing.types import NS_PER_S
from sensor_gateway.alignments.changes import AlignmentChange
from sensor_gateway.replay import report
from sensor_gateway.replay.diff import diff
from tests.integration.page_site import AXE_RUN, CHROMIUM
from tests.sensor_gateway.replay.test_diff import T0, flag, head, metric, store

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.node,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]
TURNED = AlignmentChange(
    "w-001", "clip-1", T0, T0 + 60 * NS_PER_S, "static-0a1b2c3d", "static-4e5f6a7b", 8.8, -8.75, 3.1
)


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1000, "light")])
def test_the_page_is_readable_and_axe_finds_nothing(
    tmp_path: Path, browser: Browser, axe: str, width: int, scheme: str
) -> None:
    old = store(tmp_path / "a.db", [*map(metric, range(9)), *(flag(i, "tilt_dose", "a") for i in range(60))])
    new = store(tmp_path / "b.db", [replace(metric(i), anterior_tilt_deg=-8.0) for i in range(10)])
    path = tmp_path / "report.html"
    changed = replace(
        head("bb", [("tilt.on_s", 120, 60), ("quiet_hours", [], [f"{h:02d}:00" for h in range(9)])]),
        alignments=[TURNED],
    )
    report.write(path, diff(old, new, {"w-001": ["clip-1"]}), changed)
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if scheme == "dark" else "light", offline=True
    )
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.goto(path.as_uri())
    text = page.inner_text("main")
    assert "60 flags gained or lost" in text
    assert "-8.8°" in text
    assert "static-0a1b2c3d → static-4e5f6a7b" in text
    assert not page.locator("li", has_text="tilt_dose").first.is_visible()  # so many stay folded
    page.locator("summary").click()
    assert page.locator("li", has_text="tilt_dose").first.is_visible()
    page.evaluate(axe)
    violations, _ = page.evaluate(AXE_RUN)
    assert violations == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    scrolled = "[...document.querySelectorAll('.wide')].filter(e => e.scrollWidth > e.clientWidth).length"
    assert width == 390 or page.evaluate(scrolled) == 0
    assert asked == [path.as_uri()]
    context.close()
