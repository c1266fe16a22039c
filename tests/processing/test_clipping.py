"""Readings at the end of a range are found without being told the range, lower quality, widen doubt, and do not last."""

from __future__ import annotations

import numpy as np
import pytest

from processing.alignment.static import align, parse_mount
from processing.batch import blocks, process_recording
from processing.clipping import ClipStage
from processing.core import CoreSetup
from processing.rules.study import Study
from processing.snapshot import dump, load
from processing.types import GRAVITY_MPS2, NS_PER_S, Metric, Samples, TimedBatch

RATE = 100.0
START_NS = 1_790_000_000 * NS_PER_S
UP_MOUNT = "up=+x,anterior=-z"


def rocking(seconds: int, amplitude_deg: float, from_s: int, to_s: int, seed: int = 1) -> tuple[TimedBatch, np.ndarray]:
    """Standing; in between the trunk rocks back and forth at 1 Hz. Returns the true anterior tilt too."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    s = np.arange(n) / RATE
    on = (s >= from_s) & (s < to_s)
    angle = np.where(on, np.radians(amplitude_deg) * np.sin(2 * np.pi * (s - from_s)), 0.0)
    rate = np.where(on, np.radians(amplitude_deg) * 2 * np.pi * np.cos(2 * np.pi * (s - from_s)), 0.0)
    # up is +x, forward is -z: leaning forward turns up towards +z in sensor axes, about -y
    up = np.column_stack([np.cos(angle), np.zeros(n), np.sin(angle)])
    acc = GRAVITY_MPS2 * up + rng.normal(0, 0.03, up.shape)
    gyr = np.column_stack([np.zeros(n), rate, np.zeros(n)]) + rng.normal(0, 0.002, up.shape)
    t = START_NS + np.round(s * 1e9).astype(np.int64)
    return TimedBatch(t, acc, gyr), np.degrees(angle)


def processed(timed: TimedBatch) -> tuple[list[Metric], np.ndarray]:
    neutral = align(parse_mount(UP_MOUNT), np.array([GRAVITY_MPS2, 0, 0]), given=True, mount_id="m", t_utc_ns=0)
    kept: list[Samples] = []
    result = process_recording(
        blocks(timed), CoreSetup("w", "s", RATE, neutral), Study(), "online", on_samples=kept.append
    )
    tilt = np.concatenate([s.anterior_tilt_deg for s in kept])
    return [r for r in result.records if isinstance(r, Metric)], tilt


@pytest.mark.parametrize("range_dps", [125.0, 250.0])
def test_a_gyroscope_at_its_range_is_doubted_while_it_may_be_wrong(range_dps: float) -> None:
    timed, truth = rocking(90, 60.0, 30, 38)
    limit = np.radians(range_dps)
    clipped = TimedBatch(timed.t_utc_ns, timed.acc_mps2, np.clip(timed.gyr_rps, -limit, limit))
    metrics, tilt = processed(clipped)
    error = np.abs(tilt - truth).reshape(-1, round(RATE)).max(axis=1)
    wrong = np.flatnonzero(error > 5.0)
    assert len(wrong), "the fault must show, or this test shows nothing"
    assert all(metrics[i].quality <= 0.4 for i in wrong)
    assert all((metrics[i].tilt_uncertainty_deg or 0.0) >= 10.0 for i in wrong)
    assert all(m.quality > 0.9 for m in metrics[5:29])
    # It does not last (the slip detector may still say that the clip was handled: then 0.5 without a neutral pose).
    assert all(m.quality > 0.42 for m in metrics[45:])
    whole, _ = processed(timed)
    assert all(m.quality > 0.4 for m in whole[31:37])  # the same movement within the range is not doubted


def test_an_accelerometer_at_its_range_is_doubted() -> None:
    timed, _ = rocking(60, 0.0, 0, 1)
    acc = timed.acc_mps2.copy()
    for k in range(5):  # blows of five samples beyond 2 g
        acc[3000 + k : 3200 + k : 20, 0] += 40.0
    metrics, _ = processed(TimedBatch(timed.t_utc_ns, np.clip(acc, -2 * GRAVITY_MPS2, 2 * GRAVITY_MPS2), timed.gyr_rps))
    assert all(m.quality <= 0.4 for m in metrics[30:36])
    assert all(m.quality > 0.9 for m in metrics[5:30] + metrics[45:])


def test_equal_readings_within_every_range_and_single_peaks_are_no_clipping() -> None:
    rng = np.random.default_rng(2)
    t = START_NS + np.arange(2000) * 10_000_000
    coarse = np.round(rng.normal(0, 3, (2000, 3)))  # so coarse that equal neighbours are common
    lone = np.zeros((2000, 3))
    lone[::10] = 20.0  # rad/s
    assert ClipStage().update(t, coarse, lone) is None


def test_pieces_and_restarts_do_not_matter() -> None:
    timed, _ = rocking(40, 60.0, 5, 20)
    gyr = np.clip(timed.gyr_rps, -4.0, 4.0)
    acc = np.clip(timed.acc_mps2 * 1.5, -19.6133, 19.6133)
    whole = ClipStage().update(timed.t_utc_ns, acc, gyr)
    assert whole is not None
    by_column = ClipStage().update(timed.t_utc_ns, np.asfortranarray(acc), np.asfortranarray(gyr))
    assert np.array_equal(by_column, whole)
    assert 0 < np.count_nonzero(whole) < len(whole)
    rng = np.random.default_rng(1)
    for sizes in (np.ones(len(gyr), dtype=int), rng.integers(1, 5, len(gyr)), rng.integers(1, 700, len(gyr))):
        stage, got, lo = ClipStage(), [], 0
        for size in sizes.tolist():
            rows = slice(lo, lo + size)
            if lo >= len(gyr):
                break
            part = stage.update(timed.t_utc_ns[rows], acc[rows], gyr[rows])
            got.append(np.zeros(len(gyr[rows]), dtype=bool) if part is None else part)
            lo += size
            if rng.random() < 0.05:
                blob = dump(stage.snapshot())
                stage = ClipStage()
                stage.restore(load(blob))
        assert np.array_equal(np.concatenate(got), whole)
