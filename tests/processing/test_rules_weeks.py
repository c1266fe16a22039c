"""A scripted week: exactly the flags, prompts and suppressions that the rules promise, and nothing else.

Written in 10 s epochs, so that every instant can be worked out by hand (`test_rules_week_samples.py` goes from samples).
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from processing.rules.study import Study
from processing.types import NS_PER_S, Event, RuleEpoch
from tests.processing.rules_sim import engine_of, epoch, of_type, recompute, run

ZONE = ZoneInfo("Europe/Berlin")
MONDAY = date(2026, 10, 19)
"""The week's Sunday ends daylight saving: it has 25 hours."""

Stay = tuple[str, float, float]
"""Posture, minutes, tilt from neutral."""
REST: Stay = ("sitting", 25, -15.0)
ROUND: tuple[Stay, ...] = (("standing", 14, 8.0), REST, ("walking", 15, 1.0), REST, ("walking", 21, 1.0))
"""100 minutes with one raised stretch."""

WEEK: tuple[tuple[str, tuple[Stay, ...]], ...] = (
    (
        "07:30",
        (
            ("walking", 20, 1.0),
            ("sitting", 60, -15.0),
            ("walking", 10, 2.0),
            ("standing", 14, 8.0),
            REST,
            ("walking", 21, 1.0),
            ("standing", 14, 8.0),
            ("sitting", 20, -15.0),
        ),
    ),
    (
        "13:00",
        (
            ("standing", 14, 8.0),
            ("sitting", 20, -15.0),
            ("walking", 26, 1.0),
            ("walking", 40, 6.0),
            ("sitting", 20, -15.0),
        ),
    ),
    ("07:00", (("walking", 25, 1.0), REST, ("walking", 10, 1.0), *5 * ROUND)),
    (
        "20:00",
        (
            ("walking", 20, 1.0),
            ("sitting", 28, -15.0),
            ("walking", 12, 1.0),
            ("sitting", 28, -15.0),
            ("walking", 32, 1.0),
            ("standing", 14, 7.0),
            ("sitting", 10, -15.0),
        ),
    ),
    (
        "09:00",
        (
            ("walking", 40, 1.0),
            ("standing", 15, 12.0),
            REST,
            ("walking", 25, 1.0),
            REST,
            ("walking", 50, 1.0),
            ("standing", 13, 8.0),
            REST,
        ),
    ),
    ("10:00", (("walking", 40, 1.0), ("standing", 14, 8.0), ("sitting", 6, -15.0), ("standing", 29, 1.0), REST)),
    ("08:00", (("sitting", 720, -15.0),)),
)
ANSWERS = {"Fri 10:00:00": "stop", "Sat 11:00:00": "done"}

EXPECTED = """
Mon 08:19:50 flag static_posture
Mon 08:19:50 prompt static_posture
Mon 08:49:50 flag static_posture
Mon 08:49:50 suppressed static_posture refractory
Mon 09:12:00 flag sustained_tilt
Mon 09:12:00 suppressed sustained_tilt refractory
Mon 10:12:00 flag sustained_tilt
Mon 10:12:00 prompt sustained_tilt
Tue 13:11:50 flag sustained_tilt
Tue 13:11:50 suppressed sustained_tilt coverage
Tue 14:12:00 flag sustained_tilt
Tue 14:27:00 suppressed sustained_tilt expired
Wed 08:12:00 flag sustained_tilt
Wed 08:12:00 prompt sustained_tilt
Wed 09:52:00 flag sustained_tilt
Wed 09:52:00 prompt sustained_tilt
Wed 11:32:00 flag sustained_tilt
Wed 11:32:00 prompt sustained_tilt
Wed 13:12:00 flag sustained_tilt
Wed 13:12:00 prompt sustained_tilt
Wed 14:52:00 flag sustained_tilt
Wed 14:52:00 suppressed sustained_tilt budget
Thu 22:12:00 flag sustained_tilt
Thu 22:12:00 suppressed sustained_tilt quiet
Fri 09:49:20 flag tilt_dose
Fri 09:49:20 prompt tilt_dose
Fri 09:52:00 flag sustained_tilt
Fri 09:52:00 suppressed sustained_tilt refractory
Fri 12:12:00 flag sustained_tilt
Fri 12:12:00 suppressed sustained_tilt stopped
Sat 10:52:00 flag sustained_tilt
Sat 10:52:00 prompt sustained_tilt
""" + "".join(
    f"Sun {8 + i // 2:02d}:{'59' if i % 2 else '29'}:50 flag static_posture\n"
    f"Sun {8 + i // 2:02d}:{'59' if i % 2 else '29'}:50 {led}\n"
    for i, led in enumerate(
        ["suppressed static_posture coverage"]
        + 3 * (["prompt static_posture"] + 2 * ["suppressed static_posture refractory"])
        + ["prompt static_posture"]
        + 2 * ["suppressed static_posture refractory"]
        + 11 * ["suppressed static_posture budget"]
    )
)
"""Worked out by hand: 2 min to an episode and 10 min to its flag; after walking the median of three lags by one epoch
(+10 s), after five minutes of sitting not. Dose at 7 degrees over: 420 (1 - exp(-n/360)) >= 60 at n = 56 epochs. Prompts need
60 % of an hour known, 90 min since the last, a budget of 4, no quiet hours, a calm half minute within 15 min."""


def epochs_of(week: tuple[tuple[str, tuple[Stay, ...]], ...]) -> list[RuleEpoch]:
    found = []
    for n, (at, stays) in enumerate(week):
        start = datetime.combine(MONDAY + timedelta(days=n), time.fromisoformat(at), ZONE)
        k = int(start.timestamp()) // 10
        for posture, minutes, tilt in stays:
            found += [epoch(k + i, posture, tilt) for i in range(round(minutes * 6))]
            k += round(minutes * 6)
    return found


def stamp(t_utc_ns: int) -> str:
    return datetime.fromtimestamp(t_utc_ns // NS_PER_S, ZONE).strftime("%a %H:%M:%S")


def told(events: list[Event]) -> list[str]:
    wanted = of_type(events, "flag", "prompt", "suppressed")
    return [" ".join(filter(None, [stamp(e.t_utc_ns), e.type, e.rule, e.data.get("reason")])) for e in wanted]


def week_with_answers() -> list[Event]:
    engine, events = engine_of(Study(timezone="Europe/Berlin")), []
    for e in epochs_of(WEEK):
        word = ANSWERS.get(stamp(e.k * 10**10))
        if word:
            events += engine.answer(e.k * 10**10, of_type(events, "prompt")[-1].event_id, word)
        events += engine.update([e])
    return events + engine.finish()


def test_a_scripted_week_gives_exactly_the_expected_flags_prompts_and_suppressions():
    assert sorted(told(week_with_answers()), key=by_day) == sorted(EXPECTED.strip().split("\n"), key=by_day)


def by_day(line: str) -> tuple[int, str]:
    return ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun").index(line[:3]), line


def test_every_flag_of_the_week_is_recomputed_from_its_json():
    flags = of_type(week_with_answers(), "flag")
    for flag in flags:
        again = recompute(json.dumps(flag.data))
        assert again["fired"][-1] == again["last_k"] == flag.t_utc_ns // 10**10
        assert again["value"] == flag.data["value"]
    assert Counter(f.rule for f in flags) == {"static_posture": 26, "sustained_tilt": 13, "tilt_dose": 1}


def test_the_weeks_answers_and_responses_hang_on_their_flags():
    events = week_with_answers()
    answers = {e.data["answer"]: e for e in of_type(events, "answer")}
    assert {stamp(e.t_utc_ns) for e in answers.values()} == {"Fri 10:00:00", "Sat 11:00:00"}
    (response,) = [e for e in of_type(events, "response") if e.data["group"] == "exercise"]
    assert response.data["flag_event_id"] == answers["done"].data["flag_event_id"]
    # Standing at 8 degrees before, at 1 degree after.
    assert (response.data["outcome"], response.data["delta_deg"]) == ("changed", -7.0)
    assert len(of_type(events, "response")) == len(of_type(events, "suppressed")) + 1


def test_a_day_of_25_hours_has_one_budget_and_one_baseline():
    days = of_type(week_with_answers(), "baseline")
    assert [stamp(e.t_utc_ns) for e in days] == [f"{d} 00:00:00" for d in ("Tue", "Wed", "Thu", "Fri", "Sat")]


def test_who_lives_at_the_own_neutral_is_never_flagged():
    """A week of a standing habit, whatever its absolute angle: relative to the neutral it is 0."""
    habit = tuple(
        ("07:00", tuple(("standing" if i % 2 else "walking", 20, 0.8 * (-1) ** i) for i in range(40))) for _ in WEEK
    )
    assert {e.type for e in run(Study(timezone="Europe/Berlin"), epochs_of(habit))} == {"baseline"}
