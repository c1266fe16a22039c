"""Tilt dose: how far and how long the tilt was above its threshold, in degrees times minutes.

`LeakyDose` forgets with a time constant and raises the `tilt_dose` flag. `DoseMeter` adds up the same excess per minute,
without the leak, for the minute's record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from processing.rules.base import EPOCH_S, LEAK_BITS, Limits
from processing.rules.baseline import Baselines
from processing.rules.reading import Reading, TiltReader
from processing.rules.study import Study
from processing.types import RuleEpoch

EPOCHS_PER_MINUTE: Final = 60 // EPOCH_S
UDEG_MIN: Final = 1_000_000


def excess_udeg_min(reading: Reading) -> int:
    """Excess of one epoch over its threshold [micro deg*min], rounded down; 0 at or below the threshold."""
    return max(reading.tilt_mdeg - reading.threshold_mdeg, 0) * 1000 * EPOCH_S // 60


class LeakyDose:
    """The wearer's running dose. It leaks in every epoch, also in missing ones; only eligible epochs add to it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.udeg_min = 0
        self.armed = True

    def leak(self, n: int = 1) -> None:
        """Let n epochs pass."""
        dose, factor = self.udeg_min, self._limits.leak
        while n and dose:
            dose = (dose * factor) >> LEAK_BITS
            n -= 1
        self.udeg_min = dose
        if dose < self._limits.dose_rearm_udeg_min:
            self.armed = True

    def add(self, reading: Reading) -> bool:
        """Add an epoch's excess, after its leak; True where the dose reaches the flag's limit, once until re-armed."""
        self.udeg_min += excess_udeg_min(reading)
        if self.armed and self.udeg_min >= self._limits.dose_on_udeg_min:
            self.armed = False
            return True
        return False


class DoseMeter:
    """Excess per minute [deg*min], un-leaked, for `Epoch.dose_deg_min`.

    Epochs come in order, each once; missing ones are simply not given. It keeps its own copy of the baselines, because
    it runs ahead of the engine's watermark and both must freeze at the same midnight.
    """

    def __init__(self, study: Study, baselines: Baselines | None = None) -> None:
        own = Baselines(study) if baselines is None else baselines.copy(study)
        self._reader = TiltReader(Limits.of(study.tilt), own)
        self._newest: int | None = None
        self._minutes: dict[int, int] = {}

    def update(self, epoch: RuleEpoch) -> None:
        """Count one epoch; raises ValueError where it does not come after the one before."""
        if self._newest is not None:
            if epoch.k <= self._newest:
                raise ValueError(f"epoch {epoch.k} after epoch {self._newest}; the dose meter needs them in order")
            if epoch.k > self._newest + 1:
                self._reader.skip(epoch.k - self._newest - 1)
        self._newest = epoch.k
        reading = self._reader.read(epoch)
        if reading is not None:
            minute = epoch.k // EPOCHS_PER_MINUTE
            self._minutes[minute] = self._minutes.get(minute, 0) + excess_udeg_min(reading)

    def take(self, minute: int) -> float | None:
        """Dose [deg*min] of UTC minute ``minute`` (seconds // 60) and forget it and all before it.

        None where the minute had no eligible epoch, or no neutral to measure from.
        """
        dose = self._minutes.get(minute)
        self._minutes = {m: d for m, d in self._minutes.items() if m > minute}
        return None if dose is None else dose / UDEG_MIN

    def snapshot(self) -> dict[str, Any]:
        """State as plain JSON."""
        return {
            "reader": self._reader.snapshot(),
            "newest": self._newest,
            "minutes": sorted(self._minutes.items()),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a `snapshot`."""
        self._reader.restore(state["reader"])
        self._newest = state["newest"]
        self._minutes = dict(state["minutes"])
