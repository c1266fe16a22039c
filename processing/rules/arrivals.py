"""Epochs in any order to epochs in order: each once, when the newest one seen is a watermark ahead of it.

Sits in front of the rules (`engine.py`). What comes behind the watermark is counted and never re-decides anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from processing.rules.base import HOUR_EPOCHS
from processing.snapshot import values
from processing.types import RuleEpoch

_HOUR_MASK: Final = (1 << HOUR_EPOCHS) - 1


class Arrivals:
    """``late`` counts epochs that came behind the watermark, ``duplicates`` those that came again."""

    def __init__(self, watermark_epochs: int) -> None:
        self._behind = watermark_epochs
        self._held: dict[int, RuleEpoch] = {}
        self._next_k: int | None = None  # the next epoch to decide; may still move back until the first decision
        self._newest_k = 0
        self._deciding = False
        self._seen = 0  # one bit per epoch of the last hour: tells a duplicate from a late one
        self.late = 0
        self.duplicates = 0

    @property
    def newest_k(self) -> int | None:
        """The newest epoch seen; None before the first."""
        return None if self._next_k is None else self._newest_k

    def add(self, epoch: RuleEpoch) -> int | None:
        """Take an epoch; the last one that may now be decided, or None where nothing new may."""
        k = epoch.k
        first = self._next_k
        if first is None:
            first = self._next_k = self._newest_k = k
        elif k < first:
            if self._deciding:
                self._count_behind(first - k)
                return None
            first = self._next_k = k
        twin = self._held.get(k)
        if twin is not None:
            self.duplicates += 1
            if twin is not epoch and _rank(epoch) <= _rank(twin):
                return None
        self._held[k] = epoch
        self._newest_k = max(self._newest_k, k)
        last = self._newest_k - self._behind
        return last if last >= first else None

    def _count_behind(self, distance: int) -> None:
        if distance <= HOUR_EPOCHS and self._seen >> (distance - 1) & 1:
            self.duplicates += 1
        else:
            self.late += 1

    def until(self, last: int) -> Iterator[tuple[int, RuleEpoch | int]]:
        """Pass all up to ``last``: k and its epoch, or k and how many from there on never came. Must be exhausted."""
        held = self._held
        k = self._next_k
        self._deciding = True
        while k is not None and k <= last:
            epoch = held.pop(k, None)
            if epoch is None:
                present = min(min(held, default=last + 1), last + 1)
                self._seen = self._seen << min(present - k, HOUR_EPOCHS) & _HOUR_MASK
                yield k, present - k
                k = present
            else:
                self._seen = (self._seen << 1 | 1) & _HOUR_MASK
                yield k, epoch
                k += 1
            self._next_k = k

    def snapshot(self) -> dict[str, Any]:
        """State as plain JSON."""
        return {
            "held": [values(self._held[k]) for k in sorted(self._held)],
            "next_k": self._next_k,
            "newest_k": self._newest_k,
            "deciding": self._deciding,
            "seen": f"{self._seen:x}",
            "counts": [self.late, self.duplicates],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a `snapshot`."""
        self._held = {epoch.k: epoch for epoch in (RuleEpoch(*row) for row in state["held"])}
        self._next_k, self._newest_k, self._deciding = state["next_k"], state["newest_k"], state["deciding"]
        self._seen = int(state["seen"], 16)
        self.late, self.duplicates = state["counts"]


def _rank(epoch: RuleEpoch) -> tuple[int, int, str]:
    """Two different epochs of one k: the better covered one counts, whichever comes first."""
    return epoch.coverage_permille, epoch.confidence_permille, repr(epoch)
