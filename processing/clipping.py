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


@dataclass(slots=True)
class ClipStage:
    """Marks samples that are clipped or within ``doubt_s`` of it (the filter's time constant: a third is left by then)."""

    doubt_s: float = 5.0
    _last: list[Any] = field(default_factory=list)  # the two samples before, acceleration and rate
    _until_ns: int = 0

    def update(self, t_utc_ns: I64, acc_mps2: F64, gyr_rps: F64) -> Bool | None:
        """Doubtful samples (n,), or None where there are none."""
        if not len(t_utc_ns):
            return None
        hit = self._run(acc_mps2, gyr_rps)
        keep = _RUN - 1
        tail = [acc_mps2[-keep:], gyr_rps[-keep:]]
        if self._last and len(t_utc_ns) < keep:
            tail = [np.concatenate([b, a])[-keep:] for b, a in zip(self._last, tail, strict=True)]
        self._last = [a.copy() for a in tail]
        if hit is None and t_utc_ns[0] >= self._until_ns:
            return None
        doubt = t_utc_ns < self._until_ns
        for i in () if hit is None else np.flatnonzero(hit).tolist():
            self._until_ns = int(t_utc_ns[i]) + round(self.doubt_s * NS_PER_S)
            doubt[i:] |= t_utc_ns[i:] < self._until_ns
        return doubt

    def _run(self, acc: F64, gyr: F64) -> Bool | None:
        """Samples that end a run of equal extreme readings on any axis."""
        out: Bool | None = None
        for which, (x, least) in enumerate(((acc, LEAST_ACC_MPS2), (gyr, LEAST_GYR_RPS))):
            if x.max() < least and x.min() > -least:
                continue
            before = self._last[which] if self._last else np.empty((0, 3))
            for k in range(3):
                axis = np.concatenate([before[:, k], x[:, k]])
                at = np.flatnonzero(np.abs(axis) >= least)  # few rows: only they can end a run
                at = at[at >= _RUN - 1]
                for back in range(1, _RUN):
                    at = at[axis[at] == axis[at - back]]
                at = at[at >= len(before)] - len(before)
                if len(at):
                    out = np.zeros(len(x), dtype=bool) if out is None else out
                    out[at] = True
        return out

    def snapshot(self) -> dict[str, Any]:
        return {"last": list(self._last), "until_ns": self._until_ns}

    def restore(self, state: dict[str, Any]) -> None:
        self._last, self._until_ns = list(state["last"]), state["until_ns"]
