"""24 hours of real signals out of recordings that are minutes long: what a benchmark takes where a simulated day flatters somebody.

Recordings that name what is done (column ``label`` as HAPT names it) follow one another `PASSES` times, each brought to one rate and
turned so that its walks are upright and straight ahead in the same axes: to all who are compared, the clip sits on one wearer. That is a day's
walking, stairs and changes of posture, and more. Their sitting and lying are drawn out until the day is full: a rest goes forth and back in
time, its rates reversed with it, so that nothing jumps inside it. From one recording to the next the signal does jump.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from processing.alignment.auto import auto_mount, survey
from processing.alignment.static import Mount, align
from processing.frames import Rows, rotate, transposed
from processing.types import F64, I64, NS_PER_S, TimedBatch
from sensor_gateway.bench.labelled import ACTIVITIES, is_labelled, read_labelled
from sensor_gateway.bench.machine import BenchError
from sensor_gateway.validation.peers import even

PASSES: Final = 3
"""With HAPT's 30 shared recordings: 2.9 hours on foot and some 540 changes of posture."""
_RESTS: Final = (*ACTIVITIES["sitting"], *ACTIVITIES["lying"])


def lived_day(folder: Path, hours: float, rate_hz: float, mount: Mount) -> tuple[F64, F64]:
    """Specific force [m/s²] and rate [rad/s] (n, 3) of ``hours`` h from a clip that sits as ``mount`` says.

    Raises `BenchError` where the folder has no labelled recordings with walks or more of them than fit.
    """
    paths = sorted(folder.glob("*.parquet"))
    sessions = [one for path in paths if (one := _as_worn(path, rate_hz, mount)) is not None]
    if not sessions:
        raise BenchError(f"{folder}: no recordings with a column 'label' whose walks tell how the clip sat")
    total = round(hours * 3600 * rate_hz)
    labels = np.concatenate([label for *_, label in sessions])
    resting = PASSES * int(np.isin(labels, _RESTS).sum())
    moving = PASSES * len(labels) - resting
    if not resting or total < moving + resting:
        raise BenchError(
            f"{folder}: its recordings {PASSES} times over are {PASSES * len(labels) / rate_hz / 3600:.1f} h, "
            f"{resting / rate_hz / 3600:.1f} h of them sitting or lying: no day of {hours:g} h"
        )
    factor = (total - moving) / resting
    pieces = [piece for one in sessions for piece in _drawn_out(*one, factor)] * PASSES
    acc, gyr = (np.concatenate(part) for part in zip(*pieces, strict=True))
    # Each rest was rounded to whole samples; the day ends on time.
    missing = total - len(acc)
    if missing > 0:
        acc, gyr = (np.concatenate([x, x[-1:].repeat(missing, axis=0)]) for x in (acc, gyr))
    return acc[:total], gyr[:total]


def _as_worn(path: Path, rate_hz: float, mount: Mount) -> tuple[F64, F64, I64] | None:
    """A recording as if the clip had sat as ``mount`` says; None where it has no labels or its walks tell too little."""
    if not is_labelled(path):
        return None
    recording, label = read_labelled(path)
    t_s, acc, gyr = even(replace(recording, rate_hz=rate_hz))
    own = auto_mount(survey([TimedBatch(np.rint(t_s * NS_PER_S).astype(np.int64), acc, gyr)], rate_hz))
    if isinstance(own, str):
        return None
    sat, sits = _pelvis_rows(own.mount), transposed(_pelvis_rows(mount))
    at = np.searchsorted(recording.t_utc_ns / NS_PER_S, t_s, side="right") - 1
    return rotate(sits, rotate(sat, acc)), rotate(sits, rotate(sat, gyr)), label[at]


def _pelvis_rows(mount: Mount) -> Rows:
    """What turns a clip's axes into those of the pelvis."""
    return align(mount, None, given=True, mount_id="", t_utc_ns=0).r_ps


def _drawn_out(acc: F64, gyr: F64, label: I64, factor: float) -> Iterator[tuple[F64, F64]]:
    """Piece by piece of one activity, those of rest ``factor`` times as long."""
    cuts = np.flatnonzero(np.diff(label)) + 1
    for rows in np.split(np.arange(len(label)), cuts):
        if label[rows[0]] not in _RESTS:
            yield acc[rows], gyr[rows]
            continue
        length = round(len(rows) * factor)
        turns = -(-length // len(rows))
        forth_and_back = np.concatenate([rows if i % 2 == 0 else rows[::-1] for i in range(turns)])[:length]
        ahead = np.where(np.arange(length) // len(rows) % 2 == 0, 1.0, -1.0)
        yield acc[forth_and_back], gyr[forth_and_back] * ahead[:, None]
