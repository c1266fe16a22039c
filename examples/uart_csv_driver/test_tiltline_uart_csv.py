"""The driver's one test file: values, cuts, wraps, refusals, restarts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiltline_uart_csv import LINE_MAX, RX_UUID, SERVICE_UUID, TX_UUID, UartCsvDriver

from processing.types import GRAVITY_MPS2, ImuBatch
from sensor_gateway.drivers.base import Advert, Decoded, Rejected

LINES = b"1000,0,0,1000,0,0,900\r\n1020,-500,0,866,10,-10,0\n"


def feed(driver: UartCsvDriver, payload: bytes) -> list[Decoded]:
    return driver.feed(TX_UUID, payload, 5_000_000_000, 1_760_000_000_000_000_000)


def ticks(items: list[Decoded]) -> list[int]:
    return [int(t) for item in items if isinstance(item, ImuBatch) for t in item.t_dev_ticks]


def test_lines_in_si_units() -> None:
    (batch,) = feed(UartCsvDriver(), LINES)
    assert isinstance(batch, ImuBatch)
    assert batch.t_dev_ticks.tolist() == [1000, 1020]
    np.testing.assert_allclose(batch.acc_mps2, np.array([[0, 0, 1], [-0.5, 0, 0.866]]) * GRAVITY_MPS2)
    np.testing.assert_allclose(batch.gyr_rps, np.radians([[0, 0, 90], [1, -1, 0]]))


@given(st.lists(st.integers(1, 30), max_size=30))
@settings(deadline=None)
def test_lines_may_be_cut_anywhere_and_a_restart_between_changes_nothing(sizes: list[int]) -> None:
    stream = b"".join(b"%d,0,0,1000,0,0,0\n" % (1000 + 20 * i) for i in range(12))
    driver, got, at = UartCsvDriver(), [], 0
    for size in [*sizes, len(stream)]:
        got += feed(driver, stream[at : at + size])
        at += size
        other = UartCsvDriver()
        other.restore(driver.snapshot())
        driver = other
    assert ticks(got) == [1000 + 20 * i for i in range(12)]


def test_a_lost_connection_ends_the_line() -> None:
    driver = UartCsvDriver()
    assert feed(driver, b"1000,0,0,10") == []
    driver.reset()
    assert ticks(feed(driver, LINES)) == [1000, 1020]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"1,2,3\n", "3 values where 7"),
        (b"1,0,0,x,0,0,0\n", "no whole number"),
        (b"1,0,0,32000,0,0,0\n", "no range"),
        (b"-1,0,0,1000,0,0,0\n", "no range"),
        (b"9" * (LINE_MAX + 1), "without the end"),
    ],
)
def test_what_is_no_line_is_refused_with_the_reason(line: bytes, words: str) -> None:
    driver = UartCsvDriver()
    (refused,) = feed(driver, line)
    assert isinstance(refused, Rejected)
    assert words in refused.reason
    assert ticks(feed(driver, LINES)) == [1000, 1020]


@given(st.lists(st.binary(max_size=260), max_size=20))
@settings(deadline=None)
def test_random_bytes_never_raise_and_nothing_piles_up(payloads: list[bytes]) -> None:
    driver = UartCsvDriver()
    for payload in payloads:
        for item in feed(driver, payload):
            assert isinstance(item, ImuBatch | Rejected)
        assert len(driver.snapshot()) <= LINE_MAX // 7 + 1


def test_commands_rates_and_match() -> None:
    assert [(s.uuid, s.payload) for s in UartCsvDriver(100).start()] == [(RX_UUID, b"X\n"), (RX_UUID, b"S100\n")]
    with pytest.raises(ValueError, match="rate_hz is 60"):
        UartCsvDriver(60)
    (refused,) = UartCsvDriver().feed(RX_UUID, LINES, 0, 0)
    assert isinstance(refused, Rejected)
    assert UartCsvDriver().match(Advert("a", "TiltBox 3", (SERVICE_UUID,), {}, -60)) > 0.5
    assert UartCsvDriver().match(Advert("a", "Lamp", (SERVICE_UUID,), {}, -60)) == 0
    assert UartCsvDriver().capabilities.clock.tick_ns == 1_000_000
    assert math.isclose(UartCsvDriver().capabilities.rate_hz, 50)
