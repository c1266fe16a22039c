"""A clock for devices that send none: the running number of the sample, times the nominal period.

Part of the drivers of such devices. `processing.clock.timebase` measures what the period truly is from the arrivals, within
5 %. The number alone does not see samples that were lost before they were sent: then everything after would be dated too
early. Arrivals tell: a backlog is made good within seconds, a loss never is. So where the least delayed arrival of two
seconds is later than that of the two seconds before by more than radio and clock can explain, the count is moved on by
the difference, and the hole shows as one. Samples of the first two seconds after a loss (after a short one, up to four)
are dated too early by its length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from processing.types import NS_PER_S

WINDOW_S: Final = 2.0
SLACK_S: Final = 0.3  # 5 % of two windows, and 0.1 s of radio
DRIFT_FROM_S: Final = 10.0
_NEW_EPOCH_S: Final = 30 * 86_400  # no sensor is away for just this long: the timebase sees another clock
_FULL_NS: Final = 1 << 61
_NONE: Final = -(1 << 62)


@dataclass(slots=True)
class _State:
    """Times in ns of the monotonic clock. A delay is arrival minus count times period; only its changes mean anything."""

    next: int = 0
    fresh: int = 1
    began: int = 0  # of this window, and its least delay
    least: int = 0
    began_before: int = 0  # of the window before
    least_before: int = _NONE
    began_first: int = 0  # of the first complete window: the drift is measured from there
    least_first: int = 0
    last: int = 0


class SampleCount:
    """Numbers the samples of one sensor."""

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._s = _State()

    @property
    def next(self) -> int:
        """The number of the coming sample."""
        return self._s.next

    def take(self, n: int, rx_mono_ns: int) -> int:
        """The number of the first of ``n`` consecutive samples that arrived together."""
        s = self._s
        delay = rx_mono_ns - (s.next + n) * self._period_ns
        if s.fresh:
            s.fresh, s.least_before = 0, _NONE
            s.began, s.least = rx_mono_ns, delay
        elif rx_mono_ns - s.last > SLACK_S * NS_PER_S:
            # After a silence a new window begins at once: arrivals from before would hide a loss.
            self._close(rx_mono_ns, delay)
        elif rx_mono_ns - s.began >= WINDOW_S * NS_PER_S:
            lost = self._lost()
            s.next += lost
            s.least -= lost * self._period_ns
            self._close(rx_mono_ns, delay - lost * self._period_ns)
        s.least = min(s.least, delay)
        s.last = rx_mono_ns
        first = s.next
        s.next += n
        return first

    def _lost(self) -> int:
        """Samples by which this window is later than the one before and the sensor's drift allow."""
        s = self._s
        if s.least_before == _NONE:
            return 0
        known = s.began_before - s.began_first
        drift = (s.least_before - s.least_first) / known if known >= DRIFT_FROM_S * NS_PER_S else 0.0
        late = s.least - s.least_before - drift * (s.began - s.began_before)
        return round(late / self._period_ns) if late > SLACK_S * NS_PER_S else 0

    def _close(self, rx_mono_ns: int, delay: int) -> None:
        """The window is the one before from here on, and a new one begins."""
        s = self._s
        if s.least_before == _NONE:
            s.began_first, s.least_first = s.began, s.least
        s.began_before, s.least_before = s.began, s.least
        s.began, s.least = rx_mono_ns, delay

    def skip(self, n: int) -> None:
        """``n`` samples are known to be missing here."""
        self._s.next += n

    def reset(self) -> None:
        """The connection was lost, and with it the count: what follows is another clock, told by a great leap."""
        if not self._s.fresh:
            leaped = self._s.next + round(_NEW_EPOCH_S * NS_PER_S / self._period_ns)
            # A count that goes back is another clock too: after thousands of leaps, begin at 0 again before 64 bits are full.
            self._s.next = leaped if leaped * self._period_ns < _FULL_NS else 0
            self._s.fresh = 1

    def snapshot(self) -> dict[str, int]:
        """Plain numbers for `restore`."""
        return {name: getattr(self._s, name) for name in _State.__slots__}

    def restore(self, state: dict[str, int]) -> None:
        """Take `snapshot`'s numbers back."""
        self._s = _State(**{name: state[name] for name in _State.__slots__})
