"""One recording with its truth, to be altered: read, written, thinned, dated anew, resampled. Used by `alterations.py`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.signal import butter, sosfiltfilt

from processing.types import F64
from sensor_gateway.validation.datasets import Case
from sensor_gateway.validation.truth import facts_of

Rng = np.random.Generator
ACC: Final = ("ax", "ay", "az")
GYR: Final = ("gx", "gy", "gz")
_HELD: Final = {"movement", "walking", "label", "walk_omc", "walk_indip"}
_MOMENTS: Final = {"ic_omc", "ic_indip"}
_SMOOTH: Final = {"ref_tilt_deg", "ref_obliquity_deg"}


@dataclass(frozen=True, slots=True)
class Take:
    """One recording: times (n,), samples (n, 3), the columns of its truth (n,), its facts, and the mount it is processed with."""

    t_s: F64
    acc: F64
    gyr: F64
    truth: dict[str, NDArray[Any]]
    facts: dict[str, Any]
    mount: str

    @property
    def rate_hz(self) -> float:
        return 1.0 / float(np.median(np.diff(self.t_s)))


def read(case: Case) -> Take:
    table = pq.read_table(case.path)
    have = {n: table[n].to_numpy() for n in table.column_names}
    quaternion = {f"q_{c}" for c in "wxyz"} if "movement" in have else set()
    truth = {n: v for n, v in have.items() if n in _HELD | _MOMENTS | _SMOOTH | quaternion}
    acc, gyr = (np.column_stack([have[c] for c in names]).astype(np.float64) for names in (ACC, GYR))
    return Take(have["t_s"].astype(np.float64), acc, gyr, truth, facts_of(table.schema.metadata), case.mount)


def write(take: Take, path: Path) -> None:
    columns = {"t_s": take.t_s, **dict(zip((*ACC, *GYR), [*take.acc.T, *take.gyr.T], strict=True)), **take.truth}
    table = pa.table({n: pa.array(v) for n, v in columns.items()})
    pq.write_table(table.replace_schema_metadata({"recording": json.dumps(take.facts)}), path)


def rows(take: Take, keep: NDArray[Any]) -> Take:
    """Some of the samples, by mask or index."""
    truth = {n: v[keep] for n, v in take.truth.items()}
    return replace(take, t_s=take.t_s[keep], acc=take.acc[keep], gyr=take.gyr[keep], truth=truth)


def later(take: Take, t_s: F64, when: Callable[[float], float]) -> Take:
    """The same samples at other times; ``when`` moves the contacts along."""
    facts = take.facts
    if "contacts_s" in facts:
        facts = facts | {"contacts_s": [[when(float(t)), foot] for t, foot in facts["contacts_s"]]}
    return replace(take, t_s=t_s, facts=facts)


def resampled(hz: float) -> Callable[[Take, Rng], Take]:
    """At another rate: band-limited to 0.4 of it where it is lower, then read off a spline; holes stay holes."""

    def apply(take: Take, rng: Rng) -> Take:
        period = 1.0 / take.rate_hz
        even = np.arange(take.t_s[0], take.t_s[-1], period)
        values = np.column_stack((take.acc, take.gyr))
        values = np.column_stack([np.interp(even, take.t_s, v) for v in values.T])
        if hz < take.rate_hz:
            values = sosfiltfilt(butter(6, 0.4 * hz, fs=1.0 / period, output="sos"), values, axis=0)
        start = float(take.t_s[0]) + float(rng.uniform(0.0, 1.0 / hz))
        t = start + np.arange(int((even[-1] - start) * hz)) / hz
        at = np.searchsorted(take.t_s, t).clip(1, len(take.t_s) - 1)
        there = take.t_s[at] - take.t_s[at - 1] < 1.5 * period
        t, at = t[there], at[there]
        values = CubicSpline(even, values)(t)
        nearest = np.where(take.t_s[at] - t < t - take.t_s[at - 1], at, at - 1)
        truth = {n: v[nearest] for n, v in take.truth.items()}
        for name in _SMOOTH & set(truth):
            truth[name] = np.interp(t, take.t_s, take.truth[name])
        if "q_w" in truth:
            share = ((t - take.t_s[at - 1]) / (take.t_s[at] - take.t_s[at - 1]))[:, None]
            q = np.column_stack([take.truth[f"q_{c}"] for c in "wxyz"]).astype(np.float64)
            a, b = q[at - 1], q[at]
            mixed = a * (1.0 - share) + b * share * np.sign((a * b).sum(axis=1, keepdims=True))
            mixed /= np.sqrt((mixed**2).sum(axis=1, keepdims=True))
            truth |= {f"q_{c}": mixed[:, i] for i, c in enumerate("wxyz")}
        for name in _MOMENTS & set(truth):
            mark = np.zeros(len(t), dtype=np.int8)
            mark[np.searchsorted(t, take.t_s[take.truth[name] > 0]).clip(0, len(t) - 1)] = 1
            truth[name] = mark
        return replace(take, t_s=t, acc=values[:, :3], gyr=values[:, 3:], truth=truth)

    return apply
