"""The journal in long stretches: minutes of payloads in arrays go through driver, clock and core at once, to the same records.

What `derive.Deriver` does entry by entry and from one control to the next, for days derived again. A report of the device, which
the gateway writes each minute, changes nothing that is computed, so a stretch goes on over it. What a driver cannot read in
arrays it reads payload by payload, and the stretch goes on all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from processing.clock.steady import joined
from processing.pipeline import DeviceStatus, Output, Told
from processing.types import ImuBatch, ImuStretch
from sensor_gateway import controls
from sensor_gateway.derive import BROKEN, Deriver
from sensor_gateway.drivers.base import Battery, DecodesFrames, Driver, EndOfStream, FramesRead, Rejected, decode_many
from sensor_gateway.spool.block import Frames, Logged, entries_of
from sensor_gateway.spool.journal import CONTROL

_STRETCH_BYTES: Final = 960_000
"""Of payloads and their stamps: ten minutes at 100 Hz, beyond which nothing more is gained but memory."""
_STAMP_BYTES: Final = 20


def long_stretches(frames: Iterable[Frames], span: range, most: int = _STRETCH_BYTES) -> Iterator[list[Frames]]:
    """Entries of ``span`` in order, some minutes at a time: about ``most`` bytes of payloads and their stamps."""
    held: list[Frames] = []
    size = 0
    for part in frames:
        if part.first_seq >= span.stop:
            break
        mine = part.within(span)
        if not len(mine):
            continue
        held.append(mine)
        size += mine.payloads.size + _STAMP_BYTES * len(mine)
        if size >= most:
            yield held
            held, size = [], 0
    if held:
        yield held


def feed_frames(driver: Driver, alike: Sequence[Frames]) -> FramesRead | None:
    """What a driver gives for entries of one kind; None, and nothing fed, unless it reads them in arrays."""
    if not isinstance(driver, DecodesFrames):
        return None
    payloads = np.concatenate([f.payloads for f in alike])
    mono, utc = np.concatenate([f.rx_mono_ns for f in alike]), np.concatenate([f.rx_utc_ns for f in alike])
    return driver.feed_frames(alike[0].uuid, payloads, mono, utc)


class LongDeriver(Deriver):
    """A `Deriver` that also takes entries in arrays."""

    def feed_frames(self, stretch: Iterable[Frames]) -> list[Output]:
        """As `feed`; within what is computed at once, what the device said of itself comes after the other records."""
        out: list[Output] = []
        run = _Run()
        waiting: list[Frames] = []  # of one kind
        said: list[Told] = []  # between their payloads
        for frames in stretch:
            if frames.source == CONTROL:
                for entry in entries_of(frames):
                    status = _status(entry)
                    if status is not None and status.link not in BROKEN:
                        said.append(Told(sum(map(len, waiting)), status, entry.received.rx_utc_ns))
                        continue
                    self._read(waiting, said, run, out)
                    waiting, said = [], []
                    self._run(run, out)
                    self._control(entry, out)
            elif frames.source.driver != self._driver.id:
                self.unreadable += len(frames)
            else:
                if waiting and not waiting[0].alike(frames):
                    self._read(waiting, said, run, out)
                    waiting, said = [], []
                waiting.append(frames)
        self._read(waiting, said, run, out)
        self._run(run, out)
        return out

    def _read(self, waiting: Sequence[Frames], said: Sequence[Told], run: _Run, out: list[Output]) -> None:
        """Payloads of one kind, and what was said before some of them (`Told.row`), into the run."""
        if not waiting:
            run.told += [Told(run.rows, t.status, t.t_utc_ns) for t in said]
            return
        read = feed_frames(self._driver, waiting)
        if read is not None:
            utc = read.samples.rx_utc_ns
            levels = [Told(row, _level(battery), int(utc[row])) for row, battery in read.battery]
            told = sorted([*said, *levels], key=lambda t: t.row)  # a level stands in the payload of its row
            run.told += [Told(run.rows + t.row, t.status, t.t_utc_ns) for t in told]
            run.add(read.samples)
        elif len(waiting) == 1:
            self._read_entries(entries_of(waiting[0]), said, run, out)
        else:
            half = len(waiting) // 2
            first = sum(map(len, waiting[:half]))
            later = [Told(t.row - first, t.status, t.t_utc_ns) for t in said if t.row > first]
            self._read(waiting[:half], [t for t in said if t.row <= first], run, out)
            self._read(waiting[half:], later, run, out)

    def _read_entries(self, entries: Sequence[Logged], said: Sequence[Told], run: _Run, out: list[Output]) -> None:
        received = [entry.received for entry in entries]
        due = list(said)
        for row, (r, items) in enumerate(zip(received, decode_many(self._driver, received), strict=True)):
            while due and due[0].row <= row:
                run.tell(due[0].status, due.pop(0).t_utc_ns)
            for item in items:
                if isinstance(item, ImuBatch):
                    if not len(item.t_dev_ticks):  # nothing but the count of payloads
                        self._run(run, out)
                        self._batches.append(item)
                        self._flush(out)
                    else:
                        run.batches.append(item)
                elif isinstance(item, Battery):
                    run.tell(_level(item), r.rx_utc_ns)
                elif isinstance(item, Rejected):
                    run.tell(DeviceStatus(rejected=1), r.rx_utc_ns)
                elif isinstance(item, EndOfStream):
                    self._run(run, out)
                    self._end(out)
        for t in due:
            run.tell(t.status, t.t_utc_ns)

    def _run(self, run: _Run, out: list[Output]) -> None:
        """Compute what is gathered, and empty it."""
        stretch, told = run.take()
        if stretch is not None:
            self._ended = False
            out.append(self._pipeline.update_stretch(stretch, told))
        else:
            out.extend(self._pipeline.control(t.status, t.t_utc_ns) for t in told)


class _Run:
    """Batches that are computed at once, and what was said between them."""

    def __init__(self) -> None:
        self.batches: list[ImuBatch] = []  # the newest, read one by one
        self.told: list[Told] = []
        self._stretches: list[ImuStretch] = []
        self._rows = 0  # of the stretches

    @property
    def rows(self) -> int:
        """Batches so far."""
        return self._rows + len(self.batches)

    def tell(self, status: DeviceStatus, t_utc_ns: int) -> None:
        """Something said after all batches so far."""
        self.told.append(Told(self.rows, status, t_utc_ns))

    def add(self, stretch: ImuStretch) -> None:
        """More batches."""
        self._pack()
        self._stretches.append(stretch)
        self._rows += len(stretch.sizes)

    def _pack(self) -> None:
        stretch, self.batches = joined(self.batches), []
        if stretch is not None:
            self._stretches.append(stretch)
            self._rows += len(stretch.sizes)

    def take(self) -> tuple[ImuStretch | None, list[Told]]:
        """All of it (None: no batch); it is empty afterwards."""
        self._pack()
        stretches, told = self._stretches, self.told
        self.told, self._stretches, self._rows = [], [], 0
        return _in_a_row(stretches), told


def _in_a_row(stretches: Sequence[ImuStretch]) -> ImuStretch | None:
    if len(stretches) < 2:
        return stretches[0] if stretches else None
    numbers = [s.seq for s in stretches if s.seq is not None]
    return ImuStretch(
        np.concatenate([s.t_dev_ticks for s in stretches]),
        np.concatenate([s.sizes for s in stretches]),
        np.concatenate([s.rx_mono_ns for s in stretches]),
        np.concatenate([s.rx_utc_ns for s in stretches]),
        np.concatenate([s.acc_mps2 for s in stretches]),
        np.concatenate([s.gyr_rps for s in stretches]),
        np.concatenate(numbers) if len(numbers) == len(stretches) else None,
    )


def _level(battery: Battery) -> DeviceStatus:
    return DeviceStatus(battery_percent=battery.percent)


def _status(entry: Logged) -> DeviceStatus | None:
    """What the device said, if it is that."""
    try:
        control = controls.decode(entry.received)
    except controls.ControlError:
        return None
    return control if isinstance(control, DeviceStatus) else None
