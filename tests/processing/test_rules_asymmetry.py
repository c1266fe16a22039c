"""`asymmetry`: days that count, the personal limit, two of three days, and a hint that stays with the therapist."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from processing.rules.asymmetry import StrideDay
from processing.rules.study import AsymmetryRule, Study
from tests.processing.rules_sim import engine_of, recompute_hint
from tests.processing.test_coaching import BANNED

STUDY = Study(timezone="Europe/Berlin")


def day(n: int, difference_deg: float, strides: int = 400, mdc_deg: float = 0.0) -> StrideDay:
    on = (date(2026, 3, 25) + timedelta(days=n)).isoformat()
    return StrideDay(on, strides, 9000 + round(difference_deg * 1000), 9000, round(mdc_deg * 1000))


def hints(days, study=STUDY):
    """Local days at whose end a hint was given; every hint proves itself."""
    found = []
    events = engine_of(study).update_strides(days)
    for event in (e for e in events if e.type != "strides"):
        assert (event.type, event.rule, event.data["audience"]) == ("hint", "asymmetry", "therapist")
        assert len(recompute_hint(json.loads(json.dumps(event.data)))) == event.data["value"]
        found.append((date.fromisoformat(event.data["to_day"]) - date(2026, 3, 25)).days)
    return found


def test_two_of_three_days_beyond_two_degrees():
    assert hints([day(0, 2.1), day(1, 2.0)]) == []
    assert hints([day(0, 2.1), day(1, 2.1)]) == [1]
    assert hints([day(0, 2.1), day(1, 0.5), day(2, -2.1)]) == [2]
    assert hints([day(0, 2.1), day(1, 0.5), day(2, 0.5), day(3, 2.1)]) == []


def test_calendar_days_count_not_worn_ones():
    assert hints([day(0, 3.0), day(3, 3.0)]) == []
    assert hints([day(0, 3.0), day(2, 3.0)]) == [2]


def test_a_day_of_few_strides_says_nothing():
    assert hints([day(0, 3.0), day(1, 3.0, strides=99)]) == []
    assert hints([day(0, 3.0), day(1, 3.0, strides=100)]) == [1]


def test_the_limit_is_never_below_what_can_be_measured():
    assert hints([day(0, 3.0, mdc_deg=3.0), day(1, 3.0, mdc_deg=3.0)]) == []


def test_a_usual_difference_raises_the_limit_once_five_days_are_known():
    usual = [day(i, 3.0 + 0.1 * (i % 3)) for i in range(5)]
    # Median 3.1, MAD 0.1: the limit is 3.1 + 2.5 * 1.4826 * 0.1 = 3.47.
    assert hints([*usual, day(7, 3.4), day(8, 3.4)]) == [1]  # the first days are beyond the general limit
    assert hints([*usual, day(7, 3.5), day(8, 3.5)]) == [1, 8]


def test_one_hint_until_it_was_over():
    assert hints([day(i, 4.0) for i in range(4)]) == [1]
    young = replace(STUDY, asymmetry=AsymmetryRule(baseline_min_days=20))
    again = [day(0, 4.0), day(1, 4.0), day(2, 0.0), day(3, 0.0), day(4, 4.0), day(5, 4.0)]
    assert hints(again, young) == [1, 5]


def test_every_judged_day_is_told_with_what_can_be_told_apart():
    few, one = engine_of(STUDY).update_strides([day(0, 1.2, mdc_deg=0.8), day(1, 1.2)])[:2]
    assert (few.type, few.rule) == ("strides", "asymmetry")
    assert few.data["difference_deg"] == pytest.approx(1.2)
    assert few.data["left_range_deg"] - few.data["right_range_deg"] == pytest.approx(few.data["difference_deg"])
    assert (few.data["mdc_deg"], one.data["mdc_deg"]) == (0.8, None)
    assert engine_of(STUDY).update_strides([day(0, 3.0, strides=99)]) == []


def test_days_known_already_and_a_rule_that_is_off_change_nothing():
    engine = engine_of(STUDY)
    engine.update_strides([day(0, 3.0)])
    again = engine_of(STUDY)
    again.restore(json.loads(json.dumps(engine.snapshot())))
    assert again.update_strides([day(0, 3.0)]) == []
    assert [e.type for e in again.update_strides([day(1, 3.0)])] == ["strides", "hint"]
    assert hints([day(0, 9.0), day(1, 9.0)], replace(STUDY, asymmetry=AsymmetryRule(enabled=False))) == []


def test_the_hint_is_dated_at_the_end_of_the_local_day_also_when_clocks_change():
    first, second, event = engine_of(STUDY).update_strides([day(3, 3.0), day(4, 3.0)])
    assert [first.data["day"], second.data["day"]] == ["2026-03-28", "2026-03-29"]
    assert (second.type, second.t_utc_ns) == ("strides", event.t_utc_ns)
    end = datetime(2026, 3, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    start = datetime(2026, 3, 27, tzinfo=ZoneInfo("Europe/Berlin"))
    assert event.t_utc_ns == event.data["window"]["end_utc_ns"] == int(end.timestamp()) * 10**9
    assert event.data["window"]["start_utc_ns"] == int(start.timestamp()) * 10**9
    assert not BANNED.search(event.data["text"])
    assert "cannot say why" in event.data["text"]


def test_a_day_that_is_no_date_is_refused():
    with pytest.raises(ValueError, match="Monday"):
        engine_of(STUDY).update_strides([StrideDay("Monday", 400, 1, 1)])


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: AsymmetryRule(days_over=4), "asymmetry.days_window"),
        (lambda: AsymmetryRule(min_strides=0), "asymmetry.min_strides"),
        (lambda: AsymmetryRule(baseline_max_days=2), "asymmetry.baseline_max_days"),
        (lambda: AsymmetryRule(min_difference_deg=-1), "asymmetry.min_difference_deg"),
    ],
)
def test_values_that_cannot_work_are_refused_by_key(build, key):
    with pytest.raises(ValueError, match=f"study key '{key}' is .*; use "):
        build()
