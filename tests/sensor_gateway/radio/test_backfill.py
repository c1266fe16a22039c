"""What is missing of a numbered stream, and what is asked for: holes, answers, silence, restarts; and how it stands in frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.types import GRAVITY_MPS2, ImuBatch
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Sensor
from sensor_gateway.drivers.backfill import ANSWER_NS, HOLES, PORTION, Ledger
from sensor_gateway.drivers.base import Fetches, Late, Received, TransportContext
from sensor_gateway.drivers.open_profile import (
    CONTROL_UUID,
    DATA_UUID,
    FLAG_KEEPS,
    FLAG_LATE,
    OpenProfileDriver,
    encode_end,
    encode_frames,
)
from sensor_gateway.radio.sensors import capture2go_sensor, metamotion_sensor, open_profile_sensor

S = 10**9


def live(ledger: Ledger, first: int, n: int = 10, boot_ns: int = 0) -> int:
    """Samples of 100 Hz arriving as they are measured; the arrival."""
    ledger.live(first, n, first * 10_000, boot_ns + first * 10_000_000)
    return boot_ns + first * 10_000_000


def test_a_hole_is_asked_for_in_portions_until_it_is_closed() -> None:
    ledger = Ledger()
    live(ledger, 500)
    now = live(ledger, 3010)
    assert ledger.holes == [(510, 3010)]
    asked = []
    while (wanted := ledger.next_request(now)) is not None:
        asked.append(wanted)
        assert ledger.next_request(now + ANSWER_NS - 1) is None
        ledger.late(*wanted, now)
        ledger.end_of_answer()
    assert asked == [(510, PORTION), (510 + PORTION, PORTION), (510 + 2 * PORTION, 500)]
    assert ledger.holes == []


def test_what_the_sensor_no_longer_has_is_not_asked_for_again() -> None:
    ledger = Ledger()
    live(ledger, 0)
    now = live(ledger, 100)
    assert ledger.next_request(now) == (10, 90)
    ledger.late(60, 40, now)
    ledger.end_of_answer()
    assert ledger.next_request(now) == (10, 50)
    ledger.end_of_answer()
    assert ledger.next_request(now) is None


def test_an_answer_that_falls_silent_or_whose_link_breaks_is_asked_for_again() -> None:
    ledger = Ledger()
    live(ledger, 0)
    now = live(ledger, 100)
    assert ledger.next_request(now) == (10, 90)
    ledger.late(10, 30, now + S)
    assert ledger.next_request(now + S + ANSWER_NS - 1) is None
    assert ledger.next_request(now + S + ANSWER_NS) == (40, 60)
    ledger.connection_lost()
    assert ledger.next_request(now + 2 * S + ANSWER_NS) is None  # nothing streams yet
    live(ledger, 110)
    assert ledger.next_request(now + 2 * S + ANSWER_NS) == (40, 60)


def test_a_restarted_sensor_is_asked_for_all_since_its_start_and_for_nothing_of_before() -> None:
    ledger = Ledger()
    live(ledger, 0)
    live(ledger, 100_000)
    live(ledger, 4000, boot_ns=1100 * S)
    assert ledger.holes == [(0, 4000)]


def test_a_restart_whose_numbers_have_passed_the_old_ones_is_seen_after_a_minute() -> None:
    ledger = Ledger()
    live(ledger, 100)
    for first in range(5000, 12_000, 10):
        live(ledger, first, boot_ns=500 * S)
    assert ledger.holes == [(0, 5000)]


def test_old_frames_that_waited_in_a_radio_are_no_restart() -> None:
    ledger = Ledger()
    now = live(ledger, 100)
    for i in range(20):
        ledger.live(110 + 10 * i, 10, 1_100_000 + 100_000 * i, now + 600 * S + i)
    for i in range(20):
        live(ledger, 60_110 + 10 * i)
    assert ledger.holes == [(310, 60_110)]


def test_the_first_sight_of_a_sensor_asks_for_nothing() -> None:
    ledger = Ledger()
    now = live(ledger, 70_000)
    assert ledger.next_request(now) is None


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 30), st.booleans()), max_size=60))
def test_holes_are_what_is_missing_between_the_first_and_the_newest(items: list[tuple[int, int, bool]]) -> None:
    ledger, held, first, top = Ledger(), set(), None, 0
    for at, n, is_late in items:
        if is_late:
            if first is not None:
                ledger.late(at, n, 0)
                held |= set(range(at, min(at + n, top)))
            continue
        first = at if first is None else first
        top = max(top, at + n, first)
        ledger.live(at, n, 0, 0)
        held |= set(range(at, at + n))
        assert len(ledger.holes) <= HOLES
        missing = {i for lo, hi in ledger.holes for i in range(lo, hi)}
        assert missing == set(range(first, top)) - held
        assert ledger.holes == sorted(ledger.holes)


def frames(first: int, n: int, flags: int) -> list[bytes]:
    acc, gyr = np.tile([0.0, 0.0, 9.8], (n, 1)), np.zeros((n, 3))
    return encode_frames(first, first * 10_000.0, acc, gyr, 50, flags=flags)


def test_frames_carry_the_whole_number_and_late_ones_are_told_apart() -> None:
    driver = OpenProfileDriver()
    assert isinstance(driver, Fetches)
    first = 0x1FFF0  # the 16-bit count wraps within the hole
    for frame in frames(first, 10, FLAG_KEEPS):
        driver.feed(DATA_UUID, frame, first * 10_000_000, 0)
    for frame in frames(first + 110, 10, FLAG_KEEPS):
        driver.feed(DATA_UUID, frame, (first + 110) * 10_000_000, 0)
    now = (first + 120) * 10_000_000
    (step,) = driver.fetch(now)
    assert (step.uuid, step.payload.hex()) == (CONTROL_UUID, "02faff010064000000")
    late = [i for f in frames(first + 10, 100, FLAG_KEEPS | FLAG_LATE) for i in driver.feed(DATA_UUID, f, now, 0)]
    assert all(isinstance(i, Late) for i in late)
    assert np.concatenate([i.batch.t_dev_ticks for i in late if isinstance(i, Late)])[0] == (first + 10) * 10_000
    assert driver.feed(DATA_UUID, encode_end(first + 110), now, 0) == []
    assert driver.fetch(now) == ()


def test_the_documented_frames_of_a_history_are_these() -> None:
    text = " ".join((Path(__file__).parents[3] / "docs" / "open_profile.md").read_text().split())
    acc = np.array([[0.0, 0.0, GRAVITY_MPS2]])
    (frame,) = encode_frames(70_010, 700_100_000.0, acc, 0 * acc, 87, flags=FLAG_KEEPS | FLAG_LATE)
    assert frame.hex(" ") in text
    assert encode_end(70_020).hex(" ") in text


def test_a_hole_that_an_earlier_run_left_is_asked_for_from_the_journal() -> None:
    before = [Received(DATA_UUID, f, 0, 0) for f in frames(0, 10, FLAG_KEEPS)]
    sensor = Sensor("clip-1", "w-001", "open", address="C0:00:00:00:00:01")
    asked: list[str] = []
    context = TransportContext(SystemClock(), journaled=lambda driver: asked.append(driver) or before)
    session = open_profile_sensor(sensor, context)
    driver = session._ear
    driver.reset()
    for frame in frames(50, 10, FLAG_KEEPS):
        driver.feed(DATA_UUID, frame, 500_000_000, 0)
    assert isinstance(driver, Fetches)
    assert [s.payload.hex() for s in driver.fetch(500_000_000)] == ["020a00000028000000"]
    assert asked == ["open"]
    assert (
        session.driver.snapshot() == OpenProfileDriver().snapshot()
    )  # what computes the records begins as in a replay


def test_only_a_sensor_that_keeps_something_or_has_a_clock_to_set_is_told_what_was_heard() -> None:
    asked: list[str] = []
    context = TransportContext(SystemClock(), journaled=lambda driver: asked.append(driver) or [])
    for make, name in ((capture2go_sensor, "capture2go"), (metamotion_sensor, "metamotion")):
        for options in ({}, {"record": True}):
            session = make(Sensor("clip-1", "w-001", name, address="C0:00:00:00:00:01", options=options), context)
            assert session.driver.capabilities.backfill is bool(options)
    assert asked == ["capture2go", "capture2go", "metamotion"]


def test_a_sensor_without_a_history_is_asked_for_nothing() -> None:
    driver = OpenProfileDriver()
    for first in (0, 500):
        (frame,) = frames(first, 10, 0)
        assert any(isinstance(i, ImuBatch) for i in driver.feed(DATA_UUID, frame, first * 10_000_000, 0))
    assert driver.fetch(10**12) == ()


@pytest.mark.parametrize("at", [0, 4, 18])
def test_a_damaged_end_of_an_answer_ends_nothing(at: int) -> None:
    bad = bytearray(encode_end(7))
    bad[at] ^= 1
    assert len(OpenProfileDriver().feed(DATA_UUID, bytes(bad), 0, 0)) == 1
