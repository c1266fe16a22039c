"""Virtual sensor, simulated radio, gateway, real Mosquitto, bridge, real InfluxDB: ten minutes out of range, fetched afterwards.

The sensor's clock, the gateway's and the world's run 30 times as fast, so the hole is ten minutes by all of them. What was told
live stays as it was told; the retro derivation of the same journal has no hole.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processing.dictionary import INFLUX
from processing.pipeline import CaptureNeutral
from processing.types import F64, GRAVITY_MPS2
from sensor_gateway.cli import main
from sensor_gateway.config import load_settings
from sensor_gateway.drivers.base import Late
from sensor_gateway.drivers.open_profile import OpenProfileDriver
from sensor_gateway.gateway import Gateway
from sensor_gateway.radio.pool import Radios
from sensor_gateway.replay.rederive import SpoolReader
from sensor_gateway.sinks.store import Store
from sensor_gateway.spool.journal import CONTROL, JournalReader
from sensor_gateway.status.status import SPOOL_FILE, STORE_FILE
from sensor_gateway.study_file import load_study
from tests.ble.support.air import Air
from tests.ble.support.backend import Central
from tests.ble.support.keeping_clip import RATE_HZ, KeepingClip
from tests.clocks import FastClock
from tests.integration.servers import Stack

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.anyio]

ADDRESS = "C0:00:00:00:00:77"
SPEED = 25.0
START_NS = 1_772_352_000 * 10**9
HOLE_S = 600
TILT_DEG = 12.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Body:
    """Upright until ``leans_s``, then leaning forward, swaying and breathing: x up, z backward (a clip at the back, flat)."""

    leans_s = math.inf

    def __call__(self, t_s: F64) -> tuple[F64, F64]:
        sway = np.sin(2 * np.pi * t_s / 40) + 0.4 * np.sin(2 * np.pi * t_s * 0.9)
        lean = np.clip((t_s - self.leans_s) / 10, 0, 1)
        tilt = np.radians((TILT_DEG + sway) * lean)
        rate = np.gradient(tilt, 1 / RATE_HZ)
        noise = np.random.default_rng(round(float(t_s[0]) * RATE_HZ)).normal(0, 0.05, (len(t_s), 3))
        acc = GRAVITY_MPS2 * np.stack([np.cos(tilt), 0 * tilt, np.sin(tilt)], 1) + noise
        return acc, np.stack([0 * tilt, rate, 0 * tilt], 1) + noise / 5


def config(stack: Stack) -> str:
    return (
        f'[site]\ndata_dir = "data"\n{stack.mqtt_toml("gw-1")}[web]\nenabled = false\n'
        "[radio.session]\nfirst_data_s = 600.0\nstall_s = 300.0\ncheck_s = 0.05\npause_max_s = 5.0\n"
        "[radio.timing]\nscan_slice_s = 1.0\nscan_pause_s = 0.05\nconnect_s = 3.0\n"
        f'[[sensors]]\nid = "clip-1"\nwearer = "w-001"\ndriver = "open"\naddress = "{ADDRESS}"\nrate_hz = {RATE_HZ}\n'
        'mount = "up=+x,anterior=-z"\n'
    )


async def until(what: str, condition: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < end, what
        await asyncio.sleep(0.1)


def told(stack: Stack) -> dict[str, dict[tuple[Any, ...], Any]]:
    """Everything that the database holds of the wearer, by measurement and point."""
    out: dict[str, dict[tuple[Any, ...], Any]] = {}
    for measurement in ("tilt", "epoch", "event"):
        rows = stack.influx.query(f'SELECT * FROM "{measurement}"')
        # A column that no point had yet is not answered at all, later as empty.
        full = [{k: v for k, v in r.items() if v is not None} for r in rows]
        out[measurement] = {(r["time"], r.get("type"), r.get("rule")): r for r in full}
    return out


def at_rest(stack: Stack) -> dict[str, dict[tuple[Any, ...], Any]]:
    """`told` once nothing comes any more: broker and bridge still hold the gateway's last seconds when it has stopped."""
    found, same = told(stack), 0
    while same < 3:
        time.sleep(2)
        now = told(stack)
        found, same = now, same + 1 if now == found else 0
    return found


async def wear(stack: Stack, folder: Path) -> dict[str, dict[tuple[Any, ...], Any]]:
    """Three minutes worn, ten out of range, then until everything is fetched; what had been told when she came back."""
    settings = load_settings(folder / "gateway.toml")
    air, clock = Air(), FastClock(SPEED, START_NS)
    central = Central(air)
    body = Body()
    clip = KeepingClip(air, ADDRESS, clock, body)
    gateway = Gateway(settings, load_study(None), folder, clock, radios=Radios(settings.radio, central.backends()))
    await central.device.power_on()
    await clip.power_on()
    stop = asyncio.Event()
    running = asyncio.create_task(gateway.run(stop))
    session = gateway.transports["clip-1"]
    try:
        await until("20 s in the database", lambda: stack.influx.count("tilt", "coverage") >= 20)
        await gateway.command("w-001", CaptureNeutral(5.0))
        body.leans_s = (clock.mono_ns() - clip.boot_ns) / 1e9 + 10.0
        await until("leaning", lambda: clock.mono_ns() - clip.boot_ns >= (body.leans_s + 60) * 1e9)
        await until("3 minutes in the database", lambda: stack.influx.count("tilt", "coverage") >= 180)
        clip.leave()
        left_ns = clock.mono_ns()
        await until("ten minutes", lambda: clock.mono_ns() - left_ns >= HOLE_S * 1e9)
        before = await asyncio.to_thread(told, stack)
        clip.come_back()
        await until("streaming again", lambda: session.stats.connections >= 2 and session.stats.late > 0)
        have = stack.influx.count("tilt", "coverage")
        await until("all fetched", lambda: time.monotonic() - clip.asked_s > 5, 120)
        await until("2 minutes more", lambda: stack.influx.count("tilt", "coverage") >= have + 120)
    finally:
        stop.set()
        await running
        await clip.power_off()
    assert not running.exception()
    return before


async def test_ten_minutes_out_of_range_are_missing_live_and_whole_in_retro(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "gateway"
    folder.mkdir()
    (folder / "gateway.toml").write_text(config(stack))
    stack.bridge().start()
    before = await wear(stack, folder)
    after = at_rest(stack)

    # Live: what had been told is as it was, and the hole stays a hole.
    for measurement, points in before.items():
        assert {key: after[measurement][key] for key in points} == points, measurement
    seconds = sorted(t // 10**9 for t, _, _ in after["tilt"])
    widest = int(np.argmax(np.diff(seconds)))
    assert seconds[widest + 1] - seconds[widest] > HOLE_S
    in_hole = (seconds[widest] + 1) * 10**9, seconds[widest + 1] * 10**9
    gaps = [json.loads(e["data_json"]) for (_, kind, _), e in after["event"].items() if kind == "gap"]
    assert any(g["to_utc_ns"] - g["from_utc_ns"] > HOLE_S * 10**9 for g in gaps)

    # The journal: each kept sample, and the live records follow from it bit for bit. Asked for in vain for too long by a slow machine's
    # clock, some are asked for again.
    driver, late = OpenProfileDriver(RATE_HZ), list[int]()
    spool = SpoolReader(folder / "data" / SPOOL_FILE)
    for entries in JournalReader(spool).read("clip-1"):
        for r in (e.received for e in entries if e.source != CONTROL):
            for item in driver.feed(r.uuid, r.payload, r.rx_mono_ns, r.rx_utc_ns):
                late += item.batch.t_dev_ticks.tolist() if isinstance(item, Late) else []
    spool.close()
    kept = len(set(late))
    assert kept > 0.9 * HOLE_S * RATE_HZ  # what the radio still held came by itself
    assert len(late) < 1.2 * kept
    replay = ["replay", "--config", str(folder / "gateway.toml"), "--json"]
    assert main([*replay, "--out", str(tmp_path / "live.db"), "--check"]) == 0
    capsys.readouterr()

    # Retro: no hole, and what was done in it.
    assert main([*replay, "--out", str(tmp_path / "retro.db"), "--mode", "retro"]) == 0
    counts = json.loads(capsys.readouterr().out)["clip-1"]
    assert (counts["late_used"], counts["late_repeated"], counts["late_misfit"]) == (kept, len(late) - kept, 0)
    store = Store.open(tmp_path / "retro.db", readonly=True)
    metrics = list(store.metrics("w-001"))
    events = list(store.events("w-001"))
    store.close()
    steps = np.diff([m.t_utc_ns for m in metrics]) // 10**9
    odd = [((metrics[i].t_utc_ns - START_NS) // 10**9, int(steps[i])) for i in np.flatnonzero(steps != 1)]
    assert not odd, (odd, [(t - START_NS) / 1e9 for t in in_hole], counts, gaps)
    inside = [m for m in metrics if in_hole[0] <= m.t_utc_ns < in_hole[1]]
    assert len(inside) > HOLE_S
    assert min(m.coverage for m in inside) > 0.9
    tilts = [m.anterior_tilt_deg for m in inside if m.anterior_tilt_deg is not None]
    assert len(tilts) > 0.99 * len(inside)
    assert np.abs(np.array(tilts) - TILT_DEG).max() < 2.0
    assert not [e for e in events if e.type == "gap"]

    # The same day in the database, beside the live one; a second night replaces the first.
    (folder / "bridge.toml").write_text(f'[influx]\nurl = "{stack.shim.url}"\ntoken_file = "{stack.folder}/token"\n')
    for _ in range(2):
        assert main([*replay, "--mode", "retro", "--influx", str(folder / "bridge.toml")]) == 0
        sent = json.loads(capsys.readouterr().out)["influx"]
        points = {k: stack.influx.query(f'SELECT * FROM "{k}_retro"') for k in ("tilt", "epoch", "event", "device")}
        assert sent["rejected"] == 0
        assert sent["written"] == sum(counts["records"].values()) == sum(map(len, points.values()))
        assert {p["source"] for of in points.values() for p in of} == {"retro"}
        for name, of in points.items():  # a column there is a field or a tag of the dictionary
            held = INFLUX[f"{name}_retro"]
            assert {key for p in of for key in p} <= {"time", *held.tags, *(f.name for f in held.fields)}
    assert sorted(p["time"] for p in points["tilt"]) == [m.t_utc_ns for m in metrics]
    assert max(np.diff(sorted(p["time"] for p in points["tilt"]))) == 10**9
    assert not list((folder / "data" / "derived").iterdir())

    # And nothing of that went to the live side.
    assert told(stack) == after
    live = Store.open(folder / "data" / STORE_FILE, readonly=True)
    assert not [m for m in live.metrics("w-001") if in_hole[0] <= m.t_utc_ns < in_hole[1]]
    live.close()
