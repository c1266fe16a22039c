"""Shared by all tests: the examples that Hypothesis tries, and where the reference recordings are, if they are here at all.

Hypothesis takes the same seed in every run, and no word on how slow the machine is. Looking for new examples is a run of its
own, again and again: `pytest --hypothesis-profile=search`.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import failures
from tests.reference import ABSENT, REFERENCE

settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("same", settings.get_profile("search"), derandomize=True, database=None)
settings.load_profile("same")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones first: the quick ones then fill what is left, and no worker waits at the end for another's long test."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        failures.note(item, report)
    return report


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of reference recordings; tests that need it skip with a clear word where it is absent."""
    if not REFERENCE.is_dir():
        pytest.skip(ABSENT)
    return REFERENCE
