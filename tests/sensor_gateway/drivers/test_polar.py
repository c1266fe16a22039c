"""Polar Verity Sense: the vendor's test vectors, delta compression undone, two streams joined, and damaged messages."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.types import GRAVITY_MPS2
from sensor_gateway.drivers.base import Advert, Battery, Rejected
from sensor_gateway.drivers.polar import BATTERY_UUID, CONTROL_UUID, DATA_UUID, PolarDriver
from sensor_gateway.drivers.polar_control import factor_of, read_answer, read_settings
from sensor_gateway.drivers.polar_frames import ACC, GYRO, MAG, FrameError, decode_content
from tests.sensor_gateway.decoded import batches
from tests.sensor_gateway.drivers.fuzz import check, feed, restored, shared_vectors, storm

# The vendor's unit tests (provenance: vendor test).
ACC_DELTA = bytes.fromhex("02650000000000000081f1ff1400f00306017b0f08")
GYRO_FLOAT_DELTA = bytes.fromhex("050094357700000000810000803f000020410000a0411c010000a001000008cdccec0d")
MAG_DELTA = bytes.fromhex("06009435770000000080e2e6fa15490a06017f20fc")
MAG_CALIBRATED = bytes.fromhex("0600943577000000008137ff51fd6cf600000301f802")
CALIBRATED_FACTOR = 1.1  # the vendor's test passes it beside the bytes
SETTINGS = bytes.fromhex("00013400010110000204f500f401e803d007040103")
STARTED = bytes.fromhex("f0020500000501") + struct.pack("<f", 2000 / 32768)
MOST_NUMBERS = 10_000  # two streams of at most 2000 waiting samples in theory; a notification brings under 1400
S = 1_000_000_000
PERIOD_NS = S / 52


def pack_deltas(numbers: np.ndarray, width: int) -> bytes:
    """Blocks of differences, written from the description: the parser's inverse by another way."""
    out, deltas = b"", np.diff(numbers, axis=0)
    for at in range(0, len(deltas), 200):
        block = deltas[at : at + 200]
        bits = "".join(format(int(d) & ((1 << width) - 1), f"0{width}b")[::-1] for d in block.ravel())
        data = bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))
        out += bytes([width, len(block)]) + data
    return out


def frame(kind: int, t: int, numbers: np.ndarray, width: int = 8) -> bytes:
    """A compressed message of whole numbers, its last sample at ``t``."""
    first = numbers[0].astype("<i2").tobytes()
    return struct.pack("<BQB", kind, t, 0x80) + first + pack_deltas(numbers, width)


def test_the_vendors_vectors_decode_to_their_values() -> None:
    np.testing.assert_allclose(decode_content(ACC, 0x81, ACC_DELTA[10:]) * 1000, [[-15, 20, 1008], [-20, 17, 1008]])
    np.testing.assert_allclose(
        decode_content(GYRO, 0x81, GYRO_FLOAT_DELTA[10:]), [[1, 10, 20], [10, 20, 1.1]], rtol=1e-6
    )
    np.testing.assert_allclose(decode_content(MAG, 0x80, MAG_DELTA[10:]), [[-6430, 5626, 2633], [-6431, 5627, 2635]])
    calibrated = decode_content(MAG, 0x81, MAG_CALIBRATED[10:], CALIBRATED_FACTOR)
    np.testing.assert_allclose(calibrated, [[-0.2211, -0.7557, -2.6972], [-0.2211, -0.7568, -2.6939]])
    assert read_settings(SETTINGS) == {0: [52], 1: [16], 2: [245, 500, 1000, 2000], 4: [3]}


def test_every_shared_vector_decodes_to_its_values() -> None:
    listed_as = {"acc_mg": (ACC, 1000.0), "gyr_dps": (GYRO, 1.0), "mag_gauss": (MAG, 1.0)}
    for vector in shared_vectors("Polar"):
        payload, listed = bytes.fromhex(vector["hex"]), vector["decoded"]
        if vector["characteristic"].lower() == CONTROL_UUID:
            settings_ = read_settings(payload)
            assert [settings_[i] for i in (0, 1, 2, 4)] == [
                listed[k] for k in ("sample_rate_hz", "resolution_bits", "range", "channels")
            ]
            continue
        (key,) = set(listed) & set(listed_as)
        kind, scale = listed_as[key]
        assert (payload[0], int.from_bytes(payload[1:9], "little")) == (kind, listed["t_last_ns_epoch2000"])
        assert payload[9] == listed["frame_type"] | 0x80 * listed["compressed"]
        factor = CALIBRATED_FACTOR if "calib" in listed else None
        values = decode_content(kind, payload[9], payload[10:], factor) * scale
        np.testing.assert_allclose(values, listed[key], rtol=1e-6)


def test_a_vector_of_the_vendor_goes_through_the_driver() -> None:
    driver = PolarDriver()
    assert feed(driver, DATA_UUID, GYRO_FLOAT_DELTA) == []
    acc = struct.pack("<BQB6h", ACC, 2 * S, 1, 0, 0, 1000, 0, 1000, 0)
    (batch,) = batches(feed(driver, DATA_UUID, acc))
    assert batch.t_dev_ticks.tolist() == [2 * S - round(PERIOD_NS), 2 * S]
    np.testing.assert_allclose(batch.acc_mps2, [[0, 0, GRAVITY_MPS2], [0, GRAVITY_MPS2, 0]])
    np.testing.assert_allclose(batch.gyr_rps, np.radians([[1, 10, 20], [10, 20, 1.1]]), rtol=1e-6)


@given(
    st.integers(1, 32).flatmap(
        lambda width: st.tuples(
            st.just(width),
            st.lists(
                st.tuples(*[st.integers(-min(1 << (width - 1), 40), min((1 << (width - 1)) - 1, 40))] * 3), max_size=300
            ),
        )
    )
)
def test_differences_of_any_width_are_undone(case: tuple[int, list[tuple[int, int, int]]]) -> None:
    width, deltas = case
    numbers = np.cumsum(np.array([(5, -7, 100), *deltas]), axis=0)
    content = numbers[0].astype("<i2").tobytes() + pack_deltas(numbers, width)
    np.testing.assert_allclose(decode_content(ACC, 0x81, content) * 1000, numbers, rtol=1e-12)


@given(st.lists(st.tuples(*[st.integers(-(1 << 23), (1 << 23) - 1)] * 3), min_size=1, max_size=20))
def test_raw_samples_of_three_bytes(rows: list[tuple[int, int, int]]) -> None:
    content = b"".join((v & 0xFFFFFF).to_bytes(3, "little") for row in rows for v in row)
    np.testing.assert_allclose(decode_content(ACC, 2, content) * 1000, rows, rtol=1e-12)


def still_frames(seconds: int, phase_ns: int = 3_000_000) -> list[bytes]:
    """Both streams as the sensor sends them: a message a second each, the rate's instants a little later."""
    rng = np.random.default_rng(2)
    out = []
    for i in range(seconds):
        acc = 4096 * np.array([[0, 0, 1]]) + rng.integers(-9, 9, (52, 3))
        out.append(frame(ACC, (i + 1) * S, acc))
        out.append(frame(GYRO, (i + 1) * S + phase_ns, rng.integers(-9, 9, (52, 3))))
    return out


def test_streams_are_joined_on_device_time_and_no_sample_is_lost_or_doubled() -> None:
    driver = PolarDriver()
    got = batches([item for f in still_frames(10) for item in feed(driver, DATA_UUID, f)])
    ticks = np.concatenate([b.t_dev_ticks for b in got])
    # The first second's own samples are dated at the nominal rate; the one before the first rate has no neighbour.
    assert len(ticks) == 52 * 10 - 1
    np.testing.assert_allclose(np.diff(ticks), PERIOD_NS, atol=2)
    acc = np.concatenate([b.acc_mps2 for b in got])
    np.testing.assert_allclose(acc[:, 2], GRAVITY_MPS2, rtol=0.003)  # 4096 steps of 8 g / 32768
    assert np.abs(np.concatenate([b.gyr_rps for b in got])).max() <= math.radians(9 * 2000 / 32768)


def test_times_follow_the_sensor_and_a_missing_message_stays_a_hole() -> None:
    driver, numbers = PolarDriver(), np.zeros((52, 3), int)
    feed(driver, DATA_UUID, frame(GYRO, S, numbers))
    feed(driver, DATA_UUID, frame(ACC, S, numbers))
    feed(driver, DATA_UUID, frame(GYRO, round(2.02 * S), numbers))
    (batch,) = batches(feed(driver, DATA_UUID, frame(ACC, round(2.02 * S), numbers)))
    np.testing.assert_allclose(np.diff(batch.t_dev_ticks), 1.02 * S / 52, atol=1)
    feed(driver, DATA_UUID, frame(GYRO, 4 * S, numbers))
    (batch,) = batches(feed(driver, DATA_UUID, frame(ACC, 4 * S, numbers)))
    assert batch.t_dev_ticks[-1] == 4 * S
    np.testing.assert_allclose(np.diff(batch.t_dev_ticks), PERIOD_NS, atol=1)
    driver.reset()
    assert feed(driver, DATA_UUID, frame(GYRO, 9 * S, numbers)) == []


def test_the_factor_comes_from_the_answer_and_outlives_a_reset() -> None:
    assert read_answer(STARTED) == (GYRO, int.from_bytes(STARTED[-4:], "little"))
    assert factor_of(int.from_bytes(STARTED[-4:], "little")) == 2000 / 32768
    driver = PolarDriver()
    answer = STARTED[:-4] + struct.pack("<f", 0.5)
    assert feed(driver, CONTROL_UUID, answer) == []
    driver.reset()
    driver = restored(driver, PolarDriver())
    numbers = np.full((3, 3), 100)
    feed(driver, DATA_UUID, frame(GYRO, S, numbers))
    (batch,) = batches(feed(driver, DATA_UUID, frame(ACC, S, numbers)))
    np.testing.assert_allclose(batch.gyr_rps, math.radians(50.0))
    np.testing.assert_allclose(batch.acc_mps2, 100 * 8 / 32768 * GRAVITY_MPS2)


@pytest.mark.parametrize(
    ("answer", "word"),
    [("f002050d00", "charger"), ("f002020a00", "MTU"), ("f002020300", "does not support"), ("f002026300", "status 99"),
     ("0f05", "no answer"), ("010205", "by itself"), ("f00202000007", "cut off"), ("f002020000050200", "cut off")],
)  # fmt: skip
def test_refused_commands_say_why(answer: str, word: str) -> None:
    (refused,) = feed(PolarDriver(), CONTROL_UUID, bytes.fromhex(answer))
    assert isinstance(refused, Rejected)
    assert word in refused.reason


def test_a_message_that_comes_twice_counts_once() -> None:
    driver, numbers = PolarDriver(), np.full((3, 3), 100)
    first, later = frame(ACC, S, numbers), frame(ACC, 2 * S, numbers)
    assert feed(driver, DATA_UUID, first) == feed(driver, DATA_UUID, later) == []
    (twice,) = feed(driver, DATA_UUID, later)
    assert isinstance(twice, Rejected)
    assert "twice" in twice.reason
    # What waited for the other stream was not given up.
    assert batches(feed(driver, DATA_UUID, frame(GYRO, S, numbers)))


def test_nothing_to_stop_and_already_started_are_no_faults() -> None:
    for answer in ("f003020600", "f003050200", "f002050600", "f002090000"):
        assert feed(PolarDriver(), CONTROL_UUID, bytes.fromhex(answer)) == []


@pytest.mark.parametrize(
    ("payload", "word"),
    [(b"\x02" + bytes(9), "bytes"), (MAG_DELTA, "not asked for"), (b"\x02" + b"\xff" * 8 + b"\x81" + bytes(9), "time"),
     (b"\x02" + bytes(9) + b"\x01", "not known"), (b"\x02" + bytes(8) + b"\x01\x01", "whole samples"),
     (b"\x02" + bytes(8) + b"\x81\x01", "first sample"), (b"\x02" + bytes(8) + b"\x81" + bytes(6) + b"\x08", "cut off"),
     (b"\x02" + bytes(8) + b"\x81" + bytes(6) + b"\x21\x00", "cut off"),
     (b"\x02" + bytes(8) + b"\x81" + bytes(6) + b"\x20\x01" + b"\xff\xff\xff\x7f" * 3, "out of the range"),
     (b"\x05" + bytes(8) + b"\x81" + struct.pack("<3f", 1.0, math.nan, 0.0), "range of the sensor")],
)  # fmt: skip
def test_the_reason_names_what_is_wrong(payload: bytes, word: str) -> None:
    (refused,) = feed(PolarDriver(), DATA_UUID, payload)
    assert isinstance(refused, Rejected)
    assert word in refused.reason


def test_raw_acceleration_in_single_bytes_has_no_known_unit() -> None:
    with pytest.raises(FrameError, match="not known"):
        decode_content(ACC, 0, bytes(6))


def test_battery_is_told_when_it_changes() -> None:
    driver = PolarDriver()
    assert feed(driver, BATTERY_UUID, bytes([81])) == [Battery(81.0)]
    assert feed(driver, BATTERY_UUID, bytes([81])) == []
    for bad in (bytes([101]), b"", bytes(2)):
        (refused,) = feed(driver, BATTERY_UUID, bad)
        assert isinstance(refused, Rejected)


GOOD = [*still_frames(4), GYRO_FLOAT_DELTA, ACC_DELTA, frame(ACC, 9 * S, np.zeros((200, 3), int), 1)]


def test_ten_thousand_random_and_damaged_payloads() -> None:
    driver = PolarDriver()
    assert storm(driver, DATA_UUID, GOOD, 8_000, MOST_NUMBERS) > 2000
    assert storm(driver, CONTROL_UUID, [STARTED], 1_000, MOST_NUMBERS) > 500
    assert storm(driver, BATTERY_UUID, [b"\x50"], 1_000, MOST_NUMBERS) > 500


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([DATA_UUID, CONTROL_UUID]), st.one_of(st.sampled_from(GOOD), st.binary(max_size=300))
        ),
        max_size=25,
    ),
    st.integers(0, 25),
)
def test_a_restart_anywhere_changes_nothing(payloads: list[tuple[str, bytes]], at: int) -> None:
    straight, broken = PolarDriver(), PolarDriver()
    for i, (uuid, payload) in enumerate(payloads):
        if i == at:
            broken = restored(broken, PolarDriver())
        items, again = feed(straight, uuid, payload), feed(broken, uuid, payload)
        check(straight, items, MOST_NUMBERS)
        assert repr(items) == repr(again)


def test_what_waits_is_bounded_where_one_stream_never_comes() -> None:
    driver = PolarDriver()
    for i in range(300):
        feed(driver, DATA_UUID, frame(ACC, (i + 1) * S, np.zeros((52, 3), int)))
    assert len(driver.snapshot()) < MOST_NUMBERS


def test_start_match_and_settings() -> None:
    plain = [step.payload.hex() for step in PolarDriver().start()]
    assert plain == [
        "0302",
        "0305",
        "0205000134000101100002" + "01d007040103",
        "020200013400010110000201" + "0800040103",
    ]
    fast = [step.payload.hex() for step in PolarDriver(104, acc_range_g=16).start()]
    assert fast[2] == "0209"
    assert fast[3].startswith("0205000168")
    assert [step.payload.hex() for step in PolarDriver().stop()] == ["0302", "0305"]
    assert PolarDriver().capabilities.needs_bond
    assert PolarDriver().match(Advert("a", "Polar Sense 12345678", (), {}, -60)) == 0.9
    assert PolarDriver().match(Advert("a", "Polar H10 12345678", (), {}, -60)) == 0
    for settings_, key in (({"rate_hz": 100}, "rate_hz"), ({"acc_range_g": 3}, "acc_r"), ({"gyr_range_dps": 9}, "gyr")):
        with pytest.raises(ValueError, match=key):
            PolarDriver(**settings_)
    (refused,) = feed(PolarDriver(), "0000ffff-0000-1000-8000-00805f9b34fb", ACC_DELTA)
    assert isinstance(refused, Rejected)
