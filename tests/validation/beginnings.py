"""Recordings begun in the middle of a motion: how far off is "up" in what follows, beside plain VQF on the same samples?

    python -m tests.validation.beginnings REFERENCE [--gyro-bias 3]

Every recording is cut where walks set off and where they are under way (broad: at five moments of its movement). Truth is the optical
one where there is one (the pelvis's markers carried to the clip by one fixed turn), else the estimate that looks back over the
uncut recording: that one is no truth but far closer to it than a beginning in motion is. Told is the RMSE of 40 s, mean over the cuts.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq
from scipy.spatial.transform import Rotation
from vqf import VQF

from processing.frames import up_in_sensor
from processing.gaps import GapParams, GapStage
from processing.types import F64, NS_PER_S, TimedBatch
from sensor_gateway.validation.datasets import KNOWN_SETS, Case, find
from tests.validation.takes import Take, read
from tests.validation.up import up_by

LASTS_S: Final = 40.0
LEAST_S: Final = 9.0
BEGUN_NS: Final = 1_790_000_000 * NS_PER_S


def plain(batch: TimedBatch, rate_hz: float) -> F64:
    """Up in sensor axes for each received sample, by VQF as it is."""
    filled = GapStage(GapParams(rate_hz)).update(batch)
    gyr, acc = np.ascontiguousarray(filled.gyr_rps), np.ascontiguousarray(filled.acc_mps2)
    up = up_in_sensor(VQF(1.0 / rate_hz).updateBatch(gyr, acc)["quat6D"])
    return up if filled.real is None else up[filled.real]


def samples(take: Take, part: slice, bias_rps: F64) -> TimedBatch:
    t = BEGUN_NS + np.round(take.t_s[part] * NS_PER_S).astype(np.int64)
    return TimedBatch(t, take.acc[part], take.gyr[part] + bias_rps)


def truth(case: Case, take: Take) -> F64:
    """Up in sensor axes (n, 3)."""
    if "movement" in take.truth:
        return up_in_sensor(np.column_stack([take.truth[f"q_{c}"].astype(np.float64) for c in "wxyz"]))
    back = up_by("retro", samples(take, slice(None), np.zeros(3)), take.rate_hz)
    if case.set != "neura_pelvis":
        return back
    table = pq.read_table(case.path)
    markers = up_in_sensor(np.column_stack([table[f"qs_{c}"].to_numpy().astype(np.float64) for c in "wxyz"]))
    onto, _ = Rotation.align_vectors(back, markers)
    turned: F64 = onto.apply(markers)
    return turned


def moments(take: Take) -> list[float]:
    """Seconds at which to begin."""
    t = take.t_s
    if "movement" in take.truth:
        return [float(t[int(np.argmax(take.truth["movement"] > 0))]) + s for s in (0.0, 5.0, 15.0, 25.0, 50.0)]
    if "contacts_s" in take.facts:
        first = sorted(float(c[0]) for c in take.facts["contacts_s"])
        return [first[0], first[3], first[3] + 2.3]
    walks = next((take.truth[n] == 1 for n in ("label", "walking", "walk_indip") if n in take.truth), None)
    if walks is None:
        return []
    edges = np.diff(np.concatenate([[0], walks.astype(np.int8), [0]]))
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    long = [float(t[a]) for a, b in zip(begins, ends, strict=True) if (b - a) / take.rate_hz > 5.0]
    return [begin + s for begin in long[:3] for s in (0.2, 1.0, 2.0)]


def errors(case: Case, bias_dps: float) -> Iterator[dict[str, float]]:
    """By estimator the RMSE [deg] of each cut of a recording, its gyroscope off by so much in a direction drawn by the name."""
    take = read(case)
    take = replace(take, acc=np.ascontiguousarray(take.acc), gyr=np.ascontiguousarray(take.gyr))
    up = truth(case, take)
    draw = np.random.default_rng(zlib.crc32(case.name.encode()))
    for begin in moments(take):
        lo, hi = np.searchsorted(take.t_s, [begin, begin + LASTS_S]).tolist()
        if take.t_s[hi - 1] - take.t_s[lo] < LEAST_S:
            continue
        direction = draw.normal(size=3)
        batch = samples(take, slice(lo, hi), np.radians(bias_dps) * direction / np.sqrt(np.sum(direction**2)))
        found = {mode: up_by(mode, batch, take.rate_hz) for mode in ("online", "settled")}
        found["plain"] = plain(batch, take.rate_hz)
        yield {name: rmse_deg(got, up[lo:hi]) for name, got in found.items()}


def rmse_deg(a: F64, b: F64) -> float:
    angle = np.degrees(np.arccos(np.clip(np.sum(a * b, axis=1), -1.0, 1.0)))
    return float(np.sqrt(np.nanmean(angle**2)))  # the cameras lose sight of it now and then


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.validation.beginnings", description=__doc__.splitlines()[0])
    parser.add_argument("reference", type=Path)
    parser.add_argument("--gyro-bias", type=float, default=0.0, help="deg/s put upon every gyroscope")
    args = parser.parse_args(argv)
    for name in KNOWN_SETS:
        cuts = [e for case in find(args.reference, [name]).cases for e in errors(case, args.gyro_bias)]
        if cuts:
            told = ", ".join(f"{who} {np.mean([c[who] for c in cuts]):.2f}" for who in cuts[0])
            print(f"{name:16} {len(cuts):4} cuts  {told} deg", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
