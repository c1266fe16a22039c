"""Fixtures of real servers; everything a test started ends with it, also when it fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.servers import Stack


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Broker, database and shim, running."""
    servers = Stack(tmp_path)
    try:
        servers.start()
        yield servers
    finally:
        servers.close()
