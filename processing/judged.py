"""Judged seconds in columns, and those that wait for their epoch to end.

What `epochs.py` sums up. Seconds stay as they came until an epoch closes: nothing is copied for each of them.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from processing.types import F64, I64, Bool, ContextBlock, SecondBlock


class Seconds(NamedTuple):
    """m judged seconds in columns: posture codes, confidence, how many rows were valid (by how much of them was received) and settling,
    whether a vehicle shook.

    ``tilt_deg`` and ``obliquity_deg`` hold the angles of valid rows: of second i the rows ``at[i]:at[i + 1]``. What lies
    before ``at[0]`` and after ``at[m]`` belongs to others. ``ordered_deg`` holds the tilts once more, for who asks for their order:
    rows of one posture within one rule epoch may change places in it, and rise once that epoch is closed.
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
    ordered_deg: F64

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
            self.ordered_deg,
        )

    def runs_of(self, codes: Container[int], a: int, b: int) -> list[tuple[int, int]]:
        """Which of the seconds a to b are of some postures: runs of them, the end of each excluded."""
        posture = self.posture
        kept = {code: code in codes for code in set(posture[a:b])}
        if all(kept.values()):
            return [(a, b)]
        edges = [i for i in range(a + 1, b) if kept[posture[i]] != kept[posture[i - 1]]]
        return [(i, j) for i, j in pairwise([a, *edges, b]) if kept[posture[i]]]

    def plain(self) -> list[list[Any]]:
        """A row for each second, its angles last but one: the form of a snapshot."""
        tilts = [self.tilt_deg[a:b] for a, b in pairwise(self.at)]
        obliquities = [self.obliquity_deg[a:b] for a, b in pairwise(self.at)]
        facts = (self.second, self.posture, self.confidence, self.valid, self.settling)
        return [list(row) for row in zip(*facts, tilts, obliquities, self.shaken, strict=True)]

    @classmethod
    def restored(cls, rows: list[list[Any]]) -> Seconds:
        """The inverse of `plain`."""
        second, posture, confidence, valid, settling, tilts, obliquities, shaken = map(list, zip(*rows, strict=True))
        at = list(accumulate((len(tilt) for tilt in tilts), initial=0))
        tilt = np.concatenate(tilts)
        return cls(
            second, posture, confidence, valid, settling, shaken, at, tilt, np.concatenate(obliquities), tilt.copy()
        )


def seconds_of(block: SecondBlock, context: ContextBlock, valid: I64 | F64, settling: I64, shaken: Bool) -> Seconds:
    """The judged seconds of a block; ``valid``, ``settling`` (m,) as `SecondTilt` has them, ``shaken`` (m,) tells of a vehicle."""
    tilt, obliquity, at = block.anterior_tilt_deg, block.obliquity_deg, block.start
    if not block.valid.all():
        tilt, obliquity = tilt[block.valid], obliquity[block.valid]
        at = np.zeros_like(at)
        np.cumsum(np.add.reduceat(block.valid.astype(np.int64), block.start[:-1]), out=at[1:])
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
        tilt.copy(),
    )


Stretch: TypeAlias = tuple[Seconds, int, int]
"""Seconds a to b of what came, b excluded."""


@dataclass(slots=True)
class Held:
    """Seconds of an epoch that is not over, in stretches, so that nothing is copied before it closes."""

    stretches: list[Stretch] = field(default_factory=list)

    def take(self, seconds: Seconds, a: int, b: int) -> None:
        if self.stretches and self.stretches[-1][0] is seconds:
            a = self.stretches.pop()[1]  # they follow on each other
        self.stretches.append((seconds, a, b))

    def snapshot(self) -> list[list[Any]]:
        return [row for seconds, a, b in self.stretches for row in seconds.part(a, b).plain()]

    def restore(self, rows: list[list[Any]]) -> None:
        self.stretches = [(Seconds.restored(rows), 0, len(rows))] if rows else []
