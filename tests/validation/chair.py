"""Sitting down straight out of a walk, without a moment of standing: how much of it is told, online and looking back?

    python -m tests.validation.chair [--wearers 24] [--before 0]

Simulated wearers, three quarters of an hour each. Told are the changes from standing or walking to sitting found within 3 s, and the
share of sitting that is called sitting: what is missed in the change is wrong until the next one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from processing.alignment.static import align, neutral_gravity, parse_mount
from processing.batch import Mode, process_recording
from processing.core import CoreSetup
from processing.rules.study import Study
from processing.synthetic import Wearer, bmi270, day_script, render, sample_times
from processing.types import NS_PER_S, POSTURES, Metric, TimedBatch

_START_NS = 1_772_438_400 * NS_PER_S
_HOURS, _RATE_HZ = 0.75, 100.0
_NEAR_NS = 3 * NS_PER_S


def told(seed: int, mode: Mode, before_chair_s: float = 0.0) -> tuple[int, int, float]:
    """Sittings down found, sittings down there were, share of sitting called so."""
    script = day_script(_START_NS, _HOURS * 3600, Wearer(seed, before_chair_s=before_chair_s))
    t = sample_times(_START_NS, round(_HOURS * 3600 * _RATE_HZ), _RATE_HZ)
    truth = render(script, t)
    acc, gyr = bmi270(seed).measure(t, 0, truth.acc_p_mps2, truth.gyr_p_rps)
    pose = neutral_gravity(acc[300:800], gyr[300:800])
    alignment = align(parse_mount("up=+x,anterior=-z"), pose, given=True, mount_id="m", t_utc_ns=0)
    on = truth.linked
    batch = TimedBatch(t[on], np.ascontiguousarray(acc[on]), np.ascontiguousarray(gyr[on]))
    result = process_recording(iter([batch]), CoreSetup("w", "s", _RATE_HZ, alignment), Study(), mode)
    sat = [
        (x.start_utc_ns + x.stop_utc_ns) // 2
        for x in script.transitions
        if x.after == "sitting" and x.before != "lying"
    ]
    found = [x.t_utc_ns for x in result.transfers if x.kind == "stand_to_sit"]
    metrics = [r for r in result.records if isinstance(r, Metric)]
    middles_s = np.array([(m.t_utc_ns - _START_NS) / NS_PER_S + 0.5 for m in metrics])
    sitting = [POSTURES[code] == "sitting" for code in script.posture_codes(middles_s)]
    called = [m.posture == "sitting" for m, there in zip(metrics, sitting, strict=True) if there]
    return sum(any(abs(t - at) < _NEAR_NS for t in found) for at in sat), len(sat), float(np.mean(called))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.validation.chair", description=__doc__.splitlines()[0])
    parser.add_argument("--wearers", type=int, default=24)
    parser.add_argument("--before", type=float, default=0.0, help="seconds of standing before the chair")
    args = parser.parse_args(argv)
    modes: tuple[Mode, ...] = ("online", "settled", "retro")
    for mode in modes:
        each = [told(seed, mode, args.before) for seed in range(1, args.wearers + 1)]
        found, there, shares = zip(*each, strict=True)
        print(f"{mode:8} {sum(found)} of {sum(there)} told, {np.mean(shares):.1%} of sitting, least {min(shares):.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
