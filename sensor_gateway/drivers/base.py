"""The driver interface: bytes in, SI units out, no radio and no clock.

A driver is a pure parser. `feed` takes one notification's bytes and gives what it holds; it never raises on bad bytes,
it returns `Rejected` with a reason. The transport (`ble.py`, `synthetic.py`, `replay.py`) owns the connection and
carries out the steps that `start` and `stop` return. Journaled payloads are fed through the same driver on replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from processing.alignment.static import Alignment
from processing.types import I64, ClockSpec, ImuBatch, ImuStretch, LateClock
from sensor_gateway.clock import Clock
from sensor_gateway.config import Sensor


@dataclass(frozen=True, slots=True)
class Battery:
    """Charge in percent as the sensor reports it."""

    percent: float


@dataclass(frozen=True, slots=True)
class Rejected:
    """Bytes that could not be decoded, with a reason a person understands. Counted, never raised."""

    reason: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class EndOfStream:
    """The recording behind a replay has ended; nothing will follow."""


@dataclass(frozen=True, slots=True)
class Late:
    """Samples that the sensor had kept and sent on request, after newer ones. The live records pass them over, so that
    nothing told is told anew; the retro derivation puts them where they belong.

    ``clock``: whose time ``t_dev_ticks`` are. Where the sensor's record has another clock than its stream has, the driver has
    dated the samples itself, in nanoseconds of the gateway's monotonic clock or of UTC.
    """

    batch: ImuBatch
    clock: LateClock = "sensor"


Decoded: TypeAlias = ImuBatch | Late | Battery | Rejected | EndOfStream


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a device can do; shared code branches on this, never on a driver's name."""

    clock: ClockSpec
    seq_bits: int | None
    rate_hz: float
    batch_max: int
    backfill: bool = False
    needs_bond: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One write of a start or stop sequence: where, what, how long to wait for its acknowledgement, and how long to leave
    the sensor alone afterwards (a module that loses a command sent too soon after another acknowledges both).
    """

    uuid: str
    payload: bytes
    timeout_s: float = 5.0
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Advert:
    """What an advertisement says, free of any radio library."""

    address: str
    name: str | None
    service_uuids: Sequence[str]
    manufacturer_data: dict[int, bytes]
    rssi_dbm: int | None


class Driver(Protocol):
    """A device's protocol. Implementations hold only reassembly state, which `reset` clears on a disconnect."""

    id: ClassVar[str]
    version: ClassVar[int]

    @property
    def capabilities(self) -> Capabilities: ...
    def match(self, advert: Advert) -> float:
        """Confidence 0..1 that this advertisement comes from such a device."""
        ...

    def notify_uuids(self) -> Sequence[str]:
        """Characteristics to subscribe to, in order."""
        ...

    def start(self) -> Sequence[Step]: ...
    def stop(self) -> Sequence[Step]: ...
    def feed(self, uuid: str, payload: bytes, rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]: ...
    def reset(self) -> None: ...
    def snapshot(self) -> dict[str, int]:
        """Reassembly state as plain numbers (empty for a stateless parser)."""
        ...

    def restore(self, state: dict[str, int]) -> None: ...


@runtime_checkable
class StartsWithTime(Protocol):
    """A driver whose sensor has a clock that can be set: started by this sequence instead of `Driver.start`."""

    def start_at(self, utc_ns: int) -> Sequence[Step]: ...


@runtime_checkable
class Polled(Protocol):
    """A driver whose sensor tells something only when asked: `poll` is written every ``poll_s`` while it streams."""

    poll_s: ClassVar[float]

    def poll(self) -> Sequence[Step]: ...


@runtime_checkable
class Fetches(Protocol):
    """A driver whose sensor buffers what the radio could not carry: `fetch` gives what to write now to get more of it.

    The session asks its own copy of the driver, which has heard every payload so far: about four times a second while
    samples stream. Empty: nothing to fetch, or the last answer is still awaited. Answers come as payloads like all others.
    Time between two calls belongs to live data, so ask for small portions.
    """

    def fetch(self, now_mono_ns: int) -> Sequence[Step]: ...


class Received(NamedTuple):
    """One payload as it came off a transport, and as the journal keeps it. A tuple: a day has nearly a million."""

    uuid: str
    payload: bytes
    rx_mono_ns: int
    rx_utc_ns: int


@runtime_checkable
class DecodesMany(Protocol):
    """A driver that decodes a stretch of payloads in less time than one by one, and to the same."""

    def feed_many(self, received: Sequence[Received]) -> list[list[Decoded]]: ...


class FramesRead(NamedTuple):
    """What payloads in a row gave: a batch each, and before those of some rows a battery level."""

    samples: ImuStretch
    battery: Sequence[tuple[int, Battery]]


@runtime_checkable
class DecodesFrames(Protocol):
    """A driver that decodes payloads of one length at once, where they are what its sensor nearly always sends."""

    def feed_frames(self, uuid: str, payloads: NDArray[np.uint8], rx_mono_ns: I64, rx_utc_ns: I64) -> FramesRead | None:
        """What `Driver.feed` gives for each row of ``payloads`` (m, width), m not 0; None, and nothing fed, unless each gives a
        batch and at most its battery level.
        """
        ...


def decode_many(driver: Driver, received: Sequence[Received]) -> list[list[Decoded]]:
    """What `Driver.feed` gives for each payload of a stretch, in order."""
    if isinstance(driver, DecodesMany):
        return driver.feed_many(received)
    return [driver.feed(r.uuid, r.payload, r.rx_mono_ns, r.rx_utc_ns) for r in received]


class Sink(Protocol):
    """Where a transport puts what it received; awaiting it is the back-pressure when the runner is behind."""

    async def __call__(self, received: list[Received], /) -> None: ...


class Transport(Protocol):
    """Payloads of one sensor, however they come: radio, simulation, recording.

    `run` delivers until it is cancelled, or returns after an `EndOfStream` where the source has an end. Payloads go to
    ``sink`` in order, several at once where the source is faster than the runner; ``on_link`` hears each new state of the
    connection (`radio.states`), and the same state again where `HasTelemetry` has something new. The payloads are decoded by
    ``driver``, which the runner feeds: the transport never parses what it hands over.
    """

    driver: Driver

    async def run(self, sink: Sink, on_link: Callable[[str], None]) -> None: ...


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What a link knows besides its state; None while unknown. ``alarm``: what a person should do, empty for nothing."""

    rssi_dbm: int | None = None
    firmware: str | None = None
    alarm: str = ""


@runtime_checkable
class HasTelemetry(Protocol):
    """A source that hears its sensor over the air."""

    def telemetry(self) -> Telemetry: ...


@runtime_checkable
class WornAs(Protocol):
    """A source that knows how its sensor was worn: a recording with a stated neutral pose."""

    alignment: Alignment | None


def worn_as(transport: Transport) -> Alignment | None:
    """The alignment a source brings along, if it knows one."""
    return transport.alignment if isinstance(transport, WornAs) else None


@dataclass(frozen=True, slots=True)
class TransportContext:
    """What a transport needs besides its sensor's settings.

    ``start_after_utc_ns``: the journal already holds this sensor's data up to here, so a simulation or recording
    goes on after it. ``on_progress`` hears the done share (0..1) of work that is longer than a moment.
    ``journaled``: this wearer's newest payloads in the journal as the driver of this name read them, so that a hole that an
    earlier run left can be closed.
    """

    clock: Clock
    start_after_utc_ns: int | None = None
    on_progress: Callable[[float], None] | None = None
    journaled: Callable[[str], Iterable[Received]] | None = None


TransportFactory: TypeAlias = "Callable[[Sensor, TransportContext], Transport]"
"""What an entry point of the group `tiltline.drivers` resolves to."""
