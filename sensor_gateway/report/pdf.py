"""A report as PDF, printed by Chromium: the same document, so it cannot differ from the page."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
LIMIT_S: Final = 60


class PdfError(Exception):
    """The report could not be printed; the text says what to do."""


def print_pdf(html: str, out: Path) -> None:
    """Write ``html`` as PDF to ``out``; raises `PdfError` where there is no Chromium or it fails."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise PdfError("a PDF needs Chromium (Debian package chromium); without it, open the HTML report and print it")
    with tempfile.TemporaryDirectory(prefix="tiltline-report-") as folder:
        page, made = Path(folder) / "report.html", Path(folder) / "report.pdf"
        page.write_text(html, encoding="utf-8")
        command = [
            browser,
            "--headless",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={folder}/profile",
            "--no-pdf-header-footer",
            f"--print-to-pdf={made}",
            page.as_uri(),
        ]
        if os.geteuid() == 0:  # Chromium's own sandbox refuses to start for root
            command.insert(1, "--no-sandbox")
        try:
            done = subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            raise PdfError(f"Chromium took more than {LIMIT_S} s; open the HTML report and print it") from None
        if done.returncode or not made.is_file():
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise PdfError(f"Chromium could not print ({last[0]}); open the HTML report and print it")
        out.write_bytes(made.read_bytes())
