"""VQF on two rows at a time: a row of 10 to 20 ms is a step that costs more than it tells. Used by `causal.py`;
`paired_offline.py` looks back with the same pairs.

Turns are composed and forces carried to the end of a pair as in `grouping.py`, and VQF takes the pair as one step. The second row of a pair has
VQF's own orientation; the first one that of the pair before, turned on by its own rate. So each row is told at once, from the past alone.
Pairs are counted from the start, from a hole (`anew`) and from where somebody interferes (`flush`), never from the start of a chunk.

The row after a start or a hole goes by itself: before it there is no orientation to turn on. VQF takes its levelling, of 90° at the
start, for the work of a bias and turns a resting sensor away by 0.2° within two seconds; of that row it is told nothing about the bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from vqf import VQF

from processing.frames import by_rows, cross
from processing.types import F64

LEAST_HZ: Final = 48.0
"""Rows a second from which they go in pairs: VQF then takes 24 to 48 steps."""
_NONE: Final = np.empty((2, 3, 0))


class PairedVQF:
    """VQF with ``parameters`` (the library's names) over rows at ``rate_hz``, in pairs where they come fast enough."""

    def __init__(self, rate_hz: float, parameters: Mapping[str, float]) -> None:
        self.size = 2 if rate_hz >= LEAST_HZ else 1
        self.step_hz = rate_hz / self.size
        self._row_s = 1.0 / rate_hz
        self._vqf = VQF(self.size / rate_hz, **parameters)
        self._known = False  # an orientation to turn on
        self._open = _NONE  # rate and force of a first row that waits for its second
        self._q, self._bias = np.zeros((4, 1)), np.zeros((3, 1))

    @property
    def state(self) -> dict[str, Any]:
        """The library's own, as of the last whole step."""
        return dict(self._vqf.state)

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self._vqf.state = dict(state)
        self._bias = np.array([state["bias"]]).T

    def update(self, gyr_rps: F64, acc_mps2: F64) -> tuple[F64, F64]:
        """Quaternions earth ← sensor (n, 4) and bias [rad/s] (n, 3) of rows (n, 3) that follow on those before."""
        if not len(gyr_rps):
            return np.empty((0, 4)), np.empty((0, 3))
        follow = self._in_pairs if self.size == 2 else self._stepped
        if self._known:
            return follow(gyr_rps, acc_mps2)
        self._known = True
        alone = self._levelled(gyr_rps[:1], acc_mps2[:1])
        rest = follow(gyr_rps[1:], acc_mps2[1:])
        return np.concatenate([alone[0], rest[0]]), np.concatenate([alone[1], rest[1]])

    def _levelled(self, gyr: F64, acc: F64) -> tuple[F64, F64]:
        """The first row (1, 3) after a start or a hole. The filter takes its levelling for the work of a bias: that is undone."""
        before = self._vqf.state
        q, _ = self._stepped(gyr / self.size, acc)
        self.state = {**self._vqf.state, "bias": before["bias"], "biasP": before["biasP"]}
        return q, self._bias.T

    def flush(self) -> None:
        """Take a first row in hand as a step of its own: somebody is about to look into the state, or to change it."""
        if self._open.size:
            row, self._open = self._open, _NONE
            self._stepped(0.5 * row[0].T, row[1].T)

    def anew(self) -> None:
        """A hole comes before the next row."""
        self.flush()
        self._known = False

    def _in_pairs(self, gyr: F64, acc: F64) -> tuple[F64, F64]:
        n, held = len(gyr), self._open.shape[2]
        rows = np.empty((2, 5, held + n))  # rate and force by component: x, y, z, and x, y again for `cross`
        if held:
            rows[:, :3, :held] = self._open
        rows[0, :3, held:], rows[1, :3, held:] = gyr.T, acc.T
        rows[:, 3:] = rows[:, :2]
        whole, firsts = (held + n) // 2, (held + n + 1) // 2
        # The step before, then first and second rows in turn; one more place, for a first row that stays open.
        q, bias = np.empty((4, 2 * whole + 2)), np.empty((3, 2 * whole + 2))
        q[:, :1], bias[:, :1] = self._q, self._bias
        if whole:
            rate, force = paired(rows[:, :, 0 : 2 * whole : 2], rows[:, :, 1 : 2 * whole : 2], self._row_s)
            stepped = self._stepped(rate.T, force.T)
            q[:, 2::2], bias[:, 2::2] = stepped[0].T, stepped[1].T
        self._open = rows[:, :3, 2 * whole :].copy()
        bias[:, 1::2] = bias[:, 0::2]
        turn = rows[0, :3, 0::2] - bias[:, 0 : 2 * firsts : 2]
        turn *= self._row_s
        q[:, 1 : 2 * firsts : 2] = turned_on(q[:, 0 : 2 * firsts : 2], turn)
        mine = slice(1 + held, 1 + held + n)
        return q[:, mine].T, bias[:, mine].T

    def _stepped(self, gyr: F64, acc: F64) -> tuple[F64, F64]:
        if not len(gyr):
            return np.empty((0, 4)), np.empty((0, 3))
        result = self._vqf.updateBatch(by_rows(gyr), by_rows(acc))
        q, bias = result["quat6D"], result["bias"]
        self._q, self._bias = q[-1:].T.copy(), bias[-1:].T.copy()
        return q, bias

    def snapshot(self) -> list[Any]:
        return [self.state, self._known, self._open, self._q, self._bias]

    def restore(self, state: list[Any]) -> None:
        self.state, self._known, self._open, self._q, self._bias = state


def paired(a: F64, b: F64, row_s: float) -> tuple[F64, F64]:
    """Rates [rad/s] and forces [m/s²] (3, m) of pairs of first and second rows (2, 5, m)."""
    means = a[:, :3] + b[:, :3]
    means *= 0.5
    rate, force = means
    rate += cross(a[0], b[0], 0.25 * row_s)
    force -= cross(b[0], a[1], 0.5 * row_s)
    return rate, force


def turned_on(q: F64, turn_rad: F64) -> F64:
    """Quaternions (4, n) turned on by rotation vectors (3, n), so short (35 rad/s for 20 ms) that three terms of sine and cosine do."""
    square = np.add.reduce(turn_rad * turn_rad, axis=0)
    was, turn = np.empty((2, 5, len(square)))
    was[:3] = q[1:]
    was[3:] = was[:2]
    # Of half the angle, written by the whole one's square; numpy's own may give other last bits for another number of rows.
    np.multiply(
        turn_rad, 0.5 - square * (1.0 / 48.0 - square * (1.0 / 3840.0 - square * (1.0 / 645120.0))), out=turn[:3]
    )
    turn[3:] = turn[:2]
    cosine = 1.0 - square * (0.125 - square * (1.0 / 384.0 - square * (1.0 / 46080.0)))
    out = np.empty((4, len(square)))
    np.multiply(q[0], cosine, out=out[0])
    out[0] -= np.add.reduce(was[:3] * turn[:3], axis=0)
    np.multiply(was[:3], cosine, out=out[1:])
    out[1:] += q[0] * turn[:3]
    out[1:] += cross(was, turn)
    return out
