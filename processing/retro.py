"""The best estimate once a recording is complete: non-causal orientation in blocks, context smoothed over the whole.

Works through a recording of any length in bounded memory: the filter sees 15 min with 2 min of overlap at each side, 0.01°
RMS from the undivided result.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from vqf import offlineVQF

from processing.gaps import Filled
from processing.orientation import OrientationParams
from processing.types import F64, NS_PER_S


@dataclass(slots=True)
class RetroOrientation:
    """Feeds filled samples in, gives them back with non-causal quaternions once enough of what follows is known."""

    params: OrientationParams
    block_s: float = 900.0
    overlap_s: float = 120.0
    join_s: float = 2.0
    _parts: list[Filled] = field(default_factory=list)
    _held: int = 0
    _before: int = 0  # rows at the head of what is held that were given back already

    def update(self, filled: Filled, *, last: bool = False) -> list[tuple[Filled, F64]]:
        """Rows whose estimate is final; ``last`` gives all that is left."""
        if len(filled.t_utc_ns):
            self._parts.append(filled)
            self._held += len(filled.t_utc_ns)
        block = round(self.block_s * self.params.rate_hz)
        overlap = round(self.overlap_s * self.params.rate_hz)
        done: list[tuple[Filled, F64]] = []
        while self._held - self._before >= block + overlap or (last and self._held > self._before):
            held = join(self._parts)
            stop = self._held if last and self._held - self._before <= block + overlap else self._before + block
            end = min(self._held, stop + overlap)
            q = self._solve(cut(held, 0, end))
            done.append((cut(held, self._before, stop), q[self._before : stop]))
            keep = max(0, stop - overlap)
            self._parts = [cut(held, keep, self._held)]
            self._before, self._held = stop - keep, self._held - keep
        return done

    def _solve(self, filled: Filled) -> F64:
        """Each stretch between long holes on its own; short ones are joined (0.75° against 0.99° for 0.5 s bursts)."""
        out = np.empty((len(filled.t_utc_ns), 4))
        long_ns = self.join_s * NS_PER_S
        far = [b for b, g in zip(filled.breaks, filled.gaps, strict=True) if g.to_ns - g.from_ns > long_ns]
        edges = sorted({0, *far, len(out)})
        for lo, hi in zip(edges[:-1], edges[1:], strict=True):
            gyr = np.ascontiguousarray(filled.gyr_rps[lo:hi])
            acc = np.ascontiguousarray(filled.acc_mps2[lo:hi])
            result = offlineVQF(gyr, acc, None, 1.0 / self.params.rate_hz, self.params.vqf(retro=True))
            out[lo:hi] = result["quat6D"]
        return out


def join(parts: list[Filled]) -> Filled:
    """Consecutive pieces as one."""
    if len(parts) == 1:
        return parts[0]
    offset, breaks = 0, []
    for p in parts:
        breaks += [offset + b for b in p.breaks]
        offset += len(p.t_utc_ns)
    real = None
    if any(p.real is not None for p in parts):
        real = np.concatenate([np.ones(len(p.t_utc_ns), bool) if p.real is None else p.real for p in parts])
    return Filled(
        np.concatenate([p.t_utc_ns for p in parts]),
        np.concatenate([p.acc_mps2 for p in parts]),
        np.concatenate([p.gyr_rps for p in parts]),
        real,
        breaks,
        [g for p in parts for g in p.gaps],
    )


def cut(filled: Filled, lo: int, hi: int) -> Filled:
    """Rows lo to hi, with the breaks and gaps that lie in them."""
    inside = [(b, g) for b, g in zip(filled.breaks, filled.gaps, strict=True) if lo <= b < hi]
    return Filled(
        filled.t_utc_ns[lo:hi],
        filled.acc_mps2[lo:hi],
        filled.gyr_rps[lo:hi],
        None if filled.real is None else filled.real[lo:hi],
        [b - lo for b, _ in inside],
        [g for _, g in inside],
    )
