"""The same recording through the gait pipelines of mobgap and scikit-digital-health: how much longer they take.

A simulated day from the lower back at 100 Hz, and where a folder of real recordings is named a day put together from them
(`lived_day`) and those of waist and lower back as they are, in axes as each expects them. Ours is the whole core to all records, causal: the
middle one of `RUNS`, since a few seconds hang on what else the machine does, of theirs, of half a minute, one. Theirs:

* mobgap: its free-living pipeline for healthy wearers (finding walks, contacts, turns, cadence, stride length, speed, summary);
* scikit-digital-health: the accelerometer's errors (of a day), wear by acceleration (from an hour on), finding walks, gait of the lower
  back, sit-to-stand, as its pipelines chain them. Its sleep and levels of activity have no counterpart here and are left out.

None of them is tuned. They need an environment of their own (`make bench-peers`), because they bring a gigabyte of packages.
"""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from processing.alignment.static import align, parse_mount
from processing.batch import blocks, process_recording
from processing.core import CoreSetup
from processing.rules.study import Study
from processing.types import F64, GRAVITY_MPS2, NS_PER_S, TimedBatch
from sensor_gateway.bench.core import Day, setup_of
from sensor_gateway.bench.lived_day import lived_day
from sensor_gateway.bench.machine import BenchError
from sensor_gateway.recording.alignment import MOUNT_ID, NOMINAL_MOUNT
from sensor_gateway.recording.recording import read_recording
from sensor_gateway.validation.datasets import find
from sensor_gateway.validation.peers import OPTIONAL, even, installed

HOURS: Final = 24.0
RUNS: Final = 3
WARM_UP_H: Final = 0.5
"""Simulated, run through all of them first and not counted: a process loads code at its first recording, whosever it is."""
RATE_HZ: Final = 100.0
REAL: Final = ("hapt", "ipol_l5_gait", "mobgap_lowback")
"""Sets of the reference folder with the clip at a known place on waist or lower back: everyday postures, and walks."""
LIVED: Final = "hapt"
"""Of these, the recordings that `lived_day` can make a day of."""
LIVED_FROM_H: Final = 12.0
"""Shorter days have no room for so much movement."""
_CALIBRATION_S: Final = 12 * 3600.0
_HEIGHT_M: Final = 1.75
_WEAR_S: Final = 3600.0
_START_NS: Final = 1_772_438_400 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Material:
    """One recording for all of them: ours takes ``batches``, theirs the axes of the body (n, 2): specific force [m/s²], rate [rad/s]."""

    setup: CoreSetup
    batches: list[TimedBatch]
    t_s: F64
    up: F64
    left: F64
    ahead: F64

    @property
    def rate_hz(self) -> float:
        return self.setup.rate_hz


def bench(
    hours: float = HOURS,
    seed: int = 1,
    progress: Callable[[float], None] | None = None,
    reference: Path | None = None,
) -> dict[str, Any]:
    """CPU seconds of each on the same samples, and their ratios to ours; raises `BenchError` where none is installed."""
    here = installed()
    if not here:
        raise BenchError(
            f"none of {', '.join(OPTIONAL)} is installed here; 'make bench-peers' sets up an environment for them"
        )
    _compare([_simulated(WARM_UP_H, seed)], here)
    material: dict[str, Callable[[], list[Material]]] = {f"simulated, {hours:g} h": lambda: [_simulated(hours, seed)]}
    if reference is not None:
        if (reference / LIVED).is_dir() and hours >= LIVED_FROM_H:
            material[f"{LIVED} made a day of one wearer, {hours:g} h"] = lambda: [_lived(reference, hours)]
        material |= {name: partial(_real, reference, name) for name in REAL if (reference / name).is_dir()}
    found = {}
    for i, (name, recordings) in enumerate(material.items()):
        found[name] = _compare(recordings(), here)
        if progress is not None:
            progress((i + 1) / len(material))
    return found


def _simulated(hours: float, seed: int) -> Material:
    day = Day(hours, RATE_HZ, seed)
    return _material(setup_of(day), NOMINAL_MOUNT, list(day.blocks()))


def _lived(reference: Path, hours: float) -> Material:
    mount = parse_mount(NOMINAL_MOUNT)
    acc, gyr = lived_day(reference / LIVED, hours, RATE_HZ, mount)
    gravity = GRAVITY_MPS2 * np.array(mount.up)
    alignment = align(mount, gravity, given=True, mount_id=MOUNT_ID, t_utc_ns=_START_NS)
    t_ns = _START_NS + np.rint(np.arange(len(acc)) * NS_PER_S / RATE_HZ).astype(np.int64)
    setup = CoreSetup("w-001", "clip-1", RATE_HZ, alignment)
    return _material(setup, NOMINAL_MOUNT, list(blocks(TimedBatch(t_ns, acc, gyr))))


def _real(reference: Path, name: str) -> list[Material]:
    found = []
    for case in find(reference, [name]).cases:
        recording = read_recording(case.path)
        t_s, acc, gyr = even(recording)
        # The mean of the recording stands for the neutral pose: without one the rules would idle.
        how = NOMINAL_MOUNT if case.mount == "auto" else case.mount
        gravity, mount = np.mean(acc, axis=0), parse_mount(how)
        alignment = align(mount, gravity, given=True, mount_id=MOUNT_ID, t_utc_ns=_START_NS)
        t_ns = _START_NS + np.rint(np.arange(len(t_s)) * NS_PER_S / recording.rate_hz).astype(np.int64)
        setup = CoreSetup("w-001", "clip-1", recording.rate_hz, alignment)
        found.append(_material(setup, how, [TimedBatch(t_ns, acc, gyr)]))
    return found


def _material(setup: CoreSetup, mount: str, batches: list[TimedBatch]) -> Material:
    axes = parse_mount(mount)
    up, ahead = np.array(axes.up), np.array(axes.anterior)
    acc, gyr = (np.concatenate([getattr(b, k) for b in batches]) for k in ("acc_mps2", "gyr_rps"))
    t_s = np.arange(len(acc)) / setup.rate_hz + batches[0].t_utc_ns[0] / NS_PER_S
    body = (np.column_stack([acc @ v, gyr @ v]) for v in (up, np.cross(up, ahead), ahead))
    return Material(setup, batches, t_s, *body)


def _compare(recordings: Sequence[Material], here: dict[str, str]) -> dict[str, Any]:
    """Each takes all recordings before the next begins, so that none finds the caches filled by another."""
    runs = [_ours(recordings) for _ in range(RUNS)]
    ours_s, records = median(spent for spent, _ in runs), runs[0][1]
    parts: dict[str, dict[str, float]] = {name: {} for name in _PIPELINES if name in here}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, sums in parts.items():
            for one in recordings:
                for part, spent in _PIPELINES[name](one).items():
                    sums[part] = sums.get(part, 0.0) + spent
    theirs = {
        name: {
            "version": here[name],
            "cpu_s": round(sum(sums.values()), 2),
            "parts_cpu_s": {part: round(s, 2) for part, s in sums.items()},
            "ratio_to_ours": round(sum(sums.values()) / ours_s, 1),
        }
        for name, sums in parts.items()
    }
    return {
        "recordings": len(recordings),
        "minutes": round(sum(len(one.t_s) / one.rate_hz for one in recordings) / 60, 1),
        "records": records,
        "core_cpu_s": round(ours_s, 2),
        "peers": theirs,
    }


def _ours(recordings: Sequence[Material]) -> tuple[float, int]:
    """CPU seconds of the core, and how many records it gave."""
    began = time.process_time()
    records = sum(len(process_recording(iter(one.batches), one.setup, Study()).records) for one in recordings)
    return time.process_time() - began, records


def _mobgap(one: Material) -> dict[str, float]:
    pandas: Any = importlib.import_module("pandas")
    pipeline: Any = importlib.import_module("mobgap.pipeline").MobilisedPipelineHealthy
    dataset: Any = importlib.import_module("mobgap.data").GaitDatasetFromData
    axes = tuple(zip("xyz", (one.up, one.left, one.ahead), strict=True))
    columns = {f"acc_{a}": x[:, 0] for a, x in axes} | {f"gyr_{a}": np.degrees(x[:, 1]) for a, x in axes}
    person = {"height_m": _HEIGHT_M, "sensor_height_m": 0.53 * _HEIGHT_M, "cohort": "HA", "foot_length_cm": None}
    data = dataset(
        {"w-001": {"LowerBack": pandas.DataFrame(columns)}},
        one.rate_hz,
        {"w-001": person},
        {"w-001": {"measurement_condition": "free_living", "recording_identifier": "r"}},
    )
    began = time.process_time()
    pipeline().run(data[0])
    return {"pipeline": time.process_time() - began}


def _skdh(one: Material) -> dict[str, float]:
    preprocessing, context, gait, sit2stand = (
        importlib.import_module(f"skdh.{name}") for name in ("preprocessing", "context", "gait", "sit2stand")
    )
    axes = (one.up, one.left, one.ahead)
    accel = np.ascontiguousarray(np.column_stack([x[:, 0] for x in axes])) / GRAVITY_MPS2
    gyro = np.ascontiguousarray(np.column_stack([x[:, 1] for x in axes]))
    parts: dict[str, float] = {}

    def timed(name: str, what: Callable[..., Any], **data: Any) -> dict[str, Any]:
        began = time.process_time()
        found: dict[str, Any] = what(**data) or {}
        parts[name] = time.process_time() - began
        return found

    samples = {"time": one.t_s, "accel": accel, "fs": one.rate_hz}
    length_s = one.t_s[-1] - one.t_s[0]
    if length_s >= _CALIBRATION_S:
        timed("calibration", preprocessing.CalibrateAccelerometer(min_hours=_CALIBRATION_S // 3600).predict, **samples)
    if length_s >= _WEAR_S:
        timed("wear", preprocessing.AccelThresholdWearDetection().predict, **samples)
    walks = timed("walks", context.PredictGaitLumbarLgbm().predict, **samples)
    bouts = np.column_stack([walks["Gait Bout Start Index"], walks["Gait Bout Stop Index"]])
    timed("gait", gait.GaitLumbar().predict, **samples, gyro=gyro, height=_HEIGHT_M, gait_bouts=bouts)
    timed("sit2stand", sit2stand.Sit2Stand().predict, **samples)
    return parts


_PIPELINES: Final[dict[str, Callable[[Material], dict[str, float]]]] = {
    "mobgap": _mobgap,
    "scikit-digital-health": _skdh,
}
