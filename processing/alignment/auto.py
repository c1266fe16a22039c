"""The alignment from the recording itself: up and forward from walking, the neutral from quiet standing next to a walk.

Used where nobody wrote down how the clip sat (`--mount auto`) or when the wearer stood in neutral (`--neutral auto`). A survey
goes through the recording once, block by block, and keeps windows of walking and one row a second; the questions are asked of it.
Upside-down and left-right reversal need no case of their own: up comes from gravity while walking, front from the gait.

Sitting upright and standing look alike to one sensor, so quiet standing is taken only where nothing that could have been
sitting down or standing up lies between it and a walk: the pelvis stayed within 20° of its walking posture all the way (rising
from a chair leans it further).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from processing.alignment.gait_cells import WindowStage, cells_of
from processing.alignment.gait_window import HOP_S, WINDOW_S, GaitWindow
from processing.alignment.static import Mount
from processing.alignment.walking import MIN_SIGN, WalkingHeading, heading_of
from processing.frames import up_in_sensor
from processing.intake import Intake
from processing.orientation.causal import CausalOrientation
from processing.types import F64, I64, NS_PER_S, Bool, TimedBatch


@dataclass(frozen=True, slots=True)
class NeutralParams:
    """Quiet standing: lengths [s], how far from the walking posture [deg], how still (per second)."""

    window_s: int = 5
    min_s: int = 3
    reach_s: int = 4
    max_from_walking_deg: float = 20.0
    max_alone_deg: float = 12.0
    max_turn_dps: float = 5.0
    max_acc_sd_mps2: float = 0.25


@dataclass(frozen=True, slots=True)
class Survey:
    """What a recording holds: windows of walking and, per UTC second (m,), the rate of turn and the acceleration about their
    means [deg/s, m/s²] and up in sensor axes in the middle of each quarter (m, 4, 3).
    """

    windows: list[GaitWindow]
    second: I64
    turn_dps: F64
    acc_sd_mps2: F64
    up_s: F64


@dataclass(slots=True)
class SurveyStage:
    """Collects a `Survey` from samples with their up, in any grouping by complete seconds."""

    _stage: WindowStage = field(default_factory=WindowStage)
    _windows: list[GaitWindow] = field(default_factory=list)
    _rows: list[tuple[I64, F64, F64, F64]] = field(default_factory=list)

    def add(self, t_utc_ns: I64, acc_mps2: F64, gyr_rps: F64, up_s: F64) -> None:
        """Take samples (n,), (n, 3) of complete seconds, n >= 1."""
        self._windows += self._stage.update(*cells_of(t_utc_ns, acc_mps2, gyr_rps, up_s))
        second = t_utc_ns // NS_PER_S
        first = np.flatnonzero(np.diff(second, prepend=second[0] - 1))
        count = np.diff(np.append(first, len(second)))
        turn = np.degrees(_spread(gyr_rps, first, count))
        quarters = [up_s[first + (count * (2 * k + 1)) // 8] for k in range(4)]
        self._rows.append((second[first], turn, _spread(acc_mps2, first, count), np.stack(quarters, axis=1)))

    def finish(self) -> Survey:
        """The survey of all that was taken."""
        if not self._rows:
            return Survey([], np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty((0, 4, 3)))
        second, turn, acc, up = (np.concatenate(column) for column in zip(*self._rows, strict=True))
        return Survey(self._windows, second, turn, acc, up)


def _spread(x: F64, first: I64, count: I64) -> F64:
    """Root mean square of vectors about their mean, per second."""
    total = np.zeros(len(first))
    for i in range(3):
        column = np.ascontiguousarray(x[:, i])
        mean = np.add.reduceat(column, first) / count
        total += np.maximum(np.add.reduceat(column * column, first) / count - mean * mean, 0.0)
    out: F64 = np.sqrt(total)
    return out


def survey(chunks: Iterable[TimedBatch], rate_hz: float) -> Survey:
    """Go through a recording (strictly increasing times) with gaps and causal orientation handled as everywhere."""
    intake, stage = Intake(rate_hz), SurveyStage()
    orientation = CausalOrientation(intake.orientation)
    held: list[F64] = []
    times = np.empty(0, np.int64)
    for filled in intake.through(chunks):
        for part in orientation.update(filled):
            new = [part.filled.acc_mps2, part.filled.gyr_rps, up_in_sensor(part.q_es)]
            held = [np.concatenate(pair) for pair in zip(held, new, strict=True)] if held else new
            times = np.concatenate([times, part.filled.t_utc_ns])
        cut = int(np.searchsorted(times, times[-1] // NS_PER_S * NS_PER_S)) if len(times) else 0
        if cut:
            stage.add(times[:cut], held[0][:cut], held[1][:cut], held[2][:cut])
            held, times = [x[cut:] for x in held], times[cut:]
    if len(times):
        stage.add(times, held[0], held[1], held[2])
    return stage.finish()


def oriented(chunks: Iterable[TimedBatch], rate_hz: float, from_utc_ns: int) -> tuple[F64, F64, F64, float]:
    """Specific force, rate and causal up in sensor axes (n, 3) of the rows from ``from_utc_ns`` on, and how many come in a second;
    what is before settles the filter.
    """
    intake = Intake(rate_hz)
    orientation = CausalOrientation(intake.orientation)
    held: list[tuple[F64, F64, F64]] = [(np.empty((0, 3)), np.empty((0, 3)), np.empty((0, 3)))]
    for filled in intake.through(chunks):
        for part in orientation.update(filled):
            keep = part.filled.t_utc_ns >= from_utc_ns
            held.append((part.filled.acc_mps2[keep], part.filled.gyr_rps[keep], up_in_sensor(part.q_es)[keep]))
    acc, gyr, up = (np.concatenate(column) for column in zip(*held, strict=True))
    return acc, gyr, up, intake.rate_hz


@dataclass(frozen=True, slots=True)
class AutoMount:
    """How the clip sits, from walking, and what it rests on. ``heading`` carries doubt, sign and seconds used."""

    mount: Mount
    heading: WalkingHeading


def auto_mount(found: Survey) -> AutoMount | str:
    """How the clip sits, or the reason why walking does not tell."""
    heading = heading_of(found.windows)
    if isinstance(heading, str):
        return heading
    if heading.sign_confidence < MIN_SIGN:
        return (
            f"{heading.walking_s} s of walking do not tell front from back; walk straight ahead for half a minute "
            "or state how the clip sits, e.g. --mount up=+x,anterior=-z"
        )
    return AutoMount(Mount(heading.up, heading.anterior), heading)


@dataclass(frozen=True, slots=True)
class NeutralWindow:
    """A stretch of quiet standing in UTC, and how far its up lies from that of walking [deg]."""

    from_utc_ns: int
    to_utc_ns: int
    from_walking_deg: float


def auto_neutral(
    found: Survey, standing: Bool | None = None, params: NeutralParams | None = None
) -> NeutralWindow | str:
    """The quietest stretch of standing, or the reason why there is none.

    ``standing`` (m,), seconds that context holds for standing, decides where it is given: context looks at how the wearer
    got there. Without it only rests next to a walk count. Raises ValueError where it has another length than the survey.
    """
    p = params or NeutralParams()
    if standing is not None and len(standing) != len(found.second):
        raise ValueError(
            f"standing has {len(standing)} seconds, the survey {len(found.second)}; judge the same recording"
        )
    if not found.windows:
        return (
            "no walking was found, so standing cannot be told from sitting; stand still for ten seconds next to a walk "
            "or name the neutral pose by its seconds"
        )
    up = _walking_up(found)
    bend = np.degrees(np.arccos(np.clip(np.sum(found.up_s * up[:, None, :], axis=2).min(axis=1), -1.0, 1.0)))
    walked = _walked(found)
    calm = (found.turn_dps < p.max_turn_dps) & (found.acc_sd_mps2 < p.max_acc_sd_mps2) & ~walked
    upright = bend <= (p.max_alone_deg if standing is None else p.max_from_walking_deg)
    best: tuple[float, int, int] | None = None
    for lo, hi in _runs(calm & upright if standing is None else calm & upright & standing, found.second):
        if hi - lo < p.min_s or not (
            standing is not None
            or _meets(walked, upright, found.second, range(lo - 1, lo - 1 - p.reach_s, -1))
            or _meets(walked, upright, found.second, range(hi, hi + p.reach_s))
        ):
            continue
        length = min(p.window_s, hi - lo)
        for a in range(lo, hi - length + 1):
            restless = float(np.add.reduce(found.turn_dps[a : a + length])) / length**1.5  # longer is worth some sway
            if best is None or restless < best[0]:
                best = (restless, a, a + length)
    if best is None:
        return (
            "no quiet standing was found that could not be sitting; stand still for ten seconds before or after walking "
            "or name the neutral pose by its seconds"
        )
    _, a, b = best
    return NeutralWindow(
        int(found.second[a]) * NS_PER_S, (int(found.second[b - 1]) + 1) * NS_PER_S, float(bend[a:b].mean())
    )


def _walking_up(found: Survey) -> F64:
    """Up of the nearest walk for each second: what the clip and the body were like at about that time (m, 3)."""
    at = np.array([w.second for w in found.windows])
    ups = np.array([w.up for w in found.windows])
    # A walk is as good as its windows together: average over those within a minute.
    smooth = np.array([ups[np.abs(at - s) <= 60].mean(axis=0) for s in at.tolist()])
    smooth /= np.sqrt((smooth**2).sum(axis=1))[:, None]
    right = np.searchsorted(at, found.second).clip(1, len(at) - 1) if len(at) > 1 else np.zeros(len(found.second), int)
    left = np.maximum(right - 1, 0)
    nearer = np.where(np.abs(at[right] - found.second) < np.abs(at[left] - found.second), right, left)
    out: F64 = smooth[nearer]
    return out


def _walked(found: Survey) -> Bool:
    """Seconds inside walking of two windows and more: a single one may be a lively sit-down."""
    out: Bool = np.zeros(len(found.second), dtype=np.bool_)
    begins = {w.second for w in found.windows}
    for w in found.windows:
        if w.second - HOP_S not in begins and w.second + HOP_S not in begins:
            continue
        lo, hi = np.searchsorted(found.second, (w.second, w.second + WINDOW_S))
        out[lo:hi] = True
    return out


def _runs(flag: Bool, second: I64) -> list[tuple[int, int]]:
    """Rows [lo, hi) of each unbroken run of seconds in which ``flag`` holds."""
    rows = np.flatnonzero(flag)
    if not len(rows):
        return []
    cut = np.flatnonzero((np.diff(rows) > 1) | (np.diff(second[rows]) > 1)) + 1
    return [(int(r[0]), int(r[-1]) + 1) for r in np.split(rows, cut)]


def _meets(
    walked: Bool,
    upright: Bool,
    second: I64,
    rows: Sequence[int],
) -> bool:
    """Whether going through ``rows`` one comes to a walk without a hole and without leaving upright."""
    for i, before in zip(rows, [rows[0] - (rows[1] - rows[0]), *rows], strict=False):
        if not 0 <= i < len(second) or abs(int(second[i] - second[before])) > 1:
            return False
        if walked[i]:
            return True
        if not upright[i]:
            return False
    return False
