"""How fast the numeric core is: a simulated day through `process_recording`, beside plain VQF on the same samples.

CPU seconds of the whole process (all threads), without making the signal. Both runs see the same blocks in turn, so a busy
machine slows both and their ratio stays. Memory is how far the process's peak rises above where it stood before the day.
`growth` gives several days in a row to one core and lets its records go, as the gateway does: time a day and memory must not grow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from vqf import VQF

from processing.alignment.static import align, neutral_gravity, parse_mount
from processing.batch import BLOCK_S, Mode, process_recording
from processing.core import Core, CoreSetup
from processing.mount_search import find_mounts
from processing.rules.study import Study
from processing.synthetic import NEUTRAL_S, ORDINARY_REST_S, Wearer, bmi270, day_script, render, sample_times
from processing.types import NS_PER_S, TimedBatch
from sensor_gateway.bench.machine import peak_mb
from sensor_gateway.recording.alignment import MOUNT_ID, NOMINAL_MOUNT

_START_NS = 1_772_438_400 * NS_PER_S  # 2026-03-02T08:00:00Z
_WARM_UP_S = 300.0
GROWTH_DAYS: Final = (1.0, 2.0, 4.0, 8.0)


@dataclass(slots=True)
class Day:
    """Blocks of a simulated day with many short walks as they are asked for, with the CPU time of making them and of plain VQF on them."""

    hours: float
    rate_hz: float
    seed: int
    making_s: float = 0.0
    plain_s: float = 0.0

    def blocks(self) -> Iterator[TimedBatch]:
        clock = time.process_time
        began = clock()
        script = day_script(_START_NS, self.hours * 3600 + NEUTRAL_S, Wearer(self.seed, rest_s=ORDINARY_REST_S))
        sensor, plain = bmi270(self.seed), VQF(1 / self.rate_hz)
        total, size = round(self.hours * 3600 * self.rate_hz), round(BLOCK_S * self.rate_hz)
        for first in range(0, total, size):
            t = sample_times(_START_NS, min(size, total - first), self.rate_hz, first)
            truth = render(script, t)
            acc, gyr = sensor.measure(t, first, truth.acc_p_mps2, truth.gyr_p_rps)
            self.making_s += clock() - began
            began = clock()
            plain.updateBatch(np.ascontiguousarray(gyr), np.ascontiguousarray(acc))
            self.plain_s += clock() - began
            yield TimedBatch(t, acc, gyr)
            began = clock()
        self.making_s += clock() - began


def bench(
    hours: float = 24.0,
    rate_hz: float = 100.0,
    mode: Mode = "online",
    seed: int = 1,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Run ``hours`` of a simulated day through the core; gives times, memory and counts as plain data."""
    _run(Day(min(hours, _WARM_UP_S / 3600), rate_hz, seed), mode, None)  # imports, caches, first touch of libraries
    before_mb = peak_mb()
    day = Day(hours, rate_hz, seed)
    began, wall = time.process_time(), time.perf_counter()
    counters, records = _run(day, mode, progress)
    core_s = time.process_time() - began - day.making_s - day.plain_s
    samples = counters["samples"]
    return {
        "hours": hours,
        "rate_hz": rate_hz,
        "mode": mode,
        "samples": samples,
        "records": records,
        "core_cpu_s": round(core_s, 3),
        "core_us_per_sample": round(core_s / samples * 1e6, 4),
        "plain_vqf_cpu_s": round(day.plain_s, 3),
        "ratio_to_plain_vqf": round(core_s / day.plain_s, 2),
        "signal_cpu_s": round(day.making_s, 3),
        "wall_s": round(time.perf_counter() - wall, 3),
        "peak_above_start_mb": round(peak_mb() - before_mb, 1),
        "peak_mb": round(peak_mb(), 1),
    }


def growth(
    days: Sequence[float] = GROWTH_DAYS,
    rate_hz: float = 100.0,
    seed: int = 1,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Run recordings of ``days`` (ascending) days through one causal core each: CPU a day, its ratio to plain VQF, memory."""
    _run(Day(_WARM_UP_S / 3600, rate_hz, seed), "online", None)
    total_h, done_h = 24 * sum(days), 0.0
    rows: list[dict[str, float]] = []
    for length in days:
        day = Day(24 * length, rate_hz, seed)
        core = Core(setup_of(day), Study())
        began = time.process_time()
        taken = 0
        for block in day.blocks():
            core.update(block)
            taken += len(block)
            if progress is not None:
                progress((done_h + taken / rate_hz / 3600) / total_h)
        core.finish()
        core_s = time.process_time() - began - day.making_s - day.plain_s
        done_h += 24 * length
        rows.append(
            {
                "days": length,
                "core_cpu_s_per_day": round(core_s / length, 3),
                "ratio_to_plain_vqf": round(core_s / day.plain_s, 2),
                "peak_mb": round(peak_mb(), 1),
            }
        )
    return {"rate_hz": rate_hz, "growth": rows}


def setup_of(day: Day) -> CoreSetup:
    """The day's neutral pose in force from its first seconds."""
    # With a neutral pose the rules judge tilt, as they do for a wearer; without one they would idle.
    pose = next(iter(Day(10 / 3600, day.rate_hz, day.seed).blocks()))
    gravity = neutral_gravity(pose.acc_mps2, pose.gyr_rps)
    mount = parse_mount(NOMINAL_MOUNT)
    alignment = align(mount, gravity, given=True, mount_id=MOUNT_ID, t_utc_ns=int(pose.t_utc_ns[-1]))
    return CoreSetup("w-001", "clip-1", day.rate_hz, alignment)


def _run(day: Day, mode: Mode, progress: Callable[[float], None] | None) -> tuple[dict[str, int], int]:
    total = day.hours * 3600 * day.rate_hz
    setup = setup_of(day)

    def tell(taken: int) -> None:
        if progress is not None:
            progress(taken / total)

    # `tiltline process` looks for moved clips before it looks back.
    search = replace(day)
    mounts = find_mounts(search.blocks(), day.rate_hz, setup.alignment) if mode == "retro" else []
    day.making_s += search.making_s + search.plain_s
    result = process_recording(day.blocks(), setup, Study(), mode, progress=tell, mounts=mounts)
    return result.counters, len(result.records)
