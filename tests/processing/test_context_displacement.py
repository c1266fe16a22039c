"""Vertical displacement between two rests against known movements, with the accelerometer's offset in the way."""

from __future__ import annotations

import numpy as np
import pytest

from processing.features.displacement import Rest, angle_deg, cell_rows, rest_of, vertical_displacement
from processing.features.movement import CELLS_PER_S, MovementStage
from tests.processing.bodies import Body, part


@pytest.mark.parametrize("rate_hz", [25.0, 57.0, 100.0, 285.7])
@pytest.mark.parametrize(("rise_m", "seconds", "tilt"), [(-0.4, 2.5, -20.0), (0.35, 1.5, 18.0), (-0.45, 4.0, -80.0)])
@pytest.mark.parametrize("offset", [(0.0, 0.0, 0.0), (0.4, -0.3, 0.2)])
def test_rise_of_a_smooth_movement(
    rate_hz: float, rise_m: float, seconds: float, tilt: float, offset: tuple[float, float, float]
) -> None:
    body = Body(rate_hz=rate_hz, acc_offset_mps2=offset, breathing_deg=0.0)
    body.rest(5).move(seconds, to_pitch_deg=tilt, rise_m=rise_m).rest(5)
    m = MovementStage(rate_hz).update(body.block())
    a, b = 5 * CELLS_PER_S, round((5 + seconds) * CELLS_PER_S) + 1
    cells = cell_rows(m.acc_up_mps2, m.up, m.turn_dps)
    got = vertical_displacement(cells[:, a:b], rest_of(cells[:, a - 6 : a]), rest_of(cells[:, b : b + 6]))
    assert got.rise_m == pytest.approx(rise_m, abs=0.06)
    assert got.path_deg == pytest.approx(abs(tilt), rel=0.15, abs=3.0)
    begun, done = got.stroke()
    assert 0 < begun < 0.5 * (b - a) < done < b - a  # a smooth movement does most of it in the middle


def test_the_blend_is_what_makes_it_work() -> None:
    """The same movement integrated with one offset for both ends is wrong by more than the seat's height."""
    body = Body(acc_offset_mps2=(0.4, -0.3, 0.2), breathing_deg=0.0).rest(5)
    body.move(4.0, to_pitch_deg=-80.0, rise_m=-0.45).rest(5)
    m = MovementStage(100.0).update(body.block())
    cells = cell_rows(m.acc_up_mps2, m.up, m.turn_dps)
    before, after = rest_of(cells[:, 44:50]), rest_of(cells[:, 91:97])
    good = vertical_displacement(cells[:, 50:91], before, after)
    bad = vertical_displacement(cells[:, 50:91], before, Rest(before.residual_mps2, after.up))
    assert abs(good.rise_m + 0.45) < 0.06
    assert abs(bad.rise_m + 0.45) > 2.0 * abs(good.rise_m + 0.45)


def test_angles_between_directions() -> None:
    assert angle_deg((0.0, 1.0, 0.0), (0.0, 2.0, 0.0)) == pytest.approx(0.0)
    assert angle_deg((0.0, 1.0, 0.0), (1.0, 0.0, 0.0)) == pytest.approx(90.0)
    assert angle_deg((0.0, 1.0, 0.0), (0.0, -0.5, 0.0)) == pytest.approx(180.0)
    assert angle_deg((0.0, 0.0, 0.0), (0.0, 1.0, 0.0)) == 0.0


@pytest.mark.parametrize("rate_hz", [25.0, 50.0, 57.0, 100.0, 285.7, 300.0])
def test_every_second_has_ten_cells_whatever_the_rate_and_the_holes(rate_hz: float) -> None:
    rng = np.random.default_rng(7)
    body = Body(rate_hz=rate_hz).rest(5).walk(20).rest(5)
    keep = np.ones(round(31 * rate_hz))
    for at in rng.integers(round(rate_hz), len(keep), 12):
        keep[at : at + rng.integers(1, round(0.8 * rate_hz))] = 0
    block = body.block(keep)
    m = MovementStage(rate_hz).update(block)
    n = len(block.second)
    assert len(m.turn_dps) == len(m.acc_up_mps2) == len(m.up) == CELLS_PER_S * n
    assert np.isfinite(m.turn_dps).all()
    assert np.isfinite(m.acc_up_mps2).all()
    assert m.covered.min() < 1.0
    again = MovementStage(rate_hz)
    halves = [again.update(part(block, 0, n // 2)), again.update(part(block, n // 2, n))]
    for name in (
        "turn_dps",
        "acc_up_mps2",
        "up",
        "step_rms_mps2",
        "crossings",
        "turn_sd_dps",
        "acc_sd_mps2",
        "covered",
    ):
        assert np.array_equal(np.concatenate([getattr(h, name) for h in halves]), getattr(m, name)), name


def test_the_step_band_sees_steps_and_not_breathing() -> None:
    m = MovementStage(100.0).update(Body(breathing_deg=0.3).rest(10).walk(20, amplitude_m=0.022).rest(10).block())
    expected = 0.022 * (2 * np.pi * 1.8) ** 2 / np.sqrt(2)
    assert m.step_rms_mps2[15:25] == pytest.approx(expected, rel=0.15)
    assert m.step_rms_mps2[4:9].max() < 0.05
    assert 1 <= m.crossings[15:25].min() <= m.crossings[15:25].max() <= 2
