"""Shared fixtures: where the reference recordings are, if they are here at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reference import ABSENT, REFERENCE


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of reference recordings; tests that need it skip with a clear word where it is absent."""
    if not REFERENCE.is_dir():
        pytest.skip(ABSENT)
    return REFERENCE
