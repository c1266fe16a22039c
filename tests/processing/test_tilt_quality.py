"""Two independent inclinations check each other: a gyroscope gone wrong lowers quality before the tilt is 3° off."""

from __future__ import annotations

import numpy as np
import pytest

from processing.alignment.static import align, parse_mount
from processing.batch import blocks, process_recording
from processing.core import CoreSetup
from processing.rules.study import Study
from processing.types import GRAVITY_MPS2, NS_PER_S, Metric, TimedBatch

RATE = 100.0
START_NS = 1_790_000_000 * NS_PER_S


def standing(seconds: int, rate_dps: float, from_s: int, grows_over_s: float = 0.0) -> list[Metric]:
    """Quiet standing in neutral; from ``from_s`` on the gyroscope claims to turn about the left-right axis, at once or more and
    more within ``grows_over_s``.
    """
    rng = np.random.default_rng(2)
    n = round(seconds * RATE)
    acc = np.array([GRAVITY_MPS2, 0, 0]) + rng.normal(0, 0.03, (n, 3))
    gyr = rng.normal(0, 0.001, (n, 3))
    since = np.arange(n) / RATE - from_s
    gyr[:, 1] += np.radians(rate_dps) * np.clip(since / max(grows_over_s, 1e-9), 0.0, 1.0)
    t = START_NS + (np.arange(n) * 10_000_000).astype(np.int64)
    mount = parse_mount("up=+x,anterior=-z")
    setup = CoreSetup(
        "w", "s", RATE, align(mount, np.array([GRAVITY_MPS2, 0, 0]), given=True, mount_id="m", t_utc_ns=0)
    )
    result = process_recording(blocks(TimedBatch(t, acc, gyr)), setup, Study())
    return [r for r in result.records if isinstance(r, Metric)]


@pytest.mark.parametrize(("rate_dps", "grows_over_s"), [(5.0, 0.0), (-5.0, 0.0), (20.0, 60.0), (-20.0, 30.0)])
def test_quality_falls_before_the_tilt_is_three_degrees_off(rate_dps: float, grows_over_s: float) -> None:
    metrics = standing(150, rate_dps, 60, grows_over_s)
    before = metrics[30:60]
    assert all(m.quality > 0.95 for m in before)
    assert all(abs(m.anterior_tilt_deg or 0.0) < 0.5 for m in before)
    off = [m for m in metrics[60:] if abs(m.anterior_tilt_deg or 0.0) > 3.0]
    assert off, "the fault must show, or this test shows nothing"
    assert all(m.quality < 0.6 for m in off)
    assert all((m.tilt_uncertainty_deg or 0.0) > 3.0 for m in off)


def test_missing_samples_and_a_missing_neutral_lower_quality() -> None:
    metrics = standing(20, 0.0, 10)
    assert metrics[0].coverage < 1.0  # the filter's first seconds are settling
    assert metrics[0].anterior_tilt_deg is None
    t = START_NS + (np.arange(2000) * 10_000_000).astype(np.int64)
    acc = np.tile([GRAVITY_MPS2, 0.0, 0.0], (2000, 1))
    keep = np.ones(2000, dtype=bool)
    keep[1000:1050] = False
    mount = align(parse_mount("up=+x,anterior=-z"), None, given=False, mount_id="m", t_utc_ns=0)
    timed = TimedBatch(t[keep], acc[keep], np.zeros_like(acc)[keep])
    result = process_recording(blocks(timed), CoreSetup("w", "s", RATE, mount), Study())
    seconds = [r for r in result.records if isinstance(r, Metric)]
    assert max(m.quality for m in seconds) <= 0.5
    assert seconds[5].tilt_uncertainty_deg == pytest.approx(10, abs=0.2)
    assert seconds[10].coverage < 0.6
    assert seconds[11].coverage == pytest.approx(0.0, abs=0.01)  # settling after the hole
    assert seconds[14].coverage == 1.0
