"""What travels between the stages: frozen, slotted dataclasses with the unit in every name.

Axes: sensor frame S as the driver declares it (right-handed); pelvis frame P by ISB (X anterior, Y superior, Z right);
earth frame E with z up and an arbitrary heading. A quaternion ``q_es`` turns S into E, scalar first.
Missing is ``None`` (in arrays: NaN), never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

F64: TypeAlias = NDArray[np.float64]
I64: TypeAlias = NDArray[np.int64]
Bool: TypeAlias = NDArray[np.bool_]

NS_PER_S: Final = 1_000_000_000
GRAVITY_MPS2: Final = 9.80665

POSTURES: Final = ("lying", "sitting", "standing", "walking", "running", "stairs", "unknown", "not_worn")
"""Postures in the order of their codes: ``POSTURES[code]``. Codes are stored nowhere; names are."""
POSTURE_CODE: Final[Mapping[str, int]] = {name: code for code, name in enumerate(POSTURES)}

Scalar: TypeAlias = str | int | float | bool | None
Json: TypeAlias = "Scalar | list[Json] | dict[str, Json]"
"""What an event's data may hold: plain JSON, so that it can be stored, sent, hashed and recomputed."""


@dataclass(frozen=True, slots=True)
class ImuBatch:
    """Consecutive samples of one sensor as its driver decoded them, before any clock is trusted.

    ``acc_mps2`` is specific force (n, 3) [m/s²] (+g along the axis that points up at rest), ``gyr_rps`` (n, 3) [rad/s],
    both in the sensor frame. ``t_dev_ticks`` (n,) is the device time of each sample in ticks of `ClockSpec.tick_ns`,
    raw (it may wrap); ``seq`` numbers the first sample (it may wrap) or is None where the device does not count.
    """

    t_dev_ticks: I64
    seq: int | None
    rx_mono_ns: int
    rx_utc_ns: int
    acc_mps2: F64
    gyr_rps: F64


@dataclass(frozen=True, slots=True)
class ImuStretch:
    """Batches that came one after the other, in arrays: n samples of m batches of `ImuBatch`.

    ``t_dev_ticks`` (n,), ``acc_mps2`` and ``gyr_rps`` (n, 3) of all samples; ``sizes`` (m,) samples of each batch, never 0;
    ``rx_mono_ns`` and ``rx_utc_ns`` (m,) their arrivals; ``seq`` (m,) their numbers, None where the device does not count.
    """

    t_dev_ticks: I64
    sizes: I64
    rx_mono_ns: I64
    rx_utc_ns: I64
    acc_mps2: F64
    gyr_rps: F64
    seq: NDArray[np.integer] | None = None


LateClock: TypeAlias = Literal["sensor", "gateway", "utc"]
"""Whose time the ticks of samples that came late are: the sensor's, as in the stream; or ns, of the gateway's monotonic clock
or of UTC."""


@dataclass(frozen=True, slots=True)
class ClockSpec:
    """How a driver's device time counts: nanoseconds per tick, bits before it wraps (None: never), and whether it is
    UTC already (``absolute``, as in a replayed recording).
    """

    tick_ns: int
    bits: int | None
    absolute: bool = False


@dataclass(frozen=True, slots=True)
class TimedBatch:
    """Samples on UTC: ``t_utc_ns`` (n,) strictly increasing; ``acc_mps2``, ``gyr_rps`` (n, 3) in the sensor frame."""

    t_utc_ns: I64
    acc_mps2: F64
    gyr_rps: F64

    def __len__(self) -> int:
        return len(self.t_utc_ns)


@dataclass(frozen=True, slots=True)
class Samples:
    """Per-sample results: what `samples.parquet` holds and what the live page draws. NaN where there is no value."""

    t_utc_ns: I64
    q_es: F64
    anterior_tilt_deg: F64
    obliquity_deg: F64
    valid: Bool


@dataclass(frozen=True, slots=True)
class SecondBlock:
    """Samples of m complete UTC seconds, the unit in which context is judged.

    ``second`` (m,) UTC seconds; the samples of second i are rows ``start[i]:start[i + 1]`` of the arrays below.
    ``acc_p_mps2``, ``gyr_p_rps``, ``up_p`` (n, 3): specific force, angular rate and the unit vector that points up, all
    in pelvis axes; ``acc_up_mps2`` (n,): vertical acceleration with gravity removed. Only complete seconds come, each once
    and in order, and every update gives the same result however they are grouped. ``gap_before`` (m,) is true where the
    signal was interrupted since the previous second (`gaps.py`); ``clipped`` (m,) where readings stood at the end of their
    range now or shortly before (`clipping.py`), None for nowhere. A row is a sample or a group of them (`grouping.py`), of which
    ``share`` (n,) was received, None for all; ``rate_hz`` is that of rows.
    """

    second: I64
    start: I64
    t_utc_ns: I64
    acc_p_mps2: F64
    gyr_p_rps: F64
    up_p: F64
    acc_up_mps2: F64
    anterior_tilt_deg: F64
    obliquity_deg: F64
    valid: Bool
    gap_before: Bool
    rate_hz: float
    clipped: Bool | None = None
    share: F64 | None = None

    @property
    def count(self) -> I64:
        """Rows of each second (m,)."""
        return self.start[1:] - self.start[:-1]


@dataclass(frozen=True, slots=True)
class ContextBlock:
    """Context of the same m seconds: posture codes (`POSTURES`) with confidence 0..1."""

    posture: NDArray[np.int8]
    confidence: F64


@dataclass(frozen=True, slots=True)
class Metric:
    """One second: the `metric` record (InfluxDB measurement `tilt`). ``t_utc_ns`` is the second's start."""

    t_utc_ns: int
    anterior_tilt_deg: float | None
    obliquity_deg: float | None
    tilt_uncertainty_deg: float | None
    posture: str
    posture_confidence: float
    coverage: float
    quality: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """One minute: the `epoch` record. Tilt statistics leave lying and not worn out."""

    t_utc_ns: int
    tilt_mean_deg: float | None
    tilt_median_deg: float | None
    tilt_p5_deg: float | None
    tilt_p95_deg: float | None
    tilt_sd_deg: float | None
    lying_s: int
    sitting_s: int
    standing_s: int
    walking_s: int
    running_s: int
    stairs_s: int
    unknown_s: int
    not_worn_s: int
    dose_deg_min: float | None
    coverage: float
    wear: float
    shifts: int | None = None
    transfers: int | None = None
    since_change_s: float | None = None


@dataclass(frozen=True, slots=True)
class RuleEpoch:
    """Ten seconds on the UTC grid, k = floor(t / 10 s): the integer input of the rules (`algorithms` page, flags).

    Tilt and obliquity in millidegrees, relative to the wearer's neutral, None where no rule could use them;
    ``coverage_permille`` valid samples of those expected; ``confidence_permille`` of the posture; ``settling`` while the
    filter finds itself again after a gap;
    ``shaken_permille`` share of seconds in which a vehicle seems to shake the sitting wearer (`shaking.py`).
    """

    k: int
    coverage_permille: int
    posture: str
    confidence_permille: int
    tilt_mdeg: int | None
    abs_obliquity_mdeg: int | None
    settling: bool
    mount_id: str
    alignment_id: str
    shaken_permille: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, with everything needed to recompute it in ``data``.

    ``event_id`` is deterministic: the same input and configuration give the same id. ``type`` is one of
    `dictionary.EVENT_TYPES`; ``rule`` names the rule behind a flag, episode, prompt or suppression.
    """

    t_utc_ns: int
    event_id: str
    type: str
    rule: str | None
    data: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """A sensor's own state: the `device` record."""

    t_utc_ns: int
    battery_percent: float | None = None
    rssi_dbm: float | None = None
    rate_hz: float | None = None
    frames_received: int | None = None
    frames_lost: int | None = None
    frames_rejected: int | None = None
    link: str | None = None
    firmware: str | None = None


Record: TypeAlias = Metric | Epoch | Event | DeviceReport
KIND_OF: Final[Mapping[type, str]] = {Metric: "metric", Epoch: "epoch", Event: "event", DeviceReport: "device"}
"""The record kinds as they appear in topics, stores and exports."""
