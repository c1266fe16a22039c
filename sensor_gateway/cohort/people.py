"""Who the synthetic cohort consists of: twelve habits that a therapist would want to tell apart, each in numbers.

None of them is anybody. The first ones are those a cohort view should bring to the top; more than twelve repeat the list
with other numbers. Angles in degrees from the person's own neutral pose, + = top of the pelvis forward.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

Work = Literal["desk", "mixed", "feet", "home"]


@dataclass(frozen=True, slots=True)
class Person:
    """Habits of one synthetic wearer. Shares are 0..1; days count from the first day of the study."""

    id: str
    story: str
    work: Work = "desk"
    standing_deg: float = 5.5
    walking_extra_deg: float = 1.0
    sitting_deg: float = -14.0
    wander_deg: float = 1.5
    drift_deg_per_week: float = 0.0
    from_h: float = 7.5
    to_h: float = 21.0
    wears: float = 0.94
    holes_per_day: float = 0.4
    weak_radio: float = 0.02
    done: float = 0.55
    not_now: float = 0.2
    snooze: float = 0.08
    stop: float = 0.01
    responds_deg: float = 0.0
    exercises_unasked: float = 0.2
    pain: float = 2.0
    pain_per_week: float = 0.0
    pain_logged: float = 0.5
    side_difference_deg: float = 0.4
    slips: float = 0.05
    slipped_today: bool = False
    rides: bool = False
    battery_h: float = 70.0
    flat_today: bool = False
    useful: float = 0.75
    wrong_posture: float = 0.05


_PEOPLE: Final = (
    Person(
        "w-001",
        "Works at a desk, does the exercises, and the tilt comes down after them and over the weeks.",
        standing_deg=8.5,
        drift_deg_per_week=-0.8,
        responds_deg=3.2,
        done=0.8,
        not_now=0.1,
        exercises_unasked=0.5,
        pain=4.0,
        pain_per_week=-0.6,
        pain_logged=0.8,
        useful=0.9,
    ),
    Person(
        "w-002",
        "Does the exercises as well, and nothing measurable follows.",
        standing_deg=8.0,
        done=0.75,
        not_now=0.1,
        pain=3.0,
        useful=0.6,
    ),
    Person(
        "w-003",
        "Pain rises in the last two weeks, and so does the tilt.",
        work="mixed",
        standing_deg=6.5,
        drift_deg_per_week=0.5,
        done=0.5,
        pain=2.0,
        pain_per_week=1.1,
        pain_logged=0.9,
    ),
    Person(
        "w-004",
        "Wears the clip a few hours on some days.",
        standing_deg=6.0,
        wears=0.45,
        from_h=9.0,
        to_h=12.5,
        done=0.3,
    ),
    Person(
        "w-005",
        "The clip slips now and then, and slipped today.",
        work="feet",
        standing_deg=6.5,
        slips=0.2,
        slipped_today=True,
    ),
    Person(
        "w-006",
        "Leaves prompts unanswered and says stop at times.",
        standing_deg=8.0,
        done=0.08,
        not_now=0.12,
        snooze=0.05,
        stop=0.06,
        pain_logged=0.1,
        exercises_unasked=0.02,
    ),
    Person("w-007", "Forgets to charge; the battery is flat today.", work="mixed", battery_h=33.0, flat_today=True),
    Person(
        "w-008",
        "On the feet all day, next to no flags.",
        work="feet",
        standing_deg=2.5,
        wander_deg=1.1,
        from_h=6.0,
        to_h=20.0,
        pain=1.0,
    ),
    Person(
        "w-009", "Drives to work and back; some flags name a wrong posture.", rides=True, wrong_posture=0.3, useful=0.5
    ),
    Person(
        "w-010",
        "The radio link is weak at home: many holes, uneven coverage.",
        work="home",
        holes_per_day=5.0,
        weak_radio=0.18,
        standing_deg=6.0,
    ),
    Person(
        "w-011",
        "Left and right differ in walking, more so in the last ten days.",
        work="mixed",
        side_difference_deg=3.4,
        standing_deg=6.0,
        pain=2.5,
    ),
    Person(
        "w-012",
        "At home a lot, lies down after lunch, a steady responder.",
        work="home",
        standing_deg=7.5,
        responds_deg=2.4,
        done=0.7,
        from_h=8.5,
        to_h=20.0,
        drift_deg_per_week=-0.3,
    ),
)


def people(count: int, seed: int) -> tuple[Person, ...]:
    """The first ``count`` persons; from the thirteenth on the list again with its numbers shaken a little."""
    rng = np.random.default_rng([seed, count])
    found = []
    for i in range(count):
        one = _PEOPLE[i % len(_PEOPLE)]
        if i >= len(_PEOPLE):
            one = replace(
                one,
                id=f"w-{i + 1:03d}",
                standing_deg=one.standing_deg + rng.uniform(-1.0, 1.0),
                done=one.done * rng.uniform(0.7, 1.1),
                pain=max(0.0, one.pain + rng.uniform(-1.0, 1.0)),
                from_h=one.from_h + rng.uniform(-0.7, 0.7),
            )
        found.append(one)
    return tuple(found)
