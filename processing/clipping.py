"""Readings at the end of a sensor's range: found by what a range does to a signal, since few sensors say how far theirs goes.

Called by `intake.py` on what the sensor reported. A clipped axis repeats one extreme value exactly; noise never lets a real
signal do that for three samples, so three equal readings beyond the smallest range any chip has are the mark. A clipped
gyroscope has lost an angle nobody knows, a clipped accelerometer has pulled gravity aside; the filter needs its time constant to find
back, so what follows is doubted as long.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from processing.types import F64, GRAVITY_MPS2, I64, NS_PER_S, Bool

LEAST_ACC_MPS2: Final = 0.97 * 2.0 * GRAVITY_MPS2
"""The smallest range of an accelerometer is 2 g; less a few percent of scale and offset."""
LEAST_GYR_RPS: Final = 0.97 * np.radians(125.0)
_RUN: Final = 3
_UNKNOWN: Final = (np.inf, np.inf)
_NONE: Final = np.empty(0, dtype=np.int64)


@dataclass(slots=True)
class ClipStage:
    """Marks samples that are clipped or within ``doubt_s`` of it (the filter's time constant: a third is left by then)."""

    doubt_s: float = 5.0
    _last: list[Any] = field(default_factory=list)  # the two samples before, acceleration and rate
    _until_ns: int = 0

    def update(self, t_utc_ns: I64, acc_mps2: F64, gyr_rps: F64, reach: tuple[float, float] = _UNKNOWN) -> Bool | None:
        """Doubtful samples (n,), or None where there are none. ``reach``: their largest specific force and rate on any axis."""
        if not len(t_utc_ns):
            return None
        hits = self._run(acc_mps2, gyr_rps, reach)
        keep = _RUN - 1
        tail = [acc_mps2[-keep:], gyr_rps[-keep:]]
        if self._last and len(t_utc_ns) < keep:
            tail = [np.concatenate([b, a])[-keep:] for b, a in zip(self._last, tail, strict=True)]
        self._last = [a.copy() for a in tail]
        if not len(hits) and t_utc_ns[0] >= self._until_ns:
            return None
        doubt = t_utc_ns < self._until_ns
        if len(hits):
            until_ns = t_utc_ns[hits] + round(self.doubt_s * NS_PER_S)
            for at, end in zip(hits.tolist(), t_utc_ns.searchsorted(until_ns).tolist(), strict=True):
                doubt[at:end] = True
            self._until_ns = int(until_ns[-1])
        return doubt

    def _run(self, acc: F64, gyr: F64, reach: tuple[float, float]) -> I64:
        """Samples that end a run of equal extreme readings on any axis, in order."""
        found = []
        for which, (x, least) in enumerate(((acc, LEAST_ACC_MPS2), (gyr, LEAST_GYR_RPS))):
            if reach[which] < least:
                continue
            found.append(_ends_of_runs(x, least))
            if self._last:
                before = self._last[which]
                early = _ends_of_runs(np.concatenate([before, x[: _RUN - 1]]), least) - len(before)
                found.append(early[early >= 0])
        return np.sort(np.concatenate(found)) if found else _NONE

    def snapshot(self) -> dict[str, Any]:
        return {"last": list(self._last), "until_ns": self._until_ns}

    def restore(self, state: dict[str, Any]) -> None:
        self._last, self._until_ns = list(state["last"]), state["until_ns"]


def _ends_of_runs(x: F64, least: float) -> I64:
    """Rows of (n, 3) that end a run within it, of equal readings of ``least`` at least, on any axis."""
    by_row = x.flags.c_contiguous
    flat, step = (x.reshape(-1), 3) if by_row else (x.T.reshape(-1), 1)  # of either layout without a copy
    at = np.flatnonzero((flat >= least) | (flat <= -least))  # few: only they can end a run
    row = at // 3 if by_row else at % len(x)
    kept = row >= _RUN - 1
    at, row = at[kept], row[kept]
    for back in range(1, _RUN):
        kept = flat[at] == flat[at - back * step]
        at, row = at[kept], row[kept]
    return row
