"""The open profile: the specification's own frames, the encoder as the parser's inverse, and bytes nobody promised."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from processing.types import GRAVITY_MPS2, ImuBatch
from sensor_gateway.drivers.base import Advert, Battery, Decoded, Received, Rejected
from sensor_gateway.drivers.open_profile import (
    BATCH_MAX,
    CONTROL_UUID,
    DATA_UUID,
    SERVICE_UUID,
    OpenProfileDriver,
    encode_frames,
)
from tests.cpu import least_cpu_s

# Assembled by hand from docs/open_profile.md; the checksums by the bitwise definition below.
GOLDEN = bytes.fromhex(
    "5410 3412 102700000100 1027 02 57 08 08 0000 636d 000000000010 004000c00000 00f000000000 0100ffff00c0"
)
GOLDEN_EXTREME = bytes.fromhex("5411 ffff ffffffffffff 1027 01 ff 10 10 0000 d547 ff7f00800000 00000000ffff")
DOC = Path(__file__).parents[3] / "docs" / "open_profile.md"


def crc16(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def feed(payload: bytes, driver: OpenProfileDriver | None = None) -> list[object]:
    return list((driver or OpenProfileDriver()).feed(DATA_UUID, payload, 11, 22))


def batches(frames: list[bytes]) -> list[ImuBatch]:
    driver = OpenProfileDriver()
    out = [item for frame in frames for item in feed(frame, driver)]
    assert not [item for item in out if isinstance(item, Rejected)]
    return [item for item in out if isinstance(item, ImuBatch)]


def with_crc(frame: bytes) -> bytes:
    return frame[:18] + crc16(frame[:18] + frame[20:]).to_bytes(2, "little") + frame[20:]


def test_golden_frame_decodes_to_the_documented_values() -> None:
    battery, batch = feed(GOLDEN)
    assert battery == Battery(87.0)
    assert isinstance(batch, ImuBatch)
    assert (batch.seq, batch.rx_mono_ns, batch.rx_utc_ns) == (0x1234, 11, 22)
    assert batch.t_dev_ticks.dtype == np.int64
    assert batch.t_dev_ticks.tolist() == [4_294_977_296, 4_294_987_296]
    g, dps = GRAVITY_MPS2, math.pi / 180
    np.testing.assert_allclose(batch.acc_mps2, [[0, 0, g], [-g, 0, 0]], rtol=0, atol=1e-12)
    one_step = 1000 / 32768 * dps
    expected = [[500 * dps, -500 * dps, 0], [one_step, -one_step, -500 * dps]]
    np.testing.assert_allclose(batch.gyr_rps, expected, rtol=0, atol=1e-12)


def test_counters_at_their_end_and_unknown_battery() -> None:
    (batch,) = feed(GOLDEN_EXTREME)
    assert isinstance(batch, ImuBatch)
    assert batch.t_dev_ticks.tolist() == [2**48 - 1]
    assert batch.seq == 0xFFFF
    np.testing.assert_allclose(batch.acc_mps2 / GRAVITY_MPS2, [[16 * 32767 / 32768, -16, 0]], atol=1e-12)
    assert batch.gyr_rps[0, 2] == pytest.approx(-math.radians(2000 / 32768), abs=1e-15)


def test_the_encoder_gives_the_golden_frames_and_the_document_prints_them() -> None:
    g, dps = GRAVITY_MPS2, math.pi / 180
    acc, step = np.array([[0, 0, g], [-g, 0, 0]]), 1000 / 32768 * dps
    gyr = np.array([[500 * dps, -500 * dps, 0], [step, -step, -500 * dps]])
    assert encode_frames(0x1234, 4_294_977_296, acc, gyr, 87) == [GOLDEN]
    extreme = encode_frames(
        0xFFFF,
        2**48 - 1,
        np.array([[20 * g, -20 * g, 0.0]]),
        np.array([[0, 0, -2000 / 32768 * dps]]),
        acc_range_g=16,
        gyr_range_dps=2000,
    )
    assert extreme == [GOLDEN_EXTREME]
    text = DOC.read_text(encoding="utf-8").replace(" ", "").replace("\n", "")
    assert GOLDEN.hex() in text
    assert GOLDEN_EXTREME.hex() in text
    assert all(uuid in text for uuid in (SERVICE_UUID, DATA_UUID, CONTROL_UUID))


@given(
    raw=hnp.arrays(np.int16, st.tuples(st.integers(1, 130), st.just(6)), elements=st.integers(-32768, 32767)),
    seq0=st.integers(0, 1 << 20),
    t_us0=st.integers(0, (1 << 48) - 1),
    batch=st.integers(1, BATCH_MAX),
    acc_range=st.sampled_from([2, 4, 8, 16]),
    gyr_range=st.sampled_from([125, 250, 500, 1000, 2000]),
)
def test_decoding_is_the_inverse_of_encoding(raw, seq0, t_us0, batch, acc_range, gyr_range) -> None:
    acc = raw[:, :3] * (acc_range * GRAVITY_MPS2 / 32768)
    gyr = raw[:, 3:] * (math.radians(gyr_range) / 32768)
    frames = encode_frames(seq0, t_us0, acc, gyr, batch=batch, acc_range_g=acc_range, gyr_range_dps=gyr_range)
    got = batches(frames)
    assert len(got) == math.ceil(len(raw) / batch)
    np.testing.assert_allclose(np.concatenate([b.acc_mps2 for b in got]), acc, rtol=1e-14)
    np.testing.assert_allclose(np.concatenate([b.gyr_rps for b in got]), gyr, rtol=1e-14)
    for i, b in enumerate(got):
        assert b.seq == (seq0 + i * batch) & 0xFFFF
        start = (t_us0 + i * batch * 10_000) & (2**48 - 1)
        assert b.t_dev_ticks.tolist() == [start + 10_000 * j for j in range(len(b.acc_mps2))]


def test_a_fractional_period_does_not_add_up_to_an_error() -> None:
    zeros = np.zeros((100_000, 3))
    got = batches(encode_frames(0, 0, zeros, zeros, period_us=10_000.123))
    starts = np.array([b.t_dev_ticks[0] for b in got])
    assert np.abs(starts - np.arange(10_000) * 100_001.23).max() <= 0.5001


@given(st.binary(max_size=200))
def test_random_bytes_are_rejected_with_a_reason(payload: bytes) -> None:
    (out,) = feed(payload)
    assert isinstance(out, Rejected)
    assert out.reason
    assert out.payload == payload


@given(data=st.data(), n=st.integers(1, 41))
def test_a_changed_frame_is_never_taken_for_a_good_one(data: st.DataObject, n: int) -> None:
    frame = encode_frames(7, 70_000, np.ones((n, 3)), np.ones((n, 3)), 50, batch=n)[0]
    bad = bytearray(frame)
    at = data.draw(st.integers(0, len(frame) - 1))
    bad[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(frame) - 1))
    for payload in (bytes(bad), frame[:cut], frame + b"\0", frame[1:]):
        (out,) = feed(payload)
        assert isinstance(out, Rejected)


@given(st.integers(0, 17), st.integers(0, 255))
def test_a_header_with_a_valid_checksum_but_any_value_never_raises(at: int, value: int) -> None:
    bad = bytearray(GOLDEN)
    bad[at] = value
    out = feed(with_crc(bytes(bad)))
    assert all(isinstance(item, (ImuBatch, Battery, Rejected)) for item in out)


@pytest.mark.parametrize(
    ("at", "value", "word"),
    [(0, 0x55, "54 1x"), (1, 0x20, "54 1x"), (12, 0, "0 samples"), (12, 3, "3 samples"), (14, 3, "ranges 3"),
     (15, 5, "ranges 8, 5")],
)  # fmt: skip
def test_the_reason_names_what_is_wrong(at: int, value: int, word: str) -> None:
    bad = bytearray(GOLDEN)
    bad[at] = value
    (out,) = feed(with_crc(bytes(bad)))
    assert isinstance(out, Rejected)
    assert word in out.reason


def test_another_characteristic_is_rejected() -> None:
    (out,) = OpenProfileDriver().feed(CONTROL_UUID, GOLDEN, 1, 2)
    assert isinstance(out, Rejected)
    assert CONTROL_UUID in out.reason


def test_battery_is_told_when_it_changes_and_after_a_reset_and_survives_a_snapshot() -> None:
    zeros = np.zeros((10, 3))
    full, less = encode_frames(0, 0, zeros, zeros, 81)[0], encode_frames(0, 0, zeros, zeros, 80)[0]
    driver = OpenProfileDriver()
    seen = [[item.percent for item in feed(f, driver) if isinstance(item, Battery)] for f in (full, full, less, less)]
    assert seen == [[81], [], [80], []]
    other = OpenProfileDriver()
    other.restore(driver.snapshot())
    assert len(feed(less, other)) == 1
    driver.reset()
    assert len(feed(less, driver)) == 2


def test_start_stops_first_and_names_the_settings() -> None:
    driver = OpenProfileDriver(rate_hz=200, batch=20, acc_range_g=16, gyr_range_dps=2000)
    assert [step.payload.hex() for step in driver.start()] == ["00", "01c800141010"]
    assert [step.payload for step in driver.stop()] == [b"\0"]
    assert {step.uuid for step in driver.start()} == {CONTROL_UUID}
    assert driver.capabilities.rate_hz == 200


def test_match_goes_by_the_service() -> None:
    driver = OpenProfileDriver()
    assert driver.match(Advert("a", None, (SERVICE_UUID,), {}, -60)) == 1
    assert driver.match(Advert("a", "Tiltline", (), {}, -60)) == 0


@pytest.mark.parametrize(
    ("kwargs", "key"),
    [({"rate_hz": 5}, "rate_hz"), ({"batch": 42}, "batch"), ({"acc_range_g": 6}, "acc_range_g"),
     ({"gyr_range_dps": 300}, "gyr_range_dps")],
)  # fmt: skip
def test_impossible_settings_are_refused_by_name(kwargs: dict[str, int], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        OpenProfileDriver(**kwargs)


def test_the_encoder_refuses_what_no_sensor_sends() -> None:
    good = np.zeros((4, 3))
    with pytest.raises(ValueError, match="NaN"):
        encode_frames(0, 0, np.full((4, 3), np.nan), good)
    with pytest.raises(ValueError, match=r"\(m, 3\)"):
        encode_frames(0, 0, good, good[:3])
    with pytest.raises(ValueError, match="period_us"):
        encode_frames(0, 0, good, good, period_us=70_000)


def test_a_day_can_be_encoded_and_decoded_in_seconds() -> None:
    rng = np.random.default_rng(1)
    acc, gyr = rng.normal(0, 9, (200_000, 3)), rng.normal(0, 2, (200_000, 3))
    frames = encode_frames(0, 0, acc, gyr, 90)

    def decode() -> None:
        driver = OpenProfileDriver()
        for frame in frames:
            driver.feed(DATA_UUID, frame, 0, 0)

    # Measured 1.2 and 5.4 us a frame; the bound is a guard against a loop per sample, not a benchmark.
    assert least_cpu_s(lambda: encode_frames(0, 0, acc, gyr, 90)) / len(frames) < 8e-6
    assert least_cpu_s(decode) / len(frames) < 30e-6


@pytest.mark.parametrize("seed", range(12))
def test_many_frames_at_once_are_what_each_is_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = encode_frames(65_500, 2.0**33, rng.normal(0, 30, (640, 3)), rng.normal(0, 9, (640, 3)), 50)
    frames = [bytearray(f) for f in frames]
    if seed % 3 == 1:  # a bit that fell over, a frame of another length, another characteristic
        frames[int(rng.integers(64))][int(rng.integers(20, 140))] ^= 4
    if seed % 3 == 2:
        frames[40:42] = [
            bytearray(f) for f in encode_frames(65_900, 2.0**33 + 4e6, np.ones((8, 3)), np.ones((8, 3)), 49, batch=4)
        ]
    uuids = [DATA_UUID] * len(frames)
    if seed == 4:
        uuids[7] = CONTROL_UUID
    if seed == 0:  # the battery falls on the way: sound frames all the same
        frames[30:] = [
            bytearray(f) for f in encode_frames(264, 2.0**33 + 3e6, np.ones((340, 3)), np.ones((340, 3)), 49)
        ]
    received = [
        Received(u, bytes(f), 10**9 + i, 10**18 + i) for i, (u, f) in enumerate(zip(uuids, frames, strict=True))
    ]
    alone, together = OpenProfileDriver(), OpenProfileDriver()
    expected = [alone.feed(r.uuid, r.payload, r.rx_mono_ns, r.rx_utc_ns) for r in received]
    found = together.feed_many(received)
    assert repr(found) == repr(expected)
    _check_frames(received, expected, alone.snapshot())
    assert together.snapshot() == alone.snapshot()
    for many, one in zip(found, expected, strict=True):
        for a, b in zip(many, one, strict=True):
            if isinstance(a, ImuBatch):
                assert a.acc_mps2.tobytes() == b.acc_mps2.tobytes()
                assert a.gyr_rps.tobytes() == b.gyr_rps.tobytes()
                assert a.t_dev_ticks.tobytes() == b.t_dev_ticks.tobytes()


def _check_frames(received: list[Received], expected: list[list[Decoded]], snapshot: dict[str, int]) -> None:
    """In arrays: all of it, or nothing."""
    driver, sizes = OpenProfileDriver(), {(r.uuid, len(r.payload)) for r in received}
    if len(sizes) > 1:
        return
    payloads = np.array([list(r.payload) for r in received], np.uint8)
    mono, utc = (np.array([getattr(r, name) for r in received]) for name in ("rx_mono_ns", "rx_utc_ns"))
    found = driver.feed_frames(received[0].uuid, payloads, mono, utc)
    batches = [item for items in expected for item in items if isinstance(item, ImuBatch)]
    if len(batches) < len(received):
        assert found is None
        assert driver.snapshot() == OpenProfileDriver().snapshot()
        return
    assert found is not None
    samples = found.samples
    assert samples.seq is not None
    assert samples.seq.tolist() == [b.seq for b in batches]
    assert samples.sizes.tolist() == [len(b.t_dev_ticks) for b in batches]
    assert samples.rx_mono_ns.tolist() == [b.rx_mono_ns for b in batches]
    assert samples.rx_utc_ns.tolist() == [b.rx_utc_ns for b in batches]
    for name in ("t_dev_ticks", "acc_mps2", "gyr_rps"):
        assert getattr(samples, name).tobytes() == b"".join(getattr(b, name).tobytes() for b in batches)
    levels = [(row, item) for row, items in enumerate(expected) for item in items if isinstance(item, Battery)]
    assert list(found.battery) == levels
    assert driver.snapshot() == snapshot
