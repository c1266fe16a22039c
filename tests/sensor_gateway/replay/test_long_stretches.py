"""Journals in long stretches against the same entry by entry: records, counts and state, whatever came between the payloads."""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from processing import snapshot
from processing.coaching.controls import LogPain
from processing.pipeline import CaptureMovement, CaptureNeutral, Control, DeviceStatus
from processing.rules.study import Study
from processing.types import GRAVITY_MPS2, KIND_OF, DeviceReport, Record
from sensor_gateway import controls
from sensor_gateway.config import Sensor
from sensor_gateway.derive import Deriver, recipe
from sensor_gateway.drivers.base import Driver, Received
from sensor_gateway.drivers.open_frame import FLAG_KEEPS, FLAG_LATE, encode_frames
from sensor_gateway.drivers.open_profile import DATA_UUID, OpenProfileDriver
from sensor_gateway.drivers.replay import UUID, ReplayDriver, encode, encode_end
from sensor_gateway.replay.journal_samples import JournalSamples
from sensor_gateway.replay.long import LongDeriver, long_stretches
from sensor_gateway.spool import block
from sensor_gateway.spool.block import Frames, Logged, Source
from sensor_gateway.spool.database import Spool
from sensor_gateway.spool.journal import CONTROL, Journal

UTC_NS = 1_790_000_000 * 10**9
OPEN = Source("open", OpenProfileDriver.version)
SENSOR = Sensor(id="clip-1", wearer="w-001", driver="open", rate_hz=100.0)
STATUS = (
    DeviceStatus(),
    DeviceStatus(rssi_dbm=-70.0, firmware="1.2"),
    DeviceStatus(link="stalled"),
    DeviceStatus(link="streaming", alarm=""),
    DeviceStatus(link="lost", alarm="Look whether the sensor is near."),
    DeviceStatus(link="searching"),
)
CHANGES: tuple[Control, ...] = (CaptureNeutral(3.0), CaptureMovement("bows", 5.0), LogPain(3, "x"))


def moving(seconds: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Somebody who stands, bows, walks a little."""
    t = np.arange(round(seconds * 100)) / 100
    bend = 0.4 * np.clip(np.sin(t / 40) ** 9, 0, 1) + 0.05 * np.sin(2 * np.pi * 1.8 * t) * (np.sin(t / 70) > 0.3)
    acc = GRAVITY_MPS2 * np.stack([np.sin(bend), np.cos(bend), 0 * t], axis=1) + rng.normal(0, 0.05, (len(t), 3))
    gyr = np.stack([0 * t, 0 * t, -np.gradient(bend, 0.01)], axis=1) + rng.normal(0, 0.01, (len(t), 3))
    return acc, gyr


@dataclass
class Written:
    """Entries as a journal keeps them."""

    entries: list[tuple[Source, Received]]

    def say(self, control: Control, at: int) -> None:
        self.entries.append((CONTROL, controls.encode(control, at - UTC_NS, at)))


def open_journal(seed: int, seconds: float = 400.0) -> list[tuple[Source, Received]]:
    """What a day may bring: losses, rejected and repeated frames, other lengths, sensors that keep, batteries, links, controls."""
    rng = np.random.default_rng(seed)
    acc, gyr = moving(seconds, rng)
    flags = FLAG_KEEPS if seed % 4 == 3 else 0
    frames = encode_frames(0, 5e6, acc, gyr, 80, flags=flags)
    for i in range(len(frames) // 3, len(frames)):
        own = slice(10 * i, 10 * i + 10)
        frames[i] = encode_frames(10 * i, 5e6 + 1e5 * i, acc[own], gyr[own], 79 - i // 1500, flags=flags)[0]
    lost_from = int(rng.integers(500, len(frames)))
    lost = set(range(lost_from, lost_from + int(rng.integers(0, 900)))) if seed % 3 else set()
    out = Written([])
    arrived = UTC_NS
    for i, frame in enumerate(frames):
        at = UTC_NS + 10**8 * (i + 1) + int(rng.exponential(5e6))
        arrived = max(arrived, at)
        what = rng.random()
        if arrived // (60 * 10**9) != (arrived - 10**8) // (60 * 10**9):
            out.say(STATUS[0], arrived)
        if i in lost or what < 0.002:
            continue
        payload, uuid, source = frame, DATA_UUID, OPEN
        if seed % 2 and what < 0.004:
            payload = frame[:50] + bytes([frame[50] ^ 8]) + frame[51:]
        elif seed % 2 and what < 0.0045:
            own = slice(10 * i, 10 * i + 7)
            payload = encode_frames(10 * i, 5e6 + 1e5 * i, acc[own], gyr[own], 79, flags=flags)[0]
        elif flags and what < 0.006:
            early = max(0, i - 40)
            payload = encode_frames(10 * early, 5e6 + 1e5 * early, acc[:10], gyr[:10], 79, flags=flags | FLAG_LATE)[0]
        elif what < 0.0065:
            uuid = "another"
        elif what < 0.007:
            source = Source("other", 1)
        out.entries.append((source, Received(uuid, payload, arrived - UTC_NS, arrived)))
        if seed % 2 == 0 and what > 0.9995:
            out.entries.append(out.entries[-1])
        if what > 0.998:
            out.say(STATUS[int(rng.integers(len(STATUS)))], arrived)
        elif what > 0.9975:
            out.say(CHANGES[int(rng.integers(len(CHANGES)))], arrived)
        elif what > 0.997:
            out.entries.append((CONTROL, Received("control", b"not one", arrived - UTC_NS, arrived)))
    return out.entries


def recorded_journal(seed: int) -> list[tuple[Source, Received]]:
    """A recording played by a driver that reads no arrays, its end and another one after it."""
    rng, out, source = np.random.default_rng(seed), Written([]), Source(ReplayDriver.id, ReplayDriver.version)
    count = 0
    for begin in (UTC_NS, UTC_NS + 300 * 10**9):
        acc, gyr = moving(150, rng)
        for at in range(0, len(acc), 20):
            t = begin + 10**7 * np.arange(at, at + 20)
            out.entries.append(
                (source, Received(UUID, encode(count, t, acc[at : at + 20], gyr[at : at + 20]), 1, int(t[-1])))
            )
            count += 20
            if at % 6000 == 0:
                out.say(STATUS[0], int(t[-1]))
        out.entries.append((source, Received(UUID, encode_end(count), 1, begin + 151 * 10**9)))
    return out.entries


def framed(entries: Sequence[tuple[Source, Received]], rng: np.random.Generator) -> list[Frames]:
    """Through blocks of many sizes."""
    out: list[Frames] = []
    at = 0
    while at < len(entries):
        end = at + int(10 ** rng.uniform(0.0, 3.1))
        part = entries[at:end]
        out += block.decode_frames(block.encode(part), at + 1)
        at += len(part)
    return out


def keyed(records: Sequence[Record]) -> list[tuple[str, str]]:
    return sorted((KIND_OF[type(r)], repr(r)) for r in records)


def state_of(deriver: Deriver) -> dict[str, object]:
    """Clock, counts, holes, what the device said; the core may keep the same samples in other pieces."""
    state = snapshot.load(msgspec.msgpack.decode(deriver.snapshot())[1])
    return {name: state[name] for name in ("timebase", "counts", "status")} | {"gaps": state["core"]["intake"]["gaps"]}


def check(entries: Sequence[tuple[Source, Received]], driver: Driver, seed: int) -> tuple[int, int]:
    """Both ways; how many records and pieces there were."""
    rng = np.random.default_rng(seed)
    first, second = (recipe(SENSOR, Study(), copy.deepcopy(driver)) for _ in range(2))
    one, many = Deriver(first), LongDeriver(second)
    logged = [Logged(i + 1, source, received) for i, (source, received) in enumerate(entries)]
    expected: list[Record] = []
    found: list[Record] = []
    cuts = [1, *np.sort(rng.integers(1, len(logged) + 1, 3)).tolist(), len(logged) + 1]
    frames, pieces = framed(entries, rng), 0
    for a, b in zip(cuts[:-1], cuts[1:], strict=True):
        for at in range(a - 1, b - 1, 500):
            expected += [r for out in one.feed(logged[at : min(at + 500, b - 1)]) for r in out.records]
        for stretch in long_stretches(frames, range(a, b)):
            outputs = many.feed_frames(stretch)
            pieces += len(outputs)
            found += [r for out in outputs for r in out.records]
        assert state_of(many) == state_of(one)
        again = LongDeriver(recipe(SENSOR, Study(), copy.deepcopy(driver)))
        again.restore(many.snapshot())
        again.unreadable, many = many.unreadable, again
    assert keyed(found) == keyed(expected)
    assert many.unreadable == one.unreadable
    return len(found), pieces


def check_open(seed: int, seconds: float = 400.0) -> int:
    return check(open_journal(seed, seconds), OpenProfileDriver(), seed)[0]


@pytest.mark.parametrize("seed", range(8))
def test_stretches_give_what_single_entries_give(seed: int) -> None:
    """`python -m tests.sensor_gateway.replay.test_long_stretches 200` looks at two hundred."""
    assert check_open(seed) > 250


class PayloadByPayload(OpenProfileDriver):
    """The same driver without arrays."""

    feed_frames = None


def written(entries: Sequence[tuple[Source, Received]], folder: Path, rng: np.random.Generator) -> Journal:
    """In commits of many sizes."""
    journal = Journal(Spool(folder / "spool.db"), 10**9)
    at = 0
    while at < len(entries):
        end = at + int(10 ** rng.uniform(1.5, 3.1))
        journal.append(SENSOR.id, entries[at:end], durable=False)
        at = min(end, len(entries))
    return journal


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_samples_read_in_minutes_are_those_read_one_by_one(tmp_path: Path, seed: int) -> None:
    entries = open_journal(seed)
    span = range(7, len(entries) - 11)
    journal = written(entries, tmp_path, np.random.default_rng(seed))
    found: list[tuple[bytes, ...]] = []
    counts = []
    for driver in (OpenProfileDriver(), PayloadByPayload()):
        samples = JournalSamples(journal, recipe(SENSOR, Study(), driver), span)
        parts = list(samples.dated())
        assert sum(map(len, parts)) > 20_000
        found.append(
            tuple(np.concatenate([getattr(p, name) for p in parts]).tobytes() for name in ("t_utc_ns", "acc_mps2"))
        )
        counts.append((samples.entries, samples.late))
    assert found[0] == found[1]
    assert counts[0] == counts[1]
    assert counts[0][0] == len(span)


def test_a_driver_without_arrays_and_recordings_that_end() -> None:
    records, pieces = check(recorded_journal(1), ReplayDriver(), 1)
    assert records > 290
    assert pieces < 20


def test_reports_of_the_device_cut_no_stretch() -> None:
    rng = np.random.default_rng(0)
    acc, gyr = moving(400, rng)
    out = Written([])
    for i, frame in enumerate(encode_frames(0, 0, acc, gyr, 80)):
        at = UTC_NS + 10**8 * (i + 1)
        if at % (60 * 10**9) == 0:
            out.say(STATUS[0], at)
        if not 1000 <= i < 1100:
            out.entries.append((OPEN, Received(DATA_UUID, frame, at - UTC_NS, at)))
    deriver = LongDeriver(recipe(SENSOR, Study(), OpenProfileDriver()))
    (output,) = deriver.feed_frames(framed(out.entries, rng))
    reports = [r for r in output.records if isinstance(r, DeviceReport)]
    assert len(reports) == 7  # one by the battery, six by the minutes
    assert [r.frames_lost for r in reports] == [0, 0, *[1000] * 5]
    assert [r.frames_received for r in reports][:3] == [0, 999, 1499]
    assert check(out.entries, OpenProfileDriver(), 0)[1] == 4


if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        check_open(number, 900.0)
    print(f"{sys.argv[1]} journals, all the same")
