"""Where another alignment was in force than in the gateway's store, since when, and by how much it is turned: for the diff report."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from processing.alignment.history import AlignmentHistory
from processing.alignment.realign import angle_deg
from processing.alignment.static import Alignment
from processing.frames import tilt_and_obliquity_deg
from sensor_gateway.alignments.history import read_history
from sensor_gateway.sinks.store import Store

_FAR_NS: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class AlignmentChange:
    """From ``from_utc_ns`` to ``to_utc_ns`` (None: open) ``derived`` held instead of ``stored`` (ids).

    ``zero_deg``: angle between the two zeros; ``tilt_deg``: by how much tilt at the new zero is greater than it was (None: they lie
    too far apart sideways); ``front_deg``: how far the front is turned about the vertical.
    """

    wearer: str
    sensor: str
    from_utc_ns: int
    to_utc_ns: int | None
    stored: str
    derived: str
    zero_deg: float
    tilt_deg: float | None
    front_deg: float


def alignment_changes(stored: Store, derived: Store, worn: Mapping[str, Collection[str]]) -> list[AlignmentChange]:
    """Of each wearer's sensors, in the order of time."""
    found: list[AlignmentChange] = []
    for wearer, sensors in worn.items():
        a, b = (read_history(store, wearer, ()) for store in (stored, derived))
        for sensor in sensors:
            found += _of_sensor(wearer, sensor, a.of_sensor(sensor), b.of_sensor(sensor))
    return found


def _of_sensor(wearer: str, sensor: str, a: AlignmentHistory, b: AlignmentHistory) -> Iterator[AlignmentChange]:
    cuts = sorted({e.alignment.t_utc_ns for e in (*a.entries, *b.entries)})
    for from_ns, to_ns in zip(cuts, [*cuts[1:], None], strict=True):
        was, now = a.in_force(from_ns), b.in_force(from_ns)
        if was is not None and now is not None and was.alignment.r_ps != now.alignment.r_ps:
            turned = _turned(was.alignment, now.alignment)
            yield AlignmentChange(wearer, sensor, from_ns, to_ns, was.alignment.id, now.alignment.id, *turned)


def _turned(was: Alignment, now: Alignment) -> tuple[float, float | None, float]:
    a, b = np.array(was.r_ps), np.array(now.r_ps)
    before, _ = tilt_and_obliquity_deg((a @ b[1])[None, :])
    # The old front, carried along the shortest way from the old up to the new one.
    axis = np.cross(a[1], b[1])
    k = np.array([[0.0, -axis[2], axis[1]], [axis[2], 0.0, -axis[0]], [-axis[1], axis[0], 0.0]])
    along = float(a[1] @ b[1])
    x, y, z = (a[0] if along <= -1.0 + 1e-9 else a[0] + k @ a[0] + k @ (k @ a[0]) / (1.0 + along)).tolist()
    moved = None if np.isnan(before[0]) else float(-before[0])
    return angle_deg(was.r_ps[1], now.r_ps[1]), moved, angle_deg((x, y, z), now.r_ps[0])
