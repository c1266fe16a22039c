"""Movella DOT: the golden payloads, the start sequence, and bytes that no DOT sends."""

from __future__ import annotations

import math
from struct import pack

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor_gateway.drivers import dot_message
from sensor_gateway.drivers.base import Advert, Battery, Rejected
from sensor_gateway.drivers.dot_message import RECORDING, SYNCHRONISATION, Message
from sensor_gateway.drivers.dot_payload import LONG_UUID, MEDIUM_UUID, PAYLOADS, SHORT_UUID, decode
from sensor_gateway.drivers.movella_dot import (
    BATTERY_UUID,
    COMPANY_ID,
    CONTROL_UUID,
    DEVICE_CONTROL_UUID,
    MovellaDotDriver,
)
from tests.sensor_gateway.decoded import one_batch
from tests.sensor_gateway.drivers.fuzz import RX_MONO_NS, RX_UTC_NS, check, feed, restored, shared_vectors, storm

# Provenance: derived from the vendor's table.
PAYLOAD_21 = bytes.fromhex("50c300007b142ebe0ad7a33cd7a31c410000c03f000010c00000003e")
PAYLOAD_20 = bytes.fromhex("6b0401007b142ebe0ad7a33cd7a31c410000c03f000010c00000003e000800fc0010")
PAYLOAD_26 = bytes.fromhex("bbc70100ea46773f00000000ed83843e000000007b142ebe0ad7a33cd7a31c41000020410000a0c10000f041")
ACC = [-0.17, 0.02, 9.79]
PADDED = {MEDIUM_UUID: 40, LONG_UUID: 63, SHORT_UUID: 20}
MOST_NUMBERS = 1


@pytest.mark.parametrize(
    ("mode", "uuid", "payload", "t_us", "gyr_dps"),
    [(21, MEDIUM_UUID, PAYLOAD_21, 50_000, [1.5, -2.25, 0.125]), (20, MEDIUM_UUID, PAYLOAD_20, 66_667, [1.5, -2.25, 0.125]),
     (26, LONG_UUID, PAYLOAD_26, 116_667, [10, -20, 30])],
)  # fmt: skip
@pytest.mark.parametrize("padded", [False, True])
def test_a_payload_with_both_quantities_is_a_sample(
    mode: int, uuid: str, payload: bytes, t_us: int, gyr_dps: list[float], padded: bool
) -> None:
    driver = MovellaDotDriver(payload=mode)
    batch = one_batch(feed(driver, uuid, payload + bytes(PADDED[uuid] - len(payload)) * padded))
    assert batch.t_dev_ticks.tolist() == [t_us]
    assert (batch.seq, batch.rx_mono_ns, batch.rx_utc_ns) == (None, RX_MONO_NS, RX_UTC_NS)
    np.testing.assert_allclose(batch.acc_mps2, [ACC], rtol=1e-6)
    np.testing.assert_allclose(batch.gyr_rps, np.radians([gyr_dps]), rtol=1e-12)
    assert driver.notify_uuids() == (uuid, BATTERY_UUID)


def test_every_shared_vector_decodes() -> None:
    modes = {"quat_wxyz": "quat", "clip_acc": "clips"}
    seen = 0
    for vector in shared_vectors("Xsens/Movella DOT"):
        raw, want, uuid = bytes.fromhex(vector["hex"]), vector["decoded"], vector["characteristic"]
        seen += 1
        if "t_us" in want:
            names = {modes.get(name, name) for name in want} - {"t_us", "clip_gyr"}
            (mode,) = [i for i, p in PAYLOADS.items() if set(p.fields) == names]
            assert PAYLOADS[mode].uuid == uuid
            assert PAYLOADS[mode].layout.size == len(raw)
            decoded = decode(mode, raw + bytes(PADDED[uuid] - len(raw)))
            assert decoded is not None
            t_us, fields = decoded
            assert t_us == want["t_us"]
            for name, values in fields.items():
                expected = (
                    [want["clip_acc"], want["clip_gyr"]] if name == "clips" else want.get(name, want.get("quat_wxyz"))
                )
                np.testing.assert_allclose(values, np.ravel(expected), rtol=1e-6, atol=1e-9)
            assert decode(mode, raw[:-1]) is None
            if {"acc_mps2", "gyr_dps"} <= names:
                assert len(one_batch(feed(MovellaDotDriver(), uuid, raw)).t_dev_ticks) == 1
        elif "battery_pct" in want:
            assert feed(MovellaDotDriver(), uuid, raw) == [Battery(float(want["battery_pct"]))]
        elif uuid == CONTROL_UUID:
            assert raw[:2] == bytes([1, "start" in want["command"]])
            assert f"payload {raw[2]}" in want["command"]
            if raw[1] and raw[2] in {21, 26}:
                assert MovellaDotDriver(payload=raw[2]).start()[-1].payload == raw
        elif "does NOT verify" in want.get("checksum", ""):
            with pytest.raises(ValueError, match="checksum"):
                dot_message.decode(raw)
        else:
            message = dot_message.decode(raw)
            assert message == Message(want["mid"], want["id"], bytes.fromhex(want["data"]))
            assert message.encode() == raw
    assert seen == 19


def test_start_stops_first_and_sets_rate_and_sleep() -> None:
    stop, settings_, start = MovellaDotDriver(rate_hz=30, sleep_alone_min=15).start()
    assert (stop.uuid, stop.payload.hex()) == (CONTROL_UUID, "010015")
    assert settings_.uuid == DEVICE_CONTROL_UUID
    # visit sleep and rate; no identify, no power; alone 15:00, connected 30:00; no tag; 30 Hz; filter left; reserved.
    assert settings_.payload.hex() == "140000" + "0f001e00" + "00" * 17 + "1e00" + "00" + "0000000000"
    assert len(settings_.payload) == 32
    assert (start.uuid, start.payload.hex()) == (CONTROL_UUID, "010115")
    assert [step.payload.hex() for step in MovellaDotDriver(payload=26).stop()] == ["01001a"]


def test_battery_is_told_when_it_changes_and_anew_after_a_disconnect() -> None:
    driver = MovellaDotDriver()
    assert feed(driver, BATTERY_UUID, b"\x57\x01") == [Battery(87.0)]
    assert feed(driver, BATTERY_UUID, b"\x57\x00") == []
    assert feed(restored(driver, MovellaDotDriver()), BATTERY_UUID, b"\x57\x00") == []
    driver.reset()
    assert feed(driver, BATTERY_UUID, b"\x57\x00") == [Battery(87.0)]


def test_match_goes_by_company_and_name() -> None:
    def match(name: str | None, company: int) -> float:
        return MovellaDotDriver().match(Advert("a", name, (), {company: b""}, -60))

    assert match("Movella DOT", COMPANY_ID) == 1
    assert match("Xsens DOT", COMPANY_ID) == 1
    assert match("left hip", COMPANY_ID) == pytest.approx(0.7)
    assert match("Xsens DOT", 1) == pytest.approx(0.7)
    assert match(None, 1) == 0


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [({"rate_hz": 100}, "rate_hz is 100; .* set 60"), ({"payload": 24}, "payload is 24; .* 20, 21, 26"),
     ({"payload": 17}, "payload is 17"), ({"sleep_alone_min": 31}, "sleep_alone_min is 31")],
)  # fmt: skip
def test_impossible_settings_are_refused_by_name(kwargs: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MovellaDotDriver(**kwargs)


@pytest.mark.parametrize(
    ("uuid", "payload", "word"),
    [(MEDIUM_UUID, PAYLOAD_21[:-1], "27 bytes"), (LONG_UUID, PAYLOAD_21, "28 bytes"), (SHORT_UUID, PAYLOAD_21, SHORT_UUID),
     (MEDIUM_UUID, pack("<I6f", 1, math.nan, 0, 0, 0, 0, 0), "range"), (BATTERY_UUID, b"\x57", "percentage"),
     (MEDIUM_UUID, pack("<I6f", 1, 0, 0, 0, 0, math.inf, 0), "range"), (BATTERY_UUID, b"\x65\x00", "percentage"),
     (MEDIUM_UUID, pack("<I6f", 1, 0, 0, 9.8, 1e4, 0, 0), "range"), (MEDIUM_UUID, b"", "0 bytes")],
)  # fmt: skip
def test_the_reason_names_what_is_wrong(uuid: str, payload: bytes, word: str) -> None:
    (item,) = feed(MovellaDotDriver(), uuid, payload)
    assert isinstance(item, Rejected)
    assert word in item.reason


@given(st.sampled_from([MEDIUM_UUID, LONG_UUID, BATTERY_UUID]), st.lists(st.binary(max_size=80), max_size=20))
def test_random_payloads_never_raise(uuid: str, payloads: list[bytes]) -> None:
    driver = MovellaDotDriver()
    for payload in payloads:
        items = feed(driver, uuid, payload)
        check(driver, items, MOST_NUMBERS)
        assert items or uuid == BATTERY_UUID


def test_a_storm_of_changed_payloads_is_survived_and_counted() -> None:
    good = [PAYLOAD_21 + bytes(12), PAYLOAD_20 + bytes(6)]
    assert 500 < storm(MovellaDotDriver(), MEDIUM_UUID, good, 5000, MOST_NUMBERS) < 2500


@given(st.binary(max_size=200))
def test_messages_are_whole_or_refused(raw: bytes) -> None:
    whole = len(raw) >= 3 and 1 <= raw[1] <= 157 and len(raw) >= 3 + raw[1]
    if whole and sum(raw[: 3 + raw[1]]) % 256 == 0:
        assert raw.startswith(dot_message.decode(raw).encode())
    else:
        with pytest.raises(ValueError, match="checksum" if whole else "no whole message"):
            dot_message.decode(raw)


def test_messages_come_back_as_they_were_written() -> None:
    for message in (Message(SYNCHRONISATION, 0x08), Message(RECORDING, 0x40, bytes(range(156)))):
        assert dot_message.decode(message.encode() + bytes(20)) == message
    assert Message(SYNCHRONISATION, 0x08).encode().hex() == "020108f5"  # vendor's document
    with pytest.raises(ValueError, match="holds 156"):
        Message(RECORDING, 0x40, bytes(157)).encode()
