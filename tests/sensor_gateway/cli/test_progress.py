"""Progress: silent when quick, honest about what is left, gone when done."""

from __future__ import annotations

import io
import re
import time

import pytest

from sensor_gateway.cli import progress
from sensor_gateway.cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_short_work_shows_nothing() -> None:
    out = Terminal()
    with Progress("work", out) as tell:
        for i in range(100):
            tell(i / 100)
    assert out.getvalue() == ""


@pytest.mark.parametrize("out", [Terminal(), io.StringIO()])
def test_long_work_shows_its_share_and_cleans_up(out: io.StringIO) -> None:
    with Progress("work", out) as tell:
        began = time.monotonic()
        tell(0.0)
        time.sleep(progress.QUIET_S + 0.05)
        tell(0.5)
        lasted = time.monotonic() - began
    text = out.getvalue()
    told = re.search(r"work: 50%, about (\d+) s left", text)
    assert told
    assert progress.QUIET_S <= int(told[1]) <= lasted + 0.5  # the second half takes as long as the first
    assert text.endswith("\r") == out.isatty()
