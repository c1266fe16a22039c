"""The levels to reach, and what was reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sensor_gateway.validation.peers import DETECTORS
from sensor_gateway.validation.rows import TILTLINE
from sensor_gateway.validation.summary import Result
from sensor_gateway.validation.tally import MEASURES


@dataclass(frozen=True, slots=True)
class Bar:
    """A level to reach. ``limit`` None: the best `mobgap` detector of the same run."""

    set: str
    measure: str
    figure: str
    mode: str
    limit: float | None


def _modes(name: str, measure: str, figure: str, limits: dict[str, float | None]) -> list[Bar]:
    return [Bar(name, measure, figure, mode, limit) for mode, limit in limits.items()]


BARS: Final = (
    *_modes("broad", "inclination", "rmse_deg", {"online": 0.75, "settled": 0.62, "retro": 0.55}),
    *_modes("neura_pelvis", "tilt", "rmse_deg", {"online": 1.35, "settled": 1.10, "retro": 0.90}),
    *_modes("hapt", "posture", "macro_f1", {"online": 0.90, "settled": 0.92, "retro": 0.95}),
    *_modes("hapt", "transfers", "recall", {"online": 0.88, "retro": 0.92}),
    *_modes("hapt", "transfers", "precision", {"online": 0.90, "retro": 0.96}),
    *_modes("ipol_l5_gait", "steps", "f1", {"online": None, "retro": None}),
    *_modes("ipol_l5_gait", "steps", "f1", {"online": 0.965, "retro": 0.975}),
    *_modes("mobgap_lowback", "steps", "f1", {"online": None, "retro": None}),
)


@dataclass(frozen=True, slots=True)
class BarResult:
    """A bar and what was reached; ``met`` None where it was not measured."""

    bar: Bar
    label: str
    limit: float | None
    reached: float | None
    interval: tuple[float, float] | None
    recordings: int
    subjects: int
    met: bool | None


def hold_against_bars(results: Sequence[Result]) -> list[BarResult]:
    """Every bar whose set is among the results."""
    held = []
    for bar in BARS:
        measure = MEASURES[bar.measure]
        figure = measure.figure(bar.figure)
        own = [r for r in results if r.set == bar.set and r.measure == bar.measure and r.kind == "all"]
        mine = next((r for r in own if r.estimator == TILTLINE and r.mode == bar.mode), None)
        if mine is None:
            continue
        limit = bar.limit if bar.limit is not None else _best_peer(own, bar.figure)
        reached = mine.values[bar.figure]
        met = None
        if limit is not None and reached is not None:
            met = reached <= limit if figure.better == "low" else reached >= limit
        label = f"{measure.title}: {figure.label}"
        interval = mine.intervals[bar.figure]
        held.append(BarResult(bar, label, limit, reached, interval, mine.recordings, mine.subjects, met))
    return held


def _best_peer(results: Sequence[Result], figure: str) -> float | None:
    values = [v for r in results if r.estimator in DETECTORS and (v := r.values[figure]) is not None]
    return max(values, default=None)
