"""From posture second by second to bouts, and how often the wearer shifts within them: for the day's tables and the report.

After `stage.py` or `retro.py`; nothing here changes a posture. Both stages take seconds in order, grouped in any way, and give
the same bouts and shifts for all groupings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processing.types import F64, I64, NS_PER_S, POSTURE_CODE, POSTURES, Metric

_ON_FOOT: Final = ("walking", "running", "stairs")
_RESTING: Final = (POSTURE_CODE["sitting"], POSTURE_CODE["standing"])


@dataclass(frozen=True, slots=True)
class Bout:
    """One posture kept from ``start_utc_ns`` up to ``end_utc_ns``, which is no longer part of it."""

    start_utc_ns: int
    end_utc_ns: int
    posture: str

    @property
    def duration_s(self) -> float:
        return (self.end_utc_ns - self.start_utc_ns) / NS_PER_S


@dataclass(frozen=True, slots=True)
class BoutParams:
    """Shortest bouts [s] and the longest hole in the signal that a bout spans."""

    least_s: int = 5
    least_on_foot_s: int = 3  # a walk across a room
    hole_s: int = 10


@dataclass(slots=True)
class _Run:
    """Seconds first … last, both within."""

    first: int
    last: int
    code: int


class BoutStage:
    """Joins seconds into bouts. A run too short for a bout belongs to the bout it interrupts; one at the very beginning, or
    after a hole, to what follows it.
    """

    def __init__(self, params: BoutParams | None = None) -> None:
        self.params = params or BoutParams()
        self._bout: _Run | None = None
        self._new: _Run | None = None

    @property
    def current(self) -> Bout | None:
        """The bout that is not over yet, up to the last second seen."""
        if self._bout is None:
            return None
        last = self._new.last if self._new is not None else self._bout.last
        return _bout(replace(self._bout, last=last))

    def since_change_s(self, t_utc_ns: int) -> float | None:
        """Time since the posture last changed; None before the first bout and after a hole."""
        if self._bout is None or t_utc_ns // NS_PER_S - self._last > self.params.hole_s:
            return None
        return t_utc_ns / NS_PER_S - self._bout.first

    def update(self, second: I64, posture: NDArray[np.int8]) -> list[Bout]:
        """Bouts that ended, from (m,) UTC seconds and posture codes."""
        out: list[Bout] = []
        for a, b in unbroken(second, posture):
            out += self.keep(int(second[a]), int(second[b - 1]), int(posture[a]))
        return out

    def keep(self, first: int, last: int, code: int) -> list[Bout]:
        """Bouts that ended, from one posture in all seconds from ``first`` to ``last``."""
        out: list[Bout] = []
        if (self._bout or self._new) is not None and first - self._last - 1 > self.params.hole_s:
            out = self.finish()
        self._take(first, last, code, out)
        return out

    def take(self, metrics: Sequence[Metric]) -> list[Bout]:
        """As `update`, from the seconds' records."""
        second = np.array([m.t_utc_ns // NS_PER_S for m in metrics], dtype=np.int64)
        return self.update(second, np.array([POSTURE_CODE[m.posture] for m in metrics], dtype=np.int8))

    def finish(self) -> list[Bout]:
        """The recording ends, or breaks off: the bout in hand."""
        bout, new = self._bout, self._new
        self._bout = self._new = None
        if bout is None:
            return [] if new is None else [_bout(new)]
        return [_bout(bout if new is None else replace(bout, last=new.last))]

    @property
    def _last(self) -> int:
        run = self._new or self._bout
        return run.last if run is not None else 0

    def _take(self, first: int, last: int, code: int, out: list[Bout]) -> None:
        bout, new = self._bout, self._new
        if bout is not None and code == bout.code:
            bout.last, self._new = last, None
        elif new is not None and code == new.code:
            new.last = last
        else:
            # A short run between two others: amid a bout it is part of it, at the beginning of what follows.
            if bout is not None and new is not None:
                bout.last = new.last
            self._new = _Run(new.first if bout is None and new is not None else first, last, code)
        new = self._new
        if new is not None and new.last - new.first + 1 >= self._least_s(new.code):
            if bout is not None:
                out.append(_bout(replace(bout, last=new.first - 1)))
            self._bout, self._new = new, None

    def _least_s(self, code: int) -> int:
        return self.params.least_on_foot_s if POSTURES[code] in _ON_FOOT else self.params.least_s

    def snapshot(self) -> list[Any]:
        return [None if run is None else [run.first, run.last, run.code] for run in (self._bout, self._new)]

    def restore(self, state: list[Any]) -> None:
        self._bout, self._new = (None if run is None else _Run(*run) for run in state)


def unbroken(second: I64, posture: NDArray[np.int8]) -> list[tuple[int, int]]:
    """Rows a:b of (m,) seconds that follow on each other in one posture."""
    edges = np.flatnonzero((posture[1:] != posture[:-1]) | (second[1:] != second[:-1] + 1)) + 1
    return list(pairwise([0, *edges.tolist(), len(second)])) if len(second) else []


def _bout(run: _Run) -> Bout:
    return Bout(run.first * NS_PER_S, (run.last + 1) * NS_PER_S, POSTURES[run.code])


@dataclass(slots=True)
class ShiftStage:
    """Counts shifts: the pelvis comes to rest in another direction without a change of posture.

    A shift is counted when tilt or obliquity have differed by ``least_deg`` from where they rested before, for
    ``settled_s`` seconds on end. Five degrees is more than standing and sitting sway, and less than a crossed leg.
    """

    least_deg: float = 5.0
    settled_s: int = 3
    rested: int = 0  # seconds of rest and shifts since the beginning
    shifted: int = 0
    _at: list[float] = field(default_factory=list)  # tilt and obliquity at rest
    _away_s: int = 0
    _code: int = -1
    _last: int = 0

    def update(self, second: I64, posture: NDArray[np.int8], tilt_deg: F64, obliquity_deg: F64) -> None:
        """Take (m,) seconds, codes and mean angles; NaN angles say nothing and count nowhere."""
        for a, b in unbroken(second, posture):
            self.keep(int(second[a]), int(posture[a]), tilt_deg[a:b].tolist(), obliquity_deg[a:b].tolist())

    def keep(self, first: int, code: int, tilts: list[float], obliquities: list[float]) -> None:
        """Take the angles of one second after the other from ``first`` on, all in one posture."""
        if code != self._code or first != self._last + 1:
            self._at, self._away_s = [], 0
        self._code, self._last = code, first + len(tilts) - 1
        if code not in _RESTING:
            return
        least, rested, away_s = self.least_deg, self.rested, self._away_s
        rest_tilt, rest_obliquity = self._at or (math.nan, math.nan)
        for tilt, obliquity in zip(tilts, obliquities, strict=True):
            if -least < tilt - rest_tilt < least and -least < obliquity - rest_obliquity < least:
                rested += 1  # nearly always
                away_s = 0
            elif not math.isnan(tilt + obliquity):
                rested += 1
                away_s += 1
                first_of_all = math.isnan(rest_tilt)
                if first_of_all or away_s == self.settled_s:
                    self.shifted += not first_of_all
                    rest_tilt, rest_obliquity, away_s = tilt, obliquity, 0
        self.rested, self._away_s = rested, away_s
        self._at = [] if math.isnan(rest_tilt) else [rest_tilt, rest_obliquity]

    def snapshot(self) -> list[Any]:
        return [list(self._at), self.rested, self.shifted, self._away_s, self._code, self._last]

    def restore(self, state: list[Any]) -> None:
        at, self.rested, self.shifted, self._away_s, self._code, self._last = state
        self._at = list(at)
