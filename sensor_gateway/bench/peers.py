"""The same recording through the gait pipelines of mobgap and scikit-digital-health: how much longer they take.

A simulated recording from the lower back at 100 Hz, in axes as each expects them. Ours is the whole core to all records, causal. Theirs:

* mobgap: its free-living pipeline for healthy wearers (finding walks, contacts, turns, cadence, stride length, speed, summary);
* scikit-digital-health: wear by acceleration, finding walks, gait of the lower back, sit-to-stand, as its pipelines chain them.

None of them is tuned. They need an environment of their own (`make bench-peers`), because they bring a gigabyte of packages.
"""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from processing.alignment.static import parse_mount
from processing.batch import process_recording
from processing.rules.study import Study
from processing.types import F64, GRAVITY_MPS2, NS_PER_S, TimedBatch
from sensor_gateway.bench.core import Day, setup_of
from sensor_gateway.bench.machine import BenchError
from sensor_gateway.recording.alignment import NOMINAL_MOUNT
from sensor_gateway.validation.peers import OPTIONAL, installed

HOURS: Final = 2.0
RATE_HZ: Final = 100.0
_HEIGHT_M: Final = 1.75


def bench(hours: float = HOURS, seed: int = 1, progress: Callable[[float], None] | None = None) -> dict[str, Any]:
    """CPU seconds of each on the same samples, and their ratios to ours; raises `BenchError` where none is installed."""
    here = installed()
    if not here:
        raise BenchError(
            f"none of {', '.join(OPTIONAL)} is installed here; 'make bench-peers' sets up an environment for them"
        )
    tell = progress or (lambda _: None)
    day = Day(hours, RATE_HZ, seed)
    blocks = list(day.blocks())
    tell(0.1)
    began = time.process_time()
    result = process_recording(iter(blocks), setup_of(day), Study())
    ours_s = time.process_time() - began
    tell(0.2)
    up, left, ahead, t = _body(blocks)
    theirs: dict[str, dict[str, Any]] = {}
    for i, (name, run) in enumerate(_PIPELINES.items()):
        if name in here:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                parts = run(t, up, left, ahead)
            spent = sum(parts.values())
            theirs[name] = {
                "version": here[name],
                "cpu_s": round(spent, 2),
                "parts_cpu_s": {part: round(s, 2) for part, s in parts.items()},
                "ratio_to_ours": round(spent / ours_s, 1),
            }
        tell(0.2 + 0.4 * (i + 1))
    return {"hours": hours, "samples": len(t), "records": len(result.records), "core_cpu_s": round(ours_s, 2)} | theirs


def _body(blocks: list[TimedBatch]) -> tuple[F64, F64, F64, F64]:
    """Up, left and ahead, (n, 2) each: specific force [m/s²] and rate [rad/s]; and the times [s]."""
    mount = parse_mount(NOMINAL_MOUNT)
    up, ahead = np.array(mount.up), np.array(mount.anterior)
    acc, gyr = (np.concatenate([getattr(b, k) for b in blocks]) for k in ("acc_mps2", "gyr_rps"))
    t = np.arange(len(acc)) / RATE_HZ + blocks[0].t_utc_ns[0] / NS_PER_S
    up_, left, ahead_ = (np.column_stack([acc @ v, gyr @ v]) for v in (up, np.cross(up, ahead), ahead))
    return up_, left, ahead_, t


def _mobgap(_: F64, up: F64, left: F64, ahead: F64) -> dict[str, float]:
    pandas: Any = importlib.import_module("pandas")
    pipeline: Any = importlib.import_module("mobgap.pipeline").MobilisedPipelineHealthy
    dataset: Any = importlib.import_module("mobgap.data").GaitDatasetFromData
    columns = {f"acc_{a}": x[:, 0] for a, x in zip("xyz", (up, left, ahead), strict=True)}
    columns |= {f"gyr_{a}": np.degrees(x[:, 1]) for a, x in zip("xyz", (up, left, ahead), strict=True)}
    person = {"height_m": _HEIGHT_M, "sensor_height_m": 0.53 * _HEIGHT_M, "cohort": "HA", "foot_length_cm": None}
    data = dataset(
        {"w-001": {"LowerBack": pandas.DataFrame(columns)}},
        RATE_HZ,
        {"w-001": person},
        {"w-001": {"measurement_condition": "free_living", "recording_identifier": "r"}},
    )
    began = time.process_time()
    pipeline().run(data[0])
    return {"pipeline": time.process_time() - began}


def _skdh(t: F64, up: F64, left: F64, ahead: F64) -> dict[str, float]:
    preprocessing, context, gait, sit2stand = (
        importlib.import_module(f"skdh.{name}") for name in ("preprocessing", "context", "gait", "sit2stand")
    )
    accel = np.ascontiguousarray(np.column_stack([x[:, 0] for x in (up, left, ahead)])) / GRAVITY_MPS2
    gyro = np.ascontiguousarray(np.column_stack([x[:, 1] for x in (up, left, ahead)]))
    parts: dict[str, float] = {}

    def timed(name: str, what: Callable[..., Any], **data: Any) -> dict[str, Any]:
        began = time.process_time()
        found: dict[str, Any] = what(**data) or {}
        parts[name] = time.process_time() - began
        return found

    samples = {"time": t, "accel": accel, "fs": RATE_HZ}
    timed("wear", preprocessing.AccelThresholdWearDetection().predict, **samples)
    walks = timed("walks", context.PredictGaitLumbarLgbm().predict, **samples)
    bouts = np.column_stack([walks["Gait Bout Start Index"], walks["Gait Bout Stop Index"]])
    timed("gait", gait.GaitLumbar().predict, **samples, gyro=gyro, height=_HEIGHT_M, gait_bouts=bouts)
    timed("sit2stand", sit2stand.Sit2Stand().predict, **samples)
    return parts


_PIPELINES: Final[dict[str, Callable[[F64, F64, F64, F64], dict[str, float]]]] = {
    "mobgap": _mobgap,
    "scikit-digital-health": _skdh,
}
