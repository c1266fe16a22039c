"""A day of walking becomes one count of strides, whatever the chunks; an uneven walker is told after enough days."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from processing import snapshot
from processing.features.gait import Step
from processing.strides import DayDue, StrideStage
from processing.types import NS_PER_S, SecondBlock

DAY0_S = 1_790_035_200  # 2026-09-22T00:00:00Z
RATE = 50.0
STEP_S = 0.55


def second_block(first_s: int, seconds: int, left_deg: float, right_deg: float) -> SecondBlock:
    """Walking whose obliquity swings by another amount under each leg, left first, a half wave a step."""
    n = round(seconds * RATE)
    t = np.arange(n) / RATE + first_s
    phase = (t - DAY0_S) / STEP_S
    size = np.where(np.floor(phase) % 2 == 0, left_deg, right_deg)
    obliquity = size * np.abs(np.sin(math.pi * phase))
    zeros = np.zeros((n, 3))
    t_ns = np.round(t * NS_PER_S).astype(np.int64)
    start = np.arange(0, n + 1, round(RATE))
    second = np.arange(first_s, first_s + seconds, dtype=np.int64)
    gap = np.zeros(seconds, dtype=bool)
    valid = np.ones(n, dtype=bool)
    return SecondBlock(second, start, t_ns, zeros, zeros, zeros, zeros[:, 0], np.zeros(n), obliquity, valid, gap, RATE)


def steps_between(first_s: int, seconds: int) -> list[Step]:
    k0 = math.ceil((first_s - DAY0_S) / STEP_S)
    k1 = math.ceil((first_s + seconds - DAY0_S) / STEP_S)
    return [
        Step(DAY0_S * NS_PER_S + round(k * STEP_S * NS_PER_S), "left" if k % 2 == 0 else "right", 0.9)
        for k in range(k0, k1)
    ]


def run(piece_s: int, *, restart: bool = False) -> list[DayDue]:
    """Five minutes of walking around noon of one day, rest, then data of the next day."""
    stage, due = StrideStage(RATE, "Europe/Berlin"), []
    noon = DAY0_S + 36_000
    spans = [(noon, 300, True), (noon + 300, 60, False), (DAY0_S + 86_400, 120, False)]
    for first, length, walking in spans:
        for at in range(first, first + length, piece_s):
            size = min(piece_s, first + length - at)
            # Steps are told a second after they happened.
            steps = [
                s
                for s in steps_between(noon, 300)
                if walking and (at - 1) * NS_PER_S <= s.t_utc_ns < (at + size - 1) * NS_PER_S
            ]
            due += stage.update(second_block(at, size, 4.0, 7.0), steps)
            if restart:
                blob = snapshot.dump(stage.snapshot())
                stage = StrideStage(RATE, "Europe/Berlin")
                stage.restore(snapshot.load(blob))
    return due


def test_a_day_is_told_once_after_local_midnight_with_both_sides() -> None:
    (due,) = run(10)
    assert due.day.day == "2026-09-22"
    assert due.t_utc_ns == (DAY0_S + 22 * 3600 + 90) * NS_PER_S  # 00:00 in Berlin is 22:00 UTC
    assert due.day.strides == pytest.approx(300 / (2 * STEP_S), abs=12)
    assert due.day.left_range_mdeg == pytest.approx(4000, rel=0.1)
    assert due.day.right_range_mdeg == pytest.approx(7000, rel=0.1)
    assert due.day.mdc_mdeg == 1590


@pytest.mark.parametrize("piece_s", [1, 7, 60, 300])
def test_chunks_and_restarts_change_nothing(piece_s: int) -> None:
    assert run(piece_s) == run(10)
    assert run(piece_s, restart=True) == run(10)


def test_the_snapshot_stays_small_on_a_day_of_walking() -> None:
    stage = StrideStage(RATE, "UTC")
    for at in range(DAY0_S, DAY0_S + 1200, 5):
        stage.update(second_block(at, 5, 4.0, 7.0), steps_between(at - 1, 5))
    assert len(snapshot.dump(stage.snapshot())) < 400_000
    assert json.loads(snapshot.dump(stage.snapshot()))["day"][0] == "2026-09-22"
