"""The accelerometer's own error: learnt from rests in several positions, never from too few, and the zero stays where it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from processing.alignment.static import align, parse_mount
from processing.batch import blocks, process_recording
from processing.core import CoreSetup
from processing.features.align import AlignStage
from processing.features.tilt import TiltParams, second_tilt
from processing.frames import rotate, tilt_and_obliquity_deg, up_in_sensor
from processing.gaps import NOTHING, Filled
from processing.orientation.calibration import CalibrationParams, Calibrator
from processing.orientation.causal import CausalOrientation, Estimator, OrientationParams
from processing.orientation.retro import RetroOrientation
from processing.rules.study import Study
from processing.snapshot import dump, load
from processing.synthetic import Wearer, bmi270, day_script, render, sample_times
from processing.types import GRAVITY_MPS2, NS_PER_S, Event, Metric, SecondBlock, TimedBatch

RATE = 50.0
START_NS = 1_790_000_040 * NS_PER_S  # a full minute
OFFSET = np.array([0.10, -0.15, 0.12])
LEANING = np.array([np.cos(0.3), 0.0, np.sin(0.3)])
STANDING, SITTING, SUPINE, LEFT, PRONE = (
    np.array(v) / np.linalg.norm(v) for v in ((1, 0, 0.1), (0.95, 0, -0.3), (0.05, 0, -1), (0.1, 1, 0), (0, -0.1, 1))
)


def resting(
    positions: list[np.ndarray], seconds: int = 120, offset: np.ndarray = OFFSET, seed: int = 1, noise: float = 0.02
) -> TimedBatch:
    """Rests of so many seconds each; a second of turning between them."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    acc = np.concatenate([np.tile(GRAVITY_MPS2 * p, (n, 1)) for p in positions]) + offset
    acc += rng.normal(0, noise, acc.shape)
    gyr = rng.normal(0, 0.002, acc.shape)
    for i in range(1, len(positions)):
        gyr[i * n - 25 : i * n + 25] += rng.normal(0, 1, (50, 3))
    return TimedBatch(START_NS + (np.arange(len(acc)) * (NS_PER_S / RATE)).astype(np.int64), acc, gyr)


def learn(timed: TimedBatch) -> Calibrator:
    calibrator = Calibrator(CalibrationParams(RATE))
    calibrator.corrected(timed.t_utc_ns, timed.acc_mps2, timed.gyr_rps)
    return calibrator


def test_rests_in_five_positions_give_the_offsets_within_what_is_claimed() -> None:
    found = learn(resting([STANDING, SITTING, SUPINE, LEFT, PRONE, STANDING])).history[-1]
    assert found.directions >= 4  # the last may say nothing new
    assert np.abs(np.array(found.offset_mps2) - OFFSET).max() < 3 * found.sd_mps2
    assert found.sd_mps2 < 0.05
    assert found.misfit < 1.5


def test_offset_and_scale_together_put_gravity_right_where_it_was_seen() -> None:
    """Offset and scale of an axis seen from one side only cannot be told apart; what they do together can."""
    timed = resting([STANDING, SITTING, SUPINE, LEFT, STANDING])
    found = learn(timed).history[-1]
    for position in (STANDING, SUPINE, LEFT):
        read = GRAVITY_MPS2 * position + OFFSET
        before = np.degrees(np.arccos(read @ position / np.linalg.norm(read)))
        corrected = found.apply(read[None, :])[0]
        after = np.degrees(np.arccos(min(1.0, corrected @ position / np.linalg.norm(corrected))))
        assert after < max(0.35, 0.6 * before)


@pytest.mark.parametrize("positions", [[STANDING], [STANDING, LEANING, STANDING, LEANING]])
def test_too_few_positions_teach_nothing(positions: list[np.ndarray]) -> None:
    timed = resting(positions, seconds=400)
    calibrator = Calibrator(CalibrationParams(RATE))
    assert calibrator.corrected(timed.t_utc_ns, timed.acc_mps2, timed.gyr_rps) is not None
    assert [c.directions for c in calibrator.history] == [0]
    assert calibrator.rests.still_s > 60


def test_a_sensor_without_error_is_left_nearly_alone() -> None:
    timed = resting([STANDING, SITTING, SUPINE, LEFT, PRONE, STANDING], offset=np.zeros(3))
    found = learn(timed).history[-1]
    assert np.abs(found.offset_mps2).max() < 0.02
    assert np.abs(found.scale).max() < 0.002


def test_rests_that_contradict_one_another_teach_nothing() -> None:
    """Lengths no offset and scale can explain: the same axis reads ±0.6 m/s² off from one direction to the next."""
    timed = resting([STANDING, SITTING, SUPINE, LEFT, PRONE, STANDING], offset=np.zeros(3))
    acc = timed.acc_mps2.copy()
    part = (np.arange(len(acc)) // round(120 * RATE)) % 6
    acc *= np.choose(part, [1.06, 0.94, 1.06, 0.94, 0.94, 1.06])[:, None]
    assert [c.directions for c in learn(TimedBatch(timed.t_utc_ns, acc, timed.gyr_rps)).history] == [0]


def test_movement_is_no_rest() -> None:
    rng = np.random.default_rng(3)
    timed = resting([STANDING, SUPINE, LEFT], seconds=60)
    shaken = TimedBatch(timed.t_utc_ns, timed.acc_mps2 + rng.normal(0, 0.3, timed.acc_mps2.shape), timed.gyr_rps)
    turning = TimedBatch(timed.t_utc_ns, timed.acc_mps2, timed.gyr_rps + rng.normal(0, 0.1, timed.gyr_rps.shape))
    assert learn(shaken).rests.still_s == learn(turning).rests.still_s == 0


def test_pieces_and_restarts_do_not_matter() -> None:
    timed = resting([STANDING, SITTING, SUPINE, LEFT, PRONE, STANDING])
    whole = Calibrator(CalibrationParams(RATE))
    expected = whole.corrected(timed.t_utc_ns, timed.acc_mps2, timed.gyr_rps)
    assert len(whole.history) > 1
    rng = np.random.default_rng(5)
    for _ in range(3):
        calibrator, got = Calibrator(CalibrationParams(RATE)), []
        edges = [0, *np.sort(rng.choice(np.arange(1, len(timed)), 60, replace=False)).tolist(), len(timed)]
        for lo, hi in zip(edges[:-1], edges[1:], strict=True):
            rows = slice(lo, hi)
            got.append(calibrator.corrected(timed.t_utc_ns[rows], timed.acc_mps2[rows], timed.gyr_rps[rows]))
            if rng.random() < 0.2:
                blob = dump(calibrator.snapshot())
                calibrator = Calibrator(CalibrationParams(RATE))
                calibrator.restore(load(blob))
        assert np.array_equal(np.concatenate(got), expected)
        assert calibrator.history == whole.history


def test_zero_stays_at_the_neutral_pose_and_other_angles_come_right() -> None:
    calibrator = learn(resting([STANDING, SITTING, SUPINE, LEFT, PRONE, STANDING]))
    pose = GRAVITY_MPS2 * STANDING + OFFSET  # what the sensor read
    stage = AlignStage(align(parse_mount("up=+x,anterior=-z"), pose, given=True, mount_id="m", t_utc_ns=0), calibrator)
    last = calibrator.history[-1]

    def tilt(t_ns: int, direction: np.ndarray) -> float:
        up = calibrator.at(t_ns).apply((GRAVITY_MPS2 * direction + OFFSET)[None, :])
        up = up / np.linalg.norm(up)
        return float(tilt_and_obliquity_deg(rotate(stage.rows_at(t_ns), up))[0][0])

    def error(t_ns: int, direction: np.ndarray) -> float:
        truth = np.degrees(np.arctan2(direction[2], direction[0]) - np.arctan2(STANDING[2], STANDING[0]))
        return abs(tilt(t_ns, direction) - float(truth))

    assert tilt(START_NS, STANDING) == pytest.approx(0.0, abs=1e-9)
    assert tilt(last.from_ns, STANDING) == pytest.approx(0.0, abs=0.02)
    before, after = (sum(error(t, d) for d in (SITTING, SUPINE, PRONE)) for t in (START_NS, last.from_ns))
    assert before > 0.5
    assert after < 0.5 * before


def test_the_correction_is_told_and_narrows_the_uncertainty() -> None:
    timed = resting([STANDING, SUPINE, SITTING, LEFT, PRONE, STANDING, SUPINE])
    mount = align(
        parse_mount("up=+x,anterior=-z"), timed.acc_mps2[:250].mean(axis=0), given=True, mount_id="m", t_utc_ns=0
    )
    records = process_recording(blocks(timed), CoreSetup("w", "s", RATE, mount), Study()).records
    told = [r for r in records if isinstance(r, Event) and r.type == "calibration"]
    assert told
    assert told[0].t_utc_ns % (60 * NS_PER_S) == 0
    assert told[-1].data["offset_mps2"] == pytest.approx(OFFSET, abs=0.12)
    metrics = [r for r in records if isinstance(r, Metric)]
    early, late = metrics[180:230], metrics[-60:-10]  # supine both times
    assert np.mean([m.tilt_uncertainty_deg or 0 for m in late]) < np.mean([m.tilt_uncertainty_deg or 0 for m in early])


def still_second(tilt_deg: float) -> SecondBlock:
    """One second at rest, leaning so far."""
    n, a = round(RATE), np.radians(tilt_deg)
    up = np.tile([-np.sin(a), np.cos(a), 0.0], (n, 1))
    t = START_NS + (np.arange(n) * (NS_PER_S / RATE)).astype(np.int64)
    zeros, sure = np.zeros(n), np.ones(n, dtype=bool)
    second, start, gap = np.array([START_NS // NS_PER_S]), np.array([0, n]), np.zeros(1, dtype=bool)
    tilt = np.full(n, tilt_deg)
    return SecondBlock(second, start, t, GRAVITY_MPS2 * up, 0 * up, up, zeros, tilt, zeros, sure, gap, RATE)


def test_doubt_of_the_offset_grows_with_the_angle_from_neutral() -> None:
    upright, leaning = still_second(0.0), still_second(90.0)
    doubt = [
        float(second_tilt(b, 0.0, has_neutral=True, params=TiltParams(), acc_offset_sd_mps2=0.2).uncertainty_deg[0])
        for b in (upright, leaning)
    ]
    assert doubt[0] == pytest.approx(0.4, abs=0.05)
    assert doubt[1] == pytest.approx(np.hypot(0.4, np.sqrt(2) * np.degrees(0.2 / GRAVITY_MPS2)), abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["online", "retro"])
def test_a_day_with_a_sensor_out_of_the_reel(mode: str) -> None:
    """Four hours of lying, sitting, standing and walking, the accelerometer as it comes (10 mg, 0.2 % standard deviation)."""

    def rmse(seed: int, params: CalibrationParams | None) -> float:
        script, model = day_script(START_NS, 4 * 3600.0, Wearer(seed)), bmi270(seed)
        orientation = OrientationParams(RATE)
        estimator: Estimator = CausalOrientation(orientation) if mode == "online" else RetroOrientation(orientation)
        if params is not None:
            estimator.calibrator.params = params
        ups, truths = [], []
        for first in range(0, round(4 * 3600 * RATE), 3000):
            t = sample_times(START_NS, 3000, RATE, first)
            truth = render(script, t)
            acc, gyr = model.measure(t, first, truth.acc_p_mps2, truth.gyr_p_rps)
            o, a = np.radians(truth.obliquity_deg), np.radians(truth.anterior_tilt_deg)
            up_p = np.column_stack([-np.cos(o) * np.sin(a), np.cos(o) * np.cos(a), np.sin(o)])
            truths.append(rotate(model.r_sp, up_p))
            ups += estimator.update(replace(NOTHING, t_utc_ns=t, acc_mps2=acc, gyr_rps=gyr))
        ups += estimator.finish()
        up = up_in_sensor(np.concatenate([p.q_es for p in ups]))
        cosine = np.sum(up * np.concatenate(truths), axis=1)
        return float(np.sqrt(np.mean(np.degrees(np.arccos(np.clip(cosine, -1, 1))) ** 2)))

    never = CalibrationParams(RATE, min_seconds=10**9)
    seeds = (1, 2, 4)
    before, after = ([rmse(s, p) for s in seeds] for p in (never, None))
    print(f"{mode}: {np.mean(before):.2f} -> {np.mean(after):.2f} deg")
    assert np.mean(after) < 0.75 * np.mean(before)
    assert all(b < a for a, b in zip(before, after, strict=True))


def test_filled_and_timed_agree() -> None:
    """The stage sees bridged samples too; a hole must not make a second of rest."""
    timed = resting([STANDING, SUPINE, LEFT], seconds=60)
    keep = np.arange(len(timed)) % 50 < 40  # a fifth of each second is missing
    holed = TimedBatch(timed.t_utc_ns[keep], timed.acc_mps2[keep], timed.gyr_rps[keep])
    assert learn(holed).rests.still_s == 0
    empty: Filled = NOTHING
    assert len(Calibrator(CalibrationParams(RATE)).corrected(empty.t_utc_ns, empty.acc_mps2, empty.gyr_rps)) == 0
