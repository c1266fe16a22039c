"""The map from an unwrapped device clock to UTC, and the samples that wait for it. Used by `timebase`.

Device time goes to the gateway's monotonic time by the minimum-delay line (`clock.delay_line`), and from there to UTC by an
offset that follows the gateway's clock setting slowly. What is put out is a chain of straight segments: each second of
device time the segment's rate is set anew so that it approaches the target at a bounded rate, and never jumps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from processing.clock.delay_line import DelayLine
from processing.clock.notes import NEVER, ClockNote, NoteKind, TimebaseParams
from processing.types import NS_PER_S, ImuBatch, Json

LEAST_RATE: Final = 0.002
"""Samples that must be squeezed under their arrival keep at least this share of their spacing, so that order holds."""


@dataclass(slots=True)
class _State:
    """Counts in ticks (x), times in ns, device seconds since the epoch's start (u)."""

    epoch: int = 0
    x0: int = 0
    m0: int = 0
    fresh: bool = True  # the epoch's UTC offset is still to be taken
    slope: float = 0.0
    offset_s: float = 0.0
    fitted: bool = False
    fit_noted_u: float = 0.0
    utc_offset: int = 0  # applied; follows
    utc_limit: int = 0  # the larger of the offset before and after the last move: the samples are still on the way
    utc_measured: int = 0
    least_s: float = 1e30  # least delayed arrival since the last fit, which also has the truest UTC stamp
    least_offset: int = 0
    least_u: float = 0.0
    least_v: float = 0.0
    seg_x: int = 0
    seg_t: int = 0
    rate: float = 0.0  # ns per tick while the correction runs
    rate_after: float = 0.0
    refit_x: int = 0
    anchor_u: float = 0.0
    young: bool = True
    out_x: int = 0
    out_t: int = NEVER
    holding: bool = False
    held_least_s: float = 0.0
    held_since: int = 0


Segment = tuple[int, int, float]
"""What dates a batch: a count, its UTC ns, and ns per tick from there on."""
Dated = tuple[ImuBatch, int, Segment]
"""A batch, the count of its first sample, and the segment that dates it."""


class ClockMap:
    """One clock epoch after another. `take` holds or dates; what is dated and noted collects in ``dated``, ``notes``."""

    def __init__(self, params: TimebaseParams, tick_ns: int, rate_hz: float) -> None:
        self._p = params
        self._tick_ns = tick_ns
        self._tick_s = tick_ns / NS_PER_S
        self._refit_ticks = max(1, round(params.refit_s / self._tick_s))
        self._period_ticks = max(1, round(1.0 / rate_hz / self._tick_s))
        self._line = DelayLine(params.window_s, params.block_s)
        self._s = _State()
        self._held: list[tuple[ImuBatch, int, int]] = []
        self.dated: list[Dated] = []
        self.notes: list[ClockNote] = []

    @property
    def slope(self) -> float:
        """How much faster the gateway's clock runs than the sensor's, as a share."""
        return self._s.slope

    @property
    def epoch(self) -> int:
        """How often the sensor's clock was found restarted."""
        return self._s.epoch

    def begin(self, x: int, span: int, rx_mono_ns: int) -> None:
        """Start a clock epoch with the batch whose first count is ``x``; what was held is dated by the old one."""
        self.release()
        s = self._s
        s.epoch += 1
        s.x0, s.m0, s.fresh = x, rx_mono_ns, True
        s.slope, s.fitted, s.fit_noted_u = 0.0, False, 0.0
        s.offset_s = -span * self._tick_s
        self._line.clear()
        self.anchor(x, rx_mono_ns, s.offset_s)

    def anchor(self, x: int, rx_mono_ns: int, least_s: float) -> None:
        """From here samples wait until arrivals stop getting less delayed."""
        s = self._s
        s.holding = s.young = True
        s.anchor_u = (x - s.x0) * self._tick_s
        s.held_since, s.held_least_s = rx_mono_ns, least_s
        s.least_s = 1e30

    def reanchor(self, x: int, rx_mono_ns: int) -> None:
        """Hold again after a long gap: the line is extrapolated far, and what comes may be a burst."""
        self.release()
        s = self._s
        u = (x - s.x0) * self._tick_s
        self.anchor(x, rx_mono_ns, (rx_mono_ns - s.m0) / NS_PER_S - u - s.slope * u)

    def delay_s(self, x: int, rx_mono_ns: int) -> float:
        """Delay of an arrival against the line; negative where it came too early for the line to be right."""
        s = self._s
        u = (x - s.x0) * self._tick_s
        return (rx_mono_ns - s.m0) / NS_PER_S - u - s.offset_s - s.slope * u

    def note(self, rx_mono_ns: int, rx_utc_ns: int, kind: NoteKind, data: dict[str, Json]) -> None:
        """Say something at this arrival, on the time scale of the samples."""
        t = rx_utc_ns if self._s.fresh else rx_mono_ns + self._s.utc_offset
        self.notes.append(ClockNote(t, kind, data))

    def take(self, batch: ImuBatch, first: int, last: int) -> None:
        """Date a batch whose samples run from count ``first`` to ``last``, or hold it."""
        s = self._s
        rx = batch.rx_mono_ns
        u = (last - s.x0) * self._tick_s
        v = (rx - s.m0) / NS_PER_S - u
        delay = v - s.offset_s - s.slope * u
        if delay < s.least_s:
            s.least_s, s.least_u, s.least_v = delay, u, v
            s.least_offset = batch.rx_utc_ns - rx
        if s.holding:
            self._held.append((batch, first, last))
            above = v - s.slope * u
            s.offset_s = min(s.offset_s, above)
            if above < s.held_least_s - self._p.hold_improves_s:
                s.held_least_s, s.held_since = above, rx
            if rx - s.held_since >= self._p.hold_s * NS_PER_S or len(self._held) >= self._p.hold_max:
                self.release()
            return
        if s.young:
            self._line.add(u, v)
        if first >= s.refit_x:
            self._refit(rx, batch.rx_utc_ns, first)
        self.dated.append((batch, first, self._date(rx, batch.rx_utc_ns, last)))

    def release(self) -> None:
        """Date what is held by the line as it is now known."""
        if not self._held:
            return
        s = self._s
        held, self._held = self._held, []
        newest = held[-1][0].rx_mono_ns, held[-1][0].rx_utc_ns
        first = held[0][1]
        for batch, _, last in held:
            # A backlog that drains looks like a clock of another rate: the line must not see it.
            if batch.rx_mono_ns >= s.held_since:
                u = (last - s.x0) * self._tick_s
                self._line.add(u, (batch.rx_mono_ns - s.m0) / NS_PER_S - u)
        self._fit(*newest, first)
        if s.fresh:
            s.utc_offset = s.utc_limit = s.utc_measured = s.least_offset
            s.fresh = False
        else:
            self._follow_utc(*newest, first)
        start = self._target(first)
        period = round(self._period_ticks * s.rate_after)
        if start < s.out_t + period:
            # UTC was set back while the sensor was away: later stays later, and the offset makes it good slowly.
            s.utc_offset += s.out_t + period - start
            s.utc_limit = s.utc_offset
            start = s.out_t + period
        s.seg_x, s.seg_t, s.rate = first, start, s.rate_after
        s.out_x, s.out_t = first - self._period_ticks, start - period
        s.holding = False
        s.least_s = 1e30
        for batch, batch_first, batch_last in held:
            segment = self._date(batch.rx_mono_ns, batch.rx_utc_ns, batch_last)
            self.dated.append((batch, batch_first, segment))
        s.refit_x = s.out_x

    def _target(self, x: int) -> int:
        """Where the line puts a count, in UTC ns."""
        s = self._s
        u = (x - s.x0) * self._tick_s
        return s.m0 + round((u + s.offset_s + s.slope * u) * NS_PER_S) + s.utc_offset

    def _fit(self, rx_mono_ns: int, rx_utc_ns: int, x: int) -> None:
        s, p = self._s, self._p
        if self._line.span_s >= p.fit_from_s:
            s.slope = min(max(self._line.slope(), -p.slope_limit), p.slope_limit)
            u = (x - s.x0) * self._tick_s
            if not s.fitted or u - s.fit_noted_u >= p.fit_note_every_s:
                s.fitted, s.fit_noted_u = True, u
                data: dict[str, Json] = {"epoch": s.epoch, "rate_ppm": round(s.slope * 1e6, 1)}
                self.note(rx_mono_ns, rx_utc_ns, "fit", data)
        s.offset_s = self._line.offset(s.slope)
        s.rate_after = self._tick_ns * (1.0 + s.slope)

    def _follow_utc(self, rx_mono_ns: int, rx_utc_ns: int, x: int) -> None:
        """Move the applied UTC offset towards the measured one, by no more than the slew since the last time."""
        s, p = self._s, self._p
        step = s.least_offset - s.utc_measured
        s.utc_measured = s.least_offset
        most = round((x - s.seg_x) * self._tick_ns * p.utc_slew)
        left = s.utc_measured - s.utc_offset
        move = min(max(left, -most), most)
        s.utc_limit = s.utc_offset + max(move, 0)
        s.utc_offset += move
        if abs(step) >= p.step_s * NS_PER_S:
            data: dict[str, Json] = {"step_s": step / NS_PER_S, "left_s": left / NS_PER_S}
            self.note(rx_mono_ns, rx_utc_ns, "step", data)

    def _refit(self, rx_mono_ns: int, rx_utc_ns: int, x: int) -> None:
        """Begin a segment at ``x``: continue where the last one got to, at a rate that approaches the target."""
        s, p = self._s, self._p
        elapsed = x - s.seg_x
        corrected = min(elapsed, self._refit_ticks)
        here = corrected * s.rate + (elapsed - corrected) * s.rate_after
        if not s.young:
            # Once the rate is known the least delayed arrival of each second says all that the hull needs.
            self._line.add(s.least_u, s.least_v)
        self._fit(rx_mono_ns, rx_utc_ns, x)
        self._follow_utc(rx_mono_ns, rx_utc_ns, x)
        error = self._target(x) - s.seg_t - here
        s.young = (x - s.x0) * self._tick_s - s.anchor_u < p.acquire_s
        slew = p.acquire_slew if s.young else p.slew
        correction = min(max(error / (p.refit_s * NS_PER_S), -slew), slew)
        s.seg_x, s.seg_t = x, max(s.seg_t + round(here), s.out_t + 1)
        s.rate = s.rate_after + self._tick_ns * correction
        s.refit_x = x + self._refit_ticks
        s.least_s = 1e30

    def _date(self, rx_mono_ns: int, rx_utc_ns: int, last: int) -> Segment:
        """What dates a batch whose last sample has the count ``last``, under its arrival."""
        s = self._s
        t_last = s.seg_t + round((last - s.seg_x) * s.rate)
        stamped = rx_utc_ns - rx_mono_ns
        # While a step is being followed the samples' scale differs from the gateway's: then only the former counts.
        settled = s.utc_measured == s.utc_offset and abs(stamped - s.utc_offset) < self._p.step_s * NS_PER_S
        limit = rx_mono_ns + (min(stamped, s.utc_offset) if settled else s.utc_limit)
        if t_last <= limit:
            s.out_x, s.out_t = last, t_last
            return s.seg_x, s.seg_t, s.rate
        # An arrival earlier than the line allows: the line was too high. Lower it, and squeeze this batch in.
        u = (last - s.x0) * self._tick_s
        s.offset_s = min(s.offset_s, (rx_mono_ns - s.m0) / NS_PER_S - u - s.slope * u)
        rate = max((limit - s.out_t) / (last - s.out_x), LEAST_RATE * s.rate_after)
        squeezed = s.out_x, s.out_t, rate
        t_last = s.out_t + round((last - s.out_x) * rate)
        s.seg_x, s.seg_t, s.rate = last, t_last, s.rate_after
        s.out_x, s.out_t = last, t_last
        return squeezed

    def snapshot(self) -> dict[str, Any]:
        """Plain JSON-able data; taken between updates, when ``dated`` and ``notes`` are empty."""
        held = [
            [
                b.t_dev_ticks.tolist(),
                b.seq,
                b.rx_mono_ns,
                b.rx_utc_ns,
                b.acc_mps2.tolist(),
                b.gyr_rps.tolist(),
                first,
                last,
            ]
            for b, first, last in self._held
        ]
        values = {name: getattr(self._s, name) for name in _State.__slots__}
        return {"state": values, "line": self._line.snapshot(), "held": held}

    def restore(self, state: dict[str, Any]) -> None:
        """Take `snapshot`'s data back."""
        self._s = _State(**state["state"])
        self._line.restore(state["line"])
        self._held = [
            (ImuBatch(np.array(t, np.int64), seq, mono, utc, np.array(acc, float), np.array(gyr, float)), first, last)
            for t, seq, mono, utc, acc, gyr, first, last in state["held"]
        ]
