"""A stream that begins in motion: inclination and the gyroscope's bias from its first seconds together. Part of `causal.py`.

VQF learns the bias while moving from how gravity, averaged, keeps pulling its inclination. In the first seconds that pull is mostly the
error of the first guess being worked off: in walking the first sample may point 20° beside. A bias allowed to be several °/s takes a
good deal of that upon itself, and pays it back over the next minute. Who begins at rest has a good first guess, and is left to the filter.
For the others the filter's bias is held, and every second both are estimated anew from all samples so far, by least squares.

In a frame that follows the gyroscope from the first sample on, the integral of specific force is

    F(t) = v(t) - v(0) + s t + s × N(t) b

with s gravity's reaction (up, in that frame), b the bias, N the gyroscope's turn integrated twice. Integrated, because what is
known of a body in motion is known of its velocity v: it sways by `_SWAY_MPS` from one quarter second to the next, keeps its
direction in the body (one walks forwards, turns and all), and changes otherwise as a random walk of `_RESTLESS_MPS2_RTHZ`: setting off,
stopping, dancing. These are the doubts the estimate is weighed by; the bias that VQF goes on with has the doubt that is left.
In-motion alignment in a gyroscope's frame is old art in navigation; that it stands on velocity's statistics alone is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from vqf import BasicVQF

from processing.frames import matrices, rotate_by
from processing.types import F64, GRAVITY_MPS2

_LOOK_S: Final = 0.5
_STILL_GYR_DPS: Final = 8.0
_STILL_ACC_MPS2: Final = 0.4
"""About their means; as a neutral pose is judged (`alignment.static.StillnessLimits`)."""
_EVERY_S: Final = 1.0
_LASTS_S: Final = 12.0
"""By then the bias is known to some 0.5 °/s, and the filter itself does as well."""
_GRID_S: Final = 0.25
_SWAY_MPS: Final = 0.3
_RESTLESS_MPS2_RTHZ: Final = 1.0
_ONWARD_MPS: Final = 1.0
"""Standard deviation of the velocity that keeps its direction in the body: a walk's."""
_AT_FIRST_MPS: Final = 2.0
_AXES: Final = np.eye(3)


class Start(NamedTuple):
    """What the filter is to go on with: bias [rad/s] (3,), its covariance (3, 3), and up in sensor axes (3,) where it has to change."""

    bias_rps: F64
    covariance: F64
    up: F64 | None = None


@dataclass(slots=True)
class Opening:
    """Counts rows since the stream began and says what is to be changed. Pieces must end where `left` says.

    After a hole the turn is lost but not the bias: what is known of it enters the estimate from the rows that follow.
    """

    rate_hz: float
    free_dps: float
    rows: int = 0
    held: bool = False
    over: bool = False
    _bias: F64 = field(default_factory=lambda: np.zeros(3))
    _covariance: F64 = field(init=False)
    _samples: list[F64] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._covariance = np.radians(self.free_dps) ** 2 * _AXES

    @property
    def left(self) -> int:
        """Rows until the next decision, at least one."""
        until = (self.rows / self.rate_hz + 1e-6) // _EVERY_S * _EVERY_S + _EVERY_S if self.held else _LOOK_S
        return max(1, round(until * self.rate_hz) - self.rows)

    def take(self, gyr_rps: F64, acc_mps2: F64, *, resting: bool) -> Start | None:
        """Account for rows (n, 3) the filter was given and whether it sees a rest; what holds from here, None where all stays."""
        at_decision = len(gyr_rps) >= self.left
        self.rows += len(gyr_rps)
        self._samples.append(np.hstack((gyr_rps, acc_mps2)))
        if not at_decision:
            return None
        seen = np.concatenate(self._samples)
        if not self.held:
            self.held = not _still(seen)
            self.over = not self.held
            return Start(self._bias, 0.0 * _AXES) if self.held else None
        self.over = resting or self.rows >= round(_LASTS_S * self.rate_hz)
        self._samples = [] if self.over else [seen]
        start = self._estimate(seen) if self._enough(seen) else Start(self._bias, self._covariance)
        if resting:  # gravity is plain then
            return start._replace(up=None)
        return start if self.over else start._replace(covariance=0.0 * _AXES)

    def broken(self) -> None:
        """A hole comes before the next row."""
        if self.over or not self._samples:
            return
        seen = np.concatenate(self._samples)
        if self.held and self._enough(seen):
            self._bias, self._covariance, _ = self._estimate(seen)
        self._samples = []

    def _enough(self, seen: F64) -> bool:
        return len(seen) >= round(_EVERY_S * self.rate_hz)

    def _estimate(self, seen: F64) -> Start:
        """Generalised least squares over rows (n, 6) that follow each other; see the module."""
        dt, n = 1.0 / self.rate_hz, len(seen)
        gyr = np.ascontiguousarray(seen[:, :3])
        turn = BasicVQF(dt).updateBatch(gyr, np.zeros((n, 3)))["quat6D"]
        force = np.cumsum(rotate_by(turn, seen[:, 3:]), axis=0) * dt
        by_element = matrices(turn)
        sums = np.cumsum(by_element, axis=2) * dt
        to_frame, once, twice = (_by_sample(x) for x in (by_element, sums, np.cumsum(sums, axis=2) * dt))
        every = max(1, round(_GRID_S * self.rate_hz))
        at = np.arange(every - 1, n, every)
        t = (at + 1) * dt
        size = float(np.sqrt(np.sum(force[-1] * force[-1])))
        if size < 0.5 * GRAVITY_MPS2 * n * dt:  # no gravity in it: a dead accelerometer
            return Start(self._bias, self._covariance)
        across = _crossing(GRAVITY_MPS2 / size * force[-1])
        one = np.broadcast_to(_AXES, (len(t), 3, 3))
        model = np.concatenate([one, one * t[:, None, None], across @ twice[at], to_frame[at]], axis=2)
        doubt = _RESTLESS_MPS2_RTHZ**2 * np.minimum.outer(t, t) + _SWAY_MPS**2 * np.eye(len(t))
        whiten = np.linalg.inv(np.linalg.cholesky(doubt))
        weighed = (whiten @ model.reshape(len(t), -1)).reshape(-1, model.shape[2])
        inverse = np.linalg.inv(self._covariance)
        normal = weighed.T @ weighed
        normal[:3, :3] += _AXES / _AT_FIRST_MPS**2
        normal[6:9, 6:9] += inverse
        normal[9:, 9:] += _AXES / _ONWARD_MPS**2
        right = weighed.T @ (whiten @ force[at]).reshape(-1)
        right[6:9] += inverse @ self._bias
        covariance = np.linalg.inv(normal)
        found = covariance @ right
        bias = found[6:9]
        up = to_frame[-1].T @ (found[3:6] + across @ once[-1] @ bias)
        return Start(bias, covariance[6:9, 6:9], up / np.sqrt(np.sum(up * up)))

    def snapshot(self) -> list[Any]:
        return [self.rows, self.held, self.over, self._bias, self._covariance, list(self._samples)]

    def restore(self, state: list[Any]) -> None:
        self.rows, self.held, self.over, self._bias, self._covariance, samples = state
        self._samples = list(samples)


def _by_sample(elements: F64) -> F64:
    """Matrices by element (3, 3, n) one after the other (n, 3, 3)."""
    return np.ascontiguousarray(np.moveaxis(elements, 2, 0))


def _crossing(s: F64) -> F64:
    """The matrix that turns b into what a turn by b adds to s: b × s."""
    return np.array([[0.0, s[2], -s[1]], [-s[2], 0.0, s[0]], [s[1], -s[0], 0.0]])


def _still(seen: F64) -> bool:
    """Whether samples (n, 6) of rate and specific force keep to their means."""
    off = seen - np.add.reduce(seen, axis=0) / len(seen)
    rate, force = (float(np.sqrt(np.sum(x * x) / len(seen))) for x in (off[:, :3], off[:, 3:]))
    return np.degrees(rate) <= _STILL_GYR_DPS and force <= _STILL_ACC_MPS2
