"""What the page is told: fresh values only, own range, bands with holes, and a flag's reasons from its own JSON."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import pytest

from processing.types import NS_PER_S, POSTURES, DeviceReport, Epoch, Event
from sensor_gateway.live import LiveFrame
from sensor_gateway.report.minutes import day_bounds_ns, in_short, own_range
from sensor_gateway.web.explain import answers_of, flag_views, held_back, open_prompt
from sensor_gateway.web.views import now_view, posture_bands
from tests.sensor_gateway.web.web_day import MINUTE_NS, records, second, utc_ns

T = 1_800_000_000 * NS_PER_S
FRAME = LiveFrame(T, 3.2, 0.1, True, "standing", "w-001", "clip-1")


def epoch(t: int, posture: str, median: float | None) -> Epoch:
    seconds = [60 if p == posture else 0 for p in POSTURES]
    return Epoch(t, median, median, median, median, 0.0, *seconds, None, 1.0, 1.0)


@pytest.mark.parametrize(
    ("age_s", "status", "tilt"),
    [
        (0, "live", 3.2),
        (4.9, "live", 3.2),
        (5.1, "stale", None),
        (3600, "stale", None),
        (-4, "live", 3.2),
        (-60, "stale", None),
    ],
)
def test_a_live_value_lasts_five_seconds_and_never_comes_from_the_future(
    age_s: float, status: str, tilt: float | None
) -> None:
    view = now_view(T + round(age_s * NS_PER_S), FRAME, None, [], live=True)
    assert view["status"] == status
    assert (view["frame"] and view["frame"]["tilt_deg"]) == tilt
    assert view["newest_ms"] == T // 1_000_000


@pytest.mark.parametrize(("age_s", "status"), [(1, "record"), (60, "record"), (60.5, "stale")])
def test_without_a_gateway_a_stored_second_lasts_sixty_seconds(age_s: float, status: str) -> None:
    metric = second(T, 4.0)
    view = now_view(T + NS_PER_S + round(age_s * NS_PER_S), None, metric, [], live=False)
    assert view["status"] == status
    assert (view["frame"] is None) == (status == "stale")
    assert view["uncertainty_deg"] == (None if status == "stale" else 1.4)


def test_in_a_gateway_a_stored_second_does_not_stand_in_for_a_stopped_stream() -> None:
    view = now_view(T + 10 * NS_PER_S, FRAME, second(T + 8 * NS_PER_S, 4.0), [], live=True)
    assert view["status"] == "stale"
    assert view["frame"] is None
    assert view["quality"] is None


def test_never_is_not_stale() -> None:
    assert now_view(T, None, None, [], live=True)["status"] == "never"


def test_a_settling_frame_has_no_tilt() -> None:
    view = now_view(T, replace(FRAME, valid=False), None, [], live=True)
    assert view["status"] == "live"
    assert view["frame"]["tilt_deg"] is None


def test_battery_is_the_newest_that_was_reported() -> None:
    devices = [DeviceReport(T, battery_percent=80.0), DeviceReport(T + 1, link="lost")]
    view = now_view(T + 2, None, None, devices, live=True)
    assert (view["battery_percent"], view["link"]) == (80.0, "lost")


def test_own_range_needs_an_hour_upright_and_ignores_sitting() -> None:
    upright = [epoch(i * MINUTE_NS, "standing", i / 10) for i in range(61)]
    sitting = [epoch(i * MINUTE_NS, "sitting", None) for i in range(500)]
    assert own_range(map(in_short, upright[:59] + sitting)) is None
    found = own_range(map(in_short, upright + sitting))
    assert found is not None
    assert (found.low_deg, found.high_deg, found.minutes) == (0.6, 5.4, 61)


def test_bands_join_equal_minutes_and_leave_gaps_empty() -> None:
    minutes = [(0, "sitting"), (1, "sitting"), (2, "walking"), (5, "walking")]
    bands = posture_bands([epoch(i * MINUTE_NS, p, None) for i, p in minutes])
    assert [(b["posture"], b["from_ms"] // 60_000, b["to_ms"] // 60_000) for b in bands] == [
        ("sitting", 0, 2),
        ("walking", 2, 3),
        ("walking", 5, 6),
    ]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-10", 24), ("2026-03-29", 23), ("2026-10-25", 25)])
def test_a_local_day_is_23_to_25_hours_long(day: str, hours: int) -> None:
    t0, t1 = day_bounds_ns(date.fromisoformat(day), ZoneInfo("Europe/Berlin"))
    assert (t1 - t0) == hours * 3600 * NS_PER_S


def test_flags_say_why_and_what_followed() -> None:
    events = sorted((r for r in records() if isinstance(r, Event)), key=lambda e: (e.t_utc_ns, e.event_id))
    now = utc_ns("17:20")
    prompts = [e for e in events if e.type == "prompt"]
    flags = flag_views(events, {prompts[0].event_id: "done"}, now, 900)
    assert len(flags) == sum(e.type == "flag" for e in events) >= 2
    sustained = next(f for f in flags if f["rule"] == "sustained_tilt" and f["outcome"] == "prompt")
    # The scripted stretch is about 9.4° against the starting limit of 5°.
    assert sustained["threshold_deg"] == 5.0
    assert sustained["threshold_source"] == "neutral"
    assert 7 < sustained["tilt_low_deg"] < sustained["tilt_mid_deg"] < sustained["tilt_high_deg"] < 12
    assert sustained["above_s"] == (sustained["to_ms"] - sustained["from_ms"]) / 1000
    assert sustained["value"] == 600
    assert sustained["answer"] == "done"
    assert sustained["prompt"]["exercise_name"] == "Glute squeeze"
    quiet = [f for f in flags if f["outcome"] == "suppressed"]
    assert quiet
    assert all(f["reason"] == "refractory" and f["reason_text"] for f in quiet)


def test_a_flag_of_an_unknown_rule_is_shown_with_what_it_has() -> None:
    flag = Event(T, "f1", "flag", "new_rule", {})
    (young,) = flag_views([flag], {}, T + 60 * NS_PER_S, 900)
    (old,) = flag_views([flag], {}, T + 7200 * NS_PER_S, 900)
    assert (young["outcome"], old["outcome"]) == ("waiting", "noted")
    assert young["threshold_deg"] is None


def test_an_offered_prompt_stands_and_the_last_stored_answer_counts() -> None:
    def event(i: int, type_: str, **data: str) -> Event:
        return Event(T + i, f"e{i}", type_, "tilt_dose", data)

    events = [
        event(0, "flag"),
        event(1, "prompt", flag_event_id="e0"),
        event(2, "answer", prompt_event_id="e1", answer="snooze"),
        event(3, "answer", prompt_event_id="e1", answer="stop"),
        event(4, "suppressed", flag_event_id="e0", reason="stopped"),
    ]
    (flag,) = flag_views(events, answers_of(events), T + 9, 900)
    assert (flag["outcome"], flag["answer"]) == ("prompt", "stop")
    assert open_prompt(events, answers_of(events), T + 9, 900) is None


def test_a_prompt_is_open_until_answered_or_expired() -> None:
    prompt = Event(T, "p1", "prompt", "tilt_dose", {"exercise_name": "Hip hinge"})
    assert open_prompt([prompt], {}, T + 899 * NS_PER_S, 900) is prompt
    assert open_prompt([prompt], {}, T + 901 * NS_PER_S, 900) is None
    assert open_prompt([prompt], {"p1": "not_now"}, T, 900) is None


@pytest.mark.parametrize(
    ("events", "held"),
    [
        ([], False),
        ([("red_flag", {"outcome": "answered", "stop": True})], True),
        ([("red_flag", {"outcome": "asked", "stop": False})], True),
        (
            [("red_flag", {"outcome": "cleared", "stop": False}), ("red_flag", {"outcome": "answered", "stop": True})],
            False,
        ),
        ([("mode", {"mode": "tracking", "until": None})], True),
        ([("mode", {"mode": "tracking", "until": 99})], False),
        ([("mode", {"mode": "tracking", "until": 101})], True),
        ([("mode", {"mode": "training", "until": None}), ("mode", {"mode": "stopped", "until": None})], False),
    ],
)
def test_prompts_of_before_are_not_offered_while_they_are_held_back(
    events: list[tuple[str, dict[str, object]]], held: bool
) -> None:
    newest_first = [Event(50 - i, f"e{i}", kind, None, data) for i, (kind, data) in enumerate(events)]
    assert held_back(newest_first, 100) is held
