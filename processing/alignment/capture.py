"""One step of the guided set-up, taken from a live stream: a neutral pose, bows, pelvic tilts, or a walk.

Collects the samples of the step, then gives an alignment or the reason for refusing it; while it runs, `guidance` says how it
goes. A neutral pose sets zero and keeps the front; a movement sets the front and keeps zero where there is one. Within the core
(`wearing.py`) it stands between orientation and alignment; it begins and ends at journaled times, so a replay takes it alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np

from processing.alignment.functional import Movement, functional_heading
from processing.alignment.functional import guidance as movement_guidance
from processing.alignment.gait_window import Three
from processing.alignment.realign import angle_deg
from processing.alignment.static import (
    STATIC_UNCERTAINTY_DEG,
    Alignment,
    AlignmentError,
    Mount,
    StillnessLimits,
    align,
    neutral_gravity,
    record,
)
from processing.alignment.walking import (
    MIN_SIGN,
    WALKING_UNCERTAINTY_DEG,
    gait_windows,
    heading_of,
    walking_seconds,
)
from processing.types import F64, I64, NS_PER_S, Json

SetupStep: TypeAlias = Literal["neutral", "bows", "pelvic_tilts", "walk"]
STEPS: Final[tuple[SetupStep, ...]] = get_args(SetupStep)
MAX_DURATION_S: Final = 120.0
"""A step's samples are kept whole until it ends."""
STANDING_UNCERTAINTY_DEG: Final = 3.5
"""Zero at quiet standing that nobody chose as neutral: a pose's 2° and how standing varies within people (2.9°, `realign.py`)."""
_MAX_OTHER_UP_DEG: Final = 45.0
"""A movement whose up lies this far from the neutral pose's belongs to another wearing."""
_MIN_WALK_S: Final = 10


@dataclass(frozen=True, slots=True)
class Captured:
    """Outcome at the end of a step: a new alignment, or the reason for refusing it; ``facts`` for the event."""

    t_utc_ns: int
    step: SetupStep
    outcome: Alignment | str
    facts: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Guidance:
    """How the running step goes at its newest sample: ``good`` so far, and one sentence for the wearer."""

    step: SetupStep
    elapsed_s: float
    duration_s: float
    good: bool
    text: str


@dataclass(frozen=True, slots=True)
class _Taken:
    """What was collected: times (n,), specific force, rate and up in sensor axes (n, 3)."""

    t_utc_ns: I64
    acc: F64
    gyr: F64
    up: F64

    @property
    def rate_hz(self) -> float:
        span_s = (int(self.t_utc_ns[-1]) - int(self.t_utc_ns[0])) / NS_PER_S if len(self.t_utc_ns) > 1 else 0.0
        return (len(self.t_utc_ns) - 1) / span_s if span_s > 0.0 else 1.0


@dataclass(slots=True)
class Capture:
    """At most one step at a time; a new request replaces a running one."""

    _step: SetupStep = "neutral"
    _from_ns: int | None = None
    _to_ns: int = 0
    _parts: list[tuple[I64, F64, F64, F64]] = field(default_factory=list)

    def begin(self, step: SetupStep, t_utc_ns: int, duration_s: float) -> None:
        """Collect from ``t_utc_ns`` on for ``duration_s`` (at most `MAX_DURATION_S`)."""
        self._step, self._parts = step, []
        self._from_ns, self._to_ns = t_utc_ns, t_utc_ns + round(min(duration_s, MAX_DURATION_S) * NS_PER_S)

    @property
    def running(self) -> bool:
        return self._from_ns is not None

    def cut_at(self, t_utc_ns: I64) -> int | None:
        """Row at which the step ends, if these times reach it: the new alignment starts with a sample, not with a chunk."""
        if self._from_ns is None or not len(t_utc_ns) or t_utc_ns[-1] < self._to_ns:
            return None
        return int(np.searchsorted(t_utc_ns, self._to_ns))

    def take(self, t_utc_ns: I64, acc_mps2: F64, gyr_rps: F64, up_s: F64) -> None:
        """Keep what falls into the step; ``up_s`` (n, 3) unit vectors of the orientation filter."""
        if self._from_ns is None:
            return
        keep = t_utc_ns >= self._from_ns
        if keep.any():
            self._parts.append((t_utc_ns[keep], acc_mps2[keep], gyr_rps[keep], up_s[keep]))

    def _taken(self) -> _Taken:
        if not self._parts:
            return _Taken(np.empty(0, np.int64), *(np.empty((0, 3)) for _ in range(3)))
        t, acc, gyr, up = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        return _Taken(t, acc, gyr, up)

    def finish(self, current: Alignment) -> Captured:
        """The outcome at the end of the step."""
        t_end, self._from_ns = self._to_ns, None
        taken, self._parts = self._taken(), []
        facts: dict[str, Json] = {"step": self._step}
        try:
            if self._step == "neutral":
                gravity = neutral_gravity(taken.acc, taken.gyr)
                mount = Mount(current.r_ps[1], current.r_ps[0])
                outcome = align(mount, gravity, given=True, mount_id=current.mount_id, t_utc_ns=t_end)
            elif self._step == "walk":
                outcome = _by_walk(taken, current, t_end, facts)
            else:
                outcome = _by_movement(taken, self._step, current, t_end, facts)
        except AlignmentError as e:
            return Captured(t_end, self._step, str(e), facts)
        return Captured(t_end, self._step, outcome, facts)

    def guidance(self) -> Guidance | None:
        """How the running step goes; None where none runs. Nothing derived depends on it."""
        if self._from_ns is None:
            return None
        taken = self._taken()
        n = len(taken.t_utc_ns)
        elapsed_s = (int(taken.t_utc_ns[-1]) - self._from_ns) / NS_PER_S if n else 0.0
        left_s = max(0, math.ceil((self._to_ns - self._from_ns) / NS_PER_S - elapsed_s))
        good, text = (False, "Waiting for the sensor.") if n < 2 else _how(self._step, taken)
        said = f"{text} {left_s} s to go." if good else text
        return Guidance(self._step, elapsed_s, (self._to_ns - self._from_ns) / NS_PER_S, good, said)

    def snapshot(self) -> dict[str, Any]:
        parts = [list(part) for part in self._parts]
        return {"step": self._step, "from_ns": self._from_ns, "to_ns": self._to_ns, "parts": parts}

    def restore(self, state: dict[str, Any]) -> None:
        self._step, self._from_ns, self._to_ns = state["step"], state["from_ns"], state["to_ns"]
        self._parts = [(t, acc, gyr, up) for t, acc, gyr, up in state["parts"]]


def turned(
    current: Alignment, up: Three, anterior: Three, method: Literal["functional", "walking"], t_utc_ns: int
) -> Alignment:
    """``current`` with the front that a movement showed; ``up`` counts only where there is no neutral pose to keep.

    Raises `AlignmentError` where up lies far from the neutral pose's, or along the front.
    """
    if not current.has_neutral:
        doubt = STANDING_UNCERTAINTY_DEG if method == "functional" else WALKING_UNCERTAINTY_DEG
        return align(
            Mount(up, anterior), None, given=False, mount_id=current.mount_id, t_utc_ns=t_utc_ns, found_by=method,
            uncertainty_deg=doubt,
        )  # fmt: skip
    off = angle_deg(up, current.r_ps[1])
    if off > _MAX_OTHER_UP_DEG:
        raise AlignmentError(
            f"up is {off:.0f} deg away from the neutral pose's; the clip sits otherwise now, stand in the neutral pose again first"
        )
    kept = align(Mount(current.r_ps[1], anterior), None, given=True, mount_id=current.mount_id, t_utc_ns=t_utc_ns)
    doubt = max(current.uncertainty_deg, STATIC_UNCERTAINTY_DEG)
    return record(current.method, kept.r_ps, doubt, mount_id=current.mount_id, t_utc_ns=t_utc_ns)


def _by_movement(taken: _Taken, movement: Movement, current: Alignment, t_ns: int, facts: dict[str, Json]) -> Alignment:
    found = functional_heading(taken.acc, taken.gyr, taken.up, taken.rate_hz, movement, current.r_ps[0])
    if isinstance(found, str):
        raise AlignmentError(found)
    facts |= {"heading_uncertainty_deg": found.uncertainty_deg, "range_deg": found.range_deg}
    return turned(current, found.up, found.anterior, "functional", t_ns)


def _by_walk(taken: _Taken, current: Alignment, t_ns: int, facts: dict[str, Json]) -> Alignment:
    windows = gait_windows(taken.t_utc_ns, taken.acc, taken.gyr, taken.up)
    found = heading_of(windows)
    if isinstance(found, str):
        raise AlignmentError(found)
    if found.walking_s < _MIN_WALK_S:
        raise AlignmentError(f"{found.walking_s} s of walking were found; walk straight ahead for half a minute")
    if found.sign_confidence < MIN_SIGN:
        raise AlignmentError(
            "the walk does not tell front from back; walk straight ahead at your usual pace, then repeat"
        )
    facts |= {
        "heading_uncertainty_deg": found.uncertainty_deg,
        "sign_confidence": found.sign_confidence,
        "walking_s": found.walking_s,
    }
    return turned(current, found.up, found.anterior, "walking", t_ns)


def _how(step: SetupStep, taken: _Taken) -> tuple[bool, str]:
    """Whether the newest part of a running step is as it should be, and a sentence about it."""
    second = max(2, round(taken.rate_hz))
    if step == "neutral":
        try:
            neutral_gravity(
                taken.acc[-second:], taken.gyr[-second:], StillnessLimits(min_samples=min(second, len(taken.acc)))
            )
        except AlignmentError as e:
            return False, _sentence(str(e))
        return True, "Stand quietly in your neutral pose."
    if step == "walk":
        windows = gait_windows(taken.t_utc_ns, taken.acc, taken.gyr, taken.up)
        newest = windows[-1].second * NS_PER_S if windows else 0
        if windows and int(taken.t_utc_ns[-1]) - newest < 8 * NS_PER_S:
            return True, f"Walk straight ahead, {walking_seconds(windows)} s so far."
        return False, "Walk straight ahead at your usual pace; the first steps take a few seconds to show."
    good, text = movement_guidance(taken.acc, taken.gyr, taken.up, taken.rate_hz, step)
    return good, _sentence(text)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
