"""How often the wearer moves on: shifts of the pelvis, changes of posture, and how long ago the last one was, minute by minute.

Beside the rules in the core; what it counts goes into the minute's epoch. Counts are per minute so that any rate can be had by
adding up: `shifts_per_15_min` here, transfers per hour as ``3600 * sum(transfers) / worn seconds``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processing.context.periods import BoutStage, ShiftStage, unbroken
from processing.types import F64, I64, NS_PER_S, Epoch

_MINUTE_S: Final = 60
_QUARTER_S: Final = 900
_LEAST_RESTED_S: Final = 300
"""Of less sitting and standing a rate says nothing."""


@dataclass(slots=True)
class MinuteChanges:
    """Of one minute. ``shifts`` is None where nobody sat or stood with a known tilt; ``since_change_s`` before the first bout and
    after a hole.
    """

    shifts: int | None = None
    transfers: int = 0
    since_change_s: float | None = None


class ChangeMeter:
    """Params / state / update on judged seconds, grouped in any way."""

    def __init__(self) -> None:
        self._bouts, self._shifts = BoutStage(), ShiftStage()
        self._minutes: dict[int, MinuteChanges] = {}

    def update(
        self, second: I64, posture: NDArray[np.int8], tilt_deg: F64, obliquity_deg: F64, transfer_seconds: Iterable[int]
    ) -> None:
        """Seconds (m,) in order with codes and mean angles (NaN: unknown); ``transfer_seconds`` are those in which a change
        of posture was found.
        """
        tilts, obliquities = tilt_deg.tolist(), obliquity_deg.tolist()
        for begin, end in unbroken(second, posture):
            first, code = int(second[begin]), int(posture[begin])
            minutes = range(begin + _MINUTE_S - first % _MINUTE_S, end, _MINUTE_S)
            for a, b in pairwise([begin, *minutes, end]):
                self._keep(first + a - begin, code, tilts[a:b], obliquities[a:b])
        for at in transfer_seconds:
            self._minutes.setdefault(at // _MINUTE_S, MinuteChanges()).transfers += 1

    def _keep(self, first: int, code: int, tilts: list[float], obliquities: list[float]) -> None:
        """One posture for some seconds on end, all of one minute."""
        minute = self._minutes.setdefault(first // _MINUTE_S, MinuteChanges())
        rested, shifts = self._shifts.rested, self._shifts.shifted
        self._bouts.keep(first, first + len(tilts) - 1, code)
        self._shifts.keep(first, code, tilts, obliquities)
        if self._shifts.rested > rested:
            minute.shifts = (minute.shifts or 0) + self._shifts.shifted - shifts
        minute.since_change_s = self._bouts.since_change_s((first + len(tilts)) * NS_PER_S)

    def take(self, minute: int) -> MinuteChanges:
        """What happened in a minute that is over; what was before it is forgotten."""
        found = self._minutes.get(minute, MinuteChanges())
        self._minutes = {k: v for k, v in self._minutes.items() if k > minute}
        return found

    def snapshot(self) -> dict[str, Any]:
        minutes = [[k, *astuple(v)] for k, v in self._minutes.items()]
        return {"bouts": self._bouts.snapshot(), "shifts": self._shifts.snapshot(), "minutes": minutes}

    def restore(self, state: dict[str, Any]) -> None:
        self._bouts.restore(state["bouts"])
        self._shifts.restore(state["shifts"])
        self._minutes = {k: MinuteChanges(*v) for k, *v in state["minutes"]}


def shifts_per_15_min(epochs: Iterable[Epoch]) -> float | None:
    """Shifts in a quarter of an hour of sitting and standing with a known tilt; None with less than five minutes of it."""
    counted = [(e.shifts, e.sitting_s + e.standing_s) for e in epochs if e.shifts is not None]
    rested_s = sum(rested for _, rested in counted)
    return sum(shifts for shifts, _ in counted) * _QUARTER_S / rested_s if rested_s >= _LEAST_RESTED_S else None
