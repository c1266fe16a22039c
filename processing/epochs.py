"""Ten-second epochs for the rules and one-minute epochs for people, both on the UTC grid, from judged seconds.

An epoch closes when a second beyond it arrives (or the recording ends), so its content does not depend on chunking.
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np

from processing.changes import MinuteChanges
from processing.judged import Held, Seconds, Stretch
from processing.types import F64, NS_PER_S, POSTURE_CODE, POSTURES, Epoch, RuleEpoch
from processing.unfrozen import open_twin

RULE_EPOCH_S: Final = 10
MINUTE_S: Final = 60
_NOT_WORN: Final = POSTURE_CODE["not_worn"]
_UPRIGHT: Final = frozenset(POSTURE_CODE.values()) - {POSTURE_CODE["lying"], _NOT_WORN}
"""Postures whose tilt counts in a minute, sitting among them."""
_OPEN: Final = open_twin(RuleEpoch)
_COUNTED: Final = tuple(f"{name}_s" for name in POSTURES)


@dataclass(slots=True)
class RuleEpochs:
    """Collects ten seconds on end. ``asked`` are postures in which the rules look at angles: in others they have no value here."""

    rate_hz: float
    asked: Container[str]
    _k: int | None = None
    _held: Held = field(default_factory=Held)

    def take(
        self, seconds: Seconds, begins: list[int], mount_id: str, alignment_id: str
    ) -> list[tuple[int, RuleEpoch]]:
        """Take seconds, of which those at ``begins`` (0 first) are the first of their epoch here; gives the epochs that they close,
        on the alignment given, each with the second that closes it.
        """
        runs = list(pairwise([*begins, len(seconds.second)]))
        if seconds.second[0] // RULE_EPOCH_S == self._k:
            self._held.take(seconds, *runs.pop(0))
            if not runs:
                return []
        epoch = self.close(mount_id, alignment_id)
        closed = [] if epoch is None else [(runs[0][0], epoch)]
        *whole, (a, b) = runs
        closed += [(j, self._epoch([(seconds, i, j)], mount_id, alignment_id)) for i, j in whole]
        self._k = seconds.second[a] // RULE_EPOCH_S
        self._held.take(seconds, a, b)
        return closed

    def close(self, mount_id: str, alignment_id: str) -> RuleEpoch | None:
        """The epoch in hand, on the alignment given; None before the first."""
        if self._k is None:
            return None
        stretches = self._held.stretches
        self._k, self._held = None, Held()
        return self._epoch(stretches, mount_id, alignment_id)

    def _epoch(self, stretches: list[Stretch], mount_id: str, alignment_id: str) -> RuleEpoch:
        """Of all seconds of it that there are."""
        seconds, a, b = stretches[0]
        k = seconds.second[a] // RULE_EPOCH_S
        codes = seconds.posture[a:b]
        for seconds, a, b in stretches[1:]:
            codes += seconds.posture[a:b]
        posture = codes[0]
        if codes.count(posture) != len(codes):
            posture = max(set(codes), key=lambda code: (codes.count(code), -code))
            # Seconds of other postures do not count as covered: half a walk is half an epoch of walking.
            stretches = [(s, i, j) for s, a, b in stretches for i, j in s.runs_of((posture,), a, b)]
        covered: float = 0
        confidence: float = 0
        shaken = n = 0
        settling = False
        for seconds, a, b in stretches:
            n += b - a
            covered = sum(seconds.valid[a:b], covered)
            confidence = sum(seconds.confidence[a:b], confidence)
            shaken = sum(seconds.shaken[a:b], shaken)
            settling = settling or any(seconds.settling[a:b])
        tilt = obliquity = None
        if POSTURES[posture] in self.asked:
            tilt, obliquity = _medians(stretches)
        elif posture in _UPRIGHT and len(stretches) == 1:
            seconds.ordered_deg[seconds.at[a] : seconds.at[b]].sort()  # for its minute
        expected = math.floor(self.rate_hz * 0.98) * RULE_EPOCH_S
        epoch: RuleEpoch = _OPEN(
            k,
            min(1000, round(1000 * covered / expected)),
            POSTURES[posture],
            round(1000 * confidence / n),
            tilt,
            obliquity,
            settling,
            mount_id,
            alignment_id,
            round(1000 * shaken / n),
        )
        epoch.__class__ = RuleEpoch
        return epoch

    def snapshot(self) -> list[Any]:
        return self._held.snapshot()

    def restore(self, state: list[Any]) -> None:
        self._held.restore(state)
        self._k = state[0][0] // RULE_EPOCH_S if state else None


@dataclass(slots=True)
class MinuteEpochs:
    """Collects one minute; minutes without any sample are told as empty epochs once data return."""

    rate_hz: float
    max_empty: int = 24 * 60
    _minute: int | None = None
    _held: Held = field(default_factory=Held)

    def closing(self, second: int | None) -> int | None:
        """The UTC minute that ``second`` (None: the end of the recording) closes, if any."""
        stays = second is not None and second // MINUTE_S == self._minute
        return None if stays else self._minute

    def close(self, second: int | None, dose_deg_min: float | None, changes: MinuteChanges | None) -> list[Epoch]:
        """The minute in hand, which ``dose_deg_min`` and ``changes`` belong to, and the empty ones up to ``second``."""
        if self._minute is None:
            return []
        closed = [self._close(self._minute, self._held.stretches, dose_deg_min, changes)]
        empty = 0 if second is None else min(second // MINUTE_S - self._minute - 1, self.max_empty)
        closed += [self._close(self._minute + 1 + i, [], None, None) for i in range(empty)]
        self._held = Held()
        return closed

    def take(self, seconds: Seconds, a: int, b: int) -> None:
        """Seconds a:b, all of one minute: the one in hand, or another once that was closed."""
        self._minute = seconds.second[a] // MINUTE_S
        self._held.take(seconds, a, b)

    def _close(
        self,
        minute: int,
        stretches: Sequence[Stretch],
        dose_deg_min: float | None,
        changes: MinuteChanges | None,
    ) -> Epoch:
        per = [0] * len(POSTURES)
        covered: float = 0
        tilts: list[F64] = []
        for seconds, a, b in stretches:
            codes = seconds.posture[a:b]
            for code in set(codes):
                per[code] += codes.count(code)
            covered = sum(seconds.valid[a:b], covered)
            at, ordered = seconds.at, seconds.ordered_deg
            tilts += [ordered[at[i] : at[j]] for i, j in seconds.runs_of(_UPRIGHT, a, b)]
        mean = median = p5 = p95 = sd = None
        tilt = np.concatenate(tilts) if tilts else np.empty(0)
        if len(tilt):
            tilt.sort(kind="stable")  # most of it rises epoch by epoch already; this kind merges what does
            mean = float(np.add.reduce(tilt) / len(tilt))
            median, p5, p95 = (_quantile(tilt, q) for q in (0.5, 0.05, 0.95))
            tilt -= mean
            tilt *= tilt
            sd = math.sqrt(np.add.reduce(tilt) / len(tilt))
        seconds_held = sum(per)
        return Epoch(
            t_utc_ns=minute * MINUTE_S * NS_PER_S,
            tilt_mean_deg=mean,
            tilt_median_deg=median,
            tilt_p5_deg=p5,
            tilt_p95_deg=p95,
            tilt_sd_deg=sd,
            **dict(zip(_COUNTED, per, strict=True)),
            dose_deg_min=dose_deg_min,
            coverage=min(1.0, covered / (math.floor(self.rate_hz * 0.98) * MINUTE_S)),
            wear=(seconds_held - per[_NOT_WORN]) / seconds_held if seconds_held else 0.0,
            shifts=None if changes is None else changes.shifts,
            transfers=None if changes is None else changes.transfers,
            since_change_s=None if changes is None else changes.since_change_s,
        )

    def snapshot(self) -> dict[str, Any]:
        return {"minute": self._minute, "seconds": self._held.snapshot()}

    def restore(self, state: dict[str, Any]) -> None:
        self._minute = state["minute"]
        self._held.restore(state["seconds"])


def _medians(stretches: list[Stretch]) -> tuple[int | None, int | None]:
    """Of tilt, and of obliquity without its sign [mdeg]; None of nothing. Tilts that lie in one piece rise afterwards."""
    tilts = [seconds.ordered_deg[seconds.at[a] : seconds.at[b]] for seconds, a, b in stretches]
    tilt = tilts[0] if len(tilts) == 1 else np.concatenate(tilts)
    if not len(tilt):
        return None, None
    obliquity = np.concatenate([seconds.obliquity_deg[seconds.at[a] : seconds.at[b]] for seconds, a, b in stretches])
    low, high = (len(tilt) - 1) // 2, len(tilt) // 2
    tilt.sort()
    obliquity.partition((low, high))  # no more of it is asked for
    tilt_deg, obliquity_deg = ((values.item(low) + values.item(high)) / 2.0 for values in (tilt, obliquity))
    return round(tilt_deg * 1000), round(abs(obliquity_deg) * 1000)


def _quantile(ordered: F64, q: float) -> float:
    """Linear interpolation between order statistics (Hyndman & Fan type 7)."""
    at = q * (len(ordered) - 1)
    low = int(at)
    below, above = ordered.item(low), ordered.item(min(low + 1, len(ordered) - 1))
    return below + (above - below) * (at - low)
