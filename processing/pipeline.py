"""The whole chain for one sensor: clock, core, controls; records leave with ordinals that a restart reproduces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from processing import snapshot
from processing.alignment.capture import Guidance
from processing.alignment.static import Alignment
from processing.clock.notes import ClockNote
from processing.clock.stretch import StretchTimebase
from processing.clock.timebase import TimebaseParams
from processing.coaching.controls import COACH_CONTROLS, CoachControl, LogExercise
from processing.core import Core, CoreOutput, CoreSetup, Estimate
from processing.gaps import NOTHING
from processing.rules.study import Side, Study
from processing.types import NS_PER_S, ClockSpec, DeviceReport, ImuBatch, ImuStretch, Json, Record, Samples, TimedBatch

DEVICE_REPORT_S = 60
_OVER: Final = "The sensor is connected and sends data again."


@dataclass(frozen=True, slots=True)
class StreamSetup:
    """One sensor's stream: pseudonyms, how its clock counts, its nominal rate, the alignment at its start."""

    wearer: str
    sensor: str
    clock: ClockSpec
    seq_bits: int | None
    rate_hz: float
    alignment: Alignment
    estimate: Estimate = "online"


@dataclass(frozen=True, slots=True)
class CaptureNeutral:
    """The wearer (or the guided set-up) chose this pose as neutral; it starts now."""

    duration_s: float = 5.0


@dataclass(frozen=True, slots=True)
class CaptureMovement:
    """A movement of the guided set-up starts now and shows which way is forward; bows and tilts begin with a quiet second."""

    movement: Literal["bows", "pelvic_tilts", "walk"]
    duration_s: float = 12.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The wearer answered a prompt: done, not_now, snooze or stop.

    ``sensor`` is the one whose prompt it was and whose pipeline tells it (empty: this one); exercise and dose are the
    prompt's, so that the others know what was done.
    """

    event_id: str
    answer: str
    sensor: str = ""
    exercise: str = ""
    side: Side = "both"
    sets: int = 1
    reps: int = 1


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """What the sensor or its link says of itself; None leaves the last value."""

    battery_percent: float | None = None
    rssi_dbm: float | None = None
    link: str | None = None
    rejected: int = 0
    firmware: str | None = None
    alarm: str | None = None  # what a person should do about the link; empty: nothing any more


Control: TypeAlias = CaptureNeutral | CaptureMovement | Answer | DeviceStatus | CoachControl


@dataclass(frozen=True, slots=True)
class Output:
    """Records in their final order, the first one's ordinal, and the samples behind the live page. ``parts``: what the core gave,
    with the final samples, steps and changes of posture.
    """

    first_ordinal: int
    records: list[Record]
    samples: Samples | None = None
    parts: tuple[CoreOutput, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What the sensor or its link said before batch ``row`` of a stretch (as many as it has: after all)."""

    row: int
    status: DeviceStatus
    t_utc_ns: int


class Pipeline:
    """See the module. Bit-identical for any grouping of batches and any snapshot and restore between them."""

    def __init__(self, setup: StreamSetup, study: Study, *, every_sample: bool = False) -> None:
        """``every_sample``: parts have the angles of all received samples (`Core`)."""
        self.setup = setup
        of_stream = CoreSetup(setup.wearer, setup.sensor, setup.rate_hz, setup.alignment, setup.estimate)
        self.core = Core(of_stream, study, every_sample=every_sample)
        self.timebase = StretchTimebase(TimebaseParams(), setup.clock, setup.seq_bits, setup.rate_hz)
        self._ordinal = 0
        self._received = 0
        self._rejected = 0
        self._status = DeviceStatus()
        self._report_due_ns = 0

    @property
    def posture(self) -> str | None:
        """Posture of the last judged second."""
        return self.core.posture

    def correct(self, corrections: Mapping[int, Alignment]) -> None:
        """Before the first batch: alignments by the instant from which they hold instead of what came into force then."""
        self.core.wearing.correct(corrections)

    @property
    def corrected(self) -> Sequence[int]:
        """Instants at which a correction came into force so far."""
        return self.core.wearing.corrected

    def guidance(self) -> Guidance | None:
        """How the running step of the guided set-up goes, None where none runs; only to look at."""
        return self.core.wearing.guidance()

    def update(self, batches: Sequence[ImuBatch]) -> Output:
        """Take decoded batches in the order of the journal."""
        self._received += len(batches)
        return self._dated(*self.timebase.update(batches))

    def update_stretch(self, stretch: ImuStretch, told: Sequence[Told] = ()) -> Output:
        """Minutes at once, for days derived again: `update` of the batches and `control` of what was ``told`` between them, in the
        order of rows. The records are the same; those of what was told come after the others, without samples for the eye.
        """
        timed, notes, dated = self.timebase.update_stretch(stretch, [t.row for t in told])
        self._note(notes)
        before, received = self.core.intake.counters.missing, self._received
        filled = NOTHING if timed is None else self.core.intake.update(timed)
        out = self.core.update_filled(filled) if timed is not None else CoreOutput([], None)
        records = out.records
        for t, samples in zip(told, dated, strict=True):
            seen_ns = None if timed is None or not samples else int(timed.t_utc_ns[samples - 1])
            holes = sum(gap.missing for gap in self.core.intake.found if seen_ns is not None and gap.to_ns <= seen_ns)
            self._received = received + t.row
            records = records + self._hear(t.status, t.t_utc_ns, before + holes)
        self._received = received + len(stretch.sizes)
        return self._number(records, None, out)

    def _note(self, notes: Sequence[ClockNote]) -> None:
        for note in notes:
            self.core.notices.add(note.t_utc_ns, "clock", {"kind": note.kind, **note.data})

    def _dated(self, timed: TimedBatch | None, notes: Sequence[ClockNote]) -> Output:
        self._note(notes)
        if timed is None or not len(timed):
            return self._number([])
        out = self.core.update(timed, live=True)
        return self._number(out.records, out.live, out)

    def control(self, control: Control, t_utc_ns: int) -> Output:
        """Take a journaled control that came between the batches."""
        records: list[Record] = []
        if isinstance(control, CaptureNeutral):
            self.core.capture("neutral", t_utc_ns, control.duration_s)
        elif isinstance(control, CaptureMovement):
            self.core.capture(control.movement, t_utc_ns, control.duration_s)
        elif isinstance(control, Answer):
            tell = control.sensor in ("", self.setup.sensor)
            done = LogExercise(control.exercise, control.side, control.sets, control.reps, control.event_id, tell)
            records += self.core.coach.answer(t_utc_ns, control.event_id, control.answer, done)
        elif isinstance(control, COACH_CONTROLS):
            records += self.core.coach.control(control, t_utc_ns)
        else:
            records += self._hear(control, t_utc_ns, self.core.intake.counters.missing)
        return self._number(records)

    def finish(self) -> Output:
        """The recording ends: close everything that waits for later data."""
        held = self._dated(*self.timebase.finish())
        out = self.core.finish()
        last = self._number(out.records)
        return Output(held.first_ordinal, held.records + last.records, parts=(*held.parts, out))

    def _hear(self, status: DeviceStatus, t_utc_ns: int, missing: int) -> list[Record]:
        """What a sensor says of itself comes to; nothing else depends on it. ``missing``: samples up to then."""
        records: list[Record] = []
        s = self._status
        self._rejected += status.rejected
        self._status = DeviceStatus(
            s.battery_percent if status.battery_percent is None else status.battery_percent,
            s.rssi_dbm if status.rssi_dbm is None else status.rssi_dbm,
            s.link if status.link is None else status.link,
            firmware=s.firmware if status.firmware is None else status.firmware,
        )
        if status.alarm is not None:
            outcome = "alarm" if status.alarm else "over"
            data: dict[str, Json] = {"outcome": outcome, "link": self._status.link, "text": status.alarm or _OVER}
            records.append(self.core.notices.event(t_utc_ns, "link", data))
        # A changed link is told at once, the rest once a minute.
        if status.link is not None or t_utc_ns >= self._report_due_ns:
            self._report_due_ns = t_utc_ns + DEVICE_REPORT_S * NS_PER_S
            records.append(self._device_report(t_utc_ns, missing))
        return records

    def _device_report(self, t_utc_ns: int, missing: int) -> DeviceReport:
        return DeviceReport(
            t_utc_ns,
            self._status.battery_percent,
            self._status.rssi_dbm,
            self.setup.rate_hz,
            self._received,
            missing,
            self._rejected,
            self._status.link,
            self._status.firmware,
        )

    def _number(self, records: list[Record], samples: Samples | None = None, *parts: CoreOutput) -> Output:
        first = self._ordinal
        self._ordinal += len(records)
        return Output(first, records, samples, parts)

    def snapshot(self) -> bytes:
        """All state; see `restore`."""
        s = self._status
        state = {
            "timebase": self.timebase.snapshot(),
            "core": self.core.snapshot(),
            "counts": [self._ordinal, self._received, self._rejected, self._report_due_ns],
            "status": [s.battery_percent, s.rssi_dbm, s.link, s.firmware],
        }
        return snapshot.dump(state)

    def restore(self, blob: bytes) -> None:
        """Continue where `snapshot` was taken, in a pipeline of the same setup."""
        state = snapshot.load(blob)
        self.timebase.restore(state["timebase"])
        self.core.restore(state["core"])
        self._ordinal, self._received, self._rejected, self._report_due_ns = state["counts"]
        battery_percent, rssi_dbm, link, firmware = state["status"]
        self._status = DeviceStatus(battery_percent, rssi_dbm, link, firmware=firmware)
