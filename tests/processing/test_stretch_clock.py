"""The timebase for stretches: the same times, notes and state as batch by batch, whatever happens to clocks and radio."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from processing.clock.notes import ClockNote
from processing.clock.steady import joined
from processing.clock.stretch import StretchTimebase
from processing.clock.timebase import Timebase, TimebaseParams
from processing.types import ClockSpec, ImuBatch, TimedBatch
from tests.cpu import least_cpu_s
from tests.processing.clock_sim import CLOCK, Radio, Sensor, Stream, shifted, stream
from tests.processing.test_steady_clock import _not_one_clock, _restarted, life, numbered

QUICK = Radio(stall_max_s=0.5)


def clocks(clock: ClockSpec, seq_bits: int | None = 16) -> tuple[Timebase, StretchTimebase]:
    return Timebase(TimebaseParams(), clock, seq_bits, 100.0), StretchTimebase(TimebaseParams(), clock, seq_bits, 100.0)


def bytes_of(*parts: TimedBatch | None) -> tuple[bytes, ...]:
    """Times, accelerations and rates of all samples of the parts."""
    names = ("t_utc_ns", "acc_mps2", "gyr_rps")
    return tuple(b"".join(getattr(p, name).tobytes() for p in parts if p is not None) for name in names)


def check_same(batches: list[ImuBatch], clock: ClockSpec, seed: int, seq_bits: int | None = 16) -> list[ClockNote]:
    """In stretches of random lengths with random marks, against the timebase; the notes."""
    rng = np.random.default_rng(seed)
    one, many = clocks(clock, seq_bits)
    told: list[ClockNote] = []
    at = 0
    while at < len(batches):
        part = batches[at : at + int(10 ** rng.uniform(0.0, 3.8))]
        at += len(part)
        marks = np.sort(rng.integers(0, len(part) + 1, rng.integers(0, 5))).tolist()
        stretch = joined(part)
        assert stretch is not None
        found, notes, counts = many.update_stretch(stretch, marks)
        expected = [one.update(part[a:b]) for a, b in pairwise((0, *marks, len(part)))]
        dated = np.cumsum([0 if timed is None else len(timed) for timed, _ in expected])
        assert counts == dated[:-1].tolist()
        assert bytes_of(found) == bytes_of(*(timed for timed, _ in expected))
        assert notes == [note for _, some in expected for note in some]
        assert json.dumps(many.snapshot()) == json.dumps(one.snapshot())
        told += notes
        if rng.random() < 0.1:
            again = clocks(clock, seq_bits)[1]
            again.restore(json.loads(json.dumps(many.snapshot())))
            many = again
    assert bytes_of(many.finish()[0]) == bytes_of(one.finish()[0])
    return told


def life_as_it_came(seed: int) -> tuple[list[ImuBatch], ClockSpec]:
    """A life with its late batches, repetitions and batches out of order among the others."""
    rng = np.random.default_rng([seed, 1])
    clock, parts = life(seed)
    batches = [b for live, late in parts for b in (*live, *([late] if late is not None and seed % 2 else []))]
    for at in rng.integers(1, len(batches), seed % 4 * 2).tolist():
        batches[at] = replace(batches[at - 1], rx_mono_ns=batches[at].rx_mono_ns, rx_utc_ns=batches[at].rx_utc_ns)
    if seed % 3 == 0:  # the gateway's clock is set, and follows slowly
        half = len(batches) // 2
        batches = batches[:half] + shifted(batches[half:], utc_ns=int(rng.normal(0, 3e9)))
    if seed % 5 == 0:
        batches = [replace(b, seq=None) for b in batches]
    return batches, clock


def check_life(seed: int) -> None:
    batches, clock = life_as_it_came(seed)
    check_same(batches, clock, seed)


@pytest.mark.parametrize("seed", range(12))
def test_lives_are_dated_as_batch_by_batch(seed: int) -> None:
    """`python -m tests.processing.test_stretch_clock 1000` looks at a thousand."""
    check_life(seed)


@pytest.mark.parametrize(
    ("name", "batches"),
    [*_restarted().items(), *_not_one_clock().items()],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_incidents_are_dated_as_batch_by_batch(name: str, batches: list[ImuBatch]) -> None:
    s = numbered(Stream(batches, np.zeros(0, np.int64)))
    check_same(s.batches, CLOCK, len(name))


@pytest.mark.parametrize("interval_s", [0.0075, 0.05])
@pytest.mark.parametrize("ppm", [-15_000, 40, 15_000])
def test_arrivals_earlier_than_the_line_are_squeezed_alike(interval_s: float, ppm: float) -> None:
    s = numbered(stream(0, 1800, Sensor(ppm), Radio(interval_s, stall_every_s=31.0), 5))
    jitter = np.random.default_rng(5).normal(0, 2e-3, len(s.batches))
    wobbling = [
        replace(b, rx_utc_ns=b.rx_utc_ns + int(1e9 * j)) for b, j in zip(s.batches, jitter.tolist(), strict=True)
    ]
    check_same(wobbling, CLOCK, 5)


def test_a_clock_that_is_utc_is_passed_on() -> None:
    spec = ClockSpec(tick_ns=1, bits=None, absolute=True)
    t = np.arange(10) * 10_000_000 + 1_790_000_000 * 10**9
    acc = np.zeros((10, 3))
    batches = [ImuBatch(t + (i - i % 7 // 6) * 10**8, i, i, i, acc, acc) for i in range(200)]
    check_same(batches, spec, 3, None)


def test_a_clock_without_end_and_a_sensor_that_does_not_count() -> None:
    s = numbered(stream(0, 900, Sensor(40, ClockSpec(1, None)), QUICK, 2, ((300.0, 380.0),)))
    check_same([replace(b, seq=None) for b in s.batches], ClockSpec(1, None), 2, None)


def test_it_takes_a_fraction_of_the_time() -> None:
    s = stream(0, 1800, Sensor(40), Radio(), 1)

    def apart() -> None:
        clocks(CLOCK)[0].update(s.batches)

    stretch = joined(s.batches)
    assert stretch is not None

    def together() -> None:
        clocks(CLOCK)[1].update_stretch(stretch)

    assert least_cpu_s(together) < 0.6 * least_cpu_s(apart)


if __name__ == "__main__":
    count = int(sys.argv[1])
    for number in range(count):
        check_life(number)
    print(f"{count} lives, all the same")
