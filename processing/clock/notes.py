"""What the timebase is set to and what it has to say; shared by its parts (`clock.absolute`, `clock.to_utc`, `timebase`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from processing.types import Json

NoteKind = Literal["fit", "reset", "step", "duplicate", "backwards"]

NEVER: Final = -(1 << 62)
"""A time or count before all others, small enough for int64 and JSON."""


@dataclass(frozen=True, slots=True)
class ClockNote:
    """Something about the clock that the record of a day should show; ``t_utc_ns`` is when it was noticed."""

    t_utc_ns: int
    kind: NoteKind
    data: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class TimebaseParams:
    """Times in seconds, rates as shares (1e-6 = 1 ppm); why they are so stands in `timebase` and beside each."""

    window_s: float = 900.0  # over the beat of connection interval and crystal (500 s); shorter gives a sawtooth
    block_s: float = 30.0
    fit_from_s: float = 10.0  # before, the rate is taken as nominal
    slope_limit: float = 0.05  # MEMS oscillators are off by percents
    refit_s: float = 1.0
    slew: float = 500e-6
    utc_slew: float = 400e-6  # leaves room for the line's own corrections
    acquire_s: float = 60.0  # a young line is off by tens of ms, which 500 ppm would need minutes to make good
    acquire_slew: float = 0.02
    reset_s: float = 5.0
    late_s: float = 60.0  # a backlog drains; what stays late this long is a clock that stood still
    hold_s: float = 1.0
    hold_improves_s: float = 0.1
    hold_max: int = 10_000  # 1000 s of backlog; then memory comes first
    anchor_gap_s: float = 60.0
    step_s: float = 0.05
    fit_note_every_s: float = 3600.0
    drop_note_every_s: float = 60.0
