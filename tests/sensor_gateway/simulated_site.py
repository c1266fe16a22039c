"""A gateway's folder after half an hour of a simulated wearer, for what is done with it later: replays, derivations."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from processing.types import NS_PER_S
from sensor_gateway.clock import SystemClock
from sensor_gateway.demo import Demo, DemoOptions
from sensor_gateway.gateway import Hooks
from tests.sensor_gateway.cli.test_alignment import TOML

START_NS: Final = 1_772_438_400 * NS_PER_S
_SPAN: Final = {"start": "2026-03-02T08:00:00Z", "until": "2026-03-02T08:30:00Z", "speed": 0.0, "bow_rounds": 1}


def make_site(folder: Path) -> Path:
    """``folder`` with ``gateway.toml``, journal and store; the wearer stands in neutral from second 3 to 8 of `START_NS` and bows three
    times after second 12."""
    (folder / "gateway.toml").write_text(TOML, encoding="utf-8")
    options = DemoOptions(folder / "data", 0.5, 0.5, 0, 1, "Europe/Berlin", _SPAN)
    asyncio.run(Demo(options, SystemClock(), lambda _: None, Hooks()).run(asyncio.Event()))
    return folder
