"""Tests here are coroutines; they run in asyncio, which bleak and bumble are made for."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The one event loop that the gateway uses."""
    return "asyncio"
