"""Four seconds of walking, reduced to what tells forward from sideways: the raw material of every alignment by walking.

First step of `walking.py` (heading), `auto.py` (up) and `slip.py` (has the clip moved?). Samples become cells of 1/16 s on the
UTC grid (the walking pelvis says nothing above 8 Hz that is wanted here), cells become windows of four seconds, one every two.
A window keeps only sums that add up, in sensor axes and without any idea of how the clip sits:

- up, averaged: the walking posture, the steadiest gravity a day offers;
- the harmonic scatter: the body speeds up and slows down once a step (even harmonics of the stride) and sways once a
  stride (odd harmonics), so even-minus-odd scatter of the horizontal acceleration is largest ahead and smallest sideways;
- the part of the horizontal acceleration at step frequency that runs a quarter period ahead of the vertical: it points
  forward (fore-aft leads the vertical by 64-150° on the people measured, by 95° in the middle);
- turns: on a curve the acceleration towards the centre is speed times rate of turn, so their product points left.

The principal axis of angular velocity is deliberately not used: in walking obliquity outdoes tilt and the axis found is arbitrary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processing.frames import columns
from processing.types import F64, GRAVITY_MPS2, I64, NS_PER_S, Bool

CELLS_PER_S: Final = 16
CELL_NS: Final = NS_PER_S // CELLS_PER_S
WINDOW_S: Final = 4
"""Three to five strides: long enough to part stride from step frequency, short enough for walks across a room."""
HOP_S: Final = 2
_N: Final = WINDOW_S * CELLS_PER_S
_TIME_S: Final = (np.arange(_N) + 0.5) / CELLS_PER_S
_HANN: Final = (0.5 - 0.5 * np.cos(2.0 * math.pi * _TIME_S / WINDOW_S)) * (2.0 / _N)
"""Weights that sum to one."""
_STEP_HZ: Final = np.arange(1.0, 3.0001, 0.02)
"""Slow walking to running: 60 to 180 steps a minute. Slower shuffling has no rhythm a window could hold."""
_BAND_BINS: Final = (2, 6 * WINDOW_S)
"""Rhythm is judged among 0.5 to 6 Hz: below lies posture, above the heel strike's ring."""
_LOBE_HZ: Final = 0.375
_OWN_SHARE: Final = 0.1
_LEAD_RAD: Final = math.radians(95.0)
_WAVES: Final = np.exp(np.outer(_STEP_HZ, -2j * math.pi * _TIME_S))
_WAVES_DOUBLE: Final = _WAVES * _WAVES
_PARTS: Final = tuple(np.ascontiguousarray(x) for w in (_WAVES, _WAVES_DOUBLE) for x in (w.real, w.imag))
_BINS: Final = np.arange(_BAND_BINS[0], _BAND_BINS[1] + 1)
_BIN_HZ: Final = _BINS / WINDOW_S
_AT_ONCE: Final = 64  # windows: what they take fits into a processor's cache


@dataclass(frozen=True, slots=True)
class WindowParams:
    """What counts as walking: strength of the vertical in its band, share of it in the step's rhythm, holes bridged [cells]."""

    min_rms_mps2: float = 0.4
    max_rms_mps2: float = 6.9  # beyond, the body falls freely once a step: running, where the phase is another
    min_rhythm: float = 0.5
    min_turn_dps: float = 8.0
    max_bend_deg: float = 25.0
    max_hole_cells: int = 5


Three = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class GaitWindow:
    """One window in sensor axes. ``second`` its UTC start; ``up`` unit vector; ``step_hz`` the step frequency.

    ``scatter`` (xx, yy, zz, xy, xz, yz): even-minus-odd scatter over all scatter (-1..1 along any axis), ``weight`` how much the
    window counts [m²/s⁴], ``ahead`` unit-free vector towards the front, ``left`` [m/s³] points to the inside of
    turns made to the left.
    """

    second: int
    up: Three
    step_hz: float
    scatter: tuple[float, float, float, float, float, float]
    weight: float
    ahead: Three
    left: Three


def cells_of(t_utc_ns: I64, acc_mps2: F64, gyr_rps: F64, up: F64) -> tuple[I64, F64]:
    """Means per cell: cell numbers (k,) and (k, 9) of acceleration, rate of turn and up, from samples (n,), (n, 3) each."""
    cell = t_utc_ns // CELL_NS
    first = np.flatnonzero(np.diff(cell, prepend=cell[0] - 1)) if len(cell) else np.empty(0, np.int64)
    out = np.empty((len(first), 9))
    if len(first):
        count = np.diff(np.append(first, len(cell))).astype(np.float64)
        for k, vectors in enumerate((acc_mps2, gyr_rps, up)):
            for i in range(3):
                out[:, 3 * k + i] = np.add.reduceat(np.ascontiguousarray(vectors[:, i]), first) / count
    return cell[first], out


class WindowStage:
    """Cells in, windows out: a window is judged when a cell of its last second has come, however the cells are grouped."""

    def __init__(self, params: WindowParams | None = None) -> None:
        self.params = params or WindowParams()
        self._cell: I64 = np.empty(0, np.int64)
        self._values: F64 = np.empty((0, 9))

    def update(self, cell: I64, values: F64) -> list[GaitWindow]:
        """Cells (k,), (k, 9) of complete seconds, later than all before; the windows that end with them."""
        if not len(cell):
            return []
        self._cell, self._values = np.concatenate([self._cell, cell]), np.concatenate([self._values, values])
        last = np.unique(cell // CELLS_PER_S)
        begin = last[(last + 1 - WINDOW_S) % HOP_S == 0] + 1 - WINDOW_S
        lo = np.searchsorted(self._cell, begin * CELLS_PER_S).tolist()
        hi = np.searchsorted(self._cell, (begin + WINDOW_S) * CELLS_PER_S).tolist()
        whole: list[tuple[int, F64]] = []
        for second, a, b in zip(begin.tolist(), lo, hi, strict=True):
            cells = _completed(self._cell[a:b] - second * CELLS_PER_S, self._values[a:b], self.params.max_hole_cells)
            if cells is not None:
                whole.append((second, cells))
        found: list[GaitWindow] = []
        for i in range(0, len(whole), _AT_ONCE):
            some = whole[i : i + _AT_ONCE]
            # Contiguous, so that every sum runs along its window.
            full = np.ascontiguousarray(np.stack([x for _, x in some], axis=1))
            found += windows_of([second for second, _ in some], full, self.params)
        keep = int(np.searchsorted(self._cell, (int(last[-1]) + 2 - WINDOW_S) * CELLS_PER_S))
        self._cell, self._values = self._cell[keep:].copy(), self._values[keep:].copy()
        return found

    def snapshot(self) -> list[Any]:
        return [self._cell.copy(), self._values.copy()]

    def restore(self, state: list[Any]) -> None:
        self._cell, self._values = (np.array(x) for x in state)


def windows_of(seconds: Sequence[int], full: F64, params: WindowParams) -> list[GaitWindow]:
    """Those that are walking of k windows, which begin at UTC ``seconds`` and have all their cells: ``full`` (9, k, N)."""
    acc, gyr, up = full[0:3], full[3:6], full[6:9]
    mean_up, known = _units(np.add.reduce(up, axis=2))
    up = up / np.sqrt(_dot(up, up))
    bend = np.min(_dot(up, mean_up[:, :, None]), axis=1)
    turn_dps = np.degrees(np.sqrt(np.add.reduce(_dot(gyr, gyr), axis=1) / _N))
    vertical = _dot(acc, up) - GRAVITY_MPS2
    vertical = vertical - np.add.reduce(_HANN * vertical, axis=1)[:, None]
    strong = np.add.reduce(_HANN * vertical * vertical, axis=1) >= params.min_rms_mps2**2
    # Over whole strides a steady walker's acceleration is gravity alone: as good as the filter's up, and right at once after a
    # start, a gap or a bias the filter has yet to learn.
    gravity, weighs = _units(np.add.reduce(_HANN * acc, axis=2))
    straight = bend >= math.cos(math.radians(params.max_bend_deg))
    walks = np.flatnonzero(known & weighs & straight & (turn_dps >= params.min_turn_dps) & strong)
    if not len(walks):
        return []
    level, axes = _level(acc, up, mean_up)
    turn = _dot(gyr, up)
    found: list[GaitWindow] = []
    for k in walks.tolist():
        step_hz, rms, rhythm = _rhythm(vertical[k])
        if params.min_rms_mps2 <= rms <= params.max_rms_mps2 and rhythm >= params.min_rhythm:
            found.append(_reduced(seconds[k], gravity[:, k], step_hz, vertical[k], level[:, k], axes[:, :, k], turn[k]))
    return found


def _dot(a: F64, b: F64) -> F64:
    """Products of columns: component by component, so that no sum depends on a shape."""
    out: F64 = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    return out


def _cross(a: F64, b: F64) -> F64:
    """Vector products of columns (3, ...)."""
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def _units(v: F64) -> tuple[F64, Bool]:
    """Columns (3, k) scaled to unit length, and which of them have a length (k,)."""
    length = np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    known = length > 0.0
    return v / np.where(known, length, 1.0), known


def _completed(at: I64, values: F64, max_hole: int) -> F64 | None:
    """All cells (9, N) with short holes bridged; None where one is too long."""
    if len(at) == _N:
        return values.T
    if len(at) < _N // 2 or int(np.max(np.diff(at, prepend=-1, append=_N))) > max_hole + 1:
        return None
    full = np.empty((9, _N))
    grid = np.arange(_N)
    for i in range(9):
        full[i] = np.interp(grid, at, values[:, i])
    return full


def _rhythm(vertical: F64) -> tuple[float, float, float]:
    """Step frequency, root mean square in the band, and the share of the band that beats at steps and twice as fast."""
    weighted = _HANN * vertical
    # Products of one shape, whatever the chunks: the same bits each time.
    a, b, c, d = (part @ weighted for part in _PARTS)
    single, double = a * a + b * b, c * c + d * d
    # A step lands once a period: an even faster shake, which would pass as a step's second harmonic, is none.
    best = int(np.argmax(np.where(single > _OWN_SHARE * double, single + double, 0.0)))
    step_hz = float(_STEP_HZ[best])
    power = np.abs(np.fft.rfft(weighted)) ** 2
    in_band = power[_BINS]
    total = float(np.add.reduce(in_band))
    if single[best] <= _OWN_SHARE * double[best]:
        return step_hz, 0.0, 0.0
    near = (np.abs(_BIN_HZ - step_hz) <= _LOBE_HZ) | (np.abs(_BIN_HZ - 2.0 * step_hz) <= _LOBE_HZ)
    # Two sides of the spectrum, and a Hann window keeps two thirds of a wave's power per squared weight.
    rms = math.sqrt(2.0 * total / 1.5)
    return step_hz, rms, float(np.add.reduce(np.where(near, in_band, 0.0))) / total if total > 0.0 else 0.0


def _level(acc: F64, up: F64, mean_up: F64) -> tuple[F64, F64]:
    """Horizontal acceleration (2, k, N) along axes that turn with the clip but stay level, and these axes (2, 3, k) on average."""
    guide = np.zeros_like(mean_up)
    guide[np.argmin(np.abs(mean_up), axis=0), np.arange(guide.shape[1])] = 1.0
    along = _dot(up, guide[:, :, None])
    first = guide[:, :, None] - up * along
    first = first / np.sqrt(_dot(first, first))
    second = _cross(up, first)
    mean_first = guide - mean_up * np.add.reduce(mean_up * guide, axis=0)
    mean_first = mean_first / np.sqrt(np.add.reduce(columns(mean_first * mean_first), axis=1))
    axes = np.array([mean_first, _cross(mean_up, mean_first)])
    return np.array([_dot(acc, first), _dot(acc, second)]), axes


@cache
def _harmonics(step_hz: float) -> NDArray[np.complex128]:
    """Waves (4, N) of the stride's first four harmonics; step frequencies are those of `_STEP_HZ`."""
    out: NDArray[np.complex128] = np.exp(np.outer(np.arange(1, 5), (-1j * math.pi * step_hz) * _TIME_S))
    return out


def _reduced(second: int, up: F64, step_hz: float, vertical: F64, level: F64, axes: F64, turn: F64) -> GaitWindow:
    """Harmonics one to four of the stride, and the turns, put back into sensor axes."""
    waves = _harmonics(step_hz)
    flat = level - np.add.reduce(_HANN * level, axis=1)[:, None]
    a, b = (2.0 * np.add.reduce(waves * (_HANN * row), axis=1) for row in flat)
    v = 2.0 * complex(np.add.reduce(waves[1] * (_HANN * vertical)))
    sign = np.array([-1.0, 1.0, -1.0, 1.0])
    aa, bb, ab = (np.real(x * np.conj(y)) for x, y in ((a, a), (b, b), (a, b)))
    total = float(np.add.reduce(aa) + np.add.reduce(bb))
    aa, bb, ab = (float(np.add.reduce(sign * x)) / total for x in (aa, bb, ab))
    e, f = axes.tolist()
    xx, yy, zz, xy, xz, yz = (
        aa * (e[i] * e[j]) + bb * (f[i] * f[j]) + ab * (e[i] * f[j] + e[j] * f[i])
        for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    )
    # Towards the front the step's acceleration leads the vertical; how far it does so differs between people by 25° or so.
    lead = np.conj(v) * np.exp(-1j * _LEAD_RAD) / abs(v)
    ahead_a, ahead_b = float(np.real(a[1] * lead)), float(np.real(b[1] * lead))
    size = math.sqrt(abs(a[1]) ** 2 + abs(b[1]) ** 2)
    smooth = max(1, round(2.0 * CELLS_PER_S / step_hz))
    slow_turn, slow_a, slow_b = (_running_mean(x, smooth) for x in (turn, level[0], level[1]))
    # One stride is one independent look at the curve.
    left_a, left_b = float(np.add.reduce(slow_a * slow_turn)), float(np.add.reduce(slow_b * slow_turn))
    return GaitWindow(
        second,
        _three(up.tolist()),
        step_hz,
        (xx, yy, zz, xy, xz, yz),
        abs(v) ** 2,
        _three([(ahead_a * x + ahead_b * y) / size for x, y in zip(e, f, strict=True)]),
        _three([(left_a * x + left_b * y) / smooth for x, y in zip(e, f, strict=True)]),
    )


def _running_mean(x: F64, width: int) -> F64:
    total = np.zeros(len(x) + 1)
    np.cumsum(x, out=total[1:])
    out: F64 = (total[width:] - total[:-width]) / width
    return out


def _three(v: Sequence[float]) -> Three:
    return v[0], v[1], v[2]
