"""What differs between people, one thing at a time, put upon a recording: pace, and how far the pelvis turns in sitting down.

The turns are those of the recording at another pace or with a turn of the pelvis added, so that rates, gravity and truth stay
consistent; what else differs between people (how they fidget, how heavy they tread) does not come with it. Used by `alterations.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.signal import butter, sosfiltfilt
from scipy.spatial.transform import Rotation

from processing.frames import up_in_sensor
from processing.gaps import GapParams, GapStage
from processing.orientation.causal import OrientationParams
from processing.orientation.retro import RetroOrientation
from processing.types import F64, GRAVITY_MPS2, NS_PER_S, TimedBatch
from tests.validation.takes import Rng, Take, later, resampled

_FIXED = (1, 2, 3, 4, 5, 6)
_SITTING, _STANDING = 4, 5


def up_looking_back(take: Take) -> F64:
    """Up in sensor axes (n, 3), as the estimate that looks back has it."""
    rate = take.rate_hz
    t = 1_790_000_000 * NS_PER_S + np.round(take.t_s * NS_PER_S).astype(np.int64)
    filled = GapStage(GapParams(rate)).update(TimedBatch(t, take.acc, take.gyr))
    retro = RetroOrientation(OrientationParams(rate))
    parts = retro.update(filled) + retro.finish()
    real = np.concatenate([np.ones(len(p.q_es), bool) if p.filled.real is None else p.filled.real for p in parts])
    return up_in_sensor(np.concatenate([p.q_es for p in parts]))[real]


def paced(factor: float) -> Callable[[Take, Rng], Take]:
    """The same motion taking ``factor`` times as long: rates fall with it, accelerations with its square, the chip's offset stays."""

    def apply(take: Take, rng: Rng) -> Take:
        if "movement" in take.truth:
            return take  # moved by hand: nobody's pace
        gravity = GRAVITY_MPS2 * up_looking_back(take)
        moved = take.acc - gravity
        offset = sosfiltfilt(butter(2, 0.2, fs=take.rate_hz, output="sos"), moved, axis=0)
        acc = gravity + offset + (moved - offset) / factor**2
        begin = float(take.t_s[0])

        def when(t: float) -> float:
            return begin + (t - begin) * factor

        slow = later(replace(take, acc=acc, gyr=take.gyr / factor), begin + (take.t_s - begin) * factor, when)
        return resampled(take.rate_hz)(slow, rng)

    return apply


def sits_as_stands(take: Take, rng: Rng) -> Take:
    """The pelvis points the same way in sitting as in standing: what a sit turned it by is taken back while it lasts."""
    if "label" not in take.truth:
        return take
    label = take.truth["label"]
    fixed = np.flatnonzero(np.isin(label, _FIXED))
    share = np.interp(np.arange(len(label)), fixed, (label[fixed] == _SITTING).astype(float))
    share = share * share * (3.0 - 2.0 * share)
    sat, stood = (take.acc[label == code].mean(axis=0) for code in (_SITTING, _STANDING))
    axis = np.cross(sat, stood)
    sine = float(np.sqrt(axis @ axis))
    turn = share[:, None] * (np.arctan2(sine, float(sat @ stood)) / sine * axis)
    there = Rotation.from_rotvec(turn)
    gyr = there.apply(take.gyr) - np.gradient(turn, take.t_s, axis=0)
    return replace(take, acc=there.apply(take.acc), gyr=gyr)
