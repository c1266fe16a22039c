"""Recordings that come as two files, one for acceleration and one for angular rate: which belong together, and the joining.

Behind `tiltline import`. The rate is interpolated at the acceleration's times and never over a hole, as `drivers/join.py` does
for sensors that send two streams.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from processing.types import F64, I64, NS_PER_S, Bool
from sensor_gateway.recording.files import Header, RecordingError, read_header
from sensor_gateway.recording.guess import ACC_UNITS, GYR_UNITS, find_columns, read_unit

Group = Literal["acc", "gyr"]
_AXIS: Final = re.compile(r"^(?:axis[ _-]?)?([xyz])(?:[ _-]?axis)?(?:\s*[(\[][^)\]]*[)\]])?$", re.IGNORECASE)
_SAYS: Final[dict[Group, re.Pattern[str]]] = {
    "gyr": re.compile(r"gyro(?:scope)?|gyr|angular[ _-]?(?:velocity|rate)|angularvelocity", re.IGNORECASE),
    "acc": re.compile(r"linear[ _-]?acceleration|accelerometer|acceleration|accel|acc", re.IGNORECASE),
}
_VARIES: Final = re.compile(r"\d+(?:\.\d+)?\s*hz|\d+\.\d+\.\d+$", re.IGNORECASE)
HOLE_PERIODS: Final = 2.5


@dataclass(frozen=True, slots=True)
class Half:
    """A file that holds one of the two quantities: its columns x, y, z."""

    header: Header
    group: Group
    columns: tuple[str, str, str]

    @property
    def key(self) -> str:
        """What two halves of one recording have in common in their names: all but quantity, rate and version."""
        bare = _VARIES.sub("", _SAYS[self.group].sub("", self.header.path.stem))
        return re.sub(r"[\W_]+", " ", bare).strip().lower()


def half_of(path: Path) -> Half | None:
    """The half that a file is; None where it holds both quantities, or neither."""
    header = read_header(path)
    _, found, _ = find_columns(header.columns)
    groups = {"acc" if ours[0] == "a" else "gyr" for ours in found}
    if len(groups) == 2:
        return None
    if len(found) == 3:
        group: Group = "acc" if "acc" in groups else "gyr"
        x, y, z = (found[("a" if group == "acc" else "g") + axis] for axis in "xyz")
        return Half(header, group, (x, y, z))
    axes = {m.group(1).lower(): c for c in header.columns if (m := _AXIS.match(c))}
    if set(axes) != set("xyz"):
        return None
    units = {read_unit(c) for c in axes.values()}
    unit = next(iter(units)) if len(units) == 1 else None
    by_unit: Group | None = "acc" if unit in ACC_UNITS else "gyr" if unit in GYR_UNITS else None
    by_name: Group | None = next((g for g, words in _SAYS.items() if words.search(path.stem)), None)
    told = by_unit or by_name
    return None if told is None else Half(header, told, (axes["x"], axes["y"], axes["z"]))


def pairs(paths: Sequence[Path]) -> list[tuple[Path, Path | None]]:
    """Each recording once: a whole file with None, or the acceleration's file with the rate's.

    Halves find each other by their names, or by being the only two; a half that is alone is looked for beside its file, and
    stays alone where there is none.
    """
    halves = {p: h for p in paths if (h := _half_or_none(p)) is not None}
    accs, gyrs = ([h for h in halves.values() if h.group == g] for g in ("acc", "gyr"))
    out: list[tuple[Path, Path | None]] = []
    used: set[Path] = set()
    for path in paths:
        half = halves.get(path)
        if half is None:
            out.append((path, None))
        elif path not in used:
            others = gyrs if half.group == "acc" else accs
            only = len(accs) == len(gyrs) == 1
            other = next((o for o in others if only or o.key == half.key), None) or _beside(half)
            if other is None:
                out.append((path, None))
                continue
            used |= {path, other.header.path}
            acc, gyr = (half, other) if half.group == "acc" else (other, half)
            out.append((acc.header.path, gyr.header.path))
    return out


def _half_or_none(path: Path) -> Half | None:
    try:
        return half_of(path)
    except RecordingError:
        return None  # whoever reads it says why


def lonely(half: Half) -> str:
    """The sentence for a half without its other."""
    has, lacks = ("acceleration", "angular rate") if half.group == "acc" else ("angular rate", "acceleration")
    return (
        f"{half.header.path}: holds {has} only; name the file with the {lacks} as well: tiltline import ACC.csv GYR.csv"
    )


def _beside(half: Half) -> Half | None:
    found = []
    for path in sorted(half.header.path.parent.glob("*" + half.header.path.suffix)):
        other = _half_or_none(path)
        if other is not None and other.group != half.group and other.key == half.key:
            found.append(other)
    return found[0] if len(found) == 1 else None


def join(acc_t: I64, gyr_t: I64, gyr: F64) -> tuple[F64, Bool]:
    """The rate (n, 3) at the acceleration's times (n,) [ns], and where it is known (n,): not outside, not over a hole.

    ``gyr_t`` must increase. Raises ValueError where the two do not overlap, or one has a single row.
    """
    if len(acc_t) < 2 or len(gyr_t) < 2:
        raise ValueError("one of the two files holds fewer than two samples")
    if acc_t[-1] < gyr_t[0] or gyr_t[-1] < acc_t[0]:
        raise ValueError(
            f"the two files do not overlap in time: acceleration {_span(acc_t)}, angular rate {_span(gyr_t)}; "
            "name two files of one recording"
        )
    zero = int(acc_t[0])
    at, known = (acc_t - zero) / NS_PER_S, (gyr_t - zero) / NS_PER_S
    values = np.column_stack([np.interp(at, known, gyr[:, k]) for k in range(3)])
    hole_s = HOLE_PERIODS * float(np.median(np.diff(known)))
    after = np.clip(np.searchsorted(known, at, side="left"), 1, len(known) - 1)
    ok = (known[after] - known[after - 1] <= hole_s) | (known[after] == at) | (known[after - 1] == at)
    # The first and last samples of the two seldom coincide; half a period outside is held, more is not known.
    inside = (at >= known[0] - hole_s / HOLE_PERIODS / 2) & (at <= known[-1] + hole_s / HOLE_PERIODS / 2)
    return values, ok & inside


def _span(t: I64) -> str:
    return f"{t[0] / NS_PER_S:.3f} to {t[-1] / NS_PER_S:.3f} s"
