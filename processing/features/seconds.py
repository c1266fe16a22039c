"""Groups samples into complete UTC seconds, the unit of context and metrics.

A second is complete when a sample of a later second arrives (or the recording ends). Every result of a second depends on its
own samples only, so that any chunking gives the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from processing.runs import first_rows
from processing.types import F64, I64, NS_PER_S, Bool, Samples, SecondBlock


@dataclass(frozen=True, slots=True)
class AlignedBatch:
    """Per-sample quantities in pelvis axes; see `SecondBlock` for the meaning. ``gap_at`` marks the first sample after
    an interruption, ``clipped`` those under the sway of a reading at the end of its range; ``share`` is how much of each was received,
    None for all.

    The first ``room`` rows of each are free, for what `SecondStage` holds: nothing has to be copied behind it then.
    """

    t_utc_ns: I64
    acc_p_mps2: F64
    gyr_p_rps: F64
    up_p: F64
    acc_up_mps2: F64
    anterior_tilt_deg: F64
    obliquity_deg: F64
    valid: Bool
    gap_at: Bool
    clipped: Bool
    share: F64 | None
    room: int = 0

    def samples(self, q_es: F64) -> Samples:
        """Their angles, with their quaternions (n, 4)."""
        own = slice(self.room, None)
        tilt, obliquity = self.anterior_tilt_deg[own], self.obliquity_deg[own]
        return Samples(self.t_utc_ns[own], q_es, tilt, obliquity, self.valid[own])

    def arrays(self) -> list[Any]:
        return [getattr(self, name) for name in _NAMES]


_NAMES = (
    "t_utc_ns",
    "acc_p_mps2",
    "gyr_p_rps",
    "up_p",
    "acc_up_mps2",
    "anterior_tilt_deg",
    "obliquity_deg",
    "valid",
    "gap_at",
    "clipped",
    "share",
)


@dataclass(slots=True)
class SecondStage:
    """Holds the samples of the second that is not complete yet."""

    rate_hz: float
    _rest: list[Any] = field(default_factory=list)  # in the order of `AlignedBatch.arrays`, its share last

    @property
    def held(self) -> int:
        """Rows of the second in hand."""
        return len(self._rest[0]) if self._rest else 0

    def update(self, batch: AlignedBatch | None, *, last: bool = False) -> SecondBlock | None:
        """Complete seconds so far, or None. ``last`` closes the second in hand."""
        arrays = self._rest
        if batch is not None and len(batch.t_utc_ns) > batch.room:
            if batch.room != self.held:
                raise ValueError(f"room for {batch.room} rows where {self.held} are held")
            arrays = batch.arrays()
            if batch.room:
                if arrays[-1] is None and self._rest[-1] is not None:
                    arrays[-1] = np.ones(len(batch.t_utc_ns))
                for whole, held in zip(arrays, self._rest, strict=True):
                    if whole is not None:
                        whole[: batch.room] = 1.0 if held is None else held
        if not arrays:
            return None
        second = arrays[0] // NS_PER_S
        start = first_rows(second)
        if last:
            start = np.append(start, len(second))
        elif len(start) == 1:
            self._rest = arrays
            return None
        cut = int(start[-1])
        self._rest = [] if last else [None if a is None else a[cut:].copy(order="K") for a in arrays]
        first, share = start[:-1], arrays[-1]
        t, acc, gyr, up, acc_up, tilt, obliquity, valid, gap_at, clipped = (a[:cut] for a in arrays[:-1])
        return SecondBlock(
            second[first],
            start,
            t,
            acc,
            gyr,
            up,
            acc_up,
            tilt,
            obliquity,
            valid,
            np.logical_or.reduceat(gap_at, first) if gap_at.any() else np.zeros(len(first), dtype=bool),
            self.rate_hz,
            np.logical_or.reduceat(clipped, first) if clipped.any() else None,
            None if share is None or (share[:cut] == 1.0).all() else share[:cut],
        )

    def snapshot(self) -> list[Any]:
        return [np.ones(self.held) if a is None else a for a in self._rest]

    def restore(self, state: list[Any]) -> None:
        self._rest = list(state)
