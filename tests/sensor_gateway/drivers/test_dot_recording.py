"""Recordings on a Movella DOT: the document's messages, the way of an export, and the dates of what is journaled."""

from __future__ import annotations

from struct import pack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.clock.retro import RetroClock
from processing.clock.timebase import TimebaseParams
from processing.types import NS_PER_S, ImuBatch
from sensor_gateway.drivers import dot_message
from sensor_gateway.drivers import dot_recording as dot
from sensor_gateway.drivers.base import Decoded, Late, Rejected
from sensor_gateway.drivers.movella_dot import MovellaDotDriver
from tests.ble.support.dot_memory import DotMemory, File, framed
from tests.sensor_gateway.drivers.fuzz import RX_MONO_NS, RX_UTC_NS, check, feed, restored, shared_vectors

START = 1_790_000_000
MOST_NUMBERS = 600  # 64 recordings with a handful of numbers each


def file_of(samples: int, rate_hz: float = 60.0, start: int = START, first_us: int = 2**32 - 400_000) -> File:
    return File(start, 0xFFFF, rate_hz, first_us, samples)


def head(file: File) -> bytes:
    told = pack("<IIHIH", 0x5265636F, 128, 0x0100, file.start_utc, file.timer_s).ljust(128, b"\0")
    return framed(0x61, told)


def journal(file: File, *numbers: int) -> list[bytes]:
    return [head(file), *(file.packet(n) for n in numbers)]


def tell(driver: MovellaDotDriver, payloads: list[bytes]) -> list[Decoded]:
    return [item for p in payloads for item in feed(driver, dot.MESSAGE_UUID, p)]


def times(items: list[Decoded]) -> np.ndarray:
    assert all(isinstance(i, Late) for i in items), items
    return np.concatenate([i.batch.t_dev_ticks for i in items if isinstance(i, Late)]) - START * NS_PER_S


def test_the_shared_vectors_of_the_recording_service_are_what_is_written() -> None:
    ours = {
        "GetState": dot.message(dot.GET_STATE),
        "StopRecording": dot.message(dot.STOP),
        "RequestFileInfo": dot.message(dot.ASK_FILE, b"\x01"),
        "RequestFileData": dot.message(dot.ASK_DATA, b"\x07"),
    }
    vectors = shared_vectors("Xsens/Movella DOT (message service)")
    found = {v["decoded"]["message"].split()[0]: v["hex"] for v in vectors}
    assert {name: m.encode().hex() for name, m in ours.items()} == {name: found[name] for name in ours}
    # The document's sum of this one is wrong by 4; everything else in it agrees.
    assert dot.start(0x5B3B50DF, 1800).encode().hex()[:-2] == found["StartRecording,"][:-2]


def test_the_documents_answers_are_understood() -> None:
    state = dot.message(dot.GET_STATE)
    assert dot.result_of(bytes.fromhex("0103010602f3"), state) == dot.IDLE
    assert dot.result_of(bytes.fromhex("01030100 41ba"), dot.message(dot.STOP)) == dot.SUCCESS
    assert dot.result_of(bytes.fromhex("0103010041ba"), state) is None  # of the message before
    with pytest.raises(ValueError, match="checksum"):
        dot.result_of(bytes.fromhex("0103010602f4"), state)
    # "RequestFileInfo": 0x81 bytes with this beginning.
    told = bytes.fromhex("6f636552 80000000 0001 b8c6335f 0807".replace(" ", "")).ljust(128, b"\0")
    assert dot.Head.of(told) == dot.Head(0x5F33C6B8, 1800)
    # "RequestFileData", with the document's selection: one sample a message, number and time stamp first, 16.667 ms apart.
    stamps = [int.from_bytes(bytes.fromhex(x)[4:], "little") for x in ("0000000075a766a8", "0100000090e866a8")]
    assert stamps[1] - stamps[0] == 16_667
    assert (
        len(bytes.fromhex("55")) + 4 + (4 + 16 + 16 + 12 + 12 + 12 + 6 + 2) == 0x55
    )  # kind, number, the eight quantities


def test_a_directory_over_several_messages() -> None:
    memory = DotMemory()
    memory.files = [file_of(60 * 60 * 60), file_of(1), file_of(20 * 60 * 60)]
    directory = dot.Directory()
    for raw in memory._directory():
        directory.told(dot_message.decode(raw).data)
    assert (directory.known, directory.size_bytes) == (True, 16 << 20)
    assert directory.sizes == [f.size for f in memory.files]
    assert not directory.is_full
    directory.told(b"\xee" + b"\xcc" * 40)
    assert directory.is_full
    assert not dot.Directory().is_full  # of another format: erased first


def test_samples_are_dated_from_the_start_over_the_clocks_wrap() -> None:
    file, driver = file_of(120), MovellaDotDriver()
    items = tell(driver, [*journal(file, *range(60)), framed(0x75)])
    items += tell(restored(driver, MovellaDotDriver()), [file.packet(n) for n in range(60, 120)])
    assert len(items) == 120
    np.testing.assert_allclose(times(items) / 1e9, np.arange(120) / 60, atol=1e-6)
    first = items[0]
    assert isinstance(first, Late)
    assert first.clock == "utc"
    assert (first.batch.rx_mono_ns, first.batch.rx_utc_ns) == (RX_MONO_NS, RX_UTC_NS)
    np.testing.assert_allclose(first.batch.acc_mps2, [[0, 0.1, 9.8]], rtol=1e-6)


def test_what_came_before_is_passed_over_and_what_is_missing_is_said() -> None:
    file, driver = file_of(20), MovellaDotDriver()
    file.invalid = {7}
    assert len(times(tell(driver, journal(file, 0, 1, 2)))) == 3
    assert len(times(tell(driver, journal(file, 0, 1, 2, 3)))) == 1
    # Another recording between: each goes on where it was.
    other = file_of(5, start=START + 100)
    assert len(tell(driver, journal(other, 0, 1))) == 2
    (refused,) = tell(driver, journal(file, 6))
    assert isinstance(refused, Rejected)
    assert "packet 6 of a recording came before 4" in refused.reason
    items = tell(driver, journal(file, 4, 5, 6, 7, 8))
    assert [type(i) for i in items] == [Late, Late, Late, Rejected, Late]
    np.testing.assert_allclose(times([items[-1]]) / 1e9, [8 / 60], atol=1e-6)


@pytest.mark.parametrize(
    ("payload", "word"),
    [(file_of(5).packet(0), "nothing tells when"), (head(file_of(1, start=900_000_000)), "told the time"),
     (framed(0x61, bytes(128)), "no head"), (b"\x01\x02\x71\x00\x00", "checksum")],
)  # fmt: skip
def test_what_cannot_be_dated_is_refused_with_its_reason(payload: bytes, word: str) -> None:
    (item,) = feed(MovellaDotDriver(), dot.MESSAGE_UUID, payload)
    assert isinstance(item, Rejected)
    assert word in item.reason


def messages(raw: list[dot_message.Message]) -> list[tuple[int, bytes]]:
    return [(m.kind, m.data) for m in raw]


def test_an_export_asks_once_for_what_is_missing_and_goes_on_there() -> None:
    file, export = file_of(10), dot.Export(3)
    assert messages(export.begin()) == [(0x74, b"\x00\x07\x08"), (0x70, b"\x03")]
    assert export.told(file.packet(0)) == (True, [])
    keep, wanted = export.told(file.packet(2))
    assert not keep
    assert messages(wanted) == [(0x75, pack("<I", 1))]
    assert export.told(file.packet(3)) == (False, [])  # was on its way
    for number in (1, 2, 3):
        assert export.told(file.packet(number)) == (True, [])
    damaged = bytearray(file.packet(4))
    damaged[9] ^= 1
    assert messages(export.told(bytes(damaged))[1]) == [(0x75, pack("<I", 4))]
    assert export.told(file.packet(4)) == (True, [])
    assert (export.told(framed(0x72)), export.done, export.asked_again) == ((True, []), True, 2)


def test_an_end_that_overtakes_a_loss_begins_the_export_again() -> None:
    file, export = file_of(3), dot.Export(1)
    export.told(file.packet(0))
    export.told(file.packet(2))
    keep, wanted = export.told(framed(0x72))
    assert (keep, export.done) == (False, False)
    assert [m.kind for m in wanted] == [0x74, 0x70, 0x75]
    assert [export.told(file.packet(n))[0] for n in (0, 1, 2)] == [False, True, True]
    assert export.told(framed(0x72)) == (True, [])
    assert export.done


def test_silence_is_answered_by_what_the_sensor_does() -> None:
    export = dot.Export(1, held=5)
    assert [m.kind for m in export.begin()] == [0x74, 0x70, 0x75]
    assert messages(export.silent(dot.ON_EXPORT)) == [(0x75, pack("<I", 5))]
    assert [m.kind for m in export.silent(dot.IDLE)] == [0x74, 0x70, 0x75]
    assert export.told(framed(0x63)) == (False, [])
    assert "no such recording" in export.error


def test_a_recording_without_any_live_sample_has_its_times() -> None:
    file, driver = file_of(6000, 20.0), MovellaDotDriver(20.0)
    clock = RetroClock(TimebaseParams(), driver.capabilities.clock, None, 20.0)
    rx = (START + 4000) * NS_PER_S
    for payload in [*journal(file, *range(file.samples)), *journal(file, *range(100))]:
        for item in driver.feed(dot.MESSAGE_UUID, payload, rx - 10**18, rx):
            assert isinstance(item, Late)
            clock.observe_late(item.batch, item.clock)
    clock.solve()
    timed = clock.finish()
    assert timed is not None
    assert (clock.late.used, clock.late.repeated, clock.late.misfit) == (file.samples, 0, 0)
    np.testing.assert_allclose((timed.t_utc_ns - START * NS_PER_S) / 1e9, np.arange(file.samples) / 20, atol=1e-6)


def test_live_samples_win_over_a_recording_of_the_same_moment_and_the_future_is_none() -> None:
    driver = MovellaDotDriver(20.0)
    clock = RetroClock(TimebaseParams(), driver.capabilities.clock, None, 20.0)
    live = [
        ImuBatch(np.array([k * 50_000]), None, k * 50_000_000, START * NS_PER_S + k * 50_000_000, np.zeros((1, 3)), np.zeros((1, 3)))
        for k in range(2000)
    ]  # fmt: skip
    clock.observe(live)
    rx = (START + 100) * NS_PER_S
    for number in range(4000):
        t = np.array([(START + 50) * NS_PER_S + number * 50_000_000])
        clock.observe_late(ImuBatch(t, None, rx, rx, np.ones((1, 3)), np.ones((1, 3))), "utc")
    clock.solve()
    assert clock.late.repeated == 1000
    assert clock.late.used == 20 + 1  # up to a second after it arrived
    assert clock.late.misfit == 4000 - 1021


@given(
    st.lists(
        st.one_of(st.binary(max_size=60), st.builds(framed, st.integers(0, 255), st.binary(max_size=60))), max_size=30
    )
)
@settings(max_examples=200)
def test_random_messages_never_raise(payloads: list[bytes]) -> None:
    driver, export = MovellaDotDriver(), dot.Export(1)
    for payload in payloads:
        check(driver, feed(driver, dot.MESSAGE_UUID, payload), MOST_NUMBERS)
        export.told(payload)


def test_no_more_recordings_are_remembered_than_a_memory_can_hold() -> None:
    driver = MovellaDotDriver()
    for start in [*range(START, START + 300), *range(START - 300, START)]:
        tell(driver, journal(file_of(3, start=start), 0, 1))
    assert len(driver.snapshot()) <= MOST_NUMBERS
    assert len(driver.snapshot()) > 300
