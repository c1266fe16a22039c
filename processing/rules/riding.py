"""Whether the wearer seems to ride in a vehicle: sitting while the whole body is shaken for minutes, without a step.

A prompt to stand up and exercise has no place in a moving car, so this errs towards silence. A seat in a car, bus or
train shakes the pelvis all the time; a chair does not, and a fidget lasts seconds (limits in `processing/features/shaking.py`). Red
lights and stops bridge for some minutes; a few steps end the ride at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from processing.rules.base import epochs_in

WINDOW_EPOCHS: Final = epochs_in(120)
SHAKEN_EPOCHS: Final = epochs_in(80)
"""A ride begins when so many of the last two minutes' epochs were shaken."""
HOLD_EPOCHS: Final = epochs_in(300)
"""It lasts this long beyond the last shaken epoch: longer than a red light."""
ON_FOOT: Final = frozenset({"walking", "running", "stairs"})
_MASK: Final = (1 << WINDOW_EPOCHS) - 1


class Riding:
    """Epochs in order; `now` says whether a ride is going on."""

    def __init__(self) -> None:
        self._bits = 0
        self._left = 0  # epochs for which the ride is still taken to last

    @property
    def now(self) -> bool:
        return self._left > 0

    def observe(self, posture: str, shaken: bool) -> None:
        """One epoch that is present."""
        if posture in ON_FOOT:
            self._bits = self._left = 0
            return
        self._bits = (self._bits << 1 | shaken) & _MASK
        if shaken and (self._left or self._bits.bit_count() >= SHAKEN_EPOCHS):
            self._left = HOLD_EPOCHS
        else:
            self._left = max(0, self._left - 1)

    def skip(self, n: int) -> None:
        """Epochs that never came."""
        self._bits = (self._bits << min(n, WINDOW_EPOCHS)) & _MASK
        self._left = max(0, self._left - n)

    def snapshot(self) -> list[int]:
        """State as plain JSON."""
        return [self._bits, self._left]

    def restore(self, state: Sequence[Any]) -> None:
        """Take back a `snapshot`."""
        self._bits, self._left = state
