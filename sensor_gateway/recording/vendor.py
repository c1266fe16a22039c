"""Recording files whose maker's layout is known: which units hold, and how their clock counts. Behind `tiltline import`.

A known layout says what the values alone could only suggest; where the values contradict it, they win with a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sensor_gateway.recording.files import Header


@dataclass(frozen=True, slots=True)
class Layout:
    """A maker's file. Units are those of `recording.guess`; ``time_bits``: the counter wraps there (None: never)."""

    name: str
    time: str | None = None
    time_unit: str | None = None
    time_bits: int | None = None
    acc_unit: str | None = None
    gyr_unit: str | None = None


_DOT_KEYS: Final = {"DeviceTag", "FirmwareVersion", "OutputRate", "FilterProfile", "Measurement Mode"}
_FINE: Final = "SampleTimeFine"


def recognise(header: Header) -> Layout | None:
    """The maker's layout that column names and preamble show, if one is known.

    * Movella DOT (app, data exporter): lines such as ``DeviceTag:`` before the table, ``SampleTimeFine`` in microseconds that
      wrap at 2^32 (71.6 minutes), acceleration in m/s², rate in degrees a second.
    * Xsens MT and MVN exports share the names without these lines; their counter has 10 kHz and their rate is in rad/s.
    * MetaMotion (MetaBase, MetaHub): one file for each quantity, ``epoc (ms)`` and the unit in each name.
    """
    names = set(header.columns)
    if _FINE in names:
        if _DOT_KEYS & set(header.preamble):
            return Layout("Movella DOT export", _FINE, "us", 32, "mps2", "dps")
        return Layout("Xsens export", _FINE, time_bits=32)
    epochs = [c for c in header.columns if c.lower() in ("epoc (ms)", "epoch (ms)")]
    if epochs and any(c.lower().startswith("x-axis (") for c in header.columns):
        return Layout("MetaMotion export", epochs[0], "ms")
    return None
