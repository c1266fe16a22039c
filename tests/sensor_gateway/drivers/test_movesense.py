"""Movesense GSP: captured messages, messages in two parts, packings nobody promised, and bytes that are no message."""

from __future__ import annotations

import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.types import ImuBatch
from sensor_gateway.drivers.base import Advert, Battery, Decoded, Rejected
from sensor_gateway.drivers.movesense import (
    NOTIFY_UUID,
    RATES_HZ,
    REF_BATTERY,
    REF_IMU,
    SERVICE_UUID,
    WRITE_UUID,
    MovesenseDriver,
    read_triplets,
)
from tests.sensor_gateway.drivers.fuzz import RX_MONO_NS, RX_UTC_NS, check, feed, restored, shared_vectors, storm

# Captured from a real sensor; values from its own flash log of the same moment (provenance: captured). Without the two
# leading bytes of a notification, type and reference.
IMU6 = bytes.fromhex(
    "aca1020094b578bf399b8840cdb20d4155ff7cbf6a60884092c70c4182627cbfa2e988405da00c418bf871bf71248940c38c0c41"
    "48e17abf713daabf3333b3bec3f568bf713daabf3e0ad7beae4721bff628bcbf3e0ad7beae4721bf3333b3bf3e0ad7be"
)
IMU6_ACC = [[-0.97152066, 4.2689481, 8.8561525], [-0.98827106, 4.2617693, 8.7987232],
            [-0.98587811, 4.2785196, 8.7891512], [-0.94519871, 4.2856984, 8.7843657]]  # fmt: skip
IMU6_DPS = [[-0.98, -1.33, -0.35], [-0.91, -1.33, -0.42], [-0.63, -1.47, -0.42], [-0.63, -1.4, -0.42]]
GYRO_ONLY = bytes.fromhex(
    "03de0100295c8f3f666606c03e0a57beae47a13f85eb01c0295c8fbeae47a13fc3f5e8bf295c8fbe295c8f3f85ebf1bf3e0a57be"
)
HEAD = bytes([2, REF_IMU])
MOST_NUMBERS = 90  # a notification of 512 bytes, eight a number, and five more


def message(t: int, n: int, vectors: int = 2, value: float = 1.0) -> bytes:
    """A payload of n samples that only counts up."""
    return struct.pack(f"<I{3 * vectors * n}f", t, *(value + i for i in range(3 * vectors * n)))


def one(driver: MovesenseDriver, payload: bytes) -> ImuBatch:
    (item,) = feed(driver, NOTIFY_UUID, payload)
    assert isinstance(item, ImuBatch), item
    return item


def test_a_captured_message_decodes_to_what_the_flash_log_says() -> None:
    batch = one(MovesenseDriver(52), HEAD + IMU6)
    assert batch.t_dev_ticks.tolist() == [172460, 172479, 172498, 172518]
    assert (batch.seq, batch.rx_mono_ns, batch.rx_utc_ns) == (None, RX_MONO_NS, RX_UTC_NS)
    np.testing.assert_allclose(batch.acc_mps2, IMU6_ACC, rtol=1e-6)
    np.testing.assert_allclose(batch.gyr_rps, np.radians(IMU6_DPS), rtol=1e-6)


def test_a_captured_rate_only_message_reads_as_triplets() -> None:
    t, rates = read_triplets(GYRO_ONLY)
    assert t == 122371
    np.testing.assert_allclose(
        rates, [[1.12, -2.1, -0.21], [1.26, -2.03, -0.28], [1.26, -1.82, -0.28], [1.12, -1.89, -0.21]], rtol=1e-6
    )


def test_every_shared_vector_decodes_to_its_values_or_is_refused_as_a_stream_never_asked_for() -> None:
    for vector in shared_vectors("Movesense"):
        payload, listed = bytes.fromhex(vector["hex"]), vector["decoded"]
        if vector["characteristic"] == WRITE_UUID:
            written = [step.payload for step in (*MovesenseDriver(52).start(), *MovesenseDriver(52).stop())]
            assert payload in written
        elif "acc_mps2" in listed:
            batch = one(MovesenseDriver(52), HEAD + payload)
            assert batch.t_dev_ticks[0] == listed["t_ms"]
            np.testing.assert_allclose(batch.acc_mps2, listed["acc_mps2"], rtol=1e-6)
            np.testing.assert_allclose(batch.gyr_rps, np.radians(listed["gyr_dps"]), rtol=1e-6)
        elif "gyr_dps" in listed:
            t, rates = read_triplets(payload)
            assert t == listed["t_ms"]
            np.testing.assert_allclose(rates, listed["gyr_dps"], rtol=1e-6)
        else:
            (refused,) = feed(MovesenseDriver(52), NOTIFY_UUID, bytes([2, 55]) + payload)
            assert isinstance(refused, Rejected), json.dumps(vector)


def test_times_follow_the_measured_period_and_fall_back_to_the_nominal_one() -> None:
    driver = MovesenseDriver(52)
    assert one(driver, HEAD + message(1000, 4)).t_dev_ticks.tolist() == [1000, 1019, 1038, 1058]
    assert one(driver, HEAD + message(1080, 4)).t_dev_ticks.tolist() == [1080, 1100, 1120, 1140]  # 50 Hz in truth
    assert one(driver, HEAD + message(1240, 4)).t_dev_ticks.tolist() == [1240, 1259, 1278, 1298]  # one is missing
    wrapped = one(driver, HEAD + message((1 << 32) - 20, 4)).t_dev_ticks
    assert wrapped.tolist() == [(1 << 32) - 20, (1 << 32) - 1, 18, 38]


def test_a_message_that_comes_twice_counts_once() -> None:
    driver = MovesenseDriver(52)
    for t in (1000, 1080):
        one(driver, HEAD + message(t, 4))
        (twice,) = feed(driver, NOTIFY_UUID, HEAD + message(t, 4))
        assert isinstance(twice, Rejected)
        assert "twice" in twice.reason


def test_imu9_leaves_the_magnetometer_aside() -> None:
    driver = MovesenseDriver(104, "IMU9")
    payload = message(5, 8, vectors=3)
    batch = one(driver, HEAD + payload)
    np.testing.assert_allclose(batch.acc_mps2, np.arange(24).reshape(8, 3) + 1.0)
    np.testing.assert_allclose(batch.gyr_rps, np.radians(np.arange(24, 48).reshape(8, 3) + 1.0))


@given(cut=st.integers(1, 291), restart=st.booleans())
def test_a_message_in_two_parts_is_one(cut: int, restart: bool) -> None:
    payload = message(5, 8, vectors=3)
    driver = MovesenseDriver(104, "IMU9")
    assert feed(driver, NOTIFY_UUID, HEAD + payload[:cut]) == []
    if restart:
        driver = restored(driver, MovesenseDriver(104, "IMU9"))
    batch = one(driver, bytes([3, REF_IMU]) + payload[cut:])
    assert len(batch.t_dev_ticks) == 8
    np.testing.assert_allclose(batch.acc_mps2, np.arange(24).reshape(8, 3) + 1.0)


def test_a_rest_without_a_first_part_and_a_first_part_without_a_rest_are_counted() -> None:
    driver = MovesenseDriver(104, "IMU9")
    payload = message(5, 8, vectors=3)
    (refused,) = feed(driver, NOTIFY_UUID, bytes([3, REF_IMU]) + payload[200:])
    assert isinstance(refused, Rejected)
    assert "without its first" in refused.reason
    assert feed(driver, NOTIFY_UUID, HEAD + payload[:200]) == []
    refused, batch = feed(driver, NOTIFY_UUID, HEAD + message(82, 8, vectors=3))
    assert isinstance(refused, Rejected)
    assert isinstance(batch, ImuBatch)
    assert feed(driver, NOTIFY_UUID, HEAD + payload[:200]) == []
    driver.reset()
    (refused,) = feed(driver, NOTIFY_UUID, bytes([3, REF_IMU]) + payload[200:])
    assert isinstance(refused, Rejected)


def test_another_packing_of_a_firmware_arrives_whole_one_message_later_with_its_own_arrival() -> None:
    driver = MovesenseDriver(52)
    out: list[Decoded] = []
    for i in range(4):
        out += driver.feed(NOTIFY_UUID, HEAD + message(1000 + 38 * i, 2), 100 * i, 200 * i)
    assert [(b.t_dev_ticks[0], b.rx_mono_ns, b.rx_utc_ns) for b in out if isinstance(b, ImuBatch)] == [
        (1000, 0, 0),
        (1038, 100, 200),
        (1076, 200, 400),
    ]


def test_battery_and_refusals_come_from_the_answers() -> None:
    driver = MovesenseDriver()
    ok = (200).to_bytes(2, "little")
    assert feed(driver, NOTIFY_UUID, bytes([1, REF_BATTERY]) + ok + bytes([84])) == [Battery(84.0)]
    assert feed(driver, NOTIFY_UUID, bytes([1, REF_IMU]) + ok) == []
    assert feed(driver, NOTIFY_UUID, bytes([1, 100, 1]) + b"123456789\0Movesense\0") == []
    (refused,) = feed(driver, NOTIFY_UUID, bytes([1, REF_IMU]) + (404).to_bytes(2, "little"))
    assert isinstance(refused, Rejected)
    assert "status 404" in refused.reason


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e6])
def test_values_no_sensor_sends_are_refused(value: float) -> None:
    for at in (0, 23):
        numbers = [1.0] * 24
        numbers[at] = value
        (refused,) = feed(MovesenseDriver(52), NOTIFY_UUID, HEAD + struct.pack("<I24f", 9, *numbers))
        assert isinstance(refused, Rejected)
        assert "range" in refused.reason


GOOD = [HEAD + IMU6, HEAD + message(172537, 4), HEAD + IMU6[:60], bytes([3, REF_IMU]) + IMU6[60:],
        bytes([1, REF_BATTERY, 200, 0, 50])]  # fmt: skip


def test_ten_thousand_random_and_damaged_payloads() -> None:
    assert storm(MovesenseDriver(52), NOTIFY_UUID, GOOD, 10_000, MOST_NUMBERS) > 3000


@settings(max_examples=60)
@given(st.lists(st.one_of(st.sampled_from(GOOD), st.binary(max_size=300)), max_size=30), st.integers(0, 30))
def test_a_restart_anywhere_changes_nothing(payloads: list[bytes], at: int) -> None:
    straight, broken = MovesenseDriver(52), MovesenseDriver(52)
    for i, payload in enumerate(payloads):
        if i == at:
            broken = restored(broken, MovesenseDriver(52))
        items, again = feed(straight, NOTIFY_UUID, payload), feed(broken, NOTIFY_UUID, payload)
        check(straight, items, MOST_NUMBERS)
        assert repr(items) == repr(again)


def test_start_match_and_settings() -> None:
    driver = MovesenseDriver(208, "IMU9")
    texts = [step.payload for step in driver.start()]
    assert texts == [b"\x02\x63", b"\x00\x64", b"\x04\x65/System/Energy/Level", b"\x01\x63/Meas/IMU9/208"]
    assert {step.uuid for step in (*driver.start(), *driver.stop(), *driver.poll())} == {WRITE_UUID}
    assert driver.notify_uuids() == (NOTIFY_UUID,)
    assert driver.match(Advert("a", "Movesense 1234", (), {}, -60)) == 0.9
    assert driver.match(Advert("a", None, (SERVICE_UUID,), {}, -60)) == 1
    assert driver.match(Advert("a", "Clip", (), {}, -60)) == 0
    for rate in RATES_HZ:
        assert MovesenseDriver(rate).capabilities.rate_hz == rate
    with pytest.raises(ValueError, match="rate_hz is 100; a Movesense sensor has 13, 26, 52, 104"):
        MovesenseDriver(100)
    with pytest.raises(ValueError, match="stream"):
        MovesenseDriver(52, "IMU6m")  # type: ignore[arg-type]  # what a configuration can hold
    (refused,) = feed(driver, WRITE_UUID, HEAD + IMU6)
    assert isinstance(refused, Rejected)
