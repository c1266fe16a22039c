"""The numbers of a report, taken from the store: pure once the records are read, so that a test can compute them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from processing.changes import shifts_per_15_min
from processing.types import NS_PER_S, POSTURES, Epoch, Event
from sensor_gateway.report.minutes import (
    COMPARED,
    RANGE_DAYS,
    OwnRange,
    PostureTilt,
    day_bounds_ns,
    in_short,
    main_posture,
    own_range,
    tilt_in,
    upright_medians,
)
from sensor_gateway.sinks.store import Store

MINUTE_NS: Final = 60 * NS_PER_S
FOLLOWED_NS: Final = 26 * 3600 * NS_PER_S
"""What a flag led to comes within a day of it (`sensor_gateway/explain/explain.py`)."""
GAP_MIN_MINUTES: Final = 5
"""Shorter holes are drawn but not listed."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A flag, and what it led to: a prompt with its answer, or the reason for none; what was measured afterwards."""

    flag: Event
    prompt: Event | None
    suppressed: Event | None
    answer: Event | None
    response: Event | None


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One local day. Times in UTC nanoseconds, durations in seconds, angles in degrees from the neutral.

    ``epochs`` are the minutes in which anything was received; ``gaps`` are minutes without any data between the first and the last; None angles were not measured, and rates of too little.
    """

    wearer: str
    day: date
    from_ns: int
    to_ns: int
    epochs: tuple[Epoch, ...]
    worn_s: int
    posture_s: Mapping[str, int]
    gaps: tuple[tuple[int, int], ...]
    upright_median_deg: float | None
    tilt: tuple[PostureTilt, ...]
    own: OwnRange | None
    uncertainty_deg: float | None
    quality: float | None
    shifts_per_15_min: float | None
    flags: tuple[Followed, ...]
    exercises: tuple[Event, ...]
    pain: tuple[Event, ...]
    notes: tuple[Event, ...]
    alignments: tuple[Event, ...]

    @property
    def prompts(self) -> int:
        """Flags that reached the wearer."""
        return sum(f.prompt is not None for f in self.flags)

    @property
    def done(self) -> int:
        """Exercises done, after a prompt or on the wearer's own account."""
        return len(self.exercises)

    @property
    def empty(self) -> bool:
        """Whether nothing at all is stored for the day."""
        return not self.epochs and not self.flags and not self.pain and not self.notes


def day_figures(store: Store, wearer: str, day: date, zone: ZoneInfo) -> DayFigures:
    """Figures of one local day of ``zone``."""
    t0, t1 = day_bounds_ns(day, zone)
    epochs = tuple(e for e in store.epochs(wearer, t0, t1) if main_posture(e) is not None)
    events = list(store.events(wearer, t0, t1 + FOLLOWED_NS))
    mine = [e for e in events if e.t_utc_ns < t1]
    uncertainty, quality = _doubt(store, wearer, t0, t1)
    minutes = [in_short(e) for e in epochs]
    medians = upright_medians(minutes)
    return DayFigures(
        wearer=wearer,
        day=day,
        from_ns=t0,
        to_ns=t1,
        epochs=epochs,
        worn_s=sum(getattr(e, f"{p}_s") for e in epochs for p in POSTURES if p != "not_worn"),
        posture_s={p: s for p in POSTURES if (s := sum(getattr(e, f"{p}_s") for e in epochs))},
        gaps=_gaps(epochs),
        upright_median_deg=float(np.median(medians)) if medians else None,
        tilt=tuple(t for p in COMPARED if (t := tilt_in(p, minutes)) is not None),
        own=own_range(store.minutes(wearer, t1 - RANGE_DAYS * 86_400 * NS_PER_S, t1)),
        uncertainty_deg=uncertainty,
        quality=quality,
        shifts_per_15_min=shifts_per_15_min(epochs),
        flags=tuple(_followed(e, events) for e in mine if e.type == "flag"),
        exercises=_exercises(mine),
        pain=tuple(e for e in mine if e.type == "pain"),
        notes=tuple(e for e in mine if e.type == "note"),
        alignments=tuple(e for e in mine if e.type in ("alignment", "mount")),
    )


@dataclass(frozen=True, slots=True)
class WeekFigures:
    """Seven local days from a Monday, and the range of the wearer's own upright tilt at their end."""

    wearer: str
    days: tuple[DayFigures, ...]

    @property
    def own(self) -> OwnRange | None:
        """The own range as it stood on the last day with one."""
        return next((d.own for d in reversed(self.days) if d.own is not None), None)

    @property
    def worn_days(self) -> int:
        """Days with at least one worn minute."""
        return sum(d.worn_s >= 60 for d in self.days)


def week_figures(store: Store, wearer: str, day: date, zone: ZoneInfo) -> WeekFigures:
    """Figures of the week that holds ``day``."""
    monday = day - timedelta(days=day.weekday())
    return WeekFigures(wearer, tuple(day_figures(store, wearer, monday + timedelta(days=i), zone) for i in range(7)))


def _gaps(epochs: Sequence[Epoch]) -> tuple[tuple[int, int], ...]:
    held = [e.t_utc_ns for e in epochs]
    ends = zip(held, held[1:], strict=False)
    return tuple((a + MINUTE_NS, b) for a, b in ends if b - a - MINUTE_NS >= GAP_MIN_MINUTES * MINUTE_NS)


def _doubt(store: Store, wearer: str, t0: int, t1: int) -> tuple[float | None, float | None]:
    """Median of the seconds' uncertainty and quality where a tilt was measured."""
    measured = [m for m in store.metrics(wearer, t0, t1) if m.anterior_tilt_deg is not None]
    doubts = [m.tilt_uncertainty_deg for m in measured if m.tilt_uncertainty_deg is not None]
    qualities = [m.quality for m in measured]
    return float(np.median(doubts)) if doubts else None, float(np.median(qualities)) if qualities else None


def _followed(flag: Event, events: Sequence[Event]) -> Followed:
    chain = [e for e in events if e.data.get("flag_event_id") == flag.event_id]

    def last(type_: str) -> Event | None:
        return next((e for e in reversed(chain) if e.type == type_), None)

    prompt = last("prompt")
    return Followed(flag, prompt, None if prompt else last("suppressed"), last("answer"), last("response"))


def _exercises(events: Sequence[Event]) -> tuple[Event, ...]:
    """Logged exercises and prompts answered with "done"; one that was logged for its prompt counts once."""
    logged = [e for e in events if e.type == "exercise"]
    told: set[Any] = {e.data.get("prompt_event_id") for e in logged} - {None}
    answered = [
        e
        for e in events
        if e.type == "answer" and e.data.get("answer") == "done" and e.data.get("prompt_event_id") not in told
    ]
    return tuple(sorted((*logged, *answered), key=lambda e: e.t_utc_ns))
