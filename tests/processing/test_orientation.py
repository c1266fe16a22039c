"""Orientation against analytic motion, after gaps, with bias; retro in blocks equals retro at once."""

from __future__ import annotations

import numpy as np
import pytest

from processing.frames import up_in_sensor
from processing.gaps import GapParams, GapStage, cut, join
from processing.orientation.causal import CausalOrientation, Estimator, OrientationFilter, OrientationParams
from processing.orientation.retro import RetroOrientation
from processing.orientation.settled import SettledOrientation
from processing.snapshot import dump, load
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
    q, _ = OrientationFilter(OrientationParams(RATE)).update(GapStage(GapParams(RATE)).update(timed))
    assert np.sqrt(np.mean(error_deg(q, up)[500:] ** 2)) < 1.0


def test_a_bias_of_several_degrees_per_second_is_learnt() -> None:
    timed, up = swinging(240, bias_dps=3.0)
    q, _ = OrientationFilter(OrientationParams(RATE)).update(GapStage(GapParams(RATE)).update(timed))
    assert np.sqrt(np.mean(error_deg(q, up)[-6000:] ** 2)) < 1.0


def test_walking_with_holes_stays_near_the_truth_outside_settling() -> None:
    timed, up = swinging(120)
    rng = np.random.default_rng(4)
    keep = np.ones(len(timed), dtype=bool)
    for start in rng.integers(500, len(timed) - 100, 12):
        keep[start : start + 50] = False
    cut = TimedBatch(timed.t_utc_ns[keep], timed.acc_mps2[keep], timed.gyr_rps[keep])
    filled = GapStage(GapParams(RATE)).update(cut)
    e = error_deg(OrientationFilter(OrientationParams(RATE)).update(filled)[0], up[keep])
    settled = np.ones(len(e), dtype=bool)
    for b in filled.breaks:
        settled[b : b + 200] = False
    assert np.sqrt(np.mean(e[settled] ** 2)) < 2.0


def holed(timed: TimedBatch, *holes: tuple[int, int]) -> tuple[TimedBatch, np.ndarray]:
    keep = np.ones(len(timed), dtype=bool)
    for lo, hi in holes:
        keep[lo:hi] = False
    return TimedBatch(timed.t_utc_ns[keep], timed.acc_mps2[keep], timed.gyr_rps[keep]), keep


def solve(estimator: Estimator, timed: TimedBatch, step: int, holes: int = 2) -> np.ndarray:
    """All rows through an estimator in pieces of ``step``; every row must come back once, with its ``holes``."""
    gaps, done = GapStage(GapParams(RATE)), []
    for lo in range(0, len(timed), step):
        rows = slice(lo, lo + step)
        done += estimator.update(
            gaps.update(TimedBatch(timed.t_utc_ns[rows], timed.acc_mps2[rows], timed.gyr_rps[rows]))
        )
    done += estimator.finish()
    filled = join([part.filled for part in done])
    assert np.array_equal(filled.t_utc_ns, timed.t_utc_ns)
    assert len(filled.breaks) == len(filled.gaps) == holes
    return np.concatenate([part.q_es for part in done])


HOLES = ((3000, 3200), (9000, 9500))  # 2 s and 5 s


@pytest.mark.parametrize("piece", [777, 5000])
def test_retro_gives_every_sample_once_and_blocks_agree_with_the_whole(piece: int) -> None:
    timed, up = swinging(200)
    cut_up, keep = holed(timed, *HOLES)
    whole = solve(RetroOrientation(OrientationParams(RATE), 1000, 120), cut_up, len(timed))
    blocks = solve(RetroOrientation(OrientationParams(RATE), 40, 20), cut_up, piece)
    assert np.sqrt(np.mean(error_deg(blocks, up_in_sensor(whole)) ** 2)) < 0.15
    assert np.sqrt(np.mean(error_deg(whole, up[keep]) ** 2)) < 0.4


def lying_down_unheard(hole_s: float) -> tuple[TimedBatch, np.ndarray, int]:
    """Up goes from one axis to another while nothing is received; what is, the true up in it, and the row after the hole."""
    rng = np.random.default_rng(6)
    t = np.arange(round(90 * RATE)) / RATE
    angle = np.radians(80) * np.clip((t - 45.0) / (0.9 * hole_s) + 0.5, 0.0, 1.0)
    angle += np.radians(2) * np.sin(2 * np.pi * 0.3 * t)
    up = np.column_stack([np.cos(angle), np.zeros(len(t)), np.sin(angle)])
    gyr = np.column_stack([np.zeros(len(t)), np.gradient(angle, t), np.zeros(len(t))])
    acc, gyr = 9.80665 * up + rng.normal(0, 0.05, up.shape), gyr + rng.normal(0, 0.002, up.shape)
    half = round(0.5 * hole_s * RATE)
    heard, keep = holed(TimedBatch(np.round(t * 1e9).astype(np.int64), acc, gyr), (4500 - half, 4500 + half))
    return heard, up[keep], 4500 - half


@pytest.mark.parametrize("hole_s", [0.6, 3.0, 8.0])
@pytest.mark.parametrize("estimator", [CausalOrientation, SettledOrientation, RetroOrientation])
def test_a_turn_within_a_hole_is_found(estimator, hole_s: float) -> None:
    heard, up, after = lying_down_unheard(hole_s)
    error = error_deg(solve(estimator(OrientationParams(RATE)), heard, len(heard), holes=1), up)
    # Gone on as if nothing had turned it is 20 to 40 at first.
    assert error[200:after].max() < 3.0
    assert error[after:].max() < 5.0


def test_settled_is_near_retro_and_better_than_causal_whatever_the_pieces() -> None:
    timed, up = swinging(200, bias_dps=1.0)  # something to lose while it is learnt
    cut_up, keep = holed(timed, *HOLES)
    rms = {}
    for name, estimator in {
        "causal": CausalOrientation(OrientationParams(RATE)),
        "settled": SettledOrientation(OrientationParams(RATE)),
        "retro": RetroOrientation(OrientationParams(RATE)),
    }.items():
        rms[name] = float(np.sqrt(np.mean(error_deg(solve(estimator, cut_up, 500), up[keep])[500:] ** 2)))
    assert rms["settled"] < 0.8 * rms["causal"]
    assert rms["settled"] < rms["retro"] + 0.3
    once = solve(SettledOrientation(OrientationParams(RATE)), cut_up, len(timed))
    assert np.array_equal(solve(SettledOrientation(OrientationParams(RATE)), cut_up, 77), once)


def test_settled_waits_no_longer_than_ten_seconds() -> None:
    timed, _ = swinging(60)
    gaps, settled, done = GapStage(GapParams(RATE)), SettledOrientation(OrientationParams(RATE)), 0
    for i in range(0, len(timed), 10):
        rows = slice(i, i + 10)
        part = gaps.update(TimedBatch(timed.t_utc_ns[rows], timed.acc_mps2[rows], timed.gyr_rps[rows]))
        done += sum(len(p.q_es) for p in settled.update(part))
        assert i + 10 - done <= 10 * RATE


@pytest.mark.parametrize("rate_hz", [200.0, 286.0])
def test_the_chips_own_delay_is_made_up_for(rate_hz: float) -> None:
    """A hand turns the sensor at up to 500 °/s; what the chip reports is older than its time stamp by what data sheets say."""
    t = np.arange(round(60 * rate_hz)) / rate_hz
    delay = 1.7e-3 + 0.375 / rate_hz

    def angle(s: np.ndarray) -> np.ndarray:
        return 1.4 * np.sin(2 * np.pi * s) * np.cos(0.3 * s)

    def up(s: np.ndarray) -> np.ndarray:
        return np.column_stack([np.cos(angle(s)), np.zeros(len(s)), np.sin(angle(s))])

    gyr = np.column_stack([np.zeros(len(t)), np.gradient(angle(t - delay), 1 / rate_hz), np.zeros(len(t))])
    timed = TimedBatch(np.round(t * 1e9).astype(np.int64), 9.80665 * up(t - delay), gyr)
    params = OrientationParams(rate_hz)
    assert params.ahead > 0.1
    for estimator in (CausalOrientation(params), SettledOrientation(params), RetroOrientation(params)):
        parts = estimator.update(GapStage(GapParams(rate_hz)).update(timed)) + estimator.finish()
        got = up_in_sensor(np.concatenate([p.q_es for p in parts]))
        error = np.unwrap(np.arctan2(got[:, 2], got[:, 0])) - angle(t)
        # Error = constant + lead times rate: VQF by itself would be (1.7 ms - 0.125 samples) late.
        terms = np.column_stack([np.ones(len(t)), np.gradient(angle(t), 1 / rate_hz)])[round(20 * rate_hz) :]
        lead_s = np.linalg.lstsq(terms, error[round(20 * rate_hz) :], rcond=None)[0][1]
        assert abs(lead_s) < 0.1e-3


def test_at_a_wearers_rate_the_delay_is_left_alone() -> None:
    assert OrientationParams(50.0).ahead == OrientationParams(100.0).ahead == 0.0


def walking_from(start_s: float, bias_dps: float = 0.0) -> tuple[TimedBatch, np.ndarray]:
    """Forty seconds of the swing with a step's push and brake ahead (2 m/s² at 2 Hz), begun ``start_s`` into it."""
    timed, up = swinging(50, bias_dps=bias_dps)
    t = timed.t_utc_ns / 1e9
    ahead = np.column_stack([-up[:, 2], np.zeros(len(up)), up[:, 0]])
    acc = timed.acc_mps2 + 2.0 * np.cos(2 * np.pi * 2 * t)[:, None] * ahead
    rows = slice(round(start_s * RATE), round(start_s * RATE) + 4000)
    return TimedBatch(timed.t_utc_ns[rows], acc[rows], timed.gyr_rps[rows]), up[rows]


STARTS = (0.1, 0.33, 1.52, 2.75, 4.18)
"""At different phases of the step, so that the first guess of up is off by up to 12 degrees, this way and that."""


def test_a_walk_that_is_under_way_does_not_teach_a_bias_that_is_not_there() -> None:
    rms = []
    for start in STARTS:
        timed, up = walking_from(start)
        q, _ = OrientationFilter(OrientationParams(RATE)).update(GapStage(GapParams(RATE)).update(timed))
        rms.append(np.sqrt(np.mean(error_deg(q, up)[500:] ** 2)))
    assert max(rms) < 0.5  # where the bias is free from the first sample: 6.2; where it is held for 4.5 s: 1.0


@pytest.mark.parametrize(("bias_dps", "most_deg"), [(1.0, 1.0), (3.0, 2.5)])  # left to VQF, held 4.5 s: 2.7 and 7.3
def test_a_walk_that_is_under_way_shows_the_bias_within_seconds(bias_dps: float, most_deg: float) -> None:
    rms, left = [], []
    for start in STARTS:
        timed, up = walking_from(start, bias_dps)
        q, bias = OrientationFilter(OrientationParams(RATE)).update(GapStage(GapParams(RATE)).update(timed))
        rms.append(np.sqrt(np.mean(error_deg(q, up)[500:] ** 2)))
        left.append(np.degrees(bias[1300, 1:]) - bias_dps)  # about the vertical, the first, nothing shows it
    assert max(rms) < most_deg
    assert np.abs(left).max() < 0.5


def test_a_hole_in_the_first_seconds_forgets_the_turn_and_not_the_bias() -> None:
    left = []
    for start in STARTS:
        cut_out, _ = holed(walking_from(start, bias_dps=3.0)[0], (460, 490), (950, 1000))
        _, bias = OrientationFilter(OrientationParams(RATE)).update(GapStage(GapParams(RATE)).update(cut_out))
        left.append(np.degrees(np.abs(bias[1240, 1:] - np.radians(3.0))).max())
    assert np.mean(left) < 1.3  # from the last piece alone: 1.5


def test_who_stands_still_after_the_first_steps_is_left_to_the_filters_own_rest() -> None:
    timed, up = walking_from(STARTS[0], bias_dps=2.0)
    still = np.arange(len(timed)) >= 550
    acc = np.where(still[:, None], 9.80665 * up[550], timed.acc_mps2)
    gyr = np.where(still[:, None], np.radians(2.0), timed.gyr_rps)
    quiet = TimedBatch(timed.t_utc_ns, acc, gyr)
    q, bias = OrientationFilter(OrientationParams(RATE)).update(GapStage(GapParams(RATE)).update(quiet))
    assert np.degrees(np.abs(bias[2500] - np.radians(2.0))).max() < 0.1  # all three: a rest shows the vertical's too
    assert error_deg(q[2000:], np.tile(up[550], (2000, 1))).max() < 0.5


def test_an_opening_without_gravity_leaves_numbers() -> None:
    """A dead accelerometer, a gyroscope that turns: nothing to be learnt, nothing poisoned."""
    timed, _ = walking_from(STARTS[0])
    dead = TimedBatch(timed.t_utc_ns, np.zeros((len(timed), 3)), timed.gyr_rps)
    q, bias = OrientationFilter(OrientationParams(RATE)).update(GapStage(GapParams(RATE)).update(dead))
    assert np.isfinite(q).all()
    assert np.isfinite(bias).all()


def test_an_opening_in_motion_is_the_same_in_any_pieces_and_after_a_restart() -> None:
    timed, _ = holed(walking_from(STARTS[1], bias_dps=2.0)[0], (640, 680))
    filled = GapStage(GapParams(RATE)).update(timed)
    once, _ = OrientationFilter(OrientationParams(RATE)).update(filled)
    rows = 1400
    for step in (1, 7, 49, 50, 51, 99, 100, 640, 1199, 1200, 1400):
        pieces, stage = [], OrientationFilter(OrientationParams(RATE))
        for lo in range(0, rows, step):
            pieces.append(stage.update(cut(filled, lo, min(lo + step, rows)))[0])
            again = OrientationFilter(OrientationParams(RATE))
            again.restore(load(dump(stage.snapshot())))
            stage = again
        assert np.array_equal(np.concatenate(pieces), once[:rows])
