"""Four seconds of walking, reduced to what tells forward from sideways: the raw material of every alignment by walking.

First step of `walking.py` (heading), `auto.py` (up) and `slip.py` (has the clip moved?). Samples become cells of 1/16 s on the
UTC grid (the walking pelvis says nothing above 8 Hz that is wanted here), cells become windows of four seconds, one every two (`gait_cells.py`).
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
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from processing.runs import first_rows
from processing.types import F64, GRAVITY_MPS2, I64, NS_PER_S, Bool

CELLS_PER_S: Final = 16
CELL_NS: Final = NS_PER_S // CELLS_PER_S
WINDOW_S: Final = 4
"""Three to five strides: long enough to part stride from step frequency, short enough for walks across a room."""
HOP_S: Final = 2
CELLS_PER_WINDOW: Final = WINDOW_S * CELLS_PER_S
_TIME_S: Final = (np.arange(CELLS_PER_WINDOW) + 0.5) / CELLS_PER_S
_HANN: Final = (0.5 - 0.5 * np.cos(2.0 * math.pi * _TIME_S / WINDOW_S)) * (2.0 / CELLS_PER_WINDOW)
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
_BIN_HZ: Final = np.arange(_BAND_BINS[0], _BAND_BINS[1] + 1) / WINDOW_S
_NEAR: Final = np.any([np.abs(_BIN_HZ - n * _STEP_HZ[:, None]) <= _LOBE_HZ for n in (1.0, 2.0)], axis=0)
"""Bins (23,) that belong to the rhythm of each step frequency (101,)."""
_GUIDES: Final = np.eye(3)
_FIRST, _SECOND = np.array([(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]).T
"""Rows and columns of a symmetric matrix's elements, as a window keeps them."""


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


class GaitWindow(NamedTuple):
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


def windows_of(seconds: Sequence[int], cells: F64, rows: I64, params: WindowParams) -> list[GaitWindow]:
    """Those that are walking of k windows, which begin at UTC ``seconds`` and have ``rows`` (k, N) of ``cells`` (9, n)."""
    if not seconds:
        return []
    acc, gyr, up = cells[0:3], cells[3:6], cells[6:9]
    # What a cell shows by itself is worked out once for all windows that share it.
    level_up = up / np.sqrt(_dot(up, up))
    vertical = (_dot(acc, level_up) - GRAVITY_MPS2)[rows]
    vertical = vertical - np.add.reduce(_HANN * vertical, axis=1)[:, None]
    weighted = _HANN * vertical
    strong = np.add.reduce(weighted * vertical, axis=1) >= params.min_rms_mps2**2
    turn_dps = np.degrees(np.sqrt(np.add.reduce(_dot(gyr, gyr)[rows], axis=1) / CELLS_PER_WINDOW))
    walks = np.flatnonzero(strong & (turn_dps >= params.min_turn_dps))
    if not len(walks):
        return []
    pace, regular = _rhythms(weighted[walks], params)
    walks, pace = walks[regular], pace[regular]
    rows = rows[walks]
    mean_up, known = _units(np.add.reduce(up.take(rows, axis=1), axis=2))
    bend = _dot(level_up.take(rows, axis=1), mean_up[:, :, None]).min(axis=1)
    # Over whole strides a steady walker's acceleration is gravity alone: as good as the filter's up, and right at once after a
    # start, a gap or a bias the filter has yet to learn.
    gravity, weighs = _units(np.add.reduce(_HANN * acc.take(rows, axis=1), axis=2))
    upright = known & weighs & (bend >= math.cos(math.radians(params.max_bend_deg)))
    if not upright.all():
        walks, pace, rows = walks[upright], pace[upright], rows[upright]
        mean_up, gravity = mean_up[:, upright], gravity[:, upright]
    if not len(walks):
        return []
    motion = np.empty((3, *rows.shape))
    motion[0] = _dot(gyr, level_up)[rows]
    motion[1:], axes = _level(acc, level_up, rows, mean_up)
    return _reduced([seconds[k] for k in walks.tolist()], gravity, pace, weighted[walks], motion, axes)


def _dot(a: F64, b: F64 | tuple[F64, F64, F64]) -> F64:
    """Products of columns: component by component, so that no sum depends on a shape."""
    out: F64 = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    return out


def _cross(a: F64, b: F64) -> tuple[F64, F64, F64]:
    """Vector products of columns (3, ...), by component."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _units(v: F64) -> tuple[F64, Bool]:
    """Columns (3, k) scaled to unit length, and which of them have a length (k,)."""
    length = np.sqrt(_dot(v, v))
    known = length > 0.0
    return v / np.where(known, length, 1.0), known


def _rhythms(weighted: F64, params: WindowParams) -> tuple[I64, Bool]:
    """Which of `_STEP_HZ` (k,) windows (k, N) beat at, and in which of them the body beats at steps and twice as fast, strongly enough."""
    # Products of one shape, however many the windows: the same bits each time.
    a, b, c, d = (np.matmul(part, weighted[:, :, None])[:, :, 0] for part in _PARTS)
    single, double = a * a + b * b, c * c + d * d
    # A step lands once a period: an even faster shake, which would pass as a step's second harmonic, is none.
    own = single > _OWN_SHARE * double
    best = np.where(own, single + double, 0.0).argmax(axis=1)
    in_band = np.abs(np.fft.rfft(weighted, axis=1)[:, _BAND_BINS[0] : _BAND_BINS[1] + 1]) ** 2
    total = np.add.reduce(in_band, axis=1)
    near = np.add.reduce(np.where(_NEAR[best], in_band, 0.0), axis=1)
    # Two sides of the spectrum, and a Hann window keeps two thirds of a wave's power per squared weight.
    rms = np.sqrt(2.0 * total / 1.5)
    strong = (rms >= params.min_rms_mps2) & (rms <= params.max_rms_mps2) & own[np.arange(len(best)), best]
    return best, strong & (near / np.where(total > 0.0, total, 1.0) >= params.min_rhythm)


def _level(acc: F64, up: F64, rows: I64, mean_up: F64) -> tuple[F64, F64]:
    """Horizontal acceleration (2, k, N) of windows, ``rows`` (k, N) of cells (3, n), along axes that turn with the clip but stay
    level, and these axes (2, 3, k) on average.
    """
    steepest = np.abs(mean_up).argmin(axis=0)
    out = np.empty((2, *rows.shape))
    for i in set(steepest.tolist()):
        first = _GUIDES[i][:, None] - up * up[i]
        first /= np.sqrt(_dot(first, first))
        its = steepest == i
        parts = np.array([_dot(acc, first), _dot(acc, _cross(up, first))])
        out[:, its] = parts.take(rows[its], axis=1)
    guide = _GUIDES[:, steepest]
    mean_first = guide - mean_up * np.add.reduce(mean_up * guide, axis=0)
    mean_first /= np.sqrt(_dot(mean_first, mean_first))
    return out, np.array([mean_first, _cross(mean_up, mean_first)])


@cache
def _harmonics() -> tuple[F64, F64]:
    """Waves of the stride's first four harmonics at each of `_STEP_HZ`: their cosines and sines (101, 4, N)."""
    waves = [np.exp(np.outer(np.arange(1, 5), (-1j * math.pi * hz) * _TIME_S)) for hz in _STEP_HZ.tolist()]
    return np.array([w.real for w in waves]), np.array([w.imag for w in waves])


def _reduced(seconds: Sequence[int], up: F64, pace: I64, weighted: F64, motion: F64, axes: F64) -> list[GaitWindow]:
    """Harmonics one to four of the stride, and the turns, put back into sensor axes: of k windows, ``up`` (3, k), ``pace`` (k,) of
    `_STEP_HZ`, ``weighted`` vertical acceleration (k, N), ``motion`` (3, k, N): rate of turn about up, level acceleration along
    ``axes`` (2, 3, k).
    """
    step_hz, level = _STEP_HZ[pace], motion[1:]
    cosines, sines = (table[pace] for table in _harmonics())
    flat = _HANN * (level - np.add.reduce(_HANN * level, axis=2)[:, :, None])
    waves = np.empty(cosines.shape, dtype=np.complex128)
    found = np.empty((2, *waves.shape[:2]), dtype=np.complex128)
    for i, row in enumerate(flat):
        np.multiply(cosines, row[:, None, :], out=waves.real)
        np.multiply(sines, row[:, None, :], out=waves.imag)
        found[i] = 2.0 * np.add.reduce(waves, axis=2)
    beat = waves[:, 0]  # room for the vertical
    np.multiply(cosines[:, 1], weighted, out=beat.real)
    np.multiply(sines[:, 1], weighted, out=beat.imag)
    v = 2.0 * np.add.reduce(beat, axis=1)
    power = np.empty((3, 4, len(pace)))
    power[:2] = (found * np.conj(found)).real.transpose(0, 2, 1)
    power[2] = (found[0] * np.conj(found[1])).real.T
    total = _four(power[0]) + _four(power[1])
    # Even harmonics less odd ones.
    aa, bb, ab = (power[:, 1] - power[:, 0] - power[:, 2] + power[:, 3]) / total
    e, f = axes
    scatter = aa * (e[_FIRST] * e[_SECOND]) + bb * (f[_FIRST] * f[_SECOND])
    scatter += ab * (e[_FIRST] * f[_SECOND] + e[_SECOND] * f[_FIRST])
    width = np.maximum(1, np.rint(2.0 * CELLS_PER_S / step_hz)).astype(np.int64)
    # One stride is one independent look at the curve.
    left = _along(_curves(motion, width), axes) / width
    a, b = found[:, :, 1]
    # By Python's functions: numpy's may differ between one number and many in the last bit.
    size = [abs(x) for x in v.tolist()]
    length = [math.sqrt(abs(x) ** 2 + abs(y) ** 2) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    # Towards the front the step's acceleration leads the vertical; how far it does so differs between people by 25° or so.
    turned = v.real * _LEAD.real + v.imag * _LEAD.imag, v.real * _LEAD.imag - v.imag * _LEAD.real
    cosine, sine = (x * (1.0 / np.array(size)) for x in turned)
    ahead = _along((a.real * cosine - a.imag * sine, b.real * cosine - b.imag * sine), axes) / length
    ups, scatters, aheads, lefts = (zip(*x.tolist(), strict=True) for x in (up, scatter, ahead, left))
    weights = [x**2 for x in size]
    return list(map(GaitWindow, seconds, ups, step_hz.tolist(), scatters, weights, aheads, lefts))


def _four(x: F64) -> F64:
    """Sum of four rows, one after the other."""
    out: F64 = x[0] + x[1] + x[2] + x[3]
    return out


def _along(parts: Sequence[F64] | F64, axes: F64) -> F64:
    """Vectors (3, k) of their parts (2, k) along axes (2, 3, k)."""
    out: F64 = parts[0] * axes[0] + parts[1] * axes[1]
    return out


def _curves(motion: F64, width: I64) -> F64:
    """Sums (2, k) of level acceleration times rate of turn, see `_reduced`, both smoothed over ``width`` (k,) cells: a stride."""
    total = np.zeros((*motion.shape[:2], CELLS_PER_WINDOW + 1))
    np.add.accumulate(motion, axis=2, out=total[:, :, 1:])
    order = width.argsort()
    width, total = width[order], total.take(order, axis=1)
    out = np.empty((2, len(width)))
    for a, b in pairwise([*first_rows(width).tolist(), len(width)]):
        w, sums = int(width[a]), total[:, a:b]
        slow = (sums[:, :, w:] - sums[:, :, :-w]) / w
        out[:, order[a:b]] = np.add.reduce(slow[1:] * slow[0], axis=2)
    return out
