"""Budgets and quiet hours follow the wearer's local time: days of 23 and 25 hours, and travel across zones."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.processing.rules_sim import of_type, run
from tests.processing.test_rules_prompts import bouts, k_at, study


def local(t_utc_ns: int, zone: str) -> datetime:
    return datetime.fromtimestamp(t_utc_ns // 10**9, ZoneInfo(zone))


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Berlin", (2026, 3, 28)),
        ("Europe/Berlin", (2026, 10, 24)),
        ("Africa/Cairo", (2026, 4, 23)),
        ("America/Havana", (2026, 10, 31)),
    ],
)
def test_each_local_day_has_its_budget_however_long_it_is(zone: str, day: tuple[int, int, int]) -> None:
    start = k_at(zone, *day, 0, 0)
    events = run(study(timezone=zone, budget_per_day=5), bouts(start, 230))  # three days and nights of raised tilt
    prompts = Counter(local(e.t_utc_ns, zone).date() for e in of_type(events, "prompt"))
    assert len(prompts) >= 3
    assert set(list(prompts.values())[:3]) == {5}
    flags = Counter(local(e.t_utc_ns, zone).date() for e in of_type(events, "flag"))
    assert min(list(flags.values())[:3]) > 60, "what held back was the budget, not a lack of flags"


@pytest.mark.parametrize(("home", "abroad"), [("Europe/Berlin", "America/New_York"), ("UTC", "Pacific/Auckland")])
def test_after_a_journey_flags_stay_and_quiet_hours_move(home: str, abroad: str) -> None:
    start = k_at("UTC", 2026, 6, 1, 6, 0)
    day = bouts(start, 75)
    runs = {zone: run(study(timezone=zone, quiet_from="22:00", quiet_to="07:00"), day) for zone in (home, abroad)}
    flags = [[e.t_utc_ns for e in of_type(events, "flag")] for events in runs.values()]
    assert flags[0] == flags[1]
    for zone, events in runs.items():
        hours = {local(e.t_utc_ns, zone).hour for e in of_type(events, "prompt")}
        assert hours
        assert hours <= set(range(7, 22)), zone
    prompts = [{e.t_utc_ns for e in of_type(events, "prompt")} for events in runs.values()]
    assert prompts[0] != prompts[1]
