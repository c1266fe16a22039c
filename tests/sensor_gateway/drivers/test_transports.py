"""The simulated sensor and the replayed recording, as the runner sees them: payloads in order, paced, resumable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vqf import VQF

from processing.clock.timebase import Timebase, TimebaseParams
from processing.frames import rotate
from processing.synthetic import bmi270, day_script, mount_rows, render
from processing.types import NS_PER_S, ImuBatch
from sensor_gateway.config import ConfigError, Sensor
from sensor_gateway.drivers.base import Battery, EndOfStream, Received, Rejected, TransportContext
from sensor_gateway.drivers.replay import UUID, ReplayDriver, ReplaySensor, encode, encode_end
from sensor_gateway.drivers.synthetic import SyntheticSensor

NOW = 1_790_000_000_000_000_000
FIXED = {"start": "2026-09-21T12:00:00Z"}
FIXED_NS = 1_789_992_000 * NS_PER_S


class FakeClock:
    """Time that passes only while someone sleeps."""

    def __init__(self, utc_ns: int = NOW) -> None:
        self.now = utc_ns
        self.slept = 0

    def utc_ns(self) -> int:
        return self.now

    def mono_ns(self) -> int:
        return self.now - NOW + 5_000 * NS_PER_S

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds > 0
        self.now += round(seconds * NS_PER_S) + (1 if seconds > 0 else 0)
        await asyncio.sleep(0)


class Heard:
    """A sink that notes what came when, and can break off."""

    def __init__(self, clock: FakeClock, stop_after: int | None = None) -> None:
        self.clock, self.stop_after = clock, stop_after
        self.received: list[Received] = []
        self.at: list[int] = []
        self.calls: list[int] = []
        self.links: list[str] = []

    async def put(self, received: list[Received]) -> None:
        self.received += received
        self.at += [self.clock.now] * len(received)
        self.calls.append(len(received))
        if self.stop_after is not None and len(self.received) >= self.stop_after:
            raise asyncio.CancelledError


def sensor(driver: str = "synthetic", rate_hz: float = 100.0, **options: Any) -> Sensor:
    return Sensor("clip-1", "w-001", driver, rate_hz=rate_hz, options=options)


def listen(
    make: Callable[[Sensor, TransportContext], Any],
    settings_of: Sensor,
    *,
    clock: FakeClock | None = None,
    after: int | None = None,
    progress: Callable[[float], None] | None = None,
    stop_after: int | None = None,
) -> tuple[Any, Heard]:
    clock = clock or FakeClock()
    transport = make(settings_of, TransportContext(clock, after, progress))
    heard = Heard(clock, stop_after)
    try:
        asyncio.run(transport.run(heard.put, heard.links.append))
    except asyncio.CancelledError:
        assert stop_after is not None
    return transport, heard


def decoded(transport: Any, received: list[Received]) -> list[Any]:
    return [d for r in received for d in transport.driver.feed(r.uuid, r.payload, r.rx_mono_ns, r.rx_utc_ns)]


def batches(transport: Any, received: list[Received]) -> list[ImuBatch]:
    return [d for d in decoded(transport, received) if isinstance(d, ImuBatch)]


# -- the simulated sensor --------------------------------------------------------------------------------------------


def test_the_past_comes_fast_and_then_the_present_at_its_own_pace() -> None:
    shares: list[float] = []
    clock = FakeClock()
    transport, heard = listen(
        SyntheticSensor, sensor(hours=0.5), clock=clock, progress=shares.append, stop_after=18_100
    )
    past = [r for r in heard.received if r.rx_utc_ns <= NOW]
    assert len(past) == pytest.approx(18_000, abs=3)
    assert past[0].rx_utc_ns == pytest.approx(NOW - 1800 * NS_PER_S, abs=NS_PER_S)
    assert max(heard.calls) == 200
    assert all(at == NOW for r, at in zip(heard.received, heard.at, strict=True) if r.rx_utc_ns <= NOW)
    live = [(r.rx_utc_ns, at) for r, at in zip(heard.received, heard.at, strict=True) if r.rx_utc_ns > NOW]
    assert all(0 <= at - rx < 5_000_000 for rx, at in live)
    assert clock.slept >= len(live) - 5
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert shares.count(1.0) == 1
    assert len(shares) > 50
    assert heard.links == ["streaming"]
    assert not [d for d in decoded(transport, heard.received) if isinstance(d, Rejected)]


def test_frames_carry_the_wearer_and_the_clock_stage_dates_them_right() -> None:
    transport, heard = listen(SyntheticSensor, sensor(**FIXED, until="2026-09-21T12:20:00Z", speed=0.0))
    got = batches(transport, heard.received)
    assert len(got) == pytest.approx(12_000, abs=3)
    timed, notes = Timebase(TimebaseParams(), transport.driver.capabilities.clock, 16, 100.0).update(got)
    assert timed is not None
    assert {n.kind for n in notes} <= {"fit"}
    # True times by the sensor's own count: 20 ppm slow, counted since 1970, from the first whole frame of the day.
    period_ns = 10_000_200
    first = -(-FIXED_NS // period_ns // 10) * 10
    true = (first + np.arange(len(timed))) * period_ns
    assert np.abs(timed.t_utc_ns - true).max() < 40e6
    # What was measured is the truth through the chip, to the last step of the 16-bit frame.
    truth = render(day_script(FIXED_NS, 1300.0), (first + np.arange(10 * len(got))) * period_ns)
    chip = bmi270(1)
    acc, gyr = chip.measure(truth.t_utc_ns, first, truth.acc_p_mps2, truth.gyr_p_rps)
    assert np.max(np.abs(np.concatenate([b.acc_mps2 for b in got]) - acc)) < 1e-9
    assert np.max(np.abs(np.concatenate([b.gyr_rps for b in got]) - gyr)) < 1e-9


def test_a_broken_off_day_is_continued_by_exactly_the_next_payload() -> None:
    options = sensor(**FIXED, until="2026-09-21T12:10:00Z", speed=0.0, loss=0.05)
    _, whole = listen(SyntheticSensor, options)
    for stop_after in (1, 777, 3000):
        _, begun = listen(SyntheticSensor, options, stop_after=stop_after)
        _, rest = listen(
            SyntheticSensor, options, clock=FakeClock(NOW + 3 * NS_PER_S), after=begun.received[-1].rx_utc_ns
        )
        joined = begun.received + rest.received
        assert [(r.payload, r.rx_utc_ns) for r in joined] == [(r.payload, r.rx_utc_ns) for r in whole.received]


def test_live_and_caught_up_payloads_are_the_same() -> None:
    until = {"until": "2026-09-21T12:02:00Z"}
    _, at_once = listen(SyntheticSensor, sensor(**FIXED, **until, speed=0.0))
    clock = FakeClock(FIXED_NS)
    _, live = listen(SyntheticSensor, sensor(**FIXED, **until), clock=clock)
    assert clock.slept > 1000
    assert [r.payload for r in live.received] == [r.payload for r in at_once.received]
    assert live.links == ["streaming", "lost"]
    assert at_once.links == []


def test_after_a_restart_the_wearer_is_met_again_and_the_device_clock_goes_on() -> None:
    transport, heard = listen(SyntheticSensor, sensor(hours=0.05), stop_after=1790)
    last = heard.received[-1].rx_utc_ns
    again, more = listen(
        SyntheticSensor, sensor(hours=0.05), clock=FakeClock(NOW + 60 * NS_PER_S), after=last, stop_after=400
    )
    assert again.began_utc_ns == last + 15 * NS_PER_S
    a, b = batches(transport, heard.received)[-1], batches(again, more.received)[0]
    true_gap_us = (more.received[0].rx_utc_ns - last) / 1000
    assert b.t_dev_ticks[0] - a.t_dev_ticks[0] == pytest.approx(true_gap_us, abs=500_000)
    assert a.seq is not None
    assert b.seq is not None
    assert (b.seq - a.seq) % 65536 == (b.t_dev_ticks[0] - a.t_dev_ticks[0]) / 10_000
    # Ages away, only the stated hours are simulated.
    late, _ = listen(SyntheticSensor, sensor(hours=0.05), clock=FakeClock(NOW + 10**15), after=last, stop_after=1)
    assert late.began_utc_ns == NOW + 10**15 - 180 * NS_PER_S


def test_lost_frames_are_missing_and_counted_by_their_sequence() -> None:
    transport, heard = listen(
        SyntheticSensor, sensor(**FIXED, until="2026-09-21T13:00:00Z", speed=0.0, loss=0.05, burst_s=0.5)
    )
    assert len(heard.received) == pytest.approx(36_000 * 0.95, rel=0.02)
    seqs = np.array([b.seq for b in batches(transport, heard.received)])
    assert ((np.diff(seqs) % 65536) // 10 - 1).sum() == pytest.approx(36_000 * 0.05, rel=0.2)


def test_out_of_range_is_told_while_it_happens() -> None:
    script = day_script(FIXED_NS, 30 * 3600.0)
    start, stop = script.gaps[0]
    clock = FakeClock(start - 3 * NS_PER_S)
    until = str(np.datetime64(stop + 5 * NS_PER_S, "ns").astype("datetime64[us]"))
    _, heard = listen(SyntheticSensor, sensor(**FIXED, until=until), clock=clock, after=start - 5 * NS_PER_S)
    assert heard.links == ["streaming", "lost", "searching", "streaming", "lost"]
    assert not [r for r in heard.received if start + NS_PER_S < r.rx_utc_ns < stop]


def test_speed_scales_the_waiting() -> None:
    clock = FakeClock(FIXED_NS)
    listen(SyntheticSensor, sensor(**FIXED, until="2026-09-21T12:01:00Z", speed=20.0), clock=clock)
    assert (clock.now - FIXED_NS) / NS_PER_S == pytest.approx(3.0, abs=0.1)


def test_a_late_gateway_gets_what_has_piled_up() -> None:
    clock = FakeClock(FIXED_NS)
    heard = Heard(clock)

    async def slow(received: list[Received]) -> None:
        await heard.put(received)
        clock.now += 3 * NS_PER_S  # busy

    transport = SyntheticSensor(sensor(**FIXED, until="2026-09-21T12:01:00Z"), TransportContext(clock))
    asyncio.run(transport.run(slow, heard.links.append))
    assert len(heard.received) == pytest.approx(600, abs=3)
    assert max(heard.calls) >= 9


def test_the_battery_sinks_and_other_rates_work() -> None:
    transport, heard = listen(SyntheticSensor, sensor(rate_hz=60.0, **FIXED, until="2026-09-21T15:00:00Z", speed=0.0))
    levels = [d.percent for d in decoded(transport, heard.received) if isinstance(d, Battery)]
    assert 4 <= len(levels) <= 12
    assert len(heard.received) == pytest.approx(3 * 3600 * 6, rel=0.02)  # less what was out of range
    first = batches(transport, heard.received[:1])[0]
    assert np.diff(first.t_dev_ticks).tolist() == [16667] * 9


def test_the_neutral_pose_of_the_first_ten_seconds_aligns_the_sensor() -> None:
    # As the demo does it: gravity of the quiet standing gives up; afterwards tilt follows the truth.
    transport, heard = listen(SyntheticSensor, sensor(**FIXED, until="2026-09-21T12:30:00Z", speed=0.0))
    got = batches(transport, heard.received)
    acc, gyr = np.concatenate([b.acc_mps2 for b in got]), np.concatenate([b.gyr_rps for b in got])
    up = acc[100:900].mean(axis=0)
    up /= np.linalg.norm(up)
    nominal = np.array(mount_rows("up=+x,anterior=-z"))
    x = nominal[:, 0] - (nominal[:, 0] @ up) * up
    x /= np.linalg.norm(x)
    r_ps = np.stack((x, up, np.cross(x, up)))
    times = np.arange(len(acc)) * 10_000_200
    q = VQF(0.01, tauAcc=5.0, restBiasEstEnabled=False).updateBatch(gyr, acc)["quat6D"]
    w, qx, y, z = q.T
    up_s = np.stack((2 * (qx * z - w * y), 2 * (y * z + w * qx), w * w - qx * qx - y * y + z * z), axis=1)
    up_p = rotate(tuple(map(tuple, r_ps)), up_s)
    tilt = np.degrees(np.arctan2(-up_p[:, 0], up_p[:, 1]))
    truth = render(day_script(FIXED_NS, 1900.0), transport.began_utc_ns + times)
    episode = truth.anterior_tilt_deg > 5.0
    assert episode[-30_000:].mean() > 0.5
    off = (tilt - truth.anterior_tilt_deg)[truth.posture != 0]
    assert np.sqrt(np.mean(off**2)) < 2.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sped": 2.0}, "sped"),
        ({"loss": 1.5}, "'loss' is 1.5; give a share"),
        ({"hours": -1.0}, "'hours'"),
        ({"speed": 0.0}, "'until'"),
        ({"start": "yesterday"}, "'start' is 'yesterday'"),
        ({"seed": "one"}, "seed"),
    ],
)
def test_options_that_cannot_be_used_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SyntheticSensor(sensor(**options), TransportContext(FakeClock()))


def test_a_mount_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match="mount"):
        SyntheticSensor(Sensor("clip-1", "w-001", "synthetic", mount="sideways"), TransportContext(FakeClock()))


# -- the replayed recording ------------------------------------------------------------------------------------------


def write(path: Path, n: int = 1234, gap_s: float = 0.0) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(7)
    t = np.arange(n) * 10_000_000 + NOW + (np.arange(n) > n // 2) * round(gap_s * NS_PER_S)
    columns = {"t_utc_ns": t, **{c: rng.standard_normal(n) for c in ("ax", "ay", "az", "gx", "gy", "gz")}}
    columns["ax"] = columns["ax"] * 0.1 + 9.8
    pq.write_table(pa.table(columns), path)
    return columns


def test_a_recording_comes_back_to_the_last_bit_and_ends(tmp_path: Path) -> None:
    columns = write(tmp_path / "r.parquet")
    shares: list[float] = []
    transport, heard = listen(ReplaySensor, sensor("replay", path=str(tmp_path / "r.parquet")), progress=shares.append)
    items = decoded(transport, heard.received)
    assert items[-1] == EndOfStream()
    got = items[:-1]
    assert [len(b.t_dev_ticks) for b in got] == [50] * 24 + [34]
    assert [b.seq for b in got] == list(range(0, 1234, 50))
    assert np.array_equal(np.concatenate([b.t_dev_ticks for b in got]), columns["t_utc_ns"])
    for i, axis in enumerate("xyz"):
        assert np.array_equal(np.concatenate([b.acc_mps2[:, i] for b in got]), columns[f"a{axis}"])
        assert np.array_equal(np.concatenate([b.gyr_rps[:, i] for b in got]), columns[f"g{axis}"])
    clock = transport.driver.capabilities.clock
    timed, notes = Timebase(TimebaseParams(), clock, 32, transport.recording.rate_hz).update(got)
    assert timed is not None
    assert np.array_equal(timed.t_utc_ns, columns["t_utc_ns"])
    assert notes == []
    assert shares[-1] == 1.0
    assert transport.driver.capabilities.rate_hz == pytest.approx(100.0)


@pytest.mark.parametrize("stop_after", [1, 7, 25])
def test_a_broken_off_replay_goes_on_with_the_next_sample(tmp_path: Path, stop_after: int) -> None:
    columns = write(tmp_path / "r.parquet")
    one = sensor("replay", path=str(tmp_path / "r.parquet"))
    transport, heard = listen(ReplaySensor, one)
    cut = heard.received[:stop_after]
    again, rest = listen(ReplaySensor, one, after=cut[-1].rx_utc_ns)
    assert [r.payload for r in cut + rest.received] == [r.payload for r in heard.received]
    # Another batch size after the restart still loses and repeats nothing.
    other = sensor("replay", path=str(tmp_path / "r.parquet"), batch=33)
    again, rest = listen(ReplaySensor, other, after=cut[-1].rx_utc_ns)
    times = np.concatenate([b.t_dev_ticks for b in batches(transport, cut) + batches(again, rest.received)])
    assert np.array_equal(times, columns["t_utc_ns"])


def test_a_finished_replay_only_says_that_it_is_over(tmp_path: Path) -> None:
    columns = write(tmp_path / "r.parquet")
    one = sensor("replay", path=str(tmp_path / "r.parquet"), speed=1.0)
    transport, heard = listen(ReplaySensor, one, after=int(columns["t_utc_ns"][-1]))
    assert decoded(transport, heard.received) == [EndOfStream()]


def test_replay_keeps_time_at_any_speed_and_waits_through_gaps(tmp_path: Path) -> None:
    write(tmp_path / "r.parquet", 1200, gap_s=30.0)
    for speed, expected_s in ((1.0, 42.0), (10.0, 4.2)):
        clock = FakeClock()
        _, heard = listen(ReplaySensor, sensor("replay", path=str(tmp_path / "r.parquet"), speed=speed), clock=clock)
        assert (clock.now - NOW) / NS_PER_S == pytest.approx(expected_s, abs=0.1)
        late = [at - NOW - (r.rx_utc_ns - NOW) / speed for r, at in zip(heard.received, heard.at, strict=True)]
        assert min(late) >= 0
        assert max(late) < 0.05 * NS_PER_S
    clock = FakeClock()
    listen(ReplaySensor, sensor("replay", path=str(tmp_path / "r.parquet"), speed=0.0), clock=clock)
    assert clock.now == NOW


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "name the recording"),
        ({"path": "/nowhere/r.parquet"}, "'path'.*nowhere"),
        ({"path": "r.parquet", "batch": 0}, "'batch' is 0"),
        ({"path": "r.parquet", "speed": -1.0}, "'speed'"),
        ({"path": "r.parquet", "pace": 1.0}, "pace"),
    ],
)
def test_replay_options_that_cannot_be_used_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ReplaySensor(sensor("replay", **options), TransportContext(FakeClock()))


def payload() -> bytes:
    return encode(3, np.arange(4, dtype=np.int64), np.ones((4, 3)), np.zeros((4, 3)))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (b"", "0 bytes"),
        (b"X" + payload()[1:], "starts with"),
        (payload()[:4] + b"\x02" + payload()[5:], "version 2"),
        (payload()[:-1], "4 samples need"),
        (payload() + b"\x00", "4 samples need"),
        (payload()[:-1] + b"\x01", "checksum"),
        (payload()[:5] + b"\x07" + payload()[6:], "kind 7"),
        (payload()[:5] + b"\x01" + payload()[6:], "kind 1 with 4"),
    ],
)
def test_damaged_replay_payloads_are_rejected_with_a_reason(bad: bytes, words: str) -> None:
    (item,) = ReplayDriver().feed(UUID, bad, 0, 0)
    assert isinstance(item, Rejected)
    assert words in item.reason
    assert item.payload == bad


def test_a_payload_under_another_name_is_rejected() -> None:
    (item,) = ReplayDriver().feed("other", payload(), 0, 0)
    assert isinstance(item, Rejected)


@settings(max_examples=200)
@given(junk=st.binary(max_size=300), at=st.integers(0, 239), flip=st.integers(1, 255))
def test_no_bytes_raise_and_no_changed_byte_passes(junk: bytes, at: int, flip: int) -> None:
    driver = ReplayDriver()
    assert isinstance(driver.feed(UUID, junk, 0, 0)[0], Rejected)
    changed = bytearray(payload())
    changed[at] ^= flip
    assert isinstance(driver.feed(UUID, bytes(changed), 0, 0)[0], Rejected)
    assert driver.feed(UUID, encode_end(9), 0, 0) == [EndOfStream()]


def test_values_that_are_no_numbers_survive_the_payload() -> None:
    acc = np.array([[np.nan, np.inf, -0.0]])
    (batch,) = ReplayDriver().feed(UUID, encode(2**32 + 5, np.array([NOW]), acc, acc), 1, 2)
    assert isinstance(batch, ImuBatch)
    assert batch.acc_mps2.tobytes() == acc.tobytes()
    assert batch.seq == 5


def test_too_many_samples_for_a_payload_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 65535"):
        encode(0, np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3)))


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("synthetic", "sensor_gateway.drivers.synthetic:SyntheticSensor"),
        ("replay", "sensor_gateway.drivers.replay:ReplaySensor"),
    ],
)
def test_the_entry_points_name_these_transports(name: str, target: str) -> None:
    import tomllib

    root = Path(__file__).parents[3]
    table = tomllib.loads((root / "pyproject.toml").read_text())["project"]["entry-points"]["tiltline.drivers"]
    assert table[name] == target
    assert callable(EntryPoint(name, table[name], "tiltline.drivers").load())
