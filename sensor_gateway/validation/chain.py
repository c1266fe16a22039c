"""A recording through the public path: `process_file` writes its files, and they are read back as anybody would.

So what is scored is what `tiltline process` gives, not what the modules behind it could give.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from processing.batch import Mode
from processing.frames import up_in_sensor
from processing.types import F64, NS_PER_S
from sensor_gateway.process import ProcessOptions, process_file
from sensor_gateway.recording.recording import RecordingError
from sensor_gateway.validation.datasets import Case


@dataclass(frozen=True, slots=True)
class Output:
    """What one recording came to. Arrays of samples (n,), (n, 3); NaN where there is no value; times [s] on its own clock."""

    t_ns: NDArray[np.int64]
    up_s: F64
    tilt_deg: F64
    obliquity_deg: F64
    posture: dict[int, str]
    steps: list[tuple[float, str]]
    transfers: list[tuple[float, str]]
    cpu_s: float
    warnings: list[str]


def run(case: Case, mode: Mode, known_neutral_s: tuple[float, float] | None, folder: Path) -> Output:
    """Process a recording into ``folder`` and read the result; raises `RecordingError`.

    A neutral pose that is refused (somebody fidgeted) is left out with a warning: the constant is removed from the error anyway.
    """
    began = time.process_time()
    warnings: list[str] = []
    neutral_s: tuple[float, float] | Literal["auto"] | None = known_neutral_s
    if neutral_s is None and case.mount == "auto":
        neutral_s = "auto"
    try:
        done = process_file(case.path, folder, ProcessOptions(neutral_s=neutral_s, mount=case.mount, mode=mode))
    except RecordingError as e:
        if neutral_s is None:
            raise
        warnings.append(f"{e}; scored without a neutral pose")
        done = process_file(case.path, folder, ProcessOptions(mount=case.mount, mode=mode))
    cpu_s = time.process_time() - began
    warnings += done.warnings
    samples = pq.read_table(folder / "samples.parquet")
    metrics = pq.read_table(folder / "metrics.parquet", columns=["t_utc_ns", "posture"]).to_pydict()

    def column(name: str) -> F64:
        values: F64 = samples[name].to_numpy().astype(np.float64)
        return values

    seconds = [t // NS_PER_S for t in metrics["t_utc_ns"]]
    return Output(
        samples["t_utc_ns"].to_numpy(),
        up_in_sensor(np.column_stack([column(f"q_es_{c}") for c in "wxyz"])),
        column("anterior_tilt_deg"),
        column("obliquity_deg"),
        dict(zip(seconds, metrics["posture"], strict=True)),
        _events(folder / "steps.parquet", "side"),
        _events(folder / "transfers.parquet", "kind"),
        cpu_s,
        warnings,
    )


def _events(path: Path, what: str) -> list[tuple[float, str]]:
    rows = pq.read_table(path, columns=["t_utc_ns", what]).to_pydict()
    return [(t / NS_PER_S, value) for t, value in zip(rows["t_utc_ns"], rows[what], strict=True)]


def on_truth(t_s: F64, t_ns: NDArray[np.int64], values: F64) -> F64:
    """``values`` of the samples at ``t_ns`` at the times of the truth (n,); NaN where a sample was left out."""
    want = np.rint(t_s * NS_PER_S).astype(np.int64)
    at = np.searchsorted(t_ns, want).clip(0, len(t_ns) - 1)
    there = t_ns[at] == want
    return np.where(there if values.ndim == 1 else there[:, None], values[at], np.nan)
