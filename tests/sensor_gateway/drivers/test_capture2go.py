"""Capture2Go: the golden packages, frames cut anywhere, bytes that belong to nothing, and a clock set only when wrong."""

from __future__ import annotations

from struct import pack, unpack_from

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.clock.notes import TimebaseParams
from processing.types import ImuBatch
from sensor_gateway.drivers.base import Advert, Battery, Decoded, Rejected
from sensor_gateway.drivers.capture2go import (
    CLEARED,
    GET_STATUS,
    NOTIFY_UUID,
    SERVICE_UUID,
    SET_MODE,
    SET_TIME,
    START,
    STATUS,
    STOP_AND_CLEAR,
    WRITE_UUID,
    Capture2GoDriver,
)
from sensor_gateway.drivers.capture2go_frame import Package, encode, split
from tests.sensor_gateway.decoded import one_batch
from tests.sensor_gateway.drivers.fuzz import RX_MONO_NS, RX_UTC_NS, check, feed, restored, shared_vectors, storm

# Made with the vendor's SDK encoder and parser (provenance: derived); frames without the notification's first byte.
RT_QUAT = bytes.fromhex("02392da1e613870215cd0bdcacc66c180000e8d9ae000048e80300")
FULL_FIXED = bytes.fromhex("024a79994d25420215cd0bdcacc66c18640038ff2c01000000000008400160ff80020000e8d9ae00004818fc02")
PACKED_6D = bytes.fromhex(
    "0262777d3d73320215cd0bdcacc66c18000054005a000e00b5ffa1ffe5ff410062002900caff9dffcbff2a0063004100e4ffa0ffb5ff0e005b00"
    "53000000acff00000100020803000400050806000700080809000a000b080c000d000e080f001000110812001300140815001600170800"
    "00e8d9ae000048000000"
)
RESET_NS = round(TimebaseParams().reset_s * 1e9)
STATUS_87 = bytes.fromhex("022a48b99313010215cd0bdcacc66c1802020a00ecff1e0001d75d")
T_NS = 1_760_000_000_123_456_789
PACKED_GYR = [[0.0, 0.089482213, 0.095873799], [0.014913702, -0.079894833, -0.10120012],
              [-0.02876214, 0.069242188, 0.10439591], [0.043675842, -0.05752428, -0.10546118],
              [-0.056459015, 0.044741106, 0.10546118], [0.069242188, -0.029827404, -0.10226539],
              [-0.079894833, 0.014913702, 0.096939064], [0.088416948, 0.0, -0.089482213]]  # fmt: skip
PACKED_ACC = [[0.0, 0.0047900391, 9.8195801], [0.014370117, 0.019160156, 9.8339502],
              [0.028740234, 0.033530273, 9.8483203], [0.043110352, 0.047900391, 9.8626904],
              [0.057480469, 0.062270508, 9.8770605], [0.071850586, 0.076640625, 9.8914307],
              [0.086220703, 0.091010742, 9.9058008], [0.10059082, 0.10538086, 9.9201709]]  # fmt: skip
MOST_NUMBERS = 70  # twice 243 bytes, eight a number, and five more


def notifications(frames: bytes, sizes: list[int]) -> list[bytes]:
    """The FIFO's bytes cut as a radio would; the last cut takes the rest."""
    out, at = [], 0
    for size in [*sizes, len(frames)]:
        if at < len(frames):
            out.append(b"\xff" + frames[at : at + size])
        at += size
    return out


def batches(items: list[Decoded]) -> list[ImuBatch]:
    return [item for item in items if isinstance(item, ImuBatch)]


def test_a_packed_package_gives_its_eight_samples() -> None:
    batch = one_batch(feed(Capture2GoDriver(), NOTIFY_UUID, b"\xff" + PACKED_6D))
    assert batch.t_dev_ticks.tolist() == [T_NS + 10_000_000 * i for i in range(8)]
    np.testing.assert_allclose(batch.gyr_rps, PACKED_GYR, rtol=0, atol=1e-8)
    np.testing.assert_allclose(batch.acc_mps2, PACKED_ACC, rtol=0, atol=1e-6)
    assert (batch.seq, batch.rx_mono_ns, batch.rx_utc_ns) == (None, RX_MONO_NS, RX_UTC_NS)


def test_a_package_of_one_sample_with_magnetometer_and_one_without_samples() -> None:
    batch = one_batch(feed(Capture2GoDriver(), NOTIFY_UUID, b"\xff" + FULL_FIXED))
    assert batch.t_dev_ticks.tolist() == [T_NS]
    np.testing.assert_allclose(batch.gyr_rps, [[0.10652644, -0.21305289, 0.31957933]], rtol=0, atol=1e-8)
    np.testing.assert_allclose(batch.acc_mps2, [[0, 0, 9.81]], rtol=0, atol=1e-12)
    assert feed(Capture2GoDriver(), NOTIFY_UUID, b"\xfe" + RT_QUAT) == []


@pytest.mark.parametrize(("digit", "period_ns"), [(1, 5_000_000), (3, 20_000_000), (4, 40_000_000), (6, 10**9)])
@pytest.mark.parametrize("kind", [0x22, 0x23])
def test_the_rate_is_in_the_header_and_a_magnetometer_changes_nothing(kind: int, digit: int, period_ns: int) -> None:
    magnetometer = bytes(48 if kind == 0x22 else 0)
    frame = encode(kind << 4 | digit, PACKED_6D[8:112] + magnetometer + bytes(11))
    batch = one_batch(feed(Capture2GoDriver(), NOTIFY_UUID, b"\xff" + frame))
    assert np.diff(batch.t_dev_ticks).tolist() == [period_ns] * 7
    np.testing.assert_allclose(batch.acc_mps2, PACKED_ACC, rtol=0, atol=1e-6)


def test_real_time_frames_come_first_and_the_rest_waits_for_the_next_notification() -> None:
    # Derived: a real-time frame, then the first 20 bytes of a status.
    first = bytes.fromhex(
        "fe02392da1e613870215cd0bdcacc66c180000e8d9ae000048e80300022a48b99313010215cd0bdcacc66c1802020a00"
    )
    driver = Capture2GoDriver()
    assert feed(driver, NOTIFY_UUID, first) == []
    assert feed(restored(driver, Capture2GoDriver()), NOTIFY_UUID, b"\xff" + STATUS_87[20:]) == [Battery(87.0)]
    real_time = encode(0x0247, FULL_FIXED[8:])
    got = feed(driver, NOTIFY_UUID, b"\xfe" + real_time + STATUS_87[20:])
    assert [type(item) for item in got] == [ImuBatch, Battery]


def test_every_shared_vector_decodes() -> None:
    seen = 0
    for vector in shared_vectors("Capture2Go"):
        raw, want = bytes.fromhex(vector["hex"]), vector["decoded"]
        if "command" in want:
            assert want["command"] == "start streaming"
            assert Capture2GoDriver().start()[-1].payload == raw
        else:
            framed = raw if raw[0] >= 0xFC else (b"\xfe" + raw if want["package"].endswith("Rt") else b"\xff" + raw)
            items = feed(Capture2GoDriver(), vector["characteristic"], framed)
            assert not [item for item in items if isinstance(item, Rejected)]
            if "gyr" in want:
                batch = one_batch(items)
                np.testing.assert_array_equal(batch.t_dev_ticks, np.ravel(want["timestamp"]))
                np.testing.assert_allclose(batch.gyr_rps, np.reshape(want["gyr"], (-1, 3)), rtol=0, atol=5e-9)
                np.testing.assert_allclose(batch.acc_mps2, np.reshape(want["acc"], (-1, 3)), rtol=0, atol=5e-7)
            elif "batteryPercentage" in want:
                assert items == [Battery(float(want["batteryPercentage"]))]
            else:
                assert items == []
        seen += 1
    assert seen == 6


@given(sizes=st.lists(st.integers(1, 243), max_size=40), order=st.lists(st.integers(0, 2), min_size=1, max_size=12))
def test_frames_may_be_cut_anywhere(sizes: list[int], order: list[int]) -> None:
    stream = b"".join((PACKED_6D, FULL_FIXED, STATUS_87)[i] for i in order)
    driver, got = Capture2GoDriver(), []
    for payload in notifications(stream, sizes):
        got += feed(driver, NOTIFY_UUID, payload)
        driver = restored(driver, Capture2GoDriver())
    assert not [item for item in got if isinstance(item, Rejected)]
    assert [len(b.t_dev_ticks) for b in batches(got)] == [(8, 1)[i] for i in order if i < 2]


@given(junk=st.binary(min_size=1, max_size=300))
def test_after_junk_the_stream_is_found_again_and_the_junk_is_told(junk: bytes) -> None:
    driver = Capture2GoDriver()
    got = feed(driver, NOTIFY_UUID, b"\xff" + junk)
    for _ in range(4):  # a false start may ask for 243 bytes more before it is seen through
        got += feed(driver, NOTIFY_UUID, b"\xff" + PACKED_6D)
    assert len(batches(got)) == 4
    told = b"".join(item.payload for item in got if isinstance(item, Rejected))
    assert told.startswith(junk[:200])


def test_a_flipped_bit_never_passes() -> None:
    for bit in range(8 * len(PACKED_6D)):
        bad = bytearray(PACKED_6D)
        bad[bit // 8] ^= 1 << bit % 8
        assert not batches(feed(Capture2GoDriver(), NOTIFY_UUID, b"\xff" + bytes(bad) + bytes(243)))


def test_a_disconnect_ends_a_frame_that_was_begun() -> None:
    driver = Capture2GoDriver()
    feed(driver, NOTIFY_UUID, b"\xff" + PACKED_6D[:50])
    driver.reset()
    assert len(batches(feed(driver, NOTIFY_UUID, b"\xff" + encode(CLEARED) + PACKED_6D))) == 1


def test_after_a_reconnection_samples_count_once_the_buffer_was_cleared() -> None:
    driver, waited = Capture2GoDriver(), b"\xff" + PACKED_6D
    assert len(batches(feed(driver, NOTIFY_UUID, waited))) == 1
    driver.reset()
    assert batches(feed(driver, NOTIFY_UUID, waited)) == []
    other = restored(driver, Capture2GoDriver())
    assert feed(other, NOTIFY_UUID, waited + STATUS_87) == [Battery(87.0)]
    assert len(batches(feed(other, NOTIFY_UUID, b"\xff" + PACKED_6D + encode(CLEARED) + PACKED_6D * 2))) == 2
    assert len(batches(feed(other, NOTIFY_UUID, waited))) == 1
    # A journal that begins behind the answer, and a sensor that gives none.
    assert batches(driver.feed(NOTIFY_UUID, waited, RX_MONO_NS + 2 * 10**9, RX_UTC_NS)) == []
    assert len(batches(driver.feed(NOTIFY_UUID, waited, RX_MONO_NS + 4 * 10**9, RX_UTC_NS))) == 1


@pytest.mark.parametrize(
    ("payload", "word"),
    [(b"", "real-time frames"), (b"\x02" + PACKED_6D, "real-time frames"), (b"\xfd" + RT_QUAT, "torn"),
     (b"\xff" + encode(0x0232, PACKED_6D[8:-1]), "114 bytes"), (b"\xff" + encode(0x0252, bytes(31))[:5] + b"\xff", "no frame"),
     (b"\xff" + encode(0x0252, pack("<q", -5) + bytes(23)), "no time"), (b"\xff" + encode(0xFFFF, b"\xfbP\x01"), "recording")],
)  # fmt: skip
def test_the_reason_names_what_is_wrong(payload: bytes, word: str) -> None:
    (item,) = feed(Capture2GoDriver(), NOTIFY_UUID, payload)
    assert isinstance(item, Rejected)
    assert word in item.reason


def test_another_characteristic_is_rejected() -> None:
    (item,) = feed(Capture2GoDriver(), WRITE_UUID, b"\xff" + PACKED_6D)
    assert isinstance(item, Rejected)
    assert WRITE_UUID in item.reason


def headers(driver: Capture2GoDriver, utc_ns: int = RX_UTC_NS) -> list[int]:
    found = []
    for step in driver.start_at(utc_ns):
        (package,), rest = split(step.payload)
        assert step.uuid == WRITE_UUID
        assert isinstance(package, Package)
        assert rest == b""
        found.append(package.header)
    return found


def test_start_clears_then_sets_time_mode_and_goes() -> None:
    driver = Capture2GoDriver(50.0)
    assert headers(driver) == [STOP_AND_CLEAR, SET_TIME, GET_STATUS, SET_MODE, START]
    _, time, _, mode, _ = driver.start_at(RX_UTC_NS)
    assert unpack_from("<q", time.payload, 8) == (RX_UTC_NS,)
    # The vendor's SDK writes these bytes: packed at code 3 (50 Hz), a status each 60 s, no magnetometer, all else off.
    assert mode.payload[8:].hex() == "00000000000000000000030000003c000000000000000000000000000001"
    assert [step.payload for step in driver.stop()] == [encode(STOP_AND_CLEAR)]
    assert driver.start()[-1].payload == bytes.fromhex("023d7f658c005001")
    assert driver.capabilities.rate_hz == 50


@pytest.mark.parametrize(
    ("t_ns", "sets"),
    [(RX_UTC_NS - 50_000_000, False), (RX_UTC_NS - 300 * 10**9, False), (978_307_200 * 10**9, True), (7, True),
     (RX_UTC_NS + RESET_NS, False), (RX_UTC_NS + 2 * RESET_NS + 1, True)],
)  # fmt: skip
def test_the_clock_is_set_only_where_it_does_not_show_utc(t_ns: int, sets: bool) -> None:
    """Nor where it is fast by less than the timebase takes for a restart: dates would be wrong by that for many minutes."""
    for frame in (encode(STATUS, pack("<q", t_ns) + STATUS_87[16:]), encode(0x0252, pack("<q", t_ns) + bytes(23))):
        driver = Capture2GoDriver()
        feed(driver, NOTIFY_UUID, b"\xff" + frame)
        driver.reset()
        assert (SET_TIME in headers(restored(driver, Capture2GoDriver()))) is sets


def test_battery_is_told_when_it_changes_and_anew_after_a_disconnect() -> None:
    driver = Capture2GoDriver()
    assert feed(driver, NOTIFY_UUID, b"\xff" + STATUS_87) == [Battery(87.0)]
    assert feed(driver, NOTIFY_UUID, b"\xff" + STATUS_87) == []
    driver.reset()
    assert feed(driver, NOTIFY_UUID, b"\xff" + STATUS_87) == [Battery(87.0)]


def test_match_and_rates() -> None:
    driver = Capture2GoDriver()
    assert driver.match(Advert("a", None, (SERVICE_UUID,), {}, -60)) == 1
    assert driver.match(Advert("a", "IMU_ab1234", (), {}, -60)) == pytest.approx(0.3)
    assert driver.match(Advert("a", "Tiltline", (), {}, -60)) == 0
    with pytest.raises(ValueError, match="rate_hz is 60"):
        Capture2GoDriver(60.0)


@given(st.lists(st.binary(max_size=260), max_size=20))
def test_random_payloads_never_raise(payloads: list[bytes]) -> None:
    driver = Capture2GoDriver()
    for payload in payloads:
        check(driver, feed(driver, NOTIFY_UUID, payload), MOST_NUMBERS)


def test_a_storm_of_changed_packages_is_survived_and_counted() -> None:
    good = [
        b"\xff" + PACKED_6D,
        b"\xff" + FULL_FIXED + STATUS_87,
        b"\xfe" + RT_QUAT + PACKED_6D[:90],
        b"\xff" + PACKED_6D[90:],
    ]
    assert storm(Capture2GoDriver(), NOTIFY_UUID, good, 5000, MOST_NUMBERS) > 2000
