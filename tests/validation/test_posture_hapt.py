"""Posture against video labels of 15 people, and walking against foot contacts of 13 others.

HAPT is non-commercial: nothing is fitted to it. Structure was looked at on users 1-13; nothing was chosen on users 15-29: they are the honest figure, and the
bars stand on them. Seconds are scored where all their samples carry one of the labels lying, sitting, standing or walking
(1-3: level, upstairs, downstairs); every other answer, "unknown" included, is an error. The mount is the nominal one and
no neutral is known. A transfer is found when one of its kind lies within 2 s of the middle of the labelled interval; one found amid
unlabelled samples is ignored. Run with ``-s`` to see the tables.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from processing.alignment.static import align, parse_mount
from processing.context.retro import RetroContext
from processing.context.stage import ContextStage
from processing.context.transfers import Transfer
from processing.features.align import AlignStage
from processing.features.seconds import SecondStage
from processing.gaps import GapParams, GapStage
from processing.orientation import CausalOrientation, OrientationParams
from processing.retro import RetroOrientation
from processing.types import POSTURE_CODE, POSTURES, ContextBlock, SecondBlock, TimedBatch

pytestmark = [pytest.mark.reference, pytest.mark.slow]

SCORED = ("lying", "sitting", "standing", "walking")
CODE_OF_LABEL = {1: 3, 2: 3, 3: 3, 4: 1, 5: 2, 6: 0}
KIND_OF_LABEL = {7: "stand_to_sit", 8: "sit_to_stand"}
HONEST = frozenset(range(14, 31))


def seconds_of(table: dict[str, NDArray[np.float64]], rate_hz: float, *, retro: bool) -> SecondBlock:
    t = np.round(table["t_s"] * 1e9).astype(np.int64)
    acc = np.column_stack([table[k] for k in ("ax", "ay", "az")]).astype(np.float64)
    gyr = np.column_stack([table[k] for k in ("gx", "gy", "gz")]).astype(np.float64)
    filled = GapStage(GapParams(rate_hz)).update(TimedBatch(t, acc, gyr))
    params = OrientationParams(rate_hz)
    estimator = RetroOrientation(params) if retro else CausalOrientation(params)
    oriented = [*estimator.update(filled), *estimator.finish()]
    stage = AlignStage(align(parse_mount("up=+x,anterior=-z"), None, given=True, mount_id="m", t_utc_ns=0))
    seconds = SecondStage(rate_hz)
    (only,) = oriented
    block = seconds.update(stage.update(only.filled, only.q_es)[0], last=True)
    assert block is not None
    return block


def context_of(block: SecondBlock, *, retro: bool) -> tuple[ContextBlock, list[Transfer]]:
    if retro:
        whole = RetroContext(rate_hz=block.rate_hz)
        whole.add(block)
        return whole.finish()[0], whole.transfers
    stage = ContextStage(rate_hz=block.rate_hz)
    return stage.update(block), stage.take_transfers()


def read(path: Path) -> tuple[dict[str, NDArray[np.float64]], dict[str, object]]:
    table = pq.read_table(path)
    return {c: table[c].to_numpy() for c in table.column_names}, json.loads(table.schema.metadata[b"recording"])


@dataclass
class Score:
    """Confusion (truth by prediction) of seconds; transfers found, missed, and false."""

    confusion: NDArray[np.int64] = field(default_factory=lambda: np.zeros((4, len(POSTURES)), dtype=np.int64))
    found: int = 0
    missed: int = 0
    false: int = 0

    def add(self, label: NDArray[np.int64], block: SecondBlock, context: ContextBlock, got: list[Transfer]) -> None:
        for i, (a, b) in enumerate(zip(block.start[:-1], block.start[1:], strict=True)):
            truths = {CODE_OF_LABEL.get(int(x), -1) for x in np.unique(label[a:b])}
            if len(truths) == 1 and -1 not in truths:
                self.confusion[truths.pop(), context.posture[i]] += 1
        t_s = block.t_utc_ns / 1e9
        edges = [0, *(np.flatnonzero(np.diff(label)) + 1).tolist(), len(label)]
        used: set[int] = set()
        for a, b in zip(edges[:-1], edges[1:], strict=True):
            kind = KIND_OF_LABEL.get(int(label[a]))
            if kind is None:
                continue
            middle = (t_s[a] + t_s[b - 1]) / 2
            hits = [
                i
                for i, t in enumerate(got)
                if i not in used and t.kind == kind and abs(t.t_utc_ns / 1e9 - middle) <= 2.0
            ]
            used.update(hits[:1])
            self.found += bool(hits)
            self.missed += not hits
        for i, t in enumerate(got):
            at = int(np.searchsorted(t_s, t.t_utc_ns / 1e9))
            around = label[max(0, at - 100) : at + 100]
            if i not in used and t.kind in KIND_OF_LABEL.values() and not (around == 0).any():
                self.false += 1

    def f1(self) -> NDArray[np.float64]:
        hits = np.array([self.confusion[k, k] for k in range(4)])
        return 2.0 * hits / (self.confusion.sum(axis=1) + self.confusion[:, :4].sum(axis=0))

    @property
    def recall(self) -> float:
        return self.found / (self.found + self.missed)

    @property
    def precision(self) -> float:
        return self.found / max(1, self.found + self.false)

    def table(self, title: str) -> str:
        head = f"\n{title}\n{'':10}" + "".join(f"{name:>10}" for name in POSTURES)
        rows = [f"{name:10}" + "".join(f"{n:10d}" for n in self.confusion[k]) for k, name in enumerate(SCORED)]
        f1 = self.f1()
        each = "  ".join(f"{name} {v:.3f}" for name, v in zip(SCORED, f1, strict=True))
        total = self.found + self.missed
        return "\n".join(
            [
                head,
                *rows,
                f"F1: {each}  macro {f1.mean():.3f}",
                f"transfers: recall {self.recall:.3f} ({self.found} of {total}), precision {self.precision:.3f}",
            ]
        )


@pytest.mark.parametrize(
    ("mode", "macro", "recall", "precision"), [("online", 0.96, 0.88, 0.95), ("retro", 0.96, 0.85, 0.95)]
)
def test_posture_of_people_with_video_labels(
    reference: Path, mode: str, macro: float, recall: float, precision: float
) -> None:
    looked, honest = Score(), Score()
    for path in sorted((reference / "hapt").glob("*.parquet")):
        match = re.search(r"user(\d+)", path.name)
        assert match is not None
        table, _ = read(path)
        block = seconds_of(table, 50.0, retro=mode == "retro")
        context, transfers = context_of(block, retro=mode == "retro")
        score = honest if int(match[1]) in HONEST else looked
        score.add(table["label"].astype(np.int64), block, context, transfers)
    print(looked.table(f"{mode}, users 1-13 (structure was looked at)"))
    print(honest.table(f"{mode}, users 15-29 (nothing was chosen on them)"))
    both = Score(
        looked.confusion + honest.confusion,
        looked.found + honest.found,
        looked.missed + honest.missed,
        looked.false + honest.false,
    )
    print(both.table(f"{mode}, all 15"))
    assert honest.f1().mean() >= macro
    assert honest.recall >= recall
    assert honest.precision >= precision


def contacts_s(table: dict[str, NDArray[np.float64]], meta: dict[str, object]) -> NDArray[np.float64]:
    listed = meta.get("contacts_s")
    if isinstance(listed, str):
        return np.array([float(t) for t, _ in json.loads(listed)])
    if isinstance(listed, list):
        return np.array([float(t) for t, _ in listed])
    return table["t_s"][np.flatnonzero(table["ic_indip"] > 0)]


@pytest.mark.parametrize(
    ("folder", "mode", "recall", "false"),
    [
        ("ipol_l5_gait", "online", 0.88, 0.03),
        ("ipol_l5_gait", "retro", 0.94, 0.04),
        ("mobgap_lowback", "online", 0.60, 0.08),
        ("mobgap_lowback", "retro", 0.80, 0.10),
    ],
)
def test_walking_is_where_the_feet_touch(reference: Path, folder: str, mode: str, recall: float, false: float) -> None:
    """Seconds with three contacts about them are walking; seconds 2 s away from any contact are not."""
    steps = hits = still = wrong = 0
    for path in sorted((reference / folder).glob("*.parquet")):
        table, meta = read(path)
        contacts = contacts_s(table, meta)
        if len(contacts) == 0:
            continue
        block = seconds_of(table, 100.0, retro=mode == "retro")
        context, _ = context_of(block, retro=mode == "retro")
        for second, code in zip(block.second.tolist(), context.posture.tolist(), strict=True):
            off = contacts - (second + 0.5)
            walked = code == POSTURE_CODE["walking"]
            near = np.abs(off) < 1.2
            if near.sum() >= 3 and (near & (off < 0)).any() and (near & (off > 0)).any():
                steps, hits = steps + 1, hits + walked
            elif np.abs(off).min() > 2.0:
                still, wrong = still + 1, wrong + walked
    print(f"\n{folder} {mode}: walking found {hits / steps:.3f} of {steps} s, false {wrong / still:.3f} of {still} s")
    assert hits / steps >= recall
    assert wrong / still <= false
