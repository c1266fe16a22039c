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
from processing.runs import first_rows, lengths
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
_LEAD: Final = complex(np.exp(-1j * math.radians(95.0)))
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

    def __hash__(self) -> int:
        return hash(self.second)  # all its numbers would cost more than they part


def cells_of(t_utc_ns: I64, acc_mps2: F64, gyr_rps: F64, up: F64) -> tuple[I64, F64]:
    """Means per cell: cell numbers (k,) and (k, 9) of acceleration, rate of turn and up, from samples (n,), (n, 3) each."""
    cell = t_utc_ns // CELL_NS
    first = first_rows(cell)
    out = np.empty((len(first), 9))
    if len(first):
        count = lengths(first, len(cell))
        for k, vectors in enumerate((acc_mps2, gyr_rps, up)):
            out[:, 3 * k : 3 * k + 3] = (np.add.reduceat(columns(vectors), first, axis=1) / count).T
    return cell[first], out


class WindowStage:
    """Cells in, windows out: a window is judged when a cell of its last second has come, however the cells are grouped."""

    def __init__(self, params: WindowParams | None = None) -> None:
        self.params = params or WindowParams()
        self._cell: I64 = np.empty(0, np.int64)
        self._values: F64 = np.empty((0, 9))

    def update(self, cell: I64, values: F64, *, judged: bool = False) -> list[GaitWindow]:
        """Cells (k,), (k, 9) of complete seconds, later than all before; the windows that end with them, unless ``judged`` already."""
        if not len(cell):
            return []
        self._cell, self._values = np.concatenate([self._cell, cell]), np.concatenate([self._values, values])
        seconds = cell // CELLS_PER_S
        last = seconds[first_rows(seconds)]
        begin = last[:0] if judged else last[(last + 1 - WINDOW_S) % HOP_S == 0] + 1 - WINDOW_S
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
    step_hz, regular = _rhythms(vertical[walks], params)
    walks, step_hz = walks[regular], step_hz[regular]
    if not len(walks):
        return []
    level, axes = _level(*(x[:, walks] for x in (acc, up, mean_up)))
    turn = _dot(gyr[:, walks], up[:, walks])
    begins = [seconds[k] for k in walks.tolist()]
    return _reduced(begins, gravity[:, walks], step_hz, vertical[walks], level, axes, turn)


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


def _rhythms(vertical: F64, params: WindowParams) -> tuple[F64, Bool]:
    """Step frequencies (k,) of windows (k, N), and in which of them the body beats at steps and twice as fast, strongly enough."""
    weighted = _HANN * vertical
    # Products of one shape, however many the windows: the same bits each time.
    a, b, c, d = (np.matmul(part, weighted[:, :, None])[:, :, 0] for part in _PARTS)
    single, double = a * a + b * b, c * c + d * d
    # A step lands once a period: an even faster shake, which would pass as a step's second harmonic, is none.
    own = single > _OWN_SHARE * double
    best = np.argmax(np.where(own, single + double, 0.0), axis=1)
    step_hz = _STEP_HZ[best]
    size = np.abs(np.fft.rfft(weighted, axis=1))
    in_band = np.ascontiguousarray(size[:, _BINS[0] : _BINS[-1] + 1]) ** 2
    total = np.add.reduce(in_band, axis=1)
    off = np.abs(_BIN_HZ - step_hz[:, None]), np.abs(_BIN_HZ - 2.0 * step_hz[:, None])
    near = np.add.reduce(np.where((off[0] <= _LOBE_HZ) | (off[1] <= _LOBE_HZ), in_band, 0.0), axis=1)
    # Two sides of the spectrum, and a Hann window keeps two thirds of a wave's power per squared weight.
    rms = np.sqrt(2.0 * total / 1.5)
    strong = (rms >= params.min_rms_mps2) & (rms <= params.max_rms_mps2) & own[np.arange(len(best)), best]
    return step_hz, strong & (near / np.where(total > 0.0, total, 1.0) >= params.min_rhythm)


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


def _reduced(
    seconds: Sequence[int], up: F64, step_hz: F64, vertical: F64, level: F64, axes: F64, turn: F64
) -> list[GaitWindow]:
    """Harmonics one to four of the stride, and the turns, put back into sensor axes: of k windows, ``up`` (3, k), ``step_hz`` (k,),
    ``vertical`` (k, N), ``level`` (2, k, N) along ``axes`` (2, 3, k), ``turn`` (k, N).
    """
    waves = np.stack([_harmonics(hz) for hz in step_hz.tolist()])
    flat = _HANN * (level - np.add.reduce(_HANN * level, axis=2)[:, :, None])
    a, b = (2.0 * np.add.reduce(waves * row[:, None, :], axis=2) for row in flat)
    v = 2.0 * np.add.reduce(waves[:, 1] * (_HANN * vertical), axis=1)
    aa, bb, ab = ((x * np.conj(y)).real.T for x, y in ((a, a), (b, b), (a, b)))
    total = _four(aa) + _four(bb)
    scatter = [_four((-x[0], x[1], -x[2], x[3])) / total for x in (aa, bb, ab)]  # even harmonics less odd ones
    e, f = axes
    sensor = (
        scatter[0] * (e[i] * e[j]) + scatter[1] * (f[i] * f[j]) + scatter[2] * (e[i] * f[j] + e[j] * f[i])
        for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    )
    smooth = np.maximum(1, np.rint(2.0 * CELLS_PER_S / step_hz)).astype(np.int64)
    told = (up.T, step_hz, np.stack(list(sensor), axis=1), v, a[:, 1], b[:, 1], axes.transpose(2, 0, 1))
    curved = (_curves(turn, level, smooth).T, smooth)
    rows = zip(seconds, *(fact.tolist() for fact in (*told, *curved)), strict=True)
    found: list[GaitWindow] = []
    for second, u, hz, xyz, beat, a2, b2, (ahead, across), (left_a, left_b), width in rows:
        size = abs(beat)
        # Towards the front the step's acceleration leads the vertical; how far it does so differs between people by 25° or so.
        lead = beat.conjugate() * _LEAD * (1.0 / size)
        ahead_a, ahead_b = (a2 * lead).real, (b2 * lead).real
        length = math.sqrt(abs(a2) ** 2 + abs(b2) ** 2)
        forward = _three([(ahead_a * x + ahead_b * y) / length for x, y in zip(ahead, across, strict=True)])
        # One stride is one independent look at the curve.
        inwards = _three([(left_a * x + left_b * y) / width for x, y in zip(ahead, across, strict=True)])
        found.append(GaitWindow(second, _three(u), hz, tuple(xyz), size**2, forward, inwards))
    return found


def _four(x: Any) -> F64:
    """Sum of four rows, one after the other."""
    out: F64 = x[0] + x[1] + x[2] + x[3]
    return out


def _curves(turn: F64, level: F64, width: I64) -> F64:
    """Sums (2, k) of horizontal acceleration (2, k, N) times rate of turn (k, N), both smoothed over ``width`` (k,) cells: a stride."""
    total = np.zeros((3, len(turn), _N + 1))
    np.cumsum(turn, axis=1, out=total[0, :, 1:])
    np.cumsum(level, axis=2, out=total[1:, :, 1:])
    out = np.empty((2, len(turn)))
    for w in sorted(set(width.tolist())):
        rows = np.flatnonzero(width == w)
        slow = (total[:, rows, w:] - total[:, rows, :-w]) / w
        out[:, rows] = np.add.reduce(slow[1:] * slow[0], axis=2)
    return out


def _three(v: Sequence[float]) -> Three:
    return v[0], v[1], v[2]
