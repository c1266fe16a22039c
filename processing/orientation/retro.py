"""The best estimate once a recording is complete: non-causal orientation, in blocks.

Works through a recording of any length in bounded memory: the filter sees 15 min with half a minute of overlap at each side, under 0.01°
RMS from the undivided result.

offlineVQF knows no holes. Parting a recording at each costs a walk more than it gives (0.5 s bursts: 1.7° for 0.8°), so over holes of up to
10 s it goes on, as if the sensor had not turned within. Where the settled estimates on both sides say that it has, by more
than a walk's own sway, that turn is put in: whoever lies down while the radio is silent lies from the first sample on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from processing.frames import DEG, up_in_sensor
from processing.gaps import NOTHING, Filled, cut, join
from processing.orientation.calibration import CalibrationParams, Calibrator, Correction, minute_start
from processing.orientation.causal import OrientationParams, Oriented, carried_ahead
from processing.orientation.paired_offline import paired_offline
from processing.orientation.settled import SettledOrientation
from processing.types import F64, NS_PER_S

_LEAST_TURN_DEG: Final = 8.0
"""A smaller turn within a hole may be the estimates' own error, and sway comes back by itself."""
_BEFORE_S: Final = 30.0
_AFTER_S: Final = 10.0
"""What the settled estimate on both sides of a hole is made from."""


@dataclass(slots=True)
class RetroOrientation:
    """Feeds filled samples in, gives them back with non-causal quaternions once enough of what follows is known."""

    params: OrientationParams
    block_s: float = 900.0
    overlap_s: float = 30.0
    join_s: float = 10.0
    calibrator: Calibrator = field(init=False)
    _parts: list[Filled] = field(default_factory=list)
    _held: int = 0
    _before: int = 0  # rows at the head of what is held that were given back already

    def __post_init__(self) -> None:
        self.calibrator = Calibrator(CalibrationParams(self.params.rate_hz))

    def update(self, filled: Filled) -> list[Oriented]:
        """Rows whose estimate is final."""
        return self._advance(filled, last=False)

    def finish(self) -> list[Oriented]:
        """All that is left."""
        return self._advance(NOTHING, last=True)

    def _advance(self, filled: Filled, *, last: bool) -> list[Oriented]:
        if len(filled.t_utc_ns):
            self.calibrator.rests.add(filled.t_utc_ns, filled.acc_mps2, filled.gyr_rps)
            self.calibrator.rests.close(minute_start(int(filled.t_utc_ns[-1])))
            self._parts.append(filled)
            self._held += len(filled.t_utc_ns)
        block = round(self.block_s * self.params.rate_hz)
        overlap = round(self.overlap_s * self.params.rate_hz)
        done: list[Oriented] = []
        while self._held - self._before >= block + overlap or (last and self._held > self._before):
            held = join(self._parts)
            stop = self._held if last and self._held - self._before <= block + overlap else self._before + block
            end = min(self._held, stop + overlap)
            if last:
                self.calibrator.rests.close(int(held.t_utc_ns[-1]) + 1)
            # A block is corrected by all rests known by now, those after it included.
            self.calibrator.look(int(held.t_utc_ns[self._before]))
            q = self._solve(cut(held, 0, end), self.calibrator.history[-1])
            done.append(Oriented(cut(held, self._before, stop), q[self._before : stop]))
            keep = max(0, stop - overlap)
            self._parts = [cut(held, keep, self._held)]
            self._before, self._held = stop - keep, self._held - keep
        return done

    def _solve(self, filled: Filled, correction: Correction) -> F64:
        """Each stretch between long holes on its own; shorter ones are joined, with what was turned within them."""
        out = np.empty((len(filled.t_utc_ns), 4))
        long_ns = self.join_s * NS_PER_S
        far = [b for b, g in zip(filled.breaks, filled.gaps, strict=True) if g.to_ns - g.from_ns > long_ns]
        rates = carried_ahead(filled.gyr_rps, np.zeros(3), self.params.ahead)
        edges = sorted({0, *far, len(out)})
        for lo, hi in zip(edges[:-1], edges[1:], strict=True):
            stretch = cut(filled, lo, hi)
            gyr = with_unseen_turns(rates[lo:hi], stretch, self.params)
            acc = correction.apply(stretch.acc_mps2)
            out[lo:hi] = paired_offline(gyr, acc, stretch.breaks, self.params.rate_hz, self.params.vqf(retro=True))
        return out


def with_unseen_turns(rates_rps: F64, filled: Filled, params: OrientationParams) -> F64:
    """Rates (n, 3) of ``filled``, and in each first row after a hole what was turned against up within the hole."""
    holes = [b for b in filled.breaks if b]
    if not holes:
        return rates_rps
    rates = rates_rps.copy()
    before, after = (round(s * params.rate_hz) for s in (_BEFORE_S, _AFTER_S))
    while holes:
        start, stop, here = max(0, holes[0] - before), holes[0] + after, []
        while holes and holes[0] < stop:
            stop = holes[0] + after
            here.append(holes.pop(0))
        settled = SettledOrientation(params)
        parts = settled.update(cut(filled, start, stop)) + settled.finish()
        up = up_in_sensor(np.concatenate([p.q_es for p in parts]))
        for b in here:
            turn = _turn_between(up[b - 1 - start], up[b - start])
            if np.sqrt(turn @ turn) > _LEAST_TURN_DEG / DEG:
                rates[b] += turn * params.rate_hz
    return rates


def _turn_between(up: F64, up_after: F64) -> F64:
    """The smallest turn of a sensor, as a rotation vector in its axes [rad], after which up points that way in it."""
    axis = np.cross(up_after, up)
    sine = float(np.sqrt(axis @ axis))
    if sine < 1e-9:
        return np.zeros(3)
    out: F64 = np.arctan2(sine, float(up @ up_after)) / sine * axis
    return out
