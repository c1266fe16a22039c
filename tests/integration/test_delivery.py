"""From a recording to InfluxDB through real servers, everything killed once on the way: exactly the records of `process`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from processing.dictionary import KINDS
from processing.types import GRAVITY_MPS2
from sensor_gateway.bridge.queue import BridgeQueue
from sensor_gateway.process import ProcessOptions, process_file
from sensor_gateway.recording.alignment import neutral_span_s
from tests.integration.servers import Stack, Tiltline, wait_until

pytestmark = [pytest.mark.servers, pytest.mark.slow]

START = "2026-03-01T08:00:00+00:00"
START_NS = 1_772_352_000 * 10**9
SECONDS = 900
SPEED = 75
NEUTRAL = "10:14"


def write_recording(path: Path, seconds: int = SECONDS) -> None:
    """Standing, swaying, a step now and then, a hole of three seconds; from half a minute on 10° further forward."""
    rng = np.random.default_rng(11)
    t = np.arange(seconds * 100) / 100
    tilt = np.radians(2 * np.sin(2 * np.pi * t / 50) + 4 + 10 * np.clip((t - 30) / 5, 0, 1))
    walking = (t % 120) > 80
    shake = walking[:, None] * 2.0 * np.sin(2 * np.pi * 1.8 * t)[:, None]
    acc = GRAVITY_MPS2 * np.stack([np.cos(tilt), np.zeros_like(t), np.sin(tilt)], 1)
    acc += rng.normal(0, 0.03, acc.shape) + shake
    gyr = rng.normal(0, 0.002, acc.shape)
    gyr[:, 1] += np.gradient(tilt, 0.01)
    keep = (t < 200) | (t > 203)
    columns = {"t_s": t[keep]}
    columns |= {name: acc[keep, i] for i, name in enumerate(("ax", "ay", "az"))}
    columns |= {name: gyr[keep, i] for i, name in enumerate(("gx", "gy", "gz"))}
    pq.write_table(pa.table(columns), path)


def expected_points(recording: Path, folder: Path) -> dict[str, list[dict[str, Any]]]:
    process_file(recording, folder, ProcessOptions(start_utc_ns=START_NS, neutral_s=neutral_span_s(NEUTRAL)))
    events = [json.loads(line) for line in (folder / "events.ndjson").read_text().splitlines()]
    return {
        "tilt": pq.read_table(folder / "metrics.parquet").to_pylist(),
        "epoch": pq.read_table(folder / "epochs.parquet").to_pylist(),
        "event": events,
    }


def points(stack: Stack, measurement: str, kind: str) -> list[dict[str, Any]]:
    """What the database holds, in the shape of the records."""
    out = []
    for row in stack.influx.query(f'SELECT * FROM "{measurement}"'):
        assert (row["site"], row["wearer"], row["sensor"]) == ("home", "w-001", "clip-1")
        record = {f.name: row.get(f.name) for f in KINDS[kind]} | {"t_utc_ns": row["time"]}
        if kind == "event":
            record["data"] = json.loads(row["data_json"])
            assert row["summary"]
        out.append(record)
    return out


def by_time(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(records, key=lambda r: (r["t_utc_ns"], r.get("event_id", "")))


def sensors(recording: Path, speed: float) -> str:
    return (
        '[[sensors]]\nid = "clip-1"\nwearer = "w-001"\ndriver = "replay"\n'
        f'options = {{ path = "{recording}", start = "{START}", speed = {float(speed)}, neutral = "{NEUTRAL}" }}'
    )


def assert_exact(stack: Stack, expected: dict[str, list[dict[str, Any]]], bridge: Tiltline) -> None:
    for measurement, kind in (("tilt", "metric"), ("epoch", "epoch"), ("event", "event")):
        assert by_time(points(stack, measurement, kind)) == by_time(expected[measurement]), measurement
    bridge.stop()
    queue = BridgeQueue(stack.folder / "bridge" / "data" / "bridge.db")
    counters = queue.counters()
    assert queue.letters() == []
    assert counters["received"] == counters["written"] + counters["rejected"] + counters["dropped"] + counters["queued"]
    assert (counters["queued"], counters["rejected"]) == (0, 0)
    queue.close()


def test_a_replayed_recording_arrives_exactly(stack: Stack, tmp_path: Path) -> None:
    recording = tmp_path / "walk.parquet"
    write_recording(recording)
    expected = expected_points(recording, tmp_path / "expected")
    assert len(expected["tilt"]) > 890
    assert {"alignment", "gap", "episode_start", "flag", "suppressed"} <= {e["type"] for e in expected["event"]}
    bridge, gateway = stack.bridge(), stack.gateway(sensors(recording, 0), "--until-done")
    bridge.start()
    gateway.start()
    assert gateway.wait(120) == 0, gateway.said()
    assert gateway.counters()["queued_mqtt"] == 0
    assert_exact(stack, expected, bridge)


def test_every_part_is_killed_once_and_nothing_is_lost_or_doubled(stack: Stack, tmp_path: Path) -> None:
    recording = tmp_path / "walk.parquet"
    write_recording(recording)
    expected = expected_points(recording, tmp_path / "expected")
    bridge, gateway = stack.bridge(), stack.gateway(sensors(recording, SPEED), "--until-done")
    bridge.start()
    gateway.start()
    victims = [(60, gateway), (150, bridge), (240, stack.broker), (330, stack.influx), (400, gateway)]
    for at, victim in victims:
        wait_until(f"{at} seconds in the database", lambda at=at: stack.influx.count("tilt", "coverage") >= at)
        assert not victim.ended(), "the stream ended before the kill"
        victim.kill9()
        victim.start()
    assert gateway.wait(120) == 0, gateway.said()[-3000:]
    assert_exact(stack, expected, bridge)
