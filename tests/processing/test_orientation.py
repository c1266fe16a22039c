"""Orientation against analytic motion, after gaps, with bias; retro in blocks equals retro at once."""

from __future__ import annotations

import numpy as np
import pytest

from processing.frames import up_in_sensor
from processing.gaps import GapParams, GapStage
from processing.orientation import OrientationParams, OrientationStage
from processing.retro import RetroOrientation, join
from processing.types import TimedBatch

RATE = 100.0


def swinging(seconds: float, bias_dps: float = 0.0, seed: int = 1) -> tuple[TimedBatch, np.ndarray]:
    """A sensor that swings about its y axis like a pelvis in walking, 5° at 1 Hz; returns the truth of "up" too."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    angle = np.radians(5) * np.sin(2 * np.pi * t)
    rate = np.radians(5) * 2 * np.pi * np.cos(2 * np.pi * t)
    up = np.column_stack([np.cos(angle), np.zeros(len(t)), np.sin(angle)])
    acc = 9.80665 * up + rng.normal(0, 0.05, up.shape)
    acc[:, 0] += 2.0 * np.sin(2 * np.pi * 2 * t)  # heel strikes, along the vertical
    gyr = np.zeros_like(up)
    gyr[:, 1] = rate
    gyr += np.radians(bias_dps) + rng.normal(0, 0.002, up.shape)
    return TimedBatch(np.round(t * 1e9).astype(np.int64), acc, gyr), up


def error_deg(q: np.ndarray, up: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip(np.sum(up_in_sensor(q) * up, axis=1), -1, 1)))


def test_swinging_is_followed() -> None:
    timed, up = swinging(60)
    q = OrientationStage(OrientationParams(RATE)).update(GapStage(GapParams(RATE)).update(timed))
    assert np.sqrt(np.mean(error_deg(q, up)[500:] ** 2)) < 1.0


def test_a_bias_of_several_degrees_per_second_is_learnt() -> None:
    timed, up = swinging(240, bias_dps=3.0)
    q = OrientationStage(OrientationParams(RATE)).update(GapStage(GapParams(RATE)).update(timed))
    assert np.sqrt(np.mean(error_deg(q, up)[-6000:] ** 2)) < 1.0


def test_walking_with_holes_stays_near_the_truth_outside_settling() -> None:
    timed, up = swinging(120)
    rng = np.random.default_rng(4)
    keep = np.ones(len(timed), dtype=bool)
    for start in rng.integers(500, len(timed) - 100, 12):
        keep[start : start + 50] = False
    cut = TimedBatch(timed.t_utc_ns[keep], timed.acc_mps2[keep], timed.gyr_rps[keep])
    filled = GapStage(GapParams(RATE)).update(cut)
    e = error_deg(OrientationStage(OrientationParams(RATE)).update(filled), up[keep])
    settled = np.ones(len(e), dtype=bool)
    for b in filled.breaks:
        settled[b : b + 200] = False
    assert np.sqrt(np.mean(e[settled] ** 2)) < 2.0


@pytest.mark.parametrize("piece", [777, 5000])
def test_retro_gives_every_sample_once_and_blocks_agree_with_the_whole(piece: int) -> None:
    timed, up = swinging(200)
    keep = np.ones(len(timed), dtype=bool)
    keep[3000:3200] = False  # 2 s
    keep[9000:9500] = False  # 5 s: not joined
    t, acc, gyr = timed.t_utc_ns[keep], timed.acc_mps2[keep], timed.gyr_rps[keep]

    def solve(block_s: float, overlap_s: float, step: int) -> tuple[np.ndarray, np.ndarray]:
        gaps, retro = GapStage(GapParams(RATE)), RetroOrientation(OrientationParams(RATE), block_s, overlap_s)
        done = []
        for lo in range(0, len(t), step):
            hi = lo + step
            done += retro.update(gaps.update(TimedBatch(t[lo:hi], acc[lo:hi], gyr[lo:hi])))
        empty = np.empty((0, 3))
        done += retro.update(gaps.update(TimedBatch(t[:0], empty, empty)), last=True)
        filled = join([f for f, _ in done])
        assert np.array_equal(filled.t_utc_ns, t)
        assert len(filled.breaks) == 2
        return filled.t_utc_ns, np.concatenate([q for _, q in done])

    _, whole = solve(1000, 120, len(t))
    _, blocks = solve(40, 20, piece)
    between = error_deg(blocks, up_in_sensor(whole))
    assert np.sqrt(np.mean(between**2)) < 0.15
    assert np.sqrt(np.mean(error_deg(whole, up[keep]) ** 2)) < 0.4
