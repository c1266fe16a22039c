"""Has the clip moved? Compares walks of one mount, listens for re-donning, and finds the alignment again from walking.

Runs after context, second by second. One posture cannot tell a slip of 15° from a person standing differently; walking can:
within one wearing the up of level walks stays within 3°, the heading of 12 s stretches within 8° (15 people, 30 wearings). So
the test is two stretches of a walk in a row, as fast and as vigorous as walks known before, more than 8° off in up or 10° (and
three standard deviations) in heading. Stairs lean by 10-20°, so stretches whose up wanders or whose step is much stronger are left
out, and two leaning stretches with a pause between are not enough: a flight of stairs is short.

What a finding does is fixed: a new mount, wide uncertainty, posture rules paused (`Alignment.has_neutral` is false), and no new
zero until 48 s of walking, compared with walks before the change, say how the clip turned. Three things start a new mount
without a walk: taken off and on again; away for more than ten minutes and back at another angle; turned over and over for
seconds without gait, as a hand does. Longer than other modules: it is one state machine.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processing.alignment.gait_cells import WindowStage, cell_means
from processing.alignment.gait_window import CELLS_PER_S, WINDOW_S, GaitWindow, Three
from processing.alignment.heard import mean_up_of, turns_faster
from processing.alignment.mounts import Reason, SlipNote, effective_utc_ns, holds_from_ns, next_mount_id, restored
from processing.alignment.realign import (
    REALIGN_DEG,
    REALIGN_OTHER_PACE_DEG,
    Change,
    angle_deg,
    applied,
    change_between,
    realigned,
)
from processing.alignment.static import NOMINAL_UNCERTAINTY_DEG, Alignment, record
from processing.alignment.stretches import (
    SlipParams,
    Stretch,
    change_of,
    from_plain,
    rows_of,
    stretch_of,
    three,
    wander_deg,
    windows_of,
)
from processing.frames import Rows, columns, transposed
from processing.runs import rises
from processing.snapshot import values
from processing.types import F64, I64, NS_PER_S, POSTURE_CODE, POSTURES, Bool, ContextBlock, SecondBlock

_MAY_BE_HANDLED: Final = np.array([p not in ("walking", "running", "stairs") for p in POSTURES])
_WALKING, _STAIRS, _NOT_WORN = (POSTURE_CODE[p] for p in ("walking", "stairs", "not_worn"))
_RECENT_S: Final = 10
_NO_CELLS: Final = np.empty(0, np.int64), np.empty((9, 0))


class SlipStage:
    """Params / state / update. Every finding depends on seconds alone, not on how they are grouped."""

    def __init__(self, params: SlipParams | None = None) -> None:
        self.params = params or SlipParams()
        self._windows = WindowStage()
        self._axes: list[tuple[int, Rows]] = []  # first second and r_ps of the newest two alignments
        self._in_force = ""
        self._issued: list[str] = []  # ids of own alignments that wait for their minute
        self._latest: Alignment | None = None  # the one in force, or the newest issued
        self._anchor: Alignment | None = None  # what to find again; set while suspended
        self._reference: list[Stretch] = []
        self._running: list[GaitWindow] = []
        self._fresh: list[Stretch] = []  # in a row and unlike the reference; while suspended: all of the new mount
        self._from_second = 0
        self._good_ns = 0
        self._refused = False
        self._off = False
        self._last: tuple[int, Three] | None = None
        self._fast: list[int] = []

    def update(
        self, block: SecondBlock, context: ContextBlock, alignment: Alignment, last_ns: int | None = None
    ) -> list[SlipNote]:
        """Findings of these seconds. ``alignment`` is the one in force for the block's last second. Where a finding holds from an
        instant up to ``last_ns`` on, the seconds from that instant on are not heard: they stand on another alignment.
        """
        self._follow(alignment)
        posture, seconds = context.posture, block.second.tolist()
        cells, values = self._cells_of_walks(block, posture)
        before_them = None if last_ns is None else self._windows.snapshot()
        found = self._windows.update(cells, values)
        # A recording's neutral pose may come after the clip was put on: before it nothing is vouched for.
        known = bisect_left(seconds, self._from_second)
        if known == len(seconds):
            return []
        # Whoever walks turns the clip as well.
        turning = turns_faster(block, _MAY_BE_HANDLED[posture], self.params.handled_dps)
        events = set(self._eventful(block.second, posture, turning, known))
        walked = {row: w for w in found if (row := bisect_left(seconds, w.second + WINDOW_S - 1)) >= known}
        notes: list[SlipNote] = []
        end = len(seconds)
        for row in sorted(events.union(walked)):
            if row >= end:
                break
            if row in events:
                self._listen(block, row, known, int(posture[row]), bool(turning[row]), notes)
            if row in walked:
                self._walked(walked[row], notes)
            if notes and last_ns is not None and (from_ns := holds_from_ns(notes)) is not None:
                end = bisect_left(seconds, from_ns // NS_PER_S)  # a full minute
        self._last = seconds[end - 1], self._up(block, end - 1)
        self._fast = [s for s in self._fast if seconds[end - 1] - s < _RECENT_S]
        if end < len(seconds) and before_them is not None:
            n = int(cells.searchsorted(seconds[end] * CELLS_PER_S))
            self._windows.restore(before_them)
            self._windows.update(cells[:n], values[:, :n], judged=True)
        return notes

    def _cells_of_walks(self, block: SecondBlock, posture: NDArray[np.int8]) -> tuple[I64, F64]:
        """Cells in sensor axes of the seconds of walking."""
        # Few stairs are named as such: all walks stand the same test, and stretches whose up wanders fall out below.
        walks = (posture == _WALKING) | (posture == _STAIRS)
        if not walks.any():
            return _NO_CELLS
        rows = np.flatnonzero(np.repeat(walks, block.count) & block.valid)
        t = block.t_utc_ns[rows]
        vectors = (block.acc_p_mps2, block.gyr_p_rps, block.up_p)
        own = np.array([[x.take(rows) for x in columns(v)] for v in vectors])
        return cell_means(t, self._in_sensor(t, own).reshape(9, len(rows)))

    def _eventful(self, second: I64, posture: NDArray[np.int8], turning: Bool, known: int) -> list[int]:
        """Rows from ``known`` on in which something may happen without a walk: few of a day."""
        off = posture[known:] == _NOT_WORN
        before = self._last[0] if self._last is not None else int(second[known])
        eventful = turning[known:] | off | (rises(second[known:], before) > self.params.gap_s)
        eventful[0] |= self._off
        eventful[1:] |= off[:-1]  # worn again
        rows: list[int] = (known + np.flatnonzero(eventful)).tolist()
        return rows

    def _follow(self, alignment: Alignment) -> None:
        """Notice which alignment is in force; one that is not our own (a new neutral pose) starts everything afresh."""
        if alignment.id == self._in_force:
            return
        self._in_force = alignment.id
        self._axes = [*self._axes[-1:], (-(-alignment.t_utc_ns // NS_PER_S), alignment.r_ps)]
        if alignment.id in self._issued:
            self._issued = self._issued[self._issued.index(alignment.id) + 1 :]
            return
        self._latest, self._anchor, self._issued = alignment, None, []
        self._from_second = self._axes[-1][0]
        self._reference, self._running, self._fresh = [], [], []
        self._refused = False

    def _in_sensor(self, t_utc_ns: I64, v_p: F64) -> F64:
        """Vectors by component (..., 3, n) back in sensor axes, by the alignment each was turned with at its time."""
        old = int(t_utc_ns.searchsorted(self._axes[-1][0] * NS_PER_S)) if len(self._axes) > 1 else 0
        if old:
            parts = (self._axes[0], v_p[..., :old]), (self._axes[-1], v_p[..., old:])
            return np.concatenate([_rotated(transposed(r_ps), v) for (_, r_ps), v in parts], axis=-1)
        return _rotated(transposed(self._axes[-1][1]), v_p)

    def _up(self, block: SecondBlock, row: int) -> Three:
        """Mean up of a second in sensor axes."""
        old = int(block.second[row]) < self._axes[-1][0]
        return applied(transposed(self._axes[0 if old else -1][1]), mean_up_of(block, row))

    def _listen(self, block: SecondBlock, row: int, known: int, code: int, fast: bool, notes: list[SlipNote]) -> None:
        """What starts a new mount without a walk."""
        p, second = self.params, int(block.second[row])
        if code == _NOT_WORN:
            self._off = True
        elif self._off:
            self._off = False
            self._new_mount("taken_off", second, notes)
        before = self._last if row == known else (int(block.second[row - 1]), None)
        if (
            before is not None
            and second - before[0] > p.gap_s
            and angle_deg(self._up(block, row), before[1] or self._up(block, row - 1)) > p.gap_deg
        ):
            self._new_mount("gap", second, notes)
        if fast:
            self._fast = [*(s for s in self._fast if second - s < _RECENT_S), second]
            # Whoever handles a clip goes on doing so: once is enough until the wearer has walked.
            if len(self._fast) == p.handled_s and (self._anchor is None or self._fresh):
                self._new_mount("handled", second, notes)

    def _new_mount(
        self, reason: Reason, second: int, notes: list[SlipNote], change: Change | None = None, kept: int = 0
    ) -> None:
        """Suspend what is in force. ``kept`` fresh stretches belong to the new mount already."""
        old = self._latest
        if old is None:
            return
        if self._anchor is None:
            self._anchor = old
        from_ns = effective_utc_ns(second)
        doubt = math.hypot(self._anchor.uncertainty_deg, NOMINAL_UNCERTAINTY_DEG if change is None else change.up_deg)
        mount_id = next_mount_id(old.mount_id, (second + 1) * NS_PER_S)
        new = record("suspended", old.r_ps, doubt, mount_id=mount_id, t_utc_ns=from_ns)
        self._issue(new)
        self._running, self._fresh = [], self._fresh[-kept:] if kept else []
        self._refused = False
        remedy = "Walk for a minute, or stand in the neutral pose again; posture rules pause until then."
        notes.append(
            SlipNote(
                "new_mount",
                reason,
                found_utc_ns=(second + 1) * NS_PER_S,
                since_utc_ns=self._good_ns if change is not None else second * NS_PER_S,
                from_utc_ns=from_ns,
                alignment=new,
                up_deg=None if change is None else change.up_deg,
                heading_deg=None if change is None else change.heading_deg,
                remedy=remedy,
            )
        )

    def _issue(self, alignment: Alignment) -> None:
        self._latest = alignment
        self._issued.append(alignment.id)

    def _walked(self, window: GaitWindow, notes: list[SlipNote]) -> None:
        """Gather windows into stretches."""
        if self._running and window.second - self._running[-1].second > self.params.pause_s:
            self._running = []
        self._running.append(window)
        if len(self._running) == self.params.stretch_windows:
            if wander_deg(self._running) > self.params.wander_deg:
                self._running = self._running[1:]
                return
            stretch, self._running = stretch_of(self._running), []
            self._judge(stretch, notes)

    def _judge(self, stretch: Stretch, notes: list[SlipNote]) -> None:
        second = stretch.windows[-1].second + WINDOW_S - 1
        if self._anchor is not None:
            self._fresh = [*self._fresh, stretch][-2 * self.params.realign_stretches :]
            if len(self._fresh) >= self.params.realign_stretches:
                self._realign(second, notes)
            return
        known = self._alike([stretch])
        if not known:
            # A new pace joins only where it looks like the others: otherwise a slip would become its own reference.
            if not self._reference or change_of(self._reference, [stretch]).up_deg <= self.params.join_deg:
                self._reference.append(stretch)
            return
        if not self._differs(change_of(known, [stretch]), 0.75):
            self._fresh, self._good_ns = [], (second + 1) * NS_PER_S
            if len(known) < self.params.reference_stretches:
                self._reference.append(stretch)
            return
        self._fresh = [*self._fresh, stretch][-self.params.stretches_apart :]
        two = self._fresh[-self.params.stretches :]
        one_walk = (
            len(two) > 1 and two[-1].windows[0].second - two[0].windows[-1].second <= WINDOW_S + self.params.one_walk_s
        )
        if one_walk or len(self._fresh) == self.params.stretches_apart:
            new = two if one_walk else self._fresh
            change = change_of(self._alike(new) or known, new)
            if self._differs(change, 1.0):
                self._new_mount("slip", second, notes, change, kept=len(new))

    def _differs(self, change: Change, share: float) -> bool:
        """Beyond a share of the limits, and for the heading beyond its own doubt."""
        limit = max(self.params.heading_deg, 3.0 * change.heading_sd_deg)
        return change.up_deg > share * self.params.up_deg or abs(change.heading_deg) > share * limit

    def _alike(self, stretches: list[Stretch]) -> list[Stretch]:
        """Reference stretches of the same pace and vigour."""
        p, them = self.params, stretches[0] if len(stretches) == 1 else stretch_of(windows_of(stretches))
        pace, power, least = them.pace_spm, them.vigour, 1.0 / p.vigour_ratio
        return [
            r
            for r in self._reference
            if abs(r.pace_spm - pace) <= p.cadence_spm and least <= r.vigour / power <= p.vigour_ratio
        ]

    def _realign(self, second: int, notes: list[SlipNote]) -> None:
        """Find the suspended alignment again from the walks before and since."""
        anchor, old = self._anchor, self._latest
        if anchor is None or old is None:
            return
        found_ns, from_ns = (second + 1) * NS_PER_S, effective_utc_ns(second)
        known = self._alike(self._fresh)
        patience = 2 * self.params.realign_stretches
        if not known and self._reference and len(self._fresh) < patience:
            return  # another pace than before: the next walk may be more alike
        before, after = windows_of(known or self._reference), windows_of(self._fresh)
        doubt = REALIGN_DEG if known else REALIGN_OTHER_PACE_DEG
        outcome = realigned(anchor, before, after, doubt_deg=doubt, mount_id=old.mount_id, t_utc_ns=from_ns)
        if isinstance(outcome, str):
            if not self._refused:
                self._refused = True
                since_ns = self._fresh[0].windows[0].second * NS_PER_S
                remedy = outcome[0].upper() + outcome[1:] + "."
                notes.append(SlipNote("refused", "unclear_walk", found_ns, since_ns, from_ns, None, remedy=remedy))
            return
        self._issue(outcome)
        change = change_between(before, after)
        since_ns = self._fresh[0].windows[0].second * NS_PER_S
        notes.append(
            SlipNote("realigned", "walk", found_ns, since_ns, from_ns, outcome, change.up_deg, change.heading_deg)
        )
        self._reference, self._fresh, self._anchor = self._fresh, [], None
        self._good_ns = found_ns

    def snapshot(self) -> dict[str, Any]:
        """Plain data and arrays."""
        alignments = [None if a is None else values(a) for a in (self._latest, self._anchor)]
        reference, fresh = ([s.windows for s in part] for part in (self._reference, self._fresh))
        walks = [[[list(w) for w in s] for s in part] for part in (reference, [self._running], fresh)]
        return {
            "windows": self._windows.snapshot(),
            "axes": [[s, r] for s, r in self._axes],
            "ids": [self._in_force, list(self._issued), self._from_second],
            "alignments": alignments,
            "walks": walks,
            "state": [self._good_ns, self._refused, self._off, self._last, list(self._fast)],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `snapshot`, for a stage of the same parameters."""
        self._windows.restore(state["windows"])
        self._axes = [(s, rows_of(r)) for s, r in state["axes"]]
        self._in_force, issued, self._from_second = state["ids"]
        self._issued = list(issued)
        self._latest, self._anchor = (None if a is None else restored(*a) for a in state["alignments"])
        reference, (self._running,), fresh = ([from_plain(s) for s in part] for part in state["walks"])
        self._reference, self._fresh = ([stretch_of(s) for s in part] for part in (reference, fresh))
        self._good_ns, self._refused, self._off, last, fast = state["state"]
        self._last = None if last is None else (last[0], three(last[1]))
        self._fast = list(fast)


def _rotated(rows: Rows, v: F64) -> F64:
    """As `rotate`, of vectors by component (..., 3, n)."""
    x, y, z = (v[..., i, :] for i in range(3))
    out, part = np.empty_like(v), np.empty_like(x)
    for i, (a, b, c) in enumerate(rows):
        row = out[..., i, :]
        np.multiply(a, x, out=row)
        row += np.multiply(b, y, out=part)
        row += np.multiply(c, z, out=part)
    return out
