"""The truth of one recording, whatever the form in which its set keeps it; see `datasets.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from processing.frames import up_in_sensor
from processing.types import F64, I64, Bool

POSTURE_OF_LABEL: Final[Mapping[int, str]] = {
    1: "walking", 2: "walking", 3: "walking", 4: "sitting", 5: "standing", 6: "lying",
}  # fmt: skip
KIND_OF_LABEL: Final[Mapping[int, str]] = {7: "stand_to_sit", 8: "sit_to_stand"}
UNLABELLED: Final = 0
_SETTLE_S: Final = 0.5
_NEUTRAL_S: Final = 2.5


@dataclass(frozen=True, slots=True)
class Contacts:
    """When feet took the weight [s], which ("left", "right", "unknown"), and the walks (from, to) [s] they are complete in; None: all."""

    t_s: F64
    side: tuple[str, ...]
    walks_s: tuple[tuple[float, float], ...] | None


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of a recording of n samples; None what is not. ``moving``, ``walking`` (n,) mark samples."""

    t_s: F64
    up_s: F64 | None = None
    moving: Bool | None = None
    tilt_deg: F64 | None = None
    obliquity_deg: F64 | None = None
    walking: Bool | None = None
    label: I64 | None = None
    contacts: Contacts | None = None
    neutral_s: tuple[float, float] | None = None


def facts_of(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    """What a reference recording's Parquet metadata says of it (key ``recording``, JSON); empty where it says nothing."""
    facts = json.loads((metadata or {}).get(b"recording", b"{}"))
    return facts if isinstance(facts, dict) else {}


def read_truth(path: Path) -> Truth:
    """The truth of one recording."""
    table = pq.read_table(path)
    facts = facts_of(table.schema.metadata)
    names = set(table.column_names)

    def column(name: str) -> F64:
        values: F64 = table[name].to_numpy().astype(np.float64)
        return values

    def marks(name: str) -> Bool | None:
        return column(name) > 0.5 if name in names else None

    t_s = column("t_s")
    walking = marks("walking")
    has_tilt = "ref_tilt_deg" in names
    return Truth(
        t_s,
        up_in_sensor(np.column_stack([column(f"q_{c}") for c in "wxyz"])) if {"q_w", "movement"} <= names else None,
        marks("movement"),
        column("ref_tilt_deg") if has_tilt else None,
        column("ref_obliquity_deg") if "ref_obliquity_deg" in names else None,
        walking,
        column("label").astype(np.int64) if "label" in names else None,
        _contacts(t_s, facts, marks("ic_indip"), marks("walk_indip")),
        _standing_first(t_s, walking) if has_tilt else None,
    )


def _contacts(t_s: F64, facts: Mapping[str, Any], insole: Bool | None, walks: Bool | None) -> Contacts | None:
    listed = facts.get("contacts_s")
    if listed is not None:
        pairs = sorted((float(t), {"L": "left", "R": "right"}.get(foot, "unknown")) for t, foot in listed)
        return Contacts(np.array([t for t, _ in pairs]), tuple(foot for _, foot in pairs), None)
    if insole is None:
        return None
    when = t_s[insole]
    spans = () if walks is None else tuple((float(t_s[a]), float(t_s[b - 1])) for a, b in runs(walks))
    return Contacts(when, ("unknown",) * len(when), spans)


def _standing_first(t_s: F64, walking: Bool | None) -> tuple[float, float] | None:
    """Quiet standing before the first step, if the recording begins with it: where the neutral pose is taken."""
    if walking is None or not walking.any():
        return None
    begin = float(t_s[0]) + _SETTLE_S
    end = min(begin + _NEUTRAL_S, float(t_s[int(np.argmax(walking))]) - _SETTLE_S)
    return (begin, end) if end - begin >= 1.0 else None


def runs(flag: Bool) -> list[tuple[int, int]]:
    """Rows [lo, hi) of each unbroken run in which ``flag`` holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flag, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def postures_by_second(t_s: F64, label: I64, posture_of: Mapping[int, str] = POSTURE_OF_LABEL) -> dict[int, str]:
    """Seconds whose samples (n,) all carry labels of one and the same posture, with that posture."""
    second = np.floor(t_s + 1e-9).astype(np.int64)
    edges = [0, *(np.flatnonzero(np.diff(second)) + 1).tolist(), len(second)]
    truth: dict[int, str] = {}
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        names = {posture_of.get(int(x)) for x in np.unique(label[a:b])}
        if len(names) == 1 and (name := names.pop()) is not None:
            truth[int(second[a])] = name
    return truth
