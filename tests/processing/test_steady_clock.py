"""The short way through a session that is one clock: the same times to the nanosecond, or the answer that it is not one."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import replace

import numpy as np
import pytest

from processing.clock.retro import RetroClock, SteadyRetroClock
from processing.clock.steady import NotSteady, joined
from processing.clock.timebase import TimebaseParams
from processing.types import ClockSpec, ImuBatch
from tests.processing.clock_sim import CLOCK, Radio, Sensor, Stream, shifted, stream

CHUNK = 977
QUICK = Radio(stall_max_s=0.5)


def setup(clock: ClockSpec) -> tuple[TimebaseParams, ClockSpec, int, float]:
    return TimebaseParams(), clock, 16, 100.0


Parts = list[tuple[list[ImuBatch], ImuBatch | None]]
"""Batches as they came, and a late one after them."""


def chunks(batches: list[ImuBatch], size: int) -> list[list[ImuBatch]]:
    return [batches[at : at + size] for at in range(0, len(batches), size)]


def after_all(batches: list[ImuBatch], late: list[ImuBatch]) -> Parts:
    return [(batches, None), *(([], b) for b in late)]


def one_by_one(parts: Parts, clock: ClockSpec, size: int = CHUNK) -> tuple[np.ndarray, np.ndarray, object]:
    r = RetroClock(*setup(clock))
    for batches, late in parts:
        for part in chunks(batches, size):
            r.observe(part)
        if late is not None:
            r.observe_late(late)
    r.solve()
    live = [b for batches, _ in parts for b in batches]
    out = [t for t in (*(r.date(part) for part in chunks(live, size)), r.finish()) if t is not None]
    return np.concatenate([t.t_utc_ns for t in out]), np.concatenate([t.acc_mps2 for t in out]), r.late


def together(parts: Parts, clock: ClockSpec) -> tuple[np.ndarray, np.ndarray, object]:
    r = SteadyRetroClock(*setup(clock))
    stretches = []
    for batches, late in parts:
        for stretch in filter(None, map(joined, chunks(batches, CHUNK))):
            stretches.append(stretch)
            r.observe_stretch(stretch)
        if late is not None:
            r.observe_late(late)
    r.solve()
    for _ in range(2):  # as often as asked
        r.again()
        out = [t for t in (*map(r.date_stretch, stretches), r.finish()) if t is not None]
    return np.concatenate([t.t_utc_ns for t in out]), np.concatenate([t.acc_mps2 for t in out]), r.late


def check_same(parts: Parts, clock: ClockSpec, size: int = CHUNK) -> None:
    """Times, samples and counts of late ones; raises `NotSteady` where the short way does not know."""
    found = together(parts, clock)
    for a, b in zip(found, one_by_one(parts, clock, size), strict=True):
        assert np.array_equal(a, b)


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
    check_same(after_all(s.batches, []), clock)


def test_late_samples_and_a_set_clock_are_the_same() -> None:
    s = numbered(stream(0, 1800, Sensor(50), QUICK, 4))
    keep = np.arange(len(s.batches)) % 97 > 4
    live, late = s.take(np.flatnonzero(keep)).batches, s.take(np.flatnonzero(~keep)).batches
    late = shifted([*late, *live[1000:1003]], 10**12, 10**12)
    live = live[:9000] + shifted(live[9000:], utc_ns=7 * 10**9)
    a, b = together(after_all(live, late), CLOCK), one_by_one(after_all(live, late), CLOCK)
    assert np.array_equal(a[0], b[0])
    assert np.array_equal(a[1], b[1])
    assert a[2] == b[2]
    assert a[2].used > 800
    assert a[2].repeated == 30


def _restarted() -> dict[str, list[ImuBatch]]:
    s = stream(0, 600, Sensor(50), QUICK, 3)
    b = s.batches
    later = stream(700, 600, Sensor(50, boot_s=690), QUICK, 3).batches
    return {
        "restart": b + later,
        "three restarts and a short run": b + later + stream(1330, 5, Sensor(50, boot_s=1320), QUICK, 4).batches
        + stream(1400, 400, Sensor(50, boot_s=1390), QUICK, 5).batches,
        "gateway restarted": b + shifted(stream(700, 600, Sensor(50), QUICK, 3).batches, mono_ns=-(10**12)),
        "gateway restarted, its clock set back": b + shifted(later, mono_ns=-(10**12), utc_ns=-200 * 10**9),
        "jumped ahead": b + [replace(x, t_dev_ticks=x.t_dev_ticks + 40_000_000) for x in later],
        "counts backwards": b + shifted(stream(590, 600, Sensor(50), QUICK, 3).batches, mono_ns=-(10**10)),
        "one batch between": [*b, shifted(later[:1], mono_ns=-(10**12))[0], *later],
        "swapped": [*b[:900], b[901], b[900], *b[902:]],
        "ahead": b + shifted(stream(600, 600, Sensor(50), QUICK, 3).batches, mono_ns=-6 * 10**9),
    }  # fmt: skip


@pytest.mark.parametrize(("name", "batches"), _restarted().items(), ids=lambda v: v if isinstance(v, str) else "")
def test_sure_restarts_are_dated_as_batch_by_batch(name: str, batches: list[ImuBatch]) -> None:
    s = numbered(Stream(batches, np.zeros(0, np.int64)))
    check_same(after_all(s.batches, []), CLOCK, 311)


def _not_one_clock() -> dict[str, list[ImuBatch]]:
    s = stream(0, 600, Sensor(50), QUICK, 3)
    b = s.batches
    turned = replace(b[900], t_dev_ticks=b[900].t_dev_ticks[::-1])
    return {
        "repeated": b[:900] + shifted(b[890:], mono_ns=2 * 10**9),
        "in part": [*b[:900], replace(b[900], t_dev_ticks=b[900].t_dev_ticks - 40_000), *b[901:]],
        "backwards within": [*b[:900], turned, *b[901:]],
        "restarted a little": b + stream(607, 600, Sensor(50, boot_s=7), QUICK, 3).batches,
        "stalled": stream(0, 600, Sensor(50), Radio(stall_max_s=9.0, stall_every_s=50), 3).batches,
        "kept": stream(0, 600, Sensor(50), QUICK, 3, ((200.0, 260.0),), keeps=True).batches,
        "two holes": stream(0, 3000, Sensor(50), QUICK, 3, ((200.0, 300.0), (310.0, 2900.0))).batches,
        "far off rate": stream(0, 600, Sensor(45_000), QUICK, 3).batches,
    }


@pytest.mark.parametrize(("name", "batches"), _not_one_clock().items(), ids=lambda v: v if isinstance(v, str) else "")
def test_what_may_not_be_one_clock_is_left_to_the_timebase(name: str, batches: list[ImuBatch]) -> None:
    with pytest.raises(NotSteady):
        together(after_all(batches, []), CLOCK)


CLOCKS = (CLOCK, ClockSpec(1, None), ClockSpec(1000, 32), ClockSpec(1_000_000, 32), ClockSpec(10_000_000, 16))


def life(seed: int) -> tuple[ClockSpec, Parts]:
    """Hours of a sensor and its gateway: either starts anew at any time, the radio stalls and loses, some samples come late."""
    rng = np.random.default_rng(seed)
    clock = CLOCKS[seed % len(CLOCKS)]
    ppm, seconds = float(rng.normal(0, 2000)), float(rng.uniform(1.0, (1.5, 3.5, 6.0)[seed % 3]))
    radio = Radio(float(rng.uniform(0.007, 0.05)), 0.1, float(rng.uniform(50, 400)), seconds)
    at, boot, mono, utc = 0.0, -float(rng.uniform(0, 5000)), 0, 0
    parts: Parts = []
    for run in range(int(rng.integers(1, 5))):
        lasts = float(rng.choice([rng.uniform(0.2, 30), rng.uniform(100, 1200)], p=[0.2, 0.8]))
        lost = np.sort(at + rng.uniform(0, lasts, 2)) if rng.random() < 0.3 else (0.0, 0.0)
        s = stream(at, lasts, Sensor(ppm, clock, boot_s=boot), radio, seed + run, ((float(lost[0]), float(lost[1])),))
        live = numbered(Stream(shifted(s.batches, mono, utc), s.truth_ns)).batches
        kept = np.flatnonzero(rng.random(len(live)) < 0.003).tolist()
        sent = sorted(min(len(live), k + int(rng.integers(1, 3000))) for k in kept)
        for a, b, k in zip([0, *sent], [*sent, len(live)], [*kept, None], strict=True):
            late = (
                None
                if k is None
                else replace(live[k], rx_mono_ns=live[b - 1].rx_mono_ns, rx_utc_ns=live[b - 1].rx_utc_ns)
            )
            parts.append(([live[i] for i in range(a, b) if i not in kept], late))
        at += lasts + float(rng.choice([rng.uniform(0.5, 3), rng.exponential(60), rng.exponential(3000)]))
        if rng.random() < 0.7:
            boot = at - float(rng.uniform(0.1, 3))
        if rng.random() < 0.3:
            mono -= int(rng.uniform(0.2, 1.5) * (at + 10) * 1e9)
            utc += int(rng.normal(0, 20) * 1e9)
    return clock, parts


def short_way(seed: int) -> bool:
    """Whether a life could be dated the short way; then it comes to the same, in pieces of other lengths."""
    clock, parts = life(seed)
    try:
        check_same(parts, clock, 311)
    except NotSteady:
        return False
    return True


def test_lives_with_restarts_stalls_losses_and_wraps_are_dated_as_batch_by_batch() -> None:
    """`python -m tests.processing.test_steady_clock 1000` looks at a thousand."""
    assert sum(map(short_way, range(12))) >= 4


@pytest.mark.parametrize("stall_s", [2.0, 3.5])
def test_stalls_do_not_take_the_long_way(stall_s: float) -> None:
    late = Radio(stall_every_s=300.0, stall_max_s=stall_s)
    b = numbered(stream(0, 3600, Sensor(300), late, 11)).batches
    assert max(x.rx_mono_ns - y.rx_mono_ns for x, y in zip(b[1:], b, strict=False)) > 0.6 * stall_s * 1e9
    check_same(after_all(b, []), CLOCK)


@pytest.mark.parametrize("seed", range(12))
def test_where_it_is_sure_the_timebase_agrees(seed: int) -> None:
    """Sessions around the edge of what can be known beforehand: long stalls, holes near each other, young lines."""
    rng = np.random.default_rng(seed)
    radio = Radio(float(rng.uniform(0.007, 0.05)), 0.1, float(rng.uniform(20, 200)), float(rng.uniform(0.1, 4.0)))
    at = np.cumsum(rng.exponential((5.0, 60.0, 400.0)[seed % 3], 6))
    gaps = tuple((float(a), float(b)) for a, b in zip(at[::2], at[1::2], strict=True))
    s = stream(0, float(at[-1]) + 300, Sensor(float(rng.normal(0, 3000))), radio, seed, gaps)
    with contextlib.suppress(NotSteady):
        check_same(after_all(s.batches, []), CLOCK)


def test_a_clock_that_is_utc_is_left_to_the_timebase() -> None:
    with pytest.raises(NotSteady):
        SteadyRetroClock(*setup(ClockSpec(1, None, absolute=True)))


def test_a_session_without_samples_is_empty() -> None:
    r = SteadyRetroClock(*setup(CLOCK))
    r.solve()
    assert r.finish() is None
    assert joined([]) is None


if __name__ == "__main__":
    count = int(sys.argv[1])
    print(f"{sum(map(short_way, range(count)))} of {count} the short way, all the same")
