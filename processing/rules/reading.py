"""The one definition of what the rules look at: which epochs count, the smoothed tilt a~, and the threshold it meets.

Used twice, by the flag engine behind its watermark and by the dose of the live minute, so that both mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from processing.rules.base import EPOCH_S, Limits
from processing.rules.baseline import Baselines
from processing.types import RuleEpoch

NOMINAL: Final = "nominal"
"""Alignments whose id starts so rest on the mount drawing alone: no neutral was taken, nothing may be flagged."""


class Reading(NamedTuple):
    """An eligible epoch: a~ (median tilt of the last three eligible epochs) against the threshold of its posture."""

    tilt_mdeg: int
    threshold_mdeg: int


class TiltReader:
    """In-order epochs to `Reading` or None. ``interruption`` says why the last epoch broke with what came before."""

    def __init__(self, limits: Limits, baselines: Baselines) -> None:
        self._limits = limits
        self.baselines = baselines
        self.recent: tuple[int, ...] = ()
        self.ineligible_s = 0
        self.paused = True
        self.interruption: str | None = None
        self._wearing: tuple[str, str] | None = None  # mount and alignment of the newest epoch
        self._aligned: tuple[str, str] | None = None  # mount and alignment of the newest neutral

    @property
    def wearing(self) -> tuple[str, str]:
        """Mount id and alignment id of the newest epoch; empty before the first."""
        return self._wearing or ("", "")

    def read(self, epoch: RuleEpoch) -> Reading | None:
        """One epoch, in order. None where it is ineligible or the rules are paused."""
        wearing = self._wearing
        self.interruption = None
        if wearing is None or epoch.mount_id != wearing[0] or epoch.alignment_id != wearing[1]:
            self._wear(epoch.mount_id, epoch.alignment_id)
        limits = self._limits
        tilt, obliquity = epoch.tilt_mdeg, epoch.abs_obliquity_mdeg
        if (
            self.paused
            or epoch.posture not in limits.postures
            or tilt is None
            or obliquity is None
            or epoch.settling
            or epoch.coverage_permille < limits.coverage_permille
            or epoch.confidence_permille < limits.confidence_permille
            or obliquity >= limits.obliquity_mdeg
        ):
            self.skip(1)
            return None
        baselines = self.baselines
        baselines.add(epoch.k, epoch.posture, tilt)
        self.ineligible_s = 0
        self.recent = recent = (*self.recent[-2:], tilt)
        return Reading(median_of_recent(recent), baselines.thresholds[epoch.posture].on_mdeg)

    def skip(self, n: int) -> None:
        """Pass n epochs that are missing or ineligible."""
        self.ineligible_s += n * EPOCH_S
        if self.ineligible_s >= self._limits.max_ineligible_s:
            self.recent = ()

    def _wear(self, mount_id: str, alignment_id: str) -> None:
        """Another mount or another neutral: tilts before and after do not compare.

        A neutral holds for the mount it was taken on. A new mount without a new neutral pauses the rules, since its
        offset could be mistaken for posture.
        """
        if not alignment_id or alignment_id.startswith(NOMINAL):
            self.paused, why = True, "not_aligned"
        elif self._aligned is None or self._aligned[1] != alignment_id:
            self._aligned = (mount_id, alignment_id)
            self.paused, why = False, "realigned"
        else:
            self.paused = self._aligned[0] != mount_id
            why = "mount_changed"
        if self._wearing is not None:
            self.interruption = why
        self._wearing = (mount_id, alignment_id)
        self.recent = ()

    def snapshot(self) -> dict[str, Any]:
        """State as plain JSON, baselines included."""
        return {
            "recent": list(self.recent),
            "ineligible_s": self.ineligible_s,
            "paused": self.paused,
            "wearing": self._wearing,
            "aligned": self._aligned,
            "baselines": self.baselines.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a `snapshot`."""
        self.recent = tuple(state["recent"])
        self.ineligible_s = state["ineligible_s"]
        self.paused = state["paused"]
        self.interruption = None
        self._wearing = _pair(state["wearing"])
        self._aligned = _pair(state["aligned"])
        self.baselines.restore(state["baselines"])


def median_of_recent(tilts: tuple[int, ...]) -> int:
    """Median of one to three integers; of two the mean, rounded down."""
    if len(tilts) == 3:
        a, b, c = tilts
        if a > b:
            a, b = b, a
        return a if c < a else min(b, c)
    return sum(tilts) // len(tilts)


def _pair(value: Any) -> tuple[str, str] | None:
    return None if value is None else (value[0], value[1])
