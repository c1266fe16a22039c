"""Received samples to the rows that are computed with: holes found, clipped readings marked, fast samples grouped.

The first stage of the core, and of every pass over a recording that computes orientation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np

from processing.clipping import ClipStage
from processing.gaps import NOTHING, Filled, Gap, GapCounters, GapParams, GapStage
from processing.grouping import GroupStage, group_size
from processing.orientation.causal import OrientationParams
from processing.types import Bool, TimedBatch

_NO_SAMPLES: Final = TimedBatch(NOTHING.t_utc_ns, NOTHING.acc_mps2, NOTHING.gyr_rps)


class Intake:
    """Params / state / update; a sensor's nominal ``chip_rate_hz`` comes in, rows at ``rate_hz`` leave.

    ``every_sample``: rows keep what the angles of single samples are told from.
    """

    def __init__(self, chip_rate_hz: float, *, every_sample: bool = False) -> None:
        size = group_size(chip_rate_hz)
        self.rate_hz = chip_rate_hz / size
        self.orientation = OrientationParams(self.rate_hz, chip_rate_hz)
        self.found: list[Gap] = []
        self._gaps = GapStage(GapParams(chip_rate_hz))
        self._clips = ClipStage()
        self._groups = GroupStage(size, 1.0 / chip_rate_hz, every_sample)

    @property
    def counters(self) -> GapCounters:
        """Of samples, not of rows."""
        return self._gaps.counters

    def update(self, batch: TimedBatch | None, *, last: bool = False) -> Filled:
        """Rows that are complete; ``last``: nothing follows. ``found`` then has the holes in ``batch`` itself."""
        filled = self._gaps.update(_NO_SAMPLES if batch is None else batch)
        self.found = filled.gaps
        marked = self._clipped(filled)
        return self._groups.update(filled if marked is None else replace(filled, clipped=marked), last=last)

    def _clipped(self, filled: Filled) -> Bool | None:
        """Rows under the sway of a reading at the end of its range; bridged ones, that nobody read, never are."""
        if filled.real is None:
            return self._clips.update(filled.t_utc_ns, filled.acc_mps2, filled.gyr_rps, self._gaps.reach)
        real = filled.real
        t, acc, gyr = filled.t_utc_ns[real], filled.acc_mps2[real], filled.gyr_rps[real]
        marked = self._clips.update(t, acc, gyr, self._gaps.reach)
        if marked is None:
            return None
        out = np.zeros(len(real), dtype=bool)
        out[real] = marked
        return out

    def through(self, chunks: Iterable[TimedBatch]) -> Iterator[Filled]:
        """A whole recording's rows, chunk by chunk."""
        for chunk in chunks:
            yield self.update(chunk)
        yield self.update(None, last=True)

    def snapshot(self) -> dict[str, Any]:
        return {"gaps": self._gaps.snapshot(), "clips": self._clips.snapshot(), "rest": self._groups.rest.snapshot()}

    def restore(self, state: dict[str, Any]) -> None:
        self._gaps.restore(state["gaps"])
        self._clips.restore(state["clips"])
        self._groups.rest = Filled.restored(state["rest"])
