"""A Capture2Go that records beside its live stream: holes are read from the recording, whatever comes between."""

from __future__ import annotations

from struct import unpack_from

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.clock.retro import RetroClock
from processing.clock.timebase import TimebaseParams
from processing.types import NS_PER_S, ImuBatch
from sensor_gateway.drivers.backfill import ANSWER_NS
from sensor_gateway.drivers.base import Fetches, Late, Rejected
from sensor_gateway.drivers.capture2go import NOTIFY_UUID, Capture2GoDriver
from sensor_gateway.drivers.capture2go_recording import PREFIX, ROLL_NS
from tests.ble.support.flash import Flash

T0_NS = 1_790_000_000 * NS_PER_S
STEP_NS = NS_PER_S // 4
CUT = 200


class World:
    """The sensor, the session's copy of the driver, and the journal; time goes in quarters of a second."""

    def __init__(self, capacity: int = 1 << 30) -> None:
        self.now_ns = T0_NS
        self.sensor = Flash(capacity)
        self.ear = Capture2GoDriver(record=True)
        self.journal: list[tuple[bytes, int]] = []
        self.connected = False
        self._runner, self._items = Capture2GoDriver(record=True), list[object]()
        self._read = 0

    def connect(self) -> None:
        self.ear.reset()
        self.connected = True
        self.write(self.ear.start_at(self.now_ns))

    def write(self, steps) -> None:
        for step in steps:
            (header,) = unpack_from("<H", step.payload, 6)
            self.hear(self.sensor.command(header, step.payload[8:], self.now_ns))

    def hear(self, fifo: bytes, real_time: bytes = b"") -> None:
        cuts = [fifo[at : at + CUT] for at in range(0, len(fifo), CUT)] or [b""] * bool(real_time)
        for i, cut in enumerate(cuts):
            payload = (b"\xfe" + real_time if real_time and i == 0 else b"\xff") + cut
            self.journal.append((payload, self.now_ns))
            self.ear.feed(NOTIFY_UUID, payload, self.now_ns, self.now_ns)

    def pass_by(self, seconds: float) -> None:
        for _ in range(round(seconds * NS_PER_S / STEP_NS)):
            self.now_ns += STEP_NS
            self.sensor.measure(self.now_ns)
            if self.connected:
                for back in range(STEP_NS - 10_000_000, -1, -10_000_000) if self.sensor.real_time else ():
                    self.hear(b"", self.sensor.newest(self.now_ns - back))
                self.write(self.ear.fetch(self.now_ns))

    def away(self, seconds: float) -> None:
        self.connected = self.sensor.real_time = False
        self.pass_by(seconds)
        self.connect()

    def decoded(self) -> list[object]:
        """What the journal holds, read by a driver of its own."""
        for payload, at in self.journal[self._read :]:
            self._items += self._runner.feed(NOTIFY_UUID, payload, at, at)
        self._read = len(self.journal)
        return self._items

    def numbers(self, kind: type) -> list[int]:
        batches = [i.batch if isinstance(i, Late) else i for i in self.decoded() if isinstance(i, kind)]
        lsb = np.radians(2000) / 32768
        for b in batches:
            n = np.rint(b.gyr_rps[:, :2] / lsb).astype(int) @ [1, 1000]
            assert np.all(n == b.t_dev_ticks // 10_000_000 % 1_000_000)
        return [int(t) // 10_000_000 for b in batches for t in b.t_dev_ticks]

    def missing(self) -> list[int]:
        """What neither came live nor late, of all since the first live sample."""
        live, late = self.numbers(ImuBatch), self.numbers(Late)
        return sorted(set(range(live[0], live[-1] + 1)) - set(live) - set(late))

    def reasons(self) -> list[str]:
        return [i.reason for i in self.decoded() if isinstance(i, Rejected)]


def begin(capacity: int = 1 << 30) -> World:
    w = World(capacity)
    w.connect()
    w.pass_by(20)
    assert isinstance(w.ear, Fetches)
    assert w.sensor.recording
    assert w.missing() == []
    return w


def test_ten_minutes_away_are_read_from_the_recording_and_little_else() -> None:
    w = begin()
    w.away(600)
    w.pass_by(60)
    assert w.missing() == []
    late = w.numbers(Late)
    assert len(late) == len(set(late))
    assert 60_000 <= len(late) < 61_000
    assert not w.reasons()
    asked = len(w.sensor.asked)
    w.pass_by(60)
    assert len(w.sensor.asked) == asked  # nothing is asked for twice

    # The retro clock puts each moment in once.
    clock = RetroClock(TimebaseParams(), w.ear.capabilities.clock, None, 100.0)
    live = [i for i in w.decoded() if isinstance(i, ImuBatch)]
    for item in w.decoded():
        if isinstance(item, ImuBatch):
            clock.observe([item])
        elif isinstance(item, Late):
            clock.observe_late(item.batch)
    clock.solve()
    parts = [clock.date(live), clock.finish()]
    t = np.concatenate([p.t_utc_ns for p in parts if p is not None])
    assert clock.late.used + clock.late.repeated == len(w.numbers(Late))
    assert clock.late.used == len(set(w.numbers(Late)) - set(w.numbers(ImuBatch)))
    assert np.abs(np.diff(t) - 10_000_000).max() < 1_000_000


def test_short_losses_of_the_real_time_channel_are_left_alone_and_longer_ones_read() -> None:
    w = begin()
    w.sensor.real_time = False
    w.pass_by(0.25)
    w.sensor.real_time = True
    w.pass_by(10)
    assert len(w.missing()) == 0
    assert 25 <= len(w.numbers(Late)) < 2000


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.floats(0.5, 40), st.floats(0.5, 15), st.integers(0, 200)), min_size=1, max_size=4),
)
@settings(max_examples=10)
def test_whatever_is_interrupted_all_that_was_recorded_comes_in_the_end(away: list[tuple[float, float, int]]) -> None:
    w = begin()
    for gone_s, back_s, pieces in away:
        w.sensor.answer_pieces = pieces
        w.away(gone_s)
        w.pass_by(back_s)
    w.sensor.answer_pieces = 10**9
    w.pass_by(ANSWER_NS / NS_PER_S + 60)
    assert w.missing() == []
    assert not w.ear._recording.holes


def test_a_gateway_that_was_killed_finds_the_hole_in_its_journal() -> None:
    w = begin()
    w.connected = w.sensor.real_time = False
    w.pass_by(120)
    w.ear = Capture2GoDriver(record=True)
    for payload, at in w.journal:
        w.ear.feed(NOTIFY_UUID, payload, at, at)
    w.connect()
    w.pass_by(30)
    assert w.missing() == []


def test_nothing_from_before_the_first_live_sample_is_read() -> None:
    w = begin()
    w.connected = w.sensor.real_time = False
    w.pass_by(300)
    w.ear = Capture2GoDriver(record=True)  # another wearer: nothing in the journal
    w.connect()
    w.pass_by(60)
    assert w.numbers(Late) == []
    assert w.sensor.recording


def test_a_full_memory_is_told_live_goes_on_and_room_is_made_once_all_is_read() -> None:
    w = begin(capacity=200_000)  # two minutes
    w.away(300)
    w.pass_by(60)
    assert any("memory is full" in reason for reason in w.reasons())
    gone = len(w.missing())
    assert 17_000 < gone < 21_000
    assert w.sensor.recording  # the read file was deleted, a new one begun
    assert len(w.sensor.files) == 1
    w.away(30)
    w.pass_by(30)
    assert len(w.missing()) == gone


def test_a_restart_with_the_clock_reset_costs_what_was_not_measured_only() -> None:
    w = begin()
    w.connected = w.sensor.real_time = False
    w.pass_by(60)
    w.sensor.recording = w.sensor.real_time = False  # battery empty
    off = w.now_ns
    w.pass_by(60)
    true_status, w.sensor.status = w.sensor.status, lambda _: Flash.status(w.sensor, 978_307_200 * NS_PER_S)
    w.connect()
    first = w.ear.feed(NOTIFY_UUID, b"\xfe" + w.sensor.newest(978_307_201 * NS_PER_S), w.now_ns, w.now_ns)
    assert [type(i) for i in first] == [Rejected]  # not dated by a clock that shows 2001
    headers = [unpack_from("<H", s.payload, 6)[0] for s in w.ear.start_at(w.now_ns)]
    assert headers == [0x0158, 0x0170, 0x0200, 0x0120, 0x0160]
    w.sensor.status = true_status
    w.connect()
    w.pass_by(40)
    missing = w.missing()
    assert missing
    assert abs(missing[0] * 10_000_000 - off) < 200_000_000
    assert len(missing) < 6100
    assert w.sensor.recording


def test_a_day_rolls_its_files_and_keeps_one() -> None:
    w = begin()
    first = set(w.sensor.files)
    name = next(iter(first)).decode()
    assert name.startswith(PREFIX)
    # Six hours later by the sensor's clock; what lies between stays a hole of what is in the file.
    w.connected = w.sensor.real_time = False
    w.sensor.measured += ROLL_NS // 10_000_000  # nothing was measured meanwhile
    w.now_ns += ROLL_NS
    w.connect()
    w.pass_by(120)
    assert set(w.sensor.files).isdisjoint(first)
    assert len(w.sensor.files) == 1
    assert w.sensor.recording


def test_somebody_elses_recording_is_neither_read_nor_ended() -> None:
    w = World()
    w.sensor.filename = b"gait-lab"
    w.sensor.command(0x0154, b"", w.now_ns)
    w.connect()
    w.pass_by(10)
    w.away(30)
    w.pass_by(20)
    assert w.sensor.recording
    assert list(w.sensor.files) == [b"gait-lab"]
    assert not w.sensor.asked
    assert [unpack_from("<H", s.payload, 6)[0] for s in w.ear.stop()] == [0x0158, 0x0163]


def test_going_down_ends_our_recording() -> None:
    w = begin()
    w.write(w.ear.stop())
    assert not w.sensor.recording


def test_replay_from_a_snapshot_in_the_middle_of_a_file_reads_the_same() -> None:
    w = begin()
    w.away(20)
    w.pass_by(20)
    whole = w.decoded()
    at = next(i for i, (p, _) in enumerate(w.journal) if b"\x04\x05" in p) + 1
    first, second = Capture2GoDriver(record=True), Capture2GoDriver(record=True)
    items = [x for p, t in w.journal[:at] for x in first.feed(NOTIFY_UUID, p, t, t)]
    second.restore(first.snapshot())
    items += [x for p, t in w.journal[at:] for x in second.feed(NOTIFY_UUID, p, t, t)]
    assert [type(i) for i in items] == [type(i) for i in whole]
