"""Many sensors in one transaction give the records each gives alone, also when the disk is full in between or a line breaks."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from processing.rules.study import Study
from processing.types import Metric, Record
from sensor_gateway import derive
from sensor_gateway.clock import SystemClock
from sensor_gateway.drivers.open_profile import OpenProfileDriver
from sensor_gateway.group import GROUP_LINES, TURN_PIECES, Group
from sensor_gateway.line import CATCH_UP_ENTRIES, SensorLine
from sensor_gateway.spool.database import Spool, SpoolFullError
from sensor_gateway.spool.journal import Journal
from sensor_gateway.spool.outbox import Outbox, SinkView
from sensor_gateway.wire.messages import decode_record
from tests.sensor_gateway.test_runner import OPEN, SENSOR, Item, frames

SENSORS = 5
SECONDS = 75


def items_of(number: int) -> list[Item]:
    return [(OPEN, r) for r in frames(SECONDS, seed=number)]


class Site:
    """A spool with several lines."""

    def __init__(self, folder: Path, count: int = SENSORS) -> None:
        self.spool = Spool(folder / "spool.db")
        self.journal = Journal(self.spool, 10**9)
        self.outbox = Outbox(self.spool, ["store"], 10**6)
        self.lines = [self._line(n) for n in range(count)]

    def _line(self, number: int) -> SensorLine:
        sensor = replace(SENSOR, id=f"clip-{number}", wearer=f"w-{number:03d}")
        recipe = derive.recipe(sensor, Study(), OpenProfileDriver())
        return SensorLine(recipe, self.journal, self.outbox, SystemClock())

    def records(self) -> dict[str, list[Record]]:
        out = defaultdict(list)
        for e in self.outbox.read("store", 0, 10**6):
            out[e.sensor].append(decode_record(e.kind, e.body))
        return out


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Record]]:
    site = Site(tmp_path_factory.mktemp("alone"))
    for number, line in enumerate(site.lines):
        line.ingest(items_of(number))
    assert all(len(found) > 60 for found in site.records().values())
    return site.records()


async def _play(site: Site, seed: int, fill: bool) -> tuple[int, int]:
    """All sensors at once in parts of random sizes; a full disk now and then. How often nothing was journaled, or computed."""
    rng = random.Random(seed)
    refused = [0, 0]
    with ThreadPoolExecutor(1) as executor:
        group = Group(site.spool, site.journal, site.outbox, executor)

        async def sensor(number: int) -> None:
            items, at = items_of(number), 0
            while at < len(items):
                part = items[at : at + rng.choice([5, 20, 60])]
                if fill and rng.random() < 0.2:
                    room = rng.choice([0, 1, 2, 4])
                    pages = site.spool.query("PRAGMA page_count")[0][0]
                    site.spool.query(f"PRAGMA max_page_count = {pages + room}")
                try:
                    found = await group.ingest(site.lines[number], part)
                    refused[1] += found is None
                    at += len(part)
                except SpoolFullError:
                    refused[0] += 1
                    site.spool.query("PRAGMA max_page_count = 1000000")
                await asyncio.sleep(0)

        await asyncio.gather(*(sensor(n) for n in range(len(site.lines))))
        site.spool.query("PRAGMA max_page_count = 1000000")
        site.outbox.reload()
        for line in site.lines:
            line.begin_again()
            await asyncio.get_running_loop().run_in_executor(executor, line.ingest, [])
    return refused[0], refused[1]


@pytest.mark.parametrize("seed", range(2))
def test_together_as_alone(tmp_path: Path, alone: dict[str, list[Record]], seed: int) -> None:
    site = Site(tmp_path)
    assert asyncio.run(_play(site, seed, fill=False))[0] == 0
    assert site.records() == alone


def test_sinks_are_told_when_all_of_a_group_is_there(tmp_path: Path) -> None:
    site = Site(tmp_path)
    view = SinkView(site.outbox, "store")

    async def once() -> None:
        with ThreadPoolExecutor(1) as executor:
            group = Group(site.spool, site.journal, site.outbox, executor)
            await asyncio.gather(*(group.ingest(line, items_of(n)) for n, line in enumerate(site.lines)))

    assert not view.read(0, 1)
    asyncio.run(once())
    assert site.outbox.wakes == 1
    view.wait(600.0)  # told between its look and its waiting, it does not wait
    assert len(site.records()) == SENSORS


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_full_disk_under_a_group_loses_and_doubles_nothing(
    tmp_path: Path, alone: dict[str, list[Record]], seed: int
) -> None:
    site = Site(tmp_path)
    refused = asyncio.run(_play(site, seed, fill=True))
    assert min(refused) > 0, "in one of the two steps the disk was never full; the test shows nothing"
    assert site.records() == alone
    journal = Journal(site.spool, 10**9)
    assert [journal.last_seq(f"clip-{n}") for n in range(SENSORS)] == [
        site.journal.last_seq(f"clip-{n}") for n in range(SENSORS)
    ]


def test_more_than_a_group_holds_takes_turns(tmp_path: Path) -> None:
    site = Site(tmp_path, GROUP_LINES + 3)
    part = items_of(1)[:30]

    async def play() -> list[object]:
        with ThreadPoolExecutor(1) as executor:
            group = Group(site.spool, site.journal, site.outbox, executor)
            return list(await asyncio.gather(*(group.ingest(line, part) for line in site.lines)))

    assert all(samples is not None for samples in asyncio.run(play()))
    assert len(site.records()) == GROUP_LINES + 3


def test_journals_that_are_ahead_are_computed_one_after_the_other(tmp_path: Path) -> None:
    old = [(OPEN, r) for r in frames(CATCH_UP_ENTRIES // 10 * 2)]
    new = [(OPEN, r) for r in frames(60, old[-1][1].rx_utc_ns, seed=9)]
    site = Site(tmp_path)
    for number, line in enumerate(site.lines):
        line.ingest(old[:10])
        site.journal.append(f"clip-{number}", old[10:], durable=True)
    site.spool.close()
    site = Site(tmp_path)

    async def play() -> list[list[int]]:
        behind = []
        with ThreadPoolExecutor(1) as executor:
            group = Group(site.spool, site.journal, site.outbox, executor)
            for at in range(0, len(new), 20):
                await asyncio.gather(*(group.ingest(line, new[at : at + 20]) for line in site.lines))
                assert {site.journal.last_rx_utc_ns(f"clip-{n}") for n in range(SENSORS)} == {new[at + 19][1].rx_utc_ns}
                behind.append([line.behind for line in site.lines])
        return behind

    behind = asyncio.run(play())
    assert behind[0].count(max(behind[0])) == SENSORS - TURN_PIECES
    assert behind[-1] == [0] * SENSORS
    seconds = [sum(isinstance(r, Metric) for r in records) for records in site.records().values()]
    assert len(set(seconds)) == 1
    assert seconds[0] >= (len(old) + len(new)) // 10 - 5
    site.spool.close()
