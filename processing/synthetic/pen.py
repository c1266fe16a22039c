"""The pen a simulated day is written with: it moves forward in time and leaves ramps, bouts and labelled activities behind.

`day.py` decides what the wearer does; here stands how a body gets from one posture to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from processing.synthetic.gait import GAITS, ONSET_S, Bout
from processing.synthetic.script import Activity, Script, Transition, Wearer
from processing.synthetic.tracks import Ramp, Track
from processing.types import NS_PER_S

_INITIAL: Final[Mapping[str, float]] = {
    "tilt_deg": 0.0,
    "obliquity_deg": 0.0,
    "heading_deg": 0.0,
    "height_m": 0.0,  # relative to standing
    "ahead_m": 0.0,
    "pace_mps": 0.0,
    "climb_mps": 0.0,
    "sway_deg": 0.12,
}


class Pen:
    """State of a day being written; all times in seconds since its start."""

    def __init__(self, wearer: Wearer) -> None:
        self.wearer = wearer
        self.rng = np.random.Generator(np.random.PCG64([wearer.seed, 0x7117]))
        self.now_s = 0.0
        self.hold_until_s = float("inf")  # no activity is held beyond this
        self.posture = "standing"
        self.gaps: list[tuple[float, float]] = []
        self._ramps: dict[str, list[Ramp]] = {name: [] for name in _INITIAL}
        self._activities: list[tuple[float, str, float, bool]] = []
        self._transitions: list[tuple[float, float, str, str, float]] = []
        self._bouts: list[Bout] = []

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    # -- marks -------------------------------------------------------------------------------------------------------

    def ramp(self, track: str, at_s: float, over_s: float, to: float) -> None:
        """Move a track; a move that has not ended yet is waited for."""
        done = self._ramps[track]
        if done:
            at_s = max(at_s, done[-1].at_s + done[-1].over_s)
        done.append(Ramp(at_s, over_s, to))

    def last(self, track: str) -> float:
        """Where the track rests after all moves so far."""
        return self._ramps[track][-1].to if self._ramps[track] else _INITIAL[track]

    def begin(self, posture: str, tilt_deg: float, *, raised: bool = False) -> None:
        """From now on this is the true posture."""
        self.posture = posture
        self._activities.append((self.now_s, posture, tilt_deg, raised))

    def wait(self, seconds: float) -> None:
        """Let time pass in what the wearer is doing."""
        self.now_s += max(0.0, min(seconds, self.hold_until_s - self.now_s))

    def settle(self) -> None:
        """Wait until every move has ended."""
        self.now_s = max([self.now_s, *(r[-1].at_s + r[-1].over_s for r in self._ramps.values() if r)])

    # -- a body's ways -----------------------------------------------------------------------------------------------

    def change(self, posture: str, over_s: float, tilt_deg: float, rise_m: float, sway_deg: float) -> None:
        """Go straight to another posture."""
        self.settle()
        self.ramp("tilt_deg", self.now_s, over_s, tilt_deg)
        self._go(posture, over_s, tilt_deg, rise_m, sway_deg)

    def lean(self, posture: str, tilt_deg: float, rise_m: float, sway_deg: float) -> None:
        """Sit down or stand up: the trunk, and with it the pelvis, leans forward half way and comes back."""
        over = self.uniform(1.5, 2.5)
        self.settle()
        top = max(tilt_deg, self.last("tilt_deg")) + self.uniform(8.0, 20.0)
        self.ramp("tilt_deg", self.now_s, 0.45 * over, top)
        self.ramp("tilt_deg", self.now_s + 0.45 * over, 0.55 * over, tilt_deg)
        self.ramp("ahead_m", self.now_s, over, self.last("ahead_m") + (0.3 if rise_m > 0.0 else -0.3))
        self._go(posture, over, tilt_deg, rise_m, sway_deg)

    def _go(self, posture: str, over_s: float, tilt_deg: float, rise_m: float, sway_deg: float) -> None:
        start, before = self.now_s, self.posture
        self.begin(posture, tilt_deg)
        self.ramp("obliquity_deg", start, over_s, 0.0)
        self.ramp("sway_deg", start, over_s, sway_deg)
        if rise_m:
            self.ramp("height_m", start, over_s, self.last("height_m") + rise_m)
            self._transitions.append((start, start + over_s, before, posture, rise_m))
        self.now_s = start + over_s

    def sit(self, tilt_deg: float) -> None:
        """Come to sit from standing or lying."""
        if self.posture == "lying":
            self.change("sitting", 2.5, tilt_deg, self.wearer.sitting_m - self.wearer.lying_m, sway_deg=0.3)
        else:
            self.upright()
            if self.posture in GAITS and self.wearer.before_chair_s:
                self.begin("standing", self.wearer.standing_tilt_deg)
                self.wait(self.wearer.before_chair_s)
            self.lean("sitting", tilt_deg, self.wearer.sitting_m - self.wearer.standing_m, sway_deg=0.3)

    def upright(self) -> None:
        """Come to stand from whatever was before."""
        tilt = self.wearer.standing_tilt_deg
        if self.posture == "not_worn":
            self.change("standing", 4.0, tilt, 0.2, sway_deg=0.4)
        elif self.posture == "sitting":
            self.lean("standing", tilt, self.wearer.standing_m - self.wearer.sitting_m, sway_deg=0.4)

    def bow(self, over_s: float, by_deg: float, aside_deg: float) -> None:
        """Bow from the hips by so much, not quite straight, and come up again."""
        for tilt, obliquity in ((self.last("tilt_deg") + by_deg, aside_deg), (self.last("tilt_deg"), 0.0)):
            self.ramp("tilt_deg", self.now_s, 0.5 * over_s, tilt)
            self.ramp("obliquity_deg", self.now_s, 0.5 * over_s, obliquity)
            self.now_s += 0.5 * over_s

    def shift(self, seconds: float, tilt_deg: float, spread_deg: float, every_s: float) -> None:
        """Stay for a while, moving a little now and then."""
        start = self.now_s
        self.wait(seconds)
        at = start + 3.0 + float(self.rng.exponential(every_s))
        while at < self.now_s - 3.0:
            over = self.uniform(0.8, 2.0)
            self.ramp("tilt_deg", at, over, tilt_deg + self.uniform(-spread_deg, spread_deg))
            self.ramp("obliquity_deg", at, over, self.uniform(-2.5, 2.5))
            at += 3.0 + float(self.rng.exponential(every_s))

    def gait(self, kind: str, seconds: float) -> None:
        """Walk, run or climb, with turns on the way; too short a time is left out."""
        until = min(self.now_s + seconds, self.hold_until_s)
        gait, start = GAITS[kind], self.now_s
        if until - start < 4.0 * ONSET_S:
            return
        tilt = self.wearer.standing_tilt_deg + gait.lean_deg
        self.begin(kind, tilt)
        self.ramp("tilt_deg", start, 1.5, tilt)
        self.ramp("obliquity_deg", start, 1.5, 0.0)
        step_hz = gait.step_hz * self.wearer.step_hz / GAITS["walking"].step_hz * self.uniform(0.93, 1.07)
        self._bouts.append(Bout(kind, start, until, step_hz, self.uniform(0.85, 1.15)))
        for track, value in (("pace_mps", gait.speed_mps), ("climb_mps", gait.climb_mps)):
            if value:
                self.ramp(track, start, ONSET_S, value)
                self.ramp(track, until - ONSET_S, ONSET_S, 0.0)
        at = start + self.uniform(4.0, 12.0)
        while at < until - 4.0:
            turn = float(self.rng.choice([-180.0, -90.0, -45.0, 45.0, 90.0, 180.0]))
            over = 0.8 + abs(turn) / 90.0 * self.uniform(0.6, 1.0)
            self.ramp("heading_deg", at, over, self.last("heading_deg") + turn)
            at += over + self.uniform(5.0, 20.0)
        self.now_s = until

    # -- the written day ---------------------------------------------------------------------------------------------

    def script(self, start_utc_ns: int, duration_s: float) -> Script:
        """All that was written before ``duration_s``."""

        def utc(at_s: float) -> int:
            return start_utc_ns + round(min(at_s, duration_s) * NS_PER_S)

        ends = [a[0] for a in self._activities[1:]] + [duration_s]
        return Script(
            self.wearer,
            start_utc_ns,
            utc(duration_s),
            tuple(
                Activity(posture, utc(at), utc(end), tilt, raised)
                for (at, posture, tilt, raised), end in zip(self._activities, ends, strict=True)
                if at < min(end, duration_s)
            ),
            tuple(
                Transition(before, after, utc(at), utc(end), rise)
                for at, end, before, after, rise in self._transitions
                if end <= duration_s
            ),
            tuple((utc(at), utc(end)) for at, end in self.gaps if at < duration_s),
            tuple(b for b in self._bouts if b.start_s < duration_s),
            {name: Track(initial, self._ramps[name]) for name, initial in _INITIAL.items()},
        )
