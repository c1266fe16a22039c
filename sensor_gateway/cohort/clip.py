"""The synthetic clip itself: how it sits, what the pipeline would tell of holes, wear and slips, its battery.

The events are made by the pipeline's own `Notices` and `SlipNote`; only when they happen is drawn (`cohort/days.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import numpy as np

from processing.alignment.mounts import SlipNote, next_mount_id
from processing.alignment.static import NOMINAL_UNCERTAINTY_DEG, STATIC_UNCERTAINTY_DEG, Alignment
from processing.gaps import Gap
from processing.notices import Notices
from processing.rules.base import EPOCH_NS
from processing.types import F64, NS_PER_S, DeviceReport
from sensor_gateway.cohort.days import HOUR, MINUTE, NOT_WORN, Day
from sensor_gateway.cohort.minutes import device_reports

REPORT_EVERY: Final = 10 * MINUTE
FIRMWARE: Final = "synthetic-1"
REALIGNED_UNCERTAINTY_DEG: Final = 3.0
_AXES: Final = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_REMEDY: Final = "Take your neutral again, or walk for two minutes."


class Clip:
    """``mount_id`` and ``alignment_id`` (empty: no neutral known) hold for the newest epoch."""

    def __init__(self, sensor: str, study_hash: str, battery_h: float) -> None:
        self.notices = Notices(sensor, study_hash)
        self.mount_id = "mount-synthetic"
        self.alignment_id = ""
        self._alignment = Alignment("", self.mount_id, "nominal", _AXES, NOMINAL_UNCERTAINTY_DEG, 0)
        self._last_k: int | None = None
        self._battery_h, self._charge, self._frames = battery_h, 100.0, 0

    def set_neutral(self, day: Day, number: int) -> None:
        """The wearer takes the neutral pose with the first data of the day."""
        t_ns = (day.first_k + int(np.flatnonzero(day.received)[0]) + 1) * EPOCH_NS
        name = f"static-synthetic-{number}"
        found = Alignment(name, self.mount_id, "static", _AXES, STATIC_UNCERTAINTY_DEG, t_ns)
        self._hold(found)
        self.notices.alignment(t_ns, found)

    def notice(self, day: Day, i: int, k: int, code: int) -> None:
        """Pass epoch ``k``, the ``i``-th of the day: holes, wear, and a clip that slips and is found again."""
        t_ns = k * EPOCH_NS
        if self._last_k is not None and k > self._last_k + 1:
            from_ns = (self._last_k + 1) * EPOCH_NS
            self.notices.gaps([Gap(from_ns, t_ns, (t_ns - from_ns) * 100 // NS_PER_S)])
        self._last_k = k
        self.notices.wear(t_ns, worn=code != NOT_WORN)
        if day.slip is None:
            return
        slipped_ns = (day.first_k + day.slip[0]) * EPOCH_NS
        if i >= day.slip[0] and self.alignment_id and self._alignment.t_utc_ns < slipped_ns:
            self.mount_id = next_mount_id(self.mount_id, t_ns)
            self._tell(
                "new_mount", Alignment(f"nominal-{self.mount_id}", self.mount_id, "suspended", _AXES, 10.0, t_ns)
            )
        elif i >= day.slip[1] and not self.alignment_id:
            name = f"realigned-{self.mount_id}"
            self._tell("realigned", Alignment(name, self.mount_id, "realigned", _AXES, REALIGNED_UNCERTAINTY_DEG, t_ns))

    def _tell(self, kind: Literal["new_mount", "realigned"], found: Alignment) -> None:
        t_ns, new = found.t_utc_ns, kind == "new_mount"
        since_ns = t_ns - 300 * NS_PER_S
        note = SlipNote(kind, "slip" if new else "walk", t_ns, since_ns, t_ns, found, 6.5, 4.0, _REMEDY if new else "")
        self.notices.add(t_ns, "mount" if new else "alignment", note.data())
        self._hold(found)

    def _hold(self, found: Alignment) -> None:
        self._alignment, self.alignment_id = found, found.id if found.has_neutral else ""

    def reports(self, day: Day) -> Iterator[DeviceReport]:
        """What the clip says of itself through the day."""
        charge, before = self._battery(day), self._frames
        self._frames += int(day.received.sum())
        return device_reports(day, charge, before, REPORT_EVERY, FIRMWARE)

    def _battery(self, day: Day) -> F64:
        """Charge through the day [%]; charged at night when it is low, unless this is somebody who forgets."""
        if self._charge < (8.0 if self._battery_h < 40 else 45.0):
            self._charge = 100.0
        used: F64 = np.cumsum(day.received) / (self._battery_h * HOUR) * 100
        if day.flat_from is not None:
            self._charge = float(used[-1])
        charge: F64 = np.maximum(0.0, self._charge - used)
        self._charge = float(charge[-1])
        return charge
