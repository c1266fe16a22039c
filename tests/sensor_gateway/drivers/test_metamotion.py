"""MbientLab MetaMotion: vendor's and captured messages of both chips, streams paired by order, the log, and damage."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.types import GRAVITY_MPS2, ImuBatch
from sensor_gateway.drivers.base import Advert, Battery, Rejected
from sensor_gateway.drivers.metamotion import COMMAND_UUID, NOTIFY_UUID, SERVICE_UUID, MetaMotionDriver
from sensor_gateway.drivers.metamotion_chips import ACC, CHIPS, GYRO
from sensor_gateway.drivers.metamotion_fusion import decode_fusion
from sensor_gateway.drivers.metamotion_log import TICK_NS, Halves, decode_log
from tests.sensor_gateway.decoded import batches
from tests.sensor_gateway.drivers.fuzz import check, feed, restored, shared_vectors, storm

# The vendor's unit tests (provenance: vendor test).
ACC_SINGLE_4G = bytes.fromhex("030416c494a22ad0")
GYRO_SINGLE_500 = bytes.fromhex("13053e43ff7f0080")
ACC_PACKED_8G = bytes.fromhex("031c62b7530de9fd16d04d0e57028affa1050a01")
GYRO_PACKED_1000 = bytes.fromhex("13070915ad2608de8a1a0d2665e48d20ac2773ec")
ACC_PACKED_G = [[-4.539, 0.833, -0.131], [-2.995, 0.894, 0.146], [-0.029, 0.352, 0.065]]
GYRO_PACKED_DPS = [[164.177, 301.860, -265.122], [207.134, 296.982, -215.457], [254.055, 309.634, -152.591]]
LOG = [bytes.fromhex(h) for h in ("0b07a0e6420000f5003d01a1e6420000dd0f0000", "0b07a037430000" + "2a01c9ff",
                                  "0b07a13743000031100000a04543000012" + "01e4fd")]  # fmt: skip
# Captured from a real sensor (a log in a public issue).
ACC_CAPTURED = bytes.fromhex("0304e8059cfe7342")
MOST_NUMBERS = 600
FUSION_NAMES = {"corr_acc_mg": "acc_mg", "corr_mag_uT": "mag_ut", "linacc_mps2": "linear_acc_mps2",
                "euler_heading_pitch_roll_yaw": "heading_pitch_roll_yaw_deg"}  # fmt: skip


def bmi160(**kwargs: int) -> MetaMotionDriver:
    return MetaMotionDriver(chip="bmi160", **kwargs)


def packed(chip: str, module: int, value: int) -> bytes:
    """Three equal samples."""
    return bytes([module, CHIPS[chip].packed[module]]) + struct.pack("<9h", *[value] * 9)


def both(driver: MetaMotionDriver, acc: bytes, gyro: bytes) -> ImuBatch:
    (batch,) = batches(feed(driver, NOTIFY_UUID, acc) + feed(driver, NOTIFY_UUID, gyro))
    return batch


def test_packed_messages_of_the_bmi160_decode_to_the_vendors_values() -> None:
    batch = both(bmi160(), ACC_PACKED_8G, GYRO_PACKED_1000)
    assert batch.t_dev_ticks.tolist() == [0, 1, 2]
    np.testing.assert_allclose(batch.acc_mps2 / GRAVITY_MPS2, ACC_PACKED_G, atol=0.0005)
    np.testing.assert_allclose(np.degrees(batch.gyr_rps), GYRO_PACKED_DPS, atol=0.0005)


def test_the_same_bytes_are_a_packed_message_on_one_chip_and_single_on_the_other() -> None:
    batch = both(MetaMotionDriver(), b"\x03\x05" + ACC_PACKED_8G[2:], b"\x13\x05" + GYRO_PACKED_1000[2:])
    np.testing.assert_allclose(batch.acc_mps2 / GRAVITY_MPS2, ACC_PACKED_G, atol=0.0005)
    np.testing.assert_allclose(np.degrees(batch.gyr_rps), GYRO_PACKED_DPS, atol=0.0005)
    batch = both(bmi160(acc_range_g=4, gyr_range_dps=500), ACC_SINGLE_4G, GYRO_SINGLE_500)
    np.testing.assert_allclose(np.degrees(batch.gyr_rps), [[262.40854, 499.49695, -499.5122]], rtol=1e-6)
    (refused,) = feed(MetaMotionDriver(), NOTIFY_UUID, GYRO_SINGLE_500)
    assert isinstance(refused, Rejected)
    assert "3 samples of a bmi270 have 20" in refused.reason


def test_every_shared_vector_decodes_to_its_values() -> None:
    for vector in shared_vectors("MbientLab"):
        payload, listed = bytes.fromhex(vector["hex"]), vector["decoded"]
        if "log_id" in listed:
            (entry,) = decode_log(payload)
            assert (entry.logger, entry.reset_uid) == (listed["log_id"], listed["reset_uid"])
            assert (entry.tick, entry.value) == (listed["tick_u24_or_u32"], listed["value_u32"])
            assert pytest.approx(listed["tick_ms"] * 1e6) == TICK_NS
        elif "acc_g" in listed:
            driver = bmi160(acc_range_g=4 if payload == ACC_SINGLE_4G else 2)
            batch = both(driver, payload, GYRO_SINGLE_500)
            np.testing.assert_allclose(batch.acc_mps2 / GRAVITY_MPS2, listed["acc_g"], rtol=1e-6)
        elif "gyr_dps" in listed:
            batch = both(bmi160(gyr_range_dps=500), ACC_SINGLE_4G, payload)
            np.testing.assert_allclose(np.degrees(batch.gyr_rps), listed["gyr_dps"], rtol=1e-6)
        else:
            (key,) = set(listed) & set(FUSION_NAMES)
            name, values = decode_fusion(payload)
            assert name == FUSION_NAMES[key]
            np.testing.assert_allclose(values, listed[key], rtol=1e-6)
            (refused,) = feed(MetaMotionDriver(), NOTIFY_UUID, payload)
            assert isinstance(refused, Rejected)


def test_a_captured_message_is_gravity() -> None:
    batch = both(bmi160(acc_range_g=2), ACC_CAPTURED, GYRO_SINGLE_500)
    np.testing.assert_allclose(
        batch.acc_mps2 / GRAVITY_MPS2, [[0.09228515625, -0.021728515625, 1.03826904297]], rtol=1e-9
    )


def stream(driver: MetaMotionDriver, order: str) -> list[tuple[int, int, int]]:
    """Feed `a` and `g` in that order, each carrying its own number; the pairs that came out with their count.

    A capital letter is a message that was lost on the way.
    """
    out, sent = [], {"a": 0, "g": 0}
    for i, letter in enumerate(order):
        kind = letter.lower()
        sent[kind] += 1
        if letter.isupper():
            continue
        payload = packed("bmi270", ACC if kind == "a" else GYRO, sent[kind])
        for item in driver.feed(NOTIFY_UUID, payload, 15_000_000 * i, 15_000_000 * i):
            assert isinstance(item, ImuBatch)
            a = item.acc_mps2[0, 0] / GRAVITY_MPS2 * 4096
            g = math.degrees(item.gyr_rps[0, 0]) * 32.8
            out.append((int(item.t_dev_ticks[0]), round(a), round(g)))
    return out


def test_streams_pair_in_the_order_of_their_messages() -> None:
    assert stream(MetaMotionDriver(), "agagag") == [(0, 1, 1), (3, 2, 2), (6, 3, 3)]
    assert stream(MetaMotionDriver(), "gagaga") == [(0, 1, 1), (3, 2, 2), (6, 3, 3)]
    assert stream(MetaMotionDriver(), "aggaagga") == [(0, 1, 1), (3, 2, 2), (6, 3, 3), (9, 4, 4)]


@pytest.mark.parametrize("order", ["agagaGagagag", "gagagAgagaga"])
def test_a_lost_message_of_the_second_costs_its_partner_and_no_later_pair(order: str) -> None:
    pairs = stream(MetaMotionDriver(), order)
    assert [(count, a) for count, a, _ in pairs] == [(3 * (a - 1), a) for a in (1, 2, 4, 5, 6)]
    assert [pair for pair in pairs if pair[1] != pair[2]] == []


@pytest.mark.parametrize(("pair", "lost"), [("ag", "Ag"), ("ga", "Ga")])
def test_a_lost_message_of_the_first_shows_by_the_turned_order_and_is_made_good(pair: str, lost: str) -> None:
    pairs = stream(MetaMotionDriver(), pair * 50 + lost + pair * 50)
    wrong = [p for p in pairs if p[1] != p[2]]
    assert 0 < len(wrong) <= 32
    assert all(abs(a - g) == 1 for _, a, g in wrong)
    assert pairs[-1] == (300, 101, 101)


def test_an_order_by_chance_is_no_loss() -> None:
    rng = np.random.default_rng(11)
    pairs = stream(MetaMotionDriver(), "".join(rng.choice(["ag", "ga"], 2000)))
    assert pairs == [(3 * i, i + 1, i + 1) for i in range(2000)]


def test_only_one_stream_is_bounded_and_counted_on() -> None:
    driver = MetaMotionDriver()
    for i in range(500):
        assert driver.feed(NOTIFY_UUID, packed("bmi270", ACC, i), 30_000_000 * i, 0) == []
    assert len(driver.snapshot()) <= MOST_NUMBERS
    (batch,) = driver.feed(NOTIFY_UUID, packed("bmi270", GYRO, 1), 15_000_000_000, 0)
    assert isinstance(batch, ImuBatch)
    assert batch.t_dev_ticks.tolist() == [1497, 1498, 1499]


def test_a_reset_begins_another_count() -> None:
    driver = MetaMotionDriver()
    assert [c for c, _, _ in stream(driver, "agag")] == [0, 3]
    driver.reset()
    counts = [c for c, _, _ in stream(driver, "agag")]
    assert counts[0] > 100_000_000
    assert counts[1] == counts[0] + 3


def test_the_sensors_own_answer_overrules_a_wrong_chip() -> None:
    driver = MetaMotionDriver()
    assert feed(driver, NOTIFY_UUID, bytes.fromhex("038004010301")) == []
    assert feed(driver, NOTIFY_UUID, bytes.fromhex("13800101")) == []
    assert both(driver, packed("bmi270", ACC, 1), packed("bmi270", GYRO, 1)) is not None
    (refused,) = feed(driver, NOTIFY_UUID, bytes.fromhex("13800001"))
    assert isinstance(refused, Rejected)
    assert "set its option 'chip' to 'bmi160'" in refused.reason
    driver.reset()
    (refused,) = feed(restored(driver, MetaMotionDriver()), NOTIFY_UUID, packed("bmi270", GYRO, 1))
    assert isinstance(refused, Rejected)
    assert "option 'chip'" in refused.reason
    (refused,) = feed(MetaMotionDriver(), NOTIFY_UUID, b"\x13\x80")
    assert isinstance(refused, Rejected)


def test_battery_and_what_was_not_asked_for() -> None:
    driver = MetaMotionDriver()
    assert feed(driver, NOTIFY_UUID, bytes.fromhex("118c633410")) == [Battery(99.0)]
    for bad in ("118c63", "118cff3410", "0b07a1cc4d00006c010000", "03", "", "0399", "0305aabb"):
        (refused,) = feed(driver, NOTIFY_UUID, bytes.fromhex(bad))
        assert isinstance(refused, Rejected)


def test_log_entries_become_samples() -> None:
    entries = [entry for payload in LOG for entry in decode_log(payload)]
    assert [(e.logger, e.reset_uid, e.tick) for e in entries] == [
        (0, 5, 0x42E6), (1, 5, 0x42E6), (0, 5, 0x4337), (1, 5, 0x4337), (0, 5, 0x4345),
    ]  # fmt: skip
    halves = Halves((0, 1))
    whole = [sample for e in entries if (sample := halves.add(e)) is not None]
    assert whole == [(0x42E6, (0xF5, 0x13D, 0x0FDD)), (0x4337, (0x12A, -55, 0x1031))]
    halves = Halves((0, 1))
    assert not any(halves.add(e) for e in (entries[0], entries[3], entries[1], entries[2]))
    for bad in (b"", b"\x0b\x07", LOG[0][:-1], b"\x0b\x08" + LOG[0][2:]):
        with pytest.raises(ValueError, match="0b07"):
            decode_log(bad)


def test_fusion_messages_are_read_as_evidence_only() -> None:
    name, quaternion = decode_fusion(b"\x19\x07" + struct.pack("<4f", 0.5, 0.5, -0.5, 0.5))
    assert (name, quaternion) == ("q_wxyz", (0.5, 0.5, -0.5, 0.5))
    for bad in (b"\x19\x07\0", b"\x19\x03", b"", b"\x03\x04"):
        with pytest.raises(ValueError, match=r"fusion|bytes"):
            decode_fusion(bad)


GOOD = [packed("bmi270", ACC, 5), packed("bmi270", GYRO, 7), bytes.fromhex("038004010301"), bytes.fromhex("13800101"),
        bytes.fromhex("118c633410"), packed("bmi270", ACC, 9), LOG[0]]  # fmt: skip


@pytest.mark.parametrize("chip", ["bmi160", "bmi270"])
def test_ten_thousand_random_and_damaged_payloads(chip: str) -> None:
    driver = MetaMotionDriver(chip=chip)  # type: ignore[arg-type]
    info = [bytes([m, 0x80, CHIPS[chip].implementation[m], 1]) for m in (ACC, GYRO)]
    good = [packed(chip, ACC, 5), packed(chip, GYRO, 7), ACC_SINGLE_4G, *info, GOOD[4], LOG[0]]
    assert storm(driver, NOTIFY_UUID, good, 5_000, MOST_NUMBERS) > 1000


@settings(max_examples=60)
@given(st.lists(st.one_of(st.sampled_from(GOOD), st.binary(max_size=60)), max_size=40), st.integers(0, 40))
def test_a_restart_anywhere_changes_nothing(payloads: list[bytes], at: int) -> None:
    straight, broken = MetaMotionDriver(), MetaMotionDriver()
    for i, payload in enumerate(payloads):
        if i == at:
            broken = restored(broken, MetaMotionDriver())
        items, again = feed(straight, NOTIFY_UUID, payload), feed(broken, NOTIFY_UUID, payload)
        check(straight, items, MOST_NUMBERS)
        assert repr(items) == repr(again)


def test_start_tears_down_first_and_sets_up_each_chip_by_its_codes() -> None:
    s = [step.payload.hex() for step in MetaMotionDriver().start()]
    assert s[:12] == ["030100", "130100", "03020001", "13020001", "030400", "030500", "130400", "130500", "0b0100",
                      "0908", "0a05", "0b0a"]  # fmt: skip
    assert s[12:] == ["0380", "1380", "118c", "0303a802", "13032801", "130501", "030501", "13020100", "03020100",
                      "130101", "030101"]  # fmt: skip
    r = [step.payload.hex() for step in MetaMotionDriver(50, "bmi160", 16, 500).start()]
    assert r[15:19] == ["0303270c", "13032702", "130701", "031c01"]
    assert [step.payload.hex() for step in MetaMotionDriver().stop()] == s[:12]
    assert [step.payload.hex() for step in MetaMotionDriver().poll()] == ["118c"]
    assert {step.uuid for step in MetaMotionDriver().start()} == {COMMAND_UUID}


def test_match_and_settings() -> None:
    driver = MetaMotionDriver(200)
    assert driver.match(Advert("a", "MetaWear", (SERVICE_UUID,), {}, -60)) == 0.9
    assert driver.match(Advert("a", "MetaWear", (), {}, -60)) == 0
    can = driver.capabilities
    assert (can.clock.tick_ns, can.clock.bits, can.seq_bits, can.rate_hz) == (5_000_000, None, None, 200)
    wrong: list[tuple[dict[str, object], str]] = [
        ({"rate_hz": 60}, "rate_hz"), ({"chip": "bmi999"}, "chip"), ({"acc_range_g": 3}, "acc_range_g"),
        ({"gyr_range_dps": 3}, "gyr_range_dps"),
    ]  # fmt: skip
    for kwargs, key in wrong:
        with pytest.raises(ValueError, match=key):
            MetaMotionDriver(**kwargs)  # type: ignore[arg-type]
    (refused,) = feed(driver, COMMAND_UUID, ACC_SINGLE_4G)
    assert isinstance(refused, Rejected)
