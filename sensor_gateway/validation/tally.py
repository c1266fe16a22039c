"""Counts that add up, figures made from them.

A recording's score is a tally: a short vector of sums that may be added over recordings, people and sets. A figure (F1, mean
RMSE) is a function of a tally. So any grouping is a sum, and resampling people is a product of two matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from processing.types import F64, POSTURES, Bool

OfTally: TypeAlias = Callable[[F64], F64]
SCORED_POSTURES: Final = ("lying", "sitting", "standing", "walking")
ON_FEET: Final = ("walking", "running", "stairs")
"""Answers that count as walking, as the labels of level ground and stairs do; the counts keep them apart."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number made from tallies (..., k); NaN where there is nothing to make it from."""

    name: str
    label: str
    unit: str
    better: Literal["low", "high"]
    of: OfTally
    events: tuple[int, tuple[int, ...]] | None = None
    """For a share of single events: the field of those that count and the fields of all, for `wilson`."""

    def show(self, value: float) -> str:
        """A value as people read it; more digits would pretend."""
        return f"{value:.2f}{self.unit}" if self.unit else f"{value:.3f}"


@dataclass(frozen=True, slots=True)
class Measure:
    """What is scored: the fields of its tally and the figures made from them; the first figure is the headline."""

    name: str
    title: str
    fields: tuple[str, ...]
    figures: tuple[Figure, ...]

    def tally(self, counts: Mapping[str, float]) -> F64:
        """A vector (k,) from named sums; a missing or unknown name is a programming error and raises KeyError."""
        if set(counts) != set(self.fields):
            raise KeyError(f"{self.name} needs {self.fields}, got {tuple(counts)}")
        return np.array([float(counts[f]) for f in self.fields])

    def figure(self, name: str) -> Figure:
        """A figure by its name; raises KeyError."""
        return {f.name: f for f in self.figures}[name]


def _ratio(top: F64, base: F64, where: Bool) -> F64:
    """Quotient, NaN where there is nothing to divide by."""
    out: F64 = np.divide(top, base, out=np.full(np.shape(base), np.nan), where=where)
    return out


def _share(of: Sequence[int], among: Sequence[int]) -> OfTally:
    def share(t: F64) -> F64:
        top, base = t[..., list(of)].sum(axis=-1), t[..., list(among)].sum(axis=-1)
        return _ratio(top, base, base > 0)

    return share


def _f1(hits: int, found: int, true: int) -> OfTally:
    def f1(t: F64) -> F64:
        base = t[..., found] + t[..., true]
        return _ratio(2 * t[..., hits], base, base > 0)

    return f1


def class_f1(confusion: F64) -> F64:
    """F1 of each scored posture (..., 4) from counts (..., 4, 8), truth by answer; NaN for one that never occurs in truth.

    `ON_FEET` answers are walking; "unknown" and "not_worn" are errors.
    """
    merged = confusion[..., : len(SCORED_POSTURES)].copy()
    merged[..., -1] = confusion[..., [POSTURES.index(p) for p in ON_FEET]].sum(axis=-1)
    hits = np.diagonal(merged, axis1=-2, axis2=-1)
    true = confusion.sum(axis=-1)
    return _ratio(2 * hits, true + merged.sum(axis=-2), true > 0)


def _matrix(t: F64) -> F64:
    return t.reshape(*t.shape[:-1], len(SCORED_POSTURES), len(POSTURES))


def _posture_f1(k: int) -> OfTally:
    return lambda t: class_f1(_matrix(t))[..., k]


def _macro(t: F64) -> F64:
    f1 = class_f1(_matrix(t))
    counted = np.isfinite(f1)
    n = counted.sum(axis=-1)
    total = np.where(counted, f1, 0.0).sum(axis=-1)
    return _ratio(total, n, n > 0)


_RMSE: Final = (
    Figure("rmse_deg", "RMSE", "°", "low", _share([1], [0])),
    Figure("coverage", "samples with a value", "", "high", _share([2], [3])),
)
INCLINATION: Final = Measure("inclination", "Inclination", ("recordings", "rmse_sum_deg", "samples", "expected"), _RMSE)
TILT: Final = Measure(
    "tilt",
    "Anterior tilt, one constant removed",
    ("recordings", "rmse_sum_deg", "samples", "expected", "with_obliquity", "obliquity_rmse_sum_deg"),
    (*_RMSE, Figure("obliquity_rmse_deg", "obliquity RMSE", "°", "low", _share([5], [4]))),
)
POSTURE: Final = Measure(
    "posture",
    "Posture, second by second",
    tuple(f"{truth} as {answer}" for truth in SCORED_POSTURES for answer in POSTURES),
    (
        Figure("macro_f1", "macro-F1", "", "high", _macro),
        *(Figure(f"{p}_f1", f"{p} F1", "", "high", _posture_f1(k)) for k, p in enumerate(SCORED_POSTURES)),
    ),
)
TRANSFERS: Final = Measure(
    "transfers",
    "Sitting down and standing up, ±2 s",
    ("hits", "missed", "false"),
    (
        Figure("recall", "recall", "", "high", _share([0], [0, 1]), (0, (0, 1))),
        Figure("precision", "precision", "", "high", _share([0], [0, 2]), (0, (0, 2))),
    ),
)
STEPS: Final = Measure(
    "steps",
    "Steps, ±0.12 s",
    ("hits", "found", "true", "side_right", "sided"),
    (
        Figure("f1", "F1", "", "high", _f1(0, 1, 2)),
        Figure("precision", "precision", "", "high", _share([0], [1])),
        Figure("recall", "recall", "", "high", _share([0], [2])),
        Figure("side", "side right", "", "high", _share([3], [4]), (3, (4,))),
    ),
)
WALKING: Final = Measure(
    "walking",
    "Walking, second by second",
    ("walked_s", "hits_s", "still_s", "false_s"),
    (
        Figure("found", "walking found", "", "high", _share([1], [0])),
        Figure("false", "false walking", "", "low", _share([3], [2])),
    ),
)
MEASURES: Final[Mapping[str, Measure]] = {m.name: m for m in (INCLINATION, TILT, POSTURE, TRANSFERS, STEPS, WALKING)}
