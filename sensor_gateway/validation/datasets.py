"""What a folder of recordings with a known truth looks like, and which recordings it holds.

Layout: one sub-folder per set, Parquet files in it, samples as `tiltline process` reads them, facts as JSON under the schema's
metadata key ``recording``. What is known of a recording is told by its columns, so another set in the same form is scored too:

- ``q_w..q_z`` with ``movement``: earth (z up) ← sensor, from optics, and the samples to score;
- ``ref_tilt_deg`` (+ = ASIS lower), ``ref_obliquity_deg`` (+ = right higher), ``walking``: pelvis markers;
- ``label``: posture and changes of posture from video (`truth.POSTURE_OF_LABEL`, `truth.KIND_OF_LABEL`);
- ``contacts_s`` among the facts, or ``ic_indip`` with ``walk_indip``: when a foot took the weight.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from sensor_gateway.recording.alignment import NOMINAL_MOUNT
from sensor_gateway.validation.truth import facts_of

_MOUNTS: Final[Mapping[str, str]] = {"mobgap_lowback": "up=+x,anterior=+z", "hapt": "auto"}
"""Where the usual mount is not the one; "auto": mount and neutral pose are found in the recording itself."""
_LOOKED_AT: Final[Mapping[str, frozenset[str]]] = {"hapt": frozenset(f"user{n:02d}" for n in range(1, 14))}
"""People on whom the structure of a stage was built; the others are held apart, though their scores were seen (docs/validation.md)."""
NO_PERSON: Final = frozenset({"broad"})
"""Moved by hand: each recording counts as its own subject."""


class DataError(ValueError):
    """A folder that cannot be validated against; one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class Case:
    """One recording: where it is, whose, what was done in it, and how the clip sat."""

    set: str
    path: Path
    subject: str
    activity: str
    mount: str
    looked_at: bool

    @property
    def name(self) -> str:
        return self.path.stem


@dataclass(frozen=True, slots=True)
class Found:
    """The recordings of a folder in order, and sentences about files that were left out."""

    cases: list[Case]
    skipped: list[str] = field(default_factory=list)


def find(folder: Path, sets: Sequence[str] | None = None) -> Found:
    """Recordings with a truth in the sub-folders of ``folder``; raises `DataError` where there are none."""
    want = f"expected sub-folders such as {', '.join(KNOWN_SETS)} with Parquet files in them"
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; {want}")
    present = sorted(p.name for p in folder.iterdir() if p.is_dir() and any(p.glob("*.parquet")))
    if not present:
        raise DataError(f"{folder}: holds no recordings; {want}")
    unknown = sorted(set(sets or ()) - set(present))
    if unknown:
        raise DataError(f"{folder}: has no set {', '.join(unknown)}; there are {', '.join(present)}")
    cases, skipped = [], []
    for name in [p for p in present if sets is None or p in sets]:
        for path in sorted((folder / name).glob("*.parquet")):
            problem = _problem(path)
            if problem is None:
                cases.append(_case(name, path))
            else:
                skipped.append(f"{name}/{path.name} is left out: {problem}")
    if not cases:
        raise DataError(f"{folder}: no file has a truth to compare with ({skipped[0]}); {want}")
    return Found(cases, skipped)


KNOWN_SETS: Final = ("broad", "hapt", "ipol_l5_gait", "mobgap_lowback", "neura_pelvis")


def _problem(path: Path) -> str | None:
    try:
        schema = pq.read_schema(path)
        facts = facts_of(schema.metadata)
    except (pa.ArrowException, OSError, ValueError) as e:
        return f"it cannot be read ({e})"
    names = set(schema.names)
    if "t_s" not in names:
        return "it has no column t_s"
    known = {"ref_tilt_deg", "label", "ic_indip"} & names or {"q_w", "movement"} <= names
    return None if known or "contacts_s" in facts else "it has no column with a truth"


def _case(name: str, path: Path) -> Case:
    stem = path.stem
    user = re.search(r"user\d+", stem)
    subject = stem if name in NO_PERSON else user[0] if user else stem.split("_")[0]
    looked_at = subject in _LOOKED_AT.get(name, frozenset())
    return Case(name, path, subject, _activity(name, stem), _MOUNTS.get(name, NOMINAL_MOUNT), looked_at)


def _activity(name: str, stem: str) -> str:
    if name == "broad":  # e.g. 05_undisturbed_slow_rotation_with_breaks_B
        words = re.sub(r"^\d+_(undisturbed_)?|_[A-Z]$|_\d+cm$", "", stem).replace("_", " ")
        return words if stem.split("_")[1:2] != ["disturbed"] else "disturbed"
    if name == "mobgap_lowback":
        return {"Test5": "straight walk", "Test11": "daily activities"}.get(stem.split("_")[1], "other")
    return "all"
