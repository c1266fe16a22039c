"""The wearer's own step time and rise, by which the next candidates are judged. Used by `gait.py`."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from processing.features.gait_path import PathParams
from processing.types import NS_PER_S

MIN_STEPS: Final = 4
"""Two strides: so many tell a rhythm, and fewer, looking back, are a shuffle."""
MEMORY: Final = 15
"""Steps over which rhythm and strength are taken: some eight seconds."""


@dataclass(slots=True)
class Lately:
    """The last `MEMORY` values of something, in their order and ranked."""

    values: list[float]
    _ranked: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._ranked = sorted(self.values)

    def take(self, value: float) -> None:
        """Append a value, and forget one where they are enough."""
        values, ranked = self.values, self._ranked
        if len(values) == MEMORY:
            del ranked[bisect_left(ranked, values.pop(0))]
        values.append(value)
        insort(ranked, value)

    def median(self, otherwise: float) -> float:
        """As `median`; ``otherwise`` while there are too few."""
        ranked = self._ranked
        return ranked[len(ranked) // 2] if len(ranked) >= MIN_STEPS else otherwise


class Rhythm:
    """The wearer's own step time and rise: medians of the last steps."""

    def __init__(
        self,
        params: PathParams,
        interval_s: Sequence[float] = (),
        rise_mps3: Sequence[float] = (),
        last_ns: int | None = None,
    ) -> None:
        self._params, self.last_ns = params, last_ns
        self._interval_s, self._rise_mps3 = Lately(list(interval_s)), Lately(list(rise_mps3))
        # A stranger's usual rise is what makes the stranger's fair rise fair.
        self._strange_mps3 = params.stranger_rise_mps3 / params.share
        self._rest_ns = round(params.max_step_s * NS_PER_S)
        self._sum_up()

    def _sum_up(self) -> None:
        """Step time and rise as far as they are known."""
        p = self._params
        self.step_s = self._interval_s.median(p.step_s)
        self.usual_mps3 = self._rise_mps3.median(self._strange_mps3)
        self._fair_mps3 = max(p.floor_mps3, p.share * self.usual_mps3)

    def learn(self, t_utc_ns: int, rise_mps3: float) -> None:
        """Take a step that was decided."""
        last_ns = self.last_ns
        if last_ns is not None and t_utc_ns - last_ns < NS_PER_S:
            self._interval_s.take((t_utc_ns - last_ns) / NS_PER_S)
        self._rise_mps3.take(rise_mps3)
        self.last_ns = t_utc_ns
        self._sum_up()

    def fair_mps3(self, t_utc_ns: int) -> float:
        """What counts as a fair rise at this time. After a rest the next walk may be slower: at most a stranger's."""
        if self.last_ns is None or t_utc_ns - self.last_ns > self._rest_ns:
            return min(self._fair_mps3, self._params.stranger_rise_mps3)
        return self._fair_mps3

    def snapshot(self) -> list[Any]:
        return [list(self._interval_s.values), list(self._rise_mps3.values), self.last_ns]


def median(values: list[float]) -> float:
    """The upper one of two in the middle: a value that occurred."""
    return sorted(values)[len(values) // 2]
