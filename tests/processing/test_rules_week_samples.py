"""A week drawn as a moving body, measured by a simulated sensor at 50 Hz: from samples to exactly the promised flags."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import numpy as np
import pytest

from processing.alignment.static import align, neutral_gravity, parse_mount
from processing.batch import process_recording
from processing.core import CoreSetup
from processing.rules.study import Study, TiltRule
from processing.synthetic import NEUTRAL_S, Wearer, bmi270, render, sample_times
from processing.synthetic.pen import Pen
from processing.types import NS_PER_S, Event, TimedBatch
from tests.processing.rules_sim import of_type, recompute

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
