"""How the clip of a whole recording sat and where its zero lies: as the command line says, or found in the recording itself.

Before `process.py` runs the core. What is given must be usable; what is to be found (`auto`) may be missing, as in a recording
without a walk: then the usual mount, or no neutral pose, stands in with a warning that says what was lacking.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from processing.alignment.auto import (
    AutoMount,
    NeutralWindow,
    Survey,
    auto_mount,
    auto_neutral,
    oriented,
    survey,
)
from processing.alignment.capture import STANDING_UNCERTAINTY_DEG
from processing.alignment.functional import Movement, functional_heading
from processing.alignment.static import (
    Alignment,
    AlignmentError,
    Mount,
    StillnessLimits,
    align,
    neutral_gravity,
    parse_mount,
)
from processing.alignment.walking import WALKING_UNCERTAINTY_DEG
from processing.batch import blocks, standing_in
from processing.types import NS_PER_S, TimedBatch
from sensor_gateway.config import Sensor
from sensor_gateway.recording.recording import Recording, RecordingError

AUTO: Final = "auto"
Neutral: TypeAlias = tuple[float, float] | Literal["auto"] | None
"""Seconds T0, T1 on the recording's own time, "auto" to find them, or None for no neutral pose."""
NOMINAL_MOUNT: Final = Sensor(id="clip-1", wearer="w-001").mount
MOUNT_ID: Final = "mount-1"
"""A recording begins with one wearing."""
_TOLD_S: Final = 60
"""So many seconds of the recording are searched between two words of progress."""
MOVEMENTS: Final[Mapping[str, Movement]] = {"functional": "bows", "bows": "bows", "tilts": "pelvic_tilts"}
"""What `--mount` calls a guided movement."""
_SLOW_POSE_S: Final = 2.0
"""A pose of so many seconds is enough, however few samples a slow sensor takes in it."""
_UPSIDE_WARNING_DEG: Final = 45.0


@dataclass(frozen=True, slots=True)
class Aligned:
    """The alignment, warnings, and for the manifest where mount and neutral come from (JSON plain)."""

    alignment: Alignment
    warnings: tuple[str, ...]
    source: dict[str, Any]


@dataclass(frozen=True, slots=True)
class GuidedMove:
    """A guided movement in the recording, in seconds on its own time; the first second is quiet standing."""

    movement: Movement
    from_s: float
    to_s: float


def neutral_span_s(text: str) -> tuple[float, float]:
    """Read "T0:T1" in seconds, T0 before T1; raises ValueError with an example."""
    try:
        t0, t1 = map(float, text.split(":"))
    except ValueError:
        raise ValueError(f"{text!r} is no span; write two seconds such as 2:8") from None
    if not t0 < t1 < 1e9:
        raise ValueError(f"{text!r} must begin before it ends; write e.g. 2:8")
    return t0, t1


def check_mount(text: str) -> GuidedMove | None:
    """What ``--mount`` says where it names a movement ("bows@12:24"), None for axes and "auto"; raises `AlignmentError`."""
    name, at, span = text.partition("@")
    if not at:
        if text != AUTO:
            parse_mount(text)
        return None
    try:
        t0, t1 = map(float, span.split(":"))
    except ValueError:
        t0 = t1 = math.nan
    if name not in MOVEMENTS or not t0 < t1 < 1e9:
        raise AlignmentError(
            f"mount {text!r} is not understood; write e.g. bows@12:24, one of {', '.join(MOVEMENTS)}, in seconds"
        )
    return GuidedMove(MOVEMENTS[name], t0, t1)


def align_recording(
    recording: Recording, mount: str | None, neutral: Neutral, progress: Callable[[float], None] | None = None
) -> Aligned:
    """Align a recording by ``mount`` (axes, a movement as `check_mount` reads it, "auto", or None: the usual one) and ``neutral``.

    ``progress`` gets the share done where the whole recording has to be searched.

    Raises `RecordingError` where what was given cannot be used. The live gateway reports a refused neutral and goes on; here
    it is an error: whoever names one wants tilt relative to it, and tilt relative to something else would look the same.
    """
    try:
        return _Search(recording, mount, neutral, progress).run()
    except _MountError as e:
        raise RecordingError(f"{recording.name}: mount {mount}: {e}") from None
    except AlignmentError as e:
        what = f"neutral {neutral[0]:g}:{neutral[1]:g} s: " if isinstance(neutral, tuple) else ""
        raise RecordingError(f"{recording.name}: {what}{e}") from None


class _MountError(AlignmentError):
    """The movement that was to show the mount does not."""


class _Search:
    """One recording's mount, then its neutral."""

    def __init__(
        self, recording: Recording, mount: str | None, neutral: Neutral, progress: Callable[[float], None] | None
    ) -> None:
        self.progress = progress
        self.recording, self.text, self.neutral = recording, mount, neutral
        self.timed = TimedBatch(recording.t_utc_ns, recording.acc_mps2, recording.gyr_rps)
        self.warnings: list[str] = []

    def run(self) -> Aligned:
        auto = AUTO in (self.text, self.neutral)
        passes = 2 if self.neutral == AUTO else 1
        found = survey(self._blocks(0, passes), self.recording.rate_hz) if auto else None
        mount, plain, mount_source = self._mount(found)
        alignment, neutral_source = plain, None
        if isinstance(self.neutral, tuple):
            t0, t1 = (self.recording.zero_utc_ns + round(s * NS_PER_S) for s in self.neutral)
            alignment = self._posed(mount, t0, t1)
            neutral_source = {"by": "given", "from_utc_ns": t0, "to_utc_ns": t1}
        elif self.neutral == AUTO and found is not None:
            alignment, neutral_source = self._found_neutral(found, mount, plain)
        if alignment.has_neutral and mount_source["by"] in ("given", "nominal"):
            self._look_for_upside_down(mount, alignment)
        sources = {"mount": mount_source, "neutral": neutral_source}
        return Aligned(alignment, tuple(f"{self.recording.name}: {w}" for w in self.warnings), sources)

    def _blocks(self, number: int, passes: int) -> Iterator[TimedBatch]:
        """The recording in blocks, with word of how far this pass is."""
        done = 0
        for block in blocks(self.timed, _TOLD_S):
            yield block
            done += len(block)
            if self.progress is not None:
                self.progress((number + done / len(self.timed)) / passes)

    def _moved(self, move: GuidedMove) -> tuple[Mount, Alignment, dict[str, Any]]:
        """The mount by a guided movement; raises `_MountError` with the reason where it does not tell."""
        r = self.recording
        t0, t1 = (r.zero_utc_ns + round(s * NS_PER_S) for s in (move.from_s, move.to_s))
        until = int(np.searchsorted(r.t_utc_ns, t1))
        acc, gyr, up, rate_hz = oriented(
            blocks(TimedBatch(r.t_utc_ns[:until], r.acc_mps2[:until], r.gyr_rps[:until])), r.rate_hz, t0
        )
        usual = parse_mount(NOMINAL_MOUNT).anterior
        found = functional_heading(acc, gyr, up, rate_hz, move.movement, usual)
        if isinstance(found, str):
            raise _MountError(found)
        mount = Mount(found.up, found.anterior)
        alignment = align(
            mount, None, given=False, mount_id=MOUNT_ID, t_utc_ns=t1, found_by="functional",
            uncertainty_deg=STANDING_UNCERTAINTY_DEG,
        )  # fmt: skip
        source = {
            "by": move.movement, "from_utc_ns": t0, "to_utc_ns": t1, "up": list(found.up), "anterior": list(found.anterior),
            "heading_uncertainty_deg": found.uncertainty_deg, "range_deg": found.range_deg,
        }  # fmt: skip
        return mount, alignment, source

    def _mount(self, found: Survey | None) -> tuple[Mount, Alignment, dict[str, Any]]:
        """The mount, the alignment by it alone, and where it comes from."""
        move = check_mount(self.text) if self.text else None
        if move is not None:
            return self._moved(move)
        if self.text == AUTO and found is not None:
            walked = auto_mount(found)
            if isinstance(walked, AutoMount):
                doubt, h = WALKING_UNCERTAINTY_DEG, walked.heading
                alignment = align(
                    walked.mount,
                    None,
                    given=False,
                    mount_id=MOUNT_ID,
                    t_utc_ns=0,
                    found_by="walking",
                    uncertainty_deg=doubt,
                )
                return (
                    walked.mount,
                    alignment,
                    {
                        "by": "walking",
                        "up": list(walked.mount.up),
                        "anterior": list(walked.mount.anterior),
                        "heading_uncertainty_deg": h.uncertainty_deg,
                        "sign_confidence": h.sign_confidence,
                        "walking_s": h.walking_s,
                    },
                )
            self.warnings.append(f"mount auto: {walked}. The usual mount {NOMINAL_MOUNT} was assumed")
            source = {"by": "nominal", "axes": NOMINAL_MOUNT, "not_found": walked}
        else:
            source = {"by": "nominal" if self.text is None else "given", "axes": self.text or NOMINAL_MOUNT}
        mount = parse_mount(source["axes"])
        alignment = align(mount, None, given=source["by"] == "given", mount_id=MOUNT_ID, t_utc_ns=0)
        return mount, alignment, source

    def _posed(self, mount: Mount, t0_ns: int, t1_ns: int) -> Alignment:
        """The alignment by the pose of [t0, t1); raises `AlignmentError`."""
        r = self.recording
        lo, hi = np.searchsorted(r.t_utc_ns, [t0_ns, t1_ns])
        if lo == hi:
            first, last = ((int(r.t_utc_ns[i]) - r.zero_utc_ns) / NS_PER_S for i in (0, -1))
            raise AlignmentError(
                f"lies outside the recording, which runs from {first:.2f} to {last:.2f} s; move it inside"
            )
        limits = StillnessLimits()
        if r.rate_hz * _SLOW_POSE_S < limits.min_samples:
            limits = replace(limits, min_samples=round(r.rate_hz * _SLOW_POSE_S))
        gravity = neutral_gravity(r.acc_mps2[lo:hi], r.gyr_rps[lo:hi], limits)
        return align(mount, gravity, given=True, mount_id=MOUNT_ID, t_utc_ns=t1_ns)

    def _found_neutral(self, found: Survey, mount: Mount, plain: Alignment) -> tuple[Alignment, dict[str, Any]]:
        """The alignment by quiet standing found in the recording; ``plain`` where there is none."""
        standing = standing_in(self._blocks(1, 2), self.recording.rate_hz, plain, found.second)
        window = auto_neutral(found, standing)
        why = window if isinstance(window, str) else ""
        if isinstance(window, NeutralWindow):
            try:
                posed = self._posed(mount, window.from_utc_ns, window.to_utc_ns)
            except AlignmentError as e:
                why = str(e)
            else:
                alignment = replace(posed, uncertainty_deg=STANDING_UNCERTAINTY_DEG)
                return alignment, {
                    "by": "quiet standing",
                    "from_utc_ns": window.from_utc_ns,
                    "to_utc_ns": window.to_utc_ns,
                    "from_walking_deg": window.from_walking_deg,
                    "uncertainty_deg": STANDING_UNCERTAINTY_DEG,
                }
        zero = "the pelvis's posture in walking" if plain.method == "walking" else "the mount"
        self.warnings.append(f"neutral auto: {why}. There is no neutral pose: tilt is relative to {zero}")
        return plain, {"by": "none", "not_found": why}

    def _look_for_upside_down(self, mount: Mount, alignment: Alignment) -> None:
        cosine = float(np.dot(mount.up, alignment.r_ps[1]))
        off = math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
        if off > _UPSIDE_WARNING_DEG:
            said = "the mount given" if self.text not in (None, AUTO) else f"the usual mount ({NOMINAL_MOUNT})"
            self.warnings.append(
                f"up in the neutral pose is {off:.0f} deg away from {said}; check --mount, front and back may be swapped"
            )
