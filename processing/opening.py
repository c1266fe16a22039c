"""A stream that begins in motion: the gyroscope's bias must not be learnt from an inclination that is only a first guess.

Part of `orientation.py`. VQF learns the bias while moving from how gravity, averaged, keeps pulling its inclination. In the first
seconds that pull is mostly the error of the first guess being worked off: in walking the first sample may point 20° beside. With a
bias allowed to be several °/s a good deal of that is taken for bias, and paid back over the next minute. Who begins at rest has a good first
guess, and the bias is free at once. Otherwise it is held near nothing until gravity's mean has lasted one time constant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from processing.types import F64

_LOOK_S: Final = 0.5
_HELD_DPS: Final = 0.5
"""Doubt of the bias meanwhile: what the filter's authors start with."""
_STILL_GYR_DPS: Final = 8.0
_STILL_ACC_MPS2: Final = 0.4
"""About their means; as a neutral pose is judged (`alignment.static.StillnessLimits`)."""


@dataclass(slots=True)
class Opening:
    """Counts rows since the stream began and says when the bias's doubt has to change. Pieces must end where `left` says."""

    rate_hz: float
    hold_s: float
    free_dps: float
    rows: int = 0
    held: bool = False
    over: bool = False
    _samples: list[F64] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Rows until the next decision, at least one."""
        until = self.hold_s if self.held else _LOOK_S
        return max(1, round(until * self.rate_hz) - self.rows)

    def take(self, gyr_rps: F64, acc_mps2: F64) -> float | None:
        """Account for rows (n, 3) the filter was given; the bias's doubt [deg/s] that holds from here, None where it stays."""
        at_decision = len(gyr_rps) >= self.left
        self.rows += len(gyr_rps)
        if not self.held:
            self._samples.append(np.hstack((gyr_rps, acc_mps2)))
        if not at_decision:
            return None
        if self.held:
            self.over = True
            return self.free_dps
        seen = np.concatenate(self._samples)
        self._samples = []
        self.held = not _still(seen)
        self.over = not self.held
        return _HELD_DPS if self.held else None

    def snapshot(self) -> list[Any]:
        return [self.rows, self.held, self.over, list(self._samples)]

    def restore(self, state: list[Any]) -> None:
        self.rows, self.held, self.over, self._samples = state[0], state[1], state[2], list(state[3])


def _still(seen: F64) -> bool:
    """Whether samples (n, 6) of rate and specific force keep to their means."""
    off = seen - np.add.reduce(seen, axis=0) / len(seen)
    rate, force = (float(np.sqrt(np.sum(x * x) / len(seen))) for x in (off[:, :3], off[:, 3:]))
    return np.degrees(rate) <= _STILL_GYR_DPS and force <= _STILL_ACC_MPS2
