"""WitMotion: frames in and across notifications, finding the way back, and samples dated without a device's time."""

from __future__ import annotations

import math
from struct import pack

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.clock.timebase import Timebase, TimebaseParams
from processing.types import GRAVITY_MPS2, ImuBatch
from sensor_gateway.drivers.base import Advert, Battery, Decoded, Rejected
from sensor_gateway.drivers.witmotion import (
    NOTIFY_UUID,
    RATES_HZ,
    SERVICE_UUID,
    WRITE_UUID,
    WitMotionDriver,
    command,
    split,
)
from tests.sensor_gateway.decoded import one_batch
from tests.sensor_gateway.drivers.fuzz import RX_MONO_NS, RX_UTC_NS, check, feed, restored, shared_vectors, storm

MOST_NUMBERS = 20


def frame(acc: tuple[int, int, int] = (0, 0, 2048), gyr: tuple[int, int, int] = (0, 0, 0)) -> bytes:
    """Derived from the document: a data frame with Euler angles of 1, 2 and 3 steps."""
    return b"\x55\x61" + pack("<9h", *acc, *gyr, 1, 2, 3)


def register(number: int, first: int) -> bytes:
    return b"\x55\x71" + pack("<H8h", number, first, *[0] * 7)


def samples(items: list[Decoded]) -> np.ndarray:
    return np.concatenate([np.empty((0, 3)), *(i.acc_mps2 for i in items if isinstance(i, ImuBatch))])


def test_a_frame_in_si_units() -> None:
    batch = one_batch(feed(WitMotionDriver(), NOTIFY_UUID, frame((2048, -2048, 32767), (16384, -16384, -32768))))
    g = GRAVITY_MPS2
    np.testing.assert_allclose(batch.acc_mps2, [[g, -g, 16 * g * 32767 / 32768]], rtol=1e-14)
    np.testing.assert_allclose(
        batch.gyr_rps, [[math.radians(1000), -math.radians(1000), -math.radians(2000)]], rtol=1e-14
    )
    assert (batch.t_dev_ticks.tolist(), batch.seq) == ([0], None)
    assert (batch.rx_mono_ns, batch.rx_utc_ns) == (RX_MONO_NS, RX_UTC_NS)


@pytest.mark.parametrize("n", [2, 4, 25])
def test_several_frames_in_a_notification_are_one_batch_numbered_through(n: int) -> None:
    driver = WitMotionDriver()
    for turn in range(3):
        batch = one_batch(feed(driver, NOTIFY_UUID, b"".join(frame((i, 0, 0)) for i in range(n))))
        assert batch.t_dev_ticks.tolist() == list(range(turn * n, (turn + 1) * n))
        np.testing.assert_allclose(batch.acc_mps2[:, 0], np.arange(n) * GRAVITY_MPS2 / 2048)


def test_every_shared_vector_is_what_the_driver_writes() -> None:
    writes = {step.payload for rate in RATES_HZ for step in WitMotionDriver(float(rate)).start()}
    for vector in shared_vectors("WitMotion"):
        raw, want = bytes.fromhex(vector["hex"]), vector["decoded"]["command"]
        assert vector["characteristic"] == WRITE_UUID
        assert command(raw[2], int.from_bytes(raw[3:], "little")) == raw
        if want.startswith("unlock") or "battery" in want or any(want == f"rate {rate} Hz" for rate in RATES_HZ):
            assert raw in writes
        else:  # kept settings and magnetic or orientation data are never asked for
            assert raw not in writes


def test_start_unlocks_sets_six_axes_and_rate_and_asks_for_the_battery_with_pauses() -> None:
    driver = WitMotionDriver(50)
    steps = driver.start()
    assert [step.payload.hex() for step in steps] == [
        "ffaa6988b5", "ffaa270300", "ffaa240100", "ffaa030800", "ffaa270300", "ffaa276400",
    ]  # fmt: skip
    assert {step.uuid for step in steps} == {WRITE_UUID}
    assert all(step.pause_s >= 0.05 for step in steps)
    assert driver.poll() == steps[-1:]
    assert driver.stop() == ()
    assert (driver.capabilities.clock.tick_ns, driver.capabilities.rate_hz) == (20_000_000, 50)


@given(st.lists(st.integers(1, 60), max_size=40), st.lists(st.booleans(), min_size=1, max_size=12))
def test_frames_may_be_cut_anywhere(cuts: list[int], order: list[bool]) -> None:
    stream = b"".join(frame((i, 0, 0)) if data else register(0x64, 390) for i, data in enumerate(order))
    driver, got, at = WitMotionDriver(), [], 0
    for size in [*cuts, len(stream)]:
        got += feed(driver, NOTIFY_UUID, stream[at : at + size])
        at += size
        driver = restored(driver, WitMotionDriver())
    assert not [item for item in got if isinstance(item, Rejected)]
    np.testing.assert_allclose(samples(got)[:, 0] / GRAVITY_MPS2 * 2048, [i for i, data in enumerate(order) if data])


@given(junk=st.binary(min_size=1, max_size=60))
def test_after_junk_the_frames_are_found_again_and_the_junk_is_told(junk: bytes) -> None:
    good = b"".join(frame((100 + i, 0, 0)) for i in range(4))
    frames, count, rest = split(junk + good)
    assert len(b"".join(frames)) + count + len(rest) == len(junk) + len(good)
    if b"\x55" not in junk:
        items = feed(WitMotionDriver(), NOTIFY_UUID, junk + good)
        assert [type(item) for item in items] == [Rejected, ImuBatch]
        assert len(samples(items)) == 4
        assert items[0].reason.startswith(f"{len(junk)} bytes")
    else:
        assert frames[-1] == frame((103, 0, 0))


def test_bytes_that_look_like_a_start_inside_a_frame_do_not_mislead() -> None:
    tricky = frame((0x6155, 0x6155, 0x6155), (0x7155, 0x6155, 0x6155))  # reads 55 61 at every even byte
    assert len(samples(feed(WitMotionDriver(), NOTIFY_UUID, tricky * 4))) == 4
    items = feed(WitMotionDriver(), NOTIFY_UUID, tricky[2:] + frame() * 3)
    assert isinstance(items[0], Rejected)
    np.testing.assert_allclose(samples(items)[-3:, 2], GRAVITY_MPS2)


def test_the_first_half_of_a_frame_whose_rest_was_lost_costs_that_frame_only() -> None:
    driver = WitMotionDriver()
    assert feed(driver, NOTIFY_UUID, frame((1, 1, 1))[:12]) == []
    rejected, batch = feed(driver, NOTIFY_UUID, frame((7, 0, 0)) * 2)
    assert isinstance(rejected, Rejected)
    assert rejected.reason.startswith("12 bytes")
    assert isinstance(batch, ImuBatch)
    assert len(batch.acc_mps2) == 2


def test_a_disconnect_ends_frame_and_count() -> None:
    driver = WitMotionDriver()
    feed(driver, NOTIFY_UUID, frame() + frame()[:7])
    driver.reset()
    batch = one_batch(feed(driver, NOTIFY_UUID, frame()))
    assert batch.t_dev_ticks[0] > 86_400 * 100  # a day and more: another clock for the pipeline


@pytest.mark.parametrize(
    ("centivolts", "percent"), [(420, 100), (397, 100), (396, 90), (390, 75), (369, 15), (345, 5), (300, 0)]
)
def test_the_battery_in_percent(centivolts: int, percent: int) -> None:
    driver = WitMotionDriver()
    assert feed(driver, NOTIFY_UUID, register(0x64, centivolts)) == [Battery(float(percent))]
    assert feed(restored(driver, WitMotionDriver()), NOTIFY_UUID, register(0x64, centivolts)) == []
    driver.reset()
    assert len(feed(driver, NOTIFY_UUID, frame() + register(0x64, centivolts))) == 2


def test_other_registers_are_passed_over_and_an_impossible_battery_is_told() -> None:
    assert feed(WitMotionDriver(), NOTIFY_UUID, register(0x3A, 12)) == []
    for centivolts in (0, -1, 1200):
        (item,) = feed(WitMotionDriver(), NOTIFY_UUID, register(0x64, centivolts))
        assert isinstance(item, Rejected)
        assert f"{centivolts / 100:.2f} V" in item.reason


def test_another_characteristic_and_another_rate_are_refused() -> None:
    (item,) = feed(WitMotionDriver(), WRITE_UUID, frame())
    assert isinstance(item, Rejected)
    with pytest.raises(ValueError, match="rate_hz is 60"):
        WitMotionDriver(60)


def test_match_goes_by_service_or_name() -> None:
    driver = WitMotionDriver()
    assert driver.match(Advert("a", None, (SERVICE_UUID,), {}, -60)) == 1
    assert driver.match(Advert("a", "WT901BLE67", (), {}, -60)) == pytest.approx(0.5)
    assert driver.match(Advert("a", "Tiltline", (), {}, -60)) == 0


def test_the_pipeline_finds_the_true_rate_and_dates_within_a_connection_interval() -> None:
    # 98.6 Hz where 100 Hz were set; notifications of 4 frames on a 30 ms grid, with a fade of 1.5 s that loses nothing.
    driver, can = WitMotionDriver(), WitMotionDriver().capabilities
    timebase = Timebase(TimebaseParams(), can.clock, can.seq_bits, can.rate_hz)
    sent_ns = np.arange(1, 24_001) * round(1e9 / 98.6)
    errors, utc0 = [], 1_760_000_000_000_000_000
    for first in range(0, len(sent_ns), 4):
        ready = int(sent_ns[first + 3]) + 3_000_000
        ready = 121_500_000_000 if 120_000_000_000 < ready < 121_500_000_000 else ready
        rx = -(-ready // 30_000_000) * 30_000_000
        for item in driver.feed(NOTIFY_UUID, frame() * 4, rx, utc0 + rx):
            assert isinstance(item, ImuBatch)
            timed, notes = timebase.update([item])
            assert not [note for note in notes if note.kind == "reset"] or first < 400
            if timed is not None and first > 6_000:
                n = item.t_dev_ticks[-1] + 1
                truth = utc0 + sent_ns[n - len(timed) : n]
                errors.append(np.abs(timed.t_utc_ns - truth).max())
    assert np.percentile(errors, 99) < 40e6


@pytest.mark.parametrize(("asks", "at_least_ms", "at_most_ms"), [(True, 0, 60), (False, 400, 3000)])
def test_slow_samples_before_the_rate_is_set_do_not_date_the_others(
    asks: bool, at_least_ms: float, at_most_ms: float
) -> None:
    # Just switched on: 10 Hz for 0.6 s, then 100 Hz; with and without the answers that tell the change.
    driver, can = WitMotionDriver(), WitMotionDriver().capabilities
    timebase = Timebase(TimebaseParams(), can.clock, can.seq_bits, can.rate_hz)
    slow = np.arange(1, 7) * 100_000_000
    fast = slow[-1] + np.arange(1, 1001) * 10_000_000
    utc0, dated = 1_760_000_000_000_000_000, list[int]()
    for i, sent in enumerate([*slow[:, None], *fast.reshape(-1, 4)]):
        rx = -(-(int(sent[-1]) + 3_000_000) // 30_000_000) * 30_000_000
        payload = frame() * len(sent)
        if asks and i in (0, len(slow)):
            payload = register(0x03, 0x06 if i == 0 else 0x09) + payload
        for item in driver.feed(NOTIFY_UUID, payload, rx, utc0 + rx):
            assert isinstance(item, ImuBatch)
            timed, _ = timebase.update([item])
            dated += [] if timed is None else (timed.t_utc_ns - utc0).tolist()
    errors = np.abs(np.array(dated[-len(fast) :]) - fast) / 1e6
    assert len(dated) == len(slow) + len(fast)
    assert at_least_ms <= errors.max() < at_most_ms


def test_a_rate_that_was_set_already_splits_nothing() -> None:
    driver = WitMotionDriver()
    first = one_batch(feed(driver, NOTIFY_UUID, register(0x03, 0x09) + frame()))
    again = restored(driver, WitMotionDriver())
    second = one_batch(feed(again, NOTIFY_UUID, register(0x03, 0x09) + frame()))
    assert (first.t_dev_ticks.tolist(), second.t_dev_ticks.tolist()) == ([0], [1])


@given(st.lists(st.binary(max_size=260), max_size=20))
def test_random_payloads_never_raise(payloads: list[bytes]) -> None:
    driver = WitMotionDriver()
    for payload in payloads:
        check(driver, feed(driver, NOTIFY_UUID, payload), MOST_NUMBERS)


def test_a_storm_of_changed_frames_is_survived_and_counted() -> None:
    good = [frame((-1, 0, 5), (1, 2, 3)) * 4, frame() + register(0x64, 390), frame()[:9], frame()[9:] + frame()]
    assert storm(WitMotionDriver(), NOTIFY_UUID, good, 5000, MOST_NUMBERS) > 1500
