"""Scripted weeks: exactly the flags, prompts and suppressions that the rules promise, and nothing else.

The first week is written in 10 s epochs, so that every instant can be worked out by hand; the second is drawn as a moving
body, measured by a simulated sensor at 50 Hz, and goes the whole way from samples to prompts.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from processing.alignment.static import align, neutral_gravity, parse_mount
from processing.batch import process_recording
from processing.core import CoreSetup
from processing.rules.study import Study, TiltRule
from processing.synthetic import NEUTRAL_S, Wearer, bmi270, render, sample_times
from processing.synthetic.pen import Pen
from processing.types import NS_PER_S, Event, RuleEpoch, TimedBatch
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
    """A year's worth of a standing habit, whatever its absolute angle: relative to the neutral it is 0."""
    habit = tuple(
        ("07:00", tuple(("standing" if i % 2 else "walking", 20, 0.8 * (-1) ** i) for i in range(40))) for _ in WEEK
    )
    assert {e.type for e in run(Study(timezone="Europe/Berlin"), epochs_of(habit))} == {"baseline"}


# -- the whole way: a body, a sensor, samples ---------------------------------------------------------------------------

RATE_HZ = 50.0
START = int(datetime(2026, 3, 2, 8, tzinfo=UTC).timestamp()) * NS_PER_S
DAY_NS = 86_400 * NS_PER_S
Draw = Callable[["Body"], None]


class Body(Pen):
    """A wearer who does as told."""

    def stand(self, minutes: float, tilt_deg: float = 0.0) -> None:
        self.upright()
        self.settle()
        self.begin("standing", tilt_deg)
        self.ramp("tilt_deg", self.now_s, 2.0, tilt_deg)
        self.shift(minutes * 60.0, tilt_deg, spread_deg=0.6, every_s=40.0)

    def walk(self, minutes: float) -> None:
        self.upright()
        self.settle()
        self.gait("walking", minutes * 60.0)

    def desk(self, minutes: float) -> None:
        self.sit(-17.0)
        self.shift(minutes * 60.0, -17.0, spread_deg=3.0, every_s=40.0)


def ordinary(b: Body) -> None:
    """One raised stretch, one long sit."""
    b.walk(6)
    b.stand(8)
    b.desk(22)
    b.walk(4)
    b.stand(16, 10.0)
    b.desk(45)
    b.walk(5)


def moving(b: Body) -> None:
    """Nothing raised, nothing long."""
    for _ in range(3):
        b.walk(5)
        b.stand(9)
        b.desk(20)


def sitting(b: Body) -> None:
    b.walk(3)
    b.desk(110)


PLAN: tuple[Draw, ...] = (ordinary, moving, ordinary, sitting, moving, ordinary, moving)
PROMISED = {
    "ordinary": Counter({"sustained_tilt": 1, "static_posture": 1, "tilt_dose": 1}),
    "moving": Counter(),
    "sitting": Counter({"static_posture": 3}),
}


def drawn(draw: Draw, day: int, lean_deg: float) -> Iterator[TimedBatch]:
    """A day as the sensor measures it, the clip leaning ``lean_deg`` further forward than upright."""
    body = Body(Wearer(seed=day + 1, raised_deg=(0.0, 0.0)))
    body.begin("standing", 0.0)
    body.wait(NEUTRAL_S)
    body.ramp("sway_deg", body.now_s, 1.5, 0.4)
    draw(body)
    body.settle()
    script = body.script(START + day * DAY_NS, body.now_s)
    sensor = bmi270(1)  # one clip all week: its offset is part of the neutral
    c, s = math.cos(math.radians(lean_deg)), math.sin(math.radians(lean_deg))
    lean = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])  # about the pelvis' lateral axis
    total, size = round(body.now_s * RATE_HZ), round(60 * RATE_HZ)
    for first in range(0, total, size):
        t = sample_times(script.start_utc_ns, min(size, total - first), RATE_HZ, first)
        truth = render(script, t)
        acc, gyr = sensor.measure(t, first, truth.acc_p_mps2 @ lean, truth.gyr_p_rps @ lean)
        yield TimedBatch(t, acc, gyr)


def processed(plan: tuple[Draw, ...], lean_deg: float = 0.0, *, neutral: bool = True) -> list[Event]:
    """All events of the plan; without ``neutral`` the mount drawing stands for the wearer's own pose."""
    pose = next(drawn(plan[0], 0, lean_deg))
    calm = slice(0, round(10 * RATE_HZ))
    gravity = neutral_gravity(pose.acc_mps2[calm], pose.gyr_rps[calm])
    if not neutral:
        gravity = np.array([np.linalg.norm(gravity), 0.0, 0.0])
    alignment = align(parse_mount("up=+x,anterior=-z"), gravity, given=True, mount_id="m", t_utc_ns=START)
    chunks = (chunk for day, draw in enumerate(plan) for chunk in drawn(draw, day, lean_deg))
    setup = CoreSetup("w-001", "clip-1", RATE_HZ, alignment)
    result = process_recording(chunks, setup, Study(timezone="UTC", tilt=TiltRule(dose_deg_min=50.0)))
    return [r for r in result.records if isinstance(r, Event)]


@pytest.mark.slow
def test_a_week_of_samples_gives_the_promised_flags_and_each_recomputes():
    events = processed(PLAN)
    for day, draw in enumerate(PLAN):
        mine = [e for e in of_type(events, "flag") if (e.t_utc_ns - START) // DAY_NS == day]
        assert Counter(e.rule for e in mine) == PROMISED[draw.__name__], (day, draw.__name__)
    flags = of_type(events, "flag")
    for flag in flags:
        again = recompute(json.dumps(flag.data))
        assert again["fired"][-1] == again["last_k"] == flag.t_utc_ns // 10**10
        assert again["value"] == flag.data["value"]
    led = {e.data["flag_event_id"] for e in of_type(events, "prompt", "suppressed")}
    assert led == {e.event_id for e in flags}
    assert {e.data["posture"] for e in flags if e.rule != "static_posture"} <= {"standing", "walking"}


@pytest.mark.slow
def test_a_wearer_whose_neutral_lies_18_degrees_forward_is_never_flagged_there():
    assert of_type(processed((moving, moving), lean_deg=18.0), "flag") == []
    # The same samples against an upright pelvis would be flagged: the neutral makes the difference.
    upright = of_type(processed((moving,), lean_deg=18.0, neutral=False), "flag")
    assert "sustained_tilt" in {e.rule for e in upright}
