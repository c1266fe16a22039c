"""The report as a person opens it: a file in a real browser without a network, and printed as PDF."""

from __future__ import annotations

import shutil
import subprocess
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import sync_playwright

from processing.rules.explain import degrees
from sensor_gateway.report.figures import day_figures
from sensor_gateway.report.page import day_page
from sensor_gateway.report.pdf import print_pdf
from sensor_gateway.sinks.store import Store
from tests.sensor_gateway.web.web_day import WEARER, seed, utc_ns

pytestmark = [pytest.mark.browser, pytest.mark.slow]
BERLIN = ZoneInfo("Europe/Berlin")
CHROMIUM = shutil.which("chromium")


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_file_and_pdf_show_the_numbers_offline(tmp_path: Path) -> None:
    seed(tmp_path / "store.db")
    store = Store.open(tmp_path / "store.db", readonly=True)
    day = day_figures(store, WEARER, date(2026, 3, 10), BERLIN)
    store.close()
    html = day_page(day, BERLIN, utc_ns("20:00"))
    page_file, pdf_file = tmp_path / "day.html", tmp_path / "day.pdf"
    page_file.write_text(html, encoding="utf-8")
    wanted = [degrees(t.median_deg) for t in day.tilt]
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width, scheme in ((390, "dark"), (1200, "light")):
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
            page = context.new_page()
            asked: list[str] = []
            page.on("request", lambda r, asked=asked: asked.append(r.url))
            page.goto(page_file.as_uri())
            assert all(number in page.inner_text("main") for number in wanted)
            assert asked == [page_file.as_uri()]
            # Nothing makes a phone scroll sideways, and the drawing has a size.
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            box = page.locator("svg[role=img]").bounding_box()
            assert box is not None
            assert box["width"] > 250
            context.close()
        browser.close()
        large = p.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--blink-settings=defaultFontSize=32"]
        )
        page = large.new_page(viewport={"width": 320, "height": 568})
        page.goto(page_file.as_uri())
        small = page.evaluate(
            "[...document.querySelectorAll('p, li, td')].filter(e => parseFloat(getComputedStyle(e).fontSize) < 25).length"
        )
        assert small == 0, "words grow with the reader's letters"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        large.close()
    print_pdf(html, pdf_file)
    assert pdf_file.read_bytes().startswith(b"%PDF")
    pdftotext = shutil.which("pdftotext")
    if pdftotext is None:
        pytest.skip("pdftotext (poppler-utils) is not installed: the text of the PDF was not read")
    text = subprocess.run([pdftotext, str(pdf_file), "-"], capture_output=True, text=True, check=True).stdout
    assert all(number in text for number in wanted)
    assert text.count("\f") == 1, "a usual day is one sheet"
