"""A simulated gait has what a sensor on a lower back feels of people walking; the figures beside are theirs (docs/validation.md)."""

from __future__ import annotations

import numpy as np
import pytest

from processing.synthetic.gait import GAITS, Bout, swing
from processing.types import F64

RATE_HZ = 100.0


def bout(kind: str, start_s: float = 100.0, step_hz: float | None = None, seconds: float = 60.0) -> Bout:
    return Bout(kind, start_s, start_s + seconds, step_hz or GAITS[kind].step_hz, 1.0)


def times(one: Bout, rate_hz: float = RATE_HZ) -> F64:
    return one.start_s + np.arange(round((one.stop_s - one.start_s) * rate_hz)) / rate_hz


def regularity(x: F64, lag_s: float) -> float:
    """How alike two stretches are that lie about ``lag_s`` apart: the correlation farthest from zero, over 60 ms either way."""
    lags = range(round((lag_s - 0.06) * RATE_HZ), round((lag_s + 0.06) * RATE_HZ) + 1)
    return max((float(np.corrcoef(x[:-lag], x[lag:])[0, 1]) for lag in lags), key=abs)


@pytest.mark.parametrize("kind", sorted(GAITS))
def test_a_bout_leaves_no_speed_and_no_way_behind(kind: str) -> None:
    one = bout(kind, seconds=20.0)
    moved = swing(one, times(one, 2000.0))
    for acc in (moved.up_mps2, moved.ahead_mps2, moved.right_mps2):
        speed = np.cumsum(acc) / 2000.0
        assert float(np.max(np.abs(speed))) > 0.02
        assert abs(float(speed[-1])) < 1e-3
        assert abs(float(np.sum(speed))) / 2000.0 < 1e-3


@pytest.mark.parametrize("kind", sorted(GAITS))
def test_rates_are_the_derivatives_of_the_angles(kind: str) -> None:
    one = bout(kind, seconds=10.0)
    moved = swing(one, times(one, 2000.0))
    for angle, rate in (moved.tilt, moved.obliquity, moved.rotation):
        central = (angle[2:] - angle[:-2]) * 1000.0
        assert float(np.max(np.abs(central - rate[1:-1]))) < 1e-3 * float(np.max(np.abs(rate)))


@pytest.mark.parametrize("kind", sorted(GAITS))
def test_the_standing_foot_is_on_the_higher_side_and_pushes_away_from_it(kind: str) -> None:
    one = bout(kind)
    moved = swing(one, times(one))
    assert float(np.corrcoef(moved.right_mps2, moved.obliquity[0])[0, 1]) < -0.1


def test_the_heel_is_heard() -> None:
    # Power above 4 Hz: 43, 44 and 70 per cent of up, ahead and aside at ten people's lower backs (± 11, 14 and 10).
    one = bout("walking")
    moved = swing(one, times(one))
    high = np.fft.rfftfreq(6000, 1.0 / RATE_HZ) > 4.0
    for acc, low, most in ((moved.up_mps2, 0.15, 0.45), (moved.ahead_mps2, 0.2, 0.5), (moved.right_mps2, 0.4, 0.8)):
        power = np.abs(np.fft.rfft(acc)) ** 2
        assert low < float(power[high].sum() / power.sum()) < most


def test_no_two_strides_are_alike_but_all_are_of_one_gait() -> None:
    # Step and stride after each other at the same backs: 0.79 and 0.85 up, 0.75 and 0.79 ahead, -0.58 and 0.67 aside.
    one = bout("walking")
    moved, step_s = swing(one, times(one)), 1.0 / one.step_hz
    for acc in (moved.up_mps2, moved.ahead_mps2):
        for lag_s in (step_s, 2.0 * step_s):
            assert 0.65 < regularity(acc[200:-200], lag_s) < 0.92
    assert -0.75 < regularity(moved.right_mps2[200:-200], step_s) < -0.4
    assert 0.4 < regularity(moved.right_mps2[200:-200], 2.0 * step_s) < 0.8


def test_another_walk_is_another_walk() -> None:
    one, other = bout("walking"), bout("walking", start_s=700.0)
    a, b = swing(one, times(one)), swing(other, times(other))
    assert 0.7 < float(np.corrcoef(a.up_mps2, b.up_mps2)[0, 1]) < 0.95


def test_quicker_steps_are_harder_ones() -> None:
    # Twelve in a hundred more steps a minute: at those backs about 1.3 times up and 1.15 times ahead.
    slow, quick = bout("walking", step_hz=1.7), bout("walking", step_hz=1.9)
    a, b = swing(slow, times(slow)), swing(quick, times(quick))
    ratio = [float(np.std(getattr(b, k)) / np.std(getattr(a, k))) for k in ("up_mps2", "ahead_mps2", "right_mps2")]
    assert ratio == pytest.approx([(1.9 / 1.7) ** 2, 1.9 / 1.7, 1.0], rel=0.03)
