"""What the sensors sent against what the journal holds: every notification once, and none that nobody sent.

A notification is told by its bytes and by when it was sent: some sensors repeat themselves after a while. Both ends read
one monotonic clock, since the whole trial runs on one machine.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

IN_FLIGHT_S = 0.5
"""What was sent this shortly before a fault may die with it: in the daemon, the adapter, or the gateway's next commit."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A notification that left a sensor."""

    t_s: float
    payload: bytes


@dataclass(frozen=True, slots=True)
class Journaled:
    """A notification in the journal, with the time of its arrival."""

    t_s: float
    payload: bytes


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of notifications. ``in_flight`` and ``during_faults`` did not reach the journal, nor could they."""

    sent: int
    journaled: int
    twice: int
    never_sent: int
    missing: int
    in_flight: int
    during_faults: int

    @property
    def exact(self) -> bool:
        """Everything that could arrive stands in the journal exactly once."""
        return not (self.twice or self.never_sent or self.missing) and self.journaled > 0


def tally(sent: Sequence[Sent], journaled: Sequence[Journaled], faults: Sequence[tuple[float, float]]) -> Tally:
    """``sent`` in order of time; ``faults`` are the begin and end of each time without connection [s]."""
    places: dict[bytes, list[int]] = {}
    for i, s in enumerate(sent):
        places.setdefault(s.payload, []).append(i)
    seen = [0] * len(sent)
    never_sent = 0
    for j in journaled:
        candidates = places.get(j.payload, [])
        last = bisect_right(candidates, j.t_s, key=lambda i: sent[i].t_s)
        if last:
            seen[candidates[last - 1]] += 1
        else:
            never_sent += 1
    missing = in_flight = during = 0
    begins = [begin for begin, _ in faults]
    for s, times in zip(sent, seen, strict=True):
        if times:
            continue
        before = bisect_right(begins, s.t_s) - 1
        after = bisect_left(begins, s.t_s)
        if before >= 0 and s.t_s <= faults[before][1]:
            during += 1
        elif after < len(faults) and begins[after] - s.t_s <= IN_FLIGHT_S:
            in_flight += 1
        else:
            missing += 1
    twice = sum(times - 1 for times in seen if times > 1)
    return Tally(len(sent), len(journaled), twice, never_sent, missing, in_flight, during)
