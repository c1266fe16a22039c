"""What it takes to understand a failure afterwards: how busy the machine was, and what the servers of the test had written.

The end of each log stands in the test's report; the whole logs are kept under ``artifacts/failed``.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

KEPT = Path(__file__).parents[1] / "artifacts" / "failed"
SHOWN_LINES = 40


def folders(item: pytest.Item) -> list[Path]:
    """Where this test and its fixtures write: paths among its arguments, and the folders of what has one; none twice."""
    arguments: dict[str, Any] = getattr(item, "funcargs", {})
    found = {
        getattr(value, "folder", value) for value in arguments.values() if _folder(getattr(value, "folder", value))
    }
    return sorted(one for one in found if not found & set(one.parents))


def _folder(value: object) -> bool:
    return isinstance(value, Path) and "pytest-" in str(value)


def note(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add to the report of a failed test what is not in its assertion."""
    load = ", ".join(f"{n:.1f}" for n in os.getloadavg())
    report.sections.append(("machine", f"{datetime.now(UTC):%H:%M:%S} UTC, load {load} on {os.cpu_count()} processors"))
    kept = KEPT / re.sub(r"[^\w.-]+", "_", item.nodeid)[-150:]
    for folder in folders(item):
        with suppress(OSError):  # a log that is gone meanwhile, or a place that may not be written, spoils no report
            for log in sorted(folder.rglob("*.log")):
                end = log.read_text(errors="replace").splitlines()[-SHOWN_LINES:]
                report.sections.append((f"end of {log.parent.name}/{log.name}", "\n".join(end)))
                kept.mkdir(parents=True, exist_ok=True)
                shutil.copy(log, kept / f"{log.parent.name}-{log.name}")
