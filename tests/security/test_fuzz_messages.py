"""The short, seeded form of the message fuzz; a million each by `python -m tests.security.fuzz_messages`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.fuzz_messages import fuzz, targets


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["metric", "epoch", "event", "device", "status", "durable", "command", "page"])
def test_nothing_breaks_and_nothing_strange_comes_in(name: str, tmp_path: Path) -> None:
    found = fuzz(name, targets(7, tmp_path)[name], 500 if name == "page" else 2000)
    assert found["accepted"] > 0, "a fuzz of which nothing comes through only tries the outermost check"
