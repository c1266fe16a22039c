"""Which alignment holds from which sample: poses and movements on request, and what walking and handling tell of the clip.

Stands in the core between orientation and angles, with an ear behind context: samples are cut where another alignment begins to
hold, and `SlipStage` hears every second once steps and wear are known. What it finds takes effect at a full UTC minute (`alignment/mounts.py`), so
pieces never cross one, and all that can change the next minute is judged before its first sample is aligned: when an
alignment begins to hold does not depend on how samples came.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from processing.alignment.capture import Capture, Guidance, SetupStep
from processing.alignment.mounts import PendingAlignments, SlipNote, holds_from_ns, restored
from processing.alignment.slip import SlipStage
from processing.alignment.static import Alignment
from processing.context.stage import ContextStage
from processing.features.align import AlignStage
from processing.frames import up_in_sensor
from processing.gaps import cut
from processing.notices import Notices
from processing.orientation.causal import Oriented
from processing.types import NS_PER_S, ContextBlock, SecondBlock

_MINUTE_NS: Final = 60 * NS_PER_S
EVENT_OF: Final = {"new_mount": "mount", "realigned": "alignment", "refused": "alignment"}
"""Findings of `SlipStage` to event types."""


def holding(part: Oriented, waiting: list[tuple[int, Alignment]]) -> Iterator[tuple[Oriented, Alignment | None, bool]]:
    """Looking back: ``part`` cut where known alignments begin to hold, each piece with the one that holds from it, or None.

    ``waiting``: the UTC instants and alignments to come; those that come are taken from it. Last: whether the second before is
    complete, so that it can be judged by what held before; a pose may end within a second.
    """
    filled, q, new, complete = part.filled, part.q_es, None, False
    while waiting and len(q) and int(filled.t_utc_ns[-1]) >= waiting[0][0]:
        from_ns = waiting[0][0]
        at = int(np.searchsorted(filled.t_utc_ns, from_ns))
        if at or new is not None:
            yield Oriented(cut(filled, 0, at), q[:at]), new, complete
        new, complete = waiting.pop(0)[1], int(filled.t_utc_ns[at]) // NS_PER_S > (from_ns - 1) // NS_PER_S
        filled, q = cut(filled, at, len(q)), q[at:]
    yield Oriented(filled, q), new, complete


def spans_minutes(piece: Oriented) -> bool:
    """Whether what is found in the first of the samples may hold from some of them on, at a full minute."""
    t = piece.filled.t_utc_ns
    return int(t[0]) // _MINUTE_NS != int(t[-1]) // _MINUTE_NS


def ends_second(piece: Oriented, left: Oriented) -> bool:
    """Whether nothing of the last second of ``piece`` is in ``left``, which follows it."""
    return int(piece.filled.t_utc_ns[-1]) // NS_PER_S != int(left.filled.t_utc_ns[0]) // NS_PER_S


class Wearing:
    """State of the alignment of one stream; sets ``align.alignment`` and tells ``notices``."""

    def __init__(self, align: AlignStage, context: ContextStage, notices: Notices) -> None:
        self._align, self._context, self._notices = align, context, notices
        self._capture = Capture()
        self._slip = SlipStage()
        self._pending = PendingAlignments()
        self._last_ns: int | None = None  # of the newest sample taken
        # No part of the state: the first matters within one update, the second only for how large pieces are.
        self._heard_until_ns = 0  # seconds before it were heard, though not all of them taken yet
        self._restless_until_ns = 0  # a minute after the last finding began to hold: another often follows it
        self._corrections: dict[int, Alignment] = {}
        self._to_come: list[int] = []  # instants of corrections, from the next one on
        self.corrected: list[int] = []

    def capture(self, step: SetupStep, t_utc_ns: int, duration_s: float) -> None:
        """Take a step of the guided set-up from the samples that follow ``t_utc_ns`` for ``duration_s``."""
        self._capture.begin(step, t_utc_ns, duration_s)

    def correct(self, corrections: Mapping[int, Alignment]) -> None:
        """Put these in force at their UTC instants, instead of what comes into force then, if anything does: a past that was looked
        at again. The last one of those up to the first sample holds from it.
        """
        self._corrections, self._to_come = dict(corrections), sorted(corrections)

    def begin(self, t_utc_ns: int) -> Alignment:
        """The stream's first sample: the alignment in force from it."""
        n = bisect_right(self._to_come, t_utc_ns)
        begun, self._to_come = self._to_come[:n], self._to_come[n:]
        if begun:
            self._put(self._corrected(begun[-1], self._align.alignment))
        return self._align.alignment

    def _corrected(self, t_utc_ns: int, alignment: Alignment) -> Alignment:
        if t_utc_ns not in self._corrections:
            return alignment
        self.corrected.append(t_utc_ns)
        return self._corrections[t_utc_ns]

    def _put(self, alignment: Alignment) -> None:
        if alignment is not self._align.alignment and alignment.has_neutral and alignment.method == "static":
            self._context.neutral_taken()
        self._align.alignment = alignment

    def guidance(self) -> Guidance | None:
        """How the running step of the guided set-up goes; only to look at."""
        return self._capture.guidance()

    def reach(self, part: Oriented, *, to_minute: bool) -> tuple[int, bool]:
        """How many rows of ``part`` come before something known changes what holds, and whether a neutral pose ends there.

        What follows a pose stands on the new alignment. While one is taken, or where asked for as long as another finding is likely,
        pieces end at full minutes as well.
        """
        t = part.filled.t_utc_ns
        first_ns = int(t[0])
        calibrator = self._align.calibrator
        corrections = [] if calibrator is None else [c.from_ns for c in calibrator.history]
        to_come = [ns for ns in (*corrections, *self._pending.instants, *self._to_come) if ns > first_ns]
        if self._capture.running or (to_minute and first_ns < self._restless_until_ns):
            to_come.append((first_ns // _MINUTE_NS + 1) * _MINUTE_NS)
        rows = len(t)
        if to_come and min(to_come) <= t[-1]:
            rows = int(np.searchsorted(t, min(to_come)))
        if not self._capture.running:
            return rows, False
        pose_ends = self._capture.cut_at(t)
        ends = pose_ends is not None and pose_ends <= rows
        rows = pose_ends if ends and pose_ends is not None else rows
        head = cut(part.filled, 0, rows)
        self._capture.take(head.t_utc_ns, head.acc_mps2, head.gyr_rps, up_in_sensor(part.q_es[:rows]))
        return rows, ends

    def hear_if_still(self, block: SecondBlock, context: ContextBlock, last_ns: int) -> int | None:
        """Hear seconds as `heard` does, unless they tell of something that holds from an instant up to ``last_ns``: then
        that instant, up to which they were heard.
        """
        notes = self._slip.update(block, context, self._align.alignment, last_ns)
        self._tell(notes)
        from_ns = holds_from_ns(notes)
        if from_ns is None or from_ns > last_ns:
            return None
        self._heard_until_ns = from_ns
        return from_ns

    def end_pose(self, part: Oriented) -> None:
        """A pose that was over before the first sample of ``part`` holds from it."""
        if self._capture.running and self._capture.cut_at(part.filled.t_utc_ns) == 0:
            self._finish_capture()

    def awaits_judgement(self, part: Oriented) -> bool:
        """Whether the second in hand must be judged before ``part`` is aligned; it is complete where this is true.

        So where another alignment begins to hold, and where a hole ends a minute early: a finding of its last second heard
        only then would come too late for the minute it belongs to. One of second 59 waits a minute longer anyhow.
        """
        if self._last_ns is None or not len(part.q_es):
            return False
        first_ns = int(part.filled.t_utc_ns[0])
        if first_ns // _MINUTE_NS == self._last_ns // _MINUTE_NS:
            return False
        return self._last_ns // NS_PER_S % 60 != 59 or self._pending.due(first_ns)

    def put_in_force(self, part: Oriented) -> None:
        """Alignments whose minute has come hold from the first sample of ``part``, which is taken next."""
        if not len(part.q_es):
            return
        first_ns = int(part.filled.t_utc_ns[0])
        before = self._align.alignment
        while self._pending.due(first_ns):
            new = self._pending.take()  # several may wait for one minute: the last one holds
            self._put(self._corrected(new.t_utc_ns, new))
        if self._align.alignment is not before:
            self._notices.alignment(self._align.alignment.t_utc_ns, self._align.alignment)
        if self._last_ns is not None:  # before the first sample `begin` sees to it
            self._correct_anew(first_ns)

    def taken(self, piece: Oriented, *, pose_ends: bool) -> None:
        """The samples of ``piece`` are aligned and judged; a pose that ends with them holds from the next."""
        self._last_ns = int(piece.filled.t_utc_ns[-1])
        if pose_ends:
            self._finish_capture()

    def _correct_anew(self, first_ns: int) -> None:
        """Corrections up to this sample hold from it, where nothing came into force that they replaced."""
        while self._to_come and self._to_come[0] <= first_ns:
            t_utc_ns = self._to_come.pop(0)
            if t_utc_ns not in self.corrected:
                self._pending.clear()
                self._put(self._corrected(t_utc_ns, self._align.alignment))
                self._notices.alignment(t_utc_ns, self._align.alignment)

    def heard(self, block: SecondBlock, context: ContextBlock) -> None:
        """Judged seconds: has the clip moved, or is it known again how it sits? None is heard twice."""
        if int(block.second[-1]) * NS_PER_S >= self._heard_until_ns:
            self._tell(self._slip.update(block, context, self._align.alignment))

    def _tell(self, notes: list[SlipNote]) -> None:
        self._pending.add(notes)
        if (from_ns := holds_from_ns(notes)) is not None:
            self._restless_until_ns = from_ns + _MINUTE_NS
        for note in notes:
            self._notices.add(note.found_utc_ns, EVENT_OF[note.kind], note.data())

    def _finish_capture(self) -> None:
        done = self._capture.finish(self._align.alignment)
        if isinstance(done.outcome, Alignment):
            self._pending.clear()
            self._put(self._corrected(done.t_utc_ns, done.outcome))
            self._notices.alignment(done.t_utc_ns, self._align.alignment, done.facts)
        else:
            self._notices.add(done.t_utc_ns, "alignment", {"outcome": "refused", "reason": done.outcome, **done.facts})

    def snapshot(self) -> dict[str, Any]:
        a = self._align.alignment
        return {
            "alignment": [a.id, a.mount_id, a.method, a.r_ps, a.uncertainty_deg, a.t_utc_ns],
            "capture": self._capture.snapshot(),
            "slip": self._slip.snapshot(),
            "pending": self._pending.snapshot(),
            "last_ns": self._last_ns,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._align.alignment = restored(*state["alignment"])
        self._capture.restore(state["capture"])
        self._slip.restore(state["slip"])
        self._pending.restore(state["pending"])
        self._last_ns = state["last_ns"]
        if self._last_ns is not None:  # corrections are no part of the state: whoever restores it gives them anew
            self._to_come = [t for t in self._to_come if t > self._last_ns]
