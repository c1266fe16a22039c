"""Fast samples as rows: turns are composed, forces carried along, nothing is left out, and chunks do not matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from processing.batch import process_recording
from processing.core import Core, CoreSetup
from processing.gaps import Filled
from processing.grouping import LEAST_ROWS_HZ, GroupStage, group_size
from processing.intake import Intake
from processing.rules.study import Study
from processing.snapshot import dump, load
from processing.types import F64, GRAVITY_MPS2, NS_PER_S, Metric, Samples, TimedBatch
from tests.processing.alignment_chain import neutral

T0_NS = 1_790_000_000 * NS_PER_S


def times(n: int, rate_hz: float) -> np.ndarray:
    return T0_NS + np.rint(np.arange(n) * NS_PER_S / rate_hz).astype(np.int64)


def tumbling(n: int, rate_hz: float, seed: int = 1) -> tuple[TimedBatch, Rotation]:
    """A sensor turned about changing axes, up to some 300 °/s, under gravity alone; its orientation at each sample."""
    rng = np.random.default_rng(seed)
    s = np.arange(n) / rate_hz
    phase = rng.uniform(0, 2 * np.pi, (3, 2))
    gyr = np.stack([3.0 * np.sin(7.0 * s + a) + 2.0 * np.sin(3.0 * s + b) for a, b in phase], axis=1)
    steps = Rotation.from_rotvec(gyr / rate_hz)
    q = [Rotation.identity()]
    for step in steps[1:]:
        q.append(q[-1] * step)
    at = Rotation.concatenate(q)
    return TimedBatch(times(n, rate_hz), at.inv().apply([0.0, 0.0, GRAVITY_MPS2]), gyr), at


def rows(filled: list[Filled]) -> list[F64]:
    return [np.concatenate([getattr(f, name) for f in filled]) for name in ("t_utc_ns", "acc_mps2", "gyr_rps")]


@pytest.mark.parametrize(
    ("rate_hz", "size"),
    [(25, 1), (50, 1), (95.9, 1), (96, 2), (104, 2), (119, 2), (200, 4), (286, 5), (400, 8), (1600, 33)],
)
def test_rows_come_at_about_fifty_a_second(rate_hz: float, size: int) -> None:
    assert group_size(rate_hz) == size
    assert size == 1 or LEAST_ROWS_HZ <= rate_hz / size < 2 * LEAST_ROWS_HZ


@pytest.mark.parametrize("rate_hz", [100.0, 286.0, 400.0])
def test_a_row_turns_as_its_samples_do_and_has_their_force_at_its_end(rate_hz: float) -> None:
    size = group_size(rate_hz)
    batch, at = tumbling(size * 200 + 1, rate_hz)
    batch = TimedBatch(batch.t_utc_ns[1:], batch.acc_mps2[1:], batch.gyr_rps[1:])
    row = Intake(rate_hz).update(batch)
    ends = at[size::size]
    turned = Rotation.from_rotvec(row.gyr_rps * size / rate_hz)
    error = ((at[:-1:size] * turned).inv() * ends).magnitude()
    summed = Rotation.from_rotvec(batch.gyr_rps.reshape(-1, size, 3).sum(axis=1) / rate_hz)
    assert error.max() < 0.1 * ((at[:-1:size] * summed).inv() * ends).magnitude().max()
    assert np.array_equal(row.t_utc_ns, batch.t_utc_ns[size - 1 :: size])
    gravity = ends.inv().apply([0.0, 0.0, GRAVITY_MPS2])
    assert (
        np.abs(row.acc_mps2 - gravity).max()
        < 0.05
        < np.abs(batch.acc_mps2.reshape(-1, size, 3).mean(axis=1) - gravity).max()
    )


def test_chunks_and_restarts_do_not_matter_and_no_sample_is_left_out() -> None:
    rng = np.random.default_rng(3)
    whole, _ = tumbling(4_000, 200.0)
    kept = np.ones(4_000, dtype=bool)
    for start, length in ((101, 3), (700, 90), (1_333, 1), (2_001, 37)):  # bridged, long, bridged, long
        kept[start : start + length] = False
    batch = TimedBatch(whole.t_utc_ns[kept], whole.acc_mps2[kept], whole.gyr_rps[kept])
    plain = Intake(200.0, every_sample=True)
    expected = [plain.update(batch), plain.update(None, last=True)]
    intake, got, lo = Intake(200.0, every_sample=True), [], 0
    while lo < len(batch):
        hi = lo + int(rng.integers(1, 30))
        got.append(intake.update(TimedBatch(batch.t_utc_ns[lo:hi], batch.acc_mps2[lo:hi], batch.gyr_rps[lo:hi])))
        again = Intake(200.0, every_sample=True)
        again.restore(load(dump(intake.snapshot())))
        intake, lo = again, hi
    got.append(intake.update(None, last=True))
    for a, b in zip(rows(got), rows(expected), strict=True):
        assert np.array_equal(a, b)
    assert [g for f in got for g in f.gaps] == [g for f in expected for g in f.gaps]
    assert len([g for f in got for g in f.gaps]) == 2
    told = np.concatenate([f.within.t_utc_ns[f.within.real] for f in got if f.within is not None])
    assert np.array_equal(told, batch.t_utc_ns)


def test_a_short_group_turns_no_further_than_its_samples() -> None:
    batch, at = tumbling(8, 400.0)
    row = Intake(400.0).update(TimedBatch(batch.t_utc_ns[1:4], batch.acc_mps2[1:4], batch.gyr_rps[1:4]), last=True)
    turned = Rotation.from_rotvec(row.gyr_rps[0] * 8 / 400.0)
    assert (turned.inv() * at[3]).magnitude() < 1e-4
    assert row.share is not None
    assert row.share.tolist() == [3 / 8]


def test_slow_samples_are_rows_as_they_are() -> None:
    batch, _ = tumbling(100, 50.0)
    row = Intake(50.0).update(batch)
    assert row.acc_mps2 is batch.acc_mps2
    assert row.gyr_rps is batch.gyr_rps


def test_of_a_row_with_a_bridged_sample_the_received_share_is_told() -> None:
    batch, _ = tumbling(400, 100.0)
    every_second = TimedBatch(batch.t_utc_ns[::2], batch.acc_mps2[::2], batch.gyr_rps[::2])
    row = Intake(100.0).update(every_second)
    assert row.real is None
    assert row.share is not None
    assert set(row.share[1:-1].tolist()) == {0.5}


def walked(rate_hz: float, seconds: int = 40) -> tuple[TimedBatch, F64]:
    """Standing, then swaying forward and back as in walking; the true anterior tilt [deg] at each sample. Up is +x, ahead is -z."""
    rng = np.random.default_rng(2)
    s = np.arange(round(seconds * rate_hz)) / rate_hz
    on = s >= 12.0
    tilt = np.where(on, np.radians(20.0) * np.sin(2 * np.pi * 1.5 * (s - 12.0)), 0.0)
    rate = np.where(on, np.radians(20.0) * 2 * np.pi * 1.5 * np.cos(2 * np.pi * 1.5 * (s - 12.0)), 0.0)
    acc = GRAVITY_MPS2 * np.stack([np.cos(tilt), np.zeros_like(s), np.sin(tilt)], axis=1) + rng.normal(
        0, 0.02, (len(s), 3)
    )
    gyr = np.stack([np.zeros_like(s), rate, np.zeros_like(s)], axis=1) + rng.normal(0, 0.001, (len(s), 3))
    return TimedBatch(times(len(s), rate_hz), acc, gyr), np.degrees(tilt)


@pytest.mark.parametrize("rate_hz", [100.0, 200.0, 286.0, 400.0])
def test_angles_are_told_of_every_sample_at_its_own_time(rate_hz: float) -> None:
    batch, truth = walked(rate_hz)
    setup = CoreSetup("w", "s", rate_hz, neutral(batch, rate_hz))
    kept: list[Samples] = []
    process_recording(iter([batch]), setup, Study(), on_samples=kept.append)
    t = np.concatenate([k.t_utc_ns for k in kept])
    tilt = np.concatenate([k.anterior_tilt_deg for k in kept])
    assert np.array_equal(t, batch.t_utc_ns)
    moving = slice(round(14 * rate_hz), None)
    error = (tilt - truth)[moving]
    size = group_size(rate_hz)
    # The same for the first sample of a row as for its last, of which the filter tells: 3.3 °/10 ms would show a wrong time.
    by_place = [np.sqrt(np.mean(error[(np.arange(len(tilt))[moving] % size) == j] ** 2)) for j in range(size)]
    assert max(by_place) < 1.5
    assert max(by_place) - min(by_place) < 0.1


@pytest.mark.parametrize("estimate", ["online", "settled"])
def test_live_chunks_give_the_same_samples_and_records(estimate: str) -> None:
    batch, _ = walked(104.0)
    setup = replace(CoreSetup("w", "s", 104.0, neutral(batch, 104.0)), estimate=estimate)

    def run(size: int, *, restart: bool) -> tuple[list[object], F64]:
        core, records, tilt = Core(setup, Study(), every_sample=True), [], []
        for lo in range(0, len(batch), size):
            part = slice(lo, lo + size)
            out = core.update(TimedBatch(batch.t_utc_ns[part], batch.acc_mps2[part], batch.gyr_rps[part]))
            records += out.records
            tilt += [] if out.samples is None else [out.samples.anterior_tilt_deg]
            if restart and lo // size % 50 == 7:
                state, core = load(dump(core.snapshot())), Core(setup, Study(), every_sample=True)
                core.restore(state)
        out = core.finish()
        return records + out.records, np.concatenate(
            [*tilt, *([] if out.samples is None else [out.samples.anterior_tilt_deg])]
        )

    one, many = run(len(batch), restart=False), run(7, restart=True)
    assert repr(one[0]) == repr(many[0])
    assert len(one[1]) == len(batch)
    assert np.array_equal(one[1], many[1], equal_nan=True)


@pytest.mark.parametrize("kept_share", [0.5, 0.75])
def test_coverage_counts_samples_not_rows(kept_share: float) -> None:
    batch, _ = walked(100.0)
    keep = np.arange(len(batch)) % 4 < 4 * kept_share if kept_share != 0.5 else np.arange(len(batch)) % 2 == 0
    thin = TimedBatch(batch.t_utc_ns[keep], batch.acc_mps2[keep], batch.gyr_rps[keep])
    records = process_recording(iter([thin]), CoreSetup("w", "s", 100.0, neutral(thin, 100.0)), Study()).records
    coverage = [r.coverage for r in records if isinstance(r, Metric)][5:-1]
    assert np.allclose(coverage, kept_share / 0.98, atol=0.02)


def test_an_open_group_waits_and_leaves_at_the_end() -> None:
    stage = GroupStage(4, 0.005)
    batch, _ = tumbling(6, 200.0)
    first = stage.update(Filled(batch.t_utc_ns, batch.acc_mps2, batch.gyr_rps, None, [], []))
    assert len(first.t_utc_ns) == 1
    assert len(stage.rest.t_utc_ns) == 2
    nothing = Filled(batch.t_utc_ns[:0], batch.acc_mps2[:0], batch.gyr_rps[:0], None, [], [])
    last = stage.update(nothing, last=True)
    assert last.t_utc_ns.tolist() == batch.t_utc_ns[-1:].tolist()
    assert not len(stage.rest.t_utc_ns)
