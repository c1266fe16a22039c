"""`tiltline sensors` on a data folder made here: what it says of rate, drift, losses, refusals and a sensor that is away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processing.pipeline import DeviceStatus
from processing.types import NS_PER_S, DeviceReport
from sensor_gateway import controls
from sensor_gateway.cli import main
from sensor_gateway.config import load_settings
from sensor_gateway.drivers.base import Received
from sensor_gateway.drivers.open_profile import DATA_UUID, encode_frames
from sensor_gateway.sensors.state import SensorState, sensor_states
from sensor_gateway.sensors.tail import journal_tail
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from sensor_gateway.spool.block import Source
from sensor_gateway.spool.database import Spool
from sensor_gateway.spool.journal import CONTROL, Journal

UTC0, MINUTE = 1_760_000_000 * NS_PER_S, 60 * NS_PER_S
CONFIG = """
[site]
data_dir = "data"
[[sensors]]
id = "clip-1"
wearer = "w-001"
address = "D4:22:CD:5B:7A:31"
[[sensors]]
id = "clip-2"
wearer = "w-002"
address = "D4:22:CD:5B:7A:32"
"""
DRIFT_PPM = 80.0


def fill(folder: Path, seconds: int = 300) -> int:
    """A gateway's folder with ``seconds`` of a clip whose clock is 80 ppm slow; the UTC time of the last payload."""
    spool = Spool(folder / "spool.db")
    journal = Journal(spool, 10**9)
    n = seconds * 100
    t_us = 5e6 + np.arange(0, n, 10) * 1e4 * (1 - DRIFT_PPM * 1e-6)
    rng = np.random.default_rng(3)
    source, items = Source("open", 1), []
    still, none = np.tile([0.0, 0.0, 9.81], (10, 1)), np.zeros((10, 3))
    items.append((CONTROL, controls.encode(DeviceStatus(link="streaming", rssi_dbm=-61), 0, UTC0)))
    for i, t in enumerate(t_us):
        mono = round((i + 1) * 1e8 + rng.integers(0, 30) * 1e6)
        (frame,) = encode_frames(10 * i, float(t), still, none, 81, period_us=10_000.0)
        if i % 500 == 7:
            frame = frame[:-1]
        items.append((source, Received(DATA_UUID, frame, mono, UTC0 + mono)))
    journal.append("clip-1", items, True)
    spool.close()
    with_reports = Store.open(folder / "store.db")
    for minute in range(80):
        report = DeviceReport(
            UTC0 - (79 - minute) * MINUTE, battery_percent=81, rssi_dbm=-61, rate_hz=100, frames_lost=minute * 6, link="streaming", firmware="1.2.0"
        )  # fmt: skip
        with_reports.write([Owned("w-001", "clip-1", report)])
    with_reports.close()
    return int(items[-1][1].rx_utc_ns)


@pytest.fixture
def site(tmp_path: Path) -> tuple[Path, int]:
    (tmp_path / "gateway.toml").write_text(CONFIG)
    (tmp_path / "data").mkdir()
    return tmp_path / "gateway.toml", fill(tmp_path / "data")


def states_of(site: tuple[Path, int], later_s: float = 2.0, span_s: float = 600.0) -> list[SensorState]:
    config, last = site
    return sensor_states(load_settings(config), config.parent, span_s, last + round(later_s * NS_PER_S))


def test_what_is_known_of_a_streaming_sensor(site: tuple[Path, int]) -> None:
    first, second = states_of(site)
    assert (first.state, first.age_s, first.alarm) == ("streaming", 2.0, "")
    assert (first.battery_percent, first.rssi_dbm, first.firmware) == (81, -61, "1.2.0")
    assert first.rate_hz == pytest.approx(99.8, abs=0.1)  # six of three thousand frames were cut short
    assert first.drift_ppm == pytest.approx(DRIFT_PPM, abs=40)
    assert first.jitter_ms == pytest.approx(28, abs=3)
    assert first.clock_offset_s is not None
    assert (first.lost, first.lost_percent) == (360, 0.1)
    assert first.refused == {"N bytes, but N samples need N": 6}
    assert (second.state, second.age_s, second.rate_hz) == ("no data yet", None, None)


def test_a_sensor_that_fell_silent_has_no_state(site: tuple[Path, int]) -> None:
    (first, _) = states_of(site, later_s=600)
    assert first.state == "no fresh data"
    assert "is the gateway running" in first.alarm


def test_only_the_tail_is_read(site: tuple[Path, int]) -> None:
    (first, _) = states_of(site, span_s=30)
    assert sum(first.refused.values()) <= 1
    assert first.drift_ppm is None  # too short to say
    spool = Spool(site[0].parent / "data" / "spool.db")
    try:
        tail = journal_tail(spool, "clip-1", 30 * NS_PER_S)
        assert tail[-1].seq == 3001
        assert 300 <= len(tail) <= 302
        assert journal_tail(spool, "nobody", NS_PER_S) == []
    finally:
        spool.close()


def test_the_command(site: tuple[Path, int], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sensors", "--config", str(site[0])]
    assert main([*words, "--json"]) == 0
    told: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert [t["sensor"] for t in told] == ["clip-1", "clip-2"]
    assert main([*words, "--sensor", "clip-1"]) == 0
    out = capsys.readouterr().out
    assert "no fresh data" in out
    assert "360 (0.1 %)" in out
    assert "clip-1: refused 6: N bytes, but N samples need N" in out
    assert "D4:22" not in out
    assert main([*words, "--sensor", "clip-9"]) == 1
    assert "bound: clip-1, clip-2" in capsys.readouterr().err


def test_an_empty_folder_and_a_damaged_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gateway.toml").write_text(CONFIG)
    words = ["sensors", "--config", str(tmp_path / "gateway.toml")]
    assert main(words) == 0
    assert capsys.readouterr().out.count("no data yet") == 2
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "spool.db").write_bytes(b"not a database at all, but long enough to look like one" * 50)
    assert main(words) == 1
    assert "is no Tiltline journal" in capsys.readouterr().err
