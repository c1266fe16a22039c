"""Absolute tilt for the eye: tilt from neutral plus the therapist's offset, with the doubt of both. No rule ever sees it.

Made when something is written or shown, from records that do not hold it; so a later offset changes no record and a replay is exact.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

from processing.alignment.static import WITH_NEUTRAL
from processing.types import Event
from sensor_gateway.alignments.notes import Note, Offset, offset_at

OffsetAt: TypeAlias = Callable[[int], Offset | None]
COLUMNS: Final = ("t_utc_ns", "anterior_tilt_abs_deg", "tilt_abs_uncertainty_deg", "offset_version")


class NeutralTimes:
    """When tilt was relative to a neutral pose, by the alignment events of one sensor in order."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._from: list[int] = []
        self._neutral: list[bool] = []
        for e in events:
            if e.type == "alignment" and e.data.get("outcome") == "in force":
                self._from.append(e.t_utc_ns)
                self._neutral.append(e.data["method"] in WITH_NEUTRAL)

    def holds(self, t_utc_ns: int) -> bool:
        """Whether a neutral pose was in force at the start of this second."""
        i = bisect_right(self._from, t_utc_ns)
        return i > 0 and self._neutral[i - 1]


def offsets_by_time(notes: Sequence[Note], wearer: str) -> OffsetAt:
    """The offset in use at a time, for many times."""
    mine = [n for n in notes if isinstance(n, Offset) and n.wearer == wearer]
    dates = sorted({n.offset.t_utc_ns for n in mine})
    used = [offset_at(mine, wearer, t) for t in dates]

    def at(t_utc_ns: int) -> Offset | None:
        i = bisect_right(dates, t_utc_ns)
        return used[i - 1] if i else None

    return at


def absolute_columns(
    t_utc_ns: Sequence[int],
    tilt_deg: Sequence[float | None],
    uncertainty_deg: Sequence[float | None],
    offset: OffsetAt,
    neutral: Callable[[int], bool],
) -> dict[str, list[Any]]:
    """Columns of the dictionary's `ABSOLUTE` for seconds with their tilt."""
    out: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for t, tilt, doubt in zip(t_utc_ns, tilt_deg, uncertainty_deg, strict=True):
        note = offset(t)
        value: tuple[float | None, float | None] = (None, None)
        if note is not None and tilt is not None and doubt is not None and not math.isnan(tilt) and neutral(t):
            value = note.offset.absolute(tilt, doubt)
        row = (t, *value, None if note is None else note.version)
        for name, cell in zip(COLUMNS, row, strict=True):
            out[name].append(cell)
    return out
