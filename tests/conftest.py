"""Shared fixtures: where the reference recordings are, if they are here at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of reference recordings; tests that need it skip with a clear word where it is absent."""
    folder = Path(os.environ.get("TILTLINE_REFERENCE", Path(__file__).parents[2] / "shared" / "reference"))
    if not folder.is_dir():
        pytest.skip(f"no reference recordings at {folder}; set TILTLINE_REFERENCE")
    return folder
