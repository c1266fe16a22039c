"""Ten-second epochs for the rules and one-minute epochs for people, both on the UTC grid, from judged seconds.

An epoch closes when a second beyond it arrives (or the recording ends), so its content does not depend on chunking.
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, pairwise
from typing import Any, Final, NamedTuple

import numpy as np

from processing.changes import MinuteChanges
from processing.types import (
    F64,
    I64,
    NS_PER_S,
    POSTURE_CODE,
    POSTURES,
    Bool,
    ContextBlock,
    Epoch,
    RuleEpoch,
    SecondBlock,
)

RULE_EPOCH_S: Final = 10
MINUTE_S: Final = 60
_NOT_WORN: Final = POSTURE_CODE["not_worn"]
_UPRIGHT: Final = frozenset(POSTURE_CODE.values()) - {POSTURE_CODE["lying"], _NOT_WORN}
"""Postures whose tilt counts in a minute, sitting among them."""


class Seconds(NamedTuple):
    """m judged seconds in columns: posture codes, confidence, how many rows were valid (by how much of them was received) and settling,
    whether a vehicle shook.

    ``tilt_deg`` and ``obliquity_deg`` hold the angles of valid rows: of second i the rows ``at[i]:at[i + 1]``. What lies
    before ``at[0]`` and after ``at[m]`` belongs to others.
    """

    second: list[int]
    posture: list[int]
    confidence: list[float]
    valid: list[int] | list[float]
    settling: list[int]
    shaken: list[bool]
    at: list[int]
    tilt_deg: F64
    obliquity_deg: F64

    def part(self, a: int, b: int) -> Seconds:
        """Seconds a to b, b excluded."""
        return Seconds(
            self.second[a:b],
            self.posture[a:b],
            self.confidence[a:b],
            self.valid[a:b],
            self.settling[a:b],
            self.shaken[a:b],
            self.at[a : b + 1],
            self.tilt_deg,
            self.obliquity_deg,
        )

    def of_postures(self, codes: Container[int]) -> Seconds:
        """The seconds of some postures only."""
        kept = [code in codes for code in self.posture]
        if all(kept):
            return self
        edges = [i for i in range(1, len(kept)) if kept[i] != kept[i - 1]]
        runs = pairwise([0, *edges, len(kept)])
        return _joined([self.part(a, b) for a, b in runs if kept[a]])

    def angles(self) -> tuple[F64, F64]:
        """Tilt and obliquity of all valid samples."""
        rows = slice(self.at[0], self.at[-1])
        return self.tilt_deg[rows], self.obliquity_deg[rows]

    def plain(self) -> list[list[Any]]:
        """A row for each second, its angles last but one: the form of a snapshot."""
        tilts = [self.tilt_deg[a:b] for a, b in pairwise(self.at)]
        obliquities = [self.obliquity_deg[a:b] for a, b in pairwise(self.at)]
        facts = (self.second, self.posture, self.confidence, self.valid, self.settling)
        return [list(row) for row in zip(*facts, tilts, obliquities, self.shaken, strict=True)]

    @classmethod
    def restored(cls, rows: list[list[Any]]) -> Seconds:
        """The inverse of `plain`."""
        if not rows:
            return _NOTHING
        second, posture, confidence, valid, settling, tilts, obliquities, shaken = map(list, zip(*rows, strict=True))
        at = list(accumulate((len(tilt) for tilt in tilts), initial=0))
        angles = np.concatenate(tilts), np.concatenate(obliquities)
        return cls(second, posture, confidence, valid, settling, shaken, at, *angles)


_NOTHING: Final = Seconds([], [], [], [], [], [], [0], np.empty(0), np.empty(0))


def _joined(parts: Sequence[Seconds]) -> Seconds:
    """Consecutive pieces as one."""
    if len(parts) <= 1:
        return parts[0] if parts else _NOTHING
    facts = zip(*(part[:6] for part in parts), strict=True)
    second, posture, confidence, valid, settling, shaken = (list(chain.from_iterable(column)) for column in facts)
    lengths = (b - a for part in parts for a, b in pairwise(part.at))
    at = list(accumulate(lengths, initial=0))
    tilt, obliquity = (np.concatenate(angle) for angle in zip(*(part.angles() for part in parts), strict=True))
    return Seconds(second, posture, confidence, valid, settling, shaken, at, tilt, obliquity)


def seconds_of(block: SecondBlock, context: ContextBlock, valid: I64 | F64, settling: I64, shaken: Bool) -> Seconds:
    """The judged seconds of a block; ``valid``, ``settling`` (m,) as `SecondTilt` has them, ``shaken`` (m,) tells of a vehicle."""
    tilt, obliquity, at = block.anterior_tilt_deg, block.obliquity_deg, block.start
    if not block.valid.all():
        tilt, obliquity = tilt[block.valid], obliquity[block.valid]
        at = np.concatenate(([0], np.cumsum(block.valid)))[block.start]
    return Seconds(
        block.second.tolist(),
        context.posture.tolist(),
        context.confidence.tolist(),
        valid.tolist(),
        settling.tolist(),
        shaken.tolist(),
        at.tolist(),
        tilt,
        obliquity,
    )


@dataclass(slots=True)
class _Held:
    """Seconds of an epoch that is not over: stretches a:b of what came, so that nothing is copied before it closes."""

    parts: list[tuple[Seconds, int, int]] = field(default_factory=list)

    def take(self, seconds: Seconds, a: int, b: int) -> None:
        if self.parts and self.parts[-1][0] is seconds:
            a = self.parts.pop()[1]  # they follow on each other
        self.parts.append((seconds, a, b))

    def all(self) -> Seconds:
        return _joined([seconds.part(a, b) for seconds, a, b in self.parts])

    def restore(self, rows: list[list[Any]]) -> None:
        self.parts = [(Seconds.restored(rows), 0, len(rows))] if rows else []


@dataclass(slots=True)
class RuleEpochs:
    """Collects ten seconds on end."""

    rate_hz: float
    _k: int | None = None
    _held: _Held = field(default_factory=_Held)

    def goes_on(self, second: int) -> bool:
        """Whether a second belongs to the epoch in hand."""
        return second // RULE_EPOCH_S == self._k

    def take(self, seconds: Seconds, a: int, b: int) -> None:
        """Seconds a:b, all of one epoch: the one in hand, or another once that was closed."""
        self._k = seconds.second[a] // RULE_EPOCH_S
        self._held.take(seconds, a, b)

    def close(self, mount_id: str, alignment_id: str) -> RuleEpoch | None:
        """The epoch in hand, on the alignment given; None before the first."""
        if self._k is None:
            return None
        k, mine = self._k, self._held.all()
        self._k, self._held = None, _Held()
        codes = mine.posture
        posture = codes[0]
        if codes.count(posture) != len(codes):
            posture = max(set(codes), key=lambda code: (codes.count(code), -code))
            # Seconds of other postures do not count as covered: half a walk is half an epoch of walking.
            mine = mine.of_postures((posture,))
        tilt, obliquity = (_median(angle) for angle in mine.angles())
        expected, n = math.floor(self.rate_hz * 0.98) * RULE_EPOCH_S, len(mine.second)
        return RuleEpoch(
            k=k,
            coverage_permille=min(1000, round(1000 * sum(mine.valid) / expected)),
            posture=POSTURES[posture],
            confidence_permille=round(1000 * sum(mine.confidence) / n),
            tilt_mdeg=None if tilt is None else round(tilt * 1000),
            abs_obliquity_mdeg=None if obliquity is None else round(abs(obliquity) * 1000),
            settling=any(mine.settling),
            mount_id=mount_id,
            alignment_id=alignment_id,
            shaken_permille=round(1000 * sum(mine.shaken) / n),
        )

    def snapshot(self) -> list[Any]:
        return self._held.all().plain()

    def restore(self, state: list[Any]) -> None:
        self._held.restore(state)
        self._k = state[0][0] // RULE_EPOCH_S if state else None


@dataclass(slots=True)
class MinuteEpochs:
    """Collects one minute; minutes without any sample are told as empty epochs once data return."""

    rate_hz: float
    max_empty: int = 24 * 60
    _minute: int | None = None
    _held: _Held = field(default_factory=_Held)

    def closing(self, second: int | None) -> int | None:
        """The UTC minute that ``second`` (None: the end of the recording) closes, if any."""
        stays = second is not None and second // MINUTE_S == self._minute
        return None if stays else self._minute

    def close(self, second: int | None, dose_deg_min: float | None, changes: MinuteChanges | None) -> list[Epoch]:
        """The minute in hand, which ``dose_deg_min`` and ``changes`` belong to, and the empty ones up to ``second``."""
        if self._minute is None:
            return []
        closed = [self._close(self._minute, self._held.all(), dose_deg_min, changes)]
        empty = 0 if second is None else min(second // MINUTE_S - self._minute - 1, self.max_empty)
        closed += [self._close(self._minute + 1 + i, _NOTHING, None, None) for i in range(empty)]
        self._held = _Held()
        return closed

    def take(self, seconds: Seconds, a: int, b: int) -> None:
        """Seconds a:b, all of one minute: the one in hand, or another once that was closed."""
        self._minute = seconds.second[a] // MINUTE_S
        self._held.take(seconds, a, b)

    def _close(self, minute: int, mine: Seconds, dose_deg_min: float | None, changes: MinuteChanges | None) -> Epoch:
        per = [mine.posture.count(code) for code in range(len(POSTURES))]
        mean = median = p5 = p95 = sd = None
        tilt = np.sort(mine.of_postures(_UPRIGHT).angles()[0])
        if len(tilt):
            mean = float(np.add.reduce(tilt) / len(tilt))
            median, p5, p95 = (_quantile(tilt, q) for q in (0.5, 0.05, 0.95))
            sd = float(np.sqrt(np.add.reduce((tilt - mean) ** 2) / len(tilt)))
        seconds = len(mine.second)
        return Epoch(
            t_utc_ns=minute * MINUTE_S * NS_PER_S,
            tilt_mean_deg=mean,
            tilt_median_deg=median,
            tilt_p5_deg=p5,
            tilt_p95_deg=p95,
            tilt_sd_deg=sd,
            **{f"{name}_s": count for name, count in zip(POSTURES, per, strict=True)},
            dose_deg_min=dose_deg_min,
            coverage=min(1.0, sum(mine.valid) / (math.floor(self.rate_hz * 0.98) * MINUTE_S)),
            wear=(seconds - per[_NOT_WORN]) / seconds if seconds else 0.0,
            shifts=None if changes is None else changes.shifts,
            transfers=None if changes is None else changes.transfers,
            since_change_s=None if changes is None else changes.since_change_s,
        )

    def snapshot(self) -> dict[str, Any]:
        return {"minute": self._minute, "seconds": self._held.all().plain()}

    def restore(self, state: dict[str, Any]) -> None:
        self._minute = state["minute"]
        self._held.restore(state["seconds"])


def _median(values: F64) -> float | None:
    """As `np.median` of finite values, at a fifth of its cost; None of nothing."""
    if not len(values):
        return None
    ordered, half = np.sort(values), len(values) // 2  # of a thousand, faster than a partition
    if len(values) % 2:
        return float(ordered[half])
    return (float(ordered[half - 1]) + float(ordered[half])) / 2.0


def _quantile(ordered: F64, q: float) -> float:
    """Linear interpolation between order statistics (Hyndman & Fan type 7)."""
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (ordered[high] - ordered[low]) * (at - low))
