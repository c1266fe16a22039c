"""Bouts and shifts from scripted seconds; grouping, restarts and holes."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.context.periods import Bout, BoutStage, ShiftStage
from processing.snapshot import dump, load
from processing.types import NS_PER_S, POSTURE_CODE, POSTURES

T0 = 1_790_000_100


def codes(*runs: tuple[str, int]) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    return np.concatenate([np.full(n, POSTURE_CODE[name], dtype=np.int8) for name, n in runs])


def bouts_of(posture: np.ndarray[tuple[int], np.dtype[np.int8]], second: object = None) -> list[tuple[int, int, str]]:
    at = T0 + np.arange(len(posture)) if second is None else np.asarray(second)
    stage = BoutStage()
    found = [*stage.update(at, posture), *stage.finish()]
    return [(b.start_utc_ns // NS_PER_S - T0, b.end_utc_ns // NS_PER_S - T0, b.posture) for b in found]


def test_runs_become_bouts_without_a_hole_between_them() -> None:
    got = bouts_of(codes(("standing", 20), ("walking", 12), ("sitting", 300)))
    assert got == [(0, 20, "standing"), (20, 32, "walking"), (32, 332, "sitting")]


def test_a_short_run_belongs_to_what_it_interrupts() -> None:
    assert bouts_of(codes(("sitting", 60), ("unknown", 4), ("sitting", 60))) == [(0, 124, "sitting")]
    got = bouts_of(codes(("sitting", 60), ("unknown", 3), ("standing", 2), ("walking", 10)))
    assert got == [(0, 65, "sitting"), (65, 75, "walking")]


def test_three_seconds_on_foot_are_a_walk_and_three_seconds_of_sitting_are_not() -> None:
    assert len(bouts_of(codes(("standing", 30), ("walking", 3), ("standing", 30)))) == 3
    assert len(bouts_of(codes(("standing", 30), ("sitting", 3), ("standing", 30)))) == 1


def test_a_short_beginning_belongs_to_what_follows() -> None:
    assert bouts_of(codes(("unknown", 2), ("standing", 1), ("sitting", 9))) == [(0, 12, "sitting")]
    assert bouts_of(codes(("unknown", 2))) == [(0, 2, "unknown")]
    assert BoutStage().finish() == []


def test_a_hole_ends_a_bout_and_a_lost_second_does_not() -> None:
    seconds = [*range(T0, T0 + 20), *range(T0 + 25, T0 + 50), *range(T0 + 100, T0 + 110)]
    assert bouts_of(codes(("sitting", 55)), seconds) == [(0, 50, "sitting"), (100, 110, "sitting")]


def test_time_since_the_last_change() -> None:
    stage = BoutStage()
    assert stage.since_change_s(T0 * NS_PER_S) is None
    stage.update(T0 + np.arange(60), codes(("standing", 20), ("sitting", 40)))
    assert stage.since_change_s((T0 + 60) * NS_PER_S) == pytest.approx(40.0)
    assert stage.current == Bout((T0 + 20) * NS_PER_S, (T0 + 60) * NS_PER_S, "sitting")
    assert stage.since_change_s((T0 + 90) * NS_PER_S) is None


RUNS = st.lists(st.tuples(st.sampled_from(POSTURES), st.integers(1, 12)), max_size=30)


@given(RUNS, st.lists(st.integers(0, 300), max_size=8), st.sets(st.integers(0, 350), max_size=60))
def test_grouping_and_restarts_change_no_bout(runs: list[tuple[str, int]], cuts: list[int], lost: set[int]) -> None:
    posture = codes(("standing", 1), *runs)
    keep = np.array([k not in lost for k in range(len(posture))])
    second, posture = (T0 + np.arange(len(posture)))[keep], posture[keep]
    whole = BoutStage()
    wanted = [*whole.update(second, posture), *whole.finish()]
    stage, got = BoutStage(), list[Bout]()
    edges = sorted({0, len(posture), *(c for c in cuts if c < len(posture))})
    for a, b in zip(edges, edges[1:], strict=False):
        got += stage.update(second[a:b], posture[a:b])
        blob = dump(stage.snapshot())
        stage = BoutStage()
        stage.restore(load(blob))
    got += stage.finish()
    assert got == wanted
    assert all(a.end_utc_ns <= b.start_utc_ns for a, b in zip(wanted, wanted[1:], strict=False))
    assert sum(b.duration_s for b in wanted) >= len(posture)
    touching = [(a, b) for a, b in zip(wanted, wanted[1:], strict=False) if a.end_utc_ns == b.start_utc_ns]
    assert all(a.posture != b.posture for a, b in touching)
    assert all(len(list(g)) == 1 for _, g in groupby(wanted))


def test_shifts_are_counted_once_each_and_sway_is_not() -> None:
    tilt = np.repeat([-18.0, -11.0, -18.5, -17.0, -24.0], 180) + 1.5 * np.sin(np.arange(900))
    tilt[400:402] = 5.0  # a glance forward
    stage = ShiftStage()
    stage.update(T0 + np.arange(900), codes(("sitting", 900)), tilt, np.zeros(900))
    assert (stage.rested, stage.shifted) == (900, 3)


def test_standing_up_is_no_shift_and_unknown_tilt_is_no_rest() -> None:
    posture = codes(("sitting", 100), ("standing", 100), ("walking", 700), ("sitting", 50))
    tilt = np.where(posture == POSTURE_CODE["sitting"], -18.0, 0.0)
    tilt[110:130] = np.nan
    stage = ShiftStage()
    stage.update(T0 + np.arange(950), posture, tilt, np.zeros(950))
    assert (stage.rested, stage.shifted) == (230, 0)


@given(st.integers(0, 3), st.lists(st.integers(1, 1999), max_size=12))
def test_grouping_and_restarts_change_no_shift(seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    tilt = np.repeat(rng.uniform(-25, 0, 100), 20)
    tilt[rng.integers(0, 2000, 50)] = np.nan
    posture = np.repeat(rng.integers(0, 3, 20), 100).astype(np.int8)
    second = T0 + np.arange(2000)
    whole = ShiftStage()
    whole.update(second, posture, tilt, tilt)
    stage = ShiftStage()
    edges = sorted({0, 2000, *cuts})
    for a, b in zip(edges, edges[1:], strict=False):
        stage.update(second[a:b], posture[a:b], tilt[a:b], tilt[a:b])
        blob = dump(stage.snapshot())
        stage = ShiftStage()
        stage.restore(load(blob))
    assert (stage.rested, stage.shifted) == (whole.rested, whole.shifted)
    assert whole.shifted > 3
