"""A MetaMotion that logs while the link is away: read, dated and cleared afterwards, whatever comes between."""

from __future__ import annotations

from struct import pack
from typing import Literal

import numpy as np
import pytest

from processing.clock.retro import RetroClock
from processing.clock.timebase import TimebaseParams
from processing.types import GRAVITY_MPS2, NS_PER_S, ImuBatch
from sensor_gateway.drivers.base import Fetches, Late, Rejected
from sensor_gateway.drivers.metamotion import NOTIFY_UUID, MetaMotionDriver
from sensor_gateway.drivers.metamotion_chips import ACC, CHIPS, GYRO
from tests.ble.support.board_log import TICK_S, BoardLog

S = NS_PER_S
T0_NS = 1_000 * S
UTC_NS = 1_790_000_000 * S
STEP_NS = S // 4
TRUE_HZ = 100.7  # the chip's oscillator is off, as real ones are


class World:
    """The board, the session's copy of the driver, and the journal. Each sample's axes tell when it was measured [20 ms]."""

    def __init__(self, chip: Literal["bmi160", "bmi270"] = "bmi270", capacity: int = 10**9) -> None:
        self.chip, self.now_ns, self.boot_ns = chip, T0_NS, T0_NS - 77 * S
        self.log = BoardLog(capacity=capacity, in_pages=chip == "bmi270")
        self.make = lambda: MetaMotionDriver(100, chip=chip, record=True)
        self.ear = self.make()
        self.journal: list[tuple[bytes, int] | None] = []
        self.connected = False
        self._next = 0  # sample
        self._packed: list[bytes] = []

    def tick(self, ns: float) -> int:
        return int((ns - self.boot_ns) / S / TICK_S)

    def hear(self, payload: bytes) -> None:
        self.journal.append((payload, self.now_ns))
        self.ear.feed(NOTIFY_UUID, payload, self.now_ns, self.now_ns - T0_NS + UTC_NS)

    def write(self, steps) -> None:
        for step in steps:
            for answer in self.log.command(step.payload, self.tick(self.now_ns)):
                self.hear(answer)

    def connect(self) -> None:
        self.ear.reset()
        self.journal.append(None)
        self.connected, self._packed = True, []
        self.write(self.ear.start())

    def pass_by(self, seconds: float) -> None:
        chip = CHIPS[self.chip]
        for _ in range(round(seconds * S / STEP_NS)):
            self.now_ns += STEP_NS
            while (t := T0_NS + self._next / TRUE_HZ * S) < self.now_ns - 5_000_000:
                self._next += 1
                axes = pack("<hhh", *divmod(round((t - T0_NS) / 20e6), 1000), 4096)
                for module in (GYRO, ACC):
                    self.log.measured(module, chip.single[module], axes, self.tick(t))
                self._packed.append(axes)
                if len(self._packed) == 3:
                    if self.connected:
                        for module in (GYRO, ACC):
                            self.hear(bytes([module, chip.packed[module]]) + b"".join(self._packed))
                    self._packed = []
            if self.connected:
                for message in self.log.read_out(400):
                    self.hear(message)
                self.write(self.ear.fetch(self.now_ns))

    def away(self, seconds: float) -> None:
        self.connected = False
        self.log.disconnected()
        self.pass_by(seconds)
        self.connect()

    def decoded(self) -> list[object]:
        driver, out = self.make(), list[object]()
        for item in self.journal:
            if item is None:
                driver.reset()
            else:
                out += driver.feed(NOTIFY_UUID, item[0], item[1], item[1] - T0_NS + UTC_NS)
        return out

    def late(self) -> tuple[np.ndarray, np.ndarray]:
        """Times of late samples by their date, and when they were measured [ns of the gateway's clock]."""
        batches = [i.batch for i in self.decoded() if isinstance(i, Late)]
        if not batches:
            return np.empty(0), np.empty(0)
        raw = np.rint(np.concatenate([b.acc_mps2[:, :2] for b in batches]) / GRAVITY_MPS2 * 4096)
        return np.concatenate([b.t_dev_ticks for b in batches]), T0_NS + (raw @ [1000, 1]) * 20e6

    def retro(self) -> tuple[np.ndarray, RetroClock]:
        clock = RetroClock(TimebaseParams(), self.ear.capabilities.clock, None, 100.0)
        items = self.decoded()
        for item in items:
            if isinstance(item, ImuBatch):
                clock.observe([item])
            elif isinstance(item, Late):
                assert item.clock == "gateway"
                clock.observe_late(item.batch, item.clock)
        clock.solve()
        parts = [clock.date([i for i in items if isinstance(i, ImuBatch)]), clock.finish()]
        return np.concatenate([p.t_utc_ns for p in parts if p is not None]), clock

    def reasons(self) -> list[str]:
        return [i.reason for i in self.decoded() if isinstance(i, Rejected)]


def begin(**kwargs) -> World:
    w = World(**kwargs)
    w.connect()
    w.pass_by(30 if not kwargs.get("chip") else 60)
    assert isinstance(w.ear, Fetches)
    assert not w.log.enabled
    assert w.log.entries == []
    return w


@pytest.mark.parametrize("chip", ["bmi160", "bmi270"])
def test_minutes_away_are_read_dated_and_cleared(chip: Literal["bmi160", "bmi270"]) -> None:
    w = begin(chip=chip)
    w.away(90)
    w.pass_by(90)
    t, true = w.late()
    assert 0.99 * 90 * TRUE_HZ < len(t) < 1.01 * 90 * TRUE_HZ
    assert np.all(np.diff(t) > 0)
    assert np.abs(t - true).max() < 20e6
    assert w.log.entries == []
    assert not w.reasons()
    utc, clock = w.retro()
    assert clock.late.misfit == 0
    assert np.diff(utc).max() < 3 * S / TRUE_HZ
    assert len(utc) > 0.999 * 240 * TRUE_HZ
    assert clock.late.used + clock.late.repeated == len(t)


@pytest.mark.parametrize("chip", ["bmi160", "bmi270"])
def test_a_second_away_is_read_whole_though_it_fills_no_page_of_the_log(chip: Literal["bmi160", "bmi270"]) -> None:
    w = begin(chip=chip)
    w.away(1)
    w.pass_by(20)
    t, true = w.late()
    assert len(t) == pytest.approx(TRUE_HZ, abs=4)
    assert np.abs(t - true).max() < 20e6
    assert not w.reasons()


def test_the_blank_rest_of_a_page_is_passed_over() -> None:
    w = begin()
    w.hear(b"\x0b\x07" + b"\xff" * 18)
    assert not w.reasons()


def test_what_was_logged_after_the_board_told_its_tick_is_dated_after_it() -> None:
    w = begin()
    w.connected = False
    w.log.disconnected()
    w.pass_by(20)
    chip = CHIPS[w.chip]
    for i in range(3):
        t_ns = w.now_ns + 10_000_000 * i
        for module in (GYRO, ACC):
            axes = pack("<hhh", *divmod(round((t_ns - T0_NS) / 20e6), 1000), 4096)
            w.log.measured(module, chip.single[module], axes, w.tick(t_ns))
    told_ns = w.now_ns
    w.connect()
    w.pass_by(30)
    t, true = w.late()
    assert np.all(np.diff(t) > 0)
    assert t[-1] > told_ns + 10e6
    assert np.abs(t - true).max() < 20e6


def test_a_read_out_that_breaks_off_begins_anew_and_gives_each_sample_once() -> None:
    w = begin()
    w.log.reads = 9_000  # of about 16,000
    w.away(40)
    w.pass_by(15)
    first = len(w.late()[0])
    assert 1_000 < first < 3_000
    w.log.reads = 10**9
    w.away(20)
    w.pass_by(60)
    t, true = w.late()
    assert np.all(np.diff(t) > 0)
    assert np.abs(t - true).max() < 20e6
    assert len(t) > 0.98 * 60 * TRUE_HZ
    assert w.log.entries == []


def test_silence_in_a_read_out_is_asked_about_again() -> None:
    w = begin()
    w.log.reads = 1_000
    w.away(20)
    w.pass_by(10)
    w.log.reads = 10**9
    w.pass_by(60)
    assert len(w.late()[0]) > 0.98 * 20 * TRUE_HZ
    assert w.log.entries == []


def test_a_full_log_keeps_what_came_first() -> None:
    w = begin(capacity=8_000)
    w.away(60)
    w.pass_by(60)
    t, _ = w.late()
    assert len(t) == pytest.approx(2_000, abs=5)
    assert w.log.entries == []
    w.away(10)
    w.pass_by(30)
    assert len(w.late()[0]) > 2_000 + 0.95 * 10 * TRUE_HZ


def test_a_restart_of_the_board_leaves_its_entries_undated_and_unused() -> None:
    w = begin()
    w.connected = False
    w.log.disconnected()
    w.pass_by(20)
    w.log.restart()
    w.boot_ns = w.now_ns
    w.pass_by(5)
    w.connect()
    w.pass_by(40)
    assert len(w.late()[0]) == 0
    assert {r for r in w.reasons() if "restarted" in r}
    assert w.log.entries == []
    w.away(20)
    w.pass_by(40)
    t, true = w.late()
    assert len(t) > 0.98 * 20 * TRUE_HZ
    assert np.abs(t - true).max() < 20e6


def test_what_another_wearer_left_in_the_log_is_cleared_unread() -> None:
    w = begin()
    w.connected = False
    w.log.disconnected()
    w.pass_by(20)
    w.ear = w.make()
    w.journal = []
    w.connect()
    w.pass_by(20)
    assert len(w.late()[0]) == 0
    assert w.log.entries == []


def test_a_gateway_that_was_killed_reads_the_log_after_its_start() -> None:
    w = begin()
    w.connected = False
    w.log.disconnected()
    w.pass_by(20)
    w.ear = w.make()
    for item in w.journal:
        if item is not None:
            w.ear.feed(NOTIFY_UUID, item[0], item[1], item[1])
    w.connect()
    w.pass_by(40)
    assert len(w.late()[0]) > 0.98 * 20 * TRUE_HZ


def test_other_loggers_than_expected_are_said() -> None:
    w = begin()
    w.hear(b"\x0b\x02\x07")
    assert any("cannot be told apart" in reason for reason in w.reasons())


def test_decoding_goes_on_from_a_snapshot() -> None:
    w = begin()
    w.away(10)
    w.pass_by(20)
    whole = w.decoded()
    payloads = [item for item in w.journal if item is not None]
    at = next(i for i, (p, _) in enumerate(payloads) if p.startswith(b"\x0b\x07")) + 100
    one, two = w.make(), w.make()
    items: list[object] = []
    seen = 0
    for item in w.journal:
        if item is None:
            one.reset()
            continue
        items += one.feed(NOTIFY_UUID, item[0], item[1], item[1] - T0_NS + UTC_NS)
        seen += 1
        if seen == at:
            two.restore(one.snapshot())
            one = two
    assert repr(items) == repr(whole)
