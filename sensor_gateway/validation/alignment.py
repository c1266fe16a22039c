"""How well walking tells how a clip sat, and whether a clip that slipped is found: on the recordings of the same run.

Asked of every recording with walking: the heading of two halves of a person's walking, front told from back, the same
recording turned in software (upside down, left for right, both), and, where labels tell the walks apart, a slip of 15° between two of
them. Turning samples is exact, so these truths need no cameras. Nothing is told of mount or walks: `auto_mount` has to find them.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from processing.alignment.auto import AutoMount, auto_mount, survey
from processing.alignment.gait_window import GaitWindow, Three
from processing.alignment.realign import angle_deg, change_between
from processing.alignment.static import align, parse_mount
from processing.alignment.walking import mean_up, walking_seconds
from processing.batch import blocks, process_recording
from processing.core import CoreSetup
from processing.rules.study import Study
from processing.types import F64, Bool, Event, TimedBatch
from sensor_gateway.recording.recording import Recording
from sensor_gateway.validation.datasets import NO_PERSON, Case
from sensor_gateway.validation.truth import Truth, runs

TURNS: Final[dict[str, F64]] = {
    "as it is": np.eye(3),
    "upside down": np.diag([-1.0, -1.0, 1.0]),
    "left for right": np.diag([1.0, -1.0, -1.0]),
    "both": np.diag([-1.0, 1.0, -1.0]),
}
MIN_WALKING_S: Final = 45
SLIP_DEG: Final = 15.0
_SAME_WEARING_DEG: Final = 4.0
_RIGHT_SIDE_DEG: Final = 90.0
_LEVEL: Final = 1
_LYING: Final = 6
"""Labels: walking on the level, lying (on the back, in the set that has them)."""
_TURNED_SETS: Final = frozenset({"ipol_l5_gait", "mobgap_lowback", "neura_pelvis"})
_DRAWS: Final = 2000


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What was asked of one recording. ``right``: was each turn's up and front found; None where the truth does not say."""

    set: str
    recording: str
    subject: str
    windows: list[GaitWindow]
    right: dict[str, bool] = field(default_factory=dict)
    slip_found: bool | None = None
    false_alarms: int = 0
    front_off_deg: float | None = None


@dataclass(frozen=True, slots=True)
class Half:
    """Two halves of one person's walking in one wearing: how far their headings lie apart."""

    set: str
    subject: str
    walking_s: int
    apart_deg: float


@dataclass(frozen=True, slots=True)
class AlignmentBar:
    """A level for alignment; ``better`` "low" or "high"."""

    name: str
    label: str
    limit: float
    better: str
    reached: float | None
    interval: tuple[float, float] | None
    of: int
    unit: str

    @property
    def met(self) -> bool | None:
        if self.reached is None:
            return None
        return self.reached <= self.limit if self.better == "low" else self.reached >= self.limit


@dataclass(frozen=True, slots=True)
class AlignmentResult:
    """Everything the report shows of alignment."""

    halves: list[Half]
    bars: list[AlignmentBar]
    turned: dict[str, tuple[int, int]]
    front_off_deg: list[float]
    slips: tuple[int, int]
    false_alarms: int


def survey_case(case: Case, truth: Truth, recording: Recording) -> Surveyed | None:
    """Ask one recording; None where it holds no walking that could tell anything."""
    if case.set in NO_PERSON:
        return None
    batch = TimedBatch(recording.t_utc_ns, recording.acc_mps2, recording.gyr_rps)
    found = survey(blocks(batch), recording.rate_hz)
    if not found.windows:
        return Surveyed(case.set, case.name, case.subject, [])
    mount = auto_mount(found)
    right: dict[str, bool] = {}
    off = None
    if case.mount != "auto":
        axes = parse_mount(case.mount)
        for name, turn in TURNS.items():
            if case.set not in _TURNED_SETS and name != "as it is":
                continue
            here = mount if name == "as it is" else auto_mount(survey(blocks(turned(batch, turn)), recording.rate_hz))
            right[name] = _right(here, turn @ np.array(axes.up), turn @ np.array(axes.anterior))
        if isinstance(mount, AutoMount):
            off = angle_deg(mount.mount.anterior, axes.anterior)
    elif truth.label is not None and (truth.label == _LYING).any():
        belly = recording.acc_mps2[_at(truth, recording, truth.label == _LYING)].mean(axis=0)
        right["as it is"] = isinstance(mount, AutoMount) and float(np.array(mount.mount.anterior) @ belly) > 0.0
    found_slip, alarms = None, 0
    if isinstance(mount, AutoMount) and truth.label is not None:
        found_slip, alarms = _slip(case, truth, recording, batch, mount)
    return Surveyed(case.set, case.name, case.subject, found.windows, right, found_slip, alarms, off)


def turned(batch: TimedBatch, turn: F64, from_ns: int | None = None) -> TimedBatch:
    """The samples of a clip turned by ``turn`` (3, 3), from ``from_ns`` on where given."""
    late = slice(0 if from_ns is None else int(np.searchsorted(batch.t_utc_ns, from_ns)), None)
    acc, gyr = batch.acc_mps2.copy(), batch.gyr_rps.copy()
    acc[late], gyr[late] = acc[late] @ turn.T, gyr[late] @ turn.T
    return TimedBatch(batch.t_utc_ns, acc, gyr)


def _right(found: AutoMount | str, up: F64, front: F64) -> bool:
    """Up and front on the right side: people wear a clip askew, never the other way round from where they say."""
    if isinstance(found, str):
        return False
    return (
        angle_deg(found.mount.up, _three(up)) < _RIGHT_SIDE_DEG / 2
        and angle_deg(found.mount.anterior, _three(front)) < _RIGHT_SIDE_DEG
    )


def _three(v: F64) -> Three:
    return float(v[0]), float(v[1]), float(v[2])


def _at(truth: Truth, recording: Recording, marked: Bool) -> Bool:
    """Samples of the recording at the marked times of the truth."""
    t_ns = np.rint(truth.t_s * 1e9).astype(np.int64)[marked]
    out: Bool = np.isin(recording.file_times_ns, t_ns)
    return out


def _slip(
    case: Case, truth: Truth, recording: Recording, batch: TimedBatch, mount: AutoMount
) -> tuple[bool | None, int]:
    """Whether a slip between two level walks is told after it happened, and how many were told without one."""
    assert truth.label is not None
    walks = [(a, b) for a, b in runs(truth.label == _LEVEL) if b - a > recording.rate_hz]
    alignment = align(mount.mount, None, given=True, mount_id="mount-1", t_utc_ns=0)

    def told(samples: TimedBatch) -> list[int]:
        setup = CoreSetup("w-001", "clip-1", recording.rate_hz, alignment)
        records = process_recording(blocks(samples), setup, Study(), "online").records
        return [
            r.t_utc_ns for r in records if isinstance(r, Event) and r.type == "mount" and r.data["reason"] == "slip"
        ]

    alarms = len(told(batch))
    if len(walks) < 2:
        return None, alarms
    k = len(walks) // 2
    at_ns = round(float(truth.t_s[walks[k - 1][1] - 1] + truth.t_s[walks[k][0]]) / 2 * 1e9)
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    up = np.array(mount.mount.up)
    axis = rng.normal(size=3)
    axis -= up * (axis @ up)  # a clip on a belt tips, it does not turn round
    after = told(turned(batch, _about(axis, np.radians(SLIP_DEG)), at_ns))
    return bool(after) and after[0] > at_ns, alarms


def _about(axis: F64, angle: float) -> F64:
    x, y, z = axis / np.sqrt((axis * axis).sum())
    k = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    out: F64 = np.eye(3) + np.sin(angle) * k + (1.0 - np.cos(angle)) * (k @ k)
    return out


def conclude(surveyed: Sequence[Surveyed]) -> AlignmentResult | None:
    """The figures over all recordings; None where nothing with walking was asked."""
    if not any(s.windows for s in surveyed):
        return None
    halves = _halves(surveyed)
    apart = np.array([h.apart_deg for h in halves])
    asked = {name: [s.right[name] for s in surveyed if name in s.right] for name in TURNS}
    turned_count = {name: (sum(got), len(got)) for name, got in asked.items() if got}
    slips = [s.slip_found for s in surveyed if s.slip_found is not None]
    alarms = sum(s.false_alarms for s in surveyed)
    first = turned_count.get("as it is", (0, 0))
    rest = [turned_count[n] for n in turned_count if n != "as it is"]
    over = sum(got for got, _ in rest), sum(of for _, of in rest)
    bars = [
        AlignmentBar(
            "split_half_p95_deg", f"two halves of a person's walking, ≥ {MIN_WALKING_S} s: heading, 95th percentile", 6.0, "low",
            float(np.percentile(apart, 95)) if len(apart) else None, _interval(apart), len(apart), "°",
        ),
        AlignmentBar("sign_right", "front told from back", 1.0, "high", _share(*first), None, first[1], ""),
        AlignmentBar("turned_found", "turned clips found: upside down, left for right, both", 1.0, "high", _share(*over), None, over[1], ""),
        AlignmentBar("slips_found", f"slip of {SLIP_DEG:g}° between two walks found", 0.9, "high", _share(sum(slips), len(slips)), None, len(slips), ""),
    ]  # fmt: skip
    off = [s.front_off_deg for s in surveyed if s.front_off_deg is not None]
    return AlignmentResult(halves, bars, turned_count, off, (sum(slips), len(slips)), alarms)


def _share(got: int, of: int) -> float | None:
    return got / of if of else None


def _halves(surveyed: Sequence[Surveyed]) -> list[Half]:
    """A short recording is one walk of several: a subject's recordings of one wearing belong together, where up stayed the same."""
    walks: dict[tuple[str, str], list[list[GaitWindow]]] = defaultdict(list)
    for s in surveyed:
        if s.windows:
            # Where a recording is long enough by itself it stands alone: another recording may be another wearing.
            alone = walking_seconds(s.windows) >= MIN_WALKING_S
            walks[s.set, s.recording if alone else s.subject].append(s.windows)
    halves = []
    for (name, subject), parts in sorted(walks.items()):
        one = [w for p in parts if angle_deg(mean_up(p), mean_up(parts[0])) < _SAME_WEARING_DEG for w in p]
        seconds = sum(walking_seconds(p) for p in parts if angle_deg(mean_up(p), mean_up(parts[0])) < _SAME_WEARING_DEG)
        if seconds >= MIN_WALKING_S:
            half = len(one) // 2
            apart = abs(change_between(one[:half], one[half:]).heading_deg)
            halves.append(Half(name, subject, seconds, apart))
    return halves


def _interval(values: F64) -> tuple[float, float] | None:
    """95 % interval of the 95th percentile, people drawn anew."""
    if len(values) < 5:
        return None
    rng = np.random.default_rng(0)
    drawn = np.percentile(values[rng.integers(0, len(values), (_DRAWS, len(values)))], 95, axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)
