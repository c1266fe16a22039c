"""A recording as a live sensor, at any speed: what `tiltline replay` runs, and how real data reach the whole chain in tests.

The payload is our own and lossless, little-endian: ``"TLRP"``, version u8 (1), kind u8 (0 data, 1 end), n u16, number of the
first sample u32, crc32 u32 of all other bytes; then int64 UTC times [ns] of n samples, n x 3 float64 specific force [m/s²] and
n x 3 float64 angular rate [rad/s]. A replay therefore gives exactly what the recording itself gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import ClassVar, Final
from zlib import crc32

import numpy as np

from processing.alignment.static import Alignment
from processing.types import F64, I64, NS_PER_S, ClockSpec, ImuBatch
from sensor_gateway.config import ConfigError, Sensor
from sensor_gateway.drivers.base import (
    Advert,
    Capabilities,
    Decoded,
    EndOfStream,
    Received,
    Rejected,
    Sink,
    Step,
    TransportContext,
)
from sensor_gateway.drivers.options import option_error, read_options, time_option
from sensor_gateway.recording.alignment import align_recording, neutral_span_s
from sensor_gateway.recording.recording import Recording, RecordingError, read_recording

UUID: Final = "replay"
MAGIC: Final = b"TLRP"
VERSION: Final = 1
BATCH_MAX: Final = 0xFFFF
_DATA, _END = 0, 1
_HEADER: Final = Struct("<4sBBHI")
_CRC: Final = Struct("<I")
_BODY_AT: Final = _HEADER.size + _CRC.size
_SAMPLE_BYTES: Final = 56
_GROUP_SAMPLES: Final = 10_000
"""Samples handed over at once where nothing is waited for."""


def encode(seq: int, t_utc_ns: I64, acc_mps2: F64, gyr_rps: F64) -> bytes:
    """One payload of samples ``seq`` …: times (n,), acc and gyr (n, 3), 1 to 65535 samples (else ValueError)."""
    n = len(t_utc_ns)
    if not 1 <= n <= BATCH_MAX:
        raise ValueError(f"{n} samples do not fit a payload; give 1 to {BATCH_MAX}")
    body = b"".join(
        (
            np.ascontiguousarray(t_utc_ns, "<i8").tobytes(),
            np.ascontiguousarray(acc_mps2, "<f8").tobytes(),
            np.ascontiguousarray(gyr_rps, "<f8").tobytes(),
        )
    )
    return _sealed(_HEADER.pack(MAGIC, VERSION, _DATA, n, seq & 0xFFFFFFFF), body)


def encode_end(seq: int) -> bytes:
    """The payload that ends a recording of ``seq`` samples."""
    return _sealed(_HEADER.pack(MAGIC, VERSION, _END, 0, seq & 0xFFFFFFFF), b"")


def _sealed(header: bytes, body: bytes) -> bytes:
    return header + _CRC.pack(crc32(body, crc32(header))) + body


class ReplayDriver:
    """Parser of replay payloads; stateless."""

    id: ClassVar[str] = "replay"
    version: ClassVar[int] = 1

    def __init__(self, rate_hz: float = 100.0, batch: int = 50) -> None:
        self._capabilities = Capabilities(ClockSpec(tick_ns=1, bits=None, absolute=True), 32, rate_hz, batch)

    @property
    def capabilities(self) -> Capabilities:
        """Times are UTC nanoseconds already."""
        return self._capabilities

    def match(self, advert: Advert) -> float:  # noqa: ARG002 - the interface's argument; no radio has this profile
        """Nothing on the air is a recording."""
        return 0.0

    def notify_uuids(self) -> Sequence[str]:
        """The name its payloads carry in the journal."""
        return (UUID,)

    def start(self) -> Sequence[Step]:
        """Nothing to write."""
        return ()

    def stop(self) -> Sequence[Step]:
        """Nothing to write."""
        return ()

    def reset(self) -> None:
        """Nothing to forget."""

    def snapshot(self) -> dict[str, int]:
        """No state."""
        return {}

    def restore(self, state: dict[str, int]) -> None:
        """No state."""

    def feed(self, uuid: str, payload: bytes, rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        """Decode one payload; `Rejected` with the reason where it is damaged or not one."""
        if uuid != UUID:
            return [Rejected(f"{uuid} carries no recording", payload)]
        if len(payload) < _BODY_AT:
            return [Rejected(f"{len(payload)} bytes; a replay payload has at least {_BODY_AT}", payload)]
        magic, version, kind, n, seq = _HEADER.unpack_from(payload)
        if magic != MAGIC or version != VERSION:
            return [
                Rejected(f"starts with {magic!r} version {version}; version {VERSION} of {MAGIC!r} is known", payload)
            ]
        if kind not in {_DATA, _END} or (kind == _DATA) != (n > 0):
            return [Rejected(f"kind {kind} with {n} samples is not in version {VERSION}", payload)]
        if len(payload) != _BODY_AT + n * _SAMPLE_BYTES:
            need = _BODY_AT + n * _SAMPLE_BYTES
            return [Rejected(f"{len(payload)} bytes, but {n} samples need {need}", payload)]
        (crc,) = _CRC.unpack_from(payload, _HEADER.size)
        if crc32(payload[_BODY_AT:], crc32(payload[: _HEADER.size])) != crc:
            return [Rejected(f"checksum {crc:08x} does not fit the bytes", payload)]
        if kind == _END:
            return [EndOfStream()]
        t = np.frombuffer(payload, "<i8", n, _BODY_AT)
        values = np.frombuffer(payload, "<f8", 6 * n, _BODY_AT + 8 * n)
        return [
            ImuBatch(
                t.astype(np.int64, copy=False),
                seq,
                rx_mono_ns,
                rx_utc_ns,
                values[: 3 * n].reshape(n, 3),
                values[3 * n :].reshape(n, 3),
            )
        ]


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """Options of a `replay` sensor.

    ``path`` of the recording, ``start`` (ISO 8601) the UTC time of its t_s = 0, ``speed`` 1 for real time and 0 for as fast as
    the gateway takes it, ``batch`` samples a payload, ``neutral`` ("T0:T1", seconds) when the wearer stood quietly in the
    neutral pose: tilt is relative to it from the start, as in `tiltline process --neutral`.
    """

    path: str
    start: str = ""
    speed: float = 0.0
    batch: int = 50
    neutral: str = ""


class ReplaySensor:
    """See the module. Reads the recording at once: raises `ConfigError` where an option or the file cannot be used.

    A payload counts as received at the time of its last sample, and ``start_after_utc_ns`` goes on with the first
    sample after it, so a journal that ends anywhere is continued without loss or repetition.
    """

    def __init__(self, sensor: Sensor, context: TransportContext) -> None:
        if "path" not in sensor.options:
            raise option_error(sensor, "path", "", 'name the recording, e.g. path = "walk.parquet"')
        options = read_options(sensor, ReplayOptions)
        if not options.speed >= 0.0:
            raise option_error(sensor, "speed", options.speed, "give 1 for real time, 0 for no waiting")
        if not 1 <= options.batch <= BATCH_MAX:
            raise option_error(sensor, "batch", options.batch, f"give 1 to {BATCH_MAX} samples")
        try:
            self.recording: Recording = read_recording(Path(options.path), time_option(sensor, "start", options.start))
        except RecordingError as e:
            raise ConfigError(f"options of sensor {sensor.id!r}: key 'path': {e}") from None
        self.alignment = self._neutral(sensor, options.neutral)
        self.options = options
        self.driver = ReplayDriver(self.recording.rate_hz, options.batch)
        self._clock, self._progress = context.clock, context.on_progress
        after_ns = context.start_after_utc_ns
        self._next = 0 if after_ns is None else int(np.searchsorted(self.recording.t_utc_ns, after_ns, side="right"))

    def _neutral(self, sensor: Sensor, window: str) -> Alignment | None:
        if not window:
            return None
        try:
            return align_recording(self.recording, sensor.mount, neutral_span_s(window)).alignment
        except ValueError as e:
            raise option_error(sensor, "neutral", window, str(e)) from None

    async def run(self, sink: Sink, on_link: Callable[[str], None]) -> None:  # noqa: ARG002 - a file has no link
        """Deliver what is left of the recording, then its end; see `Transport`. Goes on where an earlier run stopped."""
        times = self.recording.t_utc_ns
        if self._next < len(times):
            began_ns, zero_ns = self._clock.mono_ns(), int(times[self._next])
        while self._next < len(times):
            if self.options.speed:
                waited_ns = round((self._clock.mono_ns() - began_ns) * self.options.speed)
                last = min(self._next + self.options.batch, len(times)) - 1
                ahead_ns = int(times[last]) - zero_ns - waited_ns
                if ahead_ns > 0:
                    await self._clock.sleep(ahead_ns / NS_PER_S / self.options.speed)
                    continue
                due = int(np.searchsorted(times, zero_ns + waited_ns, side="right"))
            else:
                due = len(times)
            stop = min(due, self._next + max(_GROUP_SAMPLES, self.options.batch))
            received, reached = self._payloads(stop)
            await sink(received)
            self._next = reached
            if self._progress is not None:
                self._progress(self._next / len(times))
            await self._clock.sleep(0)  # let the rest of the gateway run between groups
        end_ns = int(times[-1])
        await sink([Received(UUID, encode_end(len(times)), end_ns, end_ns)])

    def _payloads(self, stop: int) -> tuple[list[Received], int]:
        """Whole payloads of the samples before ``stop`` (the recording's last may be short), and where they end."""
        r, out, lo = self.recording, list[Received](), self._next
        while lo < stop:
            hi = min(lo + self.options.batch, len(r.t_utc_ns))
            if hi > stop:
                break
            at = int(r.t_utc_ns[hi - 1])
            payload = encode(lo, r.t_utc_ns[lo:hi], r.acc_mps2[lo:hi], r.gyr_rps[lo:hi])
            out.append(Received(UUID, payload, at, at))
            lo = hi
        return out, lo
