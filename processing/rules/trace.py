"""The eligible epochs behind a flag, with the state before each, so that a flag can be recomputed from its JSON alone.

A flag carries a starting point (``before``) and every eligible epoch since (``epochs``). Whoever steps the rule through
them must arrive at the flag's value in its last epoch; epochs between that are not listed were ineligible or missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from processing.rules.base import HOUR_EPOCHS
from processing.types import Json

SPAN_EPOCHS: Final = 2 * HOUR_EPOCHS
"""How far back a flag's epochs reach; what was before stands in the starting point."""
MOST_EPOCHS: Final = HOUR_EPOCHS


class Traced(NamedTuple):
    """One eligible epoch and the state just before it: dose before its leak, tilts that a~ looks back on, episode."""

    k: int
    posture: str
    coverage_permille: int
    confidence_permille: int
    tilt_mdeg: int
    threshold_mdeg: int
    dose_udeg_min: int
    armed: bool
    recent: tuple[int, ...]
    phase: str
    on_s: int
    active_s: int
    below_s: int


class Trace:
    """The newest eligible epochs on one mount and neutral, bounded in number and age."""

    def __init__(self) -> None:
        self._kept: deque[Traced] = deque(maxlen=MOST_EPOCHS)

    def clear(self) -> None:
        """Forget all: what follows does not compare with what was."""
        self._kept.clear()

    def add(self, traced: Traced) -> None:
        """Keep an epoch with the state before it."""
        kept = self._kept
        while kept and kept[0].k < traced.k - SPAN_EPOCHS:
            kept.popleft()
        kept.append(traced)

    def since(self, k: int | None) -> list[Traced]:
        """Epochs from k on; all where k is None."""
        return [t for t in self._kept if k is None or t.k >= k]

    def snapshot(self) -> list[list[Any]]:
        """State as plain JSON."""
        return [list(t) for t in self._kept]

    def restore(self, state: Sequence[Sequence[Any]]) -> None:
        """Take back a `snapshot`."""
        kept = (Traced(*row) for row in state)
        self._kept = deque((t._replace(recent=tuple(t.recent)) for t in kept), maxlen=MOST_EPOCHS)


def starting_point(first: Traced) -> dict[str, Json]:
    """State before the first listed epoch; the dose is the one at the end of the epoch before it."""
    return {
        "dose_udeg_min": first.dose_udeg_min,
        "armed": first.armed,
        "recent_tilt_mdeg": list(first.recent),
        "phase": first.phase,
        "on_s": first.on_s,
        "active_s": first.active_s,
        "below_s": first.below_s,
    }


def columns(epochs: Sequence[Traced]) -> dict[str, Json]:
    """Epochs as columns: k as stretches ``[first, count]``, what repeats as runs ``[value, count]``, tilts one by one."""
    return {
        "k": _stretches([t.k for t in epochs]),
        "posture": [[value, len(list(run))] for value, run in groupby(t.posture for t in epochs)],
        "threshold_mdeg": [[value, len(list(run))] for value, run in groupby(t.threshold_mdeg for t in epochs)],
        "tilt_mdeg": [t.tilt_mdeg for t in epochs],
    }


def _stretches(ks: Sequence[int]) -> list[Json]:
    found: list[tuple[int, int]] = []
    for k in ks:
        first, n = found[-1] if found else (k, 0)
        if found and k == first + n:
            found[-1] = (first, n + 1)
        else:
            found.append((k, 1))
    return [[first, n] for first, n in found]
