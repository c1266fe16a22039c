"""Absolute tilt for the eye: tilt from neutral plus the therapist's offset, with the doubt of both. No rule ever sees it.

Made when something is written or shown, from records that do not hold it; so a later offset changes no record and a replay is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from processing.alignment.static import WITH_NEUTRAL
from processing.types import F64, I64, Bool, Event
from sensor_gateway.alignments.notes import Note, Offset, offset_at


class NeutralTimes:
    """When tilt was relative to a neutral pose, by the alignment events of one sensor in order."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._from: list[int] = []
        self._neutral = [False]
        for e in events:
            if e.type == "alignment" and e.data.get("outcome") == "in force":
                self._from.append(e.t_utc_ns)
                self._neutral.append(e.data["method"] in WITH_NEUTRAL)

    def holds(self, t_utc_ns: I64) -> Bool:
        """Whether a neutral pose was in force at the start of these seconds (n,)."""
        out: Bool = np.array(self._neutral)[np.searchsorted(np.array(self._from, np.int64), t_utc_ns, "right")]
        return out


@dataclass(frozen=True, slots=True)
class OffsetsByTime:
    """Offsets of a wearer: ``used[0]`` before the first of the ``dates`` [UTC ns], ``used[i + 1]`` from the i-th on."""

    dates: tuple[int, ...]
    used: tuple[Offset | None, ...]


def offsets_by_time(notes: Sequence[Note], wearer: str) -> OffsetsByTime:
    """The offset in use at each time."""
    mine = [n for n in notes if isinstance(n, Offset) and n.wearer == wearer]
    dates = tuple(sorted({n.offset.t_utc_ns for n in mine}))
    return OffsetsByTime(dates, (None, *(offset_at(mine, wearer, t) for t in dates)))


def absolute_columns(
    t_utc_ns: I64, tilt_deg: F64, uncertainty_deg: F64, offsets: OffsetsByTime, neutral: Bool
) -> dict[str, Any]:
    """Columns of the dictionary's `ABSOLUTE` for seconds with their tilt (n,), NaN where there is none; ``neutral``: whether it is
    relative to a neutral pose.
    """
    absolute = np.full((len(t_utc_ns), 2), np.nan)
    which = np.searchsorted(np.array(offsets.dates, np.int64), t_utc_ns, "right")
    told = neutral & ~np.isnan(tilt_deg) & ~np.isnan(uncertainty_deg)
    for i, note in enumerate(offsets.used):
        rows = np.flatnonzero(told & (which == i))
        if note is not None and len(rows):
            pairs = zip(tilt_deg[rows].tolist(), uncertainty_deg[rows].tolist(), strict=True)
            absolute[rows] = [note.offset.absolute(tilt, doubt) for tilt, doubt in pairs]
    versions = [None if note is None else note.version for note in offsets.used]
    known = None not in {versions[i] for i in np.unique(which)}
    return {
        "t_utc_ns": t_utc_ns,
        "anterior_tilt_abs_deg": absolute[:, 0],
        "tilt_abs_uncertainty_deg": absolute[:, 1],
        "offset_version": np.array(versions)[which].astype(np.int64)
        if known
        else [versions[i] for i in which.tolist()],
    }
