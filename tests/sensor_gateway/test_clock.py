"""The gateway's clock across sleep, and what a clock that is set does to the times of records: nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from processing.alignment.static import align, parse_mount
from processing.pipeline import Pipeline, StreamSetup
from processing.rules.study import Study
from processing.types import ClockSpec, Epoch, ImuBatch, Metric, Record
from sensor_gateway.clock import SystemClock

NS = 1_000_000_000
T0 = 1_772_352_000 * NS
ALIGNED = align(parse_mount("up=+x,anterior=-z"), None, given=True, mount_id="mount-1", t_utc_ns=0)

_ASLEEP = """
import time
from sensor_gateway.clock import SystemClock
print((SystemClock().mono_ns() - time.monotonic_ns()) / 1e9)
"""


def test_the_monotonic_clock_counts_sleep() -> None:
    """In a time namespace the kernel's boot clock can be set ahead of the running clock, as sleep would do."""
    command = ["unshare", "--time", "--boottime", "7200", sys.executable, "-c", _ASLEEP]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr:
        pytest.skip("no time namespaces here (root and Linux 5.6 are needed)")
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) >= 7199


def test_both_clocks_run_and_the_monotonic_one_never_goes_back() -> None:
    clock = SystemClock()
    times = [clock.mono_ns() for _ in range(1000)]
    assert times == sorted(times)
    assert abs(clock.utc_ns() / NS - datetime.now(UTC).timestamp()) < 5


def batches(seconds: int) -> list[ImuBatch]:
    """A wearer who stands still: ten samples a notification, 20 ms on the way."""
    out = []
    for i in range(seconds * 10):
        ticks = np.arange(10, dtype=np.int64) * 10_000 + i * 100_000
        arrival = (i + 1) * NS // 10 + 20_000_000
        acc = np.tile([9.80665, 0.0, 0.0], (10, 1))
        out.append(ImuBatch(ticks, (i * 10) & 0xFFFF, arrival, T0 + arrival, acc, np.zeros((10, 3))))
    return out


def records(all_: Sequence[ImuBatch], study: Study | None = None) -> list[Record]:
    pipeline = Pipeline(StreamSetup("w-001", "clip-1", ClockSpec(1000, 48), 16, 100.0, ALIGNED), study or Study())
    out: list[Record] = []
    for i in range(0, len(all_), 50):
        out += pipeline.update(all_[i : i + 50]).records
    return out + pipeline.finish().records


def seconds_of(all_: list[Record]) -> list[int]:
    return [r.t_utc_ns for r in all_ if isinstance(r, Metric)]


@pytest.mark.parametrize("step_s", [-3600.0, -1.0, 2.5, 3600.0, 86_400.0])
def test_a_clock_that_is_set_moves_no_record(step_s: float) -> None:
    """NTP, a person or the end of a summer: all that is seen of it is that wall clock and monotonic clock part."""
    calm = batches(600)
    stepped = [replace(b, rx_utc_ns=b.rx_utc_ns + (round(step_s * NS) if i >= 3000 else 0)) for i, b in enumerate(calm)]
    got, want = seconds_of(records(stepped)), seconds_of(records(calm))
    # The offset follows the new time slowly (0.4 ms a second), so the recording may end a tenth of a second to either side.
    assert abs(len(got) - len(want)) <= 1
    both = min(len(got), len(want))
    assert got[:both] == want[:both]


@pytest.mark.parametrize("asleep_s", [30, 3600, 8 * 3600])
def test_sleep_of_the_gateway_is_a_gap_and_what_follows_is_dated_right(asleep_s: int) -> None:
    before, after = batches(300), batches(300 + asleep_s + 300)[(300 + asleep_s) * 10 :] if asleep_s <= 3600 else None
    if after is None:  # eight hours of batches need not be made to leave them out
        shift = asleep_s + 300
        after = [
            replace(
                b,
                t_dev_ticks=b.t_dev_ticks + shift * 1_000_000,
                seq=((b.seq or 0) + shift * 100) & 0xFFFF,
                rx_mono_ns=b.rx_mono_ns + shift * NS,
                rx_utc_ns=b.rx_utc_ns + shift * NS,
            )
            for b in batches(300)
        ]
    got = seconds_of(records([*before, *after]))
    resumed = [t for t in got if t >= T0 + (300 + asleep_s) * NS]
    assert len(resumed) >= 298
    assert len(got) == len(set(got))
    assert max(got) < T0 + (600 + asleep_s + 1) * NS


def test_another_time_zone_moves_no_record() -> None:
    """Travel: the study gets the new zone, and only what follows local time changes."""
    all_ = batches(400)
    zones = ("UTC", "Europe/Berlin", "Pacific/Auckland", "America/St_Johns", "Asia/Kathmandu")
    kept = [[r for r in records(all_, Study(timezone=zone)) if isinstance(r, Metric | Epoch)] for zone in zones]
    assert len(kept[0]) > 400
    assert all(one == kept[0] for one in kept)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("Africa/Cairo", (2026, 4, 24), 23),
        ("America/Havana", (2026, 11, 1), 25),
        ("Australia/Lord_Howe", (2026, 4, 5), 24.5),
        ("Europe/Berlin", (2026, 6, 1), 24),
    ],
)
def test_local_days_have_the_hours_they_have(zone: str, day: tuple[int, int, int], hours: float) -> None:
    from processing.rules.base import LocalClock

    clock = LocalClock(zone)
    date = datetime(*day, tzinfo=ZoneInfo(zone)).date()
    start, end = clock.day_start(date), clock.day_start(date + timedelta(days=1))
    assert (end - start) * 10 / 3600 == hours
    assert clock.day(start) == clock.day(end - 1) == date.isoformat() != clock.day(start - 1)
    assert clock.day_end(start) == end
