"""Two streams joined on device time, samples counted where there is no time, bytes kept in a snapshot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.clock.notes import TimebaseParams
from processing.clock.timebase import Timebase
from processing.types import ClockSpec, ImuBatch
from sensor_gateway.drivers.counting import SampleCount
from sensor_gateway.drivers.held import pack_bytes, unpack_bytes
from sensor_gateway.drivers.join import Join

MS = 1_000_000


def line(ticks: np.ndarray) -> np.ndarray:
    """An angular rate that is linear in time, so that interpolation can be checked exactly."""
    return np.outer(ticks, [1.0, -2.0, 0.5]) + 3.0


def joined_in_chunks(acc_t: np.ndarray, gyr_t: np.ndarray, order: list[tuple[str, int]], restart: bool = False) -> list:
    out, at = [], {"acc": 0, "gyr": 0}
    join = Join(25, 500)
    for kind, n in order:
        t = (acc_t if kind == "acc" else gyr_t)[at[kind] : at[kind] + n]
        at[kind] += n
        got = join.add_acc(t, line(t) * 2) if kind == "acc" else join.add_gyr(t, line(t))
        if got is not None:
            out.append(got)
        if restart:
            state, join = join.snapshot(), Join(25, 500)
            join.restore(state)
    return out


@given(
    phase=st.integers(-30, 30),
    sizes=st.lists(st.tuples(st.sampled_from(["acc", "gyr"]), st.integers(0, 9)), max_size=40),
    restart=st.booleans(),
)
def test_any_grouping_gives_each_time_once_in_order_with_the_rate_interpolated(phase, sizes, restart) -> None:
    acc_t, gyr_t = np.arange(100, 2100, 10), np.arange(100, 2100, 10) + phase
    out = joined_in_chunks(acc_t, gyr_t, [*sizes, ("acc", 200), ("gyr", 200)], restart)
    t = np.concatenate([o[0] for o in out])
    expected = acc_t[(acc_t >= gyr_t[0]) & (acc_t <= gyr_t[-1])]
    # The last acceleration can wait for a rate that never comes; no earlier one does.
    assert t.tolist() == expected.tolist()
    np.testing.assert_allclose(np.concatenate([o[1] for o in out]), line(t) * 2, rtol=0, atol=0)
    np.testing.assert_allclose(np.concatenate([o[2] for o in out]), line(t), rtol=1e-13)


def test_shared_instants_are_passed_on_bit_for_bit() -> None:
    rng = np.random.default_rng(3)
    t, gyr = np.arange(50) * 7, rng.normal(size=(50, 3))
    join = Join(10)
    join.add_acc(t, rng.normal(size=(50, 3)))
    got = join.add_gyr(t, gyr)
    assert got is not None
    assert np.array_equal(got[2], gyr)


def test_nothing_is_interpolated_over_a_hole() -> None:
    acc_t = np.arange(0, 300, 10)
    gyr_t = acc_t[(acc_t <= 100) | (acc_t >= 200)] + 3
    join = Join(25)
    join.add_acc(acc_t, line(acc_t))
    got = join.add_gyr(gyr_t, line(gyr_t))
    assert got is not None
    assert got[0].tolist() == [t for t in range(10, 300, 10) if t <= 100 or t >= 210]
    assert join.unmatched == 11


def test_memory_is_bounded_and_a_stream_that_goes_back_starts_anew() -> None:
    join = Join(25, most=100)
    for i in range(50):
        t = np.arange(10 * i, 10 * i + 10)
        assert join.add_acc(t, line(t)) is None
    assert join.unmatched == 400
    assert len(join.snapshot()) == 1 + 4 * 100 + 1 + 1
    back = np.arange(5)
    assert join.add_acc(back, line(back)) is None
    assert join.unmatched == 500
    got = join.add_gyr(back, line(back))
    assert got is not None
    assert got[0].tolist() == back.tolist()
    join.reset()
    assert join.snapshot() == {"acc_n": 0, "gyr_n": 0, "unmatched": 500}


@given(st.binary(max_size=100))
def test_held_bytes_survive_as_numbers(data: bytes) -> None:
    state = pack_bytes("x", data)
    assert all(-(1 << 63) <= v < 1 << 63 for v in state.values())
    assert unpack_bytes("x", state) == data


def counted_stream(true_period_s: float, events: dict[int, tuple[str, float]], seconds: float = 60.0):
    """Batches of 5 samples at about 100 Hz with 0..30 ms of radio delay; ``events``: at packet i, ``stall`` or ``lose``."""
    rng = np.random.default_rng(5)
    count = SampleCount(10 * MS)
    held_until, lost_until = 0.0, 0.0
    for i in range(int(seconds / (5 * true_period_s))):
        t = (5 * i + 5) * true_period_s
        kind, length = events.get(i, ("", 0.0))
        held_until = max(held_until, t + length) if kind == "stall" else held_until
        lost_until = max(lost_until, t + length) if kind == "lose" else lost_until
        if t < lost_until:
            continue
        rx = round((max(t, held_until) + rng.uniform(0, 0.03)) * 1e9)
        first = count.take(5, rx)
        yield t, ImuBatch(first + np.arange(5), None, rx, rx, np.zeros((5, 3)), np.zeros((5, 3)))


def dated(stream) -> tuple[np.ndarray, np.ndarray]:
    """True and found time of each batch's last sample [s]."""
    base = Timebase(TimebaseParams(), ClockSpec(10 * MS, None), None, 100.0)
    true, found = [], []
    for t, batch in stream:
        true.append(t)
        timed, _ = base.update([batch])
        if timed is not None:
            found += (timed.t_utc_ns[4::5] / 1e9).tolist()
    timed, _ = base.finish()
    if timed is not None:
        found += (timed.t_utc_ns[4::5] / 1e9).tolist()
    return np.array(true), np.array(found)


@pytest.mark.parametrize("off", [-0.015, 0.0, 0.03])
def test_a_count_is_a_clock_even_where_the_rate_is_off_by_percents(off: float) -> None:
    true, found = dated(counted_stream(0.01 * (1 + off), {}))
    assert len(found) == len(true)
    late = (found - true)[len(true) // 2 :]
    assert np.abs(late).max() < 0.035


@pytest.mark.parametrize("length", [0.5, 1.0, 1.9])
def test_a_backlog_is_no_loss(length: float) -> None:
    firsts = [b.t_dev_ticks[0] for _, b in counted_stream(0.0101, {600: ("stall", length)})]
    assert firsts == list(range(0, 5 * len(firsts), 5))


@pytest.mark.parametrize("length", [0.5, 2.0, 8.0, 40.0])
def test_a_loss_that_nobody_numbered_becomes_a_hole_within_seconds(length: float) -> None:
    true, found = dated(counted_stream(0.0101, {600: ("lose", length)}, 120.0))
    assert len(found) == len(true)
    begins = 600 * 5 * 0.0101
    settled = (true < begins) | (true > begins + length + 2.5)
    early = true[settled][200:] - found[settled][200:]
    assert np.abs(early).max() < 0.15


def test_after_a_reset_the_timebase_sees_another_clock() -> None:
    count = SampleCount(10 * MS)
    base = Timebase(TimebaseParams(), ClockSpec(10 * MS, None), None, 100.0)
    kinds: list[str] = []
    for start_s in (1.0, 3.0, 90.0):
        count.reset()
        for i in range(30):
            rx = round((start_s + 0.05 * i) * 1e9)
            first = count.take(5, rx)
            _, notes = base.update([ImuBatch(first + np.arange(5), None, rx, rx, np.zeros((5, 3)), np.zeros((5, 3)))])
            kinds += [n.kind for n in notes]
    assert kinds.count("reset") == 2
    assert "duplicate" not in kinds


def test_a_count_goes_on_after_a_restart_of_the_gateway() -> None:
    one, other = SampleCount(10 * MS), SampleCount(10 * MS)
    for i in range(100):
        one.take(3, 30 * MS * i)
    other.restore(one.snapshot())
    assert [one.take(3, 30 * MS * i) for i in range(100, 300)] == [other.take(3, 30 * MS * i) for i in range(100, 300)]


def test_thousands_of_reconnects_stay_within_64_bits() -> None:
    count = SampleCount(10 * MS)
    before, went_back = -1, 0
    for i in range(10_000):
        first = count.take(10, i * 1000 * MS)
        went_back += first < before
        before = first
        count.reset()
        assert all(-(1 << 63) <= v < 1 << 63 for v in count.snapshot().values())
    assert 0 < went_back <= 12  # about every 890 leaps of 30 days
