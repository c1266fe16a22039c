"""The short way through a session that is one clock: the same times to the nanosecond, or the answer that it is not one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from processing.retro_clock import RetroClock, SteadyRetroClock
from processing.steady_clock import NotSteady, joined
from processing.timebase import TimebaseParams
from processing.types import ClockSpec, ImuBatch
from tests.processing.clock_sim import CLOCK, Radio, Sensor, Stream, shifted, stream

CHUNK = 977
QUICK = Radio(stall_max_s=0.5)


def setup(clock: ClockSpec) -> tuple[TimebaseParams, ClockSpec, int, float]:
    return TimebaseParams(), clock, 16, 100.0


def chunks(batches: list[ImuBatch]) -> list[list[ImuBatch]]:
    return [batches[at : at + CHUNK] for at in range(0, len(batches), CHUNK)]


def one_by_one(
    batches: list[ImuBatch], late: list[ImuBatch], clock: ClockSpec
) -> tuple[np.ndarray, np.ndarray, object]:
    r = RetroClock(*setup(clock))
    for part in chunks(batches):
        r.observe(part)
    for batch in late:
        r.observe_late(batch)
    r.solve()
    out = [t for t in (*(r.date(part) for part in chunks(batches)), r.finish()) if t is not None]
    return np.concatenate([t.t_utc_ns for t in out]), np.concatenate([t.acc_mps2 for t in out]), r.late


def together(batches: list[ImuBatch], late: list[ImuBatch], clock: ClockSpec) -> tuple[np.ndarray, np.ndarray, object]:
    r = SteadyRetroClock(*setup(clock))
    stretches = [s for s in map(joined, chunks(batches)) if s is not None]
    for stretch in stretches:
        r.observe_stretch(stretch)
    for batch in late:
        r.observe_late(batch)
    r.solve()
    for _ in range(2):  # as often as asked
        r.again()
        out = [t for t in (*map(r.date_stretch, stretches), r.finish()) if t is not None]
    return np.concatenate([t.t_utc_ns for t in out]), np.concatenate([t.acc_mps2 for t in out]), r.late


def numbered(s: Stream) -> Stream:
    """With samples that can be told apart."""
    batches = [replace(b, acc_mps2=np.full((len(b.t_dev_ticks), 3), float(i))) for i, b in enumerate(s.batches)]
    return Stream(batches, s.truth_ns)


@pytest.mark.parametrize(
    ("clock", "ppm", "gaps"),
    [
        (CLOCK, 20, ()),
        (CLOCK, 15_000, ((700.0, 720.0), (1500.0, 2900.0))),
        (CLOCK, -15_000, ((900.0, 901.0),)),
        (ClockSpec(1000, 32), 100, ((1200.0, 1290.0),)),
        (ClockSpec(30_518, 24), -40, ()),
        (ClockSpec(10_000_000, 16), 30, ((100.0, 105.0),)),
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_one_clock_is_dated_as_batch_by_batch(clock: ClockSpec, ppm: float, gaps: tuple, seed: int) -> None:
    s = numbered(stream(0, 3600, Sensor(ppm, clock), QUICK, seed, gaps))
    for a, b in zip(together(s.batches, [], clock), one_by_one(s.batches, [], clock), strict=True):
        assert np.array_equal(a, b)


def test_late_samples_and_a_set_clock_are_the_same() -> None:
    s = numbered(stream(0, 1800, Sensor(50), QUICK, 4))
    keep = np.arange(len(s.batches)) % 97 > 4
    live, late = s.take(np.flatnonzero(keep)).batches, s.take(np.flatnonzero(~keep)).batches
    late = shifted([*late, *live[1000:1003]], 10**12, 10**12)
    live = live[:9000] + shifted(live[9000:], utc_ns=7 * 10**9)
    a, b = together(live, late, CLOCK), one_by_one(live, late, CLOCK)
    assert np.array_equal(a[0], b[0])
    assert np.array_equal(a[1], b[1])
    assert a[2] == b[2]
    assert a[2].used > 800
    assert a[2].repeated == 30


def _not_one_clock() -> dict[str, list[ImuBatch]]:
    s = stream(0, 600, Sensor(50), QUICK, 3)
    b = s.batches
    later = stream(700, 600, Sensor(50, boot_s=690), QUICK, 3).batches
    turned = replace(b[900], t_dev_ticks=b[900].t_dev_ticks[::-1])
    return {
        "restart": b + later,
        "gateway restarted": b + shifted(stream(700, 600, Sensor(50), QUICK, 3).batches, mono_ns=-(10**12)),
        "repeated": b[:900] + b[890:],
        "in part": [*b[:900], replace(b[900], t_dev_ticks=b[900].t_dev_ticks - 40_000), *b[901:]],
        "swapped": [*b[:900], b[901], b[900], *b[902:]],
        "backwards within": [*b[:900], turned, *b[901:]],
        "ahead": b + shifted(stream(600, 600, Sensor(50), QUICK, 3).batches, mono_ns=-6 * 10**9),
        "stalled": stream(0, 600, Sensor(50), Radio(stall_max_s=9.0, stall_every_s=50), 3).batches,
        "kept": stream(0, 600, Sensor(50), QUICK, 3, ((200.0, 260.0),), keeps=True).batches,
        "two holes": stream(0, 3000, Sensor(50), QUICK, 3, ((200.0, 300.0), (310.0, 2900.0))).batches,
        "far off rate": stream(0, 600, Sensor(45_000), QUICK, 3).batches,
    }


@pytest.mark.parametrize(("name", "batches"), _not_one_clock().items(), ids=lambda v: v if isinstance(v, str) else "")
def test_what_may_not_be_one_clock_is_left_to_the_timebase(name: str, batches: list[ImuBatch]) -> None:
    with pytest.raises(NotSteady):
        together(batches, [], CLOCK)


@pytest.mark.parametrize("seed", range(12))
def test_where_it_is_sure_the_timebase_agrees(seed: int) -> None:
    """Sessions around the edge of what can be known beforehand: long stalls, holes near each other, young lines."""
    rng = np.random.default_rng(seed)
    radio = Radio(float(rng.uniform(0.007, 0.05)), 0.1, float(rng.uniform(20, 200)), float(rng.uniform(0.1, 4.0)))
    at = np.cumsum(rng.exponential((5.0, 60.0, 400.0)[seed % 3], 6))
    gaps = tuple((float(a), float(b)) for a, b in zip(at[::2], at[1::2], strict=True))
    s = stream(0, float(at[-1]) + 300, Sensor(float(rng.normal(0, 3000))), radio, seed, gaps)
    expected = one_by_one(s.batches, [], CLOCK)
    try:
        found = together(s.batches, [], CLOCK)
    except NotSteady:
        return
    assert np.array_equal(found[0], expected[0])


def test_a_clock_that_is_utc_is_left_to_the_timebase() -> None:
    with pytest.raises(NotSteady):
        SteadyRetroClock(*setup(ClockSpec(1, None, absolute=True)))


def test_a_session_without_samples_is_empty() -> None:
    r = SteadyRetroClock(*setup(CLOCK))
    r.solve()
    assert r.finish() is None
    assert joined([]) is None
