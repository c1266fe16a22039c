"""Steps of a walker whose contacts are known: found, timed, sided; the same however the seconds arrive."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing import snapshot
from processing.features.gait import GaitStage, Step
from processing.features.gait_path import PathParams
from processing.features.gait_retro import RetroGait
from processing.features.gait_signal import RiseStage
from processing.features.gait_soft import SOFT_STEPS
from processing.types import NS_PER_S, SecondBlock
from tests.processing.walker import T0_S, Foot, evenly, pieces, rows, walk


def online(blocks: list[SecondBlock]) -> list[Step]:
    stage = GaitStage()
    return [s for b in blocks for s in stage.update(b)] + stage.finish()


def retro(blocks: list[SecondBlock]) -> list[Step]:
    stage = RetroGait()
    for b in blocks:
        stage.add(b)
    return stage.finish()


def times(steps: list[Step]) -> np.ndarray:
    return np.array([(s.t_utc_ns - T0_S * NS_PER_S) / NS_PER_S for s in steps])


WAYS = pytest.mark.parametrize("find", [online, retro])


@WAYS
@pytest.mark.parametrize("rate_hz", [50.0, 100.0, 104.0, 286.0])
@pytest.mark.parametrize("step_s", [0.4, 0.55, 0.8])
def test_an_even_walk_is_found_step_by_step(find, rate_hz: float, step_s: float) -> None:
    feet = evenly(4.0, 30, step_s)
    steps = find([walk(feet, 40, rate_hz=rate_hz)])
    assert len(steps) == len(feet)
    assert np.abs(times(steps) - [f.t_s for f in feet]).max() < 0.05
    assert [s.side for s in steps] == ["right" if f.right else "left" for f in feet]
    assert min(s.confidence for s in steps) > 0.5


@WAYS
@pytest.mark.parametrize("rate_hz", [48.0, 50.0, 52.0, 57.0, 100.0, 286.0])
def test_a_step_is_dated_alike_at_any_rate(find, rate_hz: float) -> None:
    """Counted whole in the cell that they are in, rows of 50 Hz come 10 ms late, and those of 48 Hz leave 4.5 ms between even steps."""
    feet = evenly(4.0, 60, 0.641)
    late_s = times(find([walk(feet, 60, rate_hz=rate_hz)])) - [f.t_s for f in feet]
    assert abs(late_s.mean()) < 0.002
    assert np.diff(late_s).std() < 0.003


@WAYS
def test_a_clip_that_leans_finds_the_same_steps(find) -> None:
    feet = evenly(4.0, 20)
    upright, leaning = find([walk(feet, 20)]), find([walk(feet, 20, lean_deg=35.0)])
    assert len(upright) == len(leaning)
    assert np.abs(times(upright) - times(leaning)).max() < 0.02


@WAYS
def test_the_soft_closing_step_is_found_and_sided(find) -> None:
    feet = [*evenly(4.0, 12), Foot(4.0 + 12 * 0.55, right=True, force=0.1)]
    steps = find([walk(feet, 20, noise_mps2=0.02)])
    assert len(steps) == len(feet)
    assert abs(times(steps)[-1] - feet[-1].t_s) < 0.1
    assert steps[-1].side == "right"
    assert steps[-1].confidence < 0.5


@WAYS
def test_standing_still_has_no_steps(find) -> None:
    assert find([walk([], 60)]) == []


def test_looking_back_a_jolt_or_a_shuffle_is_no_walking() -> None:
    feet = [Foot(5.0, right=True), Foot(20.0, right=False), Foot(20.6, right=True)]
    assert retro([walk(feet, 30)]) == []


def soft_walk(count: int = 40, *, force: float = 0.1) -> tuple[list[Foot], SecondBlock]:
    """A slow walker's: 67 steps a minute, none of them a stranger's fair step."""
    feet = [Foot(f.t_s, f.right, force) for f in evenly(6.0, count, 0.9)]
    return feet, walk(feet, 52, noise_mps2=0.03)


def test_a_soft_tread_is_learnt_online_and_found_whole_looking_back() -> None:
    feet, block = soft_walk()
    at = np.array([f.t_s for f in feet])
    assert max(c.rise_mps3 for c in RiseStage().update(block)) < PathParams().stranger_rise_mps3
    whole, learnt = times(retro([block])), times(online([block]))
    assert len(whole) == len(feet)
    assert np.abs(whole - at).max() < 0.08
    assert len(learnt) >= len(feet) - SOFT_STEPS - 1
    assert all(np.abs(at - x).min() < 0.08 for x in learnt)


@WAYS
def test_soft_jolts_without_a_rhythm_are_no_steps(find) -> None:
    rng = np.random.default_rng(5)
    jolts = [Foot(float(x), bool(rng.integers(2)), 0.1) for x in np.cumsum(rng.uniform(0.3, 4.0, 100)) if x < 195]
    assert len(jolts) > 60
    assert not find([walk(jolts, 200)])


@WAYS
def test_a_short_soft_shuffle_is_no_walk(find) -> None:
    assert not find([soft_walk(SOFT_STEPS - 2)[1]])


@WAYS
def test_steps_within_lost_packets_cost_no_others(find) -> None:
    feet = evenly(4.0, 30)
    block = walk(feet, 25)
    t = (block.t_utc_ns - block.t_utc_ns[0]) / NS_PER_S
    rng = np.random.default_rng(5)
    keep = rng.random(len(t)) > 0.1  # single samples
    for at in rng.uniform(4, 20, 12):
        keep &= ~((t > at) & (t < at + 0.08))  # packets
    found = times(find([rows(block, np.flatnonzero(keep))]))
    missed = [f.t_s for f in feet if np.abs(found - f.t_s).min() > 0.1]
    assert not missed
    assert len(found) == len(feet)


@WAYS
def test_a_long_hole_separates_walks(find) -> None:
    feet = [*evenly(4.0, 12), *evenly(20.0, 12)]
    block = walk(feet, 30)
    t = (block.t_utc_ns - block.t_utc_ns[0]) / NS_PER_S
    found = times(find([rows(block, np.flatnonzero((t < 8.0) | (t > 22.9)))]))
    inside = [f.t_s for f in feet if f.t_s < 7.8 or f.t_s > 23.1]
    assert all(np.abs(found - x).min() < 0.1 for x in inside)
    assert not np.any((found > 8.1) & (found < 22.8))


def test_a_step_is_told_within_a_second_after_its_second_is_complete() -> None:
    feet = evenly(4.0, 30, 0.53)
    stage = GaitStage()
    seen = 0
    for block in pieces(walk(feet, 25), [1] * 25):
        now = float(block.second[-1] + 1 - T0_S)
        for s in times(stage.update(block)):
            seen += 1
            assert now - s < 1.0 + 1.0  # decided 0.96 s later, told when that second is over
    assert seen == len(feet)


def messy(seed: int) -> SecondBlock:
    """A walk, a stop, handling, lost samples of every length, and another walk."""
    rng = np.random.default_rng(seed)
    feet = [
        *evenly(3.0, 25, 0.52),
        Foot(3.0 + 25 * 0.52, right=False, force=0.15),
        *evenly(24.0, 30, 0.6, right_first=False),
    ]
    feet = [Foot(f.t_s + rng.normal(0, 0.03), f.right, f.force * rng.uniform(0.4, 1.3)) for f in feet]
    feet += [Foot(float(x), bool(rng.integers(2)), rng.uniform(0.1, 1.0)) for x in rng.uniform(45, 60, 12)]
    block = walk(sorted(feet, key=lambda f: f.t_s), 64, noise_mps2=0.3, seed=seed)
    t = (block.t_utc_ns - block.t_utc_ns[0]) / NS_PER_S
    keep = rng.random(len(t)) > 0.05
    for at, length in zip(rng.uniform(0, 60, 8), (0.05, 0.1, 0.2, 0.4, 0.7, 1.1, 1.6, 3.0), strict=True):
        keep &= ~((t > at) & (t < at + length))
    return rows(block, np.flatnonzero(keep))


MESSY = messy(11)
WHOLE = online([MESSY])
SOFT = soft_walk()[1]


def test_the_messy_recording_has_steps_of_all_kinds() -> None:
    assert len(WHOLE) > 40
    assert {"left", "right"} <= {s.side for s in WHOLE}
    assert min(s.confidence for s in WHOLE) < 0.5 < max(s.confidence for s in WHOLE)
    assert len(retro([MESSY])) > 40


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=60), restarts=st.sets(st.integers(0, 59), max_size=6))
@pytest.mark.parametrize("whole", [MESSY, SOFT], ids=["messy", "soft"])
def test_any_grouping_and_any_restart_give_the_same_bits(
    whole: SecondBlock, sizes: list[int], restarts: set[int]
) -> None:
    stage = GaitStage()
    steps: list[Step] = []
    for i, block in enumerate(pieces(whole, sizes)):
        steps += stage.update(block)
        if i in restarts:
            blob = snapshot.dump(stage.snapshot())
            stage = GaitStage()
            stage.restore(snapshot.load(blob))
    assert steps + stage.finish() == online([whole])


@settings(max_examples=10)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=60))
def test_looking_back_does_not_depend_on_grouping(sizes: list[int]) -> None:
    assert retro(pieces(MESSY, sizes)) == retro([MESSY])
    assert retro(pieces(SOFT, sizes)) == retro([SOFT])


def test_steps_are_in_order_and_apart() -> None:
    for steps in (WHOLE, retro([MESSY])):
        assert (np.diff(times(steps)) >= 0.25 - 1e-9).all()
        assert json.dumps([[s.t_utc_ns, s.side, s.confidence] for s in steps])  # plain numbers
