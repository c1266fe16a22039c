"""A sensor's clock, a radio and a gateway, simulated for the timebase tests, with the truth beside every sample.

The radio delivers on connection events: a payload waits for the next event, sometimes for another (a retransmission),
sometimes for seconds (a stall), and never overtakes an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from processing.types import F64, I64, ClockSpec, ImuBatch

N = 10
RATE_HZ = 100.0
UTC0_NS = 1_790_000_000 * 10**9
MONO0_NS = 5_000 * 10**9
CLOCK = ClockSpec(tick_ns=1000, bits=48)


@dataclass(frozen=True)
class Stream:
    """Batches and, of each, the true UTC of its first sample [ns]."""

    batches: list[ImuBatch]
    truth_ns: I64

    def __add__(self, other: Stream) -> Stream:
        return Stream(self.batches + other.batches, np.concatenate([self.truth_ns, other.truth_ns]))

    def take(self, keep: F64 | I64) -> Stream:
        """A choice of the batches, in the order given."""
        return Stream([self.batches[i] for i in keep], self.truth_ns[keep])


@dataclass(frozen=True)
class Radio:
    """How payloads travel; times in seconds."""

    interval_s: float = 0.03
    retransmit: float = 0.1
    stall_every_s: float = 97.0
    stall_max_s: float = 2.0


@dataclass(frozen=True)
class Sensor:
    """How a sensor counts: rate error, start of its counters, and the clock they are counted on."""

    ppm: float = 40.0
    clock: ClockSpec = field(default=CLOCK)
    boot_s: float = 0.0  # true time of the clock's zero
    seq_bits: int = 16


def stream(
    start_s: float,
    duration_s: float,
    sensor: Sensor | None = None,
    radio: Radio | None = None,
    seed: int = 0,
    blackouts: tuple[tuple[float, float], ...] = (),
    keeps: bool = False,
) -> Stream:
    """Simulate; during a blackout (from, to) nothing arrives: samples are lost, or come at its end if the sensor ``keeps``."""
    sensor, radio = sensor or Sensor(), radio or Radio()
    rng = np.random.default_rng(seed)
    rate = 1.0 + sensor.ppm * 1e-6
    skip = round((start_s - sensor.boot_s) * RATE_HZ * rate)
    first = skip + N * np.arange(int(duration_s * RATE_HZ / N))
    true_s = sensor.boot_s + first / RATE_HZ / rate
    ready = true_s + (N - 1) / RATE_HZ / rate + 0.0005
    phase = rng.random() * radio.interval_s
    arrival = phase + np.ceil((ready - phase) / radio.interval_s) * radio.interval_s
    again = (rng.random(len(first)) < radio.retransmit) * rng.geometric(0.7, len(first))
    arrival = arrival + again * radio.interval_s
    for at in np.arange(start_s + 17.0, start_s + duration_s, radio.stall_every_s):
        end = at + rng.random() * radio.stall_max_s
        arrival[(arrival > at) & (arrival < end)] = end
    lost = np.zeros(len(first), bool)
    for begin, end in blackouts:
        inside = (arrival > begin) & (arrival < end)
        arrival[inside] = end
        lost |= inside & (not keeps)
    keep = np.flatnonzero(~lost)
    first, true_s, arrival = first[keep], true_s[keep], arrival[keep]
    # Payloads of one event follow each other by what a frame takes on air.
    arrival = arrival + 0.0003 + rng.exponential(0.0002, len(first))
    arrival = np.maximum.accumulate(arrival - 0.0004 * np.arange(len(first))) + 0.0004 * np.arange(len(first))
    within = np.arange(N)
    ticks_per_sample = 1e9 / RATE_HZ / sensor.clock.tick_ns
    ticks = np.rint((first[:, None] + within) * ticks_per_sample).astype(np.int64)
    if sensor.clock.bits is not None:
        ticks %= 1 << sensor.clock.bits
    at_ns = np.rint(arrival * 1e9).astype(np.int64)
    values = np.zeros((N, 3))
    batches = [
        ImuBatch(
            ticks[i],
            int(first[i]) % (1 << sensor.seq_bits),
            MONO0_NS + int(at_ns[i]),
            UTC0_NS + int(at_ns[i]),
            values,
            values,
        )
        for i in range(len(first))
    ]
    return Stream(batches, UTC0_NS + np.rint(true_s * 1e9).astype(np.int64))


def shifted(batches: list[ImuBatch], mono_ns: int = 0, utc_ns: int = 0) -> list[ImuBatch]:
    """The same payloads, stamped by clocks that are set differently."""
    return [replace(b, rx_mono_ns=b.rx_mono_ns + mono_ns, rx_utc_ns=b.rx_utc_ns + utc_ns) for b in batches]
