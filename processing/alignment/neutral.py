"""Takes the neutral pose from a live stream: collects the samples of a few seconds, then aligns or says why not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from processing.alignment.static import Alignment, AlignmentError, Mount, align, neutral_gravity
from processing.types import F64, I64, NS_PER_S


@dataclass(frozen=True, slots=True)
class Captured:
    """Outcome at the end of the pose: a new alignment, or the reason for refusing it."""

    t_utc_ns: int
    outcome: Alignment | str


@dataclass(slots=True)
class NeutralCapture:
    """At most one capture at a time; a new request replaces a running one."""

    _from_ns: int | None = None
    _to_ns: int = 0
    _acc: list[F64] = field(default_factory=list)
    _gyr: list[F64] = field(default_factory=list)

    def begin(self, t_utc_ns: int, duration_s: float) -> None:
        """Collect from ``t_utc_ns`` on for ``duration_s``."""
        self._from_ns, self._to_ns = t_utc_ns, t_utc_ns + round(duration_s * NS_PER_S)
        self._acc, self._gyr = [], []

    def cut_at(self, t_utc_ns: I64) -> int | None:
        """Row at which the pose ends, if these times reach it: the new alignment starts with a sample, not with a chunk."""
        if self._from_ns is None or not len(t_utc_ns) or t_utc_ns[-1] < self._to_ns:
            return None
        return int(np.searchsorted(t_utc_ns, self._to_ns))

    def take(self, t_utc_ns: I64, acc_mps2: F64, gyr_rps: F64) -> None:
        """Keep what falls into the pose."""
        if self._from_ns is None:
            return
        keep = t_utc_ns >= self._from_ns
        if keep.any():
            self._acc.append(acc_mps2[keep])
            self._gyr.append(gyr_rps[keep])

    def finish(self, current: Alignment) -> Captured:
        """The outcome at the end of the pose."""
        t_end, self._from_ns = self._to_ns, None
        acc = np.concatenate(self._acc) if self._acc else np.empty((0, 3))
        gyr = np.concatenate(self._gyr) if self._gyr else np.empty((0, 3))
        self._acc, self._gyr = [], []
        mount = Mount(current.r_ps[1], current.r_ps[0])
        try:
            gravity = neutral_gravity(acc, gyr)
            return Captured(t_end, align(mount, gravity, given=True, mount_id=current.mount_id, t_utc_ns=t_end))
        except AlignmentError as e:
            return Captured(t_end, str(e))

    def snapshot(self) -> dict[str, Any]:
        return {"from_ns": self._from_ns, "to_ns": self._to_ns, "acc": list(self._acc), "gyr": list(self._gyr)}

    def restore(self, state: dict[str, Any]) -> None:
        self._from_ns, self._to_ns = state["from_ns"], state["to_ns"]
        self._acc, self._gyr = list(state["acc"]), list(state["gyr"])
