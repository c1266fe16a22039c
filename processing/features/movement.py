"""What each second and each tenth of it moves: rate of turn, vertical acceleration, step rhythm, direction of up.

First step of context, after `seconds.py`. A "cell" is a tenth of a UTC second: fine enough for the ends of a sit-down (they
are judged to about 0.2 s), coarse enough that a whole day is 864,000 rows. Everything is reduced per cell or per second from
that span's own samples, except the step band, a causal filter whose state is carried; so results do not depend on how seconds
are grouped into blocks.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

import numpy as np

from processing.frames import DEG, by_rows, columns
from processing.runs import first_rows, lengths
from processing.types import F64, GRAVITY_MPS2, I64, NS_PER_S, Bool, SecondBlock

CELLS_PER_S: Final = 10
CELL_S: Final = 1.0 / CELLS_PER_S
_CELL_NS: Final = NS_PER_S // CELLS_PER_S
_STEP_BAND_HZ: Final = (0.7, 3.5)
"""Steps of slow walking to running: 42 to 210 a minute."""
_FALLING_MPS2: Final = -0.7 * GRAVITY_MPS2
"""Walking and stairs unload the pelvis by half its weight at most, but for a sample now and then on the way down."""
_SHORT: Final = 8  # rows
_MANY: Final = 100  # cells


@dataclass(frozen=True, slots=True)
class Movement:
    """m seconds and their ``10 m`` cells. Cells without a sample repeat the cell before; ``covered`` (m,) is the share of
    cells that had one.

    Per cell: ``turn_dps`` root mean square rate of turn [deg/s], ``acc_up_mps2`` mean vertical acceleration, ``up`` (10 m, 3)
    direction of up in pelvis axes. Per second: ``step_rms_mps2`` vertical acceleration in the step band, ``crossings`` its
    upward zero crossings, ``turn_sd_dps`` rate of turn about its mean (a gyroscope's offset is not movement),
    ``acc_sd_mps2`` vertical acceleration about its mean, ``slow_turn_dps`` (m, 3) mean rate of turn per axis, ``flight`` share of
    samples in which the pelvis falls almost freely.
    """

    second: I64
    gap_before: Bool
    covered: F64
    turn_dps: F64
    acc_up_mps2: F64
    up: F64
    step_rms_mps2: F64
    crossings: F64
    turn_sd_dps: F64
    acc_sd_mps2: F64
    slow_turn_dps: F64
    flight: F64


class MovementStage:
    """Carries the step band's filter from second to second."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._zi = np.zeros(4)
        self._last = 0.0

    def update(self, block: SecondBlock) -> Movement:
        """Reduce the block; see `Movement`."""
        first = block.start[:-1]
        count = block.count
        acc = block.acc_up_mps2
        band, self._zi = _step_band(self._rate_hz)(acc, zi=self._zi)
        above = band > 0.0
        rising = np.empty(len(above), dtype=np.int8)  # a second has no more than 96 rows
        rising[0] = above[0] and self._last <= 0.0
        np.greater(above[1:], above[:-1], out=rising[1:].view(np.bool_))
        self._last = float(band[-1])

        def mean(values: F64) -> F64:
            out: F64 = np.add.reduceat(values, first, axis=-1) / count
            return out

        # Row by row, so that what is in work stays in the processor's cache.
        x, y, z = rates = columns(block.gyr_p_rps)
        square, part = x * x, y * y
        square += part
        square += np.multiply(z, z, out=part)
        slow = mean(rates)
        spread = mean(square) - slow[0] ** 2 - slow[1] ** 2 - slow[2] ** 2
        acc_mean = mean(acc)
        acc_spread = mean(np.multiply(acc, acc, out=part)) - acc_mean * acc_mean
        band_square = mean(np.multiply(band, band, out=part))
        falls = acc < _FALLING_MPS2

        cell = block.t_utc_ns // _CELL_NS
        at = first_rows(cell)
        n = lengths(at, len(cell))
        turn = np.sqrt(cell_sums(square, at, n) / n) * DEG
        acc_cell = cell_sums(acc, at, n) / n
        up = by_rows(columns(block.up_p).take(at + (n >> 1), axis=1).T)
        covered = np.ones(len(count))
        if len(at) != CELLS_PER_S * len(count):
            source, covered = _spread(cell[at], block.second)
            turn, acc_cell, up = turn[source], acc_cell[source], up[source]
        return Movement(
            block.second,
            block.gap_before,
            covered,
            turn,
            acc_cell,
            up,
            np.sqrt(band_square),
            np.add.reduceat(rising, first, dtype=np.int8).astype(np.float64),
            np.degrees(np.sqrt(np.maximum(spread, 0.0))),
            np.sqrt(np.maximum(acc_spread, 0.0)),
            np.degrees(slow).T,
            mean(falls.astype(np.float64)) if falls.any() else np.zeros(len(count)),
        )

    def snapshot(self) -> dict[str, Any]:
        return {"zi": self._zi.copy(), "last": self._last}

    def restore(self, state: dict[str, Any]) -> None:
        zi = np.array(state["zi"])
        if zi.shape != self._zi.shape:
            raise ValueError("the step band's state is that of another filter")
        self._zi, self._last = zi, float(state["last"])


def load_filters() -> None:
    """Load scipy.signal, beside something else that takes time; the first `MovementStage.update` waits for it otherwise."""
    importlib.import_module("scipy.signal")


@cache
def _step_band(rate_hz: float) -> Callable[..., tuple[F64, F64]]:
    """The band as a filter of samples and state ``zi``, both edges in one filter of fourth order: a third of the time of two
    sections, and nine digits are left at 200 Hz. scipy.signal comes late: it takes longer to import than all else here together,
    and a gateway that starts has sensors to look for meanwhile.
    """
    from scipy.signal import butter, lfilter

    band = _STEP_BAND_HZ[0], min(_STEP_BAND_HZ[1], 0.45 * rate_hz)
    b, a = butter(2, band, "band", fs=rate_hz)
    return partial(lfilter, b, a)


def _spread(cell: I64, second: I64) -> tuple[I64, F64]:
    """For each cell of the seconds, the row to use (the nearest earlier one of the same second, else its first); coverage."""
    wanted = (second[:, None] * CELLS_PER_S + np.arange(CELLS_PER_S)).ravel()
    first_of_second = np.searchsorted(cell, second * CELLS_PER_S)
    source = np.maximum(np.searchsorted(cell, wanted, "right") - 1, np.repeat(first_of_second, CELLS_PER_S))
    return source, lengths(first_of_second, len(cell)) / CELLS_PER_S


def cell_sums(values: F64, first: I64, count: I64) -> F64:
    """Sum of ``values`` (n,) over each cell of ``count`` rows from ``first`` (k,) on, which together are all rows.

    Many cells of equal length, as a regular clock gives them, are added all at once: a third of the time of `np.add.reduceat`, in its
    order and so to its bits. That adds the first value last, and pairs the others from eight on.
    """
    size = int(count[0])
    if len(count) < _MANY or not 3 <= size <= _SHORT or (count != size).any():
        out: F64 = np.add.reduceat(values, first)
        return out
    by_place = values.reshape(-1, size).T
    out = by_place[1] + by_place[2]
    for place in by_place[3:]:
        out += place
    out += by_place[0]
    return out
