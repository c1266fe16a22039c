"""A believable day, drawn from a seed: desk, standing work with raised tilt, walks with turns, stairs, rests, the clip taken off.

The draw is sequential and does not look at the duration, so a longer script of the same seed begins with the shorter one: a
live simulation can be extended for ever. Numbers follow what people do at work (about nine shifts and thirteen fidgets in
15 min of sitting, posterior tilt at the desk; `docs/evidence.md`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import numpy as np

from processing.synthetic.pen import Pen
from processing.synthetic.script import Script, Wearer

Step: TypeAlias = Callable[[], None]

NEUTRAL_S: Final = 12.0
"""A script begins with this much quiet standing: the neutral pose is taken from its first ten seconds."""
BOWS_AFTER_S: Final = 6.5
BOW_S: Final = 3.2
"""A round of bows: a quiet stand, then three bows of this length."""
LIVELY_S: Final = 600.0
ORDINARY_REST_S: Final = 90.0
"""`Wearer.rest_s` with which a day has some 9,000 steps in a hundred walks: healthy adults take 4,000 to 18,000 (Tudor-Locke 2011, Int J
Behav Nutr Phys Act 8:79), elderly people walk ten seconds or longer 50 to 340 times a day (Urbanek 2015, arXiv:1505.04066)."""
_FEW_STEPS: Final = 16.6
_SPREAD: Final = 1.3
"""Median and spread (of the logarithm) of steps in a row: 40 % of walks are shorter than 12 steps, 75 % than 40 (Orendurff 2008, J Rehabil
Res Dev 45:1077)."""
_MOST_STEPS: Final = 220.0
"""A walk of two minutes is one in a hundred; longer ones are the day's own."""
AWAKE_S: Final = 15.5 * 3600.0
NIGHT_S: Final = 8.5 * 3600.0


def day_script(
    start_utc_ns: int, duration_s: float, wearer: Wearer | None = None, *, lively_from_s: float | None = None
) -> Script:
    """Write the script of ``duration_s`` seconds from ``start_utc_ns``.

    From ``lively_from_s`` on, for ten minutes, standing, sitting and walking follow each other within seconds, so that
    someone who watches sees them all; then the day goes on. Raises ValueError where the duration is not positive.
    """
    if not duration_s > 0.0:
        raise ValueError(f"a script of {duration_s} s cannot be written; give a duration above 0")
    day = _Day(wearer or Wearer())
    if lively_from_s is not None:
        day.hold_until_s = lively_from_s
    for step in day.programme():
        if day.now_s >= day.hold_until_s:
            day.lively()
        if day.now_s >= duration_s:
            break
        step()
    return day.script(start_utc_ns, duration_s)


class _Day(Pen):
    """What the wearer does; `programme` yields its steps, for ever."""

    def programme(self) -> Iterator[Step]:
        woke_s = self.now_s
        yield self.quietly
        for _ in range(self.wearer.bow_rounds):
            yield self.bows
        yield from self.first_hour()
        while True:
            if self.now_s - woke_s > AWAKE_S:
                yield lambda: self.lie(NIGHT_S)
                woke_s = self.now_s
            yield from self.cycle()

    def first_hour(self) -> Iterator[Step]:
        """A little of everything, so that a short recording already holds it all."""
        yield lambda: self.stand(20.0)
        yield lambda: self.move("walking", 120.0)
        yield lambda: self.desk(600.0)
        yield lambda: self.stand(self.uniform(15.0, 18.0) * 60.0, raised=True)
        yield lambda: self.move("walking", 90.0)
        yield lambda: self.move("stairs", 25.0)
        yield lambda: self.lie(240.0)
        yield lambda: self.stand(60.0)

    def cycle(self) -> Iterator[Step]:
        """One or two hours of work and what interrupts them."""
        yield lambda: self.desk(self.uniform(25.0, 50.0) * 60.0)
        yield lambda: self.move("walking", self.uniform(60.0, 400.0))
        if self.rng.random() < 0.4:
            yield lambda: self.move("stairs", self.uniform(12.0, 35.0))
        if self.rng.random() < 0.1:
            yield lambda: self.move("running", self.uniform(30.0, 90.0))
        low, high = self.wearer.raised_min
        yield lambda: self.stand(self.uniform(low, high) * 60.0, raised=True)
        yield lambda: self.stand(self.uniform(2.0, 8.0) * 60.0)
        if self.rng.random() < 0.3:
            yield lambda: self.lie(self.uniform(8.0, 20.0) * 60.0)
        if self.rng.random() < 0.3:
            yield lambda: self.take_off(self.uniform(11.0, 20.0) * 60.0)
        if self.rng.random() < 0.35:
            start = max(self.now_s, self.gaps[-1][1] if self.gaps else 0.0) + self.uniform(5.0, 300.0)
            self.gaps.append((start, start + self.uniform(20.0, 240.0)))

    def lively(self) -> None:
        """Ten minutes in which everything can be seen."""
        self.hold_until_s = float("inf")
        until_s = self.now_s + LIVELY_S
        while self.now_s < until_s:
            self.stand(self.uniform(18.0, 30.0), raised=True)
            self.move("walking", self.uniform(18.0, 30.0))
            self.stand(self.uniform(10.0, 20.0))
            self.desk(self.uniform(18.0, 30.0))

    def quietly(self) -> None:
        """The neutral pose; only afterwards does the wearer sway as people do."""
        self.begin("standing", 0.0)
        self.wait(NEUTRAL_S)
        self.ramp("sway_deg", self.now_s, 1.5, 0.4)

    def bows(self) -> None:
        """One round for the guided set-up."""
        self.stand(BOWS_AFTER_S)
        for _ in range(3):
            self.bow(BOW_S, self.uniform(30.0, 40.0), self.uniform(-2.0, 2.0))

    def desk(self, seconds: float) -> None:
        tilt = self.wearer.desk_tilt_deg + self.uniform(-3.0, 3.0)
        self.sit(tilt)
        self.shift(seconds, tilt, spread_deg=4.0, every_s=40.0)

    def stand(self, seconds: float, *, raised: bool = False) -> None:
        low, high = self.wearer.raised_deg
        raised = raised and high > 0.0
        tilt = self.uniform(low, high) if raised else self.wearer.standing_tilt_deg + self.uniform(-1.0, 1.0)
        self.upright()
        self.settle()
        self.begin("standing", tilt, raised=raised)
        self.ramp("tilt_deg", self.now_s, 2.5, tilt)
        if not self.wearer.rest_s:
            self.shift(seconds, tilt, spread_deg=0.8, every_s=45.0)
            return
        until_s = self.now_s + seconds
        while self.now_s < min(until_s, self.hold_until_s):
            rest_s = self.wearer.rest_s * float(np.exp(_SPREAD * self.rng.standard_normal()))
            self.shift(min(rest_s, until_s - self.now_s), tilt, spread_deg=0.8, every_s=45.0)
            if self.now_s < until_s:
                self.few_steps()
                self.begin("standing", tilt, raised=raised)
                self.ramp("tilt_deg", self.now_s, 1.5, tilt)

    def few_steps(self) -> None:
        """A walk about the house or the office."""
        steps = min(_FEW_STEPS * float(np.exp(_SPREAD * self.rng.standard_normal())), _MOST_STEPS)
        self.move("walking", steps / self.wearer.step_hz)

    def move(self, kind: str, seconds: float) -> None:
        self.upright()
        self.settle()
        self.gait(kind, seconds)

    def lie(self, seconds: float) -> None:
        """On the back, or on a side; by way of sitting on the edge."""
        self.sit(-5.0)
        self.wait(self.uniform(3.0, 6.0))
        on_side = self.rng.random() < 0.3
        tilt = self.uniform(-40.0, 0.0) if on_side else self.uniform(-92.0, -84.0)
        side = float(self.rng.choice([-1.0, 1.0])) * (self.uniform(70.0, 85.0) if on_side else self.uniform(0.0, 5.0))
        self.change("lying", 3.0, tilt, self.wearer.lying_m - self.wearer.sitting_m, sway_deg=0.25)
        self.ramp("obliquity_deg", self.now_s, 2.0, side)
        self.wait(seconds)
        self.sit(-5.0)
        self.wait(self.uniform(3.0, 6.0))
        self.upright()

    def take_off(self, seconds: float) -> None:
        """The clip lies on its back on a table, then is put on again where it was."""
        self.upright()
        self.change("not_worn", 4.0, -89.0, -0.2, sway_deg=0.0)
        self.wait(seconds)
        self.upright()
