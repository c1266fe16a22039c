"""24 hours of real signals out of recordings that are minutes long: what a benchmark takes where a simulated day flatters somebody.

Recordings that name what is done (column ``label`` as HAPT names it) follow one another `PASSES` times, each turned so that its wearer
stands upright in the same axes, and brought to one rate. That is a day's walking, stairs and changes of posture, and more. Their sitting and
lying are drawn out until the day is full: a rest goes forth and back in time, its rates reversed with it, so that nothing jumps inside it.
From one recording to the next the signal does jump, as where a clip is handed on; all who are compared meet the same jumps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from processing.frames import between_z, conjugate, multiply, rotate_by
from processing.types import F64, I64, NS_PER_S
from sensor_gateway.bench.labelled import ACTIVITIES, is_labelled, read_labelled
from sensor_gateway.bench.machine import BenchError
from sensor_gateway.validation.peers import even

PASSES: Final = 3
"""With HAPT's 30 shared recordings: 2.9 hours on foot and some 540 changes of posture."""
_RESTS: Final = (*ACTIVITIES["sitting"], *ACTIVITIES["lying"])


def lived_day(folder: Path, hours: float, rate_hz: float, up: F64) -> tuple[F64, F64]:
    """Specific force [m/s²] and rate [rad/s] (n, 3) of ``hours`` h, ``up`` (3,) being the axis that points up in standing.

    Raises `BenchError` where the folder has no labelled recordings or more of them than fit.
    """
    sessions = [one for path in sorted(folder.glob("*.parquet")) if (one := _upright(path, rate_hz, up)) is not None]
    if not sessions:
        raise BenchError(f"{folder}: no recordings with a column 'label' and standing (5) in it")
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


def _upright(path: Path, rate_hz: float, up: F64) -> tuple[F64, F64, I64] | None:
    if not is_labelled(path):
        return None
    recording, label = read_labelled(path)
    standing = recording.acc_mps2[np.isin(label, ACTIVITIES["standing"])]
    if not len(standing):
        return None
    t_s, acc, gyr = even(replace(recording, rate_hz=rate_hz))
    turn = multiply(conjugate(between_z(up[None])), between_z(standing.mean(axis=0)[None]))
    at = np.searchsorted(recording.t_utc_ns / NS_PER_S, t_s, side="right") - 1
    return rotate_by(turn, acc), rotate_by(turn, gyr), label[at]


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
