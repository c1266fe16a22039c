"""Gaps are found exactly, bridged only when short, and never become zeros."""

from __future__ import annotations

import numpy as np
import pytest

from processing.gaps import Filled, GapParams, GapStage
from processing.types import TimedBatch

RATE = 100.0


def batch(t_ms: list[int]) -> TimedBatch:
    t = np.array(t_ms, dtype=np.int64) * 1_000_000
    values = np.column_stack([t / 1e9, np.full(len(t), 9.8), -t / 1e9])
    return TimedBatch(t, values, values / 10)


def run(t_ms: list[int]) -> tuple[Filled, GapStage]:
    stage = GapStage(GapParams(RATE))
    return stage.update(batch(t_ms)), stage


def test_no_gap_passes_the_arrays_through() -> None:
    b = batch(list(range(0, 1000, 10)))
    filled = GapStage(GapParams(RATE)).update(b)
    assert filled.acc_mps2 is b.acc_mps2
    assert filled.real is None
    assert filled.breaks == []


@pytest.mark.parametrize("missing", [1, 5, 10])
def test_up_to_100_ms_is_bridged_on_a_straight_line_for_the_filter_only(missing: int) -> None:
    after = 100 + 10 * (missing + 1)
    filled, stage = run([*range(0, 110, 10), *range(after, after + 50, 10)])
    assert filled.real is not None
    assert (~filled.real).sum() == missing
    assert filled.breaks == []
    # The made-up signal is linear in time, so bridging must meet it exactly.
    assert filled.acc_mps2[:, 0] == pytest.approx(filled.t_utc_ns / 1e9, abs=1e-12)
    assert stage.counters.bridged == missing


def test_beyond_100_ms_breaks_and_is_counted() -> None:
    filled, stage = run([*range(0, 110, 10), *range(400, 450, 10)])
    assert filled.real is None or filled.real.all()
    assert filled.breaks == [11]
    assert [(g.from_ns, g.to_ns, g.missing) for g in filled.gaps] == [(100_000_000, 400_000_000, 29)]
    assert stage.counters.missing == 29
    assert not (filled.acc_mps2 == 0).all(axis=1).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", ["acc", "gyr"])
def test_values_that_are_not_finite_become_a_gap(bad: float, column: str) -> None:
    b = batch(list(range(0, 1000, 10)))
    target = b.acc_mps2 if column == "acc" else b.gyr_rps
    target[40:60, 1] = bad
    stage = GapStage(GapParams(RATE))
    filled = stage.update(b)
    assert np.isfinite(filled.acc_mps2).all()
    assert np.isfinite(filled.gyr_rps).all()
    assert filled.breaks == [40]
    assert stage.counters.not_finite == 20


def test_pieces_and_snapshots_give_what_one_piece_gives() -> None:
    t = [*range(0, 500, 10), *range(530, 900, 10), *range(1500, 2000, 10)]
    whole, _ = run(t)
    rng = np.random.default_rng(3)
    for _ in range(20):
        stage = GapStage(GapParams(RATE))
        cuts = [0, *sorted(rng.choice(len(t), 5, replace=False).tolist()), len(t)]
        parts = []
        for lo, hi in zip(cuts[:-1], cuts[1:], strict=True):
            parts.append(stage.update(batch(t[lo:hi])))
            again = GapStage(GapParams(RATE))
            again.restore(stage.snapshot())
            stage = again
        for name in ("t_utc_ns", "acc_mps2", "gyr_rps"):
            assert np.array_equal(np.concatenate([getattr(p, name) for p in parts]), getattr(whole, name))
        offsets = np.cumsum([0, *(len(p.t_utc_ns) for p in parts)]).tolist()
        assert [o + b for o, p in zip(offsets, parts, strict=False) for b in p.breaks] == whole.breaks
        assert [g for p in parts for g in p.gaps] == whole.gaps
