"""The retro clock on whole sessions: how exact, what late samples become, and what no fault may do to the dates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.clock.retro import RetroClock
from processing.clock.timebase import TimebaseParams
from processing.types import ClockSpec, ImuBatch
from tests.processing.clock_sim import CLOCK, MONO0_NS, UTC0_NS, N, Radio, Sensor, Stream, shifted, stream

PLAIN = Radio(stall_max_s=0.0)
HOUR_S = 3600.0
LIMIT_MS = {7.5: 2.0, 30: 7.5, 50: 12.5}
CASES = [(ci, sign * ppm) for ci in LIMIT_MS for ppm in (20, 100, 15_000) for sign in (1, -1)]


def retro(batches: list[ImuBatch], late: list[ImuBatch] = (), clock: ClockSpec = CLOCK, chunk: int = 977):
    """Two passes; late batches are heard after everything else. The clock, and the times."""
    r = RetroClock(TimebaseParams(), clock, 16, 100.0)
    for at in range(0, len(batches), chunk):
        r.observe(batches[at : at + chunk])
    for batch in late:
        r.observe_late(batch)
    r.solve()
    out = [r.date(batches[at : at + chunk]) for at in range(0, len(batches), chunk)]
    t = np.concatenate([part.t_utc_ns for part in [*out, r.finish()] if part is not None])
    assert (np.diff(t) > 0).all()
    return r, t


def late_ms(t: np.ndarray, truth_ns: np.ndarray) -> np.ndarray:
    assert len(t) == N * len(truth_ns)
    return (t[::N] - truth_ns) / 1e6


def check_session(interval_ms: float, ppm: float, hours: float) -> None:
    s = stream(0, hours * HOUR_S, Sensor(ppm), Radio(interval_ms / 1e3), seed=int(interval_ms * 10))
    _, t = retro(s.batches)
    error = np.abs(late_ms(t, s.truth_ns))
    assert np.quantile(error, 0.99) <= LIMIT_MS[interval_ms]
    assert error.max() <= interval_ms
    assert (t[N - 1 :: N] <= [b.rx_utc_ns for b in s.batches]).all()


@pytest.mark.slow
@pytest.mark.parametrize(("interval_ms", "ppm"), CASES)
def test_eight_hours_are_dated_within_a_quarter_interval(interval_ms: float, ppm: float) -> None:
    check_session(interval_ms, ppm, 8)


@pytest.mark.parametrize(("interval_ms", "ppm"), [(7.5, -20), (30, 15_000), (50, 100)])
def test_two_hours_are_dated_within_a_quarter_interval(interval_ms: float, ppm: float) -> None:
    check_session(interval_ms, ppm, 2)


@pytest.mark.parametrize(
    ("clock", "ppm"),
    [(ClockSpec(10_000_000, 16), 100), (ClockSpec(10_000_000, 16), -15_000), (ClockSpec(1000, 32), 100),
     (ClockSpec(1_000_000, 16), 40), (ClockSpec(30_518, 24), 40)],
)  # fmt: skip
def test_wraps_misdate_nothing(clock: ClockSpec, ppm: float) -> None:
    span_s = (1 << clock.bits) * clock.tick_ns / 1e9
    longest = 3 * HOUR_S if span_s > 600 else 20 * 60
    gaps = ((700.0, 720.0), (1500.0, 1500.0 + longest / 3), (8000.0, 8000.0 + longest))
    s = stream(0, 8000 + longest + 900, Sensor(ppm, clock), PLAIN, 5, gaps)
    _, t = retro(s.batches, clock=clock)
    assert np.abs(late_ms(t, s.truth_ns)).max() <= PLAIN.interval_s * 1e3


@pytest.mark.parametrize("clock", [CLOCK, ClockSpec(1000, 32), ClockSpec(10_000_000, 16)])
def test_restarts_misdate_nothing(clock: ClockSpec) -> None:
    rng = np.random.default_rng(8)
    at, parts = 0.0, []
    while at < 2 * HOUR_S:
        runs = float(rng.uniform(30, 900))
        parts.append(stream(at + 0.3, runs, Sensor(60, clock, boot_s=at), seed=len(parts)))
        at += runs + float(rng.uniform(3, 200))
    whole = sum(parts[1:], parts[0])
    _, t = retro(whole.batches, clock=clock)
    assert np.abs(late_ms(t, whole.truth_ns)).max() <= 30


@pytest.mark.parametrize("shown_ns", [978_307_200 * 10**9, 0])
def test_a_flat_battery_that_sets_the_clock_to_2001_or_1970_dates_nothing_there(shown_ns: int) -> None:
    clock = ClockSpec(1, None)
    a = stream(0, 900, Sensor(40, clock), PLAIN)
    utc = [replace(b, t_dev_ticks=b.t_dev_ticks + UTC0_NS) for b in a.batches]
    b = stream(1000, 900, Sensor(40, clock, boot_s=1000), PLAIN, seed=2)
    flat = [replace(x, t_dev_ticks=x.t_dev_ticks + shown_ns) for x in b.batches]
    _, t = retro(utc + flat, clock=clock)
    assert np.abs(late_ms(t, (a + b).truth_ns)).max() <= 30


def hole(s: Stream, lo_s: float, hi_s: float, back_s: float) -> tuple[Stream, list[ImuBatch], np.ndarray]:
    """The stream without [lo, hi), and the missing batches as sent again at ``back_s`` and after."""
    at = (s.truth_ns - UTC0_NS) / 1e9
    inside = np.flatnonzero((at >= lo_s) & (at < hi_s))
    sent = [round((back_s + 0.01 * i) * 1e9) for i in range(len(inside))]
    kept = [
        replace(s.batches[k], rx_mono_ns=MONO0_NS + ns, rx_utc_ns=UTC0_NS + ns)
        for k, ns in zip(inside, sent, strict=True)
    ]
    return s.take(np.flatnonzero((at < lo_s) | (at >= hi_s))), kept, inside


def test_late_samples_fill_a_hole_of_ten_minutes_once_in_whatever_order_they_came() -> None:
    s = stream(0, 3000, radio=PLAIN)
    _, whole = retro(s.batches)
    rest, kept, _ = hole(s, 1000, 1600, 1650)
    rng = np.random.default_rng(1)
    mixed = [kept[i] for i in rng.permutation(len(kept))]
    r, t = retro(rest.batches, [*mixed, *kept[:100], *rest.batches[:50]])
    assert len(t) == len(whole)
    # The hole's own arrivals said something of the line; without them it is a fraction of a millisecond elsewhere.
    assert np.abs(t - whole).max() < 2e6
    assert (r.late.used, r.late.repeated, r.late.misfit) == (N * len(kept), N * 150, 0)


def test_old_samples_on_the_ordinary_way_are_late_samples_too() -> None:
    s = stream(0, 900, radio=PLAIN)
    rest, kept, _ = hole(s, 600, 603, 604)  # within what the timebase takes for a repetition
    at = next(i for i, b in enumerate(rest.batches) if b.rx_mono_ns > kept[-1].rx_mono_ns)
    r, t = retro(
        [*rest.batches[:at], *[replace(b, rx_mono_ns=rest.batches[at].rx_mono_ns) for b in kept], *rest.batches[at:]]
    )
    assert r.late.used == N * len(kept)
    assert np.abs(late_ms(t, s.truth_ns)).max() <= 30


def test_late_samples_of_another_clock_are_left_out() -> None:
    s = stream(0, 600, radio=PLAIN)
    future = replace(s.batches[-1], t_dev_ticks=s.batches[-1].t_dev_ticks + 3_600_000_000)
    r, t = retro(s.batches, [future])
    assert r.late.misfit == N
    assert len(t) == N * len(s.batches)
    before = RetroClock(TimebaseParams(), CLOCK, 16, 100.0)
    before.observe_late(s.batches[0])
    assert before.late.misfit == N


@pytest.mark.parametrize("step_s", [-3600.0, -0.7, 0.7, 3600.0, 1.7e9])
def test_what_came_before_a_step_of_the_gateways_clock_takes_the_time_after_it(step_s: float) -> None:
    s = stream(0, 1800, radio=PLAIN)
    step_ns = int(step_s * 1e9)
    _, t = retro(shifted(s.batches[:9000], utc_ns=-step_ns) + s.batches[9000:])
    assert np.abs(late_ms(t, s.truth_ns)).max() <= 30


def test_a_clock_that_wanders_is_followed() -> None:
    """A MEMS oscillator that warms and cools: 240 ppm to and fro in an hour, 275 ms from end to end of its swing."""
    s = stream(0, 4 * HOUR_S, Sensor(0), Radio(0.03, stall_max_s=0.0))
    at = (s.truth_ns - UTC0_NS) / 1e9
    moved = np.rint(240e-6 * HOUR_S / (2 * np.pi) * (1 - np.cos(2 * np.pi * at / HOUR_S)) * 1e6).astype(np.int64)
    batches = [replace(b, t_dev_ticks=b.t_dev_ticks + m) for b, m in zip(s.batches, moved, strict=True)]
    _, t = retro(batches)
    assert np.quantile(np.abs(late_ms(t, s.truth_ns)), 0.99) <= 40


def test_a_chip_that_gets_warm_on_the_body_is_followed() -> None:
    """0.2 % slower within the first quarter of an hour, then the same for the rest: 0.7 s off where one line is laid under the whole."""
    s = stream(0, 2 * HOUR_S, Sensor(7000), Radio(0.03))
    at = (s.truth_ns - UTC0_NS) / 1e9
    moved = np.rint(2e-3 * 300 * (1 - np.exp(-at / 300)) * 1e6).astype(np.int64)
    batches = [replace(b, t_dev_ticks=b.t_dev_ticks + m) for b, m in zip(s.batches, moved, strict=True)]
    _, t = retro(batches)
    error = np.abs(late_ms(t, s.truth_ns))
    assert np.quantile(error, 0.99) <= 40
    assert error.max() <= 100


def test_a_backlog_of_minutes_does_not_bend_a_crystals_line() -> None:
    s = stream(0, 2 * HOUR_S, Sensor(40), Radio(0.03, stall_max_s=0.0))
    late_ns = [120_000_000 if 3000 < (t - UTC0_NS) / 1e9 < 3300 else 0 for t in s.truth_ns]
    arrived = np.maximum.accumulate([b.rx_mono_ns + d for b, d in zip(s.batches, late_ns, strict=True)])
    batches = [
        replace(b, rx_mono_ns=int(at), rx_utc_ns=b.rx_utc_ns + int(at) - b.rx_mono_ns)
        for b, at in zip(s.batches, arrived, strict=True)
    ]
    _, t = retro(batches)
    assert np.quantile(np.abs(late_ms(t, s.truth_ns)), 0.99) <= 30


@given(st.integers(0, 10**6), st.sampled_from([1, 7, 400]))
@settings(max_examples=8)
def test_grouping_changes_nothing(seed: int, chunk: int) -> None:
    a = stream(0, 90, Sensor(clock=ClockSpec(1000, 32), boot_s=-4250.0), seed=seed)
    b = stream(100, 60, Sensor(clock=ClockSpec(1000, 32), boot_s=99.0), seed=seed + 1)
    rest, kept, _ = hole(a + b, 20, 40, 50)
    _, once = retro(rest.batches, kept, ClockSpec(1000, 32), 10**6)
    _, again = retro(rest.batches, kept, ClockSpec(1000, 32), chunk)
    np.testing.assert_array_equal(once, again)
