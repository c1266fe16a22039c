"""The synthetic cohort: the same every time, marked as such, and made of records as the real chain makes them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import datetime
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from processing.coaching.controls import LogPain, Verdict
from processing.pipeline import CaptureNeutral
from processing.types import KIND_OF, NS_PER_S, Event, Record
from sensor_gateway.clock import SystemClock
from sensor_gateway.cohort import cohort
from sensor_gateway.cohort.cohort import CohortDesk, CohortOptions, Seeded, seed
from sensor_gateway.cohort.people import people
from sensor_gateway.commands.command import CommandError
from sensor_gateway.config import ConfigError
from sensor_gateway.sinks.store import Store
from sensor_gateway.wire.messages import check_record, decode_record, encode_record

pytestmark = pytest.mark.slow

ZONE = ZoneInfo("Europe/Berlin")
UNTIL = datetime(2026, 10, 27, 18, 30, tzinfo=ZONE)  # a week with a day of 25 hours


def options(folder: Path, wearers: int = 3, days: int = 8) -> CohortOptions:
    return CohortOptions(folder, UNTIL, wearers, days, 1, "Europe/Berlin")


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> tuple[CohortOptions, Seeded]:
    chosen = options(tmp_path_factory.mktemp("cohort") / "data")
    return chosen, seed(chosen, None, lambda _: None)


@pytest.fixture
def store(seeded: tuple[CohortOptions, Seeded]) -> Store:
    return Store.open(seeded[0].store_path, readonly=True)


def dump(path: Path) -> list[object]:
    found = Store.open(path, readonly=True)
    return [(w, e) for w in found.wearers() for e in (*found.events(w), *found.epochs(w), *found.devices(w))]


def test_the_same_seed_gives_the_same_records(seeded: tuple[CohortOptions, Seeded], tmp_path: Path) -> None:
    again = options(tmp_path / "again")
    seed(again, None, lambda _: None)
    assert dump(again.store_path) == dump(seeded[0].store_path)


def test_every_view_has_something_to_show(store: Store) -> None:
    types = Counter(e.type for w in store.wearers() for e in store.events(w))
    wanted = {
        "flag",
        "prompt",
        "suppressed",
        "answer",
        "exercise",
        "response",
        "verdict",
        "pain",
        "baseline",
        "alignment",
    }
    assert wanted <= set(types), wanted - set(types)
    rules = {e.rule for w in store.wearers() for e in store.events(w) if e.type == "flag"}
    assert {"static_posture", "sustained_tilt"} <= rules


def test_everything_is_marked_as_synthetic(seeded: tuple[CohortOptions, Seeded], store: Store) -> None:
    for wearer in store.wearers():
        *_, report = store.devices(wearer)
        assert report.firmware == "synthetic-1"
        for event in store.events(wearer):
            owned = store.event(event.event_id)
            assert owned is not None
            assert owned.sensor.startswith("synthetic-")
            if event.type in ("flag", "prompt", "verdict", "pain"):
                assert event.data["study_version"] == cohort.VERSION
    assert json.loads((seeded[0].folder / cohort.MANIFEST).read_text())["synthetic"] is True


def test_records_pass_the_wires_own_checks_and_lie_in_the_weeks(store: Store) -> None:
    end_ns = int(UNTIL.timestamp()) * NS_PER_S
    for wearer in store.wearers():
        records: list[Record] = [*store.events(wearer), *store.devices(wearer)]
        records += [*islice(store.epochs(wearer), 2000), *islice(store.metrics(wearer), 2000)]
        for record in records:
            check_record(record)
            assert decode_record(KIND_OF[type(record)], encode_record(record)) == record
            assert record.t_utc_ns < end_ns or isinstance(record, Event)


def test_nothing_prompts_in_quiet_hours_and_gaps_are_told_as_empty_minutes(store: Store) -> None:
    for wearer in store.wearers():
        for event in store.events(wearer):
            if event.type == "prompt":
                assert 7 <= datetime.fromtimestamp(event.t_utc_ns / NS_PER_S, ZONE).hour < 22
        epochs = list(store.epochs(wearer))
        steps = {b.t_utc_ns - a.t_utc_ns for a, b in zip(epochs, epochs[1:], strict=False)}
        assert min(steps) == 60 * NS_PER_S
        empty = [e for e in epochs if e.coverage == 0]
        assert empty
        assert all(e.tilt_median_deg is None and e.dose_deg_min is None for e in empty)


def test_what_is_entered_later_goes_on_from_the_same_coach(seeded: tuple[CohortOptions, Seeded], store: Store) -> None:
    chosen, found = seeded
    desk = CohortDesk(chosen, found, SystemClock(), None)
    flag = store.newest("w-001", ("flag",))[0]
    asyncio.run(desk.on_command("w-001", Verdict(flag.event_id, "useful", "pt-1")))
    asyncio.run(desk.on_command("w-001", LogPain(3)))
    assert [e.data["verdict"] for e in store.newest("w-001", ("verdict",))] == ["useful"]
    assert store.newest("w-001", ("pain",))[0].data["score"] == 3
    with pytest.raises(CommandError, match="synthetic"):
        asyncio.run(desk.on_command("w-001", CaptureNeutral()))


@pytest.mark.parametrize(("wearers", "days", "key"), [(0, 30, "--cohort"), (12, 0, "--days"), (12, 999, "--days")])
def test_sizes_that_cannot_be_are_refused(tmp_path: Path, wearers: int, days: int, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        options(tmp_path, wearers, days)


def test_more_than_the_list_get_ids_and_numbers_of_their_own() -> None:
    many = people(15, 1)
    assert len({p.id for p in many}) == 15
    assert many[12].standing_deg != many[0].standing_deg
