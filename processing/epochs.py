"""Ten-second epochs for the rules and one-minute epochs for people, both on the UTC grid, from judged seconds.

An epoch closes when a second beyond it arrives (or the recording ends), so its content does not depend on chunking.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
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
_LYING, _NOT_WORN = POSTURE_CODE["lying"], POSTURE_CODE["not_worn"]


class Second(NamedTuple):
    """One judged second: posture code, confidence, counts, and the angles of its valid samples."""

    second: int
    posture: int
    confidence: float
    valid: int
    settling: int
    tilt_deg: F64
    obliquity_deg: F64
    shaken: bool = False


def seconds_of(block: SecondBlock, context: ContextBlock, valid: I64, settling: I64, shaken: Bool) -> list[Second]:
    """The judged seconds of a block; ``valid``, ``settling`` (m,) count samples, ``shaken`` (m,) tells of a vehicle."""
    starts, tilts, obliquities = block.start.tolist(), list[F64](), list[F64]()
    counts = valid.tolist()
    for a, b, n in zip(starts[:-1], starts[1:], counts, strict=True):
        tilt, obliquity = block.anterior_tilt_deg[a:b], block.obliquity_deg[a:b]
        if n != b - a:
            keep = block.valid[a:b]
            tilt, obliquity = tilt[keep], obliquity[keep]
        tilts.append(tilt)
        obliquities.append(obliquity)
    facts = (block.second, context.posture, context.confidence)
    columns = [*(x.tolist() for x in facts), counts, settling.tolist(), tilts, obliquities, shaken.tolist()]
    return list(map(Second._make, zip(*columns, strict=True)))


@dataclass(slots=True)
class RuleEpochs:
    """Collects ten seconds; `add` gives the epochs that closed (none or one)."""

    rate_hz: float
    _seconds: list[Second] = field(default_factory=list)

    def add(self, second: Second | None, mount_id: str, alignment_id: str) -> RuleEpoch | None:
        """Take a second (None: the recording ends); the epoch it closes stands on the alignment given."""
        closed = None
        if self._seconds and (second is None or second.second // RULE_EPOCH_S != self._k()):
            closed = self._close(mount_id, alignment_id)
            self._seconds = []
        if second is not None:
            self._seconds.append(second)
        return closed

    def goes_on(self, seconds: list[Second]) -> bool:
        """Take seconds of one epoch if they close nothing; whether they were taken."""
        if seconds and (not self._seconds or seconds[0].second // RULE_EPOCH_S != self._k()):
            return False
        self._seconds += seconds
        return True

    def _k(self) -> int:
        return self._seconds[0].second // RULE_EPOCH_S

    def _close(self, mount_id: str, alignment_id: str) -> RuleEpoch:
        mine = self._seconds
        codes = [s.posture for s in mine]
        posture = codes[0]
        if codes.count(posture) != len(codes):
            posture = max(set(codes), key=lambda code: (codes.count(code), -code))
            mine = [s for s in mine if s.posture == posture]
        _, _, confidence, valid, settling, tilts, obliquities, shaken = zip(*mine, strict=True)
        tilt, obliquity = _median(tilts), _median(obliquities)
        expected = math.floor(self.rate_hz * 0.98) * RULE_EPOCH_S
        # Seconds of other postures do not count as covered: half a walk is half an epoch of walking.
        covered = min(1000, round(1000 * sum(valid) / expected))
        return RuleEpoch(
            k=self._k(),
            coverage_permille=covered,
            posture=POSTURES[posture],
            confidence_permille=round(1000 * sum(confidence) / len(mine)),
            tilt_mdeg=None if tilt is None else round(tilt * 1000),
            abs_obliquity_mdeg=None if obliquity is None else round(abs(obliquity) * 1000),
            settling=any(settling),
            mount_id=mount_id,
            alignment_id=alignment_id,
            shaken_permille=round(1000 * sum(shaken) / len(mine)),
        )

    def snapshot(self) -> list[Any]:
        return [_plain(s) for s in self._seconds]

    def restore(self, state: list[Any]) -> None:
        self._seconds = [Second(*s) for s in state]


@dataclass(slots=True)
class MinuteEpochs:
    """Collects one minute; minutes without any sample are told as empty epochs once data return."""

    rate_hz: float
    max_empty: int = 24 * 60
    _minute: int | None = None
    _seconds: list[Second] = field(default_factory=list)

    def add(self, second: Second | None, dose_deg_min: float | None, changes: MinuteChanges | None) -> list[Epoch]:
        """Take a second (None: the recording ends); ``dose_deg_min`` and ``changes`` belong to the minute that closes."""
        minute = None if second is None else second.second // MINUTE_S
        closed: list[Epoch] = []
        if self._minute is not None and minute != self._minute:
            closed.append(self._close(self._minute, self._seconds, dose_deg_min, changes))
            empty = 0 if minute is None else min(minute - self._minute - 1, self.max_empty)
            closed += [self._close(self._minute + 1 + i, [], None, None) for i in range(empty)]
            self._seconds = []
        if second is not None:
            self._minute = minute
            self._seconds.append(second)
        return closed

    def goes_on(self, seconds: list[Second]) -> None:
        """Take seconds of the minute in hand."""
        self._seconds += seconds

    def closing(self, second: Second | None) -> int | None:
        """The UTC minute that `add` would close now, if any."""
        stays = second is not None and second.second // MINUTE_S == self._minute
        return None if stays else self._minute

    def _close(
        self, minute: int, seconds: list[Second], dose_deg_min: float | None, changes: MinuteChanges | None
    ) -> Epoch:
        per = [0] * len(POSTURES)
        for s in seconds:
            per[s.posture] += 1
        upright = [s.tilt_deg for s in seconds if s.posture not in (_LYING, _NOT_WORN)]
        mean = median = p5 = p95 = sd = None
        tilt = np.sort(np.concatenate(upright)) if upright else np.empty(0)
        if len(tilt):
            mean = float(np.add.reduce(tilt) / len(tilt))
            median, p5, p95 = (_quantile(tilt, q) for q in (0.5, 0.05, 0.95))
            sd = float(np.sqrt(np.add.reduce((tilt - mean) ** 2) / len(tilt)))
        worn = len(seconds) - per[_NOT_WORN]
        return Epoch(
            t_utc_ns=minute * MINUTE_S * NS_PER_S,
            tilt_mean_deg=mean,
            tilt_median_deg=median,
            tilt_p5_deg=p5,
            tilt_p95_deg=p95,
            tilt_sd_deg=sd,
            **{f"{name}_s": count for name, count in zip(POSTURES, per, strict=True)},
            dose_deg_min=dose_deg_min,
            coverage=min(1.0, sum([s.valid for s in seconds]) / (math.floor(self.rate_hz * 0.98) * MINUTE_S)),
            wear=worn / len(seconds) if seconds else 0.0,
            shifts=None if changes is None else changes.shifts,
            transfers=None if changes is None else changes.transfers,
            since_change_s=None if changes is None else changes.since_change_s,
        )

    def snapshot(self) -> dict[str, Any]:
        return {"minute": self._minute, "seconds": [_plain(s) for s in self._seconds]}

    def restore(self, state: dict[str, Any]) -> None:
        self._minute, self._seconds = state["minute"], [Second(*s) for s in state["seconds"]]


def _median(pieces: tuple[F64, ...]) -> float | None:
    """As `np.median` of all finite values, at a fifth of its cost; None of nothing."""
    values = np.concatenate(pieces)
    half = len(values) // 2
    if not len(values):
        return None
    if len(values) % 2:
        values.partition(half)
        return float(values[half])
    values.partition((half - 1, half))
    return (float(values[half - 1]) + float(values[half])) / 2.0


def _quantile(ordered: F64, q: float) -> float:
    """Linear interpolation between order statistics (Hyndman & Fan type 7)."""
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (ordered[high] - ordered[low]) * (at - low))


def _plain(s: Second) -> list[Any]:
    return [s.second, s.posture, s.confidence, s.valid, s.settling, s.tilt_deg, s.obliquity_deg, s.shaken]
