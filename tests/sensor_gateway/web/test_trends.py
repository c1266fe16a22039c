"""Weeks at a glance: the numbers are those of the stored minutes, and a day without data is no zero."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from processing.types import NS_PER_S, Event
from sensor_gateway.report.minutes import in_short, main_posture
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from sensor_gateway.web.source import Source
from sensor_gateway.web.trends import day_row
from tests.sensor_gateway.web.test_api import SetClock
from tests.sensor_gateway.web.web_day import SENSOR, WEARER, ZONE, records, seed, utc_ns


@pytest.fixture
def source(tmp_path: Path) -> Source:
    path = tmp_path / "store.sqlite"
    end = seed(path)
    store = Store.open(path)
    t = utc_ns("10:00")
    store.write(
        Owned(WEARER, SENSOR, e)
        for e in (
            Event(t, "p1", "pain", None, {"score": 3, "note": "after lunch"}),
            Event(t + 1, "p2", "pain", None, {"score": 5}),
            Event(t + 2, "x1", "exercise", None, {"exercise": "glute_set", "prompt_event_id": "q"}),
            Event(t + 3, "a1", "answer", None, {"answer": "done", "prompt_event_id": "q"}),
            Event(t + 4, "a2", "answer", None, {"answer": "done", "prompt_event_id": "r"}),
            Event(t + 5, "b1", "baseline", None, {"day": "2026-03-09", "postures": {"standing": {"median_deg": 1.5}}}),
        )
    )
    store.close()
    return Source(path, None, SetClock(end), (WEARER,), 900)


def test_a_day_is_counted_from_its_minutes_and_the_days_before_are_empty(source: Source) -> None:
    view = source.trends(WEARER, 7, ZONE)
    assert [row["day"] for row in view["days"]] == [f"2026-03-{d:02d}" for d in range(4, 11)]
    empty, today = view["days"][0], view["days"][-1]
    assert (empty["worn_h"], empty["tilt"], empty["pain_max"]) == (None, {}, None)
    minutes = [r for r in records() if hasattr(r, "tilt_median_deg")]
    worn = sum(main_posture(m) != "not_worn" for m in minutes)
    assert today["worn_h"] == round(worn / 60, 2)
    standing = [m.tilt_median_deg for m in minutes if main_posture(m) == "standing"]
    assert today["tilt"]["standing"]["median_deg"] == pytest.approx(float(np.median(standing)), abs=0.01)
    assert today["tilt"]["standing"]["minutes"] == len(standing)
    assert "sitting" not in today["tilt"], "the seeded sitting has no tilt"
    assert today["pain_max"] == 5
    assert today["done"] == 2, "a prompt's exercise that was logged and answered counts once"
    assert today["flags"] >= 2
    assert view["baseline"][0]["postures"]["standing"]["median_deg"] == 1.5


def test_the_day_lists_what_was_entered(source: Source) -> None:
    entries = source.day(WEARER, date(2026, 3, 10), ZONE)["entries"]
    assert [e["kind"] for e in entries] == ["pain", "pain", "exercise"]
    assert entries[0]["score"] == 3
    assert entries[0]["note"] == "after lunch"


def test_a_day_that_is_over_is_read_once(source: Source) -> None:
    first = source.trends(WEARER, 28, ZoneInfo("Asia/Tokyo"))["days"]
    clock = source.clock
    assert isinstance(clock, SetClock)
    clock.now += 30 * NS_PER_S
    again = source.trends(WEARER, 28, ZoneInfo("Asia/Tokyo"))["days"]
    assert all(a is b for a, b in zip(first[:-2], again[:-2], strict=True))
    assert first[-1] == again[-1]


def test_a_posture_of_a_few_minutes_is_left_out() -> None:
    minutes = [in_short(r) for r in records() if hasattr(r, "tilt_median_deg") and main_posture(r) == "walking"]
    assert day_row(date(2026, 3, 10), minutes[:9], [])["tilt"] == {}
    assert day_row(date(2026, 3, 10), minutes[:10], [])["tilt"]["walking"]["minutes"] == 10


def test_the_store_works_out_the_minutes_as_the_page_would(source: Source) -> None:
    store = source.store()
    assert store is not None
    expected = [in_short(e) for e in store.epochs(WEARER)]
    assert store.minutes(WEARER, 0, 2**62) == expected
    assert len({posture for posture, *_ in expected}) > 2
    at = [e.t_utc_ns for e in store.epochs(WEARER)]
    assert store.minutes(WEARER, at[3], at[9]) == expected[3:9]
