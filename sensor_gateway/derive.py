"""From journal entries to records: driver and pipeline of one sensor, fed live by the runner and again by a replay.

What comes out depends on the entries alone, in any grouping: there is no clock here. Many payloads go into one pipeline
update, since a fast-forwarded day is 900,000 of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final

import msgspec

from processing.alignment.capture import Guidance
from processing.alignment.static import Alignment, align, parse_mount
from processing.pipeline import DeviceStatus, Output, Pipeline, StreamSetup
from processing.rules.study import Study, study_hash
from processing.types import ImuBatch
from sensor_gateway import controls
from sensor_gateway.config import Sensor
from sensor_gateway.drivers.base import Battery, Driver, EndOfStream, Received, Rejected, decode_many
from sensor_gateway.spool.block import Logged
from sensor_gateway.spool.journal import CONTROL

STATE: Final = 4
"""What a state means; 1 had no number. Raise it with every change of what driver or pipeline hold or compute: a state from before
is then refused and the journal computed again, instead of going on from numbers that meant something else.
"""

BROKEN: Final = ("searching", "connecting", "lost", "no_adapter")
"""Link states after which nothing continues what came before; a stalled link may."""


class SnapshotError(ValueError):
    """A snapshot of another version or configuration; the journal has to be replayed instead."""


class _State(msgspec.Struct, array_like=True):
    version: int
    pipeline: bytes
    driver: dict[str, int]
    ended: bool


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides what is computed from a sensor's journal, besides the journal."""

    setup: StreamSetup
    study: Study
    driver: Driver

    @property
    def hash(self) -> str:
        """Equal for equal results: 16 hex digits over set-up, study and driver."""
        what = {
            "setup": asdict(self.setup),
            "study": study_hash(self.study),
            "driver": [self.driver.id, self.driver.version],
        }
        return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:16]


def recipe(sensor: Sensor, study: Study, driver: Driver, worn: Alignment | None = None) -> Recipe:
    """A configured sensor's recipe, with its mount's nominal alignment until a neutral pose is captured or known.

    Raises `processing.alignment.static.AlignmentError` where the mount text cannot be read.
    """
    can = driver.capabilities
    alignment = worn or align(parse_mount(sensor.mount), None, given=False, mount_id="mount-1", t_utc_ns=0)
    setup = StreamSetup(
        sensor.wearer, sensor.id, can.clock, can.seq_bits, can.rate_hz, alignment, estimate=sensor.estimate
    )
    return Recipe(setup, study, driver)


class Deriver:
    """Driver and pipeline of one sensor between two journal entries. Not thread-safe."""

    def __init__(
        self, recipe: Recipe, corrections: Mapping[int, Alignment] | None = None, *, every_sample: bool = False
    ) -> None:
        """``corrections``: alignments by the instant from which they hold instead of what came into force then. ``every_sample``: as
        `processing.pipeline.Pipeline`.
        """
        self._driver = recipe.driver
        self._driver.reset()
        self._pipeline = Pipeline(recipe.setup, recipe.study, every_sample=every_sample)
        self._pipeline.correct(corrections or {})
        self._batches: list[ImuBatch] = []
        self._ended = True  # nothing to finish yet
        self.unreadable = 0

    @property
    def posture(self) -> str | None:
        """Posture of the last judged second."""
        return self._pipeline.posture

    @property
    def corrected(self) -> Sequence[int]:
        """Instants at which a correction came into force so far."""
        return self._pipeline.corrected

    def guidance(self) -> Guidance | None:
        """How the running step of the guided set-up goes, None where none runs."""
        return self._pipeline.guidance()

    def feed(self, entries: Iterable[Logged]) -> list[Output]:
        """Take consecutive entries; the outputs in order."""
        out: list[Output] = []
        for source, entries_of in groupby(entries, attrgetter("source")):
            if source == CONTROL:
                for entry in entries_of:
                    self._control(entry, out)
            elif source.driver != self._driver.id:
                self.unreadable += sum(
                    1 for _ in entries_of
                )  # from before another driver was configured for this sensor
            else:
                self._payloads([entry.received for entry in entries_of], out)
        self._flush(out)
        return out

    def _payloads(self, received: Sequence[Received], out: list[Output]) -> None:
        for r, items in zip(received, decode_many(self._driver, received), strict=True):
            for item in items:
                if isinstance(item, ImuBatch):
                    self._batches.append(item)
                elif isinstance(item, Battery):
                    self._status(DeviceStatus(battery_percent=item.percent), r.rx_utc_ns, out)
                elif isinstance(item, Rejected):
                    self._status(DeviceStatus(rejected=1), r.rx_utc_ns, out)
                elif isinstance(item, EndOfStream):
                    self._end(out)

    def _flush(self, out: list[Output]) -> None:
        if self._batches:
            self._ended = False
            out.append(self._pipeline.update(self._batches))
            self._batches.clear()

    def _status(self, status: DeviceStatus, t_utc_ns: int, out: list[Output]) -> None:
        self._flush(out)
        out.append(self._pipeline.control(status, t_utc_ns))

    def _control(self, entry: Logged, out: list[Output]) -> None:
        self._flush(out)
        try:
            control = controls.decode(entry.received)
        except controls.ControlError:
            self.unreadable += 1
            return
        if isinstance(control, DeviceStatus) and control.link in BROKEN:
            self._driver.reset()  # a message begun on one connection never ends on the next
        out.append(self._pipeline.control(control, entry.received.rx_utc_ns))

    def _end(self, out: list[Output]) -> None:
        self._flush(out)
        if not self._ended:
            self._ended = True
            out.append(self._pipeline.finish())

    def snapshot(self) -> bytes:
        """State after the last entry fed."""
        return msgspec.msgpack.encode(_State(STATE, self._pipeline.snapshot(), self._driver.snapshot(), self._ended))

    def restore(self, blob: bytes) -> None:
        """Continue where `snapshot` was taken; raises `SnapshotError` where the bytes do not fit this version."""
        try:
            state = msgspec.msgpack.decode(blob, type=_State)
            if state.version != STATE:
                raise ValueError(f"written as version {state.version}, this Tiltline has {STATE}")
            self._pipeline.restore(state.pipeline)
            self._driver.restore(state.driver)
        except (msgspec.DecodeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as e:
            raise SnapshotError(f"snapshot cannot be restored ({type(e).__name__}: {e})") from e
        self._ended = state.ended
