"""A journal that is far ahead of the pipeline, as after an update: what comes is journaled at once, and nothing is computed twice.

The simulated person of `test_runner.py` for the better part of an hour, under a study that changed.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from processing.rules.study import Study
from processing.types import Epoch, Metric, Record
from sensor_gateway.clock import SystemClock
from sensor_gateway.line import CATCH_UP_ENTRIES, QUIET_SNAPSHOT_ENTRIES
from sensor_gateway.live import LiveHub
from sensor_gateway.runner import Runner
from sensor_gateway.spool.journal import Journal
from tests.sensor_gateway.test_runner import OPEN, Gateway, ScriptedTransport, frames

OLD_S = QUIET_SNAPSHOT_ENTRIES // 10 + 1200
NEW_S = 120
RECEIVED = frames(OLD_S + NEW_S)
OLD, NEW = RECEIVED[: OLD_S * 10], RECEIVED[OLD_S * 10 :]


def seconds_and_minutes(gateway: Gateway) -> list[Record]:
    return [r for r in gateway.records() if isinstance(r, Metric | Epoch)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    gateway = Gateway(tmp_path_factory.mktemp("calm"))
    gateway.line.ingest([(OPEN, r) for r in RECEIVED])
    records = seconds_and_minutes(gateway)
    gateway.crash()
    assert len(records) > OLD_S + NEW_S
    return records


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of a gateway that had computed all but the last five minutes of its journal."""
    folder = tmp_path_factory.mktemp("stopped")
    gateway = Gateway(folder)
    gateway.line.ingest([(OPEN, r) for r in OLD[:-3000]])
    gateway.journal.append("clip-1", [(OPEN, r) for r in OLD[-3000:]], durable=True)
    gateway.crash()
    return folder


@pytest.fixture
def site(tmp_path: Path, stopped: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "site"))


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def journaled(journal: Journal) -> list[bytes]:
    return [e.received.payload for part in journal.read("clip-1") for e in part if e.source == OPEN]


def test_payloads_are_journaled_between_two_pieces(site: Path, undisturbed: list[Record]) -> None:
    gateway = Gateway(site, Study(version="2"))
    for at in range(0, 100, 10):
        gateway.line.ingest([(OPEN, r) for r in NEW[at : at + 10]])
        assert journaled(gateway.journal)[-1] == NEW[at + 9].payload
        assert gateway.line.behind > CATCH_UP_ENTRIES
    while gateway.line.behind > 6000:
        gateway.line.ingest([])
    gateway.crash()  # amid the warm-up, after its first snapshot

    gateway = Gateway(site, Study(version="2"))
    gateway.line.ingest([(OPEN, r) for r in NEW[100:110]])
    assert 0 < gateway.line.behind < len(OLD) // 2
    at = 110
    while gateway.line.behind:
        gateway.line.ingest([(OPEN, r) for r in NEW[at : at + 10]])
        at += 10
    gateway.line.ingest([(OPEN, r) for r in NEW[at:]])
    assert journaled(gateway.journal) == [r.payload for r in RECEIVED]
    assert seconds_and_minutes(gateway) == undisturbed
    gateway.crash()


@pytest.mark.parametrize("cancel", [False, True], ids=["its source ends", "the gateway stops"])
def test_the_runner_goes_on_by_itself_and_stops_at_once(
    site: Path, executor: ThreadPoolExecutor, undisturbed: list[Record], cancel: bool
) -> None:
    async def go() -> int:
        gateway = Gateway(site, Study(version="2"))
        runner = Runner(gateway.line, LiveHub(), SystemClock(), executor)
        transport = ScriptedTransport([NEW[:20], NEW[20:]])
        task = asyncio.create_task(runner.run(transport))
        await transport.given.wait()
        if cancel:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        else:
            transport.go_on.set()
            await task
        behind = gateway.line.behind
        gateway.crash()
        return behind

    behind = asyncio.run(go())
    assert (behind > 0) == cancel
    gateway = Gateway(site, Study(version="2"))
    if cancel:
        gateway.line.ingest([(OPEN, r) for r in NEW[20:]])
    while cancel and gateway.line.behind:
        gateway.line.ingest([])
    assert journaled(gateway.journal) == [r.payload for r in RECEIVED]
    assert seconds_and_minutes(gateway) == undisturbed
    gateway.crash()
