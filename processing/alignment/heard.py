"""Judged seconds as `slip.py` hears them: what each of them tells of the clip without a walk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.alignment.gait_window import Three
from processing.alignment.stretches import three
from processing.frames import component
from processing.types import F64, Bool, SecondBlock


@dataclass(frozen=True, slots=True)
class Heard:
    """Seconds (m): UTC, posture code, whether the clip is turned fast, mean up in sensor axes (m, 3)."""

    second: list[int]
    code: list[int]
    turning: list[bool]
    up: F64

    def up_of(self, row: int) -> Three:
        return three(self.up[row].tolist())


def turns_faster(block: SecondBlock, least_dps: float) -> Bool:
    """Whether gravity moves through the sensor at more than this rate (root mean square), per second (m,); turning round does not
    count.
    """
    g, u, first = block.gyr_p_rps, block.up_p, block.start[:-1]
    square = component(g, g)
    altogether: Bool = np.degrees(np.sqrt(np.add.reduceat(square, first) / block.count)) > least_dps
    if not altogether.any():
        return altogether
    about_up = component(g, u)
    across = square - about_up * about_up
    out: Bool = np.degrees(np.sqrt(np.maximum(np.add.reduceat(across, first) / block.count, 0.0))) > least_dps
    return out
