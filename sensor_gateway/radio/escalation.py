"""What to try after a failure, from the mildest to calling a person. Pure: told of failures, answers with steps.

Two ladders. A sensor's: search again (always) → make the operating system forget the device (its cached services may be
those of an older firmware, or it believes in a link that is none) → alarm. An adapter's: switch it off and on where *every*
sensor on it fails and none is connected (a controller that takes no more commands looks like that), or where a scan hears
nobody at all for long → alarm, unplug it. An adapter that carries a working link is never touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sensor_gateway.config import SessionLimits
from sensor_gateway.radio.states import Failure

FORGET_AFTER: Final = 3
"""Failures of one sensor in a row, though it is there, after which the operating system forgets it; and again each so many."""
CYCLE_AFTER: Final = 6
"""Failed connections in a row on one adapter, whoever's, after which it is switched off and on."""
CYCLES_MAX: Final = 2
"""Cycles without a connection in between, after which only a person can help."""
DEAF_S: Final = 120.0
"""Scanning without a single advertisement of anybody, after which the adapter counts as deaf."""
_THERE: Final[frozenset[Failure]] = frozenset({"connect", "gatt", "silent", "unread"})


@dataclass(slots=True)
class SensorLadder:
    """One sensor's failures since its last samples."""

    limits: SessionLimits
    in_a_row: int = 0  # though it was there
    since_s: float | None = None  # first failure, or the start

    def failed(self, kind: Failure, now_s: float) -> bool:
        """Count a failure; True where the operating system should forget the device before the next attempt."""
        if self.since_s is None:
            self.since_s = now_s
        if kind not in _THERE:
            return False
        self.in_a_row += 1
        return kind in ("connect", "gatt") and self.in_a_row % FORGET_AFTER == 0

    @property
    def bond_too(self) -> bool:
        """Forgetting the device did not help: where the gateway may pair by itself, the keys of the old pairing go as well."""
        return self.in_a_row >= 2 * FORGET_AFTER

    def healed(self) -> None:
        """Samples have come."""
        self.in_a_row, self.since_s = 0, None

    def alarm(self, kind: Failure, reason: str, now_s: float, hopeless: bool = False) -> str:
        """The alarm's sentence; empty while there is still something to try without a person.

        ``hopeless``: the adapter's own ladder has come to its end.
        """
        if kind == "stranger":
            return f"{reason}. {_REMEDY[kind]}"
        waited_s = 0.0 if self.since_s is None else now_s - self.since_s
        most_s = self.limits.adapter_alarm_s if kind == "adapter" else self.limits.alarm_s
        if self.in_a_row < self.limits.alarm_failures and waited_s < most_s and not (hopeless and kind == "connect"):
            return ""
        return f"no data for {_span(waited_s)} ({reason}). {_REMEDY[kind]}"


_REMEDY: Final[dict[Failure, str]] = {
    "missing": "Charge the sensor, wake it, bring it near, and close other programs that hold it.",
    "adapter": "Plug the Bluetooth adapter in, switch it on, and see that the Bluetooth service runs; then 'tiltline doctor'.",
    "connect": "Switch the sensor off and on; if others fail too, unplug the Bluetooth adapter and plug it in again.",
    "gatt": "Switch the sensor off and on, and check that its firmware and the driver in the settings fit.",
    "silent": "Switch the sensor off and on; it is connected but does not measure.",
    "unread": "Do what the refusal says, and check driver and options of the sensor in the settings; else switch it off and on.",
    "ended": "Bring the sensor nearer to the adapter, or the adapter nearer to the wearer; then check its battery.",
    "stranger": "Correct the address or the serial number in the settings.",
}


@dataclass(slots=True)
class AdapterLadder:
    """One adapter's failures since anybody on it connected. Times are seconds of one monotonic clock."""

    failures: int = 0
    cycles: int = 0
    heard_s: float | None = None  # last advertisement of anybody while scanning

    def connected(self) -> None:
        """A connection was made."""
        self.failures = self.cycles = 0

    def connect_failed(self, links_up: int) -> bool:
        """Count a failed connection; True where the adapter should be switched off and on now."""
        self.failures += 1
        return links_up == 0 and self.failures % CYCLE_AFTER == 0 and self.cycles < CYCLES_MAX

    def scanned(self, heard: bool, slice_s: float, now_s: float, links_up: int) -> bool:
        """A scan of ``slice_s`` ended; True where the adapter has been deaf for so long that it should be switched."""
        if heard or self.heard_s is None:
            self.heard_s = now_s if heard else now_s - slice_s
        deaf = now_s - self.heard_s >= DEAF_S
        if deaf:
            self.heard_s = now_s  # ask again only after as long
        return deaf and links_up == 0 and self.cycles < CYCLES_MAX

    @property
    def hopeless(self) -> bool:
        """Switching it off and on did not help."""
        return self.cycles >= CYCLES_MAX


def pause_s(failures: int, kind: Failure, limits: SessionLimits, jitter: float) -> float:
    """The pause before the next attempt after ``failures`` (from 1) in a row; ``jitter`` 0..1 spreads sensors by ±50 %."""
    if kind == "adapter":
        return limits.adapter_pause_s
    # Where waiting a minute would only lengthen the hole: the sensor is away for a while, or it was here a moment ago.
    most_s = {"missing": limits.missing_pause_s, "ended": limits.ended_pause_s}.get(kind, limits.pause_max_s)
    return min(most_s, limits.pause_max_s, limits.pause_s * 2.0 ** max(0, min(failures, 16) - 1)) * (0.5 + jitter)


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
