"""Which samples of a sensor are still missing, and which to ask for next: for sensors that keep what they could not send.

Used by the drivers whose device numbers its samples and sends kept ones on request (`open_profile`); the session writes what
`Ledger.next_request` says (`drivers.base.Fetches`). What comes is journaled as it comes and decoded as `Late`: the live
records pass it over, the retro derivation uses it (`retro`). A ledger changes nothing that is decoded, so it is no part of a
driver's snapshot; after a restart it is filled again from the journal's last payloads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from processing.types import NS_PER_S

PORTION: Final = 1000
"""Samples asked for at once: ten seconds at 100 Hz, so that live frames are never far behind an answer."""
ANSWER_NS: Final = 20 * NS_PER_S
"""Silence after which an answer is given up, and asked for again."""
HOLES: Final = 64
_RESTART_NS: Final = 5 * NS_PER_S
_SURE_NS: Final = 60 * NS_PER_S  # old frames that waited in a radio come late too, but their delay ends
_CLOCK_ERROR: Final = 0.02  # of the time passed


@dataclass(slots=True)
class Ledger:
    """Holes [from, to) by number of the sample since the sensor's start, oldest first; at most `HOLES`, the oldest go."""

    holes: list[tuple[int, int]] = field(default_factory=list)
    _next: int | None = None
    _t_us: int = 0  # device time and arrival of the newest frame that came in time
    _mono_ns: int = 0
    _doubted: tuple[int, int] | None = None  # number and arrival of the first frame that may be another start's
    _asked: tuple[int, int] | None = None
    _asked_ns: int = 0
    _brought: bool = False
    _streams: bool = False

    def live(self, first: int, n: int, t_us: int, rx_mono_ns: int) -> None:
        """Samples ``first`` to ``first + n`` came as they were measured, the first at device time ``t_us``."""
        self._streams = True
        if self._next is None:
            self._next = first  # what was before the gateway's first sight of the sensor may be another person's
            self._t_us, self._mono_ns = t_us, rx_mono_ns
        elif self._behind(t_us, rx_mono_ns):
            number, since_ns = self._doubted = self._doubted or (first, rx_mono_ns)
            if first < self._next:
                self.holes, self._next = [], first
                self._restart(first, t_us, rx_mono_ns)
            elif rx_mono_ns - since_ns > _SURE_NS:
                self._restart(number, t_us, rx_mono_ns)
        else:
            self._t_us, self._mono_ns, self._doubted = t_us, rx_mono_ns, None
        if first > self._next:
            self.holes = [*self.holes, (self._next, first)][-HOLES:]
        else:
            self._fill(first, first + n)
        self._next = max(self._next, first + n)

    def _behind(self, t_us: int, rx_mono_ns: int) -> bool:
        """The sensor's clock shows less than it must by now: the frame is an old one, or the sensor was restarted."""
        passed = rx_mono_ns - self._mono_ns
        if passed < 0:  # the gateway's machine was restarted: its clock says nothing
            return t_us < self._t_us
        return passed - (t_us - self._t_us) * 1000 > _RESTART_NS + _CLOCK_ERROR * passed

    def _restart(self, number: int, t_us: int, rx_mono_ns: int) -> None:
        """Frames from ``number`` on are another start's: of that, all before is missing."""
        kept = [(max(a, number), b) for a, b in self.holes if b > number]
        self.holes = [(0, number), *kept][:HOLES] if number else kept
        self._asked = self._doubted = None
        self._t_us, self._mono_ns = t_us, rx_mono_ns

    def late(self, first: int, n: int, rx_mono_ns: int) -> None:
        """Kept samples came."""
        self._asked_ns = rx_mono_ns
        self._brought |= self._fill(first, first + n)

    def end_of_answer(self) -> None:
        """The sensor has sent all that it had of what was asked for. Where that was nothing, it is gone for good."""
        if self._asked is not None and not self._brought:
            self._fill(*self._asked)
        self._asked = None

    def connection_lost(self) -> None:
        """An answer under way will not be ended."""
        self._asked, self._streams = None, False

    def next_request(self, now_mono_ns: int) -> tuple[int, int] | None:
        """First number and count to ask for now; None while nothing is missing, or an answer is awaited."""
        if not self.holes or not self._streams:
            return None
        if self._asked is not None and now_mono_ns - self._asked_ns < ANSWER_NS:
            return None
        lo, hi = self.holes[0]
        hi = min(hi, lo + PORTION)
        self._asked, self._asked_ns, self._brought = (lo, hi), now_mono_ns, False
        return lo, hi - lo

    def _fill(self, lo: int, hi: int) -> bool:
        """Take [lo, hi) out of the holes; whether any of it was missing."""
        out = without(self.holes, lo, hi)
        changed = out != self.holes
        self.holes = out
        return changed


def without(holes: Sequence[tuple[int, int]], lo: int, hi: int) -> list[tuple[int, int]]:
    """``holes`` with [lo, hi) taken out."""
    return [(x, y) for a, b in holes for x, y in ((a, min(b, lo)), (max(a, hi), b)) if x < y]
